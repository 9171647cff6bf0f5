import { setTimeout as pause } from "node:timers/promises";
import { COORDINATOR } from "../../src/store/index.ts";
import type { HistoryEntry } from "../../src/testing/history/index.ts";
import type { Fleet, Run } from "../fleet/fleet.ts";
import type { Place } from "./place.ts";
import { WORK } from "./plan.ts";
import type { FaultKind, PlannedFault } from "./plan.ts";

/** What faults are done to. */
export interface Scene {
  readonly fleet: Fleet;
  readonly place: Place;
  readonly leaseMs: number;
  readonly beatMs: number;
  /** How long an office may be empty. */
  readonly boundMs: number;
  readonly signal: AbortSignal;
  readonly note: (entry: HistoryEntry) => void;
  /** Trouble that the history cannot show. */
  readonly complain: (message: string) => void;
  /** Says once more what is remarkable but no fault. */
  readonly remark: (remark: string) => void;
}

/** Which faults this place and these nodes allow. */
export function possibleFaults(kinds: readonly FaultKind[], place: Place): FaultKind[] {
  return kinds.filter((kind) => {
    if (kind.startsWith("store-")) return (place.outages as readonly FaultKind[]).includes(kind);
    return !kind.startsWith("link-") || place.links;
  });
}

/** Does one fault, waits for what must come of it, and undoes it. The scene is not settled yet when it resolves. */
export async function inject(scene: Scene, planned: PlannedFault): Promise<void> {
  const { kind, share } = planned;
  const { fleet, place, leaseMs, note } = scene;
  const targets = choose(fleet, planned);
  note({ kind: "fault", name: kind, targets: targets.map((run) => run.name) });
  const [target] = targets;
  switch (kind) {
    case "kill-node":
    case "kill-leader":
    case "kill-coordinator":
    case "kill-both":
      return await killAndRestart(scene, planned, targets);
    case "freeze-leader":
    case "freeze-coordinator":
    case "freeze-node":
      return target === undefined ? undefined : await freezeBeyondLease(scene, planned, target);
    case "nap":
      if (target === undefined || !(await freezeHonestly(scene, target))) return;
      await pause(leaseMs * (0.05 + 0.45 * share));
      return fleet.thaw(target);
    case "block-leader": {
      if (target === undefined) return;
      const ms = Math.round(leaseMs * (0.3 + 1.7 * share));
      fleet.order(target, { order: "block", ms });
      await fleet.until(() => target.paused, leaseMs, scene.signal);
      await fleet.until(() => !target.paused, 2 * ms + leaseMs, scene.signal);
      return;
    }
    case "stop-leader":
    case "stop-node":
      return target === undefined ? undefined : await stopAndRestart(scene, target);
    case "resign": {
      if (target === undefined) return;
      const token = target.terms.get(WORK);
      fleet.order(target, { order: "resign", election: WORK });
      await fleet.until(() => target.terms.get(WORK) !== token, leaseMs, scene.signal);
      return;
    }
    case "store-crash":
    case "store-restart":
    case "store-freeze":
      return await place.outage(
        kind,
        leaseMs * 2 * share,
        () => note({ kind: "outage-began" }),
        () => note({ kind: "outage-ended" }),
      );
    case "link-cut-leader":
    case "link-cut-node":
      return target === undefined ? undefined : await cutOff(scene, planned, target, "blackhole");
    case "link-hold-leader":
    case "link-hold-coordinator":
      return target === undefined ? undefined : await cutOff(scene, planned, target, "hold");
    case "link-reset-leader":
      return target === undefined ? undefined : await place.disturb(target.node, { kind: "reset" });
    case "link-lag-leader":
      if (target === undefined) return;
      await place.disturb(target.node, { kind: "delay", ms: Math.round((leaseMs / 10) * share) });
      await pause(leaseMs);
      return await place.disturb(target.node, { kind: "pass" });
    default:
      return kind satisfies never;
  }
}

function choose(fleet: Fleet, { kind, pick }: PlannedFault): Run[] {
  const healthy = fleet.runs.filter((run) => run.ending === undefined && !run.paused && run.joined);
  const { leader } = fleet;
  const coordinator = fleet.holder(COORDINATOR);
  const any = healthy[Math.floor(pick * healthy.length)];
  const one = (run: Run | undefined) => (run === undefined ? [] : [run]);
  if (kind.startsWith("store-")) return [];
  if (kind === "kill-both") return [...new Set([...one(leader ?? any), ...one(coordinator)])];
  if (kind.endsWith("-leader") || kind === "resign") return one(leader ?? any);
  if (kind.endsWith("-coordinator")) return one(coordinator ?? any);
  return one(any);
}

async function killAndRestart(scene: Scene, planned: PlannedFault, targets: readonly Run[]): Promise<void> {
  const { fleet } = scene;
  await Promise.all(targets.map((run) => fleet.kill(run)));
  if (!planned.soon) await officesFilled(scene);
  for (const run of targets) fleet.start(run.node);
}

async function freezeBeyondLease(scene: Scene, planned: PlannedFault, target: Run): Promise<void> {
  const { fleet, leaseMs } = scene;
  if (!(await freezeHonestly(scene, target))) return;
  await pause(leaseMs);
  await officesFilled(scene);
  await pause(leaseMs * planned.share);
  fleet.thaw(target);
  // It has something to notice: that its incarnation is dead, or at least that its trust has lapsed.
  await fleet.until(() => !target.joined, scene.boundMs, scene.signal);
}

/** Cuts the link until somebody else has taken over. What was on its way is lost, or arrives long after (`hold`). */
async function cutOff(scene: Scene, planned: PlannedFault, target: Run, how: "blackhole" | "hold"): Promise<void> {
  const { fleet, place, leaseMs, boundMs, signal } = scene;
  fleet.noteCut(target, how);
  await place.disturb(target.node, { kind: how });
  await fleet.until(() => !target.joined, boundMs, signal);
  await officesFilled(scene);
  await pause(leaseMs * planned.share);
  await place.disturb(target.node, { kind: "pass" });
  fleet.noteCut(target, undefined);
}

async function stopAndRestart(scene: Scene, target: Run): Promise<void> {
  const { fleet, leaseMs, complain } = scene;
  const limitMs = leaseMs / 4 + 5_000; // the stop budget, three more deadlines of a second each, and the end of a process
  if (!(await fleet.stop(target, limitMs))) complain(`${target.name} did not end within ${limitMs} ms of SIGTERM; it was killed`);
  await officesFilled(scene);
  fleet.start(target.node);
}

/**
 * Stops a process, but not while it holds the lock that all writers need: on SQLite that stops everybody, which is known and documented, and is not what is
 * measured here. Then it is continued and stopped again.
 */
async function freezeHonestly(scene: Scene, target: Run): Promise<boolean> {
  const { fleet, place, remark } = scene;
  for (let attempt = 0; attempt < 20; attempt++) {
    if (target.ending !== undefined || target.child.exitCode !== null) return false;
    fleet.freeze(target);
    await pause(3); // the signal has arrived by now
    if (!(await place.isStuck())) return true;
    remark("stopped inside a write transaction, and stopped again");
    fleet.thaw(target);
    await pause(5 + attempt);
  }
  return false;
}

/** Waits until somebody leads and somebody coordinates, or it has taken far too long; the checks judge how long it took. */
async function officesFilled(scene: Scene): Promise<void> {
  const { fleet, boundMs, signal } = scene;
  await fleet.until(() => fleet.leader !== undefined && fleet.coordinator !== undefined, 3 * boundMs, signal);
}
