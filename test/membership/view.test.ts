import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildView, diffViews, mustWait, planDeaths, planView, presentView } from "../../src/membership/index.ts";
import { viewSpacingMs } from "../../src/membership/view.ts";
import type { Observation } from "../../src/presence/index.ts";
import type { MemberRow, PresenceRow, StoredView } from "../../src/store/index.ts";
import { observation, presenceRow } from "../support/rows.ts";
import { fc } from "../support/properties.ts";

const presence = (incarnation: string, over: Partial<PresenceRow> = {}): PresenceRow => presenceRow({ incarnation, node: `n${incarnation}`, joinOrder: Number.parseInt(incarnation, 36), ...over });
const details = (row: PresenceRow): MemberRow => ({ incarnation: row.incarnation, node: row.node, state: row.state, metadata: "{}", metadataVersion: row.metadataVersion, joinOrder: row.joinOrder, joinedAtMs: 0, deadReason: row.state === "dead" ? "left" : null, observer: row.observer });
const me = { incarnation: "a", node: "na" };
const publish = (stored: StoredView | null, rows: readonly PresenceRow[], over: { viewSeen?: number; generation?: number; mustPublish?: boolean } = {}) => {
  const plan = planView({ stored, presence: rows, coordinator: me, viewSeen: over.viewSeen ?? 0, generation: over.generation ?? 1, mustPublish: over.mustPublish ?? false });
  if (plan === undefined) return undefined;
  const wanted = new Set([...plan.toRead, ...plan.gone.map((member) => member.incarnation)]);
  return buildView(plan, stored, rows.filter((row) => wanted.has(row.incarnation)).map(details), me);
};

describe("a coordinator", () => {
  it("publishes who is alive, the oldest first, and nothing when nothing changed", () => {
    const first = publish(null, [presence("b"), presence("a"), presence("c", { state: "dead" })]);
    assert.deepEqual(first?.view.members.map((member) => member.incarnation), ["a", "b"]);
    assert.equal(first?.view.version, 1);
    assert.equal(publish(first?.view ?? null, [presence("a"), presence("b")]), undefined);
  });

  it("says who joined, left, died and changed, once each", () => {
    const first = publish(null, [presence("a"), presence("b"), presence("c")])?.view ?? null;
    const second = publish(first, [presence("a"), presence("b", { metadataVersion: 2 }), presence("c", { state: "dead" }), presence("d")]);
    assert.deepEqual(second?.events.map((event) => `${event.type} ${event.subject}`), ["member-left nc", "member-updated nb", "member-joined nd"]);
  });

  it("numbers a view after the highest that anybody has seen, and republishes when the store went back", () => {
    const stored = publish(null, [presence("a")])?.view ?? null;
    assert.equal(publish(stored, [presence("a", { viewSeen: 40 })])?.view.version, 41);
    assert.equal(publish(stored, [presence("a")], { viewSeen: 17 })?.view.version, 18);
  });

  it("opens a fresh range of numbers with each generation, and publishes when there is a new one", () => {
    const stored = publish(null, [presence("a")])?.view ?? null;
    assert.equal(publish(stored, [presence("a")], { generation: 2 })?.view.version, 2 ** 32 + 1);
    assert.equal(publish(null, [presence("a")], { generation: 3 })?.view.version, 2 * 2 ** 32 + 1);
  });

  it("waits with the first view of a later generation until everybody else who is alive has beaten in it", () => {
    const floor = 2 * 2 ** 32; // of generation 3
    const waits = (over: { generation?: number; viewSeen?: number; beaten?: readonly string[]; rows?: readonly PresenceRow[] }) => {
      const { generation = 3, viewSeen = 7, beaten = [], rows = [presence("a"), presence("b"), presence("c", { state: "dead" })] } = over;
      return mustWait({ generation, viewSeen, presence: rows, own: "a", hasBeaten: (incarnation) => beaten.includes(incarnation) });
    };
    assert.equal(waits({}), true);
    assert.equal(waits({ beaten: ["b"] }), false, "neither for the dead nor for itself");
    assert.equal(waits({ rows: [presence("a"), presence("b", { state: "dead" })] }), false);
    assert.equal(waits({ viewSeen: floor }), true, "the last number of the generation before");
    assert.equal(waits({ viewSeen: floor + 1 }), false, "only with the first one");
    assert.equal(waits({ generation: 1, viewSeen: 0 }), false, "nothing was lost yet");
  });

  it("a new one publishes in any case", () => {
    const other = { version: 3, members: publish(null, [presence("a")])?.view.members ?? [], coordinator: { incarnation: "z", node: "nz" } };
    const next = publish(other, [presence("a")]);
    assert.equal(next?.view.coordinator?.incarnation, "a");
    assert.ok(next?.events.some((event) => event.type === "coordinator-changed"));
  });

  it("applying changes one after the other ends with exactly the living, for any history", () => {
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 12 }), { minLength: 1, maxLength: 12 }), (history) => {
        let stored: StoredView | null = null;
        const dead = new Set<number>();
        for (const wanted of history) {
          const rows = wanted.filter((id) => !dead.has(id)).map((id) => presence(id.toString(36)));
          for (const member of stored?.members ?? []) {
            const id = Number.parseInt(member.incarnation, 36);
            if (!wanted.includes(id)) {
              dead.add(id);
              rows.push(presence(member.incarnation, { state: "dead" }));
            }
          }
          const before = stored?.version ?? 0;
          stored = publish(stored, rows)?.view ?? stored;
          assert.ok((stored?.version ?? 0) - before <= 1);
          assert.deepEqual((stored?.members ?? []).map((member) => member.incarnation).sort(), rows.filter((row) => row.state === "alive").map((row) => row.incarnation).sort());
        }
      }),
    );
  });
});

