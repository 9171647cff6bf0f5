import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

/** Leads until it is told to stop. */
function lead(node: Node): void {
  void node.cluster.election("scheduler").lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true })));
}

describe("a hand-over", () => {
  it("to a node that has only just resigned takes milliseconds, too: it lets nobody go first", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    lead(a);
    await world.until(() => a.cluster.election("scheduler").term !== undefined);
    lead(b);
    await world.pass(1_200); // b's candidacy is told
    await world.resolve(a.cluster.election("scheduler").transferTo("b"));
    const before = world.storeClock.monotonicMs();
    await world.resolve(b.cluster.election("scheduler").transferTo("a"));
    assert.ok(world.storeClock.monotonicMs() - before <= 200, `it took ${world.storeClock.monotonicMs() - before} ms`);
    assert.notEqual(a.cluster.election("scheduler").term, undefined);
  });
});
