import type { FencedRow, History, HistoryEvent } from "../history.ts";

/** What a history is judged by. */
export interface CheckConfig {
  readonly leaseMs: number;
  readonly beatMs: number;
  /** What liveness is allowed on top of one lease and two beats. Default 1000. */
  readonly slackMs?: number;
  /** After the last of many faults everything is right within this. Default: four leases, four beats and 5000. */
  readonly settleMs?: number;
}

/** A promise that a history breaks. */
export interface Violation {
  /** The name of the check, as in {@link CHECKS}. */
  readonly check: string;
  readonly message: string;
  /** When, on the history's clock. */
  readonly atMs: number;
  /** The events and rows that show it. */
  readonly evidence: readonly (HistoryEvent | FencedRow)[];
}

/** One promise, as a pure function from a history to what broke it. */
export type Check = (history: History, config: CheckConfig) => Violation[];

/** Of whom an event or a row is, for a reader. */
export function who(event: HistoryEvent | FencedRow): string {
  const name = "process" in event && event.process !== "" ? event.process : event.node;
  return event.incarnation === "" ? name : `${name} (${event.incarnation.slice(0, 8)})`;
}
