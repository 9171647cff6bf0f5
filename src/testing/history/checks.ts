import type { Check, CheckConfig, Violation } from "./checks/check.ts";
import { deadNeverActs, runningIsNotDeclaredDead } from "./checks/deaths.ts";
import { noInternalError, noUnexpectedExit } from "./checks/processes.ts";
import { coordinatorReturns, deadLeaveTheView, leaderReturns } from "./checks/returns.ts";
import { beliefsDoNotOverlap, tokensGrow } from "./checks/terms.ts";
import { viewsAgree, viewsGrow } from "./checks/views.ts";
import { fencedRowsInOrder, writesAnsweredHonestly } from "./checks/writes.ts";
import type { History } from "./history.ts";

/** All checks by name; each stands for one promise. */
export const CHECKS = {
  tokensGrow,
  beliefsDoNotOverlap,
  fencedRowsInOrder,
  writesAnsweredHonestly,
  viewsAgree,
  viewsGrow,
  deadNeverActs,
  runningIsNotDeclaredDead,
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
