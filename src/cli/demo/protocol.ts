/** What the demo's director and its nodes, which are real processes, say to each other over the channel of a forked process. */

/** The election that the nodes contend in. */
export const DEMO_ELECTION = "scheduler";

export type Order =
  | { readonly type: "start"; readonly store: string; readonly group: string; readonly node: string; readonly table: string }
  | { readonly type: "contend" }
  /** Make the demo's table. */
  | { readonly type: "make" }
  /** Write this entry, fenced by the term. */
  | { readonly type: "write"; readonly entry: number }
  /** Decide to write this entry, say so, and then do nothing but wait to be frozen; write it first thing when the process runs again. */
  | { readonly type: "write-after-freeze"; readonly entry: number }
  /** Give the term up in good order, and do not contend until told. */
  | { readonly type: "resign" }
  | { readonly type: "read" }
  /** Remove the demo's table. */
  | { readonly type: "clean" }
  | { readonly type: "stop" };

export interface Row {
  readonly entry: number;
  readonly token: string;
  readonly node: string;
}

/** An attempt of a stale leader to write, and what came of it. */
export interface Attempt {
  /** `term`: by the ordinary call. `fence`: with the own clocks not asked, so that only the store can refuse. */
  readonly by: "term" | "fence";
  /** The code of the refusal; `null` if it was not refused. */
  readonly code: string | null;
  readonly message: string;
}

export type Report =
  | { readonly type: "joined"; readonly incarnation: string; readonly worstFailoverMs: number }
  | { readonly type: "view"; readonly version: number; readonly members: readonly { readonly node: string; readonly incarnation: string }[]; readonly coordinator: string | null }
  | { readonly type: "term"; readonly token: string }
  | { readonly type: "ended"; readonly token: string; readonly code: string }
  | { readonly type: "lost" }
  | { readonly type: "rejoined"; readonly incarnation: string; readonly sameIncarnation: boolean }
  | { readonly type: "made" }
  | { readonly type: "written"; readonly entry: number; readonly token: string; readonly tookMs: number }
  | { readonly type: "decided"; readonly entry: number; readonly token: string; readonly mayAct: boolean }
  | { readonly type: "woke"; readonly entry: number; readonly token: string; readonly frozenMs: number; readonly attempts: readonly Attempt[] }
  | { readonly type: "resigned" }
  | { readonly type: "rows"; readonly rows: readonly Row[] }
  | { readonly type: "cleaned" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly order: string; readonly code: string; readonly message: string; readonly next: string | null };
