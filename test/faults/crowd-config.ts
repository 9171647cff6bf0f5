import type { WorkerStore } from "../fleet/ledger.ts";

/** What a process of the crowd is told. */
export interface CrowdConfig {
  readonly group: string;
  readonly nodes: readonly string[];
  readonly folder: string;
  /** The name of its history. */
  readonly file: string;
  readonly store: WorkerStore;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly crashDetection: "evidence" | "lease";
}

/** How the configuration is handed over. */
export const CROWD_VARIABLE = "TRIBUNE_CROWD";

/** What it tells: another node of it is a member. */
export interface CrowdNews {
  readonly node: string;
  readonly incarnation: string;
}
