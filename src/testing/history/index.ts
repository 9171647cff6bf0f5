/**
 * Histories of what cluster members did, and pure functions that judge them: `(history, config) => Violation[]`, one for each promise.
 * @module
 */
export { CHANNEL_CHECKS, checkHistory, CHECKS, FENCING_CHECKS, LIVENESS_CHECKS, PROCESS_CHECKS, SAFETY_CHECKS, SIMULATION_CHECKS } from "./checks.ts";
export type { CheckName } from "./checks.ts";
export { answersAreOfHandlers } from "./checks/answers.ts";
export type { Check, CheckConfig, Violation } from "./checks/check.ts";
export { deadNeverActs, deathNeedsProof, deathNeedsSilence, deathNeedsWatching, massDeathWaits, runningIsNotDeclaredDead } from "./checks/deaths.ts";
export { handledByWhomItIsFor, handledInOrder, handledOnce, handledOneByOne } from "./checks/messages.ts";
export { handledInOneOrder } from "./checks/one-order.ts";
export { noInternalError, noUnexpectedExit } from "./checks/processes.ts";
export { idleWritesNothing } from "./checks/quiet.ts";
export { recordIsGapFree } from "./checks/record.ts";
export { acknowledgedIsHandled, everyTargetHasAResult, messagesArrive, waitsEnd } from "./checks/results.ts";
export { coordinatorReturns, deadLeaveTheView, leaderReturns, takeoverBoundMs, waitOf } from "./checks/returns.ts";
export { comesRight, settleBoundMs } from "./checks/settling.ts";
export { stateGivenOnce } from "./checks/states.ts";
export { streamsAreWhole } from "./checks/streams.ts";
export { beliefNeverReturns, beliefsDoNotOverlap, grantedTokensGrow, signalComesFirst, tokensGrow, tokensHaveOneHolder, workNeverOverlaps } from "./checks/terms.ts";
export { changesToldOnce, viewsAgree, viewsGrow, viewsPublishedInOrder } from "./checks/views.ts";
export { fencedRowsInOrder, writesAnsweredHonestly, writesPrecedeTheNextTerm } from "./checks/writes.ts";
export type { ChannelEvent, TargetResult } from "./channel-events.ts";
export { mergeHistories, parseHistory } from "./history.ts";
export type { DeclaredDead, EndOfSession, FencedRow, History, HistoryEvent } from "./history.ts";
export { COORDINATOR_OFFICE, gaps, reigns } from "./reigns.ts";
export type { Gap, Reign } from "./reigns.ts";
export { cuts, outages, pauses } from "./spans.ts";
export type { Span } from "./spans.ts";
export { hostMonotonicMs, HistoryWriter } from "./writer.ts";
export type { HistoryEntry, HistoryWriterOptions } from "./writer.ts";
