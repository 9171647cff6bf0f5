import { Complaints } from "../kernel/index.ts";

/** What `cluster.election(name, options)` takes. */
export interface ElectionOptions {
  /**
   * What to do when a callback of `lead` has not settled by the end of its stop budget. `"report"` (default) emits `overrun` and waits on;
   * `"exit"` also ends the process with code 1: the sure way to stop work that does not listen.
   */
  readonly onOverrun?: "report" | "exit";
}

const KNOWN = ["onOverrun"] as const;

export function checkElectionOptions(election: string, options: ElectionOptions): void {
  const complaints = new Complaints(`options of election ${election}`);
  complaints.unknownKeys(options, KNOWN);
  complaints.check(options.onOverrun === undefined || options.onOverrun === "report" || options.onOverrun === "exit", `onOverrun must be "report" or "exit"`);
  complaints.throwIfAny();
}

/** Pauses before contending again after a callback that ended early. The longest is one lease. */
export const EARLY_END_FIRST_MS = 100;
