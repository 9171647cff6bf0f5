import { TribuneError } from "./errors.ts";

/** Where a thing with a start and a stop stands. */
export type LifecycleState = "new" | "starting" | "running" | "stopping" | "stopped";

/**
 * Start and stop, once each, however often and in whatever order they are called:
 *
 *     new ──start──▶ starting ──▶ running ──stop──▶ stopping ──▶ stopped
 *      └───────stop──────┴──────────────────────────────▲
 *
 * A second `start` waits for the first. A `stop` during a start aborts the signal that the start was given and
 * waits for it. After a stop nothing starts again: make a new one.
 */
export class Lifecycle {
  readonly #name: string;
  readonly #abort = new AbortController();
  #state: LifecycleState = "new";
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Aborts when a stop begins. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  start(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#state === "stopping" || this.#state === "stopped") {
      return Promise.reject(
        new TribuneError("CLUSTER_STOPPED", `${this.#name} was stopped`, { about: this.#name, next: "create a new one; a stopped one does not start again" }),
      );
    }
    this.#starting ??= this.#run(work);
    return this.#starting;
  }

  async #run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#state = "starting";
    await work(this.#abort.signal);
    if (this.#abort.signal.aborted) throw new TribuneError("CLUSTER_STOPPED", `${this.#name} was stopped while it started`, { about: this.#name });
    this.#state = "running";
  }

  /** Runs `work` once, also when nothing was started or the start failed, so that half-made things are put away. */
  stop(work: () => Promise<void>): Promise<void> {
    this.#stopping ??= this.#end(work);
    return this.#stopping;
  }

  async #end(work: () => Promise<void>): Promise<void> {
    this.#state = "stopping";
    this.#abort.abort(new TribuneError("CLUSTER_STOPPED", `${this.#name} was stopped`, { about: this.#name }));
    await this.#starting?.catch(() => undefined); // whoever called start() hears of its failure
    try {
      await work();
    } finally {
      this.#state = "stopped";
    }
  }
}
