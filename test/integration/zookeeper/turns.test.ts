import assert from "node:assert/strict";
import { it } from "node:test";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import type { ZookeeperClient } from "../../../src/store/zookeeper/client/client.ts";
import { OPEN_ACL } from "../../../src/store/zookeeper/client/records.ts";
import { Turns } from "../../../src/store/zookeeper/turns.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { describeWithServer, sceneOn, until } from "./here.ts";
import { once } from "./place.ts";

const CROWD = 60;

await describeWithServer("many who change a group on ZooKeeper at once", {}, (server) => {
  let queues = 0;

  /** A queue below a znode of its own that is not there yet. */
  const queue = (client: ZookeeperClient, clock: VirtualClock, path = `/queue-${++queues}`) => {
    const turns = new Turns({ client, clock, path, acl: OPEN_ACL, ended: new AbortController().signal });
    client.onWatch = (event) => turns.heard(event);
    return { turns, path, places: async () => (await client.request({ op: "getChildren", path })).children.length };
  };
  const nothing = async () => undefined;
  const FAR = 1_000_000;

  it("cost a few transactions each, also where all of them come in one instant", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    await scene.member();
    const sessions = await Promise.all(Array.from({ length: CROWD }, async () => await scene.session()));
    const written = async () => Number(/^Zxid: (0x[\da-f]+)/m.exec(await server.ask("srvr"))?.[1]);
    const before = await written();
    const members = await Promise.all(sessions.map(async (session) => await scene.member({ session })));
    // The attempt that was refused, the place, and the change; refused ones count as well.
    const each = ((await written()) - before) / CROWD;
    assert.ok(each < 4, `${each} transactions for each that joins`);
    assert.equal(new Set(members.map(({ joinOrder }) => joinOrder)).size, CROWD);
    const [first] = members;
    assert.equal((await first?.look())?.presence.length, CROWD + 1);
    const { group } = scene;
    assert.deepEqual(await once(server.url, async (client) => (await client.request({ op: "getChildren", path: `/tribune/groups/${group}/turns` })).children), [], "every place was given back");
  });

  it("who queues is next when the one before has left, and reads only then", async () => {
    await once(server.url, async (client) => {
      const { turns, places } = queue(client, new VirtualClock());
      const [first, second, third] = [await turns.enter(), await turns.enter(), await turns.enter()];
      const order: string[] = [];
      const next = async (name: string, place: string) => {
        assert.equal(await turns.untilNext(place, FAR, async () => void order.push(`${name} reads`)), true);
        order.push(`${name} goes`);
        turns.leave(place);
      };
      await Promise.all([next("third", third), next("second", second), next("first", first)]);
      assert.deepEqual(order, ["first reads", "first goes", "second reads", "second goes", "third reads", "third goes"]);
      await until("all places are free", async () => (await places()) === 0);
      assert.deepEqual(turns.held, []);
    });
  });

  it("who stands first and does nothing loses the place, and hears of that when it comes back to it", async () => {
    await once(server.url, async (client) => {
      const clock = new VirtualClock();
      const { turns, places } = queue(client, clock);
      const [frozen, second] = [await turns.enter(), await turns.enter()];
      let isNext = false;
      const waiting = turns.untilNext(second, FAR, nothing).then((answer) => (isNext = answer));
      await until("its patience is over", async () => {
        await clock.advance(100);
        return isNext;
      });
      await waiting;
      assert.equal(await places(), 1);
      assert.equal(await turns.untilNext(frozen, FAR, nothing), false);
      assert.deepEqual(turns.held, [second]);
    });
  });

  it("a queue that moves is waited in, however long it is", async () => {
    await once(server.url, async (client) => {
      const clock = new VirtualClock();
      const { turns, places } = queue(client, clock);
      const before = [await turns.enter(), await turns.enter(), await turns.enter()];
      const last = await turns.enter();
      let isNext = false;
      const waiting = turns.untilNext(last, FAR, nothing).then((answer) => (isNext = answer));
      for (const place of before) {
        await clock.advance(900);
        assert.equal(isNext, false);
        turns.leave(place);
      }
      await waiting;
      assert.equal(isNext, true);
      assert.equal(await places(), 1);
    });
  });

  it("who has no time left goes out of turn", async () => {
    await once(server.url, async (client) => {
      const { turns, places } = queue(client, new VirtualClock());
      await turns.enter();
      assert.equal(await turns.untilNext(await turns.enter(), 0, nothing), true);
      assert.equal(await places(), 2);
    });
  });

  it("places that were held when connections broke are given back by whoever goes on in their sessions", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, zookeeper({ url: `zookeeper://127.0.0.1:${proxy.port}` }));
    await scene.member();
    const path = `/tribune/groups/${scene.group}/turns`;
    const clock = new VirtualClock(); // nobody's patience is ever over
    await once(server.url, async (client) => {
      const places = async () => (await client.request({ op: "getChildren", path })).children;
      const blocking = await queue(client, clock, path).turns.enter();
      const sessions = await Promise.all(Array.from({ length: 10 }, async () => await scene.session({ clock })));
      const joins = sessions.map(async (session) => await scene.member({ session }).catch((error: unknown) => error));
      await until("some of them wait", async () => (await places()).length >= 3);
      proxy.resetAll();
      await Promise.all(joins);
      for (const session of sessions) if (session.ended.aborted) await scene.session({ clock });
      await until("nobody else has a place", async () => (await places()).join() === blocking.slice(path.length + 1));
    });
  });
});
