/** Something that will happen, and can be called off. */
export class Appointment {
  /** When, in milliseconds of true time. */
  readonly atMs: number;
  /** Which of two at the same time comes first. */
  readonly order: number;
  deed: (() => void) | undefined;

  constructor(atMs: number, order: number, deed: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.deed = deed;
  }

  /** Calling off twice, or after it happened, does nothing. */
  cancel(): void {
    this.deed = undefined;
  }
}

/** More than any burst needs; a loop that takes no time goes beyond it. */
const MOST_AT_ONCE = 100_000;

/**
 * True time, and what is going to happen in it: the one order of events that a simulation has. It knows nothing of nodes; their clocks are
 * made of it.
 */
export class Schedule {
  #nowMs = 0;
  #order = 0;
  #count = 0;
  #atOnce = 0;
  /** A binary heap: the children of i are 2i + 1 and 2i + 2. */
  readonly #heap: Appointment[] = [];

  /** Milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many things have happened. */
  get happened(): number {
    return this.#count;
  }

  /** Lets `deed` happen in `delayMs`; what has the same time happens in the order in which it was asked for. */
  in(delayMs: number, deed: () => void): Appointment {
    const appointment = new Appointment(this.#nowMs + Math.max(0, delayMs), this.#order++, deed);
    this.#push(appointment);
    return appointment;
  }

  /** Lets the next thing happen, if there is one until `untilMs`; otherwise time is `untilMs`, and the answer is false. */
  next(untilMs: number): boolean {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= untilMs; first = this.#heap[0]) {
      this.#pop();
      const { deed } = first;
      if (deed === undefined) continue;
      this.#atOnce = first.atMs > this.#nowMs ? 0 : this.#atOnce + 1;
      if (this.#atOnce > MOST_AT_ONCE) throw new Error(`time stands still at ${this.#nowMs} ms: ${MOST_AT_ONCE} things have happened in one instant`);
      this.#nowMs = first.atMs;
      this.#count += 1;
      first.deed = undefined;
      deed();
      return true;
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    return false;
  }

  #push(appointment: Appointment): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(appointment);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Appointment;
      if (!isBefore(appointment, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = appointment;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Appointment;
    const { length } = heap;
    if (length === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(heap[below + 1] as Appointment, heap[below] as Appointment)) below += 1;
      const child = heap[below] as Appointment;
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
