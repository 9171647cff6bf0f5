import type { Random } from "../../src/kernel/index.ts";
import { FAULTS } from "./catalogue.ts";
import type { FaultKind } from "./catalogue.ts";

/** Whom a fault meets, if it meets one node. */
export const VICTIMS = ["leader", "leader", "coordinator", "any"] as const;
export type Victim = (typeof VICTIMS)[number];

/** One fault, with everything about it that is left to chance already drawn: the same seed makes the same choices, though not the same timing. */
export interface PlannedFault {
  readonly kind: FaultKind;
  readonly victim: Victim;
  /** Which election's leader, and which node, as a share of the list of those that qualify. */
  readonly pick: number;
  /** How long or how bad, as a share of what the fault's kind allows. */
  readonly share: number;
  /** For faults of which there are two forms: forward or back, at once or later. */
  readonly coin: boolean;
  /** The pause before the fault, which decides where in the beat it falls. */
  readonly pauseMs: number;
  /** Faults that are done while this one lasts, the only ones that overlap. */
  readonly during: readonly PlannedFault[];
}

/** What may meet nodes behind a pooler. */
const BEHIND_A_POOLER: readonly FaultKind[] = ["kill", "stop-long", "terminate", "block"];

/** A round has each light fault once. In so many rounds, each heavy fault comes twice: in the first round, and in one that is drawn. */
export const ROUNDS = 5;

/**
 * The list of faults for a run, which is done in order for as long as there is time. The first round has everything once, so that a short run sees as many kinds as it has
 * time for; five rounds have each light fault five times and each heavy one twice, and fit into twenty minutes with the default timings.
 */
export function drawPlan(random: Random, kinds: readonly FaultKind[], { minutes, beatMs }: { readonly minutes: number; readonly beatMs: number }): PlannedFault[] {
  const light = kinds.filter((kind) => FAULTS[kind].weight === "light");
  const heavy = kinds.filter((kind) => FAULTS[kind].weight === "heavy");
  const plan: PlannedFault[] = [];
  // Twice what should fit: nothing is worse than a run that has nothing left to do.
  const neededS = minutes * 60 * 2;
  let plannedS = 0;
  let secondTime = new Map<FaultKind, number>();
  for (let round = 0; plannedS < neededS && kinds.length > 0; round++) {
    const isFirst = round % ROUNDS === 0;
    if (isFirst) secondTime = new Map(heavy.map((kind) => [kind, 1 + Math.floor(random.next() * (ROUNDS - 1))]));
    const more = isFirst ? heavy : heavy.filter((kind) => secondTime.get(kind) === round % ROUNDS);
    for (const kind of shuffled(random, [...light, ...more])) {
      plan.push(draw(random, kind, beatMs, kinds));
      plannedS += FAULTS[kind].usualS;
    }
  }
  return plan;
}

function draw(random: Random, kind: FaultKind, beatMs: number, kinds: readonly FaultKind[]): PlannedFault {
  return {
    kind,
    victim: VICTIMS[Math.floor(random.next() * VICTIMS.length)] ?? "any",
    pick: random.next(),
    share: random.next(),
    coin: random.next() < 0.5,
    pauseMs: Math.round(random.next() * 2 * beatMs),
    during: kind === "pooler" ? shuffled(random, BEHIND_A_POOLER.filter((other) => kinds.includes(other))).slice(0, 2).map((other) => draw(random, other, beatMs, kinds)) : [],
  };
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const rest = [...items];
  const drawn: T[] = [];
  while (rest.length > 0) drawn.push(...rest.splice(Math.floor(random.next() * rest.length), 1));
  return drawn;
}
