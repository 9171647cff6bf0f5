/**
 * So long before the trust ends SIGKILL is sent: for the kernel to act on it, and for timers that fire late. Behind the end of the trust there are another
 * 150 ms before anybody else can lead (δ, see the presence room).
 */
export const KILL_MARGIN_MS = 50;

/** The most that is taken off a stop budget for being late. */
const LONGEST_RESERVE_MS = 250;

/** The smallest stop budget with which a command can be stopped at all before its term is given away. */
export const SMALLEST_STOP_BUDGET_MS = 100;

/** What the guard knows. Times are on its own clock, which counts sleep. */
export interface Watch {
  readonly trustEndMs: number;
  /** When SIGKILL is due since the command was told to stop; `undefined` before. */
  readonly stopEndMs: number | undefined;
  readonly stopBudgetMs: number;
  /** Whether the command was asked to stop already. */
  readonly asked: boolean;
}

export type GuardStep =
  | { readonly kind: "kill"; readonly why: "trust" | "stop" }
  /** Ask it to stop: the trust is about to run out, and no extension came. */
  | { readonly kind: "ask" }
  | { readonly kind: "wait"; readonly ms: number };

/** What the guard does now. */
export function guardStep(watch: Watch, nowMs: number): GuardStep {
  const killAtMs = watch.trustEndMs - KILL_MARGIN_MS;
  if (nowMs >= killAtMs) return { kind: "kill", why: "trust" };
  if (watch.stopEndMs !== undefined && nowMs >= watch.stopEndMs) return { kind: "kill", why: "stop" };
  const askAtMs = watch.trustEndMs - watch.stopBudgetMs;
  if (!watch.asked && nowMs >= askAtMs) return { kind: "ask" };
  const nextMs = Math.min(killAtMs, watch.asked ? Infinity : askAtMs, watch.stopEndMs ?? Infinity);
  return { kind: "wait", ms: nextMs - nowMs };
}

/**
 * How long a command has from the order to stop to SIGKILL, so that it is dead before the term is given away. When a term is resigned, the next one may begin at once, without
 * the margin that a lapse of trust has behind it: so a quarter of the time is kept for being late, on a machine that is busy.
 */
export function stopWithinMs(stopBudgetMs: number, trustLeftMs: number): number {
  const leftMs = Math.min(stopBudgetMs, trustLeftMs);
  return Math.max(0, leftMs - Math.max(KILL_MARGIN_MS, Math.min(leftMs / 4, LONGEST_RESERVE_MS)));
}
