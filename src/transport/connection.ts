import { abortError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import { Assembly } from "./assembly.ts";
import { borrowBatch, returnBatch } from "./batches.ts";
import { HEADER_BYTES, PIECE, PIECE_BYTES, PieceReader, readUint32, violation, writeHeader, writeUint32 } from "./frames.ts";
import type { PeerLimits } from "./hello.ts";
import type { LinkSettings } from "./options.ts";
import { LARGEST_PIECE, NO_HEAD, SendQueues } from "./send-queues.ts";
import type { Batch } from "./send-queues.ts";
import { CONTROL_STREAM, LAST_STREAM } from "./transport.ts";
import type { DownReason, SendOutcome, Wait } from "./transport.ts";
import { ReceiveWindows } from "./windows.ts";
import type { Wire } from "./wire.ts";

/** What an open connection is made of. */
export interface ConnectionParts {
  readonly wire: Wire;
  readonly number: number;
  /** What both sides call it. */
  readonly id: string;
  readonly peerLimits: PeerLimits;
  readonly settings: LinkSettings;
  readonly clock: Clock;
  readonly counts: MutableCounts;
  readonly hooks: ConnectionHooks;
}

/** Counters that go on over several connections. */
export interface MutableCounts {
  framesSent: number;
  framesReceived: number;
  bytesSent: number;
  bytesReceived: number;
  connections: number;
}

/** Who is told of what happens on a connection. */
export interface ConnectionHooks {
  frame(stream: number, bytes: Uint8Array): void;
  ended(reason: DownReason, detail: string): void;
}

/** Control pieces are small: this is room for all that can be due at once. */
const CONTROL_ROOM = (LAST_STREAM + 4) * (HEADER_BYTES + 4);

/** One stretch of bytes with a peer that has proved itself: pieces in and out, windows, beats. It ends once. */
export class Connection {
  readonly number: number;
  readonly id: string;
  readonly wire: Wire;
  readonly #settings: LinkSettings;
  readonly #peerLimits: PeerLimits;
  readonly #clock: Clock;
  readonly #counts: MutableCounts;
  readonly #hooks: ConnectionHooks;
  readonly #queues: SendQueues;
  readonly #windows: ReceiveWindows;
  readonly #assembly: Assembly;
  readonly #reader: PieceReader;

  #batch: Batch | undefined;
  #flushDue = false;
  /** The wire has enough to do. */
  #blocked = false;
  #state: "open" | "finishing" | "ended" = "open";
  #saidBye = false;

  readonly #creditDue = new Map<number, number>();
  #pongDue: number | undefined;
  #beatDue = false;
  readonly #pings = new Map<number, { readonly sentMs: number; readonly answered: (ms: number) => void; readonly failed: (error: Error) => void }>();
  readonly #pingsDue: number[] = [];
  #lastPing = 0;

  readonly #waiters = new Set<{ readonly stream: number; readonly resume: () => void }>();
  #heardMs: number;
  readonly #mourners: Array<() => void> = [];

  constructor(parts: ConnectionParts) {
    this.number = parts.number;
    this.id = parts.id;
    this.wire = parts.wire;
    this.#settings = parts.settings;
    this.#peerLimits = parts.peerLimits;
    this.#clock = parts.clock;
    this.#counts = parts.counts;
    this.#hooks = parts.hooks;
    this.#queues = new SendQueues({ ...parts.settings, windowBytes: parts.peerLimits.windowBytes, assemblyBytes: parts.peerLimits.assemblyBytes });
    this.#windows = new ReceiveWindows(parts.settings.windowBytes);
    this.#assembly = new Assembly(parts.settings);
    this.#reader = new PieceReader((type, stream, payload) => this.#piece(type, stream, payload));
    this.#heardMs = parts.clock.monotonicMs();
    this.wire.handlers = {
      data: (chunk) => this.#data(chunk),
      drained: () => this.#drained(),
      closed: (reason, detail) => this.#wireClosed(reason, detail),
    };
  }

  get queuedBytes(): number {
    return this.#queues.queuedBytes + (this.#batch?.at ?? 0);
  }

  /** What came behind the handshake in the same chunk. */
  begin(rest: Uint8Array): void {
    if (rest.length > 0) this.#data(rest);
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  send(stream: number, payload: Uint8Array, head: Uint8Array = NO_HEAD): SendOutcome {
    if (this.#state !== "open") return "down";
    const length = head.length + payload.length;
    this.#checkSend(stream, length);
    if (!this.#blocked) {
      let batch = (this.#batch ??= borrowBatch());
      if (batch.buffer.length - batch.at < HEADER_BYTES + length && batch.at > 0) {
        this.#writeBatch();
        batch = this.#batch ??= borrowBatch();
      }
      if (!this.#blocked && this.#queues.sendNow(stream, payload, head, batch)) {
        this.#counts.framesSent++;
        this.#scheduleFlush();
        return "queued";
      }
    }
    if (!this.#queues.hasRoom(stream, length)) return "full";
    this.#queues.add(stream, payload, head);
    this.#counts.framesSent++;
    this.#scheduleFlush();
    return "queued";
  }

  #checkSend(stream: number, length: number): void {
    if (!Number.isInteger(stream) || stream < 0 || stream > LAST_STREAM) {
      throw new TribuneError("INVALID_OPTIONS", `a frame was to be sent on stream ${String(stream)}`, { about: "send", next: `use a whole number from 0 to ${LAST_STREAM}` });
    }
    const limit = stream === CONTROL_STREAM ? PIECE_BYTES : this.#peerLimits.maxFrameBytes;
    if (length <= limit) return;
    throw new TribuneError("FRAME_TOO_LARGE", `a frame of ${length} bytes was to be sent on stream ${stream}, where the peer takes ${limit}`, {
      about: "send",
      next: stream === CONTROL_STREAM ? "use another stream for what is large" : "send less at once, or raise maxFrameBytes on all members",
    });
  }

  /** Resolves when any frame would be taken, or this connection is over. */
  writable(stream: number, wait: Wait): Promise<void> {
    if (this.#hasRoom(stream)) return Promise.resolve();
    if (wait.signal?.aborted === true) return Promise.reject(abortError(wait.signal, "waiting to send"));
    let waiter: { readonly stream: number; readonly resume: () => void } | undefined;
    const room = new Promise<void>((resolve) => this.#waiters.add((waiter = { stream, resume: resolve })));
    return withDeadline(room, {
      clock: this.#clock,
      ms: wait.deadlineMs,
      operation: "waiting to send",
      code: "TRANSPORT_TIMEOUT",
      next: "see why the receiver consumes so slowly, or send less",
      signal: wait.signal,
      onExpire: () => waiter !== undefined && this.#waiters.delete(waiter),
    });
  }

  #hasRoom(stream: number): boolean {
    return this.#state !== "open" || this.#queues.hasMuchRoom(stream);
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) {
      if (!this.#hasRoom(waiter.stream)) continue;
      this.#waiters.delete(waiter);
      waiter.resume();
    }
  }

  ping(wait: Wait): Promise<number> {
    if (this.#state !== "open") return Promise.reject(goneError());
    if (wait.signal?.aborted === true) return Promise.reject(abortError(wait.signal, "ping"));
    const nonce = (this.#lastPing = (this.#lastPing + 1) % 2 ** 32);
    const answer = new Promise<number>((answered, failed) => this.#pings.set(nonce, { sentMs: this.#clock.monotonicMs(), answered, failed }));
    this.#pingsDue.push(nonce);
    this.#scheduleFlush();
    return withDeadline(answer, {
      clock: this.#clock,
      ms: wait.deadlineMs,
      operation: "ping",
      code: "TRANSPORT_TIMEOUT",
      next: "see whether the peer's event loop stands still, or the network swallows what is sent",
      signal: wait.signal,
      onExpire: () => this.#pings.delete(nonce),
    });
  }

  /** One write for all that is sent until the current piece of work of this process is done. */
  #scheduleFlush(): void {
    if (this.#flushDue || this.#blocked) return;
    this.#flushDue = true;
    process.nextTick(() => {
      this.#flushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#state === "ended" || this.#saidBye) return; // a write behind the end would break what is still on its way
    this.#writeControl();
    while (!this.#blocked && this.#queues.ready) {
      const batch = (this.#batch ??= borrowBatch());
      this.#queues.moveInto(batch);
      if (batch.buffer.length - batch.at < LARGEST_PIECE) this.#writeBatch();
      else break; // all that may go is in the batch
    }
    if (!this.#blocked) this.#writeBatch();
    if (this.#state === "finishing" && !this.#blocked && this.#queues.queuedBytes === 0) this.#sayBye();
    if (this.#waiters.size > 0) this.#wakeWaiters();
  }

  /** What is small and must not wait: it goes before the frames. At most one of each kind is ever due. */
  #writeControl(): void {
    if (this.#blocked || (this.#creditDue.size === 0 && this.#pongDue === undefined && this.#pingsDue.length === 0 && !this.#beatDue)) return;
    if (this.#batch !== undefined && this.#batch.buffer.length - this.#batch.at < CONTROL_ROOM) this.#writeBatch();
    const batch = (this.#batch ??= borrowBatch());
    for (const [stream, bytes] of this.#creditDue) batch.at = writeUint32(batch.buffer, writeHeader(batch.buffer, batch.at, PIECE.credit, stream, 4), bytes);
    this.#creditDue.clear();
    if (this.#pongDue !== undefined) batch.at = writeUint32(batch.buffer, writeHeader(batch.buffer, batch.at, PIECE.pong, 0, 4), this.#pongDue);
    this.#pongDue = undefined;
    const nonce = this.#pingsDue.at(-1); // the answer to the newest one answers those before it
    if (nonce !== undefined) batch.at = writeUint32(batch.buffer, writeHeader(batch.buffer, batch.at, PIECE.ping, 0, 4), nonce);
    this.#pingsDue.length = 0;
    if (this.#beatDue) batch.at = writeHeader(batch.buffer, batch.at, PIECE.beat, 0, 0);
    this.#beatDue = false;
  }

  #writeBatch(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    if (batch.at === 0) return returnBatch(batch);
    this.#counts.bytesSent += batch.at;
    if (!this.wire.write(batch.buffer.subarray(0, batch.at), () => returnBatch(batch))) this.#blocked = true;
  }

  #drained(): void {
    if (this.#state === "ended") return;
    this.#blocked = false;
    this.#flush();
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  #data(chunk: Uint8Array): void {
    if (this.#state === "ended") return;
    this.#heardMs = this.#clock.monotonicMs();
    this.#counts.bytesReceived += chunk.length;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof TribuneError) || error.code !== "PROTOCOL_VIOLATION") throw error;
      this.end("protocol", error.message);
    }
  }

  #piece(type: number, stream: number, payload: Uint8Array): boolean {
    switch (type) {
      case PIECE.whole:
        if (this.#assembly.isOpen(stream)) throw violation(`a frame on stream ${stream}, on which another one is unfinished`);
        this.#windows.begin(stream, payload.length);
        this.#frame(stream, payload);
        break;
      case PIECE.first:
        if (stream === CONTROL_STREAM) throw violation("a long frame on stream 0");
        this.#windows.begin(stream, this.#assembly.first(stream, payload));
        break;
      case PIECE.more: {
        const whole = this.#assembly.more(stream, payload);
        if (whole !== undefined) this.#frame(stream, whole);
        break;
      }
      case PIECE.credit:
        this.#queues.credit(stream, readUint32(payload, 0));
        this.#scheduleFlush();
        break;
      case PIECE.ping:
        this.#pongDue = readUint32(payload, 0);
        this.#scheduleFlush();
        break;
      case PIECE.pong:
        this.#pong(readUint32(payload, 0));
        break;
      case PIECE.bye:
        this.end("ended", "the peer ended it");
        break;
    }
    return this.#state !== "ended";
  }

  #frame(stream: number, bytes: Uint8Array): void {
    this.#counts.framesReceived++;
    if (this.#state === "open") this.#hooks.frame(stream, bytes);
  }

  #pong(nonce: number): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [each, ping] of this.#pings) {
      if (each > nonce) continue;
      this.#pings.delete(each);
      ping.answered(nowMs - ping.sentMs);
    }
  }

  consumed(stream: number, length: number): void {
    if (this.#state !== "open") return;
    const credit = this.#windows.consumed(stream, length);
    if (credit === 0) return;
    this.#creditDue.set(stream, (this.#creditDue.get(stream) ?? 0) + credit);
    this.#scheduleFlush();
  }

  // ---- living and ending -------------------------------------------------------------------------------------

  /** Called once in each `beatMs`. `late`: this process's own timer came so late that it cannot say who was silent. */
  tick(late: boolean): void {
    if (this.#state === "ended") return;
    const nowMs = this.#clock.monotonicMs();
    if (late) this.#heardMs = nowMs;
    const patienceMs = Math.max(this.#settings.silenceMs, 2 * this.#peerLimits.beatMs);
    if (nowMs - this.#heardMs > patienceMs) return this.end("silent", `nothing was heard for ${Math.round(nowMs - this.#heardMs)} ms`);
    // Each time, also when frames go: a beat that waits for a second without them leaves two seconds of silence, which is all that a peer may be willing to bear.
    this.#beatDue = true;
    this.#scheduleFlush();
  }

  /** Takes no more frames, writes what waits, says bye. Whoever calls it ends the connection if that takes too long. */
  finish(): void {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    this.#failPings();
    this.#wakeWaiters();
    this.#scheduleFlush();
  }

  #sayBye(): void {
    if (this.#saidBye) return;
    this.#saidBye = true;
    const bye = new Uint8Array(HEADER_BYTES);
    writeHeader(bye, 0, PIECE.bye, 0, 0);
    this.wire.write(bye);
    this.wire.end();
  }

  #wireClosed(reason: "ended" | "reset", detail: string): void {
    if (reason === "ended" && this.#saidBye) return this.end("ended", "this side ended it");
    this.end("reset", detail);
  }

  /** Ends at once, and tells; once. */
  end(reason: DownReason, detail: string): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.wire.destroy();
    if (this.#batch !== undefined) returnBatch(this.#batch);
    this.#batch = undefined;
    this.#failPings();
    this.#wakeWaiters();
    this.#hooks.ended(reason, detail);
    for (const mourner of this.#mourners.splice(0)) mourner();
  }

  /** Calls back when it has ended; at once if it has. */
  whenEnded(callback: () => void): void {
    if (this.#state === "ended") callback();
    else this.#mourners.push(callback);
  }

  #failPings(): void {
    for (const ping of this.#pings.values()) ping.failed(goneError());
    this.#pings.clear();
  }
}

function goneError(): TribuneError {
  return new TribuneError("PEER_UNREACHABLE", "there is no connection to the peer, or it ended", { about: "ping", next: "try again when the link is up" });
}
