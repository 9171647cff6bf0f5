/**
 * The port to the place that keeps coordination state, and what all providers share.
 * @module
 */
export { claimed, isClaimable, newElectionRow, nextToken } from "./election-rows.ts";
export { assertFence, assertMayAct, fenceNotFound, termLost } from "./fenced.ts";
export { checkDocumentName, checkDocumentPrefix, checkDocumentText } from "./document-check.ts";
export { clockFinding, connectionsLeft, LARGE_CLOCK_OFFSET_MS, lengthOf, roundTripFinding, roundTrips } from "./findings.ts";
export type { ClockReading, ConnectionLimit } from "./findings.ts";
export { DOCUMENT_VERSIONS_PER_GENERATION, documentFloor, EVENTS_KEPT, LARGEST_DOCUMENT_BYTES, LARGEST_METADATA_BYTES, LONGEST_REASON, SCHEMA_VERSION, SCHEMA_WORKS_WITH, TERMS_KEPT, TOKENS_PER_GENERATION, viewFloor, VIEWS_PER_GENERATION } from "./limits.ts";
export { COORDINATOR } from "./provider.ts";
export type * from "./provider.ts";
export { checkReason } from "./reason.ts";
export { schemaStep } from "./schema-check.ts";
export { SessionGate } from "./session-gate.ts";
