import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { codeOf, decodeWord, encodeWord } from "../../src/channel/messages.ts";
import type { GapWord, HandledWord, MessageWord, OutcomeWord, ReceivedWord } from "../../src/channel/messages.ts";
import { isTribuneError, TribuneError } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";
import { encodeMessageHead } from "./words.ts";

const topic = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$/);
const number = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const view = fc.maxSafeNat();

const message: fc.Arbitrary<MessageWord> = fc.record({
  kind: fc.constant("message" as const),
  topic,
  ordered: fc.boolean(),
  number,
  settledBelow: number,
  awaited: fc.boolean(),
  view,
  deadlineMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  token: fc.option(fc.maxSafeNat(), { nil: undefined }),
  election: fc.option(topic, { nil: undefined }),
  enveloped: fc.boolean(),
  payload: fc.uint8Array({ maxLength: 100 }),
});
const gap: fc.Arbitrary<GapWord> = fc.record({ kind: fc.constant("gap" as const), topic, ordered: fc.boolean(), number, settledBelow: number });
const received: fc.Arbitrary<ReceivedWord> = fc.record({ kind: fc.constantFrom("received" as const, "missing" as const), topic, ordered: fc.boolean(), next: number });
const outcome: fc.Arbitrary<OutcomeWord> = fc.record({
  kind: fc.constant("outcome" as const),
  topic,
  ordered: fc.boolean(),
  next: number,
  number,
  outcome: fc.oneof(fc.constant({ status: "delivered" as const }), fc.record({ status: fc.constant("failed" as const), code: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,30}$/), message: fc.string({ maxLength: 200 }) }, { noNullPrototype: true })),
});

const handled: fc.Arbitrary<HandledWord> = fc.tuple(topic, fc.boolean(), number, number, number).map(([name, ordered, next, a, b]) => ({ kind: "handled", topic: name, ordered, next, first: Math.min(a, b), last: Math.max(a, b) }));

const encode = (word: MessageWord | HandledWord | GapWord | ReceivedWord | OutcomeWord) => (word.kind === "message" ? new Uint8Array([...encodeMessageHead(word), ...word.payload]) : encodeWord(word));
const violates = (error: unknown) => isTribuneError(error, "PROTOCOL_VIOLATION");

describe("words of the channel", () => {
  it("are read as they were written", () => {
    fc.assert(fc.property(fc.oneof(message, gap, received, outcome, handled), (word) => {
      const read = decodeWord(encode(word));
      assert.deepEqual(read.kind === "message" ? { ...read, payload: new Uint8Array(read.payload) } : read, { ...word });
    }), { numRuns: 1_000 });
  });

  it("are read or refused for any bytes, any truncation and any changed byte", () => {
    const reads = (bytes: Uint8Array) => {
      try {
        decodeWord(bytes);
      } catch (error) {
        assert.ok(violates(error), String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), reads), { numRuns: 5_000 });
    fc.assert(fc.property(fc.oneof(message, gap, received, outcome, handled), fc.nat(), fc.nat(255), (word, at, value) => {
      const bytes = encode(word);
      reads(bytes.map((byte, n) => (n === at % bytes.length ? value : byte)));
      reads(bytes.subarray(0, at % bytes.length));
    }), { numRuns: 3_000 });
  });

  it("other than messages end where they end", () => {
    fc.assert(fc.property(fc.oneof(gap, received, outcome, handled), (word) => assert.throws(() => decodeWord(new Uint8Array([...encode(word), 0])), violates)));
  });

  it("hand on a payload as a window of the frame: nothing of it is copied or looked at", () => {
    const frame = encode({ kind: "message", topic: "t", ordered: true, number: 1, settledBelow: 1, awaited: false, view: 1, deadlineMs: 0, token: undefined, election: undefined, enveloped: false, payload: Uint8Array.of(1, 2, 3) });
    const word = decodeWord(frame);
    assert.ok(word.kind === "message" && word.payload.buffer === frame.buffer);
  });

  it("of a failure carry a code, and a text of bounded length", () => {
    const word = decodeWord(encodeWord({ kind: "outcome", topic: "t", ordered: true, next: 2, number: 1, outcome: { status: "failed", code: "X", message: "é".repeat(5_000) } }));
    assert.ok(word.kind === "outcome" && word.outcome.status === "failed" && Buffer.byteLength(word.outcome.message) <= 1_026);
    assert.deepEqual([codeOf(new TribuneError("TERM_LOST", "x")), codeOf(new Error("x")), codeOf({ code: "a b" }), codeOf(null), codeOf({ code: "ENOENT" })], ["TERM_LOST", "HANDLER_FAILED", "HANDLER_FAILED", "HANDLER_FAILED", "ENOENT"]);
  });
});
