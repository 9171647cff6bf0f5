import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTribuneError, seededRandom } from "../../src/kernel/index.ts";
import { Assembly } from "../../src/transport/assembly.ts";
import { HEADER_BYTES, PIECE, PIECE_BYTES, PieceReader, writeHeader, writeUint32 } from "../../src/transport/frames.ts";
import { NO_HEAD, SendQueues } from "../../src/transport/send-queues.ts";
import type { Batch } from "../../src/transport/send-queues.ts";
import { FIRST_BULK_STREAM } from "../../src/transport/index.ts";
import { costOf, ReceiveWindows } from "../../src/transport/windows.ts";
import { fc } from "../support/properties.ts";

const LIMITS = { maxFrameBytes: 2 ** 20, windowBytes: 2 ** 18, assemblyBytes: 2 ** 21, streamQueueBytes: 2 ** 22, queueBytes: 2 ** 24 };

const violates = (error: unknown) => isTribuneError(error, "PROTOCOL_VIOLATION");

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + seed) & 0xff);
}

function pieceOf(type: number, stream: number, payload: Uint8Array, length = payload.length): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES + payload.length);
  writeHeader(out, 0, type, stream, length);
  out.set(payload, HEADER_BYTES);
  return out;
}

/** All that a sender's queues give out, without a receiver that consumes. */
function drain(queues: SendQueues): Uint8Array[] {
  const written: Uint8Array[] = [];
  for (;;) {
    const batch: Batch = { buffer: new Uint8Array(64 * 1024), at: 0 };
    if (!queues.moveInto(batch)) return written;
    written.push(batch.buffer.subarray(0, batch.at));
  }
}

/** A receiver of frames, as a connection is one. */
class Receiver {
  readonly frames: Array<{ readonly stream: number; readonly bytes: Uint8Array }> = [];
  readonly pieces: Array<{ readonly type: number; readonly stream: number; readonly length: number }> = [];
  readonly assembly = new Assembly(LIMITS);
  readonly windows = new ReceiveWindows(LIMITS.windowBytes);
  readonly reader = new PieceReader((type, stream, payload) => {
    this.pieces.push({ type, stream, length: payload.length });
    if (type === PIECE.whole) {
      this.windows.begin(stream, payload.length);
      this.frames.push({ stream, bytes: payload.slice() });
    } else if (type === PIECE.first) {
      this.windows.begin(stream, this.assembly.first(stream, payload));
    } else if (type === PIECE.more) {
      const whole = this.assembly.more(stream, payload);
      if (whole !== undefined) this.frames.push({ stream, bytes: whole });
    }
    return true;
  });
}

const frameArbitrary = fc.record({
  stream: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4 }), fc.integer({ min: FIRST_BULK_STREAM, max: FIRST_BULK_STREAM + 1 })),
  length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: PIECE_BYTES - 2, max: PIECE_BYTES + 2 }), fc.integer({ min: 0, max: 3 * PIECE_BYTES })),
  cut: fc.constantFrom(0, 0, 0.001, 0.5, 1),
});

