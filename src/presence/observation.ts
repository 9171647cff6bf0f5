import type { PresenceRow } from "../store/index.ts";
import { observedWaitMs } from "./timing.ts";

/**
 * What this process knows of another incarnation, from replies of the store. `sinceMs` is on this process's monotonic
 * clock: the reply that first showed this beat number, in this epoch, with no gap in between.
 */
export interface Observation {
  readonly incarnation: string;
  readonly node: string;
  readonly state: "alive" | "dead" | "absent";
  readonly beat: number;
  readonly leaseMs: number;
  readonly sinceMs: number;
  /** Whether it is known to have beaten in this epoch, since its number moved there: then it was alive there, whatever the store had lost. */
  readonly moved: boolean;
  /** Whether its lease has been asked of the store's clock for this beat number already, and had not run out. */
  readonly askedStore: boolean;
  /** What the last reply showed of its evidence; see `PresenceRow`. */
  readonly evidence: PresenceRow["evidence"];
  /**
   * The connection of this process on which its evidence was seen to be held, the last one of them; 0 if none. A server that restarts frees all evidence and ends all connections:
   * what is free and was held on the same connection was not freed by that.
   */
  readonly heldOn: number;
  /** Since when its evidence has been seen free, or was asked for in vain; `undefined` if it was not. */
  readonly freeSinceMs: number | undefined;
}

/** What a reply says beside a row: the connection it came on, and whether the incarnation has come since an earlier reply of this epoch: then its number moved there from 0. */
export interface Circumstances {
  readonly connection?: number;
  readonly newcomer?: boolean;
}

/** The observation after a reply at `nowMs` that shows `row`. The count goes on only if the beat number stood still. */
export function observe(before: Observation | undefined, row: PresenceRow, nowMs: number, { connection = 0, newcomer = false }: Circumstances = {}): Observation {
  const { incarnation, node, state, beat, leaseMs, evidence } = row;
  const heldOn = evidence === "held" ? connection : evidence === "none" ? 0 : (before?.heldOn ?? 0);
  if (before !== undefined && stoodStill(before, row)) {
    if (before.evidence === evidence && before.heldOn === heldOn) return before;
    return { ...before, evidence, heldOn, freeSinceMs: evidence === "free" ? (before.freeSinceMs ?? nowMs) : undefined };
  }
  const moved = state === "alive" && (before === undefined ? newcomer && beat > 0 : before.state === "alive");
  return { incarnation, node, state, beat, leaseMs, sinceMs: nowMs, moved, askedStore: false, evidence, heldOn, freeSinceMs: evidence === "free" ? nowMs : undefined };
}

/** Whether nothing was heard of an incarnation between two looks at it. */
export function stoodStill(before: Pick<Observation, "state" | "beat">, now: Pick<Observation, "state" | "beat">): boolean {
  return before.state === now.state && before.beat === now.beat;
}

/** The observation after a reply at `nowMs` that was asked for this incarnation and has no row of it. */
export function observeAbsent(before: Observation | undefined, incarnation: string, leaseMs: number, nowMs: number): Observation {
  if (before?.state === "absent") return before;
  return { incarnation, node: before?.node ?? "", state: "absent", beat: 0, leaseMs, sinceMs: nowMs, moved: false, askedStore: false, evidence: "none", heldOn: 0, freeSinceMs: undefined };
}

/** The observation after the first reply of another epoch: a number that differs from the old epoch's says nothing, and evidence that was held there is another server's. */
export function unmoved(observation: Observation): Observation {
  return observation.moved || observation.heldOn !== 0 ? { ...observation, moved: false, heldOn: 0 } : observation;
}

/** Counts again from `nowMs`: the observer was not looking in between. */
export function restarted(observation: Observation, nowMs: number): Observation {
  return observation.state === "dead" ? observation : { ...observation, sinceMs: nowMs, askedStore: false };
}

/** Evidence that was asked for in vain is not asked for again sooner than this and the grace, which some stores do without: one whose looks and statements disagree is not to be asked all the time. */
const REFUSED_PAUSE_MS = 100;

