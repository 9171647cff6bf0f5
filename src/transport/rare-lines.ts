import type { Clock, LogFields, Logger } from "../kernel/index.ts";

/** At most one line about one thing in so many milliseconds: a thousand strangers must not fill a disk. */
const LINE_EVERY_MS = 10_000;

/** How many things are told apart at most. */
const MOST_KEYS = 256;

/** Writes lines into a log, at a limited rate for each thing that they are about; the next line says how many were left out. */
export class RareLines {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #last = new Map<string, { atMs: number; unsaid: number }>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  say(about: string, level: "debug" | "warn" | "error", fields: LogFields, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#last.get(about);
    if (last !== undefined && nowMs - last.atMs < LINE_EVERY_MS) {
      last.unsaid++;
      return;
    }
    if (last === undefined && this.#last.size >= MOST_KEYS) this.#last.clear();
    this.#last.set(about, { atMs: nowMs, unsaid: 0 });
    this.#logger[level]({ ...fields, before: last?.unsaid ?? 0 }, message);
  }
}
