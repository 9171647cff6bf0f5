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
}

/**
 * The observation after a reply at `nowMs` that shows `row`. The count goes on only if the beat number stood still. A `newcomer` has come since an earlier reply of this epoch:
 * whatever its number is, it moved there from 0.
 */
export function observe(before: Observation | undefined, row: PresenceRow, nowMs: number, newcomer = false): Observation {
  const { incarnation, node, state, beat, leaseMs } = row;
  if (before !== undefined && before.state === state && before.beat === beat) return before;
  const moved = state === "alive" && (before === undefined ? newcomer && beat > 0 : before.state === "alive");
  return { incarnation, node, state, beat, leaseMs, sinceMs: nowMs, moved, askedStore: false };
}

/** The observation after a reply at `nowMs` that was asked for this incarnation and has no row of it. */
export function observeAbsent(before: Observation | undefined, incarnation: string, leaseMs: number, nowMs: number): Observation {
  if (before?.state === "absent") return before;
  return { incarnation, node: before?.node ?? "", state: "absent", beat: 0, leaseMs, sinceMs: nowMs, moved: false, askedStore: false };
}

/** The observation after the first reply of another epoch: a number that differs from the old epoch's says nothing. */
export function unmoved(observation: Observation): Observation {
  return observation.moved ? { ...observation, moved: false } : observation;
}

/** Counts again from `nowMs`: the observer was not looking in between. */
export function restarted(observation: Observation, nowMs: number): Observation {
  return observation.state === "dead" ? observation : { ...observation, sinceMs: nowMs, askedStore: false };
}

/** What may be done about an incarnation that is shown alive. */
export type DeathStep =
  /** Declare it dead now; with `requireExpired` only if the store's clock agrees. */
  | { readonly kind: "declare"; readonly requireExpired: boolean }
  /** Look again then, on the monotonic clock. */
  | { readonly kind: "wait"; readonly untilMs: number };

/**
 * Whether an incarnation that is shown alive may be declared dead at `nowMs`. After a lease of stillness on the own clock
 * the store's clock may confirm it; without that it takes the longer wait, which needs no clock but the own.
 * `extraLeases` asks for that many leases of waiting more.
 */
export function deathStep(observation: Observation, nowMs: number, extraLeases = 0): DeathStep {
  const extraMs = extraLeases * observation.leaseMs;
  const fullMs = observation.sinceMs + observedWaitMs(observation.leaseMs) + extraMs;
  if (nowMs >= fullMs) return { kind: "declare", requireExpired: false };
  const shortMs = observation.sinceMs + observation.leaseMs + extraMs;
  if (observation.askedStore) return { kind: "wait", untilMs: fullMs };
  if (nowMs >= shortMs) return { kind: "declare", requireExpired: true };
  return { kind: "wait", untilMs: shortMs };
}

/**
 * A reply that comes later than this after the one before makes the observer count again: it was not looking, and an outage shall remove nobody.
 * Longer than any gap between its own beats, or it would never come to an end.
 */
export function observerGapMs(observedLeaseMs: number, ownBeatMs: number): number {
  return Math.max(observedLeaseMs / 2, ownBeatMs * 1.5);
}
