import type { Clock } from "./clock.ts";

/** Readings of two clocks that differ by less than this are noise: the grain of the coarser one, and slewing. */
const NOISE_MS = 25;

/**
 * Time that never passes more slowly than any clock of this process. The monotonic clock cannot be stepped but may stand still while the machine sleeps;
 * the wall clock counts sleep, and the time that a virtual machine was paused, but may be stepped; the boot clock counts sleep and cannot be stepped, but costs
 * a system call or more. So this follows the monotonic one. When the wall clock has jumped against it, either way, the boot clock is asked too, and
 * the larger gain is added. A wall clock stepped forward therefore looks like a sleep, which is the safe mistake for whoever asks "may I still?".
 *
 * What is missed: a sleep, where the wall clock is stepped back by as much between the same two readings, to within the noise; and, without a boot clock, by as much or more.
 */
export class Elapsed {
  readonly #clock: Clock;
  #gainedMs = 0;
  #wallOffsetMs: number;
  #bootOffsetMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    const monotonicMs = clock.monotonicMs();
    this.#wallOffsetMs = clock.wallMs() - monotonicMs;
    this.#bootOffsetMs = (clock.bootMs?.() ?? monotonicMs) - monotonicMs;
  }

  /** Milliseconds from an arbitrary start. */
  nowMs(): number {
    const monotonicMs = this.#clock.monotonicMs();
    const wallGainMs = this.#clock.wallMs() - monotonicMs - this.#wallOffsetMs;
    if (Math.abs(wallGainMs) > NOISE_MS) {
      const bootGainMs = (this.#clock.bootMs?.() ?? monotonicMs) - monotonicMs - this.#bootOffsetMs;
      this.#wallOffsetMs += wallGainMs;
      this.#bootOffsetMs += bootGainMs;
      this.#gainedMs += Math.max(0, wallGainMs, bootGainMs > NOISE_MS ? bootGainMs : 0);
    }
    return monotonicMs + this.#gainedMs;
  }
}
