/** What a process uses, in MiB. `live`: what JavaScript and its buffers hold, after a collection. */
export interface MemoryUse {
  readonly rss: number;
  readonly live: number;
}

/** Between two looks, in milliseconds. Each collects garbage first: what is asked is what is held, not when it is collected. */
const LOOK_EVERY_MS = 1_000;

export function memoryNow(): MemoryUse {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss: rss / 2 ** 20, live: (heapUsed + external) / 2 ** 20 };
}

/** What a process has used over some time: the most, and what it was at each look. */
export interface MemorySeen {
  readonly most: MemoryUse;
  readonly looks: readonly MemoryUse[];
}

/** Looks at this process's memory until it ends. */
export class MemoryWatch {
  readonly #looks: MemoryUse[] = [memoryNow()];
  readonly #timer = setInterval(() => void this.#looks.push(memoryNow()), LOOK_EVERY_MS);

  end(): MemorySeen {
    clearInterval(this.#timer);
    this.#looks.push(memoryNow());
    return { most: { rss: Math.max(...this.#looks.map(({ rss }) => rss)), live: Math.max(...this.#looks.map(({ live }) => live)) }, looks: this.#looks };
  }
}
