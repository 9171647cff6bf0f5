import type { Timing } from "../presence/index.ts";

/** A sign that this node is slower than its timings allow for. Slow is not dead: it costs patience, not membership. */
export interface Ailment {
  readonly what: "store-latency" | "event-loop-delay";
  readonly ms: number;
  readonly limitMs: number;
  readonly next: string;
}

/** What ails this node. `latencyMs` is the last beat's round trip, `loopP999Ms` the event loop's delay. */
export function ailments(measured: { readonly latencyMs: number; readonly loopP999Ms: number }, timing: Timing): readonly Ailment[] {
  const found: Ailment[] = [];
  const latencyLimitMs = timing.beatMs / 2;
  if (measured.latencyMs > latencyLimitMs) {
    found.push({ what: "store-latency", ms: Math.round(measured.latencyMs), limitMs: latencyLimitMs, next: "look at the load of the store, or lengthen lease and beat" });
  }
  const loopLimitMs = timing.leaseMs / 2;
  if (measured.loopP999Ms > loopLimitMs) {
    found.push({ what: "event-loop-delay", ms: Math.round(measured.loopP999Ms), limitMs: loopLimitMs, next: "find what blocks the event loop, or lengthen the lease" });
  }
  return found;
}
