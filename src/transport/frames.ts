import { TribuneError } from "../kernel/index.ts";
import { LAST_STREAM } from "./transport.ts";

/**
 * The format of version 1. A connection begins with a preamble and a hello (`hello.ts`); after that it is a row of pieces, each
 *
 *     length (4 bytes, big-endian, of the payload) · type (1) · stream (1) · payload
 *
 * A frame of up to 16 KiB is one piece, `whole`. A longer one is `first`, whose payload begins with the length of the whole frame (4 bytes), and as many `more` as it takes: all full but the last.
 * Between two of them pieces of other streams may come.
 */
export const FORMAT_VERSION = 1;

/** Of the header of each piece. */
export const HEADER_BYTES = 6;

/** The most that one piece carries: what a small frame waits for at most, before its turn comes. */
export const PIECE_BYTES = 16 * 1024;

/** The length of a whole frame, before the first piece of a long one. */
export const TOTAL_BYTES = 4;

/** What a piece is. */
export const PIECE = {
  hello: 1,
  welcome: 2,
  refuse: 3,
  whole: 16,
  first: 17,
  more: 18,
  credit: 19,
  beat: 20,
  ping: 21,
  pong: 22,
  bye: 23,
} as const;

/** How long the payload of each type may be, and on which streams it may come. What is not here is no piece of an open connection. */
const SHAPES: ReadonlyMap<number, { readonly min: number; readonly max: number; readonly firstStream: number; readonly lastStream: number }> = new Map([
  [PIECE.whole, { min: 0, max: PIECE_BYTES, firstStream: 0, lastStream: LAST_STREAM }],
  [PIECE.first, { min: TOTAL_BYTES + PIECE_BYTES, max: TOTAL_BYTES + PIECE_BYTES, firstStream: 0, lastStream: LAST_STREAM }],
  [PIECE.more, { min: 1, max: PIECE_BYTES, firstStream: 0, lastStream: LAST_STREAM }],
  [PIECE.credit, { min: 4, max: 4, firstStream: 1, lastStream: LAST_STREAM }],
  [PIECE.beat, { min: 0, max: 0, firstStream: 0, lastStream: 0 }],
  [PIECE.ping, { min: 4, max: 4, firstStream: 0, lastStream: 0 }],
  [PIECE.pong, { min: 4, max: 4, firstStream: 0, lastStream: 0 }],
  [PIECE.bye, { min: 0, max: 0, firstStream: 0, lastStream: 0 }],
]);

/** Writes a header; returns where the payload begins. */
export function writeHeader(into: Uint8Array, at: number, type: number, stream: number, length: number): number {
  into[at] = length >>> 24;
  into[at + 1] = length >>> 16;
  into[at + 2] = length >>> 8;
  into[at + 3] = length;
  into[at + 4] = type;
  into[at + 5] = stream;
  return at + HEADER_BYTES;
}

/** Four bytes, big-endian. */
export function readUint32(from: Uint8Array, at: number): number {
  return ((from[at] ?? 0) * 0x1000000 + ((from[at + 1] ?? 0) << 16) + ((from[at + 2] ?? 0) << 8) + (from[at + 3] ?? 0));
}

/** Four bytes, big-endian; returns where the next begins. */
export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return at + 4;
}

/** The error for what breaks the format or a limit: the connection ends. */
export function violation(found: string): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", `the peer sent ${found}`, {
    about: "connection",
    next: "run the same version of Tribune on all members, and see who else can reach this address",
  });
}

/** Takes a piece out of a stream of bytes. Returns false to stop: nothing more of the chunk is looked at. */
export type PieceHandler = (type: number, stream: number, payload: Uint8Array) => boolean;

/**
 * Cuts what arrives, in chunks of any size, into pieces. Never holds more than one incomplete piece; its length was checked before anything was allocated for it. A payload is a window of the chunk
 * where it can be.
 */
export class PieceReader {
  readonly #onPiece: PieceHandler;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  /** The payload of a piece that began in an earlier chunk. */
  #partial: Uint8Array | undefined;
  #partialBytes = 0;
  #stopped = false;

  constructor(onPiece: PieceHandler) {
    this.#onPiece = onPiece;
  }

  /** How many bytes are held of a piece that has not come as a whole. */
  get heldBytes(): number {
    return this.#headerBytes + this.#partialBytes;
  }

  /** Throws `PROTOCOL_VIOLATION`; after that, or after the handler said so, what is pushed is ignored. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#partial !== undefined) at = this.#fillPayload(chunk, at, this.#partial);
      else if (this.#headerBytes > 0 || chunk.length - at < HEADER_BYTES) at = this.#fillHeader(chunk, at);
      else at = this.#takeWindow(chunk, at);
    }
  }

  /** The usual case: the header is in this chunk, and mostly the payload too. */
  #takeWindow(chunk: Uint8Array, at: number): number {
    const length = readUint32(chunk, at);
    const type = chunk[at + 4] ?? 0;
    const stream = chunk[at + 5] ?? 0;
    this.#check(type, stream, length);
    const from = at + HEADER_BYTES;
    if (chunk.length - from >= length) {
      if (!this.#onPiece(type, stream, chunk.subarray(from, from + length))) this.#stopped = true;
      return from + length;
    }
    this.#header.set(chunk.subarray(at, from));
    this.#begin(length);
    return from;
  }

  #fillHeader(chunk: Uint8Array, at: number): number {
    const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length - at);
    this.#header.set(chunk.subarray(at, at + taken), this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes === HEADER_BYTES) {
      const length = readUint32(this.#header, 0);
      this.#check(this.#header[4] ?? 0, this.#header[5] ?? 0, length);
      this.#begin(length);
    }
    return at + taken;
  }

  #fillPayload(chunk: Uint8Array, at: number, partial: Uint8Array): number {
    const taken = Math.min(partial.length - this.#partialBytes, chunk.length - at);
    partial.set(chunk.subarray(at, at + taken), this.#partialBytes);
    this.#partialBytes += taken;
    if (this.#partialBytes === partial.length) this.#finish(partial);
    return at + taken;
  }

  #begin(length: number): void {
    this.#headerBytes = HEADER_BYTES;
    this.#partialBytes = 0;
    this.#partial = new Uint8Array(length);
    if (length === 0) this.#finish(this.#partial);
  }

  #finish(payload: Uint8Array): void {
    this.#partial = undefined;
    this.#headerBytes = 0;
    this.#partialBytes = 0;
    if (!this.#onPiece(this.#header[4] ?? 0, this.#header[5] ?? 0, payload)) this.#stopped = true;
  }

  #check(type: number, stream: number, length: number): void {
    const shape = SHAPES.get(type);
    if (shape !== undefined && length >= shape.min && length <= shape.max && stream >= shape.firstStream && stream <= shape.lastStream) return;
    this.#stopped = true;
    throw violation(shape === undefined ? `a piece of unknown type ${type}` : `a piece of type ${type} on stream ${stream} with a length of ${length}`);
  }
}
