import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Delivery, gather, repliesNeeded } from "../../src/channel/index.ts";
import type { DeliveryResult } from "../../src/channel/index.ts";
import { fc } from "../support/properties.ts";

const DELIVERED: DeliveryResult = { status: "delivered" };

describe("the results of a message", () => {
  it("are one for each target, the first that came, in the order of the targets", () => {
    const delivery = new Delivery(["a", "b", "c", "d"]);
    assert.equal(delivery.settle("c", DELIVERED), true);
    assert.equal(delivery.settle("c", { status: "failed", code: "X", message: "late" }), false);
    assert.equal(delivery.settle("z", DELIVERED), false);
    delivery.settle("d", { status: "left" });
    assert.equal(delivery.done, false);
    delivery.settle("a", { status: "failed", code: "HANDLER", message: "no" });
    assert.equal(delivery.settle("b", { status: "timeout" }), true);
    assert.equal(delivery.done, true);
    assert.deepEqual([...delivery.results()].map(([target, { status }]) => `${target} ${status}`), ["a failed", "b timeout", "c delivered", "d left"]);
  });

  it("to nobody are there at once", () => {
    assert.deepEqual([new Delivery([]).done, new Delivery([]).results().size], [true, 0]);
  });
});

describe("gathering replies", () => {
  it("needs more than half for a majority, of all who were asked, whoever left since", () => {
    assert.deepEqual([1, 2, 3, 4, 5].map((asked) => repliesNeeded("majority", asked)), [1, 2, 2, 3, 3]);
    assert.equal(gather("majority", { asked: 4, replied: 2, lost: 0 }), "wait", "two of four are none");
    assert.equal(gather("majority", { asked: 4, replied: 2, lost: 2 }), "impossible", "also when the other two left");
    assert.equal(gather("majority", { asked: 5, replied: 3, lost: 2 }), "enough");
  });

  it("ends as soon as it has enough, or cannot have it any more, and at the latest when all are heard of", () => {
    fc.assert(
      fc.property(fc.constantFrom("first", "majority", "all", "none" as const), fc.integer({ min: 1, max: 20 }), fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }), (policy, asked, answers) => {
        let [replied, lost] = [0, 0];
        let state = gather(policy, { asked, replied, lost });
        assert.equal(state, policy === "none" ? "enough" : "wait");
        for (const answer of answers.slice(0, asked)) {
          if (state !== "wait") {
            const after = gather(policy, { asked, replied: replied + (answer ? 1 : 0), lost: lost + (answer ? 0 : 1) });
            assert.equal(after, state, "what is decided stays so");
          }
          if (answer) replied++;
          else lost++;
          state = gather(policy, { asked, replied, lost });
        }
        assert.notEqual(state, "wait");
        assert.equal(state === "enough", replied >= repliesNeeded(policy, asked));
      }),
    );
  });

  it("of nobody is enough only where none is needed or all are", () => {
    assert.deepEqual((["first", "majority", "all", "none"] as const).map((policy) => gather(policy, { asked: 0, replied: 0, lost: 0 })), ["impossible", "impossible", "enough", "enough"]);
  });
});
