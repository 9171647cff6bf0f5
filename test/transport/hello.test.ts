import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTribuneError } from "../../src/kernel/index.ts";
import { admit, recognize } from "../../src/transport/admission.ts";
import type { Standing } from "../../src/transport/admission.ts";
import { encodeHello, encodeRefusal, encodeWelcome, LONGEST_HELLO, PREAMBLE_BYTES, readAnswer, readHello } from "../../src/transport/hello.ts";
import type { Hello } from "../../src/transport/hello.ts";
import { fc } from "../support/properties.ts";

const A = { group: "billing", node: "node-a", incarnation: "aaaa", address: "10.0.0.1:4000" };
const B = { group: "billing", node: "node-b", incarnation: "bbbb", address: "10.0.0.2:4000" };
const LIMITS = { maxFrameBytes: 2 ** 24, windowBytes: 2 ** 20, assemblyBytes: 2 ** 25, beatMs: 1_000 };

const helloOf = (from: typeof A, to: typeof A, more: Partial<Hello> = {}): Hello => ({ ...from, limits: LIMITS, newestVersion: 1, oldestVersion: 1, to: to.incarnation, connectionId: "c0ffee", lostId: "", ...more });

const HELLO = helloOf(A, B);
const NONE: Standing = { kind: "none" };

describe("a handshake", () => {
  it("is read as it was written", () => {
    const bytes = encodeHello(HELLO);
    assert.deepEqual(readHello(bytes), { value: HELLO, bytes: bytes.length });
    const welcome = { ...B, limits: LIMITS, version: 1 };
    const answer = encodeWelcome(welcome);
    assert.deepEqual(readAnswer(answer), { value: welcome, bytes: answer.length });
    assert.deepEqual(readAnswer(encodeRefusal("duplicate")), { value: { refused: "duplicate" }, bytes: encodeRefusal("duplicate").length });
  });

  it("needs more for every truncation, and takes no more than itself", () => {
    const bytes = encodeHello(HELLO);
    for (let length = 0; length < bytes.length; length++) assert.equal(readHello(bytes.subarray(0, length)), "more");
    const longer = new Uint8Array([...bytes, 1, 2, 3]);
    assert.deepEqual(readHello(longer), { value: HELLO, bytes: bytes.length });
    const answer = encodeWelcome({ ...B, limits: LIMITS, version: 1 });
    for (let length = 0; length < answer.length; length++) assert.equal(readAnswer(answer.subarray(0, length)), "more");
  });

  it("is refused at the first byte that cannot be one, and never holds more than its limit", () => {
    for (const text of ["G", "SSH-2.0", "TRBX", "\u0016\u0003\u0001"]) assert.throws(() => readHello(Buffer.from(text, "latin1")), violates, text);
    const endless = encodeHello(HELLO);
    new DataView(endless.buffer).setUint32(PREAMBLE_BYTES, LONGEST_HELLO + 1);
    assert.throws(() => readHello(endless.subarray(0, PREAMBLE_BYTES + 6)), violates);
    const huge = encodeHello(HELLO);
    new DataView(huge.buffer).setUint32(PREAMBLE_BYTES, 0xffffffff);
    assert.throws(() => readHello(huge), violates);
  });

  it("is read or refused for any bytes and any changed byte, and nothing else", () => {
    const valid = encodeHello(HELLO);
    const reads = (bytes: Uint8Array) => {
      for (const read of [readHello, readAnswer]) {
        try {
          read(bytes);
        } catch (error) {
          assert.ok(violates(error), String(error));
        }
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), reads), { numRuns: 2_000 });
    fc.assert(fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, value) => reads(valid.map((byte, n) => (n === at ? value : byte)))), { numRuns: 2_000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => reads(new Uint8Array([...valid.subarray(0, PREAMBLE_BYTES + 6), ...tail]))), { numRuns: 2_000 });
  });

  it("with a bad name, or limits that nobody can keep, is refused", () => {
    for (const more of [{ node: "" }, { node: "a b" }, { group: "../x" }, { incarnation: "\u0000" }]) assert.throws(() => readHello(encodeHello({ ...HELLO, ...more })), violates, JSON.stringify(more));
    for (const limits of [{ ...LIMITS, windowBytes: 0 }, { ...LIMITS, windowBytes: 4_095 }, { ...LIMITS, beatMs: 0 }, { ...LIMITS, beatMs: 2 ** 32 - 1 }, { ...LIMITS, assemblyBytes: 1 }, { ...LIMITS, maxFrameBytes: 1 }, { ...LIMITS, maxFrameBytes: 16_384 }]) assert.throws(() => readHello(encodeHello({ ...HELLO, limits })), violates, JSON.stringify(limits));
  });

  it("of a later version that still speaks this one may say more; one that does not is known by its preamble alone", () => {
    const more = encodeHello({ ...HELLO, newestVersion: 2 });
    assert.deepEqual((readHello(more) as { value: Hello }).value, { ...HELLO, newestVersion: 2 });
    const foreign = encodeHello({ ...HELLO, newestVersion: 9, oldestVersion: 8 });
    const { value } = readHello(foreign) as { value: Hello };
    assert.deepEqual(admit(value, B, undefined, NONE), { refuse: "version" });
  });
});