describe("the time between two views", () => {
  it("is none to speak of in a small group, and grows with what a view costs", () => {
    assert.deepEqual([3, 10, 100, 1_000].map(viewSpacingMs), [0.09, 1, 100, 10_000]);
  });
});

describe("the floor", () => {
  const silent = (incarnation: string, ms: number): Observation => observation({ incarnation, node: incarnation, sinceMs: 100_000 - ms, askedStore: true });
  it("declares one silent member of five after the wait", () => {
    const plan = planDeaths([silent("b", 4_200), silent("c", 100), silent("d", 100), silent("e", 100)], 100_000);
    assert.deepEqual(plan.declare.map((death) => death.observation.incarnation), ["b"]);
    assert.equal(plan.suspicious, false);
  });

  it("waits one more lease when more than half are silent at once", () => {
    const many = ["b", "c", "d"].map((id) => silent(id, 4_200));
    const plan = planDeaths([...many, silent("e", 100)], 100_000);
    assert.deepEqual(plan.declare, []);
    assert.equal(plan.suspicious, true);
    assert.equal(planDeaths([...many, silent("e", 100)], 104_100).declare.length, 3);
  });

  it("does not hold for a single silent member of two", () => assert.equal(planDeaths([silent("b", 4_200)], 100_000).declare.length, 1));
});

describe("evidence of members", () => {
  const NOW = 100_000;
  const evidence = { rule: { connection: 1, graceMs: 100 }, leaders: new Set(["b"]), idleGraceMs: 1_500 };
  const free = (incarnation: string, sinceMs: number): Observation => observation({ incarnation, node: incarnation, sinceMs: NOW - 200, evidence: "free", heldOn: 1, freeSinceMs: NOW - sinceMs });
  const held = (incarnation: string): Observation => observation({ incarnation, node: incarnation, sinceMs: NOW - 200, evidence: "held", heldOn: 1 });
  const declared = (others: readonly Observation[]) => planDeaths(others, NOW, evidence).declare.map((death) => [death.observation.incarnation, death.grounds]);

  it("counts after the grace for those who lead something, and later for all others", () => {
    const rest = [held("d"), held("e"), held("f")];
    assert.deepEqual(declared([free("b", 100), free("c", 100), ...rest]), [["b", "evidence"]]);
    assert.deepEqual(declared([free("b", 99), free("c", 1_500), ...rest]), [["c", "evidence"]]);
    assert.deepEqual(planDeaths([free("b", 100), ...rest], NOW).declare, []);
    assert.equal(planDeaths([free("b", 40), ...rest], NOW, evidence).nextMs, NOW + 60);
  });

  it("counts for nobody when that of more than half of the members went at once, but for one of two", () => {
    assert.deepEqual(declared([free("b", 5_000), free("c", 5_000), held("d")]), [["b", "evidence"], ["c", "evidence"]]);
    assert.deepEqual(declared([free("b", 5_000), free("c", 5_000)]), []);
    assert.deepEqual(declared([free("b", 5_000)]), [["b", "evidence"]]);
  });
});

describe("views for users", () => {
  it("are frozen, keep the objects of members that did not change, and mark a gap", () => {
    const stored = publish(null, [presence("a"), presence("b")])?.view as StoredView;
    const one = presentView(stored, undefined);
    assert.throws(() => (one.members as unknown as unknown[]).push(1));
    assert.equal(one.skipped, false);
    const two = presentView({ ...stored, version: 2 }, one);
    assert.equal(two.members[0], one.members[0]);
    assert.equal(two.skipped, false);
    assert.equal(presentView({ ...stored, version: 4 }, two).skipped, true);
    assert.deepEqual(diffViews(one, { ...two, members: two.members.slice(1) }).left.map((member) => member.node), ["na"]);
  });
});
