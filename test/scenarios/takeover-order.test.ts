import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { World } from "../support/world.ts";

const TAKEOVER = new Set(["declareDead", "claim", "passFence", "look", "readMembers", "publishView"]);

describe("a node that succeeds a dead one", () => {
  for (const [what, killed] of [["the coordinator, which led something beside", "a"], ["a leader, while it is the coordinator itself", "b"]] as const) {
    it(`sends the statements of the takeover before its own housekeeping: ${what}`, async () => {
      const first = await takeOver(killed);
      assert.equal(first.filter((each) => each === "declareDead").length, 1, "one statement for all who come to the same conclusion");
      assert.equal(first[1], "claim", first.join(" "));
      assert.ok(!first.includes("passFence"), "nothing holds the fence, so the claim passes it");
    });

    it(`passes a fence that the claim left before anything else: ${what}`, async () => {
      const first = await takeOver(killed, (world) => world.leaveFences());
      let open = 0;
      for (const each of first) {
        if (each === "claim") open += 1;
        else if (each === "passFence") open -= 1;
        else assert.equal(open, 0, `${each} between a claim and its fence: ${first.join(" ")}`);
      }
      assert.equal(first.filter((each) => each === "passFence").length, killed === "a" ? 2 : 1);
    });
  }
});

/** What the successor asks of the store from its declaring the node dead on. */
async function takeOver(killed: string, prepare: (world: World) => void = () => undefined): Promise<readonly string[]> {
  const world = new World();
  const nodes = await world.start("a", "b");
  prepare(world);
  for (const node of killed === "a" ? nodes : nodes.toReversed()) {
    void node.cluster.election("work").lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve())));
    await world.pass(1_500);
  }
  const [dead, successor] = killed === "a" ? nodes : nodes.toReversed();
  assert.equal(successor?.cluster.election("work").current?.holder?.node, killed);
  dead?.kill();
  successor?.asked.splice(0);
  await world.until(() => successor?.cluster.election("work").current?.holder?.node === successor?.cluster.self.node, 12_000);
  await world.until(() => successor?.cluster.view.members.length === 1, 2_000);
  const asked = successor?.asked.filter((each) => TAKEOVER.has(each)) ?? [];
  return asked.slice(asked.indexOf("declareDead"));
}
