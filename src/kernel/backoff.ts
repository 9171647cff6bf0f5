import type { Random } from "./random.ts";

/** Growing, fully jittered pauses between attempts (AWS Architecture Blog, "Exponential Backoff and Jitter"). */
export interface BackoffOptions {
  /** The ceiling of the first pause. */
  readonly firstMs: number;
  /** The ceiling that pauses grow to. */
  readonly longestMs: number;
}

/**
 * The pause before attempt `attempt` (0 for the first retry): between half of the ceiling and the ceiling, which
 * doubles with each attempt. Not from zero: a pause of almost nothing would make a refused connection a busy loop.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const ceiling = Math.min(options.longestMs, options.firstMs * 2 ** Math.min(attempt, 30));
  return ceiling * (0.5 + random.next() * 0.5);
}
