import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { Channel } from "../../src/channel/index.ts";
import type { SendOptions, Targets } from "../../src/channel/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { decodeRing, HeldKeys, tcp } from "../../src/transport/index.ts";
import type { Endpoint, KnownPeer, Link } from "../../src/transport/index.ts";
import { securityByKeys } from "../../src/transport/tcp/security.ts";
import type { Orders } from "./protocol.ts";

const WAIT = { deadlineMs: 30_000 };

/** A line to other processes, whatever carries it. */
export interface Line {
  /** Nothing if more may follow at once; otherwise what to wait for. */
  send(bytes: Uint8Array): Promise<unknown> | undefined;
}

/** What the sender has. */
export interface Lines {
  /** To all targets. */
  readonly all: Line;
  /** To the first one. */
  readonly first: Line;
  /** Resolves when every target has handled the message; only where that exists. */
  readonly acknowledged: ((bytes: Uint8Array) => Promise<unknown>) | undefined;
  /** Resolves with the reply of the first target; likewise. */
  readonly ask: ((bytes: Uint8Array) => Promise<unknown>) | undefined;
}

/** Begins to listen; `received` is called with each message. */
export async function listen(orders: Orders, received: (bytes: Uint8Array, from: Line) => void): Promise<string> {
  if (isRaw(orders)) return listenRaw(orders, received);
  return orders.carrier.startsWith("channel") ? (await openChannel(orders, received)).address : (await openEndpoint(orders, received)).address;
}

/** Lines to the targets. */
export async function dial(orders: Orders, received: (bytes: Uint8Array) => void): Promise<Lines> {
  if (isRaw(orders)) return linesOf(await Promise.all(orders.targets.map(({ address }) => dialRaw(orders, address, received))));
  if (orders.carrier.startsWith("channel")) {
    const channel = await openChannel(orders, received);
    while (orders.targets.some(({ name }) => channel.reachability(name)?.connected !== true)) await new Promise((resolve) => setTimeout(resolve, 5));
    return { all: new ChannelLine(channel, "others"), first: new ChannelLine(channel, ["receiver-1"]), acknowledged: (bytes) => channel.send("bench", bytes, { mode: "ack" }), ask: (bytes) => channel.request("bench", bytes, { to: ["receiver-1"] }) };
  }
  const up: Array<() => void> = [];
  const endpoint = await openEndpoint(orders, received, () => up.splice(0).forEach((wake) => wake()));
  const links = orders.targets.map(({ name }) => endpoint.link({ node: name, incarnation: name }));
  while (links.some((link) => link.state !== "up")) await new Promise<void>((resolve) => up.push(resolve));
  return linesOf(links.map((link) => new LinkLine(link)));
}

function linesOf(lines: readonly Line[]): Lines {
  const send = (bytes: Uint8Array) => {
    let waiting: Promise<unknown> | undefined;
    for (const line of lines) waiting = line.send(bytes) ?? waiting;
    return waiting;
  };
  return { all: { send }, first: lines[0] as Line, acknowledged: undefined, ask: undefined };
}

class LinkLine implements Line {
  readonly #link: Link;
  constructor(link: Link) {
    this.#link = link;
  }
  send(bytes: Uint8Array): Promise<unknown> | undefined {
    const outcome = this.#link.send(1, bytes);
    if (outcome === "down") throw new Error("the connection ended");
    return outcome === "queued" ? undefined : this.#link.writable(1, WAIT).then(() => this.send(bytes));
  }
}

/** Asynchronous messages of a channel: what it says is waited for each time, as its users would. */
class ChannelLine implements Line {
  readonly #channel: Channel;
  readonly #options: SendOptions;
  constructor(channel: Channel, to: Targets) {
    this.#channel = channel;
    this.#options = { to, mode: "async", deadlineMs: 60_000 };
  }
  send(bytes: Uint8Array): Promise<unknown> {
    return this.#channel.send("bench", bytes, this.#options);
  }
}

