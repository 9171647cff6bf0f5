/** What a process full of members is told by the environment. */
export interface MembersConfig {
  readonly url: string;
  readonly group: string;
  /** Of the members' names, so that they differ between processes. */
  readonly prefix: string;
  readonly members: number;
  /** How many elections the first of them is to lead. */
  readonly elections: number;
  readonly leaseMs: number;
  readonly beatMs: number;
}

/** `measure` begins a window, `tell` ends it. */
export type MembersOrder = "measure" | "tell";

export type MembersReport =
  /** So many have joined so far, and lead so much. */
  | { readonly report: "gathering"; readonly joined: number; readonly leads: number; readonly trouble: string | null }
  | {
      readonly report: "window";
      /** Calls to the store by operation. */
      readonly calls: Readonly<Record<string, number>>;
      /** The round trip of each beat. */
      readonly beatsMs: readonly number[];
      readonly failedCalls: number;
      /** How often a member lost its trust, or heard nothing from the store. */
      readonly lost: number;
      readonly suspended: number;
      /** How many are members at the end of it. */
      readonly trusted: number;
    };

export const MEMBERS_VARIABLE = "TRIBUNE_BENCH_MEMBERS";
