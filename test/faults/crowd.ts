import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";
import type { HistoryEntry } from "../../src/testing/history/index.ts";
import { CROWD_VARIABLE } from "./crowd-config.ts";
import type { CrowdConfig, CrowdNews } from "./crowd-config.ts";

const WORKER = fileURLToPath(new URL("crowd-worker.ts", import.meta.url));

export interface CrowdSetup extends Omit<CrowdConfig, "nodes" | "file" | "group"> {
  readonly processes: number;
  readonly nodesEach: number;
  readonly through: readonly string[];
  readonly note: (entry: HistoryEntry) => void;
}

let crowds = 0;

/** They beat slowly, so that a machine with two cores has enough left for the rest: their lease and beat are so many times those of the fleet. */
export const CROWD_PATIENCE = 10;

/** How the names of its nodes begin, by which they are told from those of the fleet. */
export const CROWD_NODE = /^c\d+-/;

/** Many nodes in a few processes. They are members and nothing more, though any of them may come to coordinate. */
export class Crowd {
  readonly #setup: CrowdSetup;
  readonly #children: ChildProcess[] = [];
  /** The members of each process, by name. */
  readonly #members: Map<string, string>[] = [];
  readonly #waiting = new Set<() => void>();
  #beganMs = 0;

  constructor(setup: CrowdSetup) {
    this.#setup = setup;
    process.once("exit", this.#killAll);
  }

  get joined(): number {
    return this.#members.reduce((sum, members) => sum + members.size, 0);
  }

  start(): void {
    const { processes, nodesEach, through, note: _, ...config } = this.#setup;
    const crowd = ++crowds;
    this.#beganMs = hostMonotonicMs();
    for (let index = 0; index < processes; index++) {
      const nodes = Array.from({ length: nodesEach }, (_each, number) => `c${crowd}-${index + 1}-${number + 1}`);
      const mine: CrowdConfig = { ...config, group: "faults", nodes, file: `crowd${crowd}-${index + 1}` };
      const { NODE_TEST_CONTEXT: _context, ...env } = process.env; // the worker is no test
      const [execPath, ...execArgv] = [...through, process.execPath];
      const child = fork(WORKER, [], { env: { ...env, [CROWD_VARIABLE]: JSON.stringify(mine) }, execPath, execArgv, stdio: ["ignore", "ignore", "inherit", "ipc"] });
      const members = new Map<string, string>();
      this.#children.push(child);
      this.#members.push(members);
      child.once("exit", (code, signal) => {
        for (const [node, incarnation] of members) this.#setup.note({ kind: "exited", process: node, node, incarnation, code, signal, expected: code === 0 || signal === "SIGKILL" });
      });
      child.on("message", (news: CrowdNews) => {
        members.set(news.node, news.incarnation);
        for (const look of this.#waiting) look();
      });
    }
  }

  /** How long it took until all were members; `undefined` if it took longer than the limit. */
  async untilJoined(limitMs: number, signal: AbortSignal): Promise<number | undefined> {
    const { processes, nodesEach } = this.#setup;
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      const look = () => {
        if (this.joined >= processes * nodesEach) finish(resolve);
      };
      const timer = setTimeout(() => finish(resolve), limitMs);
      signal.addEventListener("abort", () => finish(() => reject(signal.reason as Error)), { once: true });
      this.#waiting.add(look);
      look();
    });
    return this.joined >= processes * nodesEach ? hostMonotonicMs() - this.#beganMs : undefined;
  }

  /** SIGKILL of one of the processes, and so of all its nodes. */
  async kill(index: number): Promise<void> {
    const child = this.#children[index];
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    for (const [node, incarnation] of this.#members[index] ?? []) this.#setup.note({ kind: "killed", process: node, node, incarnation });
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** SIGTERM for all that are left: they leave in good order. */
  async stop(limitMs: number, complain: (message: string) => void): Promise<void> {
    await Promise.all(
      this.#running.map(async (child) => {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
        await gone;
        clearTimeout(timer);
        if (child.exitCode !== 0) complain(`a process of the crowd ended with ${child.signalCode ?? `code ${child.exitCode}`} when it was asked to stop`);
      }),
    );
  }

  async close(): Promise<void> {
    const gone = this.#running.map((child) => once(child, "exit"));
    this.#killAll();
    await Promise.all(gone);
    process.off("exit", this.#killAll);
  }

  get #running(): ChildProcess[] {
    return this.#children.filter((child) => child.exitCode === null && child.signalCode === null);
  }

  readonly #killAll = (): void => {
    for (const child of this.#running) child.kill("SIGKILL");
  };
}
