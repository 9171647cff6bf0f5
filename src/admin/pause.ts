import { isoTime, TribuneError } from "../kernel/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { ElectionRow, GroupReading, Pause } from "../store/index.ts";
import type { Successor } from "./resign.ts";
import { unknownElection } from "./unknown.ts";

/** Why, by whom and since when an election is paused. Plain data. */
export interface PauseStatus {
  readonly reason: string;
  readonly by: string;
  /** ISO 8601, by the store's clock. */
  readonly at: string;
}

/** An election that was paused, or resumed. Plain data. */
export interface PauseOutcome {
  readonly election: string;
  /** The pause that began, or the one that ended. */
  readonly paused: PauseStatus;
  /** Who holds it: a pause takes nothing away from a holder. */
  readonly holder: Successor | null;
}

/** Throws `ELECTION_RESERVED` for the one that cannot be paused. */
export function checkPausable(election: string): void {
  if (election !== COORDINATOR) return;
  throw new TribuneError("ELECTION_RESERVED", `${COORDINATOR} cannot be paused: nobody would notice who comes and goes`, { about: COORDINATOR, next: "pause your own elections" });
}

/** The row, which the group has to have. `code`: of the command that asks. */
export function rowOf(reading: GroupReading, election: string, code: "NOT_HELD" | "NOT_PAUSED"): ElectionRow {
  const row = reading.elections.find((each) => each.election === election);
  if (row === undefined) throw unknownElection(code, election, reading);
  return row;
}

export function pauseStatus({ reason, by, atMs }: Pause): PauseStatus {
  return { reason, by, at: isoTime(atMs) };
}

export function pauseOutcome(row: ElectionRow, pause: Pause): PauseOutcome {
  return { election: row.election, paused: pauseStatus(pause), holder: row.holder === null ? null : { node: row.holder.node, token: String(row.token) } };
}

export function pausedAlready(election: string, pause: Pause): TribuneError {
  const { by, reason, at } = pauseStatus(pause);
  return new TribuneError("ELECTION_PAUSED", `${election} is paused already, by ${by} since ${at}: ${reason}`, { about: election, next: "resume it first, if it is to be paused for another reason" });
}

export function notPaused(election: string): TribuneError {
  return new TribuneError("NOT_PAUSED", `${election} is not paused`, { about: election, next: "there is nothing to resume; see 'tribune elections'" });
}