/** The observation after the store was asked at `nowMs` to declare it dead and did not agree: its clock is not asked again, its evidence after a pause. */
export function refused(observation: Observation, grounds: Grounds, nowMs: number): Observation {
  if (grounds === "expiry") return { ...observation, askedStore: true };
  return grounds === "evidence" ? { ...observation, freeSinceMs: nowMs + REFUSED_PAUSE_MS } : observation;
}

/** What may be done about an incarnation that is shown alive. */
export type DeathStep =
  /** Declare it dead now. */
  | { readonly kind: "declare"; readonly grounds: Grounds }
  /** Look again then, on the monotonic clock. */
  | { readonly kind: "wait"; readonly untilMs: number };

/**
 * Why somebody is declared dead: it was silent for longer than any clock can be off; or for a lease, if the store's clock agrees; or its evidence is free, if the store finds that
 * once more.
 */
export type Grounds = "silence" | "expiry" | "evidence";

/** How evidence is used: on which connection it must have been seen held, and how long it must have been free since the first look that showed it so. */
export interface EvidenceRule {
  readonly connection: number;
  readonly graceMs: number;
  /** Who was suspected of having ended, by another way than the store, and when. Suspicion proves nothing; evidence that comes free with it needs no grace. */
  readonly suspectedMs?: ReadonlyMap<string, number>;
}

/** Suspicion and evidence speak of the same event only if they come so close together. Older suspicion knows nothing of it: a firewall may have been there for days. */
export const AGREEMENT_MS = 1_000;

/**
 * Whether an incarnation that is shown alive may be declared dead at `nowMs`. After a lease of stillness on the own clock
 * the store's clock may confirm it; without that it takes the longer wait, which needs no clock but the own.
 * `extraLeases` asks for that many leases of waiting more. With an `evidence` rule also evidence that was held and is free counts, and needs no waiting but the grace.
 */
export function deathStep(observation: Observation, nowMs: number, { extraLeases = 0, evidence }: { readonly extraLeases?: number; readonly evidence?: EvidenceRule | undefined } = {}): DeathStep {
  const extraMs = extraLeases * observation.leaseMs;
  const fullMs = observation.sinceMs + observedWaitMs(observation.leaseMs) + extraMs;
  if (nowMs >= fullMs) return { kind: "declare", grounds: "silence" };
  const shortMs = observation.sinceMs + observation.leaseMs + extraMs;
  if (!observation.askedStore && nowMs >= shortMs) return { kind: "declare", grounds: "expiry" };
  const silentMs = observation.askedStore ? fullMs : shortMs;
  const provenMs = provenDeadMs(observation, evidence);
  if (nowMs >= provenMs) return { kind: "declare", grounds: "evidence" };
  return { kind: "wait", untilMs: Math.min(silentMs, provenMs) };
}

/** When the evidence counts; never, if it is not free, or was not seen held on this very connection. */
function provenDeadMs({ incarnation, evidence: shown, heldOn, freeSinceMs }: Observation, rule: EvidenceRule | undefined): number {
  if (rule === undefined || shown !== "free" || freeSinceMs === undefined || heldOn === 0 || heldOn !== rule.connection) return Number.POSITIVE_INFINITY;
  const suspectedMs = rule.suspectedMs?.get(incarnation);
  const agree = suspectedMs !== undefined && Math.abs(suspectedMs - freeSinceMs) <= AGREEMENT_MS;
  if (agree) return Math.min(Math.max(freeSinceMs, suspectedMs), freeSinceMs + rule.graceMs);
  return freeSinceMs + rule.graceMs;
}

/**
 * A reply that comes later than this after the one before makes the observer count again: it was not looking, and an outage shall remove nobody.
 * Longer than any gap between its own beats, or it would never come to an end.
 */
export function observerGapMs(observedLeaseMs: number, ownBeatMs: number): number {
  return Math.max(observedLeaseMs / 2, ownBeatMs * 1.5);
}
