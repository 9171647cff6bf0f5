import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Moved } from "../../src/channel/index.ts";
import type { Reply, RequestReport } from "../../src/channel/index.ts";
import { decodeRpc, encodeRpc } from "../../src/channel/rpc-words.ts";
import type { RpcWord } from "../../src/channel/rpc-words.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { Members } from "./members.ts";
import type { TestMember } from "./members.ts";

type Three = [TestMember, TestMember, TestMember];

const shown = (reply: Reply) => (reply.status === "replied" ? reply.value() : reply.status === "failed" ? reply.code : reply.status);
const replies = (report: RequestReport) => Object.fromEntries([...report.replies].map(([node, reply]) => [node, shown(reply)]));
const never = () => new Promise<never>(() => undefined);

describe("words of requests", () => {
  const id = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  const word: fc.Arbitrary<RpcWord> = fc.oneof(
    fc.record({ kind: fc.constantFrom("request" as const, "reply" as const), id, payload: fc.uint8Array({ maxLength: 50 }), enveloped: fc.boolean() }),
    fc.record({ kind: fc.constantFrom("open" as const, "item" as const), id, number: id, payload: fc.uint8Array({ maxLength: 50 }), enveloped: fc.boolean() }),
    fc.record({ kind: fc.constantFrom("more" as const, "end" as const), id, number: id }),
    fc.record({ kind: fc.constant("cancel" as const), id }),
    fc.record({ kind: fc.constant("failed" as const), id, after: id, code: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,30}$/), message: fc.string({ maxLength: 100 }) }),
    fc.record({ kind: fc.constant("moved" as const), id, member: fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/), version: fc.maxSafeNat() }),
  );

  it("are read as they were written", () => {
    fc.assert(fc.property(word, (each) => {
      const read = decodeRpc(encodeRpc(each));
      assert.deepEqual("payload" in read ? { ...read, payload: new Uint8Array(read.payload) } : read, { ...each });
    }), { numRuns: 1_000 });
  });

  it("are read or refused, for any bytes, truncation, and changed byte", () => {
    const reads = (bytes: Uint8Array) => {
      try {
        decodeRpc(bytes);
      } catch (error) {
        assert.ok(isTribuneError(error, "PROTOCOL_VIOLATION"), String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), reads), { numRuns: 3_000 });
    fc.assert(fc.property(word, fc.nat(), fc.nat(255), (each, at, value) => {
      const bytes = new Uint8Array(encodeRpc(each));
      reads(bytes.map((byte, n) => (n === at % bytes.length ? value : byte)));
      reads(bytes.subarray(0, at % bytes.length));
    }), { numRuns: 3_000 });
  });
});

