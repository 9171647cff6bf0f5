import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";
import { compress, counters, trace } from "../../src/channel/index.ts";
import type { ChannelOptions, Interceptor, SendReport } from "../../src/channel/index.ts";
import { Pipeline } from "../../src/channel/interceptors.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { bytes, Members, text } from "./members.ts";
import type { TestMember } from "./members.ts";

type Two = [TestMember, TestMember];

const codes = ({ results }: SendReport) => [...results.values()].map((result) => (result.status === "failed" ? result.code : result.status));
const invalid = (error: unknown) => isTribuneError(error, "PAYLOAD_INVALID");

/** Two members of which each has its own options. */
async function two(seed: number, ofSender: ChannelOptions, ofReceiver: ChannelOptions): Promise<{ members: Members; a: TestMember; b: TestMember }> {
  const members = new Members(seed);
  const a = await members.add({}, ofSender);
  const b = await members.add({}, ofReceiver);
  members.publish();
  await members.clock.advanceUntil(() => members.isWhole(), 10_000);
  return { members, a, b };
}

describe("the pipeline", () => {
  const passing = (name: string, seen: string[]): Interceptor => ({
    name,
    send: (payload) => (seen.push(`${name} out`), { payload: bytes(`${name}(${text(payload)})`), note: `${name}!` }),
    receive: (payload, _about, note) => (seen.push(`${name} in`), bytes(text(payload).slice(name.length + 1, -1) + (note === `${name}!` ? "" : " without its note"))),
    handle: (next) => (seen.push(`${name} around`), next()),
  });

  it("has one order, which it says: one's own first, then those of the house; and backwards where a message comes", async () => {
    const seen: string[] = [];
    const members = new Members(310, { interceptors: [counters(), passing("first", seen), compress(), passing("second", seen), trace({ inject: () => undefined, run: (_carrier, next) => next() })] });
    const [a, b] = (await members.start(2)) as Two;
    assert.deepEqual(a.channel.pipeline, ["first", "second", "trace", "compress", "counters", "total order", "order", "at most once", "acknowledge and retry", "fragment"]);
    b.channel.listen("t", ({ payload }) => void seen.push(text(payload)));
    assert.deepEqual(codes(await members.outcome(a.channel.send("t", bytes("hello")))), ["delivered"]);
    assert.deepEqual(seen, ["first out", "second out", "second in", "first in", "first around", "second around", "hello"]);
    seen.length = 0;
    b.channel.respond("ask", ({ payload }) => bytes(`${text(payload)} yourself`));
    const { replies } = await members.outcome(a.channel.request("ask", bytes("hello")));
    assert.deepEqual([...replies.values()].map((reply) => (reply.status === "replied" ? text(reply.payload) : reply)), ["hello yourself"]);
    assert.deepEqual(seen, ["first out", "second out", "second in", "first in", "first around", "second around", "first out", "second out", "second in", "first in"]);
  });

  it("costs a message without interceptors nothing, and passes states by", () => {
    const payload = bytes("x");
    assert.deepEqual(new Pipeline([]).out(payload, { kind: "message", topic: "t" }), { payload, enveloped: false });
    assert.deepEqual(new Pipeline([passing("own", [])]).out(payload, { kind: "request", topic: "=state" }), { payload, enveloped: false });
    assert.equal(new Pipeline([]).in({ payload, enveloped: false }, { kind: "message", topic: "t" }).payload, payload);
  });

  it("opens what it closed, and refuses any other bytes in order", () => {
    const pipeline = new Pipeline([passing("own", [])]);
    const about = { kind: "message", topic: "t" } as const;
    fc.assert(fc.property(fc.string(), (words) => assert.equal(text(pipeline.in(pipeline.out(bytes(words), about), about).payload), text(bytes(words)))));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (payload) => {
      try {
        pipeline.in({ payload, enveloped: true }, about);
      } catch (error) {
        assert.ok(invalid(error), String(error));
      }
    }), { numRuns: 3_000 });
  });

  it("makes a failed result of what does not pass at the receiver, and a rejection of what does not pass at the sender", async () => {
    const { members, a, b } = await two(311, { interceptors: [{ name: "own", send: (payload) => { if (text(payload) === "bad") throw new TypeError("no"); return undefined; } }] }, { interceptors: [{ name: "own", receive: () => { throw new TypeError("not this"); } }] });
    let handled = 0;
    b.channel.listen("t", () => void handled++);
    b.channel.respond("ask", () => void handled++);
    await assert.rejects(a.channel.send("t", bytes("bad")), TypeError);
    assert.deepEqual(codes(await members.outcome(a.channel.send("t", bytes("good")))), ["PAYLOAD_INVALID"]);
    const { replies } = await members.outcome(a.channel.request("ask", bytes("good")));
    assert.deepEqual([...replies.values()].map((reply) => (reply.status === "failed" ? reply.code : reply)), ["PAYLOAD_INVALID"]);
    assert.equal(handled, 0);
  });

  it("is refused with names that cannot be, or twice", async () => {
    const named = (...names: string[]) => () => new Members(1, { interceptors: names.map((name) => ({ name })) }).add();
    for (const names of [["a", "a"], [""], ["no name"], Array.from({ length: 17 }, (_, n) => `n${n}`)]) await assert.rejects(named(...names), (error) => isTribuneError(error, "INVALID_OPTIONS"), names.join());
  });
});

