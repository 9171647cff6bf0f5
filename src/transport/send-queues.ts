import { HEADER_BYTES, PIECE, PIECE_BYTES, TOTAL_BYTES, violation, writeHeader, writeUint32 } from "./frames.ts";
import { CONTROL_STREAM, FIRST_BULK_STREAM } from "./transport.ts";
import { costOf } from "./windows.ts";

/** Nothing goes before the payload. */
export const NO_HEAD = new Uint8Array(0);

/** What bounds the queues: this side's memory, and what the peer said that it takes. */
export interface SendLimits {
  /** What may wait on one stream, and the last frame that was taken below that. */
  readonly streamQueueBytes: number;
  /** What may wait on all streams together; stream 0 is not held back by it. */
  readonly queueBytes: number;
  /** The peer's. */
  readonly windowBytes: number;
  /** The peer's. */
  readonly assemblyBytes: number;
}

/** Bytes on their way to the wire. */
export interface Batch {
  readonly buffer: Uint8Array;
  at: number;
}

/** What the largest piece takes in a batch. */
export const LARGEST_PIECE = HEADER_BYTES + TOTAL_BYTES + PIECE_BYTES;

/** How many bytes of small frames one stream may put into a batch before the next stream's turn. */
const TURN_BYTES = PIECE_BYTES;

/** One turn in so many is for bulk when something else waits. */
const BULK_TURN = 16;

interface Waiting {
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly length: number;
  /** Of the frame, how much is sent. */
  sent: number;
}

/** In the place of a frame that is sent, so that its bytes are not held. */
const SENT: Waiting = { head: NO_HEAD, payload: NO_HEAD, length: 0, sent: 0 };

class StreamQueue {
  readonly number: number;
  readonly frames: Waiting[] = [];
  /** Frames before this one are sent: shifting an array of thousands is slow. */
  head = 0;
  /** What waits, counted as `costOf` does. */
  bytes = 0;
  /** What the peer's window has left; may be negative, see `ReceiveWindows`. */
  credit: number;
  /** It is in the list of those whose turn comes. */
  listed = false;

  constructor(number: number, credit: number) {
    this.number = number;
    this.credit = credit;
  }

  first(): Waiting | undefined {
    return this.frames[this.head];
  }

  shift(): void {
    this.frames[this.head++] = SENT;
    if (this.head < 1024 && this.head < this.frames.length) return;
    this.frames.splice(0, this.head);
    this.head = 0;
  }
}

/**
 * What waits to be sent to one peer, and in which order it goes: stream 0 first, then the others in turns, a piece each, bulk when nothing else waits. Decides and copies; writes nothing.
 */
export class SendQueues {
  readonly #limits: SendLimits;
  readonly #streams: Array<StreamQueue | undefined> = [];
  readonly #normal: StreamQueue[] = [];
  readonly #bulk: StreamQueue[] = [];
  #turn = 0;
  #queuedBytes = 0;
  /** Of those that have begun and are not sent as a whole, the lengths: the peer puts them together. */
  #openBytes = 0;
  #waitsForAssembly = false;

  constructor(limits: SendLimits) {
    this.#limits = limits;
  }

  /** What waits, counted as `costOf` does: a frame costs more than its bytes. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether anything could go now. */
  get ready(): boolean {
    return this.#streams[CONTROL_STREAM]?.first() !== undefined || this.#normal.length > 0 || this.#bulk.length > 0;
  }

  /**
   * Whether a frame of that length would be taken. Goes by what waits already, so that any frame is taken at some time, and a bound is passed by one frame at most. A short one is taken wherever nothing waits on its stream: what is large on others does not keep it out.
   */
  hasRoom(stream: number, length: number): boolean {
    const waiting = this.#streams[stream]?.bytes ?? 0;
    if (waiting === 0 && length <= PIECE_BYTES) return true;
    return waiting < this.#limits.streamQueueBytes && (stream === CONTROL_STREAM || this.#queuedBytes < this.#limits.queueBytes);
  }

  /** Whether so much has gone that a sender who was refused may begin again: any frame would be taken, and not only one. */
  hasMuchRoom(stream: number): boolean {
    const waiting = this.#streams[stream]?.bytes ?? 0;
    return waiting <= this.#limits.streamQueueBytes / 2 && (stream === CONTROL_STREAM || this.#queuedBytes < this.#limits.queueBytes);
  }

  /**
   * Puts a short frame into the batch at once, past the queues, if nothing waits before it. Returns whether it did. The usual way of a frame when the network keeps up.
   */
  sendNow(stream: number, payload: Uint8Array, head: Uint8Array, batch: Batch): boolean {
    const length = head.length + payload.length;
    if (length > PIECE_BYTES || this.ready || batch.buffer.length - batch.at < HEADER_BYTES + length) return false;
    const queue = this.#queue(stream);
    if (queue.bytes > 0 || queue.first() !== undefined || queue.credit <= 0) return false;
    if (stream !== CONTROL_STREAM) queue.credit -= costOf(length);
    const at = writeHeader(batch.buffer, batch.at, PIECE.whole, stream, length);
    for (let n = 0; n < head.length; n++) batch.buffer[at + n] = head[n] as number; // a few bytes: a call costs more
    batch.buffer.set(payload, at + head.length);
    batch.at = at + length;
    return true;
  }

