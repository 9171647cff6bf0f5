import type { WorkerStore } from "./ledger.ts";

/** A worker that breaks a promise on purpose, so that it is known that the checks can fail. */
export const BREAKS = ["stale-writes", "belief"] as const;
export type Break = (typeof BREAKS)[number];

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
  /** The elections that all workers contend for. */
  readonly elections: readonly string[];
  readonly crashDetection: "evidence" | "lease";
  readonly seed: number;
  /** How much faster than true time the clocks of the worker's process run; see `true-clock.ts`. */
  readonly clockRate: number;
  readonly breaks: Break | undefined;
}

/** What a worker is told while it runs. `steady`: it does nothing any more that changes who leads, or the view. */
export type Order = { readonly order: "block"; readonly ms: number } | { readonly order: "resign"; readonly election: string } | { readonly order: "steady" };

/** How the configuration is handed over: not as an argument, which everybody on the host may read. */
export const CONFIG_VARIABLE = "TRIBUNE_FLEET_WORKER";

/** The cause of a pause that nobody asked for. */
export const STARVED = "starved";
