import type { Timing } from "../presence/index.ts";

/** A sign that this node is slower than its timings allow for, or that it leads nothing since its group is too small. Slow is not dead: it costs patience, not membership. */
export type Ailment = { readonly next: string } & (
  | { readonly what: "store-latency" | "event-loop-delay"; readonly ms: number; readonly limitMs: number }
  | { readonly what: "too-few-members"; readonly members: number; readonly minimumMembers: number }
);

/** What ails this node. `latencyMs` is the last beat's round trip, `loopP999Ms` the event loop's delay, `members` how many there are without observers. */
export function ailments(
  measured: { readonly latencyMs: number; readonly loopP999Ms: number; readonly members: number; readonly minimumMembers: number },
  timing: Timing,
): readonly Ailment[] {
  const found: Ailment[] = [];
  if (measured.members < measured.minimumMembers) {
    found.push({ what: "too-few-members", members: measured.members, minimumMembers: measured.minimumMembers, next: "start more members; until then this node leads nothing" });
  }
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
