/**
 * Histories of what cluster members did, and pure functions that judge them: `(history, config) => Violation[]`, one for each promise.
 * @module
 */
export {
  beliefsDoNotOverlap,
  checkHistory,
  CHECKS,
  coordinatorReturns,
  deadLeaveTheView,
  deadNeverActs,
  fencedRowsInOrder,
  leaderReturns,
  noInternalError,
  noUnexpectedExit,
  runningIsNotDeclaredDead,
  takeoverBoundMs,
  tokensGrow,
  viewsAgree,
  viewsGrow,
  waitOf,
  writesAnsweredHonestly,
} from "./checks.ts";
export type { Check, CheckConfig, Violation } from "./checks.ts";
export { mergeHistories, parseHistory } from "./history.ts";
export type { FencedRow, History, HistoryEvent } from "./history.ts";
export { COORDINATOR_OFFICE, gaps, reigns } from "./reigns.ts";
export type { Gap, Reign } from "./reigns.ts";
export { cuts, outages, pauses } from "./spans.ts";
export type { Span } from "./spans.ts";
export { hostMonotonicMs, HistoryWriter } from "./writer.ts";
export type { HistoryEntry, HistoryWriterOptions } from "./writer.ts";
