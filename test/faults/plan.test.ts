import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import { FAULTS, faultsFor, STORE_KINDS } from "./catalogue.ts";
import { injectorOf } from "./faults/all.ts";
import { drawPlan, ROUNDS } from "./plan.ts";
import type { PlannedFault } from "./plan.ts";

const draw = (seed: number, store: (typeof STORE_KINDS)[number], minutes = 20) => drawPlan(seededRandom(seed), faultsFor(store), { minutes, beatMs: 500 });

/** As much of the plan as there is time for, if each fault takes as long as it usually does. */
function done(plan: readonly PlannedFault[], minutes: number): PlannedFault[] {
  let leftS = minutes * 60;
  return plan.filter(({ kind }) => (leftS -= FAULTS[kind].usualS) >= 0);
}

describe("the plan of faults", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepEqual(draw(7, "postgres"), draw(7, "postgres"));
    assert.notDeepEqual(draw(7, "postgres"), draw(8, "postgres"));
  });

  for (const store of STORE_KINDS) {
    it(`has each light fault five times and each heavy one twice in twenty minutes on ${store}`, () => {
      for (let seed = 1; seed <= 50; seed++) {
        const kinds = done(draw(seed, store), 20).map((fault) => fault.kind);
        for (const kind of faultsFor(store)) {
          const times = kinds.filter((other) => other === kind).length;
          const needed = FAULTS[kind].weight === "light" ? ROUNDS : 2;
          assert.ok(times >= needed, `seed ${seed}: ${kind} ${times} times`);
        }
      }
    });

    it(`has everything once before anything comes again on ${store}`, () => {
      const kinds = draw(3, store).map((fault) => fault.kind);
      const all = faultsFor(store);
      assert.deepEqual(new Set(kinds.slice(0, all.length)), new Set(all));
    });

    it(`has nothing that nobody knows how to do to ${store}`, () => {
      for (const kind of faultsFor(store)) assert.notEqual(injectorOf(kind), undefined, kind);
    });
  }

  it("lets faults overlap only behind a pooler, and only such as there are", () => {
    for (const fault of draw(5, "postgres", 60)) assert.equal(fault.during.length, fault.kind === "pooler" ? 2 : 0);
    const few = drawPlan(seededRandom(5), ["pooler", "kill"], { minutes: 20, beatMs: 500 });
    assert.deepEqual(new Set(few.flatMap((fault) => fault.during.map((other) => other.kind))), new Set(["kill"]));
  });

  it("is enough for its time, however short or long", () => {
    for (const minutes of [0.2, 1, 20, 90]) {
      const plan = drawPlan(seededRandom(1), ["kill"], { minutes, beatMs: 500 });
      assert.ok(plan.length * FAULTS.kill.usualS >= minutes * 60, `${minutes} minutes, ${plan.length} faults`);
    }
    assert.deepEqual(drawPlan(seededRandom(1), [], { minutes: 1, beatMs: 500 }), []);
  });
});
