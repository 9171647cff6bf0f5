import { sleep } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";

/** Lets one waiter sleep until something may have happened. A ring while nobody waits is kept for the next who does. */
export class Bell {
  #rung = false;
  #wake: AbortController | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.abort();
  }

  /** Resolves when it rings, after `ms`, or when `signal` aborts. */
  async wait(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const wake = new AbortController();
    this.#wake = wake;
    if (!this.#rung) await sleep(clock, ms, signal === undefined ? wake.signal : AbortSignal.any([wake.signal, signal]));
    this.#rung = false;
    this.#wake = undefined;
  }
}
