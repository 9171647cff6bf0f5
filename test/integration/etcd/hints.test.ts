import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../../src/kernel/index.ts";
import type { StreamListener } from "../../../src/store/etcd/grpc.ts";
import { Hints } from "../../../src/store/etcd/hints.ts";
import { GroupKeys } from "../../../src/store/etcd/keys.ts";
import { bytesField, intField } from "../../../src/store/etcd/wire.ts";
import type { Hint } from "../../../src/store/index.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";

const CREATED = intField(3, 1);
const keys = new GroupKeys("tribune/", "billing");

/** A watch on a connection that the test speaks for. */
function watching() {
  const clock = new VirtualClock();
  const watches: (StreamListener & { cancelled: boolean })[] = [];
  const [told, ended]: [Hint[], string[]] = [[], []];
  let renewals = 0;
  const hints = new Hints(
    {
      watch: (_range, listener) => {
        const watch = { ...listener, cancelled: false };
        watches.push(watch);
        return { cancel: () => (watch.cancelled = true) };
      },
      renewToken: async () => void (renewals += 1),
    },
    { clock, random: seededRandom(1), keys, tell: (hint) => told.push(hint), ended: (reason) => ended.push(reason) },
  );
  return { clock, watches, told, ended, hints, renewals: () => renewals };
}

function changed(...names: readonly string[]): Buffer {
  return Buffer.concat(names.map((name) => bytesField(11, bytesField(2, bytesField(1, name)))));
}

describe("the watch of a session on etcd", () => {
  it("tells what kind of thing has changed, once for each answer, and nothing of what it has become", async () => {
    const { watches, told, hints } = watching();
    const begun = hints.start();
    watches[0]?.onMessage(CREATED);
    assert.equal(await begun, true);
    watches[0]?.onMessage(changed(keys.presence("i-1"), keys.presence("i-2"), keys.viewVersion, keys.election("a b"), keys.election("c")));
    assert.deepEqual(told, [{ kind: "view" }, { kind: "presence" }, { kind: "election", election: "a b" }, { kind: "election", election: "c" }]);
  });

  for (const [why, end] of [
    ["is cancelled", (watch: StreamListener) => watch.onMessage(Buffer.concat([intField(4, 1), bytesField(6, "etcdserver: no leader")]))],
    ["has lost what is compacted", (watch: StreamListener) => watch.onMessage(Buffer.concat([intField(4, 1), intField(5, 77)]))],
    ["breaks off", (watch: StreamListener) => watch.onEnd(new Error("reset"))],
  ] as const) {
    it(`that ${why} is begun again, with a fresh token, and hints at whatever may have been missed`, async () => {
      const { clock, watches, told, ended, hints, renewals } = watching();
      const begun = hints.start();
      watches[0]?.onMessage(CREATED);
      await begun;
      end(watches[0] ?? assert.fail("no watch"));
      assert.equal(ended.length, 1);
      assert.match(ended[0] ?? "", /no leader|77|reset/);
      assert.equal(watches.length, 1, "not at once");
      await clock.advance(100);
      assert.deepEqual([watches.length, renewals(), told.length], [2, 1, 0]);
      watches[1]?.onMessage(CREATED);
      await Promise.resolve();
      assert.deepEqual(told, [{ kind: "view" }, { kind: "presence" }]);
    });
  }

  it("that cannot begin says so, and is tried again ever less often", async () => {
    const { clock, watches, hints, ended } = watching();
    const begun = hints.start();
    watches[0]?.onMessage(Buffer.concat([intField(4, 1), bytesField(6, "etcdserver: permission denied")]));
    assert.equal(await begun, false);
    for (let n = 1; n < 20; n++) {
      await clock.advance(5_000);
      watches[n]?.onEnd(new Error("denied"));
    }
    assert.equal(watches.length, ended.length);
    assert.ok(watches.length >= 10 && watches.length <= 21, `${watches.length} attempts in 95 s`);
  });

  it("ends with its session", async () => {
    const { clock, watches, hints } = watching();
    void hints.start();
    watches[0]?.onMessage(CREATED);
    hints.stop();
    assert.equal(watches[0]?.cancelled, true);
    watches[0]?.onEnd(undefined);
    await clock.advance(60_000);
    assert.equal(watches.length, 1);
  });
});
