import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { agreedSettings, disagreements } from "../../src/contexts/index.ts";
import type { ContextsOptions } from "../../src/contexts/index.ts";

const between = (here: ContextsOptions, there: ContextsOptions) => disagreements(agreedSettings(here), JSON.parse(JSON.stringify(agreedSettings(there)))).map(({ setting }) => setting);

describe("what all members should have alike", () => {
  it("travels as what is not the default, in few bytes", () => {
    assert.deepEqual(agreedSettings({ repairMs: 5_000, durableMs: 10, exclude: ["local_*"] }), {});
    assert.ok(JSON.stringify(agreedSettings({ durable: true, exclude: ["a", "b"], maxValueBytes: 1, tombstoneMs: 20_000 })).length < 120);
  });

  it("is compared setting by setting", () => {
    assert.deepEqual(between({}, {}), []);
    assert.deepEqual(between({ durable: true }, {}), ["durable"]);
    assert.deepEqual(between({}, { durable: true, exclude: ["secret_*"], maxValueBytes: 1_000, tombstoneMs: 50_000 }), ["durable", "exclude", "maxValueBytes", "tombstoneMs"]);
    assert.deepEqual(between({ exclude: ["a", "b"] }, { exclude: ["b", "a", "b"] }), []);
    assert.deepEqual(between({ exclude: ["a"] }, { exclude: () => false }), ["exclude"]);
    assert.deepEqual(between({ exclude: () => true }, { exclude: () => false }), [], "functions are not told apart");
  });

  it("says what the other one has, and what comes of it", () => {
    const [durable] = disagreements(agreedSettings({ durable: true }), {});
    assert.match(durable?.what ?? "", /^durable: false, and true here: while a coordinator has false, contexts are kept only by members that stop/);
  });

  it("may be anything where it comes from another version", () => {
    for (const there of [null, 7, "x", [], { later: 1 }]) assert.deepEqual(disagreements({}, there), []);
  });
});