describe("admission", () => {
  it("lets in who is in the view, with the node and the address that the view has", () => {
    assert.deepEqual(admit(HELLO, B, A, NONE), { version: 1, ends: "nothing" });
    assert.deepEqual(admit(HELLO, B, { node: A.node, incarnation: A.incarnation }, NONE), { version: 1, ends: "nothing" }, "the view has no address");
  });

  it("refuses a stranger, another group, another one's name or address, and who looks for somebody else", () => {
    assert.deepEqual(admit(HELLO, B, undefined, NONE), { refuse: "unknown-peer" });
    assert.deepEqual(admit({ ...HELLO, group: "other" }, B, A, NONE), { refuse: "wrong-group" });
    assert.deepEqual(admit({ ...HELLO, node: "node-c" }, B, A, NONE), { refuse: "wrong-identity" });
    assert.deepEqual(admit({ ...HELLO, address: "10.6.6.6:4000" }, B, A, NONE), { refuse: "wrong-identity" });
    assert.deepEqual(admit({ ...HELLO, to: "an-older-one" }, B, A, NONE), { refuse: "not-here" });
    assert.deepEqual(admit(helloOf(B, B), B, B, NONE), { refuse: "unknown-peer" }, "itself");
  });

  it("replaces a connection that the dialler has seen end, and no other one", () => {
    const standing: Standing = { kind: "up", connectionId: "old" };
    assert.deepEqual(admit({ ...HELLO, lostId: "old" }, B, A, standing), { version: 1, ends: "connection" });
    assert.deepEqual(admit({ ...HELLO, lostId: "older" }, B, A, standing), { refuse: "duplicate" });
    assert.deepEqual(admit(HELLO, B, A, standing), { refuse: "duplicate" });
  });

  it("lets exactly one of two dials remain, whichever hello is read first", () => {
    const saidHello: Standing = { kind: "dialling", saidHello: true };
    const atA = admit(helloOf(B, A), A, B, saidHello);
    const atB = admit(helloOf(A, B), B, A, saidHello);
    assert.deepEqual([atA.refuse, atB.refuse], ["duplicate", undefined], "the one by the smaller incarnation");
    for (const [self, peer] of [[A, B], [B, A]] as const) assert.deepEqual(admit(helloOf(peer, self), self, peer, { kind: "dialling", saidHello: false }), { version: 1, ends: "dial" }, "a dial that nobody has heard of gives way");
  });

  it("recognizes who answered", () => {
    const welcome = { ...B, limits: LIMITS, version: 1 };
    assert.equal(recognize(welcome, B, "billing"), undefined);
    assert.match(recognize({ ...welcome, group: "other" }, B, "billing") ?? "", /group/);
    assert.match(recognize({ ...welcome, incarnation: "newer" }, B, "billing") ?? "", /member/);
    assert.match(recognize({ ...welcome, version: 2 }, B, "billing") ?? "", /version/);
  });
});

function violates(error: unknown): boolean {
  return isTribuneError(error, "PROTOCOL_VIOLATION");
}
