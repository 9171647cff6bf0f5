import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../../src/kernel/index.ts";
import { COORDINATOR } from "../../../src/store/index.ts";
import type { HistoryEntry } from "../../../src/testing/history/index.ts";
import type { Fleet, Run } from "../../fleet/fleet.ts";
import type { FaultKind } from "../catalogue.ts";
import type { PlannedFault } from "../plan.ts";
import type { StorePlace } from "../stores/place.ts";
import type { World } from "../world.ts";

/** What faults are done to. */
export interface Scene {
  readonly fleet: Fleet;
  readonly place: StorePlace;
  readonly world: World;
  /** Where files of this run belong. */
  readonly folder: string;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly crashDetection: "evidence" | "lease";
  /** How long an office may be empty. */
  readonly boundMs: number;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Of the clock that all processes share. */
  readonly nowMs: () => number;
  readonly note: (entry: HistoryEntry) => void;
  /** Trouble that the history cannot show. */
  readonly complain: (message: string) => void;
  /** Says once more what is remarkable but no violation. */
  readonly remark: (remark: string) => void;
  /** How fast the clocks of a node's next process run. */
  readonly rates: Map<string, number>;
  /** From now until the answer is called, only what holds whatever clocks do is judged. */
  readonly onlyFencing: (why: string) => () => void;
  /** Does a fault that was planned to be done during another one. */
  readonly doOther: (planned: PlannedFault) => Promise<void>;
  /** All nodes are there again, with one view, and lead; answers whether that came about in time. */
  readonly settles: (after: string) => Promise<boolean>;
  /** For the picture and the table: who is met, and by what. */
  readonly met: (runs: readonly Run[]) => void;
}

/** Does one kind of fault, waits for what must come of it, and undoes it. The group need not be whole again when it resolves. */
export type Inject = (scene: Scene, planned: PlannedFault) => Promise<void>;

/** A family of faults. */
export type Family = Partial<Readonly<Record<FaultKind, Inject>>>;

/** The run that a fault meets: a leader of one of the elections, the coordinator, or any that is healthy. */
export function victimOf({ fleet, met }: Scene, { victim, pick }: PlannedFault): Run | undefined {
  const healthy = fleet.runs.filter((run) => run.ending === undefined && !run.paused && run.joined);
  const any = healthy[Math.floor(pick * healthy.length)];
  const election = fleet.elections[Math.floor(pick * fleet.elections.length)] ?? "";
  const found = victim === "leader" ? fleet.holder(election) : victim === "coordinator" ? fleet.holder(COORDINATOR) : any;
  const run = found ?? any;
  met(run === undefined ? [] : [run]);
  return run;
}

/** Waits until each election is led and somebody coordinates, or it has taken far too long; the checks judge how long it took. */
export async function officesFilled({ fleet, boundMs, signal }: Scene): Promise<void> {
  await fleet.until(() => fleet.led && fleet.coordinator !== undefined, 3 * boundMs, signal);
}

/** What lasts a share of what is possible, in milliseconds. */
export function lasting(leaseMs: number, share: number, { from, to }: { readonly from: number; readonly to: number }): number {
  return Math.round(leaseMs * (from + (to - from) * share));
}

/** Waits; whoever ends the run ends this. */
export async function wait({ signal }: Scene, ms: number): Promise<void> {
  await pause(ms, undefined, { signal });
}

/** Waits, and undoes what was done, also if whoever ends the run ends this. */
export async function waitAndUndo(scene: Scene, ms: number, undo: () => Promise<void> | void): Promise<void> {
  try {
    await wait(scene, ms);
  } finally {
    await undo();
  }
}

/** While the store cannot be used. */
export async function outage(scene: Scene, work: () => Promise<void>): Promise<void> {
  scene.note({ kind: "outage-began" });
  try {
    await work();
  } finally {
    scene.note({ kind: "outage-ended" });
  }
}

/** Stops a node in good order and starts it again. */
export async function restartNode(scene: Scene, node: string): Promise<void> {
  const { fleet, leaseMs, complain, signal, boundMs } = scene;
  const run = fleet.runs.find((each) => each.node === node);
  const limitMs = leaseMs / 4 + 5_000; // the stop budget, three more deadlines of a second each, and the end of a process
  if (run !== undefined && !(await fleet.stop(run, limitMs))) complain(`${run.name} did not end within ${limitMs} ms of SIGTERM; it was killed`);
  const fresh = fleet.start(node);
  await fleet.until(() => fresh.joined, 3 * boundMs, signal);
}
