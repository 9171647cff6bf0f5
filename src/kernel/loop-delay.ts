import { monitorEventLoopDelay } from "node:perf_hooks";

/** How late this process's event loop runs its timers. */
export interface LoopDelay {
  /** The delay that 99.9 % of the samples of the last half minute to minute stay under, in milliseconds. */
  p999Ms(): number;
  stop(): void;
}

/** The resolution of the sampling timer; smaller costs more wake-ups. */
const RESOLUTION_MS = 20;

/** Samples older than one to two windows are forgotten: a day of idling would drown a bad minute. */
const WINDOW_MS = 30_000;

/** Measures with Node's own histogram. The sampling interval itself is taken off, so an idle loop shows about zero. */
export function measureLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let windowBeganMs = performance.now();
  let beforeMs = 0;
  const currentMs = () => (histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99.9) / 1e6 - RESOLUTION_MS));
  return {
    p999Ms() {
      const nowMs = performance.now();
      if (nowMs - windowBeganMs > WINDOW_MS) {
        beforeMs = currentMs();
        windowBeganMs = nowMs;
        histogram.reset();
      }
      return Math.max(beforeMs, currentMs());
    },
    stop: () => histogram.disable(),
  };
}
