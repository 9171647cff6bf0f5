import { chmodSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../../src/kernel/index.ts";
import { hostMonotonicMs, HistoryWriter, settleBoundMs, takeoverBoundMs } from "../../src/testing/history/index.ts";
import type { CheckConfig, HistoryEntry, Violation } from "../../src/testing/history/index.ts";
import { Fleet } from "../fleet/fleet.ts";
import { makeHistoryFolder, readHistory } from "../fleet/history-folder.ts";
import { faultsFor } from "./catalogue.ts";
import type { FaultKind, StoreKind } from "./catalogue.ts";
import { atRate, forgetFaketime, libfaketime } from "./faketime.ts";
import { injectorOf } from "./faults/all.ts";
import type { Scene } from "./faults/scene.ts";
import { judge } from "./judge.ts";
import { openLoopback } from "./loopback.ts";
import { namespacesMissing, openNamespaces } from "./namespaces.ts";
import type { FaultOptions } from "./options.ts";
import { pictureOf } from "./picture.ts";
import { drawPlan } from "./plan.ts";
import type { PlannedFault } from "./plan.ts";
import { writeRecord } from "./record.ts";
import type { FaultSpan, FencingWindow, RunRecord } from "./record.ts";
import { openEtcdPlace } from "./stores/etcd.ts";
import { openMariadbPlace } from "./stores/mariadb.ts";
import { openZookeeperPlace } from "./stores/zookeeper.ts";
import type { StorePlace } from "./stores/place.ts";
import { openPostgresPlace } from "./stores/postgres.ts";
import { openSqlitePlace } from "./stores/sqlite.ts";
import { summarize } from "./summary.ts";
import type { Summary } from "./summary.ts";
import type { World } from "./world.ts";

/** The elections that all nodes contend for. */
const ELECTIONS = ["billing", "mails", "reports"] as const;

/** What liveness is allowed on an idle machine on top of one lease and two beats. */
const SLACK_MS = 1_000;
const LOOP_DELAY_RESOLUTION_MS = 10;

export interface RunResult {
  readonly passed: boolean;
  readonly seed: number;
  readonly summary: Summary;
  readonly violations: readonly Violation[];
  /** What workers said that ended by themselves. */
  readonly failures: readonly { readonly process: string; readonly stderr: string }[];
  /** Where history and picture are; `undefined` if they were not kept. */
  readonly folder: string | undefined;
}

/** What whoever starts a run wants to hear while it goes on. */
export interface Audience {
  plan(plan: readonly PlannedFault[], where: { readonly store: string; readonly world: string }): void;
  progress(line: string): void;
}

const SILENT: Audience = { plan: () => undefined, progress: () => undefined };

/** None of the faults that were asked for can be done on this machine. */
export class NothingToDo extends Error {}

/** Does faults to real processes for a while, and judges what they wrote down. Rejects only if the harness itself cannot go on, or `signal` aborts; everything that was made is gone then. */
export async function runFaults(options: FaultOptions, audience: Audience = SILENT, signal: AbortSignal = new AbortController().signal): Promise<RunResult> {
  const folder = makeHistoryFolder("faults", options.out);
  chmodSync(folder, 0o711); // a server that runs as somebody else has its files in a folder below
  const nodes = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
  let kept = options.out !== undefined;
  const closing: Array<() => Promise<void>> = [];
  try {
    const world = await openWorld(options, nodes);
    closing.unshift(() => world.close());
    const place = await openPlace(options, world, nodes, folder);
    closing.unshift(() => place.close());
    const session = new Session(options, folder, world, place, nodes);
    closing.unshift(() => session.close());
    await session.run(audience, signal);
    const tables = await place.tables();
    const record = session.record();
    const { events } = readHistory(folder, []);
    writeRecord(folder, record, tables);
    writeFileSync(join(folder, "picture.svg"), pictureOf(events, record));
    const judgement = judge(events, tables, record);
    const { violations } = judgement;
    const passed = violations.length === 0;
    kept ||= !passed || options.keep;
    return { passed, seed: options.seed, summary: summarize(events, tables, record, judgement), violations, failures: session.fleet.failures, folder: kept ? folder : undefined };
  } finally {
    for (const close of closing) await close().catch((error: unknown) => console.error(`cleaning up: ${String(error)}`));
    if (!kept) rmSync(folder, { recursive: true, force: true });
  }
}

async function openWorld({ storeKind, loopback, seed }: FaultOptions, nodes: readonly string[]): Promise<World> {
  if (storeKind === "sqlite") return openLoopback("this host");
  const missing = loopback ? "no namespaces were wanted" : namespacesMissing();
  const loopbackWorld = (why: string) => openLoopback(`loopback with a TCP proxy for each node (${why})`);
  if (missing !== undefined) return loopbackWorld(missing);
  try {
    return await openNamespaces(nodes, seed, membersOf(storeKind));
  } catch (error) {
    return loopbackWorld(`namespaces cannot be joined here: ${(error as Error).message.trim().split("\n").at(-1)}`);
  }
}

async function openPlace(options: FaultOptions, world: World, nodes: readonly string[], folder: string): Promise<StorePlace> {
  const wanted = wantedOf(options);
  switch (options.storeKind) {
    case "sqlite":
      return await openSqlitePlace(folder);
    case "postgres":
      return await openPostgresPlace(world, nodes, folder, { clock: wanted.includes("server-clock"), replica: wanted.includes("promote") });
    case "mariadb":
      return await openMariadbPlace(world, nodes, folder, { clock: wanted.includes("server-clock"), replica: wanted.includes("promote") });
    case "etcd":
    case "etcd-ensemble":
      return await openEtcdPlace(world, nodes, folder, membersOf(options.storeKind));
    case "zookeeper":
    case "zookeeper-ensemble":
      return await openZookeeperPlace(world, nodes, folder, { members: membersOf(options.storeKind), disk: wanted.includes("disk-full") });
    default:
      return options.storeKind satisfies never;
  }
}

function membersOf(storeKind: StoreKind): number {
  return storeKind === "etcd-ensemble" || storeKind === "zookeeper-ensemble" ? 3 : 1;
}

function wantedOf({ only, storeKind }: FaultOptions): readonly FaultKind[] {
  return only.length > 0 ? only : faultsFor(storeKind);
}

/** One run: the fleet, the faults, and what the supervisor puts down itself. */
class Session {
  readonly fleet: Fleet;
  readonly #options: FaultOptions;
  readonly #folder: string;
  readonly #world: World;
  readonly #place: StorePlace;
  readonly #config: CheckConfig;
  readonly #note: (entry: HistoryEntry) => void;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  readonly #complaints: Violation[] = [];
  readonly #remarks = new Map<string, number>();
  readonly #spans: FaultSpan[] = [];
  readonly #onlyFencing: FencingWindow[] = [];
  readonly #leftOut = new Map<FaultKind, string>();
  readonly #rates = new Map<string, number>();
  #calm = { fromMs: 0, toMs: 0 };
  #tookMs = 0;

  constructor(options: FaultOptions, folder: string, world: World, place: StorePlace, nodes: readonly string[]) {
    const { leaseMs, beatMs, settleMs, seed, crashDetection } = options;
    this.#options = options;
    this.#folder = folder;
    this.#world = world;
    this.#place = place;
    this.#config = { leaseMs, beatMs, ...(settleMs === undefined ? {} : { settleMs }) };
    const file = openSync(join(folder, "supervisor.jsonl"), "a");
    const history = new HistoryWriter({ process: "supervisor", node: "", incarnation: () => "", nowMs: hostMonotonicMs, write: (line) => void writeSync(file, line) });
    this.#note = (entry) => void history.note(entry);
    const library = libfaketime();
    if (library === undefined) for (const kind of ["clock-rate", "clock-rate-beyond"] as const) this.#leftOut.set(kind, "libfaketime is not installed");
    for (const [kind, why] of [...world.lacks, ...place.lacks]) this.#leftOut.set(kind, why);
    this.fleet = new Fleet({
      nodes,
      worker: { group: "faults", folder, leaseMs, beatMs, elections: ELECTIONS, crashDetection, seed, breaks: undefined },
      storeOf: (node) => place.storeOf(node),
      surroundingsOf: (node) => {
        const [program, ...args] = world.through(node);
        const clockRate = this.#rates.get(node) ?? 1;
        return { ...(program === undefined ? {} : { through: [program, ...args] }), ...(clockRate === 1 || library === undefined ? {} : { env: atRate(library, clockRate), clockRate }) };
      },
      note: this.#note,
    });
  }

  record(): RunRecord {
    const { storeKind, seed, crashDetection } = this.#options;
    // A busy machine shows in this process, too, which has little to do: what it was held up by, a takeover may have met as well, more than once.
    const slackMs = SLACK_MS + 2 * Math.max(0, this.#loopDelay.max / 1e6 - LOOP_DELAY_RESOLUTION_MS);
    const wanted = wantedOf(this.#options);
    return {
      storeKind,
      seed,
      world: this.#world.label,
      store: this.#place.label,
      crashDetection,
      nodes: this.fleet.nodes,
      elections: ELECTIONS,
      config: { ...this.#config, slackMs: Math.round(slackMs) },
      spans: this.#spans,
      onlyFencing: this.#onlyFencing,
      calm: this.#calm,
      complaints: this.#complaints,
      leftOut: Object.fromEntries([...this.#leftOut].filter(([kind]) => wanted.includes(kind))),
      remarks: Object.fromEntries(this.#remarks),
      tookMs: this.#tookMs,
    };
  }

  async run(audience: Audience, signal: AbortSignal): Promise<void> {
    const { minutes, seed, beatMs, only } = this.#options;
    const kinds = wantedOf(this.#options).filter((kind) => !this.#leftOut.has(kind));
    if (kinds.length === 0) throw new NothingToDo(`none of ${only.join(", ")} can be done here: ${[...new Set(only.map((kind) => this.#leftOut.get(kind)))].join("; ")}`);
    const random = seededRandom(seed);
    const plan = drawPlan(random, kinds, { minutes, beatMs });
    audience.plan(plan, { store: this.#place.label, world: this.#world.label });
    const beganMs = hostMonotonicMs();
    this.#loopDelay.enable();
    this.fleet.startAll();
    const scene = this.#scene(random, signal);
    if (await this.#settles("the start", signal)) {
      const faultsBeganMs = hostMonotonicMs();
      for (const planned of plan) {
        const leftMs = faultsBeganMs + minutes * 60_000 - hostMonotonicMs();
        if (leftMs <= 0) break;
        audience.progress(`${Math.ceil(leftMs / 1_000)} s left, ${this.#spans.length} faults, now ${planned.kind}`);
        if (!(await this.#do(scene, planned, undefined))) break;
      }
    }
    await this.#calmDown(signal);
    await this.#stopAll();
    this.#loopDelay.disable();
    this.#tookMs = hostMonotonicMs() - beganMs;
  }

  /** One fault, and the time until all is well again; answers whether it ever was. */
  async #do(scene: Scene, planned: PlannedFault, within: FaultKind | undefined): Promise<boolean> {
    await pause(planned.pauseMs, undefined, { signal: scene.signal });
    const inject = injectorOf(planned.kind);
    if (inject === undefined) throw new Error(`nobody has said how ${planned.kind} is done`);
    const targets: string[] = [];
    const span: FaultSpan = { kind: planned.kind, targets, fromMs: hostMonotonicMs(), toMs: 0, settledMs: undefined, within };
    this.#spans.push(span);
    const met: Scene["met"] = (runs) => {
      targets.push(...runs.map((run) => run.node));
      this.#note({ t: span.fromMs, kind: "fault", name: planned.kind, targets: runs.map((run) => run.name) });
    };
    const other: Scene["doOther"] = async (next) => void (await this.#do(scene, next, planned.kind));
    try {
      await inject({ ...scene, met, doOther: other }, planned);
    } catch (error) {
      scene.signal.throwIfAborted();
      this.#complain(`${planned.kind} could not be done: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    if (targets.length === 0) met([]);
    span.toMs = hostMonotonicMs();
    const isWhole = await this.#settles(planned.kind, scene.signal);
    if (isWhole) span.settledMs = hostMonotonicMs();
    return isWhole;
  }

  #scene(random: Scene["random"], signal: AbortSignal): Scene {
    const { leaseMs, beatMs, crashDetection } = this.#options;
    return {
      fleet: this.fleet,
      place: this.#place,
      world: this.#world,
      folder: this.#folder,
      leaseMs,
      beatMs,
      crashDetection,
      boundMs: takeoverBoundMs(this.#config),
      random,
      signal,
      nowMs: hostMonotonicMs,
      note: this.#note,
      complain: (message) => this.#complain(message),
      remark: (remark) => this.#remarks.set(remark, (this.#remarks.get(remark) ?? 0) + 1),
      rates: this.#rates,
      onlyFencing: (why) => {
        const window: FencingWindow = { fromMs: hostMonotonicMs(), toMs: Number.MAX_VALUE, why };
        this.#onlyFencing.push(window);
        return () => (window.toMs = hostMonotonicMs());
      },
      settles: (after) => this.#settles(after, signal),
      met: () => undefined,
      doOther: () => Promise.resolve(),
    };
  }

  /** All nodes are there again, with one view, and lead: a generous limit, since the checks judge how long each step took. */
  async #settles(after: string, signal: AbortSignal): Promise<boolean> {
    const limitMs = 4 * takeoverBoundMs(this.#config) + 10_000;
    const isSettled = (await this.fleet.until(() => this.fleet.settled, limitMs, signal)) !== undefined;
    if (!isSettled) this.#complain(`${limitMs} ms after ${after} the group was not whole again: ${this.fleet.describe()}`);
    return isSettled;
  }

  /** No faults any more, for as long as everything may take to come right and a little longer. */
  async #calmDown(signal: AbortSignal): Promise<void> {
    for (const run of this.fleet.runs) this.fleet.order(run, { order: "steady" });
    const fromMs = hostMonotonicMs();
    this.#note({ t: fromMs, kind: "faults-ended", nodes: this.fleet.nodes, elections: ELECTIONS });
    await pause(settleBoundMs(this.#config) + 2 * this.#config.beatMs, undefined, { signal });
    this.#calm = { fromMs, toMs: hostMonotonicMs() };
  }

  async #stopAll(): Promise<void> {
    const limitMs = this.#options.leaseMs / 4 + 10_000;
    await Promise.all(
      this.fleet.runs.map(async (run) => {
        if (!(await this.fleet.stop(run, limitMs))) this.#complain(`${run.name} did not end within ${limitMs} ms of SIGTERM at the end; it was killed`);
      }),
    );
  }

  async close(): Promise<void> {
    await this.fleet.close();
    forgetFaketime(this.fleet.pids);
  }

  #complain(message: string): void {
    this.#complaints.push({ check: "harness", message, atMs: hostMonotonicMs(), evidence: [] });
  }
}
