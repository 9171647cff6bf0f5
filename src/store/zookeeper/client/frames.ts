import { JuteError } from "./jute.ts";

/** A server sends no more than it lets a znode have, by default 1 MB, and lists of children; what says that it is longer is no answer of ZooKeeper's. */
export const LONGEST_FRAME_BYTES = 64 * 1024 * 1024;

/** Cuts what arrives into frames: a length of four bytes, and as much. */
export class FrameReader {
  readonly #longestBytes: number;
  #chunks: Buffer[] = [];
  #heldBytes = 0;

  constructor(longestBytes = LONGEST_FRAME_BYTES) {
    this.#longestBytes = longestBytes;
  }

  /** The frames that `chunk` completes. Throws a {@link JuteError} as soon as a frame says that it is longer than any may be. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const frames: Buffer[] = [];
    for (;;) {
      if (this.#heldBytes < 4) return frames;
      const sizeBytes = this.#peekLength();
      if (sizeBytes < 0 || sizeBytes > this.#longestBytes) throw new JuteError(`a frame says that it has ${sizeBytes} bytes; none has more than ${this.#longestBytes}`);
      if (this.#heldBytes < 4 + sizeBytes) return frames;
      const held = this.#joined();
      frames.push(held.subarray(4, 4 + sizeBytes));
      const rest = held.subarray(4 + sizeBytes);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#heldBytes = rest.length;
    }
  }

  #peekLength(): number {
    const [first] = this.#chunks;
    return (first !== undefined && first.length >= 4 ? first : this.#joined()).readInt32BE(0);
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const joined = Buffer.concat(this.#chunks, this.#heldBytes);
    this.#chunks = [joined];
    return joined;
  }
}
