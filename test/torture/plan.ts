import type { Random } from "../../src/kernel/index.ts";

/** The election that all workers contend for. */
export const WORK = "work";

/** What the nemesis can do. `leader` is the holder of the election that the workers contend for. */
export const FAULT_KINDS = [
  "kill-node",
  "kill-leader",
  "kill-coordinator",
  "kill-both",
  "freeze-leader",
  "freeze-coordinator",
  "freeze-node",
  "nap",
  "block-leader",
  "stop-leader",
  "stop-node",
  "resign",
  "store-crash",
  "store-restart",
  "store-freeze",
  "link-cut-leader",
  "link-cut-node",
  "link-hold-leader",
  "link-hold-coordinator",
  "link-reset-leader",
  "link-lag-leader",
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault, with everything about it that is left to chance already drawn: the same seed makes the same choices, though not the same timing. */
export interface PlannedFault {
  readonly kind: FaultKind;
  /** Which node, as a share of the list of nodes that qualify. */
  readonly pick: number;
  /** How long, as a share of what the fault's kind allows. */
  readonly share: number;
  /** Whether a killed node is started again at once, while its last incarnation is still thought alive, instead of after the takeover. */
  readonly soon: boolean;
  /** The pause before the fault, which decides where in the beat it falls. */
  readonly pauseMs: number;
}

/**
 * Draws `count` faults: one shuffled deck of all `kinds` after the other, so that each kind comes as often as any other, in a short run, too, and any kind
 * after any other in a long one.
 */
export function drawPlan(random: Random, kinds: readonly FaultKind[], count: number, beatMs: number): PlannedFault[] {
  const plan: PlannedFault[] = [];
  while (plan.length < count && kinds.length > 0) {
    for (const kind of shuffled(random, kinds)) {
      plan.push({ kind, pick: random.next(), share: random.next(), soon: random.next() < 0.4, pauseMs: Math.round(random.next() * 2 * beatMs) });
    }
  }
  return plan.slice(0, count);
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const rest = [...items];
  const drawn: T[] = [];
  while (rest.length > 0) drawn.push(...rest.splice(Math.floor(random.next() * rest.length), 1));
  return drawn;
}
