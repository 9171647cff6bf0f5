import type { Mutant } from "./mutant.ts";

const ENGINE = "src/store/memory/engine.ts";
const FACTS = "src/presence/facts.ts";
const VIEW = "src/membership/view.ts";

/** Views, and who makes them. */
export const membershipMutants: readonly Mutant[] = [
  {
    name: "view-of-a-deposed-coordinator",
    wrong: "The store takes a view from whoever knows the number of the last one, without asking whether it still is the coordinator.",
    changes: [
      { file: ENGINE, from: "    if (group.fences.get(COORDINATOR) !== input.token || this.#environment.epoch() !== input.epoch) return false;\n", to: "" },
      { file: ENGINE, from: "    if (row === undefined || row.token !== input.token || row.holder?.incarnation !== input.incarnation) return false;\n    group.view", to: "    group.view" },
    ],
  },
  {
    name: "no-suspicion-of-many-deaths",
    wrong: "However many seem dead at once, the coordinator does not suspect the store or itself first.",
    changes: [{ file: VIEW, from: "silent.length >= 2 && silent.length > (alive.length + 1) / 2;", to: "false;" }],
  },
  {
    name: "first-view-does-not-wait",
    wrong: "The first view of a generation does not wait for those who have not beaten in it: a failover has brought back who had left.",
    changes: [{ file: VIEW, from: "  if (generation === 1 || viewSeen > viewFloor(generation)) return false;\n", to: "  if (generation > 0) return false;\n" }],
  },
  {
    name: "view-below-the-floor",
    wrong: "View numbers do not begin a new range with each generation, and the store does not ask for it: a number that was seen and lost is used again.",
    changes: [
      { file: VIEW, from: "Math.max(viewFloor(input.generation), viewSeen, stored?.version ?? 0)", to: "Math.max(viewSeen, stored?.version ?? 0)" },
      { file: ENGINE, from: "    if (group.epoch !== input.epoch || input.view.version <= viewFloor(group.generation)) return false;\n", to: "" },
    ],
  },
  {
    name: "view-before-the-generation",
    wrong: "The store takes a view in an epoch that no beat has made known yet, with a number of the generation before.",
    survives: {
      why: "Another server means another connection, and the first statement on that is a beat, which makes the new generation known; and a coordinator numbers its views by the generation that it has read. It takes an epoch that changes under an open connection, as behind a pooler.",
      foundBy: "test/store/memory-conformance.test.ts",
    },
    changes: [{ file: ENGINE, from: "    if (group.epoch !== input.epoch || input.view.version <= viewFloor(group.generation)) return false;\n", to: "" }],
  },
  {
    name: "view-of-an-older-reading",
    wrong: "A coordinator keeps the presence of an older reading beside a newer view: members that have joined since are taken for gone.",
    changes: [{ file: FACTS, from: '    this.#presence = watched === "all" ? reply.presence : [];', to: '    if (watched === "all") this.#presence = reply.presence;' }],
  },
  {
    name: "skipped-views-unmarked",
    wrong: "A view that follows upon some that were missed does not say so.",
    changes: [{ file: VIEW, from: "skipped: before !== undefined && stored.version !== before.version + 1 });", to: "skipped: false });" }],
  },
];
