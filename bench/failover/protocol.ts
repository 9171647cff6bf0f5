/** What a contender's process is told by the environment. */
export interface ContenderConfig {
  /** Which module contends. */
  readonly contender: string;
  readonly node: string;
  readonly group: string;
  /** Where its store is. */
  readonly url: string;
  /** Options of the contender; see the entry that names it. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Send all store calls and log lines when told to; see `Order`. */
  readonly trace: boolean;
}

/** What a contender's process can be told. */
export type Order =
  | { readonly order: "resign" }
  | { readonly order: "transfer"; readonly to: string }
  /** Note from now on until when the holder's trust lasts. */
  | { readonly order: "watch-trust" }
  /** Begin a fenced transaction, say so, and wait between two statements; and go on with it. */
  | { readonly order: "open-transaction" }
  | { readonly order: "commit" }
  /** Tell the trace. */
  | { readonly order: "tell-trace" };

/** What a contender's process says. Times are `CLOCK_MONOTONIC` in milliseconds, which all processes of a host share. */
export type Report =
  /** It contends. */
  | { readonly report: "ready"; readonly detail: string }
  /** It does not contend for a while, until it is ready again. */
  | { readonly report: "resting" }
  /** It was told that it leads; `token` if there is one. */
  | { readonly report: "announced"; readonly t: number; readonly token: number | string | null }
  /** It knows that it leads no more. `trustEndMs`: when its trust ended at the latest, if it was watching that. */
  | { readonly report: "ended"; readonly t: number; readonly trustEndMs: number | null }
  /** It is about to hand over. */
  | { readonly report: "handing-over"; readonly t: number }
  /** The group as it sees it. */
  | { readonly report: "view"; readonly members: readonly string[]; readonly coordinator: string | null }
  | { readonly report: "watching" }
  /** Between two statements of a fenced transaction; and what became of it: `committed`, or the code of the error. */
  | { readonly report: "inside" }
  | { readonly report: "outcome"; readonly outcome: string }
  | { readonly report: "trace"; readonly lines: readonly TraceLine[] }
  | { readonly report: "failed"; readonly message: string };

/** Something that happened in a process. */
export interface TraceLine {
  readonly t: number;
  readonly what: string;
  readonly tookMs?: number;
}

export const CONFIG_VARIABLE = "TRIBUNE_BENCH_CONTENDER";
