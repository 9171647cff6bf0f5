import { sleep, toTribuneError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import { afterAnswer, UNKNOWN_FITNESS } from "./fitness.ts";
import type { Fitness } from "./fitness.ts";

/** What a probe is run with. */
export interface ProbeOptions {
  readonly election: string;
  readonly eligible: (signal: AbortSignal) => boolean | Promise<boolean>;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** The verdict is another one. */
  readonly onVerdict: (fit: boolean) => void;
  /** The probe threw, or hangs; told once until it answers again. */
  readonly onTrouble: (error: TribuneError) => void;
}

/** Asks a user's probe again and again, one question at a time, for as long as somebody wants to know. A probe that hangs is left behind and counts as "no". */
export class Probe {
  readonly #options: ProbeOptions;
  #fitness: Fitness = UNKNOWN_FITNESS;
  #inTrouble = false;
  #running: AbortController | undefined;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Whether this node is fit to lead, as far as is known. */
  get fit(): boolean {
    return this.#fitness.fit === true;
  }

  /** Begins to ask, unless it does already. */
  start(): void {
    if (this.#running !== undefined) return;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  /** Asks no more; what was known is forgotten. */
  stop(): void {
    this.#running?.abort(new TribuneError("ABORTED", `nobody wants to know any more whether ${this.#options.election} may be led here`));
    this.#running = undefined;
    this.#fitness = UNKNOWN_FITNESS;
    this.#inTrouble = false;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, everyMs, onVerdict } = this.#options;
    while (!signal.aborted) {
      const passed = await this.#ask(signal);
      if (signal.aborted) return;
      const before = this.#fitness.fit;
      this.#fitness = afterAnswer(this.#fitness, passed);
      if (this.#fitness.fit !== undefined && this.#fitness.fit !== before) onVerdict(this.#fitness.fit);
      await sleep(clock, everyMs, signal);
    }
  }

  async #ask(stop: AbortSignal): Promise<boolean> {
    const { eligible, clock, timeoutMs, election } = this.#options;
    const over = new AbortController();
    const stopped = () => over.abort(stop.reason);
    stop.addEventListener("abort", stopped, { once: true });
    try {
      const answer = Promise.resolve().then(() => eligible(over.signal));
      const passed = await withDeadline(answer, { clock, ms: timeoutMs, code: "PROBE_FAILED", operation: `the probe of ${election}`, next: "let it answer sooner, or allow more in eligibleTimeoutMs", signal: stop });
      this.#inTrouble = false;
      return (passed as unknown) === true; // whatever else a user's function answers is no
    } catch (error) {
      over.abort(error);
      if (stop.aborted) return false;
      if (!this.#inTrouble) {
        this.#options.onTrouble(toTribuneError(error, "PROBE_FAILED", `the probe of ${election} failed`, { about: election, next: "it counts as no; mend what it asks, or the probe" }));
      }
      this.#inTrouble = true;
      return false;
    } finally {
      stop.removeEventListener("abort", stopped);
    }
  }
}
