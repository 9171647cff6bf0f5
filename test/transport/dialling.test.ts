import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import type { KnownPeer } from "../../src/transport/index.ts";

describe("an endpoint that is to dial many at once", () => {
  it("begins with a few at a time, and reaches them all", async () => {
    const clock = new VirtualClock();
    const random = seededRandom(1);
    const network = new MemoryNetwork({ clock, random });
    const view = new Map<string, KnownPeer>();
    let [begun, up] = [0, 0];
    const open = async (node: string, hub: boolean) => {
      const endpoint = await network.transport().open({
        group: "g",
        node,
        incarnation: node,
        known: (incarnation) => {
          if (hub) begun++;
          return view.get(incarnation);
        },
        handlers: { up: () => void (hub && up++), down() {}, unreachable() {}, frame() {} },
        clock,
        random,
        logger: silentLogger,
        deadlineMs: 1_000,
      });
      view.set(node, { node, incarnation: node, address: endpoint.address });
      return endpoint;
    };
    const hub = await open("hub", true);
    const others = [];
    for (let n = 0; n < 300; n++) others.push(await open(`node-${n}`, false));
    for (const { node, incarnation } of view.values()) if (node !== "hub") hub.link({ node, incarnation });
    await clock.advance(0);
    assert.ok(begun > 0 && begun <= 16, `${begun} began at once`);
    await clock.advance(100);
    assert.ok(begun > 100 && begun < 200, `${begun} have begun after a tenth of a second`);
    await clock.advance(200);
    assert.equal(up, 300);
    for (const endpoint of [hub, ...others]) endpoint.destroy(new Error("the test is over"));
  });

  it("begins none that is waiting when it ends", async () => {
    const clock = new VirtualClock();
    let begun = 0;
    const endpoint = await new MemoryNetwork({ clock, random: seededRandom(1) }).transport().open({
      group: "g",
      node: "hub",
      incarnation: "hub",
      known: () => void begun++,
      handlers: { up() {}, down() {}, unreachable() {}, frame() {} },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      deadlineMs: 1_000,
    });
    for (let n = 0; n < 40; n++) endpoint.link({ node: `node-${n}`, incarnation: `node-${n}` });
    await clock.advance(0);
    const before = begun;
    endpoint.destroy(new Error("the test is over"));
    await clock.advance(10_000);
    assert.deepEqual([before, begun], [16, 16]);
  });
});
