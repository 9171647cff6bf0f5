import type { Complaints } from "../kernel/index.ts";

/** The durations that the safety argument is made of. */
export interface Timing {
  /** For how long the store holds an incarnation alive without a beat. Longer: slower failover, more patience. */
  readonly leaseMs: number;
  /** How often a node beats, ± 10 %. Shorter: more load, earlier news, more attempts before trust runs out. */
  readonly beatMs: number;
  /** How much of the trust is kept for stopping: a term's signal aborts this long before its trust ends. */
  readonly stopBudgetMs: number;
}

/** ρ: how far the rates of two clocks may differ while a lease runs. The README says which time daemons need a setting for that. */
export const CLOCK_RATE_ERROR = 0.01;

/** δ: covers the grain of timers and the time between a check and its use. */
export const MARGIN_MS = 150;

/** Beats are spread by this share, so that nodes that started together do not beat together. */
export const BEAT_JITTER = 0.1;

/** Names of lease and beat that fit together. */
export type Preset = "fast" | "default" | "calm";

/** Lease and beat of each preset, in milliseconds. */
export const PRESETS: Readonly<Record<Preset, { readonly leaseMs: number; readonly beatMs: number }>> = {
  fast: { leaseMs: 2_000, beatMs: 500 },
  default: { leaseMs: 4_000, beatMs: 1_000 },
  calm: { leaseMs: 15_000, beatMs: 5_000 },
};

/** The default share of the lease that is kept for stopping. */
const STOP_BUDGET_SHARE = 0.25;

/** The stop budget where none is given: a quarter of the lease. */
export function defaultStopBudgetMs(leaseMs: number): number {
  return Math.round(leaseMs * STOP_BUDGET_SHARE);
}

/** L(1 − ρ) − δ: for how long a confirmed beat is trusted, from when it was sent. */
export function trustMs(leaseMs: number): number {
  return leaseMs * (1 - CLOCK_RATE_ERROR) - MARGIN_MS;
}

/** L(1 + ρ) + δ: how long an observer waits that trusts only its own clock. */
export function observedWaitMs(leaseMs: number): number {
  return leaseMs * (1 + CLOCK_RATE_ERROR) + MARGIN_MS;
}

/** The longest time from a leader's death to its successor's term with a healthy store, without evidence of death. */
export function worstFailoverMs(timing: Timing): number {
  return Math.ceil(timing.beatMs * (1 + BEAT_JITTER) + observedWaitMs(timing.leaseMs));
}

/** Complains about durations that do not fit together. */
export function checkTiming(timing: Timing, complaints: Complaints): void {
  const lease = complaints.milliseconds("leaseMs", timing.leaseMs, { min: 1_000, max: 3_600_000 });
  const beat = complaints.milliseconds("beatMs", timing.beatMs, { min: 50, max: 1_800_000 });
  const stop = complaints.milliseconds("stopBudgetMs", timing.stopBudgetMs, { min: 0, max: 3_600_000 });
  if (!lease || !beat || !stop) return;
  if (!complaints.check(timing.leaseMs >= 2 * timing.beatMs, `leaseMs (${timing.leaseMs}) must be at least two beats (2 × ${timing.beatMs} ms)`)) return;
  const room = trustMs(timing.leaseMs) - timing.beatMs * (1 + BEAT_JITTER);
  complaints.check(
    timing.stopBudgetMs < room,
    `stopBudgetMs (${timing.stopBudgetMs}) must be less than ${Math.floor(room)}, what a lease of ${timing.leaseMs} ms leaves after one beat and the safety margin; lengthen the lease or shorten the beat`,
  );
}
