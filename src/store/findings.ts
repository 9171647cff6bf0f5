import type { Clock } from "../kernel/index.ts";
import type { Finding } from "./provider.ts";

/** A clock that is off by more than this makes times in the record hard to read. Safety does not depend on it. */
export const LARGE_CLOCK_OFFSET_MS = 1_000;

/** So many questions are asked, one after the other: enough to tell a slow way from one slow answer. */
const TRIPS = 10;

/** A pool that is made of a URL has as many, and so has many a program's own. */
const POOL_OF_A_NODE = 4;

/** With fewer connections left than this, whoever comes next may be the one that is refused. */
const FEWEST_LEFT = 10;

/** A server's clock, read once. */
export interface ClockReading {
  /** The server's wall clock less that of this process, in milliseconds. */
  readonly offsetMs: number;
  /** Half of the round trip: the reading is from somewhere in it. */
  readonly uncertaintyMs: number;
}

/** What each question to a store takes, and its clock: `ask` makes one round trip and answers the store's wall clock. A diagnosis asks it some times, one after the other. */
export async function roundTrips(clock: Clock, ask: () => Promise<number>): Promise<{ readonly tookMs: readonly number[]; readonly reading: ClockReading }> {
  const tookMs: number[] = [];
  let best: ClockReading = { offsetMs: 0, uncertaintyMs: Number.POSITIVE_INFINITY };
  for (let trip = 0; trip < TRIPS; trip++) {
    const [beganMs, beganWallMs] = [clock.monotonicMs(), clock.wallMs()];
    const storeMs = await ask();
    const took = clock.monotonicMs() - beganMs;
    tookMs.push(took);
    // The shortest trip says the most about the clock.
    if (took / 2 < best.uncertaintyMs) best = { offsetMs: storeMs - (beganWallMs + took / 2), uncertaintyMs: took / 2 };
  }
  return { tookMs, reading: best };
}

/** What round trips say about the way to a store, measured against the lease. */
export function roundTripFinding(tookMs: readonly number[], leaseMs: number): Finding {
  const sorted = [...tookMs].sort((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const longestMs = sorted.at(-1) ?? 0;
  const found = `p50 ${short(medianMs)}, longest ${short(longestMs)} of ${sorted.length}`;
  // A beat has to come through several times within a lease; what takes an eighth of it leaves no room for one that is lost.
  if (longestMs < leaseMs / 8) return { check: "round-trip", level: "ok", found };
  return { check: "round-trip", level: "warn", found: `${found}; a lease of ${leaseMs} ms is short for that`, next: "look at the load of the store and the network to it, or lengthen lease and beat" };
}

/** How far the clocks are apart. */
export function clockFinding({ offsetMs, uncertaintyMs }: ClockReading): Finding {
  const found = `the store's clock is ${short(Math.abs(offsetMs))} ${offsetMs >= 0 ? "ahead of" : "behind"} this machine's, give or take ${short(uncertaintyMs)}`;
  if (Math.abs(offsetMs) - uncertaintyMs <= LARGE_CLOCK_OFFSET_MS) return { check: "clock", level: "ok", found };
  return { check: "clock", level: "warn", found: `${found}; that costs no safety, but times in the record are the store's`, next: "set both clocks by NTP" };
}

/** A limit on connections. */
export interface ConnectionLimit {
  /** Whose it is: "the server", "the role app". */
  readonly what: string;
  readonly limit: number;
  readonly used: number;
  /** The limit as it is told; default: the number. */
  readonly of?: string;
}

/** How many connections are left, by the tightest of the limits, against what the nodes may still open. `next`: how a limit is raised. */
export function connectionsLeft(limits: readonly [ConnectionLimit, ...ConnectionLimit[]], { nodes, next }: { readonly nodes: number; readonly next: string }): Finding {
  const check = "connections";
  const left = ({ limit, used }: ConnectionLimit) => limit - used;
  const tightest = limits.reduce((a, b) => (left(b) < left(a) ? b : a));
  const need = 2 * nodes;
  const found = `${Math.max(0, left(tightest))} left of ${tightest.what}'s ${tightest.of ?? tightest.limit}; ${tightest.used} in use. ${nodes === 0 ? "A node takes 1, at times 2" : `The ${nodes} node${nodes === 1 ? "" : "s"} of this group take up to ${need}`}, and what their pools take (up to ${POOL_OF_A_NODE} each where a URL is given)`;
  if (left(tightest) >= Math.max(FEWEST_LEFT, need)) return { check, level: "ok", found };
  return { check, level: "warn", found, next: `${next}, or take connections away from whoever has too many; a node that gets none cannot beat` };
}

/** A length of time, in a finding. */
export function lengthOf(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`;
}

function short(ms: number): string {
  if (ms < 0.05) return "less than 0.1 ms";
  return ms < 10_000 ? `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms` : `${Math.round(ms / 1_000)} s`;
}