describe("frames", () => {
  it("arrive whole, unchanged, in the order of their stream, however they are mixed, given, and cut on the way", () => {
    fc.assert(
      fc.property(fc.array(frameArbitrary, { maxLength: 40 }), fc.integer(), (drawn, seed) => {
        const queues = new SendQueues({ ...LIMITS, windowBytes: 2 ** 30 });
        const sent = drawn.map(({ stream, length, cut }, number) => ({ stream, bytes: bytesOf(stream === 0 ? Math.min(length, PIECE_BYTES) : length, number), cut }));
        for (const { stream, bytes, cut } of sent) {
          const head = bytes.slice(0, Math.floor(cut * bytes.length));
          queues.add(stream, bytes.subarray(head.length), head);
          head.fill(255); // it is the caller's again
        }
        const receiver = new Receiver();
        const random = seededRandom(seed);
        for (const written of drain(queues)) for (let at = 0; at < written.length; ) {
          const length = 1 + Math.floor(random.next() ** 4 * (written.length - at));
          receiver.reader.push(written.subarray(at, at + length));
          at += length;
        }
        for (const stream of new Set(sent.map((each) => each.stream))) {
          assert.deepEqual(receiver.frames.filter((each) => each.stream === stream).map(({ bytes }) => bytes), sent.filter((each) => each.stream === stream).map(({ bytes }) => bytes));
        }
        assert.deepEqual([receiver.frames.length, queues.queuedBytes, queues.ready, receiver.assembly.openBytes, receiver.reader.heldBytes], [sent.length, 0, false, 0, 0]);
      }),
      { numRuns: 100 },
    );
  });

  it("that are small do not wait for a large one: at most one piece of it goes before them", () => {
    const queues = new SendQueues(LIMITS);
    queues.add(1, bytesOf(2 ** 20, 0));
    queues.moveInto({ buffer: new Uint8Array(64 * 1024), at: 0 }); // it has begun
    queues.add(2, bytesOf(10, 1));
    queues.add(0, bytesOf(10, 2));
    const batch: Batch = { buffer: new Uint8Array(64 * 1024), at: 0 };
    queues.moveInto(batch);
    const streams: number[] = [];
    new PieceReader((_type, stream) => streams.push(stream) > 0).push(batch.buffer.subarray(0, batch.at));
    assert.deepEqual(streams.slice(0, 3), [0, 1, 2]);
  });

  it("of bulk go when nothing else waits, and once in sixteen turns when something does", () => {
    const queues = new SendQueues({ ...LIMITS, windowBytes: 2 ** 30 });
    queues.add(FIRST_BULK_STREAM, bytesOf(2 ** 19, 0));
    queues.add(1, bytesOf(2 ** 20, 0));
    const streams: number[] = [];
    const reader = new PieceReader((_type, stream) => streams.push(stream) > 0);
    for (const written of drain(queues)) reader.push(written);
    const whileBothWait = streams.slice(0, streams.lastIndexOf(1));
    assert.equal(whileBothWait.filter((stream) => stream === 1).length, 63);
    assert.equal(whileBothWait.filter((stream) => stream === FIRST_BULK_STREAM).length, 4);
  });

  it("of a stream whose window is used up wait, and those of others go on", () => {
    const queues = new SendQueues(LIMITS);
    const frame = bytesOf(2 ** 16, 0);
    for (let n = 0; n < 10; n++) for (const stream of [1, 2]) queues.add(stream, frame);
    const receiver = new Receiver();
    for (const written of drain(queues)) receiver.reader.push(written);
    assert.deepEqual([1, 2].map((stream) => receiver.frames.filter((each) => each.stream === stream).length), [4, 4], "a window, and the frame that used it up");
    queues.credit(2, 4 * costOf(frame.length));
    receiver.windows.consumed(2, frame.length);
    for (let n = 0; n < 3; n++) receiver.windows.consumed(2, frame.length);
    for (const written of drain(queues)) receiver.reader.push(written);
    assert.deepEqual([1, 2].map((stream) => receiver.frames.filter((each) => each.stream === stream).length), [4, 8]);
  });

  it("never put more on the way in pieces than the receiver assembles at a time", () => {
    const queues = new SendQueues({ ...LIMITS, windowBytes: 2 ** 30 });
    for (let stream = 1; stream <= 6; stream++) queues.add(stream, bytesOf(2 ** 20, stream));
    const receiver = new Receiver();
    let most = 0;
    for (const written of drain(queues)) {
      receiver.reader.push(written);
      most = Math.max(most, receiver.assembly.openBytes);
    }
    assert.equal(receiver.frames.length, 6);
    assert.ok(most <= LIMITS.assemblyBytes && most > 2 ** 20, String(most));
  });

  it("count against the queue even when they are empty", () => {
    const queues = new SendQueues({ ...LIMITS, windowBytes: 1 });
    let taken = 0;
    for (; queues.hasRoom(1, 0); taken++) queues.add(1, new Uint8Array(0));
    assert.ok(taken > 1_000 && taken < 100_000, String(taken));
  });

  it("in the fast way and in the queues are the same bytes", () => {
    const now: Batch = { buffer: new Uint8Array(64 * 1024), at: 0 };
    const later: Batch = { buffer: new Uint8Array(64 * 1024), at: 0 };
    const [fast, slow] = [new SendQueues(LIMITS), new SendQueues(LIMITS)];
    for (const [payload, head] of [[bytesOf(100, 1), NO_HEAD], [bytesOf(7, 2), bytesOf(3, 1)], [NO_HEAD, bytesOf(3, 1)], [NO_HEAD, NO_HEAD], [bytesOf(PIECE_BYTES, 5), NO_HEAD], [bytesOf(PIECE_BYTES - 30, 5), bytesOf(30, 6)]] as const) {
      assert.equal(fast.sendNow(3, payload, head, now), true);
      slow.add(3, payload, head);
    }
    slow.moveInto(later);
    assert.deepEqual(now.buffer.subarray(0, now.at), later.buffer.subarray(0, later.at));
    assert.equal(fast.sendNow(3, bytesOf(PIECE_BYTES, 1), bytesOf(1, 1), now), false, "too long for one piece");
  });
});

