import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Channel, resolveTargets } from "../../src/channel/index.ts";
import type { ChannelEvents, SendReport } from "../../src/channel/index.ts";
import { isTribuneError, silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { HeldKeys, newRing, tcp } from "../../src/transport/index.ts";
import { bytes, Members, text } from "./members.ts";
import type { TestMember } from "./members.ts";

const statuses = ({ results }: SendReport) => Object.fromEntries([...results].map(([node, { status }]) => [node, status]));

type Three = [TestMember, TestMember, TestMember];

describe("a message", () => {
  it("that is acknowledged has been handled by every target, and each has its own result", async () => {
    const members = new Members(1);
    const [a, b, c] = (await members.start(3)) as Three;
    const handled: string[] = [];
    for (const each of [a, b, c]) {
      each.channel.listen("cache", async ({ payload, from }) => {
        await new Promise<void>((resolve) => void members.clock.setTimer(30, resolve));
        handled.push(`${each.node} ${text(payload)} from ${from.node}`);
        if (each === c) throw Object.assign(new Error("no room"), { code: "ENOSPC" });
      });
    }
    const report = await members.outcome(a.channel.send("cache", bytes("drop x"), { to: "all" }));
    assert.deepEqual(handled.toSorted(), ["node-1 drop x from node-1", "node-2 drop x from node-1", "node-3 drop x from node-1"]);
    assert.deepEqual([...report.results], [["node-1", { status: "delivered" }], ["node-2", { status: "delivered" }], ["node-3", { status: "failed", code: "ENOSPC", message: "no room" }]]);
    assert.equal(report.ok, false);
    assert.equal((await members.outcome(a.channel.send("cache", bytes("drop y"), { to: ["node-2"] }))).ok, true);
  });

  it("nobody listens to has failed; one to a node that is no member finds nobody", async () => {
    const members = new Members(2);
    const [a] = (await members.start(2)) as Three;
    const report = await members.outcome(a.channel.send("unheard", bytes("x"), { to: ["node-2", "node-9"] }));
    assert.deepEqual(Object.fromEntries(report.results), { "node-9": { status: "left" }, "node-2": { status: "failed", code: "TOPIC_UNHANDLED", message: "node-2 has no handler for unheard" } });
  });

  it("ends its wait at once when a target leaves, and does not wait for it again", async () => {
    const members = new Members(3);
    const [a, b, c] = (await members.start(3)) as Three;
    b.channel.listen("t", () => undefined);
    c.channel.listen("t", () => new Promise(() => undefined)); // never done
    const began = members.clock.monotonicMs();
    const sending = a.channel.send("t", bytes("x"), { deadlineMs: 60_000 });
    await members.clock.advance(500);
    members.publish([a, b]);
    assert.deepEqual(statuses(await members.outcome(sending)), { "node-2": "delivered", "node-3": "left" });
    assert.ok(members.clock.monotonicMs() - began < 600);
    assert.deepEqual(statuses(await members.outcome(a.channel.send("t", bytes("y")))), { "node-2": "delivered" });
  });

  it("whose target does not finish in time has timed out, and the others have their results", async () => {
    const members = new Members(4);
    const [a, b, c] = (await members.start(3)) as Three;
    b.channel.listen("t", () => undefined);
    c.channel.listen("t", () => new Promise(() => undefined));
    const began = members.clock.monotonicMs();
    assert.deepEqual(statuses(await members.outcome(a.channel.send("t", bytes("x"), { deadlineMs: 700 }))), { "node-2": "delivered", "node-3": "timeout" });
    assert.ok(members.clock.monotonicMs() - began < 800);
  });

  it("to this member itself is waited for as one to any other: until the deadline, or the stop", async () => {
    const members = new Members(14);
    const [a] = (await members.start(2)) as Three;
    a.channel.listen("t", () => new Promise(() => undefined));
    const began = members.clock.monotonicMs();
    assert.deepEqual(statuses(await members.outcome(a.channel.send("t", bytes("x"), { to: ["node-1"], deadlineMs: 700 }))), { "node-1": "timeout" });
    assert.ok(members.clock.monotonicMs() - began < 800);
    const sending = a.channel.send("t", bytes("y"), { to: ["node-1"], deadlineMs: 60_000 });
    await members.outcome(a.channel.stop({ deadlineMs: 100 }));
    assert.deepEqual(statuses(await members.outcome(sending, 0)), { "node-1": "left" });
  });

  it("that its caller gives up waiting for is handled all the same", async () => {
    const members = new Members(5);
    const [a, b] = (await members.start(2)) as Three;
    const handled: string[] = [];
    b.channel.listen("t", ({ payload }) => void handled.push(text(payload)));
    const abort = new AbortController();
    const sending = a.channel.send("t", bytes("x"), { signal: abort.signal });
    abort.abort();
    await assert.rejects(sending, (error) => isTribuneError(error, "ABORTED"));
    await members.clock.advance(100);
    assert.deepEqual(handled, ["x"]);
    await assert.rejects(a.channel.send("t", bytes("y"), { signal: abort.signal }), (error) => isTribuneError(error, "ABORTED"));
  });

  it("tells its view, its token, and what is left of its deadline", async () => {
    const members = new Members(6);
    const [a, b] = (await members.start(2)) as Three;
    const seen: unknown[] = [];
    b.channel.listen("t", ({ view, token, deadlineMs }) => void seen.push([view, token, deadlineMs > 4_900 && deadlineMs <= 5_000]));
    await members.outcome(a.channel.send("t", bytes("x"), { token: 2 ** 40 + 7, deadlineMs: 5_000 }));
    assert.deepEqual(seen, [[1, 2 ** 40 + 7, true]]);
  });

  it("or a request that is sent in a way that there is not is refused at once, and nothing is waited for", async () => {
    const members = new Members(8);
    const [a] = (await members.start(2)) as Three;
    const beganMs = members.clock.monotonicMs();
    const refused = async (work: Promise<unknown>, about: string) => await assert.rejects(work, (error) => isTribuneError(error, "INVALID_OPTIONS") && error.about === about && error.next !== undefined);
    for (const to of ["node-2", "everybody", null, 7, {}] as never[]) {
      await refused(a.channel.send("t", bytes("x"), { to }), "to");
      await refused(a.channel.request("t", bytes("x"), { to }), "to");
      await refused(a.channel.stream("t", bytes("x"), { to }).next(), "to");
    }
    for (const deadlineMs of [0, -1, Number.NaN, "soon"] as never[]) {
      await refused(a.channel.send("t", bytes("x"), { deadlineMs }), "deadlineMs");
      await refused(a.channel.request("t", bytes("x"), { deadlineMs }), "deadlineMs");
      await refused(a.channel.stream("t", bytes("x"), { deadlineMs }).next(), "deadlineMs");
    }
    await refused(a.channel.send("t", bytes("x"), { mode: "asynk" as never }), "mode");
    await refused(a.channel.request("t", bytes("x"), { policy: "most" as never }), "policy");
    assert.equal(members.clock.monotonicMs(), beganMs);
  });

  it("that is too long, or on a topic with a bad name, is refused where it is sent", async () => {
    const members = new Members(7, { maxMessageBytes: 10 });
    const [a] = (await members.start(2)) as Three;
    await assert.rejects(a.channel.send("t", new Uint8Array(11)), (error) => isTribuneError(error, "FRAME_TOO_LARGE"));
    for (const topic of ["", "a b", "__proto__"]) await assert.rejects(a.channel.send(topic, bytes("x")), (error) => isTribuneError(error, "INVALID_NAME"), topic);
    assert.throws(() => new Channel({} as never, { mode: "sync", awaited: 0, colour: 1 } as never), (error) => isTribuneError(error, "INVALID_OPTIONS") && ["mode", "awaited", "colour"].every((word) => error.message.includes(word)));
  });
});

describe("messages", () => {
  it("that are longer than a member takes are refused with a code, at their place, and what follows is handled", async () => {
    const members = new Members(9);
    const a = await members.add();
    const b = await members.add({ transport: members.network.transport({ maxFrameBytes: 65_536 }) });
    members.publish();
    await members.clock.advanceUntil(() => members.isWhole(), 10_000, "they are connected");
    const handled: unknown[] = [];
    b.channel.listen("t", ({ payload }) => void handled.push(payload.length));
    b.channel.on("gap", ({ number }) => void handled.push(`gap ${number}`));
    const [before, large, after] = [10, 100_000, 20].map((length) => a.channel.send("t", new Uint8Array(length)));
    assert.ok(before !== undefined && large !== undefined && after !== undefined);
    const result = (await members.outcome(large, 1_000)).results.get("node-2");
    assert.deepEqual(result?.status === "failed" && result.code, "FRAME_TOO_LARGE");
    assert.deepEqual([(await members.outcome(before, 1_000)).ok, (await members.outcome(after, 1_000)).ok, handled], [true, true, [10, "gap 2", 20]]);
  });

  it("are handled in the order in which they were sent, one after the other, in both modes and mixed", async () => {
    const members = new Members(8);
    const [a, b] = (await members.start(2)) as Three;
    const handled: number[] = [];
    let running = 0;
    b.channel.listen("t", async ({ payload }) => {
      assert.equal(++running, 1);
      await new Promise<void>((resolve) => void members.clock.setTimer(members.random.next() * 5, resolve));
      handled.push(Number(text(payload)));
      running--;
    });
    const all = Array.from({ length: 200 }, (_, n) => a.channel.send("t", bytes(String(n)), { mode: n % 3 === 0 ? "ack" : "async", deadlineMs: 30_000 }));
    await members.outcome(Promise.all(all));
    await members.clock.advance(5_000);
    assert.deepEqual(handled, Array.from({ length: 200 }, (_, n) => n));
  });

  it("are handled once each and in order, and all of them, over connections that the network resets again and again", async () => {
    for (let seed = 20; seed < 30; seed++) {
      const members = new Members(seed, { maxRetries: 1_000 });
      const [a, b, c] = (await members.start(3)) as Three;
      const handled = new Map<string, number[]>();
      for (const each of [b, c]) each.channel.listen("t", ({ payload }) => void (handled.get(each.node) ?? handled.set(each.node, []).get(each.node))?.push(Number(text(payload))));
      const sending: Array<Promise<SendReport>> = [];
      for (let n = 0; n < 150; n++) {
        sending.push(a.channel.send("t", bytes(String(n)), { mode: n % 2 === 0 ? "ack" : "async", deadlineMs: 120_000 }));
        const draw = members.random.next();
        if (draw < 0.1) members.network.break("node-1", members.random.next() < 0.5 ? "node-2" : "node-3", members.random.next() < 0.5 ? "lost" : "arrive");
        else if (draw < 0.13) members.network.breakFor(members.random.next() < 0.5 ? "node-1" : "node-2", members.random.next() < 0.5 ? "node-2" : "node-1");
        else if (draw < 0.15) members.network.delay("node-1", "node-3", members.random.next() * 300);
        await members.clock.advance(members.random.next() ** 4 * 200);
      }
      const reports = await members.outcome(Promise.all(sending), 200_000);
      await members.clock.advance(20_000);
      for (const node of ["node-2", "node-3"]) assert.deepEqual(handled.get(node), Array.from({ length: 150 }, (_, n) => n), `seed ${seed}, ${node}`);
      for (const [n, report] of reports.entries()) if (n % 2 === 0) assert.deepEqual(statuses(report), { "node-2": "delivered", "node-3": "delivered" });
    }
  });

  it("that were lost at the very end are sent again without another one that follows", async () => {
    const members = new Members(31);
    const [a, b] = (await members.start(2)) as Three;
    const handled: string[] = [];
    b.channel.listen("t", ({ payload }) => void handled.push(text(payload)));
    for (const mode of ["ack", "async"] as const) {
      const sending = a.channel.send("t", bytes(mode), { mode });
      members.network.break("node-1", "node-2");
      await members.outcome(sending);
      await members.clock.advance(1_000);
    }
    assert.deepEqual(handled, ["ack", "async"]);
  });

  it("that come twice, because word of their arrival was lost, cost their topic nothing", async () => {
    const members = new Members(32);
    const [a, b] = (await members.start(2)) as Three;
    let handled = 0;
    b.channel.listen("t", () => void handled++);
    for (let n = 0; n < 20; n++) await members.outcome(a.channel.send("t", new Uint8Array(100_000), { mode: "async" }));
    await members.clock.advance(5);
    members.network.delay("node-2", "node-1", 1_000); // word of it is on its way for long
    for (let n = 0; n < 20; n++) await members.outcome(a.channel.send("t", new Uint8Array(100_000), { mode: "async" }));
    await members.clock.advance(100);
    members.network.break("node-1", "node-2");
    members.network.delay("node-2", "node-1", 0);
    await members.clock.advance(10_000);
    for (let n = 0; n < 20; n++) await members.outcome(a.channel.send("t", new Uint8Array(100_000), { deadlineMs: 5_000 }));
    assert.equal(handled, 60);
  });

  it("that cannot be sent in time leave a gap, which is told to both sides, and those after it are handled", async () => {
    const members = new Members(9);
    const [a, b] = (await members.start(2)) as Three;
    const order: string[] = [];
    b.channel.listen("t", ({ payload }) => void order.push(text(payload)));
    b.channel.on("gap", ({ from, number }) => void order.push(`gap ${number} from ${from.node}`));
    const undelivered: Array<ChannelEvents["undelivered"]> = [];
    a.channel.on("undelivered", (event) => void undelivered.push(event));
    await members.outcome(a.channel.send("t", bytes("one")));
    members.network.bar("node-1", "node-2");
    members.network.bar("node-2", "node-1");
    await members.clock.advance(100);
    const late = a.channel.send("t", bytes("two"), { deadlineMs: 1_000 });
    await members.outcome(a.channel.send("t", bytes("three"), { mode: "async", deadlineMs: 1_000 }));
    await members.outcome(a.channel.send("t", bytes("four"), { mode: "async", deadlineMs: 60_000 }));
    assert.deepEqual(statuses(await members.outcome(late)), { "node-2": "timeout" });
    members.network.unbar("node-1", "node-2");
    members.network.unbar("node-2", "node-1");
    await members.clock.advance(20_000);
    assert.deepEqual(order, ["one", "gap 2 from node-1", "gap 3 from node-1", "four"]);
    assert.deepEqual(undelivered.map(({ to, result }) => [to.node, result.status]), [["node-2", "timeout"]]);
  });

  it("on a topic without order are handled side by side, once each", async () => {
    const members = new Members(10, { unordered: ["u"] });
    const [a, b] = (await members.start(2)) as Three;
    let [running, most] = [0, 0];
    const handled: string[] = [];
    b.channel.listen("u", async ({ payload }) => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => void members.clock.setTimer(50 - Number(text(payload)), resolve));
      handled.push(text(payload));
      running--;
    });
    await members.outcome(Promise.all(Array.from({ length: 40 }, (_, n) => a.channel.send("u", bytes(String(n))))));
    assert.equal(most, 40);
    assert.deepEqual(handled.map(Number).toSorted((x, y) => x - y), Array.from({ length: 40 }, (_, n) => n));
  });

  it("to a receiver that is slow fill a bounded memory, then their sender waits, or is told", async () => {
    const limits = { keptBytes: 200_000, awaited: 10_000 };
    for (const whenFull of ["reject", "wait"] as const) {
      const members = new Members(11, { ...limits, whenFull });
      const [a, b] = (await members.start(2)) as Three;
      const handled: number[] = [];
      let open: () => void = () => {};
      const gate = new Promise<void>((resolve) => (open = resolve));
      b.channel.listen("slow", async ({ payload }) => {
        await gate;
        handled.push(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
      });
      const message = (n: number) => {
        const payload = new Uint8Array(10_000);
        new DataView(payload.buffer).setUint32(0, n);
        return payload;
      };
      let [sent, refused] = [0, 0];
      const sending: Array<Promise<unknown>> = [];
      for (let n = 0; n < 1_000; n++) {
        sending.push(a.channel.send("slow", message(n), { mode: "async", deadlineMs: 600_000 }).then(() => sent++, (error: unknown) => assert.ok(isTribuneError(error, "BACKPRESSURE") && ++refused > 0)));
        if (n % 20 === 0) await members.clock.advance(50);
      }
      await members.clock.advance(60_000);
      // The receiver's window, the sender's queue of that stream, and what is kept.
      assert.ok(sent > 50 && sent * 10_000 < 3 * 2 ** 20 + limits.keptBytes, `${sent} were taken (${whenFull})`);
      if (whenFull === "reject") assert.equal(sent + refused, 1_000);
      open();
      await members.outcome(Promise.all(sending));
      await members.clock.advance(20_000);
      assert.equal(handled.length, whenFull === "wait" ? 1_000 : sent);
      assert.deepEqual(handled, handled.toSorted((x, y) => x - y));
    }
  });

  it("that are large are told of before their sender has nothing more to keep, and not only in time", async () => {
    const members = new Members(13);
    const [a, b] = (await members.start(2)) as Three;
    let handled = 0;
    b.channel.listen("large", () => void handled++);
    const beganMs = members.clock.monotonicMs();
    for (let n = 0; n < 100; n++) await members.outcome(a.channel.send("large", new Uint8Array(400_000), { mode: "async" }));
    await members.clock.advanceUntil(() => handled === 100, 10_000, "all of them");
    const tookMs = members.clock.monotonicMs() - beganMs;
    assert.ok(tookMs < 150, `${Math.round(tookMs)} ms`); // forty megabytes in words that come every 20 ms would take 400
  });

  it("of one topic are not held up by a handler of another", async () => {
    const members = new Members(12);
    const [a, b] = (await members.start(2)) as Three;
    b.channel.listen("stuck", () => new Promise(() => undefined));
    b.channel.listen("quick", () => undefined);
    for (let n = 0; n < 200; n++) await members.outcome(a.channel.send("stuck", new Uint8Array(5_000), { mode: "async" }));
    assert.equal((await members.outcome(a.channel.send("quick", bytes("x"), { deadlineMs: 1_000 }))).ok, true);
  });
});

