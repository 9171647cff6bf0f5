import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SendReport } from "../../src/channel/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { Members } from "./members.ts";
import type { TestMember } from "./members.ts";

type Three = [TestMember, TestMember, TestMember];

const shown = ({ results }: SendReport) => Object.fromEntries([...results].map(([node, result]) => [node, result.status === "failed" ? result.code : result.status]));

/** Members with the topic "ledger" in one order, and what each has handled. */
async function three(seed: number, options = {}): Promise<{ members: Members; all: Three; seen: Map<string, unknown[]> }> {
  const members = new Members(seed, { totalOrder: ["ledger"], maxRetries: 1_000, ...options });
  const all = (await members.start(3)) as Three;
  const seen = new Map<string, unknown[]>(all.map(({ node }) => [node, []]));
  for (const { node, channel } of all) {
    channel.listen("ledger", (message) => void seen.get(node)?.push(message.value()));
    channel.on("gap", ({ topic }) => void seen.get(node)?.push(`gap in ${topic}`));
  }
  return { members, all, seen };
}

describe("a topic in total order", () => {
  it("is handled by all in one order, with a result of each, whoever sends, also from several at once", async () => {
    const { members, all, seen } = await three(350);
    const sending: Array<Promise<SendReport>> = [];
    for (let n = 0; n < 60; n++) {
      for (const { node, channel } of all) sending.push(channel.send("ledger", `${node} ${n}`, { mode: n % 2 === 0 ? "ack" : "async" }));
      await members.clock.advance(members.random.next() * 3);
    }
    const reports = await members.outcome(Promise.all(sending));
    await members.clock.advance(1_000);
    assert.equal(seen.get("node-1")?.length, 180);
    for (const node of ["node-2", "node-3"]) assert.deepEqual(seen.get(node), seen.get("node-1"));
    for (const [n, report] of reports.entries()) assert.deepEqual(shown(report), Math.floor(n / 3) % 2 === 0 ? { "node-1": "delivered", "node-2": "delivered", "node-3": "delivered" } : {});
    for (const { node } of all) assert.deepEqual(seen.get("node-1")?.filter((each) => String(each).startsWith(`${node} `)), Array.from({ length: 60 }, (_, n) => `${node} ${n}`), "each sender's own order is in it");
  });

  it("goes on in one order when the coordinator dies with messages on their way, over connections that break", async () => {
    for (let seed = 360; seed < 372; seed++) {
      const { members, all, seen } = await three(seed);
      const [a, b, c] = all;
      const sending: Array<Promise<SendReport>> = [];
      for (let n = 0; n < 80; n++) {
        for (const { node, channel } of [b, c]) sending.push(channel.send("ledger", `${node} ${n}`, { deadlineMs: 120_000 }));
        if (members.random.next() < 0.1) members.network.break("node-2", members.random.next() < 0.5 ? "node-1" : "node-3", members.random.next() < 0.5 ? "lost" : "arrive");
        if (n === 40) members.network.vanish("node-1"); // its process ends: what it had on its way to some is lost to them
        if (n === 55) members.publish([b, c]);
        await members.clock.advance(members.random.next() * 4);
      }
      const reports = await members.outcome(Promise.all(sending), 200_000);
      await members.clock.advance(5_000);
      assert.deepEqual(seen.get("node-3"), seen.get("node-2"), `seed ${seed}`);
      assert.equal(new Set(seen.get("node-2")).size, 160, `seed ${seed}: each once, and nothing missing`);
      for (const report of reports) assert.deepEqual([report.results.get("node-2")?.status, report.results.get("node-3")?.status], ["delivered", "delivered"], `seed ${seed}`);
      const ofTheDead = seen.get(a.node) ?? [];
      assert.equal(new Set(ofTheDead).size, ofTheDead.length);
    }
  });

  it("tells a sender at once whom its message can not be given any more when another sequencer begins", async () => {
    for (const successor of [1, 2]) {
      const { members, all, seen } = await three(354, { keptBytes: 4_000 });
      const { network, clock } = members;
      const [a, b, c] = all;
      await clock.advance(1_000);
      network.cut(a.node, c.node); // what the sequencer gives its places to does not come to c
      const awaited = b.channel.send("ledger", "first", { deadlineMs: 600_000 });
      for (let n = 0; n < 30; n++) {
        await members.outcome(b.channel.send("ledger", `later ${n} ${"x".repeat(200)}`, { mode: "async", deadlineMs: 100 }));
        await clock.advance(120);
      }
      network.vanish(a.node);
      members.publish([all[successor] as TestMember, ...[b, c].filter((each) => each !== all[successor])]);
      const beganMs = clock.monotonicMs();
      const report = await members.outcome(awaited);
      assert.ok(clock.monotonicMs() - beganMs < 5_000, `${clock.monotonicMs() - beganMs} ms`);
      assert.deepEqual([report.results.get(b.node)?.status, report.results.get(c.node)], ["delivered", { status: "failed", code: "ORDER_INTERRUPTED", message: "node-3 had missed it when another sequencer began, and nobody keeps it any more" }]);
      await clock.advance(5_000);
      assert.ok(seen.get(c.node)?.includes("gap in ledger") && !seen.get(c.node)?.includes("first"));
    }
  });

  it("is handled without holes by a new member that becomes the sequencer before anything has come to it", async () => {
    const members = new Members(353, { totalOrder: ["ledger"], maxRetries: 1_000 });
    const { network, clock } = members;
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    await clock.advance(100);
    network.cut(b.node, a.node);
    void b.channel.send("ledger", "sent first", { mode: "async", deadlineMs: 60_000 });
    await clock.advance(10);
    const c = await members.add();
    const seen: unknown[] = [];
    c.channel.listen("ledger", (message) => void seen.push(message.value()));
    network.cut(a.node, c.node);
    members.publish([a, b, c]);
    void a.channel.send("ledger", "has the first place", { mode: "async", deadlineMs: 60_000 });
    await clock.advance(10);
    network.heal(b.node, a.node);
    await clock.advance(500);
    network.vanish(a.node);
    members.publish([c, b]);
    await clock.advance(5_000);
    assert.deepEqual(seen, ["has the first place", "sent first"]);
  });

  it("is handled in that order by the sequencer too, which sends more than it may keep", async () => {
    for (const bounds of [{ awaited: 1 }, { awaited: 3 }, { keptBytes: 200 }]) {
      const { members, all, seen } = await three(351, bounds);
      const [a] = all;
      const sending = Array.from({ length: 30 }, (_, n) => a.channel.send("ledger", n, { mode: n % 2 === 0 ? "ack" : "async", deadlineMs: 30_000 }));
      await members.outcome(Promise.all(sending));
      await members.clock.advance(1_000);
      for (const { node } of all) assert.deepEqual(seen.get(node), Array.from({ length: 30 }, (_, n) => n), node);
    }
  });

  it("is handled no more once the channel is stopped, also what had come", async () => {
    const members = new Members(352, { totalOrder: ["ledger"] });
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    let release: () => void = () => undefined;
    const handled: unknown[] = [];
    for (const { node, channel } of [a, b]) {
      channel.listen("ledger", async (message) => {
        handled.push(`${node} ${String(message.value())}`);
        if (message.value() === 1) await new Promise<void>((resolve) => members.clock.setTimer(200, (release = resolve)));
      });
    }
    const sending = [1, 2, 3].map((n) => a.channel.send("ledger", n));
    await members.clock.advance(100);
    for (const { channel } of [a, b]) void channel.stop({ deadlineMs: 10 });
    release();
    await members.outcome(Promise.all(sending));
    await members.clock.advance(1_000);
    assert.deepEqual(handled, ["node-1 1", "node-2 1"]);
  });

  it("waits for nobody who has left, also with what had no room before that", async () => {
    const members = new Members(353, { totalOrder: ["ledger"], awaited: 1 });
    const [a, b, c] = (await members.start(3)) as Three;
    for (const { channel } of [a, b]) channel.listen("ledger", () => undefined);
    c.channel.listen("ledger", () => new Promise(() => undefined));
    const sending = [1, 2, 3].map((n) => b.channel.send("ledger", n, { deadlineMs: 60_000 }));
    await members.clock.advance(500);
    members.publish([a, b]);
    for (const report of await members.outcome(Promise.all(sending), 1_000)) assert.deepEqual(shown(report), { "node-1": "delivered", "node-2": "delivered", "node-3": "left" });
  });

  it("is joined by a new member at the place from which on others knew of it", async () => {
    const { members, all, seen } = await three(373);
    const [a, b] = all;
    for (let n = 0; n < 5; n++) await members.outcome(b.channel.send("ledger", n));
    const joiner = await members.add();
    const came: unknown[] = [];
    joiner.channel.listen("ledger", (message) => void came.push(message.value()));
    joiner.channel.on("gap", () => void came.push("gap"));
    members.publish();
    const report = await members.outcome(b.channel.send("ledger", 5));
    assert.equal(report.results.get("node-4")?.status, "delivered");
    await members.outcome(joiner.channel.send("ledger", 6));
    await members.outcome(a.channel.send("ledger", 7));
    assert.deepEqual([came, seen.get("node-3")], [[5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]]);
  });

  it("has an outcome also of a member that has not heard of the sender yet", async () => {
    const { members, all, seen } = await three(375);
    const joiner = await members.add();
    const hears = members.publish(members.all, [all[2]]);
    const sending = joiner.channel.send("ledger", "first");
    await members.clock.advanceUntil(() => seen.get("node-3")?.length === 1, 10_000, "who has not heard of the joiner handles what it sent");
    await members.clock.advance(1_000);
    hears();
    assert.equal((await members.outcome(sending, 5_000)).results.get("node-3")?.status, "delivered");
  });

  it("tells a member that was cut off for longer than messages last of its gap, and it goes on with the others", async () => {
    const { members, all, seen } = await three(374, { deadlineMs: 1_000 });
    const [a, b] = all;
    await members.outcome(b.channel.send("ledger", "before"));
    for (const [from, to] of [["node-1", "node-3"], ["node-3", "node-1"]] as const) members.network.bar(from, to);
    await members.clock.advance(100);
    assert.deepEqual(shown(await members.outcome(b.channel.send("ledger", "meanwhile"))), { "node-1": "delivered", "node-2": "delivered", "node-3": "timeout" });
    for (const [from, to] of [["node-1", "node-3"], ["node-3", "node-1"]] as const) members.network.unbar(from, to);
    await members.clock.advance(10_000);
    await members.outcome(a.channel.send("ledger", "after"));
    assert.deepEqual([seen.get("node-2"), seen.get("node-3")], [["before", "meanwhile", "after"], ["before", "gap in ledger", "after"]]);
  });

  it("ends its sender's wait for a member that it could not be given to long before the deadline", async () => {
    for (const sender of [0, 1] as const) {
      const { members, all, seen } = await three(379, { maxRetries: 0 });
      const { network } = members;
      await members.outcome(all[1].channel.send("ledger", "before"));
      network.cut("node-1", "node-3");
      const sending = all[sender].channel.send("ledger", "lost", { deadlineMs: 60_000 });
      await members.clock.advanceUntil(() => seen.get("node-2")?.includes("lost") === true, 1_000, "it has its place");
      network.heal("node-1", "node-3");
      network.break("node-1", "node-3");
      assert.deepEqual(shown(await members.outcome(sending, 10_000)), { "node-1": "delivered", "node-2": "delivered", "node-3": "PEER_UNREACHABLE" });
      await members.outcome(all[1].channel.send("ledger", "after"));
      assert.deepEqual(seen.get("node-3"), ["before", "gap in ledger", "after"]);
    }
  });

  it("goes by what the present sequencer does with a message, not by what cannot be given to the one before any more", async () => {
    const { members, all } = await three(380, { maxRetries: 0 });
    const [a, b, c] = all;
    const { network } = members;
    await members.outcome(b.channel.send("ledger", "before"));
    for (const [from, to] of [["node-1", "node-2"], ["node-2", "node-1"]] as const) network.cut(from, to);
    const sending = b.channel.send("ledger", "once more", { deadlineMs: 60_000 });
    await members.clock.advance(100);
    members.publish([c, a, b]);
    await members.clock.advance(100); // all have handled it by now, and what node-1 says of that cannot arrive
    for (const [from, to] of [["node-1", "node-2"], ["node-2", "node-1"]] as const) network.heal(from, to);
    network.break("node-1", "node-2");
    assert.deepEqual(shown(await members.outcome(sending, 10_000)), { "node-1": "delivered", "node-2": "delivered", "node-3": "delivered" });
  });

  it("is told of as handled also by who has much to send that waits for its place", async () => {
    const members = new Members(381, { totalOrder: ["ledger"] });
    const [a, b, c] = (await members.start(3)) as Three;
    a.channel.listen("ledger", () => new Promise<void>((resolve) => void members.clock.setTimer(100, resolve)));
    for (const { channel } of [b, c]) channel.listen("ledger", () => undefined);
    for (let n = 0; n < 50; n++) void b.channel.send("ledger", n, { mode: "async", deadlineMs: 60_000 });
    await members.clock.advance(50);
    for (const { channel } of [a, c]) assert.deepEqual(shown(await members.outcome(channel.send("ledger", "one", { deadlineMs: 2_000 }))), { "node-1": "delivered", "node-2": "delivered", "node-3": "delivered" });
  });

  it("is not disturbed by a view that is given twice", async () => {
    const { members, all, seen } = await three(378);
    const [a, b] = all;
    const view = { version: 2, members: all.map(({ node, incarnation, channel }) => ({ node, incarnation, address: channel.address })), coordinator: a.incarnation };
    for (const { channel } of all) channel.setView(view);
    const sending = b.channel.send("ledger", "one", { deadlineMs: 2_000 });
    for (const { channel } of all) channel.setView(view);
    assert.equal((await members.outcome(sending)).ok, true);
    a.channel.setView(view);
    assert.equal((await members.outcome(b.channel.send("ledger", "two", { deadlineMs: 2_000 }))).ok, true);
    assert.deepEqual(seen.get("node-3"), ["one", "two"]);
  });

  it("holds back who sends when a handler is slow, and takes no more than its bound", async () => {
    const members = new Members(375, { totalOrder: ["ledger"], keptBytes: 200_000, whenFull: "reject" });
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    let release: () => void = () => undefined;
    a.channel.listen("ledger", () => undefined);
    b.channel.listen("ledger", () => new Promise<void>((resolve) => void (release = resolve)));
    let taken = 0;
    const refused = async () => {
      for (let n = 0; n < 100; n++) {
        await a.channel.send("ledger", new Uint8Array(50_000), { mode: "async" }).then(() => taken++);
        await members.clock.advance(20);
      }
    };
    await assert.rejects(refused(), (error) => isTribuneError(error, "BACKPRESSURE"));
    assert.ok(taken < 60, `${taken} were taken`);
    release();
  });

  it("carries tokens, views and what interceptors say, and takes no targets but all", async () => {
    const seen: unknown[] = [];
    const members = new Members(376, { totalOrder: ["ledger"], interceptors: [{ name: "own", send: () => ({ note: "hello" }), handle: (next, _message, note) => (seen.push(note), next()) }] });
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    b.channel.listen("ledger", ({ token, election, view, from }) => void seen.push([token, election, view, from.node]), { tokenOf: "scheduler", currentView: true });
    const report = await members.outcome(a.channel.send("ledger", 1, { token: { token: 7, election: "scheduler" } }));
    assert.deepEqual([shown(report), seen], [{ "node-1": "TOPIC_UNHANDLED", "node-2": "delivered" }, ["hello", [7, "scheduler", 1, "node-1"]]]);
    assert.deepEqual(shown(await members.outcome(a.channel.send("ledger", 1))), { "node-1": "TOPIC_UNHANDLED", "node-2": "TOKEN_STALE" });
    await assert.rejects(new Members(1, { totalOrder: ["x"], unordered: ["x"] }).add(), (error) => isTribuneError(error, "INVALID_OPTIONS"));
    for (const to of ["others", "any", ["node-2"]] as const) await assert.rejects(a.channel.send("ledger", 1, { to }), (error) => isTribuneError(error, "INVALID_OPTIONS"));
  });

  it("ends its waits with the deadline where there is no sequencer, with the channel, and with a signal", async () => {
    const { members, all } = await three(377);
    const [a, b] = all;
    const view = { version: 50, members: all.map(({ node, incarnation, channel }) => ({ node, incarnation, address: channel.address })), coordinator: null };
    for (const { channel } of all) channel.setView(view);
    assert.deepEqual(shown(await members.outcome(b.channel.send("ledger", 1, { deadlineMs: 500 }))), { "node-1": "timeout", "node-2": "timeout", "node-3": "timeout" });
    const undelivered: string[] = [];
    b.channel.on("undelivered", ({ to, result }) => void undelivered.push(`${to.node} ${result.status}`));
    await members.outcome(b.channel.send("ledger", 2, { mode: "async", deadlineMs: 500 }));
    await members.clock.advance(1_000);
    assert.deepEqual(undelivered, ["node-1 timeout", "node-2 timeout", "node-3 timeout"]);
    const abort = new AbortController();
    const aborted = b.channel.send("ledger", 3, { signal: abort.signal });
    abort.abort();
    await assert.rejects(aborted, (error) => isTribuneError(error, "ABORTED"));
    const waiting = b.channel.send("ledger", 4, { deadlineMs: 60_000 });
    void b.channel.stop({ deadlineMs: 100 });
    assert.deepEqual(shown(await members.outcome(waiting)), { "node-1": "left", "node-2": "left", "node-3": "left" });
    assert.ok(a.channel.pipeline.includes("total order"));
  });

  it("is told where members have it that others have not: nobody waits for those, and what they send on it is refused", async () => {
    const members = new Members(378, { totalOrder: ["ledger"] });
    const [a, b, c] = [await members.add(), await members.add(), await members.add({}, {})];
    members.publish();
    await members.clock.advanceUntil(() => members.isWhole(), 10_000, "everybody is connected");
    const seen: string[] = [];
    for (const { node, channel } of [a, b, c]) channel.listen("ledger", (message) => void seen.push(`${node} ${String(message.value())}`));
    for (const { channel } of [a, b]) channel.on("gap", () => void seen.push("gap"));
    const report = await members.outcome(b.channel.send("ledger", "in order", { deadlineMs: 60_000 }), 2_000);
    assert.deepEqual(shown(report), { "node-1": "delivered", "node-2": "delivered", "node-3": "SETTINGS_MISMATCH" });
    const without = await members.outcome(c.channel.send("ledger", "without a place"), 2_000);
    assert.deepEqual(shown(without), { "node-1": "SETTINGS_MISMATCH", "node-2": "SETTINGS_MISMATCH" });
    assert.deepEqual(new Set(seen), new Set(["node-1 in order", "node-2 in order"]));
  });
});
