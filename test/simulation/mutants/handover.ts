import type { Mutant } from "./mutant.ts";

const ELECTOR = "src/election/elector.ts";
const ROWS = "src/store/election-rows.ts";
const PRESENCE = "src/presence/presence.ts";
const TAKEOVER = "src/election/takeover.ts";

/** Hand-over, pauses, priorities and probes. */
export const handoverMutants: readonly Mutant[] = [
  {
    name: "reservation-for-ever",
    wrong: "A row that is kept for somebody is never claimed by anybody else, also when that one is gone.",
    survives: {
      why: "Whoever it is kept for comes back in nearly every plan, and takes it; it was not caught on 160 seeds.",
      foundBy: "test/scenarios/hand-over.test.ts",
    },
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
      { file: ROWS, from: "row.token !== expectedToken || row.paused !== null", to: "row.token !== expectedToken" },
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
      { file: ROWS, from: "return row.reservation === null || row.reservation.node === node || overReservation;", to: "return true;" },
    ],
  },
  {
    name: "minimum-term-is-ignored",
    wrong: "A candidate of a higher priority asks the holder to go as soon as it sees it.",
    survives: {
      why: "It costs terms, and no promise about who acts.",
      foundBy: "test/scenarios/candidates.test.ts",
    },
    changes: [{ file: TAKEOVER, from: "  return tokenSinceMs + row.minimumTermMs;", to: "  return tokenSinceMs;" }],
  },
  {
    name: "request-before-the-beginning-is-lost",
    wrong: "Who asks a holder to resign between its claim and the beginning of its term is not heard, and does not ask again.",
    survives: {
      why: "A history does not tell what was asked for; the term itself is a good one.",
      foundBy: "test/scenarios/candidates.test.ts",
    },
    changes: [{ file: ELECTOR, from: "    this.#checkTerm(false); // it may have been asked for while its fence was being passed\n", to: "" }],
  },
  {
    name: "hindered-term-begins",
    wrong: "Whoever became unfit, or whose group became too small, between claim and beginning begins the term all the same.",
    survives: {
      why: "Who may lead is a question of the users' resources, which a simulated history knows nothing of.",
      foundBy: "test/scenarios/candidates.test.ts",
    },
    changes: [{ file: ELECTOR, from: "this.#candidacy !== undefined && this.#mayLead();", to: "this.#candidacy !== undefined;" }],
  },
  {
    name: "untold-candidate-waits",
    wrong: "Who cannot tell the store that it contends does not contend: one table without privileges empties all elections.",
    survives: {
      why: "The simulated store refuses no single statement.",
      foundBy: "test/scenarios/candidates.test.ts",
    },
    changes: [{ file: ELECTOR, from: "      const pauseMs = backoffMs(this.#untold++,", to: "      if (this.#untold >= 0) throw error;\n      const pauseMs = backoffMs(this.#untold++," }],
  },
  {
    name: "evicted-comes-back",
    wrong: "A node that was evicted while it could not hear of it, and was declared dead, joins again by itself.",
    survives: {
      why: "A history does not tell whom operators wanted to be gone.",
      foundBy: "test/scenarios/candidates.test.ts",
    },
    changes: [{ file: PRESENCE, from: "      return presence.some((row) => row.evicted);", to: "      return presence.length < 0;" }],
  },
];
