import { PIECE_BYTES, readUint32, TOTAL_BYTES, violation } from "./frames.ts";

/** What a receiver is willing to put together. */
export interface AssemblyLimits {
  /** The longest frame. */
  readonly maxFrameBytes: number;
  /** All unfinished frames together. */
  readonly assemblyBytes: number;
}

interface Unfinished {
  readonly bytes: Uint8Array;
  filled: number;
}

/** Puts long frames together from their pieces: at most one on each stream at a time. */
export class Assembly {
  readonly #limits: AssemblyLimits;
  readonly #unfinished = new Map<number, Unfinished>();
  #openBytes = 0;

  constructor(limits: AssemblyLimits) {
    this.#limits = limits;
  }

  /** The lengths of all unfinished frames: what is allocated for them. */
  get openBytes(): number {
    return this.#openBytes;
  }

  /** Whether a frame of that stream is unfinished: then no other one may begin on it. */
  isOpen(stream: number): boolean {
    return this.#unfinished.has(stream);
  }

  /** The first piece of a long frame: its length, checked before anything is allocated, and its first bytes. Returns the length. Throws `PROTOCOL_VIOLATION`. */
  first(stream: number, payload: Uint8Array): number {
    const total = readUint32(payload, 0);
    if (this.#unfinished.has(stream)) throw violation(`the beginning of a frame on stream ${stream}, on which another one is unfinished`);
    if (total <= PIECE_BYTES) throw violation(`a frame of ${total} bytes in pieces`);
    if (total > this.#limits.maxFrameBytes) throw violation(`a frame of ${total} bytes, more than ${this.#limits.maxFrameBytes}`);
    if (this.#openBytes + total > this.#limits.assemblyBytes) throw violation(`more than ${this.#limits.assemblyBytes} bytes of unfinished frames`);
    const bytes = new Uint8Array(total);
    bytes.set(payload.subarray(TOTAL_BYTES));
    this.#unfinished.set(stream, { bytes, filled: payload.length - TOTAL_BYTES });
    this.#openBytes += total;
    return total;
  }

  /** A further piece. Returns the frame if it is complete. Throws `PROTOCOL_VIOLATION`. */
  more(stream: number, piece: Uint8Array): Uint8Array | undefined {
    const frame = this.#unfinished.get(stream);
    if (frame === undefined) throw violation(`a further piece on stream ${stream}, on which no frame is unfinished`);
    const missing = frame.bytes.length - frame.filled;
    if (piece.length !== Math.min(missing, PIECE_BYTES)) throw violation(`a piece of ${piece.length} bytes of a frame of which ${missing} were missing`);
    frame.bytes.set(piece, frame.filled);
    frame.filled += piece.length;
    if (frame.filled < frame.bytes.length) return undefined;
    this.#unfinished.delete(stream);
    this.#openBytes -= frame.bytes.length;
    return frame.bytes;
  }
}
