import { sleep } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { StoreSession } from "../store/index.ts";

/** What an attendant is handed by presence. */
export interface AttendantPorts {
  readonly clock: Clock;
  /** The connection of now, on whose behalf it waits; `undefined` if there is none, or evidence that is free would not count on it. */
  readonly session: () => StoreSession | undefined;
  /** Looks at the store: what was heard is only a hint. */
  readonly look: () => void;
  /** Pause before waiting again, after it was told or could not wait, in milliseconds. */
  readonly pauseMs: number;
  /** Ends it for good. */
  readonly stop: AbortSignal;
}

/**
 * Waits beside the beats for the evidence of some incarnations to become free, and has presence look then. It decides nothing, and whatever goes wrong with it costs speed only:
 * the beats show the same, later.
 */
export class Attendant {
  readonly #ports: AttendantPorts;
  readonly #attended = new Map<string, number>();
  /** Aborted when other incarnations are to be attended. */
  #turn: AbortController | undefined;

  constructor(ports: AttendantPorts) {
    this.#ports = ports;
  }

  /** Attends one more, until the returned function is called. */
  attend(incarnation: string): () => void {
    let ended = false;
    this.#attended.set(incarnation, (this.#attended.get(incarnation) ?? 0) + 1);
    this.#changed();
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#attended.get(incarnation) ?? 1) - 1;
      if (left > 0) this.#attended.set(incarnation, left);
      else this.#attended.delete(incarnation);
      this.#changed();
    };
  }

  #changed(): void {
    if (this.#turn !== undefined) this.#turn.abort(new Error("others are attended from here on"));
    else if (this.#attended.size > 0) void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, stop, look, pauseMs } = this.#ports;
    while (this.#attended.size > 0 && !stop.aborted) {
      const turn = new AbortController();
      this.#turn = turn;
      const session = this.#ports.session();
      // Not AbortSignal.any: Node keeps such a signal, and all that listens to it, for as long as somebody listens, also when nothing else knows of either any more.
      const stopped = () => turn.abort(stop.reason);
      stop.addEventListener("abort", stopped, { once: true });
      const { signal } = turn;
      let mustPause = true;
      if (session !== undefined && !session.ended.aborted) {
        try {
          await session.attend({ incarnations: [...this.#attended.keys()], signal });
          look();
        } catch {
          mustPause = !turn.signal.aborted; // a lack of connections, for one: later, perhaps
        }
      }
      if (mustPause) await sleep(clock, pauseMs, signal);
      stop.removeEventListener("abort", stopped);
    }
    this.#turn = undefined;
  }
}
