import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { TribuneError } from "../../../src/kernel/index.ts";
import { leavesUnknown } from "../../../src/store/etcd/errors.ts";
import { GrpcConnection, GrpcError } from "../../../src/store/etcd/grpc.ts";
import { fieldsOf } from "../../../src/store/etcd/wire.ts";

type Ending = { after(end: () => Promise<void>): void };

/** A server that does with each call what the test says. */
async function serverOf(t: Ending, answer: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  server.on("sessionError", () => undefined);
  await once(server, "listening");
  t.after(async () => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function answering(stream: ServerHttp2Stream, chunks: readonly Buffer[], trailers: Readonly<Record<string, string>>): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
}

describe("gRPC over HTTP/2", () => {
  it("puts an answer together from pieces, wherever they were cut", async (t) => {
    const message = Buffer.from("an answer of some length");
    const whole = frame(message);
    for (const at of [1, 4, 5, 6, whole.length - 1]) {
      const authority = await serverOf(t, (stream) => answering(stream, [whole.subarray(0, at), whole.subarray(at)], { "grpc-status": "0" }));
      const connection = new GrpcConnection(authority);
      assert.deepEqual(Buffer.from(await connection.call("/x", Buffer.alloc(0), {})), message);
      connection.destroy();
    }
  });

  it("rejects with the server's status and words, also where there is no answer but them", async (t) => {
    const authority = await serverOf(t, (stream) => stream.respond({ ":status": 200, "grpc-status": "7", "grpc-message": "permission%20denied" }, { endStream: true }));
    const connection = new GrpcConnection(authority);
    await assert.rejects(connection.call("/x", Buffer.alloc(0), {}), (error) => error instanceof GrpcError && error.status === 7 && error.message === "permission denied");
    connection.destroy();
  });

  it("rejects whatever is under way when the connection breaks, and everything after it; it is told once", async (t) => {
    const authority = await serverOf(t, (stream) => stream.session?.destroy());
    const connection = new GrpcConnection(authority);
    let broken = 0;
    connection.onBroken = () => (broken += 1);
    await assert.rejects(Promise.all([connection.call("/x", Buffer.alloc(0), {}), connection.call("/y", Buffer.alloc(0), {})]));
    await assert.rejects(connection.call("/z", Buffer.alloc(0), {}));
    assert.equal(broken, 1);
  });

  it("ends a stream whose message cannot be read, and nothing else", async (t) => {
    const authority = await serverOf(t, (stream) => answering(stream, [frame(Buffer.from([0x0b]))], { "grpc-status": "0" }));
    const connection = new GrpcConnection(authority);
    const ended = await new Promise<Error | undefined>((resolve) => connection.stream("/x", Buffer.alloc(0), {}, { onMessage: (message) => void fieldsOf(message), onEnd: resolve }));
    assert.ok(ended instanceof RangeError);
    assert.deepEqual([...(await connection.call("/x", Buffer.alloc(0), {}))], [0x0b]);
    connection.destroy();
  });

  it("ends a stream as soon as a message says that it is longer than any may be, or is compressed, and keeps nothing of it", async (t) => {
    for (const head of [Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]), Buffer.from([1, 0, 0, 0, 1])]) {
      const authority = await serverOf(t, (stream) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" });
        stream.write(head);
      });
      const connection = new GrpcConnection(authority);
      await assert.rejects(connection.call("/x", Buffer.alloc(0), {}), RangeError);
      connection.destroy();
    }
  });

  it("puts an answer of many megabytes together in one go", async (t) => {
    const message = Buffer.alloc(24 * 1024 * 1024, 7);
    const authority = await serverOf(t, (stream) => answering(stream, [frame(message)], { "grpc-status": "0" }));
    const connection = new GrpcConnection(authority);
    let copiedBytes = 0;
    const concat = Buffer.concat.bind(Buffer);
    t.mock.method(Buffer, "concat", (list: readonly Uint8Array[], total?: number) => {
      const joined = concat(list, total);
      copiedBytes += joined.length;
      return joined;
    });
    assert.equal((await connection.call("/x", Buffer.alloc(0), {})).equals(message), true);
    assert.ok(copiedBytes < 3 * message.length, `${copiedBytes} bytes were copied`);
    connection.destroy();
  });

  it("may be destroyed at any moment, also as it is being made", async (t) => {
    const authority = await serverOf(t, (stream) => answering(stream, [frame(Buffer.alloc(0))], { "grpc-status": "0" }));
    for (let round = 0; round < 200; round++) {
      const connection = new GrpcConnection(authority);
      const [made, called] = [connection.connected(), connection.call("/x", Buffer.alloc(0), {})];
      const settled = Promise.allSettled([made, called]);
      // As many turns of the event loop as it takes at most; somewhere among them the connection is made.
      for (let turn = 0; turn < round % 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      connection.destroy();
      await settled;
    }
  });

  it("may be destroyed by whoever hears first that it is there", async (t) => {
    const authority = await serverOf(t, () => undefined);
    const connection = new GrpcConnection(authority);
    connection.onBroken = () => undefined;
    await connection.connected();
    connection.destroy();
    await assert.rejects(connection.call("/x", Buffer.alloc(0), {}));
  });
});

describe("messages in the wire format", () => {
  it("that are cut short, or have a field of an unknown type, are refused; fields that are not known are passed over", () => {
    assert.throws(() => fieldsOf(Buffer.from([0x0a, 5, 1])), RangeError);
    assert.throws(() => fieldsOf(Buffer.from([0x80])), RangeError);
    assert.throws(() => fieldsOf(Buffer.from([0x0b])), RangeError);
    assert.throws(() => fieldsOf(Buffer.concat([Buffer.from([0x08]), Buffer.alloc(1_000, 0x80), Buffer.from([1])])), RangeError, "an integer without end");
    const passed = fieldsOf(Buffer.from([0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 7]));
    assert.deepEqual([...(passed.get(3) ?? [])], [7]);
  });

  it("keep integers of 64 bits exact", () => {
    const largest = fieldsOf(Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]));
    assert.deepEqual([...(largest.get(1) ?? [])], [2n ** 64n - 1n]);
  });
});

describe("a transaction that failed on etcd", () => {
  it("was not done where it was refused, or could be sent to nobody", () => {
    for (const status of [3, 7, 8, 11, 16]) assert.equal(leavesUnknown(new GrpcError(status, "")), false, String(status));
    assert.equal(leavesUnknown(new TribuneError("STORE_UNREACHABLE", "nobody there")), false);
  });

  it("may have been, or not, after whatever else: a deadline, a connection that broke, a server that does not say why", () => {
    for (const status of [1, 2, 4, 10, 13, 14, 15]) assert.equal(leavesUnknown(new GrpcError(status, "")), true, String(status));
    for (const error of [new Error("reset"), new RangeError("cut short"), new TribuneError("STORE_TIMEOUT", "late")]) assert.equal(leavesUnknown(error), true, error.message);
  });
});
