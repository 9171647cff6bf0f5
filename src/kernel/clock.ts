import { uptime } from "node:os";

/**
 * Time, as a thing that is handed in. Rooms never touch the global clock or timers: then a test owns time, and a
 * seed replays a failure.
 */
export interface Clock {
  /** Milliseconds that only move forward, from an arbitrary start. May stand still while the machine sleeps. */
  monotonicMs(): number;
  /** Milliseconds since 1970. May step either way; counts the time that a machine slept. */
  wallMs(): number;
  /** Milliseconds that count sleep and cannot be stepped, where the platform has such a clock. May be coarse and costly. */
  bootMs?(): number;
  /** Calls `callback` once, `delayMs` from now or a little later. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** A timer that was set and can be called off. */
export interface Timer {
  /** Cancelling twice, or after it fired, does nothing. */
  cancel(): void;
}

/** The largest delay that Node's timers take; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The real clocks and timers of this process. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  // CLOCK_BOOTTIME by way of /proc/uptime; elsewhere the uptime is computed from the wall clock, and says nothing new.
  ...(process.platform === "linux" ? { bootMs: () => uptime() * 1_000 } : {}),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};

/** A moment on the wall clock for people and for JSON: ISO 8601, in UTC. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

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
