import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { operatorSession } from "../support/operator.ts";
import { World } from "../support/world.ts";

describe("a candidate that may not lead", () => {
  it("makes the election and is seen to contend, also where nobody ever held it", async () => {
    const world = new World();
    const [unfit, alone] = [world.node("a"), world.node("b", { minimumMembers: 5 })];
    for (const node of [unfit, alone]) await world.resolve(node.cluster.start());
    void unfit.cluster.election("probed", { eligible: () => false }).lead(() => undefined);
    void alone.cluster.election("crowded").lead(() => undefined);
    await world.pass(3_000);
    const session = await operatorSession(world.store, world.storeClock);
    const reading = await session.readGroup({ deadlineMs: 1_000 });
    assert.deepEqual(reading?.elections.filter((row) => row.election !== "coordinator").map((row) => [row.election, row.token, row.holder]), [["probed", 0, null], ["crowded", 0, null]]);
    assert.deepEqual(reading?.candidates.map((row) => [row.election, row.node, row.fit]), [["probed", "a", false], ["crowded", "b", true]]);
    await session.close();
  });
});
