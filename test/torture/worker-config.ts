import type { WorkerStore } from "./ledger.ts";
import type { Break } from "./options.ts";

/** What a worker is told when it is started. */
export interface WorkerConfig {
  readonly group: string;
  readonly node: string;
  /** This run of the node. */
  readonly process: string;
  readonly folder: string;
  readonly store: WorkerStore;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly seed: number;
  readonly breaks: Break | undefined;
}

/** What a worker is told while it runs. */
export type Order = { readonly order: "block"; readonly ms: number } | { readonly order: "resign" };

/** How the configuration is handed over: not as an argument, which everybody on the host may read. */
export const CONFIG_VARIABLE = "TRIBUNE_TORTURE_WORKER";

/** The cause of a pause that nobody asked for. */
export const STARVED = "starved";

/** The election that all workers contend for. */
export const WORK = "work";
