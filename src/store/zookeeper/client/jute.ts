/** The bytes are not what the protocol allows: whoever sent them is no ZooKeeper, or we have lost our place. */
export class JuteError extends Error {
  override readonly name = "JuteError";
}

const FIRST_SIZE_BYTES = 256;
const LONGEST_INT = 2 ** 31 - 1;

/**
 * Writes values as ZooKeeper's record format has them (`org.apache.jute.BinaryOutputArchive`): big-endian integers, and strings, buffers and lists behind their
 * length, which is -1 where there is none.
 */
export class JuteWriter {
  #bytes = Buffer.allocUnsafe(FIRST_SIZE_BYTES);
  #length = 4; // a frame begins with its length

  int(value: number): this {
    this.#room(4).writeInt32BE(value, this.#length);
    this.#length += 4;
    return this;
  }

  long(value: bigint): this {
    this.#room(8).writeBigInt64BE(value, this.#length);
    this.#length += 8;
    return this;
  }

  bool(value: boolean): this {
    this.#room(1).writeUInt8(value ? 1 : 0, this.#length);
    this.#length += 1;
    return this;
  }

  buffer(value: Uint8Array | null): this {
    if (value === null) return this.int(-1);
    this.int(value.length);
    this.#room(value.length).set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.int(-1);
    const sizeBytes = Buffer.byteLength(value);
    this.int(sizeBytes);
    this.#room(sizeBytes).write(value, this.#length);
    this.#length += sizeBytes;
    return this;
  }

  list<T>(values: readonly T[], write: (writer: this, value: T) => void): this {
    this.int(values.length);
    for (const value of values) write(this, value);
    return this;
  }

  /** What was written, behind its length. */
  frame(): Buffer {
    this.#bytes.writeInt32BE(this.#length - 4, 0);
    return this.#bytes.subarray(0, this.#length);
  }

  #room(sizeBytes: number): Buffer {
    const needed = this.#length + sizeBytes;
    if (needed > LONGEST_INT) throw new JuteError(`a request of ${needed} bytes is longer than the protocol can say`);
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

/** Reads what {@link JuteWriter} writes. Each length is compared with what is there before anything is made of it; what does not fit throws a {@link JuteError}. */
export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get leftBytes(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  long(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  bool(): boolean {
    return this.#bytes.readUInt8(this.#take(1)) !== 0;
  }

  buffer(): Buffer | null {
    const sizeBytes = this.#size("a buffer");
    if (sizeBytes === -1) return null;
    const from = this.#take(sizeBytes);
    return this.#bytes.subarray(from, from + sizeBytes);
  }

  string(): string | null {
    return this.buffer()?.toString("utf8") ?? null;
  }

  list<T>(read: (reader: this) => T): readonly T[] {
    const count = this.#size("a list"); // each of its elements takes a byte at least
    const values: T[] = [];
    for (let n = 0; n < count; n++) values.push(read(this));
    return values;
  }

  #size(what: string): number {
    const size = this.int();
    if (size < -1 || size > this.leftBytes) throw new JuteError(`${what} says that it has ${size} elements, where ${this.leftBytes} bytes are left`);
    return size;
  }

  #take(sizeBytes: number): number {
    if (sizeBytes > this.leftBytes) throw new JuteError(`${sizeBytes} bytes are read where ${this.leftBytes} are left`);
    const from = this.#at;
    this.#at += sizeBytes;
    return from;
  }
}
