/** Messages with a number in their first four bytes. */
export function numbered(number: number, bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  new DataView(message.buffer).setUint32(0, number);
  return message;
}

export function numberOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0);
}

/** What a receiver has counted. */
export interface Count {
  readonly received: number;
  /** Numbers that came more than once. */
  readonly twice: number;
  /** Numbers that came after a larger one. */
  readonly outOfOrder: number;
  readonly largest: number;
}

/** Counts numbered messages: each number once, exactly, with a bit for each. */
export class Counter {
  #seen = new Uint32Array(1_024);
  #count = { received: 0, twice: 0, outOfOrder: 0, largest: 0 };

  came(number: number): void {
    const at = number >>> 5;
    if (at >= this.#seen.length) {
      const more = new Uint32Array(Math.max(at + 1, 2 * this.#seen.length));
      more.set(this.#seen);
      this.#seen = more;
    }
    const bit = 1 << (number & 31);
    const word = this.#seen[at] ?? 0;
    if ((word & bit) !== 0) this.#count.twice++;
    this.#seen[at] = word | bit;
    this.#count.received++;
    if (number < this.#count.largest) this.#count.outOfOrder++;
    else this.#count.largest = number;
  }

  get count(): Count {
    return { ...this.#count };
  }
}
