import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { exclusion } from "../../src/contexts/exclusion.ts";
import { checkKey, checkPath } from "../../src/contexts/names.ts";
import { contextsSettings } from "../../src/contexts/options.ts";
import { decodeValue, encodeValue } from "../../src/contexts/values.ts";
import { fc } from "../support/properties.ts";

const encode = (value: unknown) => encodeValue(value, "config: limits", 1_000);

describe("a value", () => {
  it("comes out as it went in", () => {
    const values = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"__proto__":')); // which is refused, below
    fc.assert(fc.property(values, (value) => assert.deepEqual(decodeValue(encodeValue(value, "x: k", 1_000_000), "x: k"), JSON.parse(JSON.stringify(value)))));
  });

  it("that would not is refused, by its place", () => {
    const loop: Record<string, unknown> = { name: "loop" };
    loop["inner"] = [loop];
    const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
      [undefined, /^config: limits is undefined/],
      [() => 1, /limits is a function/],
      [{ a: { list: [1, 2n] } }, /^config: limits\.a\.list\[1\] is a bigint/],
      [{ "a b": Symbol("s") }, /limits\["a b"\] is a symbol/],
      [[Number.NaN], /limits\[0\] is NaN/],
      [{ a: Number.POSITIVE_INFINITY }, /limits\.a is Infinity/],
      [{ a: undefined }, /limits\.a is undefined/],
      [[, 1], /limits\[0\] is undefined/], // oxlint-disable-line no-sparse-arrays -- a hole is what is tested
      [new Map(), /limits is a Map/],
      [{ at: new Date(0) }, /limits\.at is a Date/],
      [{ bytes: new Uint8Array(2) }, /limits\.bytes is a Uint8Array/],
      [{ when: { toJSON: () => 1 } }, /limits\.when\.toJSON is a function/],
      [loop, /limits\.inner\[0\] is an object that contains itself/],
      [JSON.parse('{"a":{"__proto__":{}}}'), /limits\.a is an object with a member named __proto__/],
      [{ [Symbol("s")]: 1 }, /symbol for a name/],
      [JSON.parse("[".repeat(70) + "]".repeat(70)), /nested deeper than 64/],
      ["x".repeat(1_001), /more than 1000 bytes/],
      ["ü".repeat(600), /more than 1000 bytes/],
      [{ a: "x".repeat(500), b: "x".repeat(600) }, /more than 1000 bytes/],
    ];
    for (const [value, message] of cases) assert.throws(() => encode(value), { code: "VALUE_INVALID", message }, String(message));
    const shared = { x: 1 };
    assert.equal(encode([shared, shared]), '[{"x":1},{"x":1}]', "twice is no cycle");
  });

  it("from elsewhere that names a prototype is refused", () => {
    for (const text of ['{"__proto__":{}}', String.raw`{"\u005f_proto__":1}`, "{"]) assert.throws(() => decodeValue(text, "x: k"), { code: "PAYLOAD_INVALID" });
    assert.deepEqual(decodeValue(String.raw`{"a":"\u0001"}`, "x: k"), { a: "\u0001" });
  });
});

describe("a name", () => {
  it("of a context is ids joined by slashes", () => {
    for (const good of ["a", "a/b-c/d.e_f", "0/1"]) assert.equal(checkPath(good), good);
    for (const bad of ["", "/a", "a/", "a//b", "..", "a/../b", "a b", "__proto__", "a/__proto__", "ü", 7, null, "a/".repeat(16) + "a", "a".repeat(129), `${"a".repeat(100)}/${"b".repeat(100)}/${"c".repeat(100)}`]) assert.throws(() => checkPath(bad), { code: "INVALID_NAME" }, String(bad));
  });

  it("of a property is any short text, but for what harms", () => {
    for (const good of ["a", "prices/€", "a b", "constructor", "x".repeat(200)]) assert.equal(checkKey(good), good);
    for (const bad of ["", "__proto__", "a\nb", "\u0000", "\ud800", "x".repeat(201), 7, undefined]) assert.throws(() => checkKey(bad), { code: "INVALID_NAME" }, String(bad));
  });

  it("is excluded by a pattern, or by a function", () => {
    const by = (...patterns: string[]) => (key: string) => exclusion(patterns)("x", key);
    assert.deepEqual(["local_a", "local_", "xlocal_", "Local_a"].map(by("local_*")), [true, true, false, false]);
    assert.deepEqual(["a.tmp", "a.tmpx", "secret", "secrets"].map(by("*.tmp", "secret")), [true, false, true, false]);
    assert.deepEqual(["a+b", "aab", "a\nb"].map(by("a+b", "a*b")), [true, true, true]);
    assert.equal(by()("local_a"), false);
    assert.equal(exclusion((path, key) => path === "x" && key === "k")("x", "k"), true);
  });
});

describe("options of contexts", () => {
  it("are checked all at once", () => {
    const bad = { flush: { everyMs: 0 }, mode: "sync", exclude: [""], maxValueBytes: 0, repairMs: 1, tombstoneMs: 10, durable: "yes", trac: true };
    assert.throws(() => contextsSettings(bad as never), (error: Error) => ["flush.everyMs", "mode", "exclude", "maxValueBytes", "repairMs", "tombstoneMs", "durable", "did you mean track?"].every((word) => error.message.includes(word)));
    assert.throws(() => contextsSettings({ durable: true, maxValueBytes: 300_000 }), { code: "INVALID_OPTIONS" });
    assert.throws(() => contextsSettings([] as never), { code: "INVALID_OPTIONS" });
    assert.equal(contextsSettings({}).flush, "explicit");
  });
});
