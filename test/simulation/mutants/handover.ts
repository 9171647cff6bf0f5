import type { Mutant } from "./mutant.ts";

const ELECTOR = "src/election/elector.ts";
const ENGINE = "src/store/memory/engine.ts";
const TAKEOVER = "src/election/takeover.ts";

/** Hand-over, pauses, priorities and probes. */
export const handoverMutants: readonly Mutant[] = [
  {
    name: "reservation-for-ever",
    wrong: "A row that is kept for somebody is never claimed by anybody else, also when that one is gone.",
    changes: [{ file: TAKEOVER, from: "reservation.node === node ? 0 : rowSinceMs + reservation.forMs;", to: "reservation.node === node ? 0 : Number.POSITIVE_INFINITY;" }],
  },
  {
    name: "equals-take-over",
    wrong: "Candidates of the same priority ask each other to hand over, to and fro.",
    changes: [{ file: TAKEOVER, from: "if (priority <= row.priority ||", to: "if (priority < row.priority ||" }],
  },
  {
    name: "unfit-is-fit",
    wrong: "What a probe says is not heeded.",
    survives: {
      why: "Who may lead is a question of the users' resources, which a simulated history knows nothing of.",
      foundBy: "test/scenarios/hand-over.test.ts",
    },
    changes: [{ file: ELECTOR, from: "    return this.#probe === undefined || this.#probe.fit;", to: "    return true;" }],
  },
  {
    name: "pause-is-ignored",
    wrong: "A paused election is claimed like any other.",
    survives: {
      why: "It breaks no promise about who acts: a history does not tell what operators asked for. The store refuses the claim by itself.",
      foundBy: "test/scenarios/hand-over.test.ts",
    },
    changes: [
      { file: TAKEOVER, from: '  if (row.paused !== null) return { kind: "idle" };\n', to: "" },
      { file: ENGINE, from: "    if (row.paused !== null) return null;\n", to: "" },
    ],
  },
  {
    name: "reservation-is-ignored",
    wrong: "Whoever is first takes a row that is kept for another node.",
    survives: {
      why: "It costs the successor that somebody chose, and no promise about who acts.",
      foundBy: "test/scenarios/hand-over.test.ts",
    },
    changes: [
      { file: TAKEOVER, from: "reservation.node === node ? 0 : rowSinceMs + reservation.forMs;", to: "reservation.node === node ? 0 : 0;" },
      { file: ENGINE, from: "    if (row.reservation !== null && row.reservation.node !== input.node && input.overReservation !== true) return null;\n", to: "" },
    ],
  },
];