describe("the reader of pieces", () => {
  const bad: ReadonlyArray<readonly [string, Uint8Array]> = [
    ["a length of 4 GiB", pieceOf(PIECE.whole, 1, new Uint8Array(0), 0xffffffff)],
    ["a length of one more than a piece", pieceOf(PIECE.whole, 1, new Uint8Array(0), PIECE_BYTES + 1)],
    ["an unknown type", pieceOf(99, 0, new Uint8Array(0))],
    ["a handshake after the handshake", pieceOf(PIECE.hello, 0, new Uint8Array(10))],
    ["a beat with a payload", pieceOf(PIECE.beat, 0, new Uint8Array(1))],
    ["a beat on a stream", pieceOf(PIECE.beat, 1, new Uint8Array(0))],
    ["credit for stream 0", pieceOf(PIECE.credit, 0, new Uint8Array(4))],
    ["credit of three bytes", pieceOf(PIECE.credit, 1, new Uint8Array(3))],
    ["a first piece that is not full", pieceOf(PIECE.first, 1, new Uint8Array(10))],
    ["a further piece without anything", pieceOf(PIECE.more, 1, new Uint8Array(0))],
    ["what a browser sends", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
  ];

  for (const [what, bytes] of bad) {
    it(`refuses ${what} when it has seen the header, before anything is allocated`, () => {
      const whole = new PieceReader(() => assert.fail("was handed on"));
      assert.throws(() => whole.push(bytes), violates);
      assert.ok(whole.heldBytes <= HEADER_BYTES);
      const dripping = new PieceReader(() => assert.fail("was handed on"));
      assert.throws(() => {
        for (const byte of bytes.subarray(0, HEADER_BYTES)) dripping.push(Uint8Array.of(byte));
      }, violates);
      dripping.push(pieceOf(PIECE.beat, 0, new Uint8Array(0))); // and looks at nothing more
    });
  }

  it("holds at most one piece, whatever comes, and ends in a piece or in a violation", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const reader = new PieceReader((_type, _stream, payload) => payload.length <= PIECE_BYTES + 4);
        try {
          for (const chunk of chunks) reader.push(chunk);
        } catch (error) {
          assert.ok(violates(error));
        }
        assert.ok(reader.heldBytes <= HEADER_BYTES + PIECE_BYTES + 4);
      }),
      { numRuns: 2_000 },
    );
  });

  it("survives every truncation and every flipped bit of what is valid", () => {
    const queues = new SendQueues(LIMITS);
    for (const [stream, length] of [[1, 30], [0, 5], [2, PIECE_BYTES + 9], [1, 0]] as const) queues.add(stream, bytesOf(length, stream));
    const valid = Buffer.concat(drain(queues));
    for (let length = 0; length < 200; length++) {
      const receiver = new Receiver();
      receiver.reader.push(valid.subarray(0, length));
      receiver.reader.push(valid.subarray(length));
      assert.equal(receiver.frames.length, 4);
    }
    for (let bit = 0; bit < 8 * 200; bit++) {
      const broken = Uint8Array.from(valid);
      broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const receiver = new Receiver();
      try {
        receiver.reader.push(broken);
      } catch (error) {
        assert.ok(violates(error), String(error));
      }
      assert.ok(receiver.assembly.openBytes <= LIMITS.assemblyBytes);
    }
  });

  it("stops where its handler says so", () => {
    let seen = 0;
    const reader = new PieceReader(() => ++seen < 2);
    const beats = Buffer.concat(Array.from({ length: 5 }, () => pieceOf(PIECE.beat, 0, new Uint8Array(0))));
    reader.push(beats);
    reader.push(beats);
    assert.equal(seen, 2);
  });
});

