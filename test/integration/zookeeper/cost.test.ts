import assert from "node:assert/strict";
import { it } from "node:test";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { cursorOf } from "../../../src/testing/conformance/scene.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const BEATS = 20;
const BURST = 20;

/** Longer than any of 51 members waits before it reads. */
const LONGEST_SPREAD_MS = 51 * 4 + 1;

/** What operations cost the server, counted by the server. */
await describeWithServer("what it costs ZooKeeper", {}, (server) => {
  /** Requests that the server took, and transactions that it wrote, since it began. */
  const counted = async () => {
    const [mntr, srvr] = [await server.ask("mntr"), await server.ask("srvr")];
    const requests = Number(/^zk_packets_received\t(\d+)/m.exec(mntr)?.[1]);
    const written = BigInt(/^Zxid: (0x[\da-f]+)/m.exec(srvr)?.[1] ?? "0x0");
    assert.ok(requests > 0 && written > 0n);
    return { requests, written };
  };
  /** What `work` made of these counters, without what asking for them does. */
  const during = async (work: () => Promise<unknown>) => {
    const [first, from] = [await counted(), await counted()];
    await work();
    const to = await counted();
    return { requests: to.requests - from.requests - (from.requests - first.requests), written: Number(to.written - from.written) };
  };

  for (const held of [1, 50]) {
    it(`a beat of one that holds ${held} elections and watches nobody is one transaction, and reads nothing: a watch would have told`, async (t) => {
      const member = await sceneOn(t, zookeeper({ url: server.url })).member();
      for (let n = 0; n < held; n++) await member.hold(`e-${n}`);
      let cursor = cursorOf(await member.beat());
      const cost = await during(async () => {
        for (let n = 0; n < BEATS; n++) {
          const reply = await member.beat({ cursor, watch: [member.incarnation] });
          assert.deepEqual([reply.accepted, reply.elections.length, reply.view], [true, 0, null]);
          cursor = cursorOf(reply);
        }
      });
      assert.deepEqual(cost, { requests: BEATS, written: BEATS });
    });
  }

  it("a beat reads one znode more for each that it watches, and all of it is one round trip", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    const members = await scene.members(11);
    const [coordinator] = members;
    if (coordinator === undefined) return assert.fail("no member");
    const cursor = cursorOf(await coordinator.beat());
    const cost = await during(async () => {
      for (let n = 0; n < BEATS; n++) assert.equal((await coordinator.beat({ cursor, watch: "all" })).presence.length, 11);
    });
    assert.deepEqual(cost, { requests: (1 + 10) * BEATS, written: BEATS });
  });

  it("of a burst of changes in a group of more than fifty, who has no beat to send reads the document once", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    const clock = new VirtualClock();
    const session = await scene.session({ clock });
    const first = await scene.member({ session });
    for (let n = 0; n < 50; n++) await scene.member({ session });
    await clock.advance(LONGEST_SPREAD_MS);
    const watcher = await scene.session({ clock });
    await watcher.look({ watch: [], cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 } }, scene.call);
    const told = new Promise<void>((resolve) => void watcher.onHint(() => resolve()));
    const burst = await during(async () => {
      for (let n = 1; n <= BURST; n++) assert.equal(await first.session.updateMetadata({ incarnation: first.incarnation, metadata: `{"n":${n}}` }, first.call), true);
    });
    assert.deepEqual(burst, { requests: BURST, written: BURST });
    const reading = await during(async () => {
      await clock.advance(LONGEST_SPREAD_MS);
      await told;
    });
    assert.equal(reading.written, 0);
    assert.ok(reading.requests <= 2, `${reading.requests} readings of two sessions`);
  });

  it("a look, and a reading of everything, write nothing", async (t) => {
    const member = await sceneOn(t, zookeeper({ url: server.url })).member();
    await member.look();
    const cost = await during(async () => {
      for (let n = 0; n < BEATS; n++) await member.look({ watch: [] });
      await member.reading();
      await member.events();
    });
    assert.equal(cost.written, 0);
  });

  it("a claim, a resignation and passing the fence are one transaction each", async (t) => {
    const member = await sceneOn(t, zookeeper({ url: server.url })).member();
    await member.createElection("e");
    const { epoch } = await member.look();
    const cost = await during(async () => {
      const claimed = await member.claim("e", { expectedToken: 0, epoch });
      assert.equal(await member.passFence("e", claimed?.token ?? 0, { epoch }), "passed");
      assert.equal(await member.resign("e", claimed?.token ?? 0), true);
    });
    assert.equal(cost.written, 3);
  });
});
