import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COORDINATOR } from "../../src/store/index.ts";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";
import type { HistoryEntry, HistoryEvent } from "../../src/testing/history/index.ts";
import type { WorkerStore } from "./ledger.ts";
import { CONFIG_VARIABLE, STARVED } from "./worker-config.ts";
import type { Order, WorkerConfig } from "./worker-config.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

/** Everything that a fleet stands on. */
export interface FleetSetup {
  readonly nodes: readonly string[];
  /** What all workers are told alike; `seed` is the fleet's, and another one for each of its workers. */
  readonly worker: Omit<WorkerConfig, "node" | "process" | "store" | "clockRate">;
  /** How a node reaches the store, asked at each start. */
  readonly storeOf: (node: string) => WorkerStore;
  /** In which surroundings a node runs, asked at each start; in those of the supervisor if there are none. */
  readonly surroundingsOf?: (node: string) => Surroundings;
  /** Puts down what was done to a process; see {@link HistoryEntry}. */
  readonly note: (entry: HistoryEntry) => void;
}

/** What a worker's process has around it. */
export interface Surroundings {
  /** A program, with its arguments, that turns itself into the worker, such as `nsenter`. */
  readonly through?: readonly [program: string, ...args: string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly clockRate?: number;
}

/** One run of one node, as the supervisor sees it. */
export interface Run {
  readonly node: string;
  /** The process's name in the history. */
  readonly name: string;
  readonly child: ChildProcess;
  incarnation: string;
  joined: boolean;
  paused: boolean;
  /** Why it may end: it was killed, or asked to stop. */
  ending: "killed" | "asked" | undefined;
  readonly terms: Map<string, number>;
  /** The incarnations of the newest view that it told of. */
  view: { readonly version: number; readonly incarnations: readonly string[]; readonly coordinator: string | null } | undefined;
  readonly gone: Promise<void>;
}

/** The processes of all nodes; knows who leads by what they say. Each process is ended by its id, and none outlives the supervisor. */
export class Fleet {
  readonly #setup: FleetSetup;
  readonly #names: readonly string[];
  readonly #runs = new Map<string, Run>();
  readonly #all = new Set<ChildProcess>();
  /** Of every process that there ever was. */
  readonly pids = new Set<number>();
  readonly #waiting = new Set<() => void>();
  #started = 0;
  /** Ended by themselves, with what they said last. */
  readonly failures: { readonly process: string; readonly stderr: string }[] = [];

