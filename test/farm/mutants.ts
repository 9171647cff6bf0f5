import type { Mutant } from "../simulation/mutants/mutant.ts";

const [COORDINATE, COORDINATOR, FOLLOW, FOLLOWER, FARM, ARTIFACTS, FETCH] = ["src/farm/coordinate.ts", "src/farm/coordinator.ts", "src/farm/follow.ts", "src/farm/follower.ts", "src/farm/farm.ts", "src/farm/artifacts.ts", "src/farm/fetch.ts"] as const;

/** Known-bad variants of the room, each of which a story of `simulate.ts` has to catch. `npm run stories -- farm --mutants` plays them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "no-vote-counted",
    wrong: "The coordinator decides without the votes that are not there yet.",
    changes: [{ file: COORDINATE, from: "({ incarnation }) => votes.get(incarnation) === undefined);", to: "() => false);" }],
  },
  {
    name: "vote-of-an-earlier-life",
    wrong: "What a node voted before it was started again counts, though it has nothing prepared any more.",
    changes: [{ file: COORDINATE, from: "({ incarnation }) => votes.get(incarnation) === undefined);", to: "({ node }) => ![...votes.values()].some((vote) => vote.node === node));" }],
  },
  {
    name: "change-overwritten",
    wrong: "A change begins though another one of that name is under way.",
    changes: [{ file: COORDINATE, from: 'if (change !== null) return { kind: "refuse", code: "FARM_BUSY"', to: 'if (change !== null && wish.by === "") return { kind: "refuse", code: "FARM_BUSY"' }],
  },
  {
    name: "a-no-is-no-matter",
    wrong: "A member that cannot is taken for one that can.",
    changes: [{ file: COORDINATE, from: "if (vote?.yes === false)", to: 'if (vote?.yes === false && vote.why === "never")' }],
  },
  {
    name: "commit-before-stored",
    wrong: "The coordinator applies its decision before it is in the store.",
    changes: [
      { file: COORDINATOR, from: '      if (step.kind === "write") wrote =', to: '      if (step.kind === "write") (globalThis as unknown as Record<string, (record: AppRecord) => void>)[`hasty ${fence.incarnation}`]?.(step.record);\n      if (step.kind === "write") wrote =' },
      { file: FARM, from: "    const { wrote, waitMs } = await", to: "    (globalThis as unknown as Record<string, unknown>)[`hasty ${fence.incarnation}`] = (record: AppRecord) => this.#followers.get(record.name)?.update(record);\n    const { wrote, waitMs } = await" },
    ],
  },
  {
    name: "proposal-applied",
    wrong: "A member applies what is only proposed.",
    changes: [{ file: FOLLOW, from: 'return change?.phase === "rolling" && change.admitted.includes(node) ? change.release : current;', to: "return change !== null && node !== undefined ? change.release : current;" }],
  },
  {
    name: "newcomer-skipped",
    wrong: "A member that starts does not apply what was decided before.",
    changes: [{ file: FOLLOW, from: "  if (differs && pauseMs <= 0) {\n", to: "  if (differs && pauseMs <= 0 && (local.voted !== null || local.active !== null)) {\n" }],
  },
  {
    name: "decision-not-reread",
    wrong: "A coordinator writes what it decided over what another one has decided meanwhile, and under no term.",
    changes: [{ file: COORDINATOR, from: "expectedVersion, text: encode(record), fence });", to: "expectedVersion: (await this.#ports.documents.read(appDocument(record.name)))?.version ?? expectedVersion, text: encode(record), ...(fence.token < 0 ? { fence } : {}) });" }],
  },
  {
    name: "unfenced",
    wrong: "A coordinator whose term is over may still decide, while nobody else has.",
    changes: [{ file: COORDINATOR, from: "expectedVersion, text: encode(record), fence });", to: "expectedVersion, text: encode(record), ...(fence.token < 0 ? { fence } : {}) });" }],
  },
  {
    name: "voted-before-prepared",
    wrong: "A member votes yes, and prepares when it has to apply it.",
    changes: [{ file: FOLLOWER, from: "      await this.#prepare(change.release, change, signal, undefined);", to: "      if (change.id === \"never\") await this.#prepare(change.release, change, signal, undefined);" }],
  },
  {
    name: "patience-without-end",
    wrong: "A vote that does not come is waited for, for ever.",
    changes: [{ file: COORDINATE, from: "  if (waitedMs < change.prepareMs) return", to: "  if (waitedMs < 1e12) return" }],
  },
  {
    name: "wave-not-waited-for",
    wrong: "The next wave begins before this one is healthy.",
    changes: [{ file: COORDINATE, from: "  if (pending.length === 0) return", to: "  if (pending.length < 1_000) return" }],
  },
  {
    name: "wave-not-taken-back",
    wrong: "Members of a wave that was taken back keep what they have.",
    changes: [{ file: FOLLOW, from: "  const differs = release?.id !== local.active?.id;", to: '  const differs = release?.id !== local.active?.id && !(local.active !== null && record.outcomes[0]?.result === "rolled-back");' }],
  },
  {
    name: "never-discarded",
    wrong: "What was prepared in vain is kept.",
    changes: [{ file: FOLLOW, from: 'return { kind: "discard", release: each };', to: "break;" }],
  },
  {
    name: "votes-never-removed",
    wrong: "Votes on changes that have ended stay in the store.",
    changes: [{ file: COORDINATOR, from: "!open.has(value.change)", to: 'value.change === "never"' }],
  },
  {
    name: "late-vote-stays",
    wrong: "A vote that comes after all was tidied up stays in the store.",
    changes: [{ file: COORDINATOR, from: "< TIDY_AGAIN_MS) return", to: "< 1e12) return" }],
  },
  {
    name: "reports-never-removed",
    wrong: "Reports of nodes that are gone stay in the store.",
    changes: [{ file: COORDINATOR, from: "!present.has(value.incarnation) &&", to: 'value.incarnation === "never" &&' }],
  },
  {
    name: "discarded-stays-unpacked",
    wrong: "A release that was discarded stays on disk.",
    changes: [{ file: FOLLOWER, from: "        await rm(this.#dir(step.release), { recursive: true, force: true }).catch(() => undefined);\n", to: "" }],
  },
  {
    name: "refused-stays-unpacked",
    wrong: "A release that could not be prepared stays on disk.",
    changes: [{ file: FOLLOWER, from: "      await rm(dir, { recursive: true, force: true });\n", to: "" }],
  },
  {
    name: "earlier-run-stays-unpacked",
    wrong: "What was unpacked before the process was killed stays on disk.",
    changes: [{ file: FARM, from: "      await rm(join(this.#settings.dir, RELEASES), { recursive: true, force: true });", to: "     " }],
  },
  {
    name: "artifacts-never-removed",
    wrong: "Whole artifacts to which no record refers stay on disk.",
    changes: [{ file: ARTIFACTS, from: "if (!isLeft && (this.#taken", to: "if (DIGEST.test(name) || (this.#taken" }],
  },
  {
    name: "parts-never-removed",
    wrong: "Parts of artifacts that nobody goes on fetching stay on disk.",
    changes: [{ file: ARTIFACTS, from: "if (!isLeft && (this.#taken", to: "if (name !== digest || (this.#taken" }],
  },
  {
    name: "part-beside-the-whole-stays",
    wrong: "A part of an artifact stays on disk though the whole is there.",
    survives: { why: "A transfer has to be called off half-way, and the same bytes to be deployed from that node before anybody goes on with it: about one seed of a thousand.", foundBy: "test/farm/artifacts.test.ts" },
    changes: [
      { file: FETCH, from: "return await artifacts.dropPart(digest);", to: "return;" },
      { file: ARTIFACTS, from: "const isLeft = name !== digest &&", to: "const isLeft = name.length < 0 &&" },
    ],
  },
];
