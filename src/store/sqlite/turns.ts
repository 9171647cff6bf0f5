import type { Clock, Random, Timer } from "../../kernel/index.ts";
import { isBusy } from "./errors.ts";

/** The pause before a busy file is tried again, in milliseconds. Random, so that waiting processes do not march in step. */
const SHORTEST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 10;

/**
 * How long to go on trying so that the answer comes before the caller's deadline: a missed deadline would end the
 * session, as if nobody knew what it still did.
 */
export function patienceWithinMs(deadlineMs: number): number {
  return deadlineMs - Math.min(100, deadlineMs / 5);
}

interface Turn {
  /** Runs the work once; `true` if that settled it, `false` if the file was busy. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  readonly reject: (error: Error) => void;
  readonly giveUpAtMs: number;
  readonly clock: Clock;
}

/**
 * Runs synchronous attempts in the order they came, one after the other. An attempt that finds the file busy is made
 * again after a short pause, which leaves the event loop free: SQLite's own waiting would block the whole process, beats included.
 */
export class Turns {
  readonly #random: Random;
  readonly #waiting: Turn[] = [];
  #timer: Timer | undefined;
  #running = false;
  #stopped: Error | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * Settles as `attempt` does, once it is its turn and the file is free. After `giveUpAfterMs` without that it settles
   * as `whenBusy` does; then no attempt is running, and none will be made.
   */
  run<T>(attempt: () => T, options: { readonly clock: Clock; readonly giveUpAfterMs: number; readonly whenBusy: (cause: unknown) => T }): Promise<T> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise<T>((resolve, reject: (error: unknown) => void) => {
      let lastBusy: unknown;
      this.#waiting.push({
        attempt: () => {
          try {
            resolve(attempt());
          } catch (error) {
            if (isBusy(error)) {
              lastBusy = error;
              return false;
            }
            reject(error);
          }
          return true;
        },
        giveUp: () => {
          try {
            resolve(options.whenBusy(lastBusy));
          } catch (error) {
            reject(error);
          }
        },
        reject,
        giveUpAtMs: options.clock.monotonicMs() + options.giveUpAfterMs,
        clock: options.clock,
      });
      if (this.#timer === undefined) this.#proceed();
    });
  }

  /** Makes no attempt ever after; whoever waits, or comes later, is told `error`. */
  stop(error: Error): void {
    this.#stopped ??= error;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const turn of this.#waiting.splice(0)) turn.reject(error);
  }

  #proceed(): void {
    if (this.#running) return; // called by an attempt: the loop below comes to it
    this.#running = true;
    try {
      while (this.#waiting[0] !== undefined && this.#waiting[0].attempt()) this.#waiting.shift();
    } finally {
      this.#running = false;
    }
    const head = this.#waiting[0];
    if (head === undefined) return;
    const pauseMs = SHORTEST_PAUSE_MS + this.#random.next() * (LONGEST_PAUSE_MS - SHORTEST_PAUSE_MS);
    this.#timer = head.clock.setTimer(pauseMs, () => {
      this.#timer = undefined;
      this.#dismissLate();
      this.#proceed();
    });
  }

  /** Not only the first: a short deadline behind a long one must not run out unanswered. */
  #dismissLate(): void {
    for (const turn of this.#waiting.filter((turn) => turn.clock.monotonicMs() >= turn.giveUpAtMs)) {
      this.#waiting.splice(this.#waiting.indexOf(turn), 1);
      turn.giveUp();
    }
  }
}