  /** Takes a frame; ask `hasRoom` first. */
  add(stream: number, payload: Uint8Array, head: Uint8Array = NO_HEAD): void {
    const queue = this.#queue(stream);
    const length = head.length + payload.length;
    queue.frames.push({ head: head.length === 0 ? head : head.slice(), payload, length, sent: 0 });
    queue.bytes += costOf(length);
    this.#queuedBytes += costOf(length);
    this.#list(queue);
  }

  /** The peer's receiver has consumed so much. Throws `PROTOCOL_VIOLATION` if that is more than it was sent. */
  credit(stream: number, bytes: number): void {
    const queue = this.#queue(stream);
    if (queue.credit + bytes > this.#limits.windowBytes) throw violation(`credit for ${bytes} bytes on stream ${stream}, more than it was sent`);
    queue.credit += bytes;
    this.#list(queue);
  }

  /** Fills the batch with what may go, in order, as long as the largest piece fits. Returns whether anything was put in. */
  moveInto(batch: Batch): boolean {
    const before = batch.at;
    while (batch.buffer.length - batch.at >= LARGEST_PIECE) {
      const queue = this.#next();
      if (queue === undefined) break;
      queue.listed = false;
      this.#takeTurn(queue, batch);
      this.#list(queue);
    }
    return batch.at > before;
  }

  #next(): StreamQueue | undefined {
    const control = this.#streams[CONTROL_STREAM];
    if (control?.first() !== undefined) return control;
    const bulkFirst = this.#normal.length === 0 || (this.#bulk.length > 0 && ++this.#turn % BULK_TURN === 0);
    return bulkFirst ? this.#bulk.shift() : this.#normal.shift();
  }

  #takeTurn(queue: StreamQueue, batch: Batch): void {
    const end = batch.at + TURN_BYTES;
    do {
      const frame = queue.first();
      if (frame === undefined || !this.#mayGo(queue, frame)) return;
      this.#writePiece(queue, frame, batch);
    } while (batch.at < end && batch.buffer.length - batch.at >= LARGEST_PIECE);
  }

  #mayGo(queue: StreamQueue, frame: Waiting): boolean {
    if (frame.sent > 0 || queue.number === CONTROL_STREAM) return true;
    if (queue.credit <= 0) return false;
    if (frame.length <= PIECE_BYTES || this.#openBytes + frame.length <= this.#limits.assemblyBytes) return true;
    this.#waitsForAssembly = true;
    return false;
  }

  #writePiece(queue: StreamQueue, frame: Waiting, batch: Batch): void {
    const isFirst = frame.sent === 0;
    if (isFirst && queue.number !== CONTROL_STREAM) queue.credit -= costOf(frame.length);
    const length = Math.min(PIECE_BYTES, frame.length - frame.sent);
    const isLong = frame.length > PIECE_BYTES;
    let at: number;
    if (!isLong) at = writeHeader(batch.buffer, batch.at, PIECE.whole, queue.number, length);
    else if (isFirst) at = writeUint32(batch.buffer, writeHeader(batch.buffer, batch.at, PIECE.first, queue.number, TOTAL_BYTES + length), frame.length);
    else at = writeHeader(batch.buffer, batch.at, PIECE.more, queue.number, length);
    copyPiece(frame, batch.buffer, at, length);
    batch.at = at + length;
    frame.sent += length;
    const paid = frame.sent < frame.length ? length : costOf(length);
    queue.bytes -= paid;
    this.#queuedBytes -= paid;
    if (isLong && isFirst) this.#openBytes += frame.length;
    if (frame.sent < frame.length) return;
    queue.shift();
    if (isLong) this.#closeLong(frame.length);
  }

  #closeLong(length: number): void {
    this.#openBytes -= length;
    if (!this.#waitsForAssembly) return;
    this.#waitsForAssembly = false;
    for (const queue of this.#streams) if (queue !== undefined) this.#list(queue);
  }

  /** Gives a stream a place among those whose turn comes, if it has something that may go. */
  #list(queue: StreamQueue): void {
    const frame = queue.first();
    if (queue.listed || queue.number === CONTROL_STREAM || frame === undefined || !this.#mayGo(queue, frame)) return;
    queue.listed = true;
    (queue.number < FIRST_BULK_STREAM ? this.#normal : this.#bulk).push(queue);
  }

  #queue(stream: number): StreamQueue {
    return (this.#streams[stream] ??= new StreamQueue(stream, this.#limits.windowBytes));
  }
}

/** Copies what comes next of a frame. */
function copyPiece({ head, payload, sent }: Waiting, into: Uint8Array, at: number, length: number): void {
  const ofHead = Math.max(0, Math.min(length, head.length - sent));
  if (ofHead > 0) into.set(head.subarray(sent, sent + ofHead), at);
  const from = Math.max(0, sent - head.length);
  into.set(from === 0 && payload.length === length - ofHead ? payload : payload.subarray(from, from + length - ofHead), at + ofHead);
}
