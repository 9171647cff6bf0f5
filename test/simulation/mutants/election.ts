import type { Change, Mutant } from "./mutant.ts";

const ELECTOR = "src/election/elector.ts";
const ENGINE = "src/store/memory/engine.ts";
const ROWS = "src/store/election-rows.ts";
const TAKEOVER = "src/election/takeover.ts";

/** The naive takeover: whoever finds the leader stale replaces its row, whatever that is by now, and the fence goes with it. */
const DELETE_THEN_INSERT: readonly Change[] = [
  { file: TAKEOVER, from: 'if (step.kind === "declare") return { kind: "declare", holder, grounds: step.grounds };', to: 'if (step.kind === "declare") return claim(row);' },
  { file: ROWS, from: "row.token !== expectedToken || row.paused !== null", to: "row.paused !== null" },
  { file: ENGINE, from: '    if (row.holder !== null && group.presence.get(row.holder.incarnation)?.state === "alive") return null;\n', to: "" },
  { file: ENGINE, from: "    if (epoch !== input.epoch || group.epoch !== epoch) return null;\n", to: "" },
  { file: ENGINE, from: "    Object.assign(row, claimed(", to: "    group.fences.set(input.election, token);\n    Object.assign(row, claimed(" },
];

/** The only place where a claimant waits for the fence. */
const WAITS_FOR_FENCE = '    const passing = claimed.passed ? "passed" : this.#passFence({ election: this.name, incarnation, token: claimed.token, epoch }, stillMay);\n';

/** Taking over, holding and giving up. */
export const electionMutants: readonly Mutant[] = [
  {
    name: "delete-then-insert",
    wrong: "Whoever finds the leader stale deletes its row, whatever that is by now, inserts its own, and believes: the recipe of many answers on the web.",
    changes: [...DELETE_THEN_INSERT, { file: ELECTOR, from: WAITS_FOR_FENCE, to: '    const passing = Promise.resolve("passed");\n' }],
  },
  {
    name: "check-back-later",
    wrong: "As delete-then-insert, and its cure: look half a second later whether the row still names us, and only then believe.",
    changes: [
      ...DELETE_THEN_INSERT,
      { file: ELECTOR, from: WAITS_FOR_FENCE, to: `    await new Promise<void>((resolve) => this.#ports.clock.setTimer(500, resolve));\n${WAITS_FOR_FENCE.replace('claimed.passed ? "passed" : ', "")}` },
      // The look asks for the row alone.
      { file: ENGINE, from: '    if (this.#environment.epoch() !== input.epoch || fence > input.token) return "superseded";\n', to: "" },
    ],
  },
  {
    name: "claim-without-the-death",
    wrong: "Whoever has waited long enough claims at once, with no statement before it that ends the old holder's beats.",
    changes: [
      { file: TAKEOVER, from: 'if (step.kind === "declare") return { kind: "declare", holder, grounds: step.grounds };', to: 'if (step.kind === "declare") return claim(row);' },
      { file: ENGINE, from: '    if (row.holder !== null && group.presence.get(row.holder.incarnation)?.state === "alive") return null;\n', to: "" },
    ],
  },
  {
    name: "claim-whatever-the-token",
    wrong: "A claim does not compare the token that the claimant saw: one that comes late takes a free row that others have held since.",
    survives: {
      why: "The row has to be free, or its holder dead, all the same, and its token only grows. Who sent a late claim adopts nothing and resigns, so that it costs a moment without a holder.",
      foundBy: "test/store/memory-conformance.test.ts",
    },
    changes: [{ file: ROWS, from: "row.token !== expectedToken || row.paused !== null", to: "row.paused !== null" }],
  },
  {
    name: "announce-before-the-fence",
    wrong: "A term is announced as soon as it is claimed, before the fence has moved: transactions of the term before may still commit.",
    changes: [
      {
        file: ELECTOR,
        from: WAITS_FOR_FENCE,
        to: '    const passing = Promise.resolve("passed");\n    if (!claimed.passed) void this.#passFence({ election: this.name, incarnation, token: claimed.token, epoch }, unbroken).catch(() => undefined);\n',
      },
    ],
  },
  {
    name: "unanswered-claim-adopted",
    wrong: "A row that names this incarnation with a token that it does not hold is taken for a term that was won: the claim may be older than the trust and the epoch.",
    changes: [
      {
        file: ELECTOR,
        from: '      case "resign":\n',
        to: `      case "resign":
        if (this.#candidacy !== undefined) {
          const { incarnation, facts } = presence;
          const outcome = await this.#passFence({ election: this.name, incarnation, token: step.token, epoch: facts.epoch }, () => presence.trusted() && this.#candidacy !== undefined);
          if (outcome === "passed" && presence.trusted() && this.#candidacy !== undefined) this.#announce(step.token, incarnation, presence.trustPeriod);
          return outcome === "passed";
        }
`,
      },
    ],
  },
  {
    name: "row-freed-before-the-belief",
    wrong: "Who resigns frees the row first and stops believing when that is answered.",
    changes: [
      { file: ELECTOR, from: '    if (!term.isOver) this.#over(term, resigned(this.name, why), "resigned");\n', to: '    await this.#ports.presence.perform((session, call) => session.resign({ election: this.name, incarnation: term.incarnation, token: term.token, reason: why }, call)).catch(() => undefined);\n    if (!term.isOver) this.#over(term, resigned(this.name, why), "resigned");\n' },
    ],
  },
  {
    name: "term-outlives-its-epoch",
    wrong: "A term survives into another epoch although the first reply there does not show it: its claim was lost with the commits that were lost.",
    changes: [
      { file: TAKEOVER, from: "  if (row === undefined) return false;\n", to: "  if (row === undefined) return true;\n" },
      { file: TAKEOVER, from: "  return !epochChanged && row.token < token;", to: "  return row.token < token;" },
      { file: ELECTOR, from: "    if (epochChanged) this.#passFenceAgain = true;\n", to: "" },
    ],
  },
  {
    name: "fence-not-passed-again",
    wrong: "A term that lives on in another epoch does not pass the fence there again, which may have gone back.",
    changes: [{ file: ELECTOR, from: "    if (epochChanged) this.#passFenceAgain = true;\n", to: "" }],
  },
  {
    name: "no-wait-in-another-epoch",
    wrong: "A row that is free, or whose holder is dead, is claimed at once in another epoch too, where a later holder may have been lost.",
    changes: [{ file: TAKEOVER, from: "  if (row.epoch !== contest.epoch) return afterFullWait(contest, row, nowMs, sinceMs);\n", to: "" }],
  },
  {
    name: "elector-stops-after-an-error",
    wrong: "An error in a step ends the loop that contends: one that nobody caught, as in many an elector on a timer.",
    changes: [{ file: ELECTOR, from: "      this.#wakeIn(RETRY_MS);\n    } finally {\n      this.#tookOver();\n      this.#busy = false;\n    }", to: "      return;\n    }\n    this.#tookOver();\n    this.#busy = false;" }],
  },
  {
    name: "next-callback-early",
    wrong: "`lead` does not wait for a callback that was told to stop: the next one begins while it still works.",
    changes: [
      {
        file: ELECTOR,
        from: "      if (!term.signal.aborted) await this.#run(callback, term);\n",
        to: '      if (!term.signal.aborted) await Promise.race([this.#run(callback, term), new Promise((resolve) => term.signal.addEventListener("abort", resolve, { once: true }))]);\n',
      },
    ],
  },
];
