import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger, systemRandom } from "../../src/kernel/index.ts";
import { Presence } from "../../src/presence/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryProvider } from "../../src/store/memory/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { KEY_RING_DOCUMENT, StoreKeyRing } from "../../src/transport/index.ts";
import type { KeyRingStore } from "../../src/transport/index.ts";

const TIMING = { leaseMs: 4_000, beatMs: 1_000, stopBudgetMs: 500 };

/** Members as a cluster wires them: the ring of keys is read and written over the connection that carries the beats. */
class Members {
  readonly clock = new VirtualClock();
  readonly store: MemoryProvider = memory({ clock: this.clock });

  async start(node: string): Promise<{ readonly presence: Presence; readonly keys: StoreKeyRing }> {
    const presence = new Presence(
      { group: "g", node, timing: TIMING, metadata: "{}", settings: "", createSchema: true, evidence: false, observer: false, startTimeoutMs: 10_000 },
      { clock: this.clock, random: systemRandom, logger: silentLogger, store: this.store, onListenerError: (error) => assert.fail(String(error)) },
    );
    const store: KeyRingStore = {
      read: () => presence.perform((session, call) => session.readDocument({ name: KEY_RING_DOCUMENT }, call)),
      write: (input) => presence.perform((session, call) => session.writeDocument({ name: KEY_RING_DOCUMENT, ...input }, call)),
      onHint: (listener) => presence.events.on("document", ({ name }) => (name === KEY_RING_DOCUMENT ? listener() : undefined)),
    };
    const keys = new StoreKeyRing({ store, clock: this.clock, random: systemRandom, logger: silentLogger, pollMs: 60_000 });
    await this.during(presence.start(new AbortController().signal));
    await this.during(keys.start());
    return { presence, keys };
  }

  async during<T>(work: Promise<T>): Promise<T> {
    const state = { isOver: false };
    const end = () => void (state.isOver = true);
    work.then(end, end);
    for (let n = 0; n < 2_000 && !state.isOver; n++) await this.clock.advance(10);
    return await work;
  }

  async stop(...members: readonly { readonly presence: Presence; readonly keys: StoreKeyRing }[]): Promise<void> {
    for (const { presence, keys } of members) {
      keys.stop();
      await this.during(presence.stop(1_000));
    }
  }
}

describe("the group's keys over the connection of the beats", () => {
  it("are the same for all, and a rotation is seen by hints, long before the poll", async () => {
    const members = new Members();
    const [a, b] = [await members.start("a"), await members.start("b")];
    assert.deepEqual(a.keys.current(), b.keys.current());
    const former = a.keys.current()?.id ?? "";
    const id = await members.during(a.keys.introduce());
    await members.during(a.keys.activate(id));
    await members.during(a.keys.retire(former));
    await members.clock.advance(0);
    assert.deepEqual([b.keys.current()?.id, b.keys.find(former)], [id, undefined]);
    await members.stop(a, b);
  });

  it("are changed again after a failover, once a beat has adopted the epoch, with hints over the new connections", async () => {
    const members = new Members();
    const [a, b] = [await members.start("a"), await members.start("b")];
    members.store.changeEpoch("memory:another:1");
    await members.clock.advance(5_000);
    const id = await members.during(a.keys.introduce());
    await members.clock.advance(0);
    assert.equal(b.keys.find(id)?.id, id);
    await members.stop(a, b);
  });
});
