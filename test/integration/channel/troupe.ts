import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { fileURLToPath } from "node:url";
import type { MemberConfig, MemberOrder } from "./member.ts";

const SCRIPT = fileURLToPath(new URL("member.ts", import.meta.url));

export type Told = Readonly<Record<string, unknown>> & { readonly event: string };

/** The members of one test, as processes. All of them are gone when `end` resolves. */
export class Troupe {
  readonly #store: string;
  readonly #members: MemberProcess[] = [];

  constructor(store: string) {
    this.#store = store;
  }

  /** Starts a member; resolves when it has started. */
  async start(node: string, config: Partial<MemberConfig> = {}): Promise<MemberProcess> {
    const member = this.begin(node, config);
    await member.next("started");
    return member;
  }

  begin(node: string, config: Partial<MemberConfig> = {}): MemberProcess {
    const member = new MemberProcess({ node, store: this.#store, channel: { host: "127.0.0.1" }, notes: [], ...config });
    this.#members.push(member);
    return member;
  }

  async end(): Promise<void> {
    for (const member of this.#members) await member.kill();
  }
}

/** One member. */
export class MemberProcess {
  readonly node: string;
  readonly told: Told[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(config: MemberConfig) {
    this.node = config.node;
    const running = spawn(process.execPath, ["--no-warnings", SCRIPT, JSON.stringify(config)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = running;
    createInterface({ input: running.stdout }).on("line", (line) => {
      this.told.push(JSON.parse(line) as Told);
      this.#look();
    });
    this.#exited = once(running, "close").then(() => {
      this.#ended = true;
      this.#look();
    });
  }

  order(order: MemberOrder): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** What it tells next of that kind, after what it has told already; with these details where some are given. */
  async next(event: string, detail: Readonly<Record<string, unknown>> = {}, from = 0): Promise<Told> {
    return await new Promise((resolve, reject) => {
      const look = () => {
        const found = this.told.slice(from).find((each) => each.event === event && Object.entries(detail).every(([name, value]) => isDeepStrictEqual(each[name], value)));
        if (found === undefined && !this.#ended) return;
        this.#waiting.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`${this.node} ended without ${event}; it told ${JSON.stringify(this.told)}`));
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Sends, and answers what became of it. */
  async send(value: unknown, to: readonly string[] | "others" | "all", deadlineMs?: number): Promise<unknown> {
    const from = this.told.length;
    this.order({ do: "send", value, to, ...(deadlineMs === undefined ? {} : { deadlineMs }) });
    return (await this.next("sent", {}, from))["results"];
  }

  /** Stops it in good order. Resolves when it has ended by itself, since nothing of it was left open. */
  async stop(): Promise<void> {
    this.order({ do: "stop" });
    await this.next("ended");
    await this.#exited;
  }

  async kill(): Promise<void> {
    if (!this.#ended) this.#process.kill("SIGKILL");
    await this.#exited;
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }
}