describe("a channel", () => {
  it("says who is connected, and since when not; a cut between members declares nobody dead", async () => {
    const members = new Members(13);
    const [a, b] = (await members.start(2)) as Three;
    const told: string[] = [];
    a.channel.on("reachability", ({ peer, connected }) => void told.push(`${peer.node} ${connected}`));
    members.network.cut("node-1", "node-2");
    members.network.cut("node-2", "node-1");
    const cutMs = members.clock.wallMs();
    await members.clock.advance(10_000);
    const reachability = a.channel.reachability(b.incarnation);
    assert.deepEqual([reachability?.connected, reachability?.security], [false, undefined]);
    assert.ok(Date.parse(reachability?.since ?? "") > cutMs && Date.parse(reachability?.since ?? "") < members.clock.wallMs());
    members.network.heal("node-1", "node-2");
    members.network.heal("node-2", "node-1");
    await members.clock.advanceUntil(() => members.isWhole(), 30_000);
    assert.deepEqual([told[0], told.at(-1)], ["node-2 false", "node-2 true"]);
    const pong = await members.outcome(a.channel.ping("node-2", { deadlineMs: 1_000 }));
    assert.deepEqual([pong.node, pong.incarnation, pong.security?.protocol], ["node-2", b.incarnation, "memory"]);
    assert.ok(pong.roundTripMs > 0);
    await assert.rejects(a.channel.ping("node-9", { deadlineMs: 1_000 }), { code: "NODE_UNKNOWN" });
    members.network.cut("node-1", "node-2");
    members.network.cut("node-2", "node-1");
    await members.clock.advance(10_000);
    await assert.rejects(members.outcome(a.channel.ping("node-2", { deadlineMs: 1_000 })), { code: "PEER_UNREACHABLE" });
    assert.equal(a.channel.reachability("nobody"), undefined);
  });

  it("that is stopped answers what was awaited, and refuses the rest", async () => {
    const members = new Members(14);
    const [a, b] = (await members.start(2)) as Three;
    b.channel.listen("t", () => new Promise(() => undefined));
    const sending = a.channel.send("t", bytes("x"));
    await members.clock.advance(50);
    await members.outcome(a.channel.stop({ deadlineMs: 1_000 }));
    await members.outcome(a.channel.stop({ deadlineMs: 1_000 }));
    assert.deepEqual(statuses(await members.outcome(sending)), { "node-2": "left" });
    await assert.rejects(a.channel.send("t", bytes("y")), (error) => isTribuneError(error, "TRANSPORT_CLOSED"));
  });

  it("that is stopped calls no handler any more, also for what has come before", async () => {
    const members = new Members(15);
    const [a, b] = (await members.start(2)) as Three;
    const handled: string[] = [];
    let finish: (value?: unknown) => void = () => undefined;
    for (const each of [a, b]) {
      each.channel.listen("t", ({ payload }) => {
        handled.push(`${each.node} ${text(payload)}`);
        return new Promise((resolve) => (finish = resolve));
      });
    }
    for (const words of ["x", "y"]) void a.channel.send("t", bytes(words), { mode: "async", to: ["node-2"] });
    await members.clock.advance(100);
    const stopping = b.channel.stop({ deadlineMs: 1_000 });
    finish();
    await members.outcome(stopping);
    for (const words of ["own x", "own y"]) void a.channel.send("t", bytes(words), { mode: "async", to: ["node-1"] });
    await members.clock.advance(100);
    const stoppingToo = a.channel.stop({ deadlineMs: 1_000 });
    finish();
    await members.outcome(stoppingToo);
    await members.clock.advance(1_000);
    assert.deepEqual(handled, ["node-2 x", "node-1 own x"]);
  });

  it("runs on TCP with the group's keys as it does on virtual time", async () => {
    const keys = new HeldKeys(newRing(systemRandom, 0));
    const channels = ["node-1", "node-2", "node-3"].map((node) => ({ node, incarnation: systemRandom.id() })).map((self) => ({ ...self, channel: new Channel({ group: "g", ...self, transport: tcp({ host: "127.0.0.1" }), keys, clock: systemClock, random: systemRandom, logger: silentLogger }) }));
    try {
      for (const { channel } of channels) await channel.start({ deadlineMs: 5_000 });
      const view = { version: 1, members: channels.map(({ node, incarnation, channel }) => ({ node, incarnation, address: channel.address })), coordinator: null };
      const handled: string[] = [];
      for (const { node, channel } of channels) {
        channel.setView(view);
        channel.listen("t", ({ payload }) => void handled.push(`${node} ${text(payload)}`));
      }
      const [first] = channels as [(typeof channels)[number]];
      const reports = await Promise.all([0, 1, 2].map((n) => first.channel.send("t", bytes(String(n)), { to: "all" })));
      for (const report of reports) assert.equal(report.ok, true);
      for (const { node } of channels) assert.deepEqual(handled.filter((each) => each.startsWith(node)), [0, 1, 2].map((n) => `${node} ${n}`));
    } finally {
      for (const { channel } of channels) await channel.stop({ deadlineMs: 1_000 });
    }
  });
});

describe("targets", () => {
  const members = ["a", "b", "c"].map((node) => ({ node, incarnation: `${node}1` }));
  const view = { version: 1, members, coordinator: "b1" };
  const nodes = (to: Parameters<typeof resolveTargets>[0], random = 0) => resolveTargets(to, view, "a1", { next: () => random }).members.map(({ node }) => node);

  it("are all, others, the coordinator, the oldest, any other one, or nodes by name", () => {
    assert.deepEqual([nodes("all"), nodes("others"), nodes("coordinator"), nodes("oldest")], [["a", "b", "c"], ["b", "c"], ["b"], ["a"]]);
    assert.deepEqual([nodes("any", 0), nodes("any", 0.99)], [["b"], ["c"]]);
    assert.deepEqual(resolveTargets("any", { ...view, members: members.slice(0, 1) }, "a1", { next: () => 0.5 }).members.map(({ node }) => node), ["a"], "if there is no other one");
    assert.deepEqual(resolveTargets(["c", "z", "a", "c"], view, "a1", { next: () => 0 }), { members: [members[0], members[2]], missing: ["z"] });
    assert.deepEqual(resolveTargets("coordinator", { ...view, coordinator: null }, "a1", { next: () => 0 }).members, []);
  });
});
