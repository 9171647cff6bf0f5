import type { Mutant } from "./mutant.ts";

const ENGINE = "src/store/memory/engine.ts";
const OBSERVATION = "src/presence/observation.ts";
const PRESENCE = "src/presence/presence.ts";
const SESSION = "src/testing/simulation/session.ts";

/** Evidence of death: when it may be taken for one. */
export const evidenceMutants: readonly Mutant[] = [
  {
    name: "evidence-without-grace",
    wrong: "Evidence counts with the first look that shows it free: a process whose session somebody else has just ended has not heard of that yet.",
    changes: [{ file: OBSERVATION, from: "  return freeSinceMs + rule.graceMs;", to: "  return freeSinceMs;" }],
  },
  {
    name: "evidence-after-a-restart",
    wrong: "Evidence that was held on an earlier connection counts: when the server restarts everybody's is free.",
    changes: [{ file: OBSERVATION, from: "heldOn === 0 || heldOn !== rule.connection", to: "heldOn === 0" }],
  },
  {
    name: "evidence-not-armed",
    wrong: "Whoever holds no evidence counts as one whose evidence is free, and nobody asks whether it ever was held: nodes that never armed are declared dead, and after a failover all are.",
    changes: [
      { file: ENGINE, from: 'if (state === "dead" || armed === null || armed.epoch !== this.#environment.epoch()) return "none";', to: 'if (state === "dead") return "none";\n    if (armed === null) return "free";' },
      { file: OBSERVATION, from: "heldOn === 0 || heldOn !== rule.connection", to: "rule.connection < 0" },
    ],
  },
  {
    name: "evidence-through-a-pooler",
    wrong: "A session holds evidence although a pooler stands between, which ends what it has lent when it likes and tells nobody.",
    changes: [{ file: SESSION, from: "  const isDirect = !connection.client.isPooled;", to: "  const isDirect = true;" }],
  },
  {
    name: "session-end-keeps-trust",
    wrong: "A holder goes on with its trust when the session ends that held its evidence, as it may where there is none: others take its end for a death.",
    changes: [{ file: PRESENCE, from: "session === this.#connection && session.info.evidence.held", to: "session === this.#connection && session.info.evidence.held && this.#trustEndMs === undefined" }],
  },
  {
    name: "answer-after-the-end",
    wrong: "An answer that was on its way when the session ended is taken in after the end, and brings the trust back.",
    survives: {
      why: "In a simulated process each arrival has been dealt with before the next one comes; a real connection brings the two in one packet.",
      foundBy: "test/scenarios/session-end.test.ts",
    },
    changes: [{ file: PRESENCE, from: "      if (session.ended.aborted) throw endOf(session); // the answer and the end came together: it counts for nothing\n", to: "" }],
  },
  {
    name: "evidence-seen-through-a-pooler",
    wrong: "An observer behind a pooler believes evidence: its own connection outlives the server's crash that frees everybody's.",
    survives: {
      why: "It takes a server that is back before the observer gives its statement up, an observer behind a pooler, and a holder that is cut off at that time: one of 200 seeds had all three.",
      foundBy: "test/scenarios/evidence.test.ts",
    },
    changes: [{ file: PRESENCE, from: " && this.#connection?.info.evidence.held === true ? {", to: " ? {" }],
  },
  {
    name: "evidence-of-many-believed",
    wrong: "The coordinator believes evidence also where that of more than half of the members went at once.",
    survives: {
      why: "Who lost its connection and lives has ended its trust, so no promise about who acts is broken: it costs members their incarnation.",
      foundBy: "test/membership/view.test.ts",
    },
    changes: [{ file: "src/membership/view.ts", from: "  const doubtful = free >= 2 && free > (alive.length + 1) / 2;", to: "  const doubtful = free < 0;" }],
  },
  {
    name: "evidence-not-looked-at-again",
    wrong: "The statement that declares the death does not look at the evidence itself.",
    survives: {
      why: "Evidence that is free stays so, and who has other evidence has beaten with it: then the beat number is another one, which the statement compares. Looking again is a second defence, against a provider whose look errs for an instant.",
      foundBy: "test/store/memory-conformance.test.ts",
    },
    changes: [{ file: ENGINE, from: '    if (input.requireFree === true && this.#evidence(row) !== "free") return false;\n', to: "" }],
  },
  {
    name: "suspicion-without-evidence",
    wrong: "Who is suspected is declared dead although the store shows its evidence to be held: a firewall between members ends a leader that lives.",
    survives: {
      why: "The statement that declares the death looks at the evidence itself and refuses.",
      foundBy: "test/presence/suspicion.test.ts",
    },
    changes: [{ file: OBSERVATION, from: 'if (rule === undefined || shown !== "free" || freeSinceMs === undefined ||', to: 'if (rule?.suspectedMs?.has(incarnation) === true) return 0;\n  if (rule === undefined || shown !== "free" || freeSinceMs === undefined ||' }],
  },
  {
    name: "suspicion-of-long-ago",
    wrong: "Suspicion that has been there for days takes the grace from evidence that is lost today: the process whose session somebody else has just ended has not heard of that yet.",
    profile: "suspicion",
    changes: [{ file: OBSERVATION, from: " && Math.abs(suspectedMs - freeSinceMs) <= AGREEMENT_MS;", to: ";" }],
  },
];
