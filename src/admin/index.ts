/**
 * Reading and commanding a group from outside, without being a member of it.
 * @module
 */
export { Admin, openAdmin } from "./admin.ts";
export type { AdminSchema, Ask, Followed } from "./admin.ts";
export type { Diagnosis } from "./diagnosis.ts";
export type { EvictOutcome } from "./evict.ts";
export type { KeysStatus, KeyStatus, RotationOutcome, RotationProgress } from "./keys.ts";
export type { MoveOutcome, MoveProgress } from "./move.ts";
export { ADMIN_DEFAULTS } from "./options.ts";
export type { AdminOptions } from "./options.ts";
export type { PauseOutcome, PauseStatus } from "./pause.ts";
export type { EventRecord, EventsBatch, EventsPage } from "./record.ts";
export type { ResignOutcome, Successor } from "./resign.ts";
export { deriveStatus, fingerprint, SILENT_SHARE } from "./status.ts";
export type { CandidateStatus, ChannelStatus, ElectionStatus, GroupStatus, MemberStatus, NodeName, StoreStatus, Surroundings, TermStatus } from "./status.ts";
export type { TransferOutcome, TransferProgress } from "./transfer.ts";
export { LARGE_CLOCK_OFFSET_MS } from "../store/index.ts";
export { FENCE_PATIENCE_MS, LONG_PAUSE_MS, SLOW_STORE_MS, warningsOf } from "./warnings.ts";
export type { StatusWarning, WarningCode } from "./warnings.ts";
