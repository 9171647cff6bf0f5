import type { Mutant } from "../simulation/mutants/mutant.ts";

const [TREE, REPLICATION, VERSION, PROPERTIES, NODE, REPAIR, DURABLE] = ["src/contexts/tree.ts", "src/contexts/replication.ts", "src/contexts/version.ts", "src/contexts/properties.ts", "src/contexts/node-contexts.ts", "src/contexts/repair.ts", "src/contexts/durable.ts"] as const;
const TREES = "src/contexts/trees.ts";

/** Known-bad variants of the room, each of which a story of `simulate.ts` has to catch. `npm run stories -- contexts --mutants` plays them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "tombstones-forgotten-unasked",
    wrong: "The coordinator forgets what was deleted without asking whether everybody has heard of it.",
    changes: [{ file: REPLICATION, from: "    if (members.length > 1) {", to: "    if (members.length > 1_000) {" }],
  },
  {
    name: "no-tombstones",
    wrong: "What is deleted is forgotten at once.",
    changes: [{ file: TREE, from: "    if (text === undefined) this.#tombstones.set(node.path + REMOVAL_MARK + key, version);\n", to: "    if (text === undefined) this.#drop(node, key);\n" }],
  },
  {
    name: "ties-by-arrival",
    wrong: "Of two writes of the same time the one that came first stands.",
    changes: [{ file: VERSION, from: "  return a.member < b.member ? -1 : 1;", to: "  return -1;" }],
  },
  {
    name: "clock-follows-nobody",
    wrong: "A member whose clock is behind writes under versions that are older than what it has seen.",
    changes: [{ file: VERSION, from: "    if (time > this.#last) this.#last = time;", to: "    if (time > this.#last * 1e9) this.#last = time;" }],
  },
  {
    name: "untouched-sent",
    wrong: "A flush sends all properties of a context in which one was touched.",
    changes: [{ file: PROPERTIES, from: "    for (const [path, entries] of this.#handedOut) {", to: "    for (const path of batch.paths(only)) for (const [key, { text }] of this.#trees.shared.entries(path)) if (batch.get(path, key) === undefined) writes.push({ path, key, text, value: this.get(path, key) });\n    for (const [path, entries] of this.#handedOut) {" }],
  },
  {
    name: "untouched-on-the-wire",
    wrong: "A flush says that it sends what was touched, and sends the rest of those contexts too.",
    changes: [{ file: NODE, from: "    const messages = this.#encode(changes);\n", to: "    const messages = this.#encode([...this.trees.shared.changes(({ path }) => changes.some((change) => change.path === path))]);\n" }],
  },
  {
    name: "removal-unknown-counts",
    wrong: "What was written without knowledge of a removal is merged all the same.",
    changes: [{ file: TREE, from: "    if (known < 0) return isChanged;", to: "    if (known < 0) continue;" }],
  },
  {
    name: "removal-spares-what-was-made-anew",
    wrong: "A removal leaves standing what was below it and had a later removal of its own, by somebody who did not know of this one.",
    changes: [{ file: TREE, from: "      this.#clear(child);\n", to: "      if (compareVersions(child.cut, node.cut) > 0) continue;\n      this.#clear(child);\n" }],
  },
  {
    name: "removal-of-what-is-above-not-said",
    wrong: "A change says what its author knew of removals of its own context, and not of those above it.",
    changes: [{ file: TREE, from: "    return removals.length === 0 ? NO_REMOVALS : removals.reverse();", to: "    return pathsTo(path).map((each) => (each === path ? (this.#nodes.get(each)?.cut ?? NEVER) : NEVER));" }],
    survives: { why: "What others drop comes with a comparison when the removal above is forgotten: it is only later, and a story does not ask who has what when a flush resolves.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "removal-of-one-context-alone",
    wrong: "A removal takes what is in the context, and leaves what is below it.",
    changes: [{ file: TREE, from: "    for (const child of [...node.children.values()]) {", to: "    for (const child of [] as Node[]) {" }],
  },
  {
    name: "dated-below-the-floor",
    wrong: "Deletions are forgotten up to some moment, whoever has seen that, and a member whose clock is behind dates what it deletes before it.",
    changes: [
      { file: TREES, from: "    this.versions.saw(this.shared.floor);\n", to: "" },
      { file: REPLICATION, from: "    const floor = tree.newestTombstoneUpTo(timeAt(clock.wallMs() - this.#contexts.settings.tombstoneMs));", to: "    const moment = timeAt(clock.wallMs() - this.#contexts.settings.tombstoneMs);\n    const floor = tree.newestTombstoneUpTo(moment) === undefined ? undefined : moment;" },
    ],
  },
  {
    name: "forgotten-too-early",
    wrong: "What was deleted is forgotten as soon as all members of the view have heard of it.",
    changes: [{ file: REPLICATION, from: "timeAt(clock.wallMs() - this.#contexts.settings.tombstoneMs)", to: "timeAt(clock.wallMs())" }],
    survives: { why: "All of the view have it, and what was made before they forget it is not merged: tombstoneMs only sees to it that such a message is rare.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "void-decision-confirmed",
    wrong: "Members confirm what the coordinator decided about a context that they know to be removed.",
    changes: [{ file: REPLICATION, from: "    if (decodeChanges(message.payload).contexts.some((change) => this.#tree.isVoid(change))) throw", to: "    if (decodeChanges(message.payload).contexts.length > 1_000) throw" }],
    survives: { why: "It takes a decision between the loss of a removal on the way to the coordinator and the comparison that makes up for it, which is too rare in a story.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "state-not-taken",
    wrong: "A joiner does not take the state that it is given.",
    changes: [{ file: REPLICATION, from: "    this.#apply(decodeChanges(bytes));\n  }", to: "    decodeChanges(bytes);\n  }" }],
  },
  {
    name: "older-floor-merged",
    wrong: "What was made before its sender heard of the floor is merged.",
    changes: [{ file: REPLICATION, from: "    if (floor < tree.floor) {\n", to: "    if (floor < 0) {\n" }],
  },
  {
    name: "no-repair",
    wrong: "Members never compare what they have.",
    changes: [{ file: REPLICATION, from: "    for (let step = 0, idle = 0; step < MOST_STEPS &&", to: "    for (let step = 0, idle = 0; step < 0 &&" }],
  },
  {
    name: "repair-one-way",
    wrong: "In a comparison only the one who asks learns something.",
    changes: [{ file: REPAIR, from: "    if (thing !== undefined) names.add(nameOf(thing));", to: "    if (thing !== undefined && wanted.length > 1e9) names.add(nameOf(thing));" }],
    survives: { why: "Everybody asks in turn, so what goes one way only takes longer.", foundBy: undefined },
  },
  {
    name: "repair-by-time-alone",
    wrong: "A comparison takes for newer what was written later, also without knowledge of a removal.",
    changes: [{ file: TREE, from: "  return bases > 0 || (bases === 0 && compareVersions(thing.version, than.version) > 0);", to: "  return bases > 1e18 || compareVersions(thing.version, than.version) > 0;" }],
    survives: { why: "It takes a context that was made later than it was removed by somebody who did not know of that, and two messages that were lost, which is too rare in a story.", foundBy: "test/contexts/tree.test.ts" },
  },
  {
    name: "anybody-decides",
    wrong: "Whoever is asked decides a write with ifVersion, and confirms it without the others.",
    changes: [
      { file: REPLICATION, from: "    if (!this.#isCoordinator || this.#member === undefined) throw", to: "    if (this.#member === undefined) throw" },
      { file: REPLICATION, from: '{ to: "coordinator", deadlineMs', to: '{ to: "oldest", deadlineMs' },
      { file: REPLICATION, from: "    if (missing.length > 0) throw undecided", to: "    if (missing.length > 1_000) throw undecided" },
      { file: REPLICATION, from: "    if (this.#view.version > message.view) throw undecided", to: "    if (this.#view.version > message.view + 1e9) throw undecided" },
    ],
    survives: { why: "Two who decide on one version at the same moment are too rare in a story.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "unconfirmed-decisions",
    wrong: "The coordinator says that a write succeeded though a member did not confirm it.",
    changes: [{ file: REPLICATION, from: "    if (missing.length > 0) throw undecided", to: "    if (missing.length > 1_000) throw undecided" }],
    survives: { why: "It takes a second coordinator that decides on the same version before the first one's write has come to it, which is too rare in a story.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "own-tree-kept",
    wrong: "A member that was away while deletions were forgotten adds what it has to what the others have.",
    changes: [{ file: REPLICATION, from: "    if (obtained && !trees.shared.isEmpty && stage.floor > trees.shared.floor) trees.replace(stage);\n    else {", to: "    {" }],
  },
  {
    name: "touched-lost-while-away",
    wrong: "A flush that was refused forgets what was touched.",
    changes: [{ file: NODE, from: "    const version = isShared ? this.#version(false) : undefined;", to: "    for (const path of batch.paths(only)) batch.forget(path);\n    const version = isShared ? this.#version(false) : undefined;" }],
  },
  {
    name: "newcomers-not-compared-with",
    wrong: "Who wrote something a moment ago does not compare with a member that it hears of only now.",
    changes: [{ file: REPLICATION, from: "    if (this.#ports.clock.monotonicMs() - this.#publishedMs <=", to: "    if (this.#ports.clock.monotonicMs() - this.#publishedMs + 1e9 <=" }],
    survives: { why: "The next comparison makes up for it: it is only later.", foundBy: "test/contexts/replicated.test.ts" },
  },
  {
    name: "stored-not-merged",
    wrong: "What is read from the store is not merged.",
    changes: [{ file: DURABLE, from: "      for (const { contexts } of found.values()) take({ floor, contexts });\n", to: "" }],
  },
  {
    name: "written-unread",
    wrong: "Who writes to the store does not read first what others wrote there.",
    changes: [{ file: DURABLE, from: '      const shelves = what === "all" ? index.shelves : dirtyShelves(tree(), index.shelves);', to: '      const shelves = what === "all" ? index.shelves : [];' }],
    survives: { why: "Members that are there have the same tree anyway.", foundBy: "test/contexts/durable.test.ts" },
  },
  {
    name: "only-the-coordinator-keeps",
    wrong: "Of those who stop only the coordinator sees to it that the store has everything.",
    changes: [{ file: REPLICATION, from: "finish(() => this.#member !== undefined);", to: "finish(() => this.#isCoordinator);" }],
    survives: { why: "Nobody writes in a story between the end of the coordinator and that of the last one.", foundBy: "test/contexts/durable.test.ts" },
  },
  {
    name: "forgotten-though-not-kept",
    wrong: "What was deleted is forgotten where a coordinator that does not keep the tree asks for it, and the store may have it still.",
    changes: [{ file: REPLICATION, from: "    const isKept = isDurable || this.#ports.durable === undefined;", to: "    const isKept = isDurable || this.#member !== undefined;" }],
    survives: { why: "In a story all members have the same settings.", foundBy: "test/contexts/durable.test.ts" },
  },
  {
    name: "cleared-away-too-early",
    wrong: "Documents are cleared away that somebody else is about to name in the index.",
    changes: [{ file: DURABLE, from: "(madeFor(name) ?? version) < version);", to: "(madeFor(name) ?? version + 1) <= version);" }],
    survives: { why: "Two who write at once are too rare in a story.", foundBy: "test/contexts/durable.test.ts" },
  },
];
