import { answersAreOfHandlers } from "./checks/answers.ts";
import type { Check, CheckConfig, Violation } from "./checks/check.ts";
import { deadNeverActs, deathNeedsProof, deathNeedsSilence, deathNeedsWatching, massDeathWaits, runningIsNotDeclaredDead } from "./checks/deaths.ts";
import { handledByWhomItIsFor, handledInOrder, handledOnce, handledOneByOne } from "./checks/messages.ts";
import { noInternalError, noUnexpectedExit } from "./checks/processes.ts";
import { handledInOneOrder } from "./checks/one-order.ts";
import { idleWritesNothing } from "./checks/quiet.ts";
import { recordIsGapFree } from "./checks/record.ts";
import { acknowledgedIsHandled, everyTargetHasAResult, messagesArrive, waitsEnd } from "./checks/results.ts";
import { coordinatorReturns, deadLeaveTheView, leaderReturns } from "./checks/returns.ts";
import { comesRight } from "./checks/settling.ts";
import { stateGivenOnce } from "./checks/states.ts";
import { streamsAreWhole } from "./checks/streams.ts";
import { beliefNeverReturns, beliefsDoNotOverlap, grantedTokensGrow, signalComesFirst, tokensGrow, tokensHaveOneHolder, workNeverOverlaps } from "./checks/terms.ts";
import { changesToldOnce, viewsAgree, viewsGrow, viewsPublishedInOrder } from "./checks/views.ts";
import { fencedRowsInOrder, writesAnsweredHonestly, writesPrecedeTheNextTerm } from "./checks/writes.ts";
import type { History } from "./history.ts";

/** All checks by name; each stands for one promise. What a history does not tell of breaks none. */
export const CHECKS = {
  tokensGrow,
  tokensHaveOneHolder,
  grantedTokensGrow,
  beliefsDoNotOverlap,
  beliefNeverReturns,
  signalComesFirst,
  workNeverOverlaps,
  fencedRowsInOrder,
  writesPrecedeTheNextTerm,
  writesAnsweredHonestly,
  viewsAgree,
  viewsGrow,
  viewsPublishedInOrder,
  changesToldOnce,
  deadNeverActs,
  runningIsNotDeclaredDead,
  deathNeedsSilence,
  deathNeedsProof,
  deathNeedsWatching,
  massDeathWaits,
  recordIsGapFree,
  idleWritesNothing,
  noUnexpectedExit,
  noInternalError,
  leaderReturns,
  coordinatorReturns,
  deadLeaveTheView,
  comesRight,
  handledOnce,
  handledByWhomItIsFor,
  handledInOrder,
  handledInOneOrder,
  handledOneByOne,
  acknowledgedIsHandled,
  everyTargetHasAResult,
  answersAreOfHandlers,
  streamsAreWhole,
  stateGivenOnce,
  waitsEnd,
  messagesArrive,
} as const satisfies Record<string, Check>;

/** Of messages between members. */
export const CHANNEL_CHECKS: readonly CheckName[] = ["handledOnce", "handledByWhomItIsFor", "handledInOrder", "handledInOneOrder", "handledOneByOne", "acknowledgedIsHandled", "everyTargetHasAResult", "answersAreOfHandlers", "streamsAreWhole", "stateGivenOnce", "waitsEnd", "messagesArrive"];

/** The name of a check. */
export type CheckName = keyof typeof CHECKS;

const ALL = Object.keys(CHECKS) as readonly CheckName[];

/** Checks of what has to happen in time. */
export const LIVENESS_CHECKS: readonly CheckName[] = ["leaderReturns", "coordinatorReturns", "deadLeaveTheView", "comesRight", "waitsEnd", "messagesArrive"];

/** Checks of what must never happen. */
export const SAFETY_CHECKS: readonly CheckName[] = ALL.filter((name) => !LIVENESS_CHECKS.includes(name));

/** For real processes with one fault at a time, each given the time to heal: all that does not need to see what only a simulation sees. */
export const PROCESS_CHECKS: readonly CheckName[] = [
  "tokensGrow",
  "tokensHaveOneHolder",
  "beliefsDoNotOverlap",
  "workNeverOverlaps",
  "fencedRowsInOrder",
  "writesAnsweredHonestly",
  "viewsAgree",
  "viewsGrow",
  "changesToldOnce",
  "deadNeverActs",
  "runningIsNotDeclaredDead",
  "recordIsGapFree",
  "noUnexpectedExit",
  "noInternalError",
  "leaderReturns",
  "coordinatorReturns",
  "deadLeaveTheView",
];

/** For a simulation whose faults overlap: all but what judges each fault by itself. */
export const SIMULATION_CHECKS: readonly CheckName[] = ALL.filter((name) => !["runningIsNotDeclaredDead", "leaderReturns", "coordinatorReturns", "deadLeaveTheView"].includes(name));

/** What holds whatever clocks do: tokens, the fence, and what stands on it. */
export const FENCING_CHECKS: readonly CheckName[] = ["tokensHaveOneHolder", "grantedTokensGrow", "fencedRowsInOrder", "writesPrecedeTheNextTerm", "writesAnsweredHonestly", "viewsAgree", "viewsPublishedInOrder"];

/** Runs the checks of these names, or all. What they find is in the order of time. */
export function checkHistory(history: History, config: CheckConfig, checks: readonly CheckName[] = ALL): Violation[] {
  return checks.flatMap((name) => CHECKS[name](history, config)).sort((a, b) => a.atMs - b.atMs);
}