async function openChannel(orders: Orders, received: (bytes: Uint8Array, from: Line) => void): Promise<Channel> {
  const channel = new Channel(
    { group: "bench", node: orders.name, incarnation: orders.name, transport: tcp({ host: "127.0.0.1", security: orders.carrier === "channel-keys" ? "keys" : "plaintext" }), keys: new HeldKeys(decodeRing(orders.ring)), clock: systemClock, random: systemRandom, logger: silentLogger },
    { keptBytes: 2 ** 22, maxRetries: 1 },
  );
  const lines = new Map<string, Line>();
  const lineTo = (name: string) => lines.get(name) ?? lines.set(name, new ChannelLine(channel, [name])).get(name);
  channel.listen("bench", ({ payload, from }) => received(payload, lineTo(from.node) as Line));
  channel.respond("bench", ({ payload }) => payload, { concurrency: 1_024 });
  await channel.start(WAIT);
  const peers = orders.role === "sender" ? orders.targets : [{ name: "sender", address: undefined }];
  channel.setView({ version: 1, members: [...peers, { name: orders.name, address: channel.address }].map(({ name, address }) => ({ node: name, incarnation: name, address })), coordinator: null });
  return channel;
}

function isRaw({ carrier }: Orders): boolean {
  return carrier === "raw-tcp" || carrier === "raw-tls";
}

async function openEndpoint(orders: Orders, received: (bytes: Uint8Array, from: Line) => void, up: () => void = () => {}): Promise<Endpoint> {
  const peers = new Map<string, KnownPeer>(orders.targets.map(({ name, address }) => [name, { node: name, incarnation: name, address }]));
  const lines = new WeakMap<Link, Line>();
  return tcp({ host: "127.0.0.1", security: orders.carrier === "keys" ? "keys" : "plaintext" }).open({
    group: "bench",
    node: orders.name,
    incarnation: orders.name,
    known: (incarnation) => peers.get(incarnation) ?? { node: incarnation, incarnation },
    keys: new HeldKeys(decodeRing(orders.ring)),
    handlers: {
      up: ({ link }) => {
        lines.set(link, new LinkLine(link));
        up();
      },
      down: ({ reason }) => {
        if (reason === "protocol") throw new Error("the protocol was broken");
      },
      unreachable() {},
      frame: (frame) => {
        received(frame.bytes, lines.get(frame.link) as Line);
        frame.link.consumed(frame);
      },
    },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...WAIT,
  });
}

// ---- the limit: a length of four bytes, and the message; batched by hand -----------------------------------------

async function listenRaw(orders: Orders, received: (bytes: Uint8Array, from: Line) => void): Promise<string> {
  const accept = (socket: Socket) => {
    const line = new RawLine(socket);
    readRaw(socket, (bytes) => received(bytes, line));
  };
  const server = orders.carrier === "raw-tcp" ? createServer({ noDelay: true }, accept) : createTlsServer({ ...securityByKeys(new HeldKeys(decodeRing(orders.ring)), "bench").server, noDelay: true }, accept);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function dialRaw(orders: Orders, address: string, received: (bytes: Uint8Array) => void): Promise<Line> {
  const target = { host: "127.0.0.1", port: Number(address.split(":")[1]) };
  const socket = await new Promise<Socket>((resolve) => {
    const opened: Socket = orders.carrier === "raw-tcp" ? connect({ ...target, noDelay: true }, () => resolve(opened)) : connectTls({ ...securityByKeys(new HeldKeys(decodeRing(orders.ring)), "bench").client().options, ...target }, () => resolve(opened));
  });
  socket.setNoDelay(true);
  readRaw(socket, received);
  return new RawLine(socket);
}

const BATCH = 64 * 1024;

class RawLine implements Line {
  readonly #socket: Socket;
  #batch = Buffer.allocUnsafeSlow(BATCH);
  #at = 0;
  #due = false;
  constructor(socket: Socket) {
    this.#socket = socket;
  }
  send(bytes: Uint8Array): Promise<unknown> | undefined {
    if (this.#at + 4 + bytes.length > BATCH) this.#flush();
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
    if (this.#socket.writableLength < 256 * 1024) return undefined;
    return new Promise((resolve) => this.#socket.once("drain", resolve));
  }
  #flush(): void {
    if (this.#at === 0) return;
    this.#socket.write(this.#batch.subarray(0, this.#at));
    this.#batch = Buffer.allocUnsafeSlow(BATCH);
    this.#at = 0;
  }
}

function readRaw(socket: Socket, received: (bytes: Uint8Array) => void): void {
  let held: Buffer | undefined;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    let at = 0;
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at);
      if (bytes.length - at - 4 < length) break;
      received(bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    held = at === bytes.length ? undefined : bytes.subarray(at);
  });
}
