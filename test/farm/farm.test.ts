import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { bytes, worlds } from "./farms.ts";

describe("a farm", () => {
  const world = worlds();

  it("deploys on all members, newcomers included, and takes it back from all", async () => {
    const farms = world();
    const [a, b] = await farms.start("a", "b", "c");
    assert.ok(a !== undefined && b !== undefined);
    const report = await b.farm.deploy({ name: "prices", version: "1", artifact: bytes("one"), config: { port: 1 } });
    assert.equal(report.ok, true);
    assert.deepEqual(report.members, ["a", "b", "c"].map((node) => ({ node, state: "applied", version: "1", code: null, why: null })));
    assert.deepEqual(farms.versions(), ["1", "1", "1"]);
    const seen: unknown[] = [];
    await farms.node("d", { handlers: { prices: farms.handler("d", { prepare: (artifact) => void seen.push(readFileSync(artifact.path, "utf8"), artifact.config) }) } }).start();
    assert.deepEqual(farms.versions(), ["1", "1", "1", "1"]);
    assert.deepEqual(seen, ["one", { port: 1 }]);
    assert.equal((await a.farm.deploy({ name: "prices", version: "2", artifact: bytes("two") })).ok, true);
    assert.deepEqual(farms.versions(), ["2", "2", "2", "2"]);
    assert.equal((await b.farm.rollback("prices")).version, "1");
    assert.deepEqual(farms.versions(), ["1", "1", "1", "1"]);
    assert.equal((await b.farm.undeploy("prices")).ok, true);
    assert.deepEqual(farms.versions(), [undefined, undefined, undefined, undefined]);
    const [status] = await a.farm.status();
    assert.deepEqual([status?.desired, status?.earlier, status?.last?.result], [null, ["1", "2"], "committed"]);
  });
});
