/** How many places there are at first, and when everything was received. A power of two. */
const FIRST_PLACES = 32;

/**
 * What is kept of messages with numbers that follow each other: a place for each, in arrays that go round and grow. An object for each message and target would live until it was received: that is what garbage collection costs most for.
 */
export class KeptRing<Message> {
  /** The first number that is kept; the one that comes next if there is none. */
  first = 1;
  /** The number that comes next. */
  end = 1;
  #mask = FIRST_PLACES - 1;
  #messages = Array.from<Message | undefined>({ length: FIRST_PLACES });
  #bytes = new Float64Array(FIRST_PLACES);
  #deadlinesMs = new Float64Array(FIRST_PLACES);
  #sends = new Uint32Array(FIRST_PLACES);

  /** Returns the number. */
  push(message: Message, bytes: number, deadlineMs: number): number {
    if (this.end - this.first > this.#mask) this.#resize(2 * (this.#mask + 1));
    const place = this.end & this.#mask; // right beyond 32 bits too: places are a power of two
    this.#messages[place] = message;
    this.#bytes[place] = bytes;
    this.#deadlinesMs[place] = deadlineMs;
    this.#sends[place] = 0;
    return this.end++;
  }

  /** Forgets the first one. Returns what it counted for. */
  shift(): number {
    const place = this.first++ & this.#mask;
    this.#messages[place] = undefined;
    const bytes = this.#bytes[place] as number;
    if (this.first === this.end && this.#mask > 32 * FIRST_PLACES) this.#resize(FIRST_PLACES);
    return bytes;
  }

  /** `undefined`: it was given up, or is not kept. */
  message(number: number): Message | undefined {
    return number >= this.first && number < this.end ? this.#messages[number & this.#mask] : undefined;
  }

  deadlineMs(number: number): number {
    return this.#deadlinesMs[number & this.#mask] as number;
  }

  sends(number: number): number {
    return this.#sends[number & this.#mask] as number;
  }

  sent(number: number): void {
    (this.#sends[number & this.#mask] as number)++;
  }

  /** Keeps the place without its message, and counts it for `bytes` at the most. Returns how much less that is. */
  giveUp(number: number, bytes: number): number {
    const place = number & this.#mask;
    this.#messages[place] = undefined;
    const before = this.#bytes[place] as number;
    this.#bytes[place] = Math.min(before, bytes);
    return before - Math.min(before, bytes);
  }

  #resize(places: number): void {
    const [messages, bytes, deadlinesMs, sends, mask] = [this.#messages, this.#bytes, this.#deadlinesMs, this.#sends, this.#mask];
    this.#mask = places - 1;
    this.#messages = Array.from<Message | undefined>({ length: places });
    this.#bytes = new Float64Array(places);
    this.#deadlinesMs = new Float64Array(places);
    this.#sends = new Uint32Array(places);
    for (let number = this.first; number < this.end; number++) {
      const [from, to] = [number & mask, number & this.#mask];
      this.#messages[to] = messages[from];
      this.#bytes[to] = bytes[from] as number;
      this.#deadlinesMs[to] = deadlinesMs[from] as number;
      this.#sends[to] = sends[from] as number;
    }
  }
}
