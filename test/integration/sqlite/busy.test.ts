import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { joined, NOTHING_SEEN, turnOfTheLoop } from "./member.ts";
import type { Joined } from "./member.ts";
import { contextOf, folder } from "./place.ts";

/** Somebody else's write transaction, which keeps everybody from writing until it is rolled back. */
function stuckWriter(path: string): { release(): void } {
  const database = new DatabaseSync(path);
  database.exec("BEGIN IMMEDIATE");
  return { release: () => database.close() };
}

describe("a SQLite store whose file is busy", () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const member = async (over: Parameters<typeof joined>[1] = {}) => {
    const each = await joined(path, over);
    open.push(each);
    return each;
  };
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
  });
  after(async () => {
    for (const each of open) await each.session.close();
    home.remove();
  });

  it("leaves the event loop free: timers run while a beat waits, and the beat goes through once the file is free", async () => {
    const a = await member();
    const writer = stuckWriter(path);
    const order: string[] = [];
    const beat = a.beat(1).then((reply) => {
      order.push("beat");
      return reply;
    });
    await turnOfTheLoop();
    order.push("timer");
    writer.release();
    assert.equal((await beat).accepted, true);
    assert.deepEqual(order, ["timer", "beat"]);
  });

  it("answers readings all the same", async () => {
    const a = await member();
    const writer = stuckWriter(path);
    const seen = await a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, { deadlineMs: 1_000 });
    assert.equal(seen.presence.length, 1);
    assert.equal((await a.session.readGroup({ deadlineMs: 1_000 }))?.presence.length, 1);
    writer.release();
  });

  it("can be opened and looked at by a newcomer", async () => {
    const a = await member();
    const writer = stuckWriter(path);
    const session = await a.provider.open(contextOf());
    assert.equal((await session.look({ cursor: NOTHING_SEEN, watch: "all" }, { deadlineMs: 1_000 })).presence.length, 1);
    await session.close();
    writer.release();
  });

  it("fails with STORE_BUSY before the deadline; nothing was written, nothing is written later, and the session goes on", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const writer = stuckWriter(path);
    let atMs = 0;
    const beat = assert.rejects(a.beat(5, {}, 1_000), { code: "STORE_BUSY", retryable: true }).then(() => (atMs = clock.monotonicMs()));
    await clock.advance(5_000);
    await beat;
    assert.ok(atMs > 500 && atMs < 1_000, `it gave up at ${atMs} ms`);
    writer.release();
    await clock.advance(1_000);
    assert.equal(a.session.ended.aborted, false);
    const { presence } = await a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, { deadlineMs: 1_000 });
    assert.equal(presence[0]?.beat, 0);
    assert.equal((await a.beat(6)).accepted, true);
  });

  it("does not write late in a process that was frozen past the deadline", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const writer = stuckWriter(path);
    const beat = assert.rejects(a.beat(5, {}, 1_000), { code: "STORE_BUSY" });
    await clock.advance(100);
    writer.release();
    await clock.freeze(30_000);
    await beat;
    assert.equal(a.session.ended.aborted, false);
    assert.equal((await a.beat(1)).accepted, true, "beat 5 was never written");
  });

  it("takes the operations of a session in the order of their calls once it is free", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const writer = stuckWriter(path);
    const call = { deadlineMs: 10_000 };
    const first = a.beat(1);
    const metadata = a.session.updateMetadata({ incarnation: a.incarnation, metadata: "{}" }, call);
    const look = a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, call);
    const second = a.beat(2);
    const later = a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, call);
    await clock.advance(50);
    writer.release();
    await clock.advance(50);
    assert.deepEqual([(await first).accepted, await metadata, (await second).accepted], [true, true, true]);
    const seen = [(await look).presence[0], (await later).presence[0]];
    assert.deepEqual(seen.map((row) => [row?.beat, row?.metadataVersion]), [[1, 2], [2, 2]]);
  });

  it("answers a short deadline that stands behind a long one in time, and the session goes on", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const writer = stuckWriter(path);
    const long = a.beat(1, {}, 10_000);
    const short = assert.rejects(a.session.leave({ incarnation: "nobody" }, { deadlineMs: 300 }), { code: "STORE_BUSY" });
    await clock.advance(300);
    await short;
    writer.release();
    await clock.advance(50);
    assert.equal((await long).accepted, true);
  });

  it("loses the race for what many contend for, instead of failing", async () => {
    const clock = new VirtualClock();
    const a = await member({ clock });
    const { incarnation, node, epoch } = a;
    const token = await a.lead("coordinator");
    const writer = stuckWriter(path);
    const call = { deadlineMs: 1_000 };
    const view = { version: 1, members: [], coordinator: null };
    const lost = Promise.all([
      a.session.claim({ election: "coordinator", incarnation, node, expectedToken: token, epoch, tokenSeen: 0 }, call),
      a.session.declareDead({ incarnation, beat: 0, epoch, requireExpired: false, by: node, reason: "expired" }, call),
      a.session.publishView({ token, incarnation, epoch, expectedVersion: 0, view, events: [], forgetDeadAfterMs: 0 }, call),
    ]);
    await clock.advance(1_000);
    assert.deepEqual(await lost, [null, false, false]);
    const busy = a.session.passFence({ election: "coordinator", incarnation, token, epoch }, { deadlineMs: 10_000 });
    await clock.advance(100);
    assert.equal(await busy, "busy", "said within a fraction of a second, whatever the deadline");
    writer.release();
    assert.equal(a.session.ended.aborted, false);
  });

  it("rejects what waits when the session ends, and writes none of it", async () => {
    const clock = new VirtualClock();
    const [a, b] = [await member({ clock }), await member()];
    const writer = stuckWriter(path);
    const waiting = [assert.rejects(a.beat(1), { code: "STORE_SESSION_ENDED" }), assert.rejects(a.beat(2), { code: "STORE_SESSION_ENDED" })];
    await clock.advance(20);
    await a.session.close();
    await Promise.all(waiting);
    writer.release();
    await clock.advance(1_000);
    const { presence } = await b.session.look({ cursor: NOTHING_SEEN, watch: [a.incarnation] }, { deadlineMs: 1_000 });
    assert.equal(presence[0]?.beat, 0);
  });

  it("is not opened by who must make the schema, which fails with STORE_BUSY", async () => {
    const clock = new VirtualClock();
    const writer = stuckWriter(path);
    const opening = assert.rejects(joined(path, { clock, deadlineMs: 1_000 }), { code: "STORE_BUSY" });
    await clock.advance(1_000);
    await opening;
    writer.release();
  });
});
