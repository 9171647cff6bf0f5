import type { BenchStore } from "../stores.ts";
import { spread } from "../statistics.ts";
import type { Departure, Round } from "./rounds.ts";

/** The timings that ours are measured with. */
export interface BenchTiming {
  readonly leaseMs: number;
  readonly beatMs: number;
}

/** How a crash is found out: by the store's evidence, by that and what the channel hears, or by nothing but the end of a lease. */
export type Detection = "evidence" | "channel" | "lease";

/** What is asked of a course of ours, in words, and whether it was so. */
export interface Verdict {
  readonly target: string;
  readonly met: boolean;
}

/** A lease may be taken away no later than this after it has run out and the next beat was due. */
const LEASE_ALLOWANCE_MS = 200;

/** Holds rounds against what is asked of them. */
export function judge(departure: Departure, detection: Detection, rounds: readonly Round[], targets: BenchStore["targets"], { leaseMs, beatMs }: BenchTiming): Verdict {
  const took = spread(rounds.map(({ tookMs }) => tookMs));
  const { killP50Ms, killP99Ms, killHeardP50Ms, handoverP50Ms } = targets;
  if (departure === "freeze-writing") {
    // The server ends the transaction; until then the successor may not pass the fence.
    const limitMs = 2 * leaseMs + beatMs + LEASE_ALLOWANCE_MS;
    return { target: `no commit, max ≤ ${limitMs} ms`, met: took.max <= limitMs && rounds.every(({ outcome }) => outcome === "TERM_LOST") };
  }
  if (departure === "freeze") {
    const leastMs = Math.min(...rounds.map(({ afterTrustMs }) => afterTrustMs ?? Number.NaN));
    return { target: "never before the trust ended", met: leastMs >= 0 };
  }
  if (departure !== "kill") return { target: `p50 ≤ ${handoverP50Ms} ms`, met: took.p50 <= handoverP50Ms };
  if (detection === "lease") {
    const limitMs = leaseMs + beatMs + LEASE_ALLOWANCE_MS;
    return { target: `max ≤ ${limitMs} ms`, met: took.max <= limitMs };
  }
  if (detection === "channel") return { target: `p50 ≤ ${killHeardP50Ms} ms`, met: took.p50 <= killHeardP50Ms };
  const target = killP99Ms === undefined ? `p50 ≤ ${killP50Ms} ms` : `p50 ≤ ${killP50Ms} ms, p99 ≤ ${killP99Ms} ms`;
  return { target, met: took.p50 <= killP50Ms && (killP99Ms === undefined || took.p99 <= killP99Ms) };
}
