/**
 * Time, as a thing that is handed in. Rooms never touch the global clock or timers: then a test owns time, and a
 * seed replays a failure.
 */
export interface Clock {
  /** Milliseconds that only move forward, from an arbitrary start. May stand still while the machine sleeps. */
  monotonicMs(): number;
  /** Milliseconds since 1970. May step either way; counts the time that a machine slept. */
  wallMs(): number;
  /** Calls `callback` once, `delayMs` from now or a little later. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  /** Cancelling twice, or after it fired, does nothing. */
  cancel(): void;
}

/**
 * One reading of both clocks. The monotonic one cannot be stepped but may sleep with the machine; the wall clock
 * does not sleep but may be stepped. What must not last too long is measured by whichever moved more.
 */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** Both clocks, read now. */
export function instantOf(clock: Clock): Instant {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** `instant` moved by `ms` on both clocks. */
export function instantPlus(instant: Instant, ms: number): Instant {
  return { monotonicMs: instant.monotonicMs + ms, wallMs: instant.wallMs + ms };
}

/**
 * Milliseconds left until `deadline`, by the clock that says less: a machine that slept, or a wall clock stepped
 * forward, has less time left, and a wall clock stepped back has no more.
 */
export function msUntil(deadline: Instant, now: Instant): number {
  return Math.min(deadline.monotonicMs - now.monotonicMs, deadline.wallMs - now.wallMs);
}

/** The largest delay that Node's timers take; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The real clocks and timers of this process. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`, or at once (without an error) when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
