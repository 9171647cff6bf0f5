import type { Clock, Timer } from "../kernel/index.ts";

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until a test moves it. Timers run in the order of their times, and between two of them all
 * promises that can settle have settled, so a whole cluster runs in one process in no time.
 *
 *     const clock = new VirtualClock();
 *     const cluster = createCluster({ …, clock });
 *     const starting = cluster.start();
 *     await clock.advance(1_000);
 *     await starting;
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  #sleptMs = 0;
  #order = 0;
  readonly #entries = new Set<Entry>();

  /** `wallMs` is what the wall clock shows at first. */
  constructor(options: { readonly wallMs?: number } = {}) {
    this.#wallOffsetMs = options.wallMs ?? Date.UTC(2026, 0, 1);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  bootMs(): number {
    return this.#nowMs + this.#sleptMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#entries.add(entry);
    return { cancel: () => this.#entries.delete(entry) };
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#entries.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  /** Lets time pass until `condition` holds, at most `withinMs`; throws if it never does. */
  async advanceUntil(condition: () => boolean, withinMs: number, what = "the condition"): Promise<void> {
    const untilMs = this.#nowMs + withinMs;
    await settle();
    while (!condition()) {
      const next = this.#next(untilMs);
      if (next === undefined) throw new Error(`${what} did not come about within ${withinMs} ms of virtual time`);
      await this.advance(Math.max(0, next.atMs - this.#nowMs));
    }
  }

  /**
   * Time passes while this process does not run, as when it is stopped or its event loop is blocked: every timer that fell due runs afterwards,
   * late. With `asleep` the whole machine slept: the monotonic clock stood still and only the wall clock moved.
   */
  async freeze(ms: number, options: { readonly asleep?: boolean } = {}): Promise<void> {
    this.jump(ms, options);
    await this.advance(0);
  }

  /** As `freeze`, but nothing has run yet when it returns: what the first line of code after a long pause finds. */
  jump(ms: number, options: { readonly asleep?: boolean } = {}): void {
    if (options.asleep !== true) {
      this.#nowMs += ms;
      return;
    }
    this.#wallOffsetMs += ms;
    this.#sleptMs += ms;
  }

  /** Steps the wall clock, as an administrator or a time server does. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #next(untilMs: number): Entry | undefined {
    let best: Entry | undefined;
    for (const entry of this.#entries) {
      if (entry.atMs > untilMs) continue;
      if (best === undefined || entry.atMs < best.atMs || (entry.atMs === best.atMs && entry.order < best.order)) best = entry;
    }
    return best;
  }
}

/** Until no promise that could settle is left: a turn of the event loop drains all of them. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
