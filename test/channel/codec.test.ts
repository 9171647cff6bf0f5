import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytesCodec, DEEPEST_JSON, jsonCodec } from "../../src/channel/index.ts";
import type { Schema, SendReport } from "../../src/channel/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { bytes, Members } from "./members.ts";
import type { TestMember } from "./members.ts";

type Three = [TestMember, TestMember, TestMember];

const results = ({ results: all }: SendReport) => Object.fromEntries([...all].map(([node, result]) => [node, result.status === "failed" ? result.code : result.status]));

/** Takes numbers, and gives them doubled; later, if it is to. */
const doubled = (later: boolean): Schema => ({
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      const result = typeof value === "number" ? { value: value * 2 } : { issues: [{ message: "no number" }] };
      return later ? Promise.resolve(result) : result;
    },
  },
});

describe("JSON", () => {
  it("comes as it went", () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
      const parsed: unknown = JSON.parse(JSON.stringify(value));
      if (JSON.stringify(value).includes("__proto__")) return;
      assert.deepEqual(jsonCodec.decode(jsonCodec.encode(value)), parsed);
    }), { numRuns: 500 });
  });

  it("is refused with a member named __proto__, however it is spelt, and taken with the word in a text", () => {
    for (const text of ['{"__proto__":{"a":1}}', '[{"b":{"__proto__":1}}]', '{"\\u005f_proto__":1}', '{"__pr\\u006fto__":1}']) assert.throws(() => jsonCodec.decode(bytes(text)), /__proto__/, text);
    assert.deepEqual(jsonCodec.decode(bytes('{"a":"__proto__","b":"\\u005f"}')), { a: "__proto__", b: "_" });
    assert.equal((Object.prototype as { a?: unknown }).a, undefined);
  });

  it("is refused when it is nested too deep, before it is parsed; brackets in texts do not count", () => {
    const nested = (depth: number) => bytes("[".repeat(depth) + "]".repeat(depth));
    assert.ok(jsonCodec.decode(nested(DEEPEST_JSON)));
    assert.throws(() => jsonCodec.decode(nested(DEEPEST_JSON + 1)), /nested/);
    assert.throws(() => jsonCodec.decode(bytes("[".repeat(1_000_000))), /nested/);
    assert.equal(jsonCodec.decode(bytes(JSON.stringify(`\\"${"[".repeat(1_000)}`))), `\\"${"[".repeat(1_000)}`);
  });

  it("has no form for what is none, and no meaning in what is no UTF-8; of bytes only bytes are", () => {
    for (const value of [undefined, () => 1, Symbol("x"), 1n]) assert.throws(() => jsonCodec.encode(value), TypeError);
    assert.throws(() => jsonCodec.decode(Uint8Array.of(34, 0xff, 34)));
    assert.throws(() => bytesCodec.encode("x"), TypeError);
  });
});

describe("a topic", () => {
  it("carries values as JSON unless it is said otherwise, and bytes as they are", async () => {
    const members = new Members(41);
    const [a, b] = (await members.start(2)) as Three;
    const values: unknown[] = [];
    const own = { encode: (value: unknown) => bytes(`<${String(value)}>`), decode: (payload: Uint8Array) => Buffer.from(payload).toString().slice(1, -1) };
    for (const { channel } of [a, b]) {
      channel.define("own", { codec: own });
      channel.define("raw", { codec: "bytes" });
    }
    for (const topic of ["plain", "own", "raw"]) b.channel.listen(topic, (message) => void values.push(message.value()));
    await members.outcome(a.channel.send("plain", { cache: [1, "x", null] }));
    await members.outcome(a.channel.send("own", "x"));
    await members.outcome(a.channel.send("own", bytes("<y>")));
    await members.outcome(a.channel.send("raw", Uint8Array.of(1, 2)));
    await assert.rejects(a.channel.send("raw", "x"), (error) => isTribuneError(error, "PAYLOAD_INVALID"));
    assert.deepEqual(values.map((value) => (value instanceof Uint8Array ? [...value] : value)), [{ cache: [1, "x", null] }, "x", "y", [1, 2]]);
  });

  it("decodes what a handler asks for, once, and never what is a duplicate, for others, or not asked for", async () => {
    const members = new Members(42);
    const [a, b, c] = (await members.start(3)) as Three;
    let ask = false;
    b.channel.listen("t", (message) => void (ask && message.value() === message.value()));
    b.channel.listen("t", (message) => void (ask && message.value()));
    c.channel.listen("t", () => undefined);
    for (let n = 0; n < 20; n++) await members.outcome(a.channel.send("t", { n }));
    assert.deepEqual([a, b, c].map(({ channel }) => channel.counts.decoded), [0, 0, 0]);
    ask = true;
    // Handled, but word of it is lost with the connection: all of it is sent again.
    members.network.delay("node-2", "node-1", 500);
    const sending = Array.from({ length: 20 }, (_, n) => a.channel.send("t", { n }, { to: ["node-2"] }));
    await members.clock.advance(100);
    members.network.break("node-1", "node-2");
    members.network.delay("node-2", "node-1", 0);
    for (const report of await members.outcome(Promise.all(sending))) assert.equal(report.ok, true);
    assert.deepEqual([a, b, c].map(({ channel }) => channel.counts.decoded), [0, 20, 0]);
  });

  it("with a schema hands its output to handlers, and answers what does not fit with PAYLOAD_INVALID, in order", async () => {
    for (const later of [false, true]) {
      const members = new Members(43);
      const [a, b] = (await members.start(2)) as Three;
      const values: unknown[] = [];
      b.channel.define("t", { schema: doubled(later) });
      b.channel.listen("t", (message) => void values.push(message.value()));
      const sending = [1, "x", 3].map((value) => a.channel.send("t", value));
      sending.push(a.channel.send("t", bytes("{not json")), a.channel.send("t", 4));
      const reports = await members.outcome(Promise.all(sending));
      assert.deepEqual(reports.map((report) => results(report)["node-2"]), ["delivered", "PAYLOAD_INVALID", "delivered", "PAYLOAD_INVALID", "delivered"]);
      assert.deepEqual(values, [2, 6, 8]);
    }
  });

  it("answers PAYLOAD_INVALID when a handler asks for a value that cannot be read", async () => {
    const members = new Members(44);
    const [a, b] = (await members.start(2)) as Three;
    b.channel.listen("t", (message) => void message.value());
    assert.deepEqual(results(await members.outcome(a.channel.send("t", bytes('{"__proto__":1}')))), { "node-2": "PAYLOAD_INVALID" });
  });
});
