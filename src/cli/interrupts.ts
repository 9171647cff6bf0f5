/** Signals that ask a command to end. */
const ENDING = ["SIGINT", "SIGTERM"] as const;

export type EndingSignal = (typeof ENDING)[number];

/**
 * Lets a command that goes on end in good order: the first SIGINT or SIGTERM aborts `signal`, the second one ends the process at once, as impatient
 * people expect. `listen` hears of each.
 */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #handlers = new Map<EndingSignal, () => void>();
  #by: EndingSignal | undefined;

  constructor(listen: (signal: EndingSignal, time: number) => void = endAtTheSecond) {
    let time = 0;
    for (const signal of ENDING) {
      const handler = () => {
        this.#by ??= signal;
        time += 1;
        listen(signal, time);
        this.#controller.abort();
      };
      this.#handlers.set(signal, handler);
      process.on(signal, handler);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The signal that came first. */
  get by(): EndingSignal | undefined {
    return this.#by;
  }

  /** From here on the signals have their ordinary effect again. */
  release(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
    this.#handlers.clear();
  }
}

function endAtTheSecond(signal: EndingSignal, time: number): void {
  if (time >= 2) process.exit(signal === "SIGINT" ? 130 : 143);
}
