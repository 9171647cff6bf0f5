import { readFileSync } from "node:fs";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";

/**
 * The clock that all processes of a history share, for a process whose own clocks run `rate` times as fast as true time. A preloaded libfaketime does that to everything
 * that Node reads: `process.hrtime`, `performance.now`, `Date` and timers. It leaves `/proc/uptime` alone, whose steps of 10 ms are waited for once, so that the
 * two can be compared to a few microseconds; from then on the rate does the rest.
 */
export function trueClock(rate: number): () => number {
  if (rate === 1) return hostMonotonicMs;
  const startMs = uptimeMs();
  let trueMs = startMs;
  while (trueMs === startMs) trueMs = uptimeMs();
  const hereMs = hostMonotonicMs();
  return () => trueMs + (hostMonotonicMs() - hereMs) / rate;
}

/** Since the boot, as CLOCK_MONOTONIC counts it on a machine that has not slept. */
function uptimeMs(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1_000;
}
