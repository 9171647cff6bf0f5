import type { HistoryEvent } from "./history.ts";

/** Milliseconds of `CLOCK_MONOTONIC`: the same for all processes of one host, and never stepped. */
export function hostMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Who writes, and where to. */
export interface HistoryWriterOptions {
  /** Whose history it is: what each event says of itself unless told otherwise. */
  readonly process: string;
  readonly node: string;
  /** Asked at each event. */
  readonly incarnation: () => string;
  /** The clock that all processes share; see {@link hostMonotonicMs}. */
  readonly nowMs: () => number;
  /** Puts one line, newline included, where it survives the process: `writeSync` to a file opened for appending. */
  readonly write: (line: string) => void;
}

/** An event without what the writer knows by itself. */
export type HistoryEntry = HistoryEvent extends infer Event ? (Event extends HistoryEvent ? Omit<Event, "t" | "process" | "node" | "incarnation"> & Partial<Pick<Event, "t" | "process" | "node" | "incarnation">> : never) : never;

/** Writes the history of one process. */
export class HistoryWriter {
  readonly #options: HistoryWriterOptions;

  constructor(options: HistoryWriterOptions) {
    this.#options = options;
  }

  /** Writes one event, now unless `entry.t` says when. Returns it. */
  note(entry: HistoryEntry): HistoryEvent {
    const { process, node, incarnation, nowMs, write } = this.#options;
    const event = { t: nowMs(), process, node, incarnation: incarnation(), ...entry } as HistoryEvent;
    write(`${JSON.stringify(event)}\n`);
    return event;
  }
}
