import { sleep } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";

/** What rounds need. */
export interface RoundsPorts {
  readonly clock: Clock;
  /** Between two rounds for which nobody asked, in milliseconds. */
  readonly pollMs: number;
  /** Once it is aborted there are no rounds any more. */
  readonly signal: AbortSignal;
  /** One round. Answers in how many milliseconds the next one is due at the latest. */
  round(): Promise<number>;
  /** A round that failed, of which nothing else is heard. */
  failed(error: unknown): void;
}

/** What a farm does again and again, one thing after the other, and those who wait for it. */
export class Rounds {
  readonly #ports: RoundsPorts;
  readonly #watchers = new Set<() => void>();
  #turn: Promise<unknown> = Promise.resolve();
  #isWaiting = false;
  #timer: Timer | undefined;

  constructor(ports: RoundsPorts) {
    this.#ports = ports;
  }

  /** Somebody waits for a round. */
  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  /** A round soon, and one for all who ask before it begins. */
  look(): void {
    const { clock, pollMs, signal } = this.#ports;
    if (this.#isWaiting || signal.aborted) return;
    this.#isWaiting = true;
    this.#timer?.cancel();
    void this.inTurn(async () => {
      this.#isWaiting = false;
      let waitMs = pollMs;
      try {
        waitMs = Math.min(waitMs, await this.#ports.round());
        this.wakeAll();
      } catch (error) {
        this.#ports.failed(error);
      }
      if (this.#isWaiting || signal.aborted) return;
      this.#timer?.cancel();
      this.#timer = clock.setTimer(waitMs, () => this.look());
    });
  }

  /** No round comes by itself any more, and nobody waits for one. */
  end(): void {
    this.#timer?.cancel();
    this.wakeAll();
  }

  /** Does something between two rounds. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Resolves when it holds, or the signal aborts. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!condition() && !signal.aborted) await this.next(signal);
  }

  /** After the next round, or a poll without one. */
  async next(signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.#watchers.add(wake);
    await sleep(this.#ports.clock, this.#ports.pollMs, AbortSignal.any([woken.signal, signal]));
    this.#watchers.delete(wake);
  }

  /** Something is different, though there was no round. */
  wakeAll(): void {
    for (const wake of this.#watchers) wake();
  }
}
