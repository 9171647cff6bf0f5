import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import { CONTROL_STREAM, FIRST_BULK_STREAM, LAST_STREAM } from "../../transport/index.ts";
import { bytesOf, sendAll } from "./scene.ts";
import type { TransportCase } from "./scene.ts";

const PIECE = 16 * 1024;

/** What is sent, and what arrives. */
export const frameCases: readonly TransportCase[] = [
  {
    title: "frames of all sizes arrive whole, unchanged, once, in the order of their stream, both ways at the same time",
    async run(scene) {
      const [a, b] = await scene.pair();
      const lengths = [0, 1, 5, 6, 7, 255, 256, 1_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 65_535, 65_536, 300_000];
      const streams = [1, 2, FIRST_BULK_STREAM, LAST_STREAM];
      const sending = async (from: typeof a, to: typeof a) => {
        for (let round = 0; round < 10; round++) for (const [n, length] of lengths.entries()) {
          const stream = streams[(round + n) % streams.length] ?? 1;
          await sendAll(from.link(to), stream, bytesOf(length, round));
        }
      };
      await Promise.all([sending(a, b), sending(b, a)]);
      const expected = (stream: number) =>
        Array.from({ length: 10 }, (_, round) => lengths.flatMap((length, n) => (streams[(round + n) % streams.length] === stream ? [{ length, round }] : []))).flat();
      for (const node of [a, b]) {
        await node.until("all came", () => node.frames.length === 160);
        for (const stream of streams) {
          const came = node.frames.filter((frame) => frame.stream === stream);
          assert.deepEqual(came.map(({ bytes }) => bytes.length), expected(stream).map(({ length }) => length));
          for (const [at, { length, round }] of expected(stream).entries()) assert.deepEqual(Buffer.compare(came[at]?.bytes ?? new Uint8Array(), bytesOf(length, round)), 0);
        }
        assert.deepEqual(node.connections(), ["up 1"]);
      }
    },
  },
  {
    title: "a head and a payload arrive as one frame, and the head may be changed as soon as it was given",
    async run(scene) {
      const [a, b] = await scene.pair();
      // The long one waits in the queue, and so do those behind it.
      const given = Array.from({ length: 30 }, (_, n) => [bytesOf((n * 7) % 40, n), bytesOf(n === 7 ? 20_000 : (n * 13) % 300, n + 1)] as const);
      for (const [head, payload] of given) {
        const changed = head.slice();
        assert.equal(a.link(b).send(1, payload, changed), "queued");
        changed.fill(255);
      }
      await b.until("all came", () => b.frames.length === given.length);
      assert.deepEqual(b.frames.map(({ bytes }) => [...bytes]), given.map(([head, payload]) => [...head, ...payload]));
    },
  },
  {
    title: "a thousand small frames at once arrive in order, and so do those sent one after the other",
    async run(scene) {
      const [a, b] = await scene.pair();
      for (let n = 0; n < 1_000; n++) a.link(b).send(1, Uint8Array.of(n >> 8, n & 255));
      for (let n = 1_000; n < 1_100; n++) {
        a.link(b).send(1, Uint8Array.of(n >> 8, n & 255));
        await Promise.resolve();
      }
      await b.until("all came", () => b.frames.length === 1_100);
      assert.deepEqual(b.frames.map(({ bytes }) => (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)), Array.from({ length: 1_100 }, (_, n) => n));
    },
  },
  {
    title: "what a receiver keeps does not change when more comes",
    async run(scene) {
      const [a, b] = await scene.pair();
      for (let n = 0; n < 300; n++) await sendAll(a.link(b), 1, bytesOf(1 + n * 17, n));
      await b.until("all came", () => b.frames.length === 300);
      for (const [n, frame] of b.frames.entries()) assert.equal(Buffer.compare(frame.bytes, bytesOf(1 + n * 17, n)), 0, `frame ${n}`);
    },
  },
  {
    title: "what is small does not wait for what is large, on another stream; stream 0 waits for nobody",
    async run(scene) {
      const [a, b] = await scene.pair({ windowBytes: 2 ** 26 });
      const large = bytesOf(12 * 2 ** 20);
      a.link(b).send(1, large);
      a.link(b).send(2, bytesOf(10));
      a.link(b).send(CONTROL_STREAM, bytesOf(11));
      await b.until("all came", () => b.frames.length === 3);
      assert.deepEqual(b.frames.map(({ stream }) => stream).at(-1), 1);
      assert.equal(Buffer.compare(b.frames[2]?.bytes ?? new Uint8Array(), large), 0);
    },
  },
  {
    title: "the longest frame that the peer takes arrives; a longer one, and one over 16 KiB on stream 0, are refused where they are sent, and harm nothing",
    async run(scene) {
      const a = await scene.node();
      const b = await scene.node({ options: { maxFrameBytes: 100_000 } });
      const link = await a.connect(b);
      const tooLarge = (error: unknown) => isTribuneError(error, "FRAME_TOO_LARGE");
      assert.throws(() => link.send(1, bytesOf(100_001)), tooLarge);
      assert.throws(() => link.send(1, bytesOf(50_000), bytesOf(50_001)), tooLarge);
      assert.throws(() => link.send(CONTROL_STREAM, bytesOf(PIECE + 1)), tooLarge);
      for (const stream of [-1, 256, 1.5, Number.NaN]) assert.throws(() => link.send(stream, bytesOf(1)), (error) => isTribuneError(error, "INVALID_OPTIONS"));
      assert.equal(link.send(1, bytesOf(100_000)), "queued");
      assert.equal(link.send(CONTROL_STREAM, bytesOf(PIECE)), "queued");
      await b.until("both came", () => b.frames.length === 2);
      assert.deepEqual(a.connections(), ["up 1"]);
    },
  },
  {
    title: "frames, bytes and connections are counted",
    async run(scene) {
      const [a, b] = await scene.pair();
      const link = a.link(b);
      for (let n = 0; n < 10; n++) link.send(1, bytesOf(1_000));
      await b.until("all came", () => b.frames.length === 10);
      const far = b.link(a).counts;
      assert.deepEqual([link.counts.framesSent, link.counts.framesReceived, far.framesReceived, far.framesSent, far.connections], [10, 0, 10, 0, 1]);
      assert.ok(link.counts.bytesSent >= 10_000 && link.counts.bytesSent < 11_000, String(link.counts.bytesSent));
      assert.equal(far.bytesReceived, link.counts.bytesSent);
      assert.equal(link.counts.queuedBytes, 0);
    },
  },
];
