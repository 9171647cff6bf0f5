import { Complaints } from "../kernel/index.ts";

/** What `cluster.election(name, options)` takes. Give the same to all nodes that contend, but for the priority and the probe. */
export interface ElectionOptions {
  /**
   * Of those that are fit to lead, the highest priority does: it is let first when the election is free, and takes over from a lower one when that has led for its
   * `minimumTermMs`. A whole number from -1000 to 1000, default 0.
   */
  readonly priority?: number;
  /** How long a term of this node is left alone by candidates of a higher priority, in milliseconds, so that leadership does not go to and fro. Default 30000. */
  readonly minimumTermMs?: number;
  /**
   * Whether this node may lead: a probe of whatever it would coordinate. Asked every `eligibleEveryMs`; it throws, or has not answered within `eligibleTimeoutMs`: no. Two answers
   * in a row count, but for the first. A candidate that is not fit does not claim; a holder that is not fit any more resigns, in favour of one that is.
   */
  readonly eligible?: (signal: AbortSignal) => boolean | Promise<boolean>;
  /** From one answer of the probe to the next question, in milliseconds. Default 5000. */
  readonly eligibleEveryMs?: number;
  /** How long the probe may take, in milliseconds. Default 5000. */
  readonly eligibleTimeoutMs?: number;
  /**
   * What to do when a callback of `lead` has not settled by the end of its stop budget. `"report"` (default) emits `overrun` and waits on;
   * `"exit"` also ends the process with code 1: the sure way to stop work that does not listen.
   */
  readonly onOverrun?: "report" | "exit";
}

/** The defaults of {@link ElectionOptions}. */
export const ELECTION_DEFAULTS = { priority: 0, minimumTermMs: 30_000, eligibleEveryMs: 5_000, eligibleTimeoutMs: 5_000, onOverrun: "report" } as const;

const KNOWN = ["priority", "minimumTermMs", "eligible", "eligibleEveryMs", "eligibleTimeoutMs", "onOverrun"] as const satisfies readonly (keyof ElectionOptions)[];

/** Farther than anybody needs, and exact in every store. */
const FARTHEST_PRIORITY = 1_000;

export function checkElectionOptions(election: string, options: ElectionOptions): void {
  const complaints = new Complaints(`options of election ${election}`);
  complaints.unknownKeys(options, KNOWN);
  const { priority = 0, eligible, onOverrun } = options;
  complaints.check(Number.isInteger(priority) && Math.abs(priority) <= FARTHEST_PRIORITY, `priority must be a whole number from -${FARTHEST_PRIORITY} to ${FARTHEST_PRIORITY}`);
  if (options.minimumTermMs !== undefined) complaints.milliseconds("minimumTermMs", options.minimumTermMs, { min: 0, max: 86_400_000 });
  complaints.check(eligible === undefined || typeof eligible === "function", "eligible must be a function that answers true or false");
  if (options.eligibleEveryMs !== undefined) complaints.milliseconds("eligibleEveryMs", options.eligibleEveryMs, { min: 10, max: 3_600_000 });
  if (options.eligibleTimeoutMs !== undefined) complaints.milliseconds("eligibleTimeoutMs", options.eligibleTimeoutMs, { min: 10, max: 3_600_000 });
  complaints.check(onOverrun === undefined || onOverrun === "report" || onOverrun === "exit", `onOverrun must be "report" or "exit"`);
  complaints.throwIfAny();
}

/** Pauses before contending again after a callback that ended early. The longest is one lease. */
export const EARLY_END_FIRST_MS = 100;

/** For how long a row that is handed over is kept for its successor: it hears of it with its next beat at the latest. */
export function reservationMs(beatMs: number): number {
  return Math.ceil(beatMs * 2);
}