describe("compress", () => {
  it("makes what is long smaller on the wire, and the same again", async () => {
    const [ofA, ofB] = [counters(), counters()];
    const { members, a, b } = await two(312, { interceptors: [compress(), ofA] }, { interceptors: [compress(), ofB] });
    const came: Uint8Array[] = [];
    b.channel.listen("t", ({ payload }) => void came.push(payload));
    const long = bytes("again and ".repeat(10_000));
    await members.outcome(a.channel.send("t", long));
    await members.outcome(a.channel.send("t", bytes("short")));
    assert.deepEqual(came.map(text), [text(long), "short"]);
    const { sent } = ofA.traffic.message;
    assert.ok(sent.count === 2 && sent.bytes < long.length / 50, JSON.stringify(sent));
    assert.deepEqual(ofB.traffic.message.received, sent);
  });

  it("is refused by who does not have it, as text for people says", async () => {
    const { members, a, b } = await two(313, { interceptors: [compress()] }, {});
    b.channel.listen("t", () => assert.fail("it was handled"));
    const { results } = await members.outcome(a.channel.send("t", new Uint8Array(5_000)));
    assert.match(JSON.stringify([...results.values()]), /PAYLOAD_INVALID.*interceptor compress/);
  });

  it("unpacks no more than its bound, whatever a peer has packed", () => {
    const bomb = deflateRawSync(new Uint8Array(50_000_000));
    assert.ok(bomb.length < 100_000);
    const peer = new Pipeline([{ name: "compress", send: () => ({ payload: bomb, note: "deflate", mustBeKnown: true }) }]);
    const here = new Pipeline([compress({ mostBytes: 1_000_000 })]);
    const about = { kind: "message", topic: "t" } as const;
    assert.throws(() => here.in(peer.out(bytes(""), about), about), invalid);
    const garbled = new Pipeline([{ name: "compress", send: () => ({ payload: bytes("not deflated"), note: "deflate" }) }]);
    assert.throws(() => here.in(garbled.out(bytes(""), about), about), invalid);
  });

  it("refuses options that cannot be, all at once", () => {
    assert.throws(() => compress({ level: 0, fromBytes: -1, mostBytes: 2 ** 40, speed: 1 } as never), (error) => isTribuneError(error, "INVALID_OPTIONS") && ["level", "fromBytes", "mostBytes", "speed"].every((word) => error.message.includes(word)));
  });
});

describe("trace", () => {
  it("runs handlers in their sender's context, through awaits, and leaves those without one alone", async () => {
    const context = new AsyncLocalStorage<string>();
    const propagator = {
      inject: (carrier: Record<string, string>) => {
        const parent = context.getStore();
        if (parent !== undefined) Object.assign(carrier, { traceparent: parent, tracestate: "vendor=a:b" });
      },
      run: (carrier: Readonly<Record<string, string>>, next: () => unknown) => context.run(`${carrier["traceparent"]} ${carrier["tracestate"]}`, next),
    };
    const members = new Members(314, { interceptors: [trace(propagator)] });
    const [a, b] = (await members.start(2)) as Two;
    const seen: unknown[] = [];
    b.channel.listen("t", async () => {
      await Promise.resolve();
      seen.push(context.getStore());
    });
    b.channel.respond("ask", () => void seen.push(context.getStore()));
    const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await members.outcome(context.run(parent, () => a.channel.send("t", 1)));
    await members.outcome(context.run(parent, () => a.channel.request("ask", 1)));
    await members.outcome(a.channel.send("t", 1));
    assert.deepEqual(seen, [`${parent} vendor=a:b`, `${parent} vendor=a:b`, undefined]);
  });
});
