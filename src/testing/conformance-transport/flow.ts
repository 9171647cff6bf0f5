import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import { CONTROL_STREAM } from "../../transport/index.ts";
import { bytesOf, PATIENTLY, sendAll } from "./scene.ts";
import type { TransportCase } from "./scene.ts";

const SMALL = { windowBytes: 64 * 1024, streamQueueBytes: 64 * 1024, queueBytes: 256 * 1024 };

/** Backpressure: what waits is bounded, and who sends feels it. */
export const flowCases: readonly TransportCase[] = [
  {
    title: "a receiver that consumes nothing stops its sender after a bounded amount, on that stream alone; when it consumes, everything arrives in order",
    async run(scene) {
      const [a, b] = await scene.pair(SMALL);
      b.consumes = false;
      const link = a.link(b);
      let sent = 0;
      const fill = async () => {
        for (let idle = 0; idle < 3; ) {
          if (link.send(1, bytesOf(1_024, sent)) === "queued") {
            sent++;
            idle = 0;
          } else {
            idle++;
            link.send(CONTROL_STREAM, bytesOf(1));
            const before = b.frames.length;
            await b.until("stream 0 goes on", () => b.frames.length > before);
          }
        }
      };
      await fill();
      assert.ok(sent * 1_088 <= SMALL.windowBytes + SMALL.streamQueueBytes + 2 * 1_088, `${sent} frames were taken`);
      assert.ok(sent * 1_088 > SMALL.windowBytes, `${sent} frames were taken`);
      assert.equal(link.send(2, bytesOf(500)), "queued");
      await b.until("another stream goes on", () => b.frames.some(({ stream }) => stream === 2));
      const waiting = link.writable(1, PATIENTLY);
      b.consumes = true;
      for (const frame of b.frames) frame.link.consumed(frame);
      await waiting;
      assert.equal(link.send(1, bytesOf(1_024, sent++)), "queued");
      await b.until("all came", () => b.frames.filter(({ stream }) => stream === 1).length === sent);
      for (const [n, frame] of b.frames.filter(({ stream }) => stream === 1).entries()) assert.equal(Buffer.compare(frame.bytes, bytesOf(1_024, n)), 0);
    },
  },
  {
    title: "a frame that is larger than the window and the queue arrives all the same",
    async run(scene) {
      const [a, b] = await scene.pair(SMALL);
      for (let n = 0; n < 4; n++) await sendAll(a.link(b), 1 + (n % 2), bytesOf(1_000_000, n));
      await b.until("all came", () => b.frames.length === 4);
    },
  },
  {
    title: "streams that are stalled do not hold up others, up to the bound of all together",
    async run(scene) {
      const [a, b] = await scene.pair(SMALL);
      b.consumes = false;
      const link = a.link(b);
      const taken = (stream: number) => {
        let n = 0;
        while (n < 10_000 && link.send(stream, bytesOf(1_024)) === "queued") n++;
        return n;
      };
      let all = 0;
      for (let stream = 1; stream <= 100; stream++) all += taken(stream);
      assert.ok(link.counts.queuedBytes <= SMALL.queueBytes + 128 * 1_024, `${link.counts.queuedBytes} bytes wait`);
      assert.ok(all > 0);
      assert.equal(link.send(CONTROL_STREAM, bytesOf(10)), "queued");
      await b.until("stream 0 goes on", () => b.frames.some(({ stream }) => stream === CONTROL_STREAM));
    },
  },
  {
    title: "a wait for room ends in time, when it is aborted, and when the connection ends",
    async run(scene) {
      const [a, b] = await scene.pair(SMALL);
      b.consumes = false;
      const link = a.link(b);
      for (;;) {
        while (link.send(1, bytesOf(1_024)) === "queued");
        const before = b.frames.length;
        link.send(CONTROL_STREAM, bytesOf(1));
        await b.until("what is on its way has arrived", () => b.frames.length > before);
        if (link.send(1, bytesOf(1_024)) === "full") break;
      }
      await assert.rejects(link.writable(1, { deadlineMs: 5 }), (error) => isTribuneError(error, "TRANSPORT_TIMEOUT"));
      await assert.rejects(link.writable(1, { ...PATIENTLY, signal: AbortSignal.abort() }), (error) => isTribuneError(error, "ABORTED"));
      const abort = new AbortController();
      const aborted = link.writable(1, { ...PATIENTLY, signal: abort.signal });
      abort.abort();
      await assert.rejects(aborted, (error) => isTribuneError(error, "ABORTED"));
      const ended = link.writable(1, PATIENTLY);
      b.endpoint.destroy(new Error("gone"));
      await ended;
      assert.equal(link.send(1, bytesOf(1)), "down");
      await link.writable(1, PATIENTLY);
    },
  },
  {
    title: "two hundred thousand frames go through in order, and nothing is left waiting",
    async run(scene) {
      const [a, b] = await scene.pair();
      let came = 0;
      let inOrder = true;
      b.onTold = (told) => {
        if (told.kind !== "frame") return;
        inOrder &&= new DataView(told.bytes.buffer, told.bytes.byteOffset).getUint32(0) === came;
        came++;
        b.told.length = 0;
      };
      const link = a.link(b);
      const total = 200_000;
      for (let n = 0; n < total; n++) {
        const bytes = new Uint8Array(20);
        new DataView(bytes.buffer).setUint32(0, n);
        while (link.send(1, bytes) !== "queued") await link.writable(1, PATIENTLY);
      }
      await b.until("all came", () => came === total);
      assert.equal(inOrder, true);
      assert.equal(link.counts.queuedBytes, 0);
    },
  },
];
