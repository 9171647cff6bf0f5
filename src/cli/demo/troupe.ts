import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { abortError, ERROR_CODES, sleep, TribuneError } from "../../kernel/index.ts";
import type { Clock, ErrorCode } from "../../kernel/index.ts";
import type { Order, Report } from "./protocol.ts";

export type ActorState = "starting" | "member" | "leader" | "killed" | "frozen" | "lost" | "stopped";

/** One node as the director knows it. */
export interface Actor {
  readonly node: string;
  readonly pid: number;
  readonly state: ActorState;
  /** The token of the term that it holds, as it last reported. */
  readonly token: string | undefined;
}

/** A report, with when it came in on the director's monotonic clock. */
export interface Heard<Type extends Report["type"]> {
  readonly node: string;
  readonly atMs: number;
  readonly report: Extract<Report, { type: Type }>;
}

type Anything = Heard<Report["type"]>;

interface Player {
  readonly process: ChildProcess;
  actor: Actor;
  /** Its process may end from here on. */
  dismissed: boolean;
}

interface Waiter {
  readonly look: () => void;
  readonly fail: (error: TribuneError) => void;
}

/** The extension that this file has: from the sources or built. */
const NODE = fileURLToPath(new URL(`./node${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url));

/** For the kernel to end a process that was killed. */
const GONE_PATIENCE_MS = 2_000;

/** The processes of the demo: started, ordered about, frozen, killed, and never left behind. */
export class Troupe {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onChange: () => void;
  readonly #onStderr: (node: string, line: string) => void;
  readonly #players = new Map<string, Player>();
  readonly #heard: Anything[] = [];
  readonly #waiters = new Set<Waiter>();
  #failure: TribuneError | undefined;
  #tolerant = false;

  constructor(options: { readonly clock: Clock; readonly signal: AbortSignal; readonly onChange: () => void; readonly onStderr: (node: string, line: string) => void }) {
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#onChange = options.onChange;
    this.#onStderr = options.onStderr;
    options.signal.addEventListener("abort", () => this.#fail(abortError(options.signal, "demo")), { once: true });
  }

  get actors(): readonly Actor[] {
    return [...this.#players.values()].map((player) => player.actor);
  }

  /** Reports so far: waiting from here on misses none that come after this moment. */
  get mark(): number {
    return this.#heard.length;
  }

  /** Starts a process of this name, in place of one that ended. */
  raise(node: string): void {
    const process = fork(NODE, [], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: ["--disable-warning=ExperimentalWarning"] });
    const player: Player = { process, dismissed: false, actor: { node, pid: process.pid ?? 0, state: "starting", token: undefined } };
    this.#players.set(node, player);
    process.on("message", (report: Report) => this.#hear(player, report));
    process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n")) if (line !== "") this.#onStderr(node, line);
    });
    process.on("error", (error) => this.#fail(new TribuneError("INTERNAL", `the process of ${node} failed: ${error.message}`, { cause: error })));
    process.on("exit", (code, signal) => {
      const expected = player.dismissed || player.actor.state === "killed" || this.#tolerant;
      if (player.actor.state !== "killed" || this.#tolerant) this.#set(player, { state: signal === "SIGKILL" ? "killed" : "stopped", token: undefined });
      if (!expected) this.#fail(new TribuneError("INTERNAL", `the process of ${node} ended unexpectedly, with ${signal ?? `code ${code ?? "?"}`}`, { about: node, next: "run it again with --verbose to see what it said" }));
    });
  }

  order(node: string, order: Order): void {
    const { process } = this.#player(node);
    if (process.connected) process.send(order, () => undefined);
  }

  /** Sends a signal, and answers when. */
  signal(node: string, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): number {
    const player = this.#player(node);
    const atMs = this.#clock.monotonicMs();
    player.process.kill(signal);
    if (signal === "SIGKILL") this.#set(player, { state: "killed", token: undefined });
    else if (signal === "SIGSTOP") this.#set(player, { state: "frozen" });
    else this.#set(player, { state: "lost", token: undefined });
    return atMs;
  }

  /** The first report of this type since `mark` that fits; waits for it, at most `withinMs`. A node that failed, or one that ended, ends the wait. */
  hear<Type extends Report["type"]>(type: Type, options: { readonly since: number; readonly withinMs: number; readonly what: string; readonly where?: (heard: Heard<Type>) => boolean }): Promise<Heard<Type>> {
    return new Promise((resolve, reject) => {
      const find = () =>
        this.#heard.slice(options.since).find((heard) => heard.report.type === type && (options.where?.(heard as unknown as Heard<Type>) ?? true)) as unknown as Heard<Type> | undefined;
      const settle = (finish: () => void) => {
        timer.cancel();
        this.#waiters.delete(waiter);
        finish();
      };
      const waiter: Waiter = {
        look: () => {
          const found = find();
          if (found !== undefined) settle(() => resolve(found));
        },
        fail: (error) => settle(() => reject(error)),
      };
      const timer = this.#clock.setTimer(options.withinMs, () =>
        waiter.fail(new TribuneError("INTERNAL", `the demo waited in vain for ${options.what}, ${options.withinMs} ms`, { next: "run it again with --verbose; a machine that is very busy may be too slow for it" })),
      );
      this.#waiters.add(waiter);
      if (this.#failure !== undefined) waiter.fail(this.#failure);
      else waiter.look();
    });
  }

  /** From here on processes may end without that being a failure: somebody plays with them. */
  tolerate(): void {
    this.#tolerant = true;
  }

  /** Stops all in good order, as far as they can. */
  async dismiss(withinMs: number): Promise<void> {
    const since = this.mark;
    this.#failure = undefined; // what went wrong, or who interrupted, is known by now
    const present = [...this.#players.values()].filter((player) => isThere(player) && player.process.connected);
    for (const player of present) {
      player.dismissed = true;
      player.process.kill("SIGCONT");
      this.order(player.actor.node, { type: "stop" });
    }
    await Promise.all(present.map((player) => this.hear("stopped", { since, withinMs, what: `${player.actor.node} to stop`, where: (heard) => heard.node === player.actor.node })));
  }

  /** Kills whoever is left, and waits until they are gone. */
  async end(): Promise<void> {
    this.killAll();
    const left = [...this.#players.values()].filter(isThere).map((player) => new Promise<void>((resolve) => player.process.once("exit", () => resolve())));
    const patience = new AbortController();
    await Promise.race([Promise.all(left), sleep(this.#clock, GONE_PATIENCE_MS, patience.signal)]);
    patience.abort();
  }

  /** Synchronous, for the last moment of this process. Only processes that were started here, and have not ended, are killed. */
  killAll(): void {
    for (const player of this.#players.values()) {
      player.dismissed = true;
      if (isThere(player)) player.process.kill("SIGKILL");
    }
  }

  #player(node: string): Player {
    const player = this.#players.get(node);
    if (player === undefined) throw new TribuneError("INTERNAL", `there is no process of ${node}`);
    return player;
  }

  #hear(player: Player, report: Report): void {
    this.#heard.push({ node: player.actor.node, atMs: this.#clock.monotonicMs(), report });
    if (report.type === "joined" || report.type === "rejoined") this.#set(player, { state: "member" });
    if (report.type === "term") this.#set(player, { state: "leader", token: report.token });
    if (report.type === "ended" && player.actor.token === report.token) this.#set(player, { state: player.actor.state === "leader" ? "member" : player.actor.state, token: undefined });
    if (report.type === "lost") this.#set(player, { state: "lost", token: undefined });
    if (report.type === "stopped") this.#set(player, { state: "stopped", token: undefined });
    if (report.type === "failed") this.#fail(failureOf(player.actor.node, report));
    for (const waiter of [...this.#waiters]) waiter.look();
  }

  #set(player: Player, change: { readonly state: ActorState; readonly token?: string | undefined }): void {
    player.actor = { ...player.actor, ...change };
    this.#onChange();
  }

  #fail(error: TribuneError): void {
    if (this.#tolerant && !this.#signal.aborted) return;
    this.#failure ??= error;
    for (const waiter of [...this.#waiters]) waiter.fail(this.#failure);
  }
}

function isThere(player: Player): boolean {
  return player.process.exitCode === null && player.process.signalCode === null;
}

/** A node's own failure keeps its code, and with it the exit code of the command. */
function failureOf(node: string, report: Extract<Report, { type: "failed" }>): TribuneError {
  const code: ErrorCode = Object.hasOwn(ERROR_CODES, report.code) ? (report.code as ErrorCode) : "INTERNAL";
  return new TribuneError(code, `${node} could not ${report.order}: ${report.message}`, { about: node, next: report.next ?? undefined });
}