describe("putting frames together", () => {
  const first = (total: number) => {
    const payload = new Uint8Array(4 + PIECE_BYTES);
    writeUint32(payload, 0, total);
    return payload;
  };

  it("refuses a length over the limit, or that needs no pieces, before anything is allocated", () => {
    for (const total of [0xffffffff, LIMITS.maxFrameBytes + 1, PIECE_BYTES, 0]) {
      const assembly = new Assembly(LIMITS);
      assert.throws(() => assembly.first(1, first(total)), violates);
      assert.equal(assembly.openBytes, 0);
    }
  });

  it("refuses more unfinished frames than its limit, a second one on a stream, and pieces of none", () => {
    const assembly = new Assembly(LIMITS);
    assembly.first(1, first(LIMITS.maxFrameBytes));
    assert.throws(() => assembly.first(1, first(LIMITS.maxFrameBytes)), violates);
    assembly.first(2, first(LIMITS.maxFrameBytes));
    assert.throws(() => assembly.first(3, first(PIECE_BYTES + 1)), violates);
    assert.throws(() => assembly.more(3, new Uint8Array(1)), violates);
    assert.equal(assembly.openBytes, 2 * LIMITS.maxFrameBytes);
  });

  it("refuses small pieces of a large frame: a million of one byte each would cost more than they carry", () => {
    const assembly = new Assembly(LIMITS);
    assembly.first(1, first(LIMITS.maxFrameBytes));
    assert.throws(() => assembly.more(1, new Uint8Array(1)), violates);
  });
});

describe("windows", () => {
  it("refuse a frame when nothing is left, and credit for what was never sent", () => {
    const windows = new ReceiveWindows(1_000);
    windows.begin(5, 2_000);
    assert.throws(() => windows.begin(5, 1), violates);
    windows.begin(6, 1);
    windows.begin(0, 1);
    windows.begin(0, 1);
    const queues = new SendQueues(LIMITS);
    assert.throws(() => queues.credit(1, 1), violates);
  });

  it("never hold back a receiver that has consumed everything, for any sizes", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }), (lengths) => {
        const windows = new ReceiveWindows(1_000);
        const queues = new SendQueues({ ...LIMITS, windowBytes: 1_000 });
        for (const length of lengths) {
          queues.add(1, new Uint8Array(length));
          assert.equal(queues.moveInto({ buffer: new Uint8Array(64 * 1024), at: 0 }), true, "the window is open");
          windows.begin(1, length);
          const credit = windows.consumed(1, length);
          if (credit > 0) queues.credit(1, credit);
        }
      }),
    );
  });
});
