import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { quantile, ratios, spread } from "../../bench/statistics.ts";
import { fc } from "../support/properties.ts";

const durations = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 });

describe("quantiles of measurements", () => {
  it("are the nearest rank: of 1 to 100 the median is 50, and p99 is 99", () => {
    const values = Array.from({ length: 100 }, (_, n) => 100 - n);
    assert.deepEqual(spread(values), { count: 100, min: 1, p50: 50, p99: 99, max: 100 });
  });

  it("are values that were measured, with at least that share not above them, and fewer below", () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
        const found = quantile(values, share);
        assert.ok(values.includes(found));
        assert.ok(values.filter((value) => value <= found).length >= share * values.length - 1e-6);
        assert.ok(values.filter((value) => value < found).length < share * values.length);
      }),
    );
  });

  it("do not disturb the order of what was measured", () => {
    const values = [3, 1, 2];
    quantile(values, 0.5);
    assert.deepEqual(values, [3, 1, 2]);
  });

  it("show a leader that nobody succeeded as infinite, and nothing as no number", () => {
    assert.equal(spread([1, Number.POSITIVE_INFINITY, 2]).max, Number.POSITIVE_INFINITY);
    assert.ok(Number.isNaN(spread([]).p50));
  });
});

describe("ratios of alternating measurements", () => {
  it("compare medians block by block", () => {
    assert.deepEqual(ratios([1, 1, 10, 10, 10], [2, 2, 30, 30, 90], 2), [2, 3]);
  });

  it("are one where both sides are the same, whatever disturbs both", () => {
    fc.assert(
      fc.property(durations, fc.integer({ min: 1, max: 20 }), (values, size) => {
        for (const ratio of ratios(values, values, size)) assert.equal(ratio, 1);
      }),
    );
  });
});
