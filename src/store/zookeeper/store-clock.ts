import type { Clock } from "../../kernel/index.ts";

/** A stamp of a write of our own replaces a later-looking one that is older than this: the ensemble may have a leader by now whose clock is behind. */
const LONGEST_HELD_MS = 60_000;

/**
 * What the store's wall clock has certainly reached. ZooKeeper tells nobody its time; but the leader stamps each change, and a stamp that has arrived is past. So the largest
 * stamp, counted on by our own monotonic clock, is a time that the store's clock has reached, and behind it by no more than the way of one answer.
 */
export class StoreClock {
  readonly #clock: Clock;
  #offsetMs: number | undefined;
  #heldSinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A stamp that somebody's change was given, sometime before now. */
  see(stampMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const offsetMs = stampMs - nowMs;
    if (this.#offsetMs !== undefined && offsetMs < this.#offsetMs) return;
    this.#offsetMs = offsetMs;
    this.#heldSinceMs = nowMs;
  }

  /** The stamp of a change of our own that was answered just now. */
  seeOwn(stampMs: number): void {
    if (this.#clock.monotonicMs() - this.#heldSinceMs > LONGEST_HELD_MS) this.#offsetMs = undefined;
    this.see(stampMs);
  }

  nowMs(): number {
    return this.#offsetMs === undefined ? Math.floor(this.#clock.wallMs()) : Math.floor(this.#clock.monotonicMs() + this.#offsetMs);
  }
}