  constructor(setup: FleetSetup) {
    this.#setup = setup;
    this.#names = setup.nodes;
    process.once("exit", this.#killAll);
  }

  get nodes(): readonly string[] {
    return this.#names;
  }

  get runs(): readonly Run[] {
    return [...this.#runs.values()];
  }

  startAll(): void {
    for (const name of this.#names) this.start(name);
  }

  start(node: string): Run {
    const { worker, storeOf, surroundingsOf, note } = this.#setup;
    const { through, env: around, clockRate = 1 } = surroundingsOf?.(node) ?? {};
    const { folder } = worker;
    const name = `${node}.${++this.#started}`;
    const config: WorkerConfig = {
      ...worker,
      node,
      process: name,
      store: storeOf(node),
      seed: (worker.seed + this.#started * 7_919) >>> 0,
      clockRate,
    };
    const { NODE_TEST_CONTEXT: _, ...env } = process.env; // the worker is no test
    const stderr = openSync(join(folder, `${name}.stderr`), "w");
    const [execPath, ...execArgv] = through === undefined ? [process.execPath] : [...through, process.execPath];
    const child = fork(WORKER, [], { env: { ...env, ...around, [CONFIG_VARIABLE]: JSON.stringify(config) }, stdio: ["ignore", stderr, stderr, "ipc"], execPath, execArgv });
    closeSync(stderr);
    this.#all.add(child);
    if (child.pid !== undefined) this.pids.add(child.pid);
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const run: Run = { node, name, child, incarnation: "", joined: false, paused: false, ending: undefined, terms: new Map(), view: undefined, gone };
    this.#runs.set(node, run);
    child.on("message", (event: HistoryEvent) => this.#hear(run, event));
    child.once("error", (error) => {
      // It could not be started; or a signal could not be sent, and then its exit says more.
      if (child.pid !== undefined) return;
      this.#all.delete(child);
      this.failures.push({ process: name, stderr: error.message });
      note({ kind: "exited", code: null, signal: null, expected: false, ...identity(run) });
      this.#runs.delete(node);
      resolve();
    });
    child.once("exit", (code, signal) => {
      this.#all.delete(child);
      const expected = run.ending === "killed" ? signal === "SIGKILL" : run.ending === "asked" && code === 0;
      note({ kind: "exited", code, signal, expected, ...identity(run) });
      if (!expected) this.failures.push({ process: name, stderr: readFileSync(join(folder, `${name}.stderr`), "utf8").slice(-4_000) });
      run.terms.clear();
      if (this.#runs.get(node) === run) this.#runs.delete(node);
      resolve();
      this.#changed();
    });
    return run;
  }

  // ---- what is seen

  /** Who holds an election and runs. */
  holder(election: string): Run | undefined {
    const held = this.runs.filter((run) => run.terms.has(election));
    return held.sort((a, b) => (b.terms.get(election) ?? 0) - (a.terms.get(election) ?? 0)).find((run) => !run.paused);
  }

  /** The elections that all nodes contend for. */
  get elections(): readonly string[] {
    return this.#setup.worker.elections;
  }

  /** Who leads the first of them. */
  get leader(): Run | undefined {
    return this.holder(this.elections[0] ?? "");
  }

  /** Whether each of them has somebody who leads it. */
  get led(): boolean {
    return this.elections.every((election) => this.holder(election) !== undefined);
  }

  /** Who coordinates, and is named as coordinator by a view that someone has seen. */
  get coordinator(): Run | undefined {
    const holder = this.holder(COORDINATOR);
    return holder !== undefined && this.runs.some((run) => !run.paused && run.view?.coordinator === holder.incarnation) ? holder : undefined;
  }

  /** All nodes run, are members, see the same view of exactly them, and each election has a leader. */
  get settled(): boolean {
    const { runs } = this;
    if (runs.length !== this.#names.length || runs.some((run) => !run.joined || run.paused || run.ending !== undefined)) return false;
    const versions = new Set(runs.map((run) => run.view?.version));
    const members = runs[0]?.view?.incarnations ?? [];
    return versions.size === 1 && members.length === runs.length && runs.every((run) => members.includes(run.incarnation)) && this.led && this.coordinator !== undefined;
  }

  /** One line about each run, for when something did not come about. */
  describe(): string {
    const names = this.#names.map((name) => {
      const run = this.#runs.get(name);
      if (run === undefined) return `${name} gone`;
      const states = [run.joined ? "member" : "not a member", run.paused ? "paused" : "", run.ending ?? "", [...run.terms].map(([election, token]) => `${election}=${token}`).join(" ")];
      return `${run.name} ${states.filter((state) => state !== "").join(", ")}, view ${run.view?.version ?? "none"} of ${run.view?.incarnations.length ?? 0}`;
    });
    return names.join("; ");
  }

  /** Resolves with how long it took until `condition` held, or `undefined` if it did not within `limitMs`. */
  async until(condition: () => boolean, limitMs: number, signal: AbortSignal): Promise<number | undefined> {
    const beganMs = hostMonotonicMs();
    if (condition()) return 0;
    return await new Promise((resolve, reject) => {
      const look = () => {
        if (condition()) finish(() => resolve(hostMonotonicMs() - beganMs));
      };
      const aborted = () => finish(() => reject(signal.reason as Error));
      const timer = setTimeout(() => finish(() => resolve(undefined)), limitMs);
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        signal.removeEventListener("abort", aborted);
        settle();
      };
      this.#waiting.add(look);
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    });
  }

  #hear(run: Run, event: HistoryEvent): void {
    if (event.incarnation !== "") run.incarnation = event.incarnation;
    if (event.kind === "announced") run.terms.set(event.election, event.token);
    else if (event.kind === "ended" && run.terms.get(event.election) === event.token) run.terms.delete(event.election);
    else if (event.kind === "joined") run.joined = true;
    else if (event.kind === "told" && event.what === "lost") run.joined = false;
    else if (event.kind === "view") run.view = { version: event.version, incarnations: event.members.map((member) => member.incarnation), coordinator: event.coordinator };
    else if (event.kind === "paused" && event.cause !== STARVED) run.paused = true;
    else if (event.kind === "resumed" && event.cause !== STARVED) run.paused = false;
    this.#changed();
  }

  #changed(): void {
    for (const look of this.#waiting) look();
  }

  // ---- what is done

  /** SIGKILL. Resolves when the process is gone. */
  async kill(run: Run): Promise<void> {
    run.ending = "killed";
    this.#setup.note({ kind: "killed", ...identity(run) });
    run.child.kill("SIGKILL");
    await run.gone;
  }

  freeze(run: Run): void {
    run.paused = true;
    this.#setup.note({ kind: "paused", cause: "SIGSTOP", ...identity(run) });
    run.child.kill("SIGSTOP");
  }

  thaw(run: Run): void {
    run.child.kill("SIGCONT");
    run.paused = false;
    this.#setup.note({ kind: "resumed", cause: "SIGSTOP", ...identity(run) });
    this.#changed();
  }

  /** SIGTERM: a stop in good order. Answers whether the process ended within `limitMs`; one that did not is killed. */
  async stop(run: Run, limitMs: number): Promise<boolean> {
    run.ending = "asked";
    run.child.kill("SIGTERM");
    const timer = setTimeout(() => run.child.kill("SIGKILL"), limitMs);
    await run.gone;
    clearTimeout(timer);
    return run.child.signalCode === null;
  }

  /** Notes that a process cannot reach the store from now on; `undefined`: that it can again. */
  noteCut(run: Run, how: string | undefined): void {
    this.#setup.note(how === undefined ? { kind: "mended", ...identity(run) } : { kind: "cut-off", how, ...identity(run) });
  }

  order(run: Run, order: Order): void {
    run.child.send(order);
  }

  /** Ends what still runs, at once. */
  async close(): Promise<void> {
    const runs = this.runs;
    for (const run of runs) run.ending ??= "killed";
    this.#killAll();
    await Promise.all(runs.map((run) => run.gone));
    process.off("exit", this.#killAll);
  }

  readonly #killAll = (): void => {
    for (const child of this.#all) child.kill("SIGKILL"); // also ends what is stopped
  };
}

function identity(run: Run): { readonly process: string; readonly node: string; readonly incarnation: string } {
  return { process: run.name, node: run.node, incarnation: run.incarnation };
}
