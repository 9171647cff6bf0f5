import { openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../../src/kernel/index.ts";
import { checkHistory, hostMonotonicMs, HistoryWriter, PROCESS_CHECKS, takeoverBoundMs } from "../../src/testing/history/index.ts";
import type { CheckConfig, History, HistoryEntry, Violation } from "../../src/testing/history/index.ts";
import { Fleet } from "../fleet/fleet.ts";
import { makeHistoryFolder, readHistory } from "../fleet/history-folder.ts";
import type { WorkerStore } from "../fleet/ledger.ts";
import { inject, possibleFaults } from "./faults.ts";
import type { Scene } from "./faults.ts";
import type { TortureOptions } from "./options.ts";
import { openPlace } from "./place.ts";
import type { Place } from "./place.ts";
import { drawPlan, FAULT_KINDS, WORK } from "./plan.ts";
import type { FaultKind, PlannedFault } from "./plan.ts";
import { summarize } from "./summary.ts";
import type { Summary } from "./summary.ts";

export interface TortureResult {
  readonly passed: boolean;
  readonly seed: number;
  readonly summary: Summary;
  readonly violations: readonly Violation[];
  /** What workers said that ended by themselves. */
  readonly failures: readonly { readonly process: string; readonly stderr: string }[];
  /** Where the history is; `undefined` if it was not kept. */
  readonly folder: string | undefined;
}

/** What whoever runs a torture wants to hear while it runs. */
export interface Audience {
  plan(plan: readonly PlannedFault[], place: Place): void;
  progress(line: string): void;
}

/** How a kept history is read again; see `check.ts`. */
export interface RunRecord {
  readonly config: CheckConfig;
  readonly faultWasDone: boolean;
  readonly complaints: readonly Violation[];
}

const SILENT: Audience = { plan: () => undefined, progress: () => undefined };

/** Runs processes and faults for a while and judges what they wrote down. Rejects only if the harness itself cannot go on, or `signal` aborts. */
export async function torture(options: TortureOptions, audience: Audience = SILENT, signal: AbortSignal = new AbortController().signal): Promise<TortureResult> {
  const folder = makeHistoryFolder("torture", options.out);
  let kept = true;
  try {
    const place = await openPlace(options, folder);
    let fleet: Fleet | undefined;
    try {
      const names = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
      const session = new Session(options, folder, place, new Map(await Promise.all(names.map(async (name) => [name, await place.storeOf(name)] as const))));
      ({ fleet } = session);
      await session.run(audience, signal);
      const history = readHistory(folder, await place.rows());
      writeFileSync(join(folder, "rows.json"), JSON.stringify(history.rows, undefined, 1));
      const record = session.record();
      writeFileSync(join(folder, "run.json"), JSON.stringify(record, undefined, 1));
      const violations = judge(history, record);
      const passed = violations.length === 0;
      kept = !passed || options.out !== undefined;
      const summary = summarize(history, { remarks: session.remarks, tookMs: session.tookMs });
      return { passed, seed: options.seed, summary, violations, failures: fleet.failures, folder: kept ? folder : undefined };
    } finally {
      await fleet?.close();
      await place.close();
    }
  } catch (error) {
    kept = options.out !== undefined;
    throw error;
  } finally {
    if (!kept) rmSync(folder, { recursive: true, force: true });
  }
}

/** All that is wrong with a run: what the checks found, what the harness saw itself, and whether it saw anything at all. */
export function judge(history: History, record: RunRecord): Violation[] {
  return [...record.complaints, ...blindness(history, record), ...checkHistory(history, record.config, PROCESS_CHECKS)].sort((a, b) => a.atMs - b.atMs);
}

/** A harness that saw nothing proves nothing. */
function blindness(history: History, record: RunRecord): Violation[] {
  const expected: readonly (readonly [string, boolean])[] = [
    ["no term was announced", history.events.some((event) => event.kind === "announced")],
    ["no belief was sampled", history.events.some((event) => event.kind === "believes")],
    ["no fenced row was written", history.rows.length > 0],
    ["no view was delivered", history.events.some((event) => event.kind === "view")],
    ["processes were killed or stopped, and nobody was declared dead", !record.faultWasDone || history.events.some((event) => event.kind === "declared-dead")],
  ];
  return expected.filter(([, seen]) => !seen).map(([message]) => ({ check: "harness", message, atMs: 0, evidence: [] }));
}

/** Faults that leave an incarnation to be declared dead by others. */
const DEADLY: readonly FaultKind[] = ["kill-node", "kill-leader", "kill-coordinator", "kill-both"];

/** What liveness is allowed on an idle machine on top of one lease and two beats. */
const SLACK_MS = 1_000;
const LOOP_DELAY_RESOLUTION_MS = 10;

/** One run: the fleet, the faults, and what the supervisor puts down itself. */
class Session {
  readonly fleet: Fleet;
  readonly remarks = new Map<string, number>();
  tookMs = 0;
  readonly #options: TortureOptions;
  readonly #place: Place;
  readonly #config: CheckConfig;
  readonly #complaints: Violation[] = [];
  readonly #note: (entry: HistoryEntry) => void;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  #faultWasDone = false;

  constructor(options: TortureOptions, folder: string, place: Place, stores: ReadonlyMap<string, WorkerStore>) {
    this.#options = options;
    this.#place = place;
    this.#config = { leaseMs: options.leaseMs, beatMs: options.beatMs };
    const file = openSync(join(folder, "supervisor.jsonl"), "a");
    const history = new HistoryWriter({ process: "supervisor", node: "", incarnation: () => "", nowMs: hostMonotonicMs, write: (line) => void writeSync(file, line) });
    this.#note = (entry) => void history.note(entry);
    const { leaseMs, beatMs, seed, breaks } = options;
    this.fleet = new Fleet({
      nodes: [...stores.keys()],
      worker: { group: "torture", folder, leaseMs, beatMs, elections: [WORK], crashDetection: "evidence", seed, breaks },
      storeOf: (node) => stores.get(node) as WorkerStore,
      note: this.#note,
    });
  }

  record(): RunRecord {
    // A busy machine shows in this process, too, which has little to do: what it was held up by, a takeover may have met as well, more than once.
    const slackMs = SLACK_MS + 2 * Math.max(0, this.#loopDelay.max / 1e6 - LOOP_DELAY_RESOLUTION_MS);
    return { config: { ...this.#config, slackMs: Math.round(slackMs) }, faultWasDone: this.#faultWasDone, complaints: this.#complaints };
  }

  async run(audience: Audience, signal: AbortSignal): Promise<void> {
    const { durationMs, seed, beatMs, faults } = this.#options;
    const kinds = possibleFaults(faults.length > 0 ? faults : FAULT_KINDS, this.#place);
    // More than can be done: no fault takes less than half a second.
    const plan = drawPlan(seededRandom(seed), kinds, Math.ceil(durationMs / 500), beatMs);
    audience.plan(plan, this.#place);
    const beganMs = hostMonotonicMs();
    this.#loopDelay.enable();
    this.fleet.startAll();
    let done = 0;
    if (await this.#settles("the start", signal)) {
      for (const planned of plan) {
        const leftMs = beganMs + durationMs - hostMonotonicMs();
        if (leftMs <= 0) break;
        audience.progress(`${Math.ceil(leftMs / 1_000)} s left, ${done} faults, now ${planned.kind}`);
        await pause(planned.pauseMs, undefined, { signal });
        await inject(this.#scene(signal), planned);
        this.#faultWasDone ||= DEADLY.includes(planned.kind);
        done += 1;
        if (!(await this.#settles(planned.kind, signal))) break;
      }
    }
    await this.#stopAll();
    this.#loopDelay.disable();
    this.tookMs = hostMonotonicMs() - beganMs;
  }

  #scene(signal: AbortSignal): Scene {
    const { leaseMs, beatMs } = this.#options;
    return {
      fleet: this.fleet,
      place: this.#place,
      leaseMs,
      beatMs,
      boundMs: takeoverBoundMs(this.#config),
      signal,
      note: this.#note,
      complain: (message) => this.#complain(message),
      remark: (remark) => this.remarks.set(remark, (this.remarks.get(remark) ?? 0) + 1),
    };
  }

  /** All nodes are there again, with one view: a generous limit, since the checks judge how long each step took. */
  async #settles(after: string, signal: AbortSignal): Promise<boolean> {
    const limitMs = 4 * takeoverBoundMs(this.#config) + 10_000;
    if ((await this.fleet.until(() => this.fleet.settled, limitMs, signal)) !== undefined) return true;
    this.#complain(`${limitMs} ms after ${after} the group was not whole again: ${this.fleet.describe()}`);
    return false;
  }

  /** The last fault of all: everybody stops at once. */
  async #stopAll(): Promise<void> {
    const limitMs = this.#options.leaseMs / 4 + 10_000;
    await Promise.all(
      this.fleet.runs.map(async (run) => {
        if (!(await this.fleet.stop(run, limitMs))) this.#complain(`${run.name} did not end within ${limitMs} ms of SIGTERM at the end; it was killed`);
      }),
    );
  }

  #complain(message: string): void {
    this.#complaints.push({ check: "harness", message, atMs: hostMonotonicMs(), evidence: [] });
  }
}
