import type { Check, CheckConfig, Violation } from "./checks/check.ts";
import { deadNeverActs, deathNeedsSilence, massDeathWaits, runningIsNotDeclaredDead } from "./checks/deaths.ts";
import { noInternalError, noUnexpectedExit } from "./checks/processes.ts";
import { idleWritesNothing } from "./checks/quiet.ts";
import { recordIsGapFree } from "./checks/record.ts";
import { coordinatorReturns, deadLeaveTheView, leaderReturns } from "./checks/returns.ts";
import { beliefsDoNotOverlap, grantedTokensGrow, tokensGrow, workNeverOverlaps } from "./checks/terms.ts";
import { changesToldOnce, viewsAgree, viewsGrow, viewsPublishedInOrder } from "./checks/views.ts";
import { fencedRowsInOrder, writesAnsweredHonestly } from "./checks/writes.ts";
import type { History } from "./history.ts";

/** All checks by name; each stands for one promise. What a history does not tell of breaks none. */
export const CHECKS = {
  tokensGrow,
  grantedTokensGrow,
  beliefsDoNotOverlap,
  workNeverOverlaps,
  fencedRowsInOrder,
  writesAnsweredHonestly,
  viewsAgree,
  viewsGrow,
  viewsPublishedInOrder,
  changesToldOnce,
  deadNeverActs,
  runningIsNotDeclaredDead,
  deathNeedsSilence,
  massDeathWaits,
  recordIsGapFree,
  idleWritesNothing,
  noUnexpectedExit,
  noInternalError,
  leaderReturns,
  coordinatorReturns,
  deadLeaveTheView,
} as const satisfies Record<string, Check>;

/** Runs all checks. */
export function checkHistory(history: History, config: CheckConfig): Violation[] {
  return Object.values(CHECKS)
    .flatMap((check) => check(history, config))
    .sort((a, b) => a.atMs - b.atMs);
}
