import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MEMBERS_VARIABLE } from "./protocol.ts";
import type { MembersConfig, MembersReport } from "./protocol.ts";

type Gathering = Extract<MembersReport, { readonly report: "gathering" }>;
export type Window = Extract<MembersReport, { readonly report: "window" }>;

const MEMBERS = fileURLToPath(new URL("members.ts", import.meta.url));
const LOOK_EVERY_MS = 100;
const TELL_PATIENCE_MS = 60_000;

/** Processes full of members, seen from outside. */
export class Crowd {
  readonly #children: ChildProcess[] = [];
  readonly #gathering = new Map<ChildProcess, Gathering>();
  readonly #windows = new Map<ChildProcess, Window>();
  readonly #onExit = () => this.#children.forEach((child) => child.kill("SIGKILL"));
  #stderr = "";

  constructor(configs: readonly MembersConfig[]) {
    for (const config of configs) {
      const child = fork(MEMBERS, [], { env: { ...process.env, [MEMBERS_VARIABLE]: JSON.stringify(config) }, stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
      child.stderr?.on("data", (data: Buffer) => (this.#stderr = `${this.#stderr}${String(data)}`.slice(-4_000)));
      child.on("message", (report: MembersReport) => {
        if (report.report === "gathering") this.#gathering.set(child, report);
        else this.#windows.set(child, report);
      });
      this.#children.push(child);
    }
    process.once("exit", this.#onExit);
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** How many have joined, and how many elections are led. */
  get gathered(): { readonly joined: number; readonly leads: number; readonly troubles: readonly string[] } {
    const all = [...this.#gathering.values()];
    return { joined: all.reduce((sum, { joined }) => sum + joined, 0), leads: all.reduce((sum, { leads }) => sum + leads, 0), troubles: all.flatMap(({ trouble }) => trouble ?? []) };
  }

  /** Waits until so many have joined and lead; answers whether they did in time. */
  async gather(members: number, elections: number, patienceMs: number, onLook: (joined: number) => void): Promise<boolean> {
    for (const endMs = performance.now() + patienceMs; performance.now() < endMs; await pause(LOOK_EVERY_MS)) {
      this.#assertRunning();
      const { joined, leads } = this.gathered;
      onLook(joined);
      if (joined >= members && leads >= elections) return true;
    }
    return false;
  }

  begin(): void {
    this.#windows.clear();
    for (const child of this.#children) child.send("measure");
  }

  async end(): Promise<readonly Window[]> {
    for (const child of this.#children) child.send("tell");
    for (const endMs = performance.now() + TELL_PATIENCE_MS; this.#windows.size < this.#children.length; await pause(LOOK_EVERY_MS)) {
      this.#assertRunning();
      if (performance.now() > endMs) throw new Error(`a process full of members did not answer within ${TELL_PATIENCE_MS} ms`);
    }
    return [...this.#windows.values()];
  }

  #assertRunning(): void {
    const ended = this.#children.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    if (ended !== undefined) throw new Error(`a process full of members ended with ${ended.signalCode ?? `code ${ended.exitCode}`}: ${this.#stderr}`);
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
        child.kill("SIGKILL");
        await gone;
      }),
    );
    process.removeListener("exit", this.#onExit);
  }
}
