import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { observed } from "../../bench/observed-store.ts";
import type { StoreCall } from "../../bench/observed-store.ts";
import { createCluster } from "../../src/index.ts";
import { memory } from "../../src/store/memory/index.ts";

describe("a store whose calls are told", () => {
  it("works as before, and tells each operation with how long it took", async () => {
    const calls: StoreCall[] = [];
    const cluster = createCluster({ group: "g", node: "a", store: observed(memory(), (call) => void calls.push(call)), leaseMs: 1_000, beatMs: 250 });
    await cluster.start();
    const term = await cluster.election("work").campaign();
    assert.ok(term.mayAct());
    await cluster.stop();
    for (const operation of ["join", "beat", "claim", "resign", "leave"]) assert.ok(calls.some((call) => call.operation === operation && call.tookMs >= 0), operation);
    assert.ok(calls.every(({ operation }) => operation !== "onHint"));
  });
});