describe("a request", () => {
  it("is answered with a value, nothing, or the code of what the handler threw", async () => {
    const members = new Members(51);
    const [a, b] = (await members.start(2)) as Three;
    const stop = b.channel.respond("sum", async (request) => {
      const numbers = request.value() as number[];
      if (numbers.length === 0) throw Object.assign(new Error("no numbers"), { code: "EMPTY" });
      return numbers.reduce((sum, each) => sum + each);
    });
    b.channel.respond("nothing", () => undefined);
    const ask = async (topic: string, value: unknown) => replies(await members.outcome(a.channel.request(topic, value)));
    assert.deepEqual(await ask("sum", [1, 2, 3]), { "node-2": 6 });
    assert.deepEqual(await ask("sum", []), { "node-2": "EMPTY" });
    assert.deepEqual(await ask("nothing", 0), { "node-2": null });
    assert.deepEqual(await ask("unknown", 0), { "node-2": "TOPIC_UNHANDLED" });
    stop();
    assert.deepEqual(await ask("sum", [1]), { "node-2": "TOPIC_UNHANDLED" });
    assert.throws(() => b.channel.respond("nothing", () => 1), (error) => isTribuneError(error, "INVALID_OPTIONS"));
  });

  it("to all counts this member where it is among them: two of three are a majority, one is not", async () => {
    for (const answering of [1, 2, 3]) {
      const members = new Members(52);
      const [a, b, c] = (await members.start(3)) as Three;
      // The sender first: it is one of the three.
      for (const [n, each] of [a, b, c].entries()) each.channel.respond("vote", () => (n < answering ? "yes" : Promise.reject(Object.assign(new Error("no"), { code: "NO" }))));
      const report = await members.outcome(a.channel.request("vote", 0, { to: "all", policy: "majority" }));
      assert.equal(report.ok, answering >= 2, `${answering} answer`);
      assert.equal((await members.outcome(a.channel.request("vote", 0, { to: "all", policy: "all" }))).ok, answering === 3);
      assert.equal((await members.outcome(a.channel.request("vote", 0, { to: "all", policy: "first" }))).ok, true);
    }
  });

  it("counts who is no member, or left, among those who were asked: a majority does not shrink", async () => {
    const members = new Members(53);
    const [a, b, c] = (await members.start(3)) as Three;
    a.channel.respond("vote", () => "yes");
    for (const each of [b, c]) each.channel.respond("vote", never);
    const asking = a.channel.request("vote", 0, { to: "all", policy: "majority", deadlineMs: 60_000 });
    await members.clock.advance(100);
    members.publish([a, b]);
    await members.clock.advance(100);
    members.publish([a]);
    const report = await members.outcome(asking);
    assert.deepEqual([report.ok, replies(report)], [false, { "node-1": "yes", "node-2": "left", "node-3": "left" }]);
    assert.equal((await members.outcome(a.channel.request("vote", 0, { to: ["node-1", "x", "y"], policy: "majority" }))).ok, false);
    assert.equal((await members.outcome(a.channel.request("vote", 0, { to: ["node-1", "x"], policy: "first" }))).ok, true);
  });

  it("whose policy is met tells the others to stop; one with the policy none waits for nobody and is handled", async () => {
    const members = new Members(54);
    const [a, b, c] = (await members.start(3)) as Three;
    const ended: unknown[] = [];
    b.channel.respond("find", () => "here");
    c.channel.respond("find", ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => {
      ended.push((signal.reason as { code?: string }).code);
      reject(signal.reason as Error);
    })));
    assert.deepEqual(replies(await members.outcome(a.channel.request("find", 0, { to: "others", policy: "first" }))), { "node-2": "here" });
    await members.clock.advance(100);
    assert.deepEqual(ended, ["ABORTED"]);
    let handled = 0;
    for (const each of [b, c]) each.channel.respond("note", () => ++handled);
    assert.deepEqual(await members.outcome(a.channel.request("note", 0, { to: ["node-2", "node-3", "x"], policy: "none" })), { replies: new Map(), ok: true });
    await members.clock.advance(100);
    assert.equal(handled, 2);
  });

  it("that its caller gives up, whose deadline comes, or whose sender leaves, is cancelled where it is worked on", async () => {
    for (const how of ["signal", "deadline", "leave"] as const) {
      const members = new Members(55);
      const [a, b] = (await members.start(2)) as Three;
      let cancelled = false;
      const remaining: number[] = [];
      b.channel.respond("work", (request) => {
        remaining.push(request.remainingMs());
        return new Promise((resolve) => request.signal.addEventListener("abort", () => {
          cancelled = true;
          resolve("too late");
        }));
      });
      const abort = new AbortController();
      const asking = a.channel.request("work", 0, { deadlineMs: 3_000, signal: abort.signal });
      const outcome = asking.then(replies, (error: unknown) => (isTribuneError(error, "ABORTED") ? "aborted" : error));
      await members.clock.advance(1_000);
      assert.equal(cancelled, false);
      if (how === "signal") abort.abort();
      if (how === "leave") members.publish([b]);
      await members.clock.advance(how === "deadline" ? 2_200 : 200);
      assert.equal(cancelled, true, how);
      assert.ok((remaining[0] ?? 0) > 2_900 && (remaining[0] ?? 0) <= 3_000);
      if (how !== "leave") assert.deepEqual(await members.outcome(outcome), how === "signal" ? "aborted" : { "node-2": "timeout" });
    }
  });

  it("over the limit is answered BUSY, and taken again when there is room", async () => {
    const members = new Members(56);
    const [a, b] = (await members.start(2)) as Three;
    const open: Array<(value: string) => void> = [];
    b.channel.respond("work", () => new Promise<string>((resolve) => open.push(resolve)), { concurrency: 2 });
    const asking = [0, 1, 2].map(() => a.channel.request("work", 0));
    await members.clock.advance(100);
    for (const each of open) each("done");
    assert.deepEqual((await members.outcome(Promise.all(asking))).map((report) => replies(report)["node-2"]), ["done", "done", "BUSY"]);
    const again = a.channel.request("work", 0);
    await members.clock.advance(100);
    open.at(-1)?.("again");
    assert.deepEqual(replies(await members.outcome(again)), { "node-2": "again" });
  });

  it("goes on to the member that Moved names, not in circles, not back to an older version, and not to one that is unknown", async () => {
    const members = new Members(57);
    const [a, b, c] = (await members.start(3)) as Three;
    const asked: string[] = [];
    const answers = (each: TestMember, answer: () => unknown) => each.channel.respond("shard", () => {
      asked.push(each.node);
      return answer();
    });
    const movedTo = (member: string, version: number) => () => {
      throw new Moved({ member, version });
    };
    const ask = async (b1: () => unknown, c1: () => unknown) => {
      asked.length = 0;
      const stops = [answers(b, b1), answers(c, c1)];
      const report = await members.outcome(a.channel.request("shard", 0, { to: ["node-2"] }));
      for (const stop of stops) stop();
      const [reply] = report.replies.values();
      return [reply?.status, reply?.status === "replied" ? reply.by : undefined, ...asked];
    };
    assert.deepEqual(await ask(movedTo("node-3", 4), () => "here"), ["replied", "node-3", "node-2", "node-3"]);
    assert.deepEqual(await ask(movedTo("node-3", 4), movedTo("node-2", 5)), ["moved", undefined, "node-2", "node-3"]);
    assert.deepEqual(await ask(movedTo("node-9", 4), () => "here"), ["moved", undefined, "node-2"]);
    a.channel.respond("shard", () => "here too");
    assert.deepEqual(await ask(movedTo("node-3", 4), movedTo("node-1", 3)), ["moved", undefined, "node-2", "node-3"], "an older version");
    assert.deepEqual(await ask(movedTo("node-3", 4), movedTo("node-1", 4)), ["replied", "node-1", "node-2", "node-3"]);
  });

  it("goes on to the member that a Moved names which was returned, as to one that was thrown", async () => {
    const members = new Members(59);
    const [a, b, c] = (await members.start(3)) as Three;
    b.channel.respond("shard", () => new Moved({ member: "node-3", version: 4 }));
    c.channel.respond("shard", () => "here");
    const report = await members.outcome(a.channel.request("shard", 0, { to: ["node-2"] }));
    const reply = report.replies.get("node-2");
    assert.deepEqual([report.ok, reply?.status === "replied" ? [reply.by, reply.value()] : reply], [true, ["node-3", "here"]]);
    const own = await members.outcome(b.channel.request("shard", 0, { to: ["node-2"] }));
    assert.deepEqual([own.ok, replies(own)], [true, { "node-2": "here" }]);
  });

  it("to several that answer Moved asks nobody twice: no reply counts twice", async () => {
    const members = new Members(58);
    const [a, b, c] = (await members.start(3)) as Three;
    let asked = 0;
    a.channel.respond("shard", () => ++asked);
    for (const each of [b, c]) each.channel.respond("shard", () => Promise.reject(new Moved({ member: "node-1", version: 1 })));
    assert.deepEqual(await members.outcome(a.channel.request("shard", 0, { to: "others", policy: "majority" })).then(({ ok }) => [ok, asked]), [false, 0]);
    assert.deepEqual(await members.outcome(a.channel.request("shard", 0, { to: "others", policy: "first" })).then(({ ok }) => [ok, asked]), [true, 1]);
  });

  it("is worked on once, and answered, over connections that break again and again", async () => {
    for (let seed = 60; seed < 66; seed++) {
      const members = new Members(seed, { maxRetries: 1_000 });
      const [a, b] = (await members.start(2)) as Three;
      const worked = new Map<number, number>();
      b.channel.respond("work", (request) => {
        const n = request.value() as number;
        worked.set(n, (worked.get(n) ?? 0) + 1);
        return n * 2;
      });
      const asking: Array<Promise<RequestReport>> = [];
      for (let n = 0; n < 100; n++) {
        asking.push(a.channel.request("work", n, { deadlineMs: 120_000 }));
        if (members.random.next() < 0.15) members.network.break("node-1", "node-2", members.random.next() < 0.5 ? "lost" : "arrive");
        await members.clock.advance(members.random.next() * 50);
      }
      const reports = await members.outcome(Promise.all(asking), 200_000);
      assert.deepEqual(reports.map((report) => replies(report)["node-2"]), Array.from({ length: 100 }, (_, n) => n * 2));
      assert.deepEqual([...worked.values()], Array.from({ length: 100 }, () => 1));
    }
  });

  it("that cannot be sent in time has timed out, is never worked on, and is no gap in anybody's messages", async () => {
    const members = new Members(67);
    const [a, b] = (await members.start(2)) as Three;
    let [worked, gaps] = [0, 0];
    b.channel.respond("t", () => ++worked);
    b.channel.on("gap", () => ++gaps);
    members.network.bar("node-1", "node-2");
    members.network.bar("node-2", "node-1");
    await members.clock.advance(100);
    assert.deepEqual(replies(await members.outcome(a.channel.request("t", 0, { deadlineMs: 1_000 }))), { "node-2": "timeout" });
    members.network.unbar("node-1", "node-2");
    members.network.unbar("node-2", "node-1");
    assert.deepEqual(replies(await members.outcome(a.channel.request("t", 0, { deadlineMs: 30_000 }))), { "node-2": 1 });
    assert.deepEqual([worked, gaps], [1, 0]);
  });

  it("is not held up by a handler of messages on the same topic", async () => {
    const members = new Members(59);
    const [a, b] = (await members.start(2)) as Three;
    b.channel.listen("t", never);
    b.channel.respond("t", () => "quick");
    for (let n = 0; n < 10; n++) await members.outcome(a.channel.send("t", n, { mode: "async" }));
    assert.deepEqual(replies(await members.outcome(a.channel.request("t", 0, { deadlineMs: 1_000 }))), { "node-2": "quick" });
  });
});
