/** What a window says of a number. */
export type Seen = "new" | "duplicate" | "beyond";

/** How far ahead of the first missing number a window remembers. */
export const WINDOW_SIZE = 4_096;

/**
 * Which numbers of 1, 2, 3, … have been seen, exactly, in bounded memory: all below `next`, and any of the following `size`. For flows that may arrive in any order. A number beyond that is neither new nor old: it is refused.
 */
export class SequenceWindow {
  readonly #size: number;
  readonly #bits: Uint32Array;
  #next = 1;
  #ahead = 0;

  /** `size` is a multiple of 32. */
  constructor(size: number = WINDOW_SIZE) {
    this.#size = size;
    this.#bits = new Uint32Array(size / 32);
  }

  /** The first number that has not been seen. */
  get next(): number {
    return this.#next;
  }

  /** How many after it have been. */
  get ahead(): number {
    return this.#ahead;
  }

  /** Takes note of a number. `new` is said once for each. */
  see(number: number): Seen {
    if (number < this.#next) return "duplicate";
    if (number >= this.#next + this.#size) return "beyond";
    const at = number % this.#size;
    const bit = 1 << (at & 31);
    const word = this.#bits[at >> 5] ?? 0;
    if ((word & bit) !== 0) return "duplicate";
    this.#bits[at >> 5] = word | bit;
    this.#ahead++;
    while (this.#take(this.#next)) {
      this.#next++;
      this.#ahead--;
    }
    return "new";
  }

  /** Whether a number was seen; then its bit is free for the one that is a whole window later. */
  #take(number: number): boolean {
    const at = number % this.#size;
    const bit = 1 << (at & 31);
    const word = this.#bits[at >> 5] ?? 0;
    if ((word & bit) === 0) return false;
    this.#bits[at >> 5] = word & ~bit;
    return true;
  }
}
