/** The limit: a length of four bytes and the message, over a socket of Node. Batched by hand into writes of 64 KiB, or a write for each message. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { decodeRing, HeldKeys } from "../../src/transport/index.ts";
import { securityByKeys } from "../../src/transport/tcp/security.ts";
import { answer, Answers, linesOf } from "./lines.ts";
import type { Line, Lines } from "./lines.ts";
import type { Orders } from "./protocol.ts";

export async function listenRaw(orders: Orders, received: () => void): Promise<string> {
  const accept = (socket: Socket) => {
    const line = lineOver(socket, orders);
    readRaw(socket, (bytes) => answer(bytes, line, received));
  };
  const server = isTls(orders) ? createTlsServer({ ...security(orders).server, noDelay: true }, accept) : createServer({ noDelay: true }, accept);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function dialRaw(orders: Orders): Promise<Lines> {
  return linesOf(orders, await Promise.all(orders.targets.map(({ address }) => dialOne(orders, address))));
}

async function dialOne(orders: Orders, address: string): Promise<Line & { readonly answers: Answers }> {
  const target = { host: "127.0.0.1", port: Number(address.split(":")[1]) };
  const socket = await new Promise<Socket>((resolve) => {
    const opened: Socket = isTls(orders) ? connectTls({ ...security(orders).client().options, ...target }, () => resolve(opened)) : connect(target, () => resolve(opened));
  });
  socket.setNoDelay(true);
  const answers = new Answers();
  readRaw(socket, () => answers.came());
  const line = lineOver(socket, orders);
  return { send: (bytes) => line.send(bytes), answers };
}

function isTls({ carrier }: Orders): boolean {
  return carrier.startsWith("raw-tls");
}

function security({ ring }: Orders) {
  return securityByKeys(new HeldKeys(decodeRing(ring)), "bench");
}

function lineOver(socket: Socket, { carrier }: Orders): Line {
  return carrier.endsWith("-each") ? new PlainLine(socket) : new BatchedLine(socket);
}

const BATCH = 64 * 1024;
const MOST_QUEUED = 256 * 1024;

class BatchedLine implements Line {
  readonly #socket: Socket;
  #batch = Buffer.allocUnsafeSlow(BATCH);
  #at = 0;
  #due = false;
  constructor(socket: Socket) {
    this.#socket = socket;
  }
  send(bytes: Uint8Array): Promise<unknown> | undefined {
    if (this.#at + 4 + bytes.length > BATCH) this.#flush();
    if (4 + bytes.length > BATCH) return this.#sendLong(bytes);
    this.#at = this.#batch.writeUInt32BE(bytes.length, this.#at);
    this.#batch.set(bytes, this.#at);
    this.#at += bytes.length;
    if (!this.#due) {
      this.#due = true;
      process.nextTick(() => {
        this.#due = false;
        this.#flush();
      });
    }
    return room(this.#socket);
  }
  /** Two writes are one for the kernel where it is corked. The bytes are the sender's own, and do not change. */
  #sendLong(bytes: Uint8Array): Promise<unknown> | undefined {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length);
    this.#socket.cork();
    this.#socket.write(length);
    this.#socket.write(bytes);
    this.#socket.uncork();
    return room(this.#socket);
  }
  #flush(): void {
    if (this.#at === 0) return;
    this.#socket.write(this.#batch.subarray(0, this.#at));
    this.#batch = Buffer.allocUnsafeSlow(BATCH);
    this.#at = 0;
  }
}

class PlainLine implements Line {
  readonly #socket: Socket;
  constructor(socket: Socket) {
    this.#socket = socket;
  }
  send(bytes: Uint8Array): Promise<unknown> | undefined {
    const framed = Buffer.allocUnsafe(4 + bytes.length);
    framed.writeUInt32BE(bytes.length);
    framed.set(bytes, 4);
    this.#socket.write(framed);
    return room(this.#socket);
  }
}

function room(socket: Socket): Promise<unknown> | undefined {
  return socket.writableLength < MOST_QUEUED ? undefined : new Promise((resolve) => socket.once("drain", resolve));
}

function readRaw(socket: Socket, received: (bytes: Uint8Array) => void): void {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let wanted = 4;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes < wanted) return; // put together once, when all of a long message is there
    const bytes = held.length === 1 ? chunk : Buffer.concat(held);
    let at = 0;
    wanted = 4;
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at);
      if (bytes.length - at - 4 < length) {
        wanted = 4 + length;
        break;
      }
      received(bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    held = at === bytes.length ? [] : [bytes.subarray(at)];
    heldBytes = bytes.length - at;
  });
}
