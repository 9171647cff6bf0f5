/**
 * Reading and commanding a group from outside, without being a member of it.
 * @module
 */
export { Admin, openAdmin } from "./admin.ts";
export type { AdminSchema, Ask, Followed } from "./admin.ts";
export { ADMIN_DEFAULTS } from "./options.ts";
export type { AdminOptions } from "./options.ts";
export type { EventRecord, EventsBatch, EventsPage } from "./record.ts";
export type { ResignOutcome, Successor } from "./resign.ts";
export { deriveStatus, fingerprint, SILENT_SHARE } from "./status.ts";
export type { ElectionStatus, GroupStatus, MemberStatus, NodeName, StoreStatus, Surroundings, TermStatus } from "./status.ts";
export { FENCE_PATIENCE_MS, LARGE_CLOCK_OFFSET_MS, SLOW_STORE_MS, warningsOf } from "./warnings.ts";
export type { StatusWarning, WarningCode } from "./warnings.ts";
