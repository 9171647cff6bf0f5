import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decode, encode } from "@msgpack/msgpack";
import { checkPacked, msgpackCodec } from "../../src/channel/msgpack.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { Members } from "./members.ts";
import type { TestMember } from "./members.ts";

describe("MessagePack", () => {
  const codec = msgpackCodec();

  it("comes as it went, bytes and dates among it", async () => {
    const members = new Members(340);
    const [a, b] = (await members.start(2)) as [TestMember, TestMember];
    for (const { channel } of [a, b]) channel.define("t", { codec: "msgpack" });
    const value = { id: 7, at: new Date(1_700_000_000_123), raw: Uint8Array.of(1, 2, 3), tags: ["a", null, -1.5] };
    const came: unknown[] = [];
    b.channel.listen("t", (message) => void came.push(message.value()));
    assert.equal((await members.outcome(a.channel.send("t", value))).ok, true);
    assert.deepEqual(came, [value]);
  });

  it("is read wherever it is well formed: the walk over it agrees with the library", () => {
    const json = fc.jsonValue({ maxDepth: 10 }).filter((value) => !JSON.stringify(value).includes("__proto__"));
    fc.assert(fc.property(fc.oneof(json, fc.uint8Array({ maxLength: 70_000, size: "max" }), fc.array(fc.integer(), { minLength: 20, maxLength: 70 }), fc.string({ minLength: 30, maxLength: 300 })), (value) => {
      assert.deepEqual(codec.decode(codec.encode(value)), decode(encode(value)));
    }), { numRuns: 300 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        checkPacked(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError);
        assert.throws(() => codec.decode(bytes));
        return;
      }
      try {
        decode(bytes);
      } catch (error) {
        assert.doesNotMatch(String(error), /Extra|Insufficient|range/i); // keys that are no keys, __proto__, times that are none
      }
    }), { numRuns: 5_000 });
  });

  it("is refused where a few bytes announce much, or nest deep, before anything is made of it", () => {
    const filler = new Uint8Array(1_000);
    for (const head of [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0x80, 0, 0, 0], [0xdc, 0x03, 0xe8, 0xdc, 0x03, 0xe0], [0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0, 0, 4, 0]]) {
      assert.throws(() => codec.decode(Uint8Array.of(...head, ...filler)), RangeError, head.join());
    }
    const deep = (depth: number) => Uint8Array.of(...Array.from({ length: depth }, () => 0x91), 1);
    assert.throws(() => codec.decode(deep(65)), RangeError);
    assert.doesNotThrow(() => codec.decode(deep(64)));
    assert.throws(() => codec.decode(Uint8Array.of(0x81, 0xa9, ...Buffer.from("__proto__"), 0x80)), /__proto__/);
    assert.throws(() => codec.decode(Uint8Array.of(1, 1)), RangeError, "something follows");
  });

  it("says which package is missing, and leaves other trouble as it is", () => {
    const fails = (error: Error) => () => {
      throw error;
    };
    assert.throws(() => msgpackCodec(fails(Object.assign(new Error("Cannot find module '@msgpack/msgpack'"), { code: "MODULE_NOT_FOUND" }))), (error) => isTribuneError(error, "DRIVER_MISSING") && error.next?.includes("npm install @msgpack/msgpack") === true);
    assert.throws(() => msgpackCodec(fails(new SyntaxError("torn"))), SyntaxError);
  });

  it("refuses what has no form in it", () => {
    for (const value of [undefined, () => 1, Symbol("x")]) assert.throws(() => codec.encode(value), TypeError);
  });
});
