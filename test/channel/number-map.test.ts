import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NumberMap } from "../../src/channel/number-map.ts";
import { fc } from "../support/properties.ts";

describe("a map of numbers", () => {
  const number = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }).map((n) => n * 4_096), fc.integer({ min: 2 ** 48 - 40, max: 2 ** 48 - 1 }));
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("set", "delete"), number }),
    fc.record({ kind: fc.constant("take"), number, count: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constant(2 ** 48)) }),
    fc.constant({ kind: "clear" }),
  );

  it("holds what a Map would, by growing numbers, whatever was put in and taken out", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const map = new NumberMap<string>();
        const model = new Map<number, string>();
        const sorted = () => [...model].sort(([a], [b]) => a - b);
        for (const [n, each] of steps.entries()) {
          if (each.kind === "clear") {
            map.clear();
            model.clear();
          } else if ("count" in each) {
            const expected = sorted().filter(([key]) => key >= each.number && key <= each.number + each.count);
            assert.deepEqual(map.take(each.number, each.number + each.count), expected);
            for (const [key] of expected) model.delete(key);
          } else if ("number" in each && each.kind === "set") {
            map.set(each.number, `${n}`);
            model.set(each.number, `${n}`);
          } else if ("number" in each) {
            assert.equal(map.delete(each.number), model.get(each.number));
            model.delete(each.number);
          }
          assert.equal(map.size, model.size);
        }
        assert.deepEqual(map.entries(), sorted());
        for (const key of [0, 1, 2, 3, 4_096, 8_192, 2 ** 48 - 1]) assert.deepEqual([map.has(key), map.get(key)], [model.has(key), model.get(key)]);
      }),
      { numRuns: 1_000 },
    );
  });

  it("finds what stays while a million numbers come and go beside it", () => {
    const map = new NumberMap<number>();
    for (const stays of [1, 17, 5_000]) map.set(stays, -stays);
    for (let each = 10_000; each < 1_010_000; each++) {
      map.set(each, each);
      if (each >= 10_064) assert.equal(map.delete(each - 64), each - 64);
    }
    assert.deepEqual([map.size, map.get(1), map.get(17), map.get(5_000), map.get(10_000)], [67, -1, -17, -5_000, undefined]);
  });
});
