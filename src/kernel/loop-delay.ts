import { monitorEventLoopDelay } from "node:perf_hooks";

/** How late this process's event loop runs its timers. */
export interface LoopDelay {
  /** The delay that 99.9 % of the samples since the last reset stay under, in milliseconds. */
  p999Ms(): number;
  reset(): void;
  stop(): void;
}

/** The resolution of the sampling timer; smaller costs more wake-ups. */
const RESOLUTION_MS = 20;

/** Measures with Node's own histogram. The sampling interval itself is taken off, so an idle loop shows about zero. */
export function measureLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return {
    p999Ms: () => (histogram.count === 0 ? 0 : Math.max(0, histogram.percentile(99.9) / 1e6 - RESOLUTION_MS)),
    reset: () => histogram.reset(),
    stop: () => histogram.disable(),
  };
}
