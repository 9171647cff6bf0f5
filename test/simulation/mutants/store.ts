import type { Mutant } from "./mutant.ts";

const ENGINE = "src/store/memory/engine.ts";
const ROWS = "src/store/election-rows.ts";
const PROVIDER = "src/testing/simulation/provider.ts";

/** What the statements of a store have to ask for, and its transactions. */
export const storeMutants: readonly Mutant[] = [
  {
    name: "token-restarts",
    wrong: "A resigned election's rows are deleted, and the next term counts from one again.",
    changes: [
      { file: ROWS, from: "  const token = Math.max(row.token, fence, tokenSeen, generation * TOKENS_PER_GENERATION - 1) + 1;", to: "  const token = row.token + 1;" },
      { file: ENGINE, from: "    row.holder = null;\n", to: "    row.holder = null;\n    row.token = 0;\n    group.fences.set(input.election, 0);\n" },
    ],
  },
  {
    name: "token-from-the-row-alone",
    wrong: "The next token is one more than the row's: after a failover that lost commits the row shows an older one, and tokens come twice.",
    changes: [{ file: ROWS, from: "  const token = Math.max(row.token, fence, tokenSeen, generation * TOKENS_PER_GENERATION - 1) + 1;", to: "  const token = row.token + 1;" }],
  },
  {
    name: "no-server-epoch",
    wrong: "Death, claim and fence do not ask in which epoch the caller saw what it saw, and nothing waits longer in another one.",
    changes: [
      { file: ENGINE, from: "row.beat !== input.beat || this.#environment.epoch() !== input.epoch) return false;", to: "row.beat !== input.beat) return false;" },
      { file: ENGINE, from: "    if (epoch !== input.epoch || group.epoch !== epoch) return null;\n", to: "" },
      { file: ENGINE, from: 'this.#environment.epoch() !== input.epoch || fence > input.token) return "superseded";', to: 'fence > input.token) return "superseded";' },
      { file: "src/election/takeover.ts", from: "  if (row.epoch !== contest.epoch) return afterFullWait(contest, row, nowMs, sinceMs);\n", to: "" },
    ],
  },
  {
    name: "generation-counts-one",
    wrong: "A new epoch raises the generation by one, also where epochs in between, of which nobody can tell any more, have handed out tokens.",
    survives: {
      why: "A token is granted in another epoch only after a full wait, and by then everybody who beats has seen that epoch's generation, and says so with each beat in the next one. All of them would have to be gone.",
      foundBy: "test/store/generations.test.ts",
    },
    changes: [{ file: ENGINE, from: "group.generation + Math.max(1, epochNumber - group.epochNumber)", to: "group.generation + 1" }],
  },
  {
    name: "group-made-anew-is-born-free",
    wrong: "A group that the store has lost is made anew as if there had never been one: its elections are free for the taking, and its tokens begin again.",
    survives: {
      why: "No plan takes the creation of a group away: a process that begins after that cannot know that there was one, and what it does is not promised.",
      foundBy: "test/scenarios/lossy-failover.test.ts",
    },
    changes: [
      { file: ENGINE, from: '    birthEpoch: generation === 0 ? epoch : "",', to: "    birthEpoch: epoch," },
      { file: ENGINE, from: "    generation: generation + 1,", to: "    generation: 1," },
    ],
  },
  {
    name: "resign-without-the-token",
    wrong: "A resignation frees the row of whoever holds it by then.",
    changes: [
      {
        file: ENGINE,
        from: "    if (row === undefined || row.token !== input.token || row.holder?.incarnation !== input.incarnation) return false;\n    group.electionsVersion += 1;\n",
        to: "    if (row === undefined || row.holder === null) return false;\n    group.electionsVersion += 1;\n",
      },
    ],
  },
  {
    name: "cursor-over-uncommitted-events",
    wrong: "Sequence numbers are drawn before the commit: every fourth event becomes visible only after the next one, and a reader's cursor has passed it by then.",
    changes: [
      { file: ENGINE, from: "    const oldest = group.events[0]?.sequence ?? group.eventSequence + 1;\n", to: "    const oldest = group.events[0]?.sequence ?? group.eventSequence + 1;\n    const visible = group.events.filter((event) => event.sequence % 4 !== 0 || event.sequence + 1 < group.eventSequence);\n" },
      { file: ENGINE, from: "structuredClone(group.events.filter((event) => event.sequence > input.after)", to: "structuredClone(visible.filter((event) => event.sequence > input.after)" },
      { file: ENGINE, from: "      newest: group.eventSequence,\n", to: "      newest: visible.at(-1)?.sequence ?? 0,\n" },
    ],
  },
  {
    name: "guard-without-the-fence",
    wrong: "A guarded transaction does not look at the fence's token: an older holder writes after a newer one.",
    changes: [{ file: PROVIDER, from: "      assertFence(fence, found);\n", to: "" }],
  },
  {
    name: "guard-that-lets-go",
    wrong: "A guarded transaction looks at the fence and does not hold it until it ends: the fence moves in between.",
    changes: [{ file: PROVIDER, from: "      this.#unlocks.push(this.#store.lockFence(fence.group, fence.election, this));\n", to: "" }],
  },
  {
    name: "fence-moves-under-transactions",
    wrong: "The fence moves without waiting for the transactions that stand on the old token.",
    changes: [{ file: ENGINE, from: '    if (this.#environment.fenceIsBusy(groupName, input.election)) return "busy";\n', to: "" }],
  },
  {
    name: "claim-passes-under-transactions",
    wrong: "A claim takes the fence along without asking whether transactions stand on the old token.",
    changes: [{ file: ENGINE, from: " && !this.#environment.fenceIsBusy(groupName, input.election);\n", to: ";\n" }],
  },
];
