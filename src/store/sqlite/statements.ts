import type { CandidateRow, DocumentRow, ElectionRow, EventType, MemberRow, PresenceRow, TermRow } from "../index.ts";
import type { Sql } from "./connection.ts";

export interface GroupRow {
  readonly epoch: string;
  readonly birthEpoch: string;
  readonly generation: number;
  readonly settings: string;
  readonly longestLeaseMs: number;
  readonly joinOrder: number;
  readonly electionsVersion: number;
  readonly eventSequence: number;
  readonly viewVersion: number;
  readonly documentsVersion: number;
}

/** SQLite has no booleans. */
type Flag = 0 | 1;

export type PresenceRecord = Omit<PresenceRow, "expired" | "beatAgeMs" | "observer" | "evicted" | "evidence"> & {
  readonly beatAtMs: number;
  readonly observer: Flag;
  readonly evicted: Flag;
  readonly evidenceKey: string | null;
  readonly evidenceEpoch: string | null;
};

export type MemberRecord = Omit<MemberRow, "observer"> & { readonly observer: Flag };

export type ElectionRecord = Omit<ElectionRow, "holder" | "reservation" | "paused" | "ranked"> & {
  readonly holderIncarnation: string | null;
  readonly holderNode: string | null;
  readonly reservationNode: string | null;
  readonly reservationMs: number | null;
  readonly pausedAtMs: number | null;
  readonly pausedBy: string | null;
  readonly pausedReason: string | null;
  readonly ranked: Flag;
};

export type CandidateRecord = Omit<CandidateRow, "fit"> & { readonly election: string; readonly fit: Flag };

/** Milliseconds since 1970 by SQLite's clock, read when the statement runs; exact, since SQLite counts in milliseconds itself. */
const NOW_MS = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";

const PRESENCE_COLUMNS =
  "incarnation, node, state, beat, lease_ms AS leaseMs, beat_at_ms AS beatAtMs, join_order AS joinOrder, view_seen AS viewSeen, metadata_version AS metadataVersion, observer, evicted, evidence_key AS evidenceKey, evidence_epoch AS evidenceEpoch";

const ELECTION_COLUMNS =
  "election, token, holder_incarnation AS holderIncarnation, holder_node AS holderNode, epoch, version, resign_requested AS resignRequested, changed_at_ms AS changedAtMs, " +
  "resign_requested_for AS resignRequestedFor, reservation_node AS reservationNode, reservation_ms AS reservationMs, paused_at_ms AS pausedAtMs, paused_by AS pausedBy, " +
  "paused_reason AS pausedReason, priority, minimum_term_ms AS minimumTermMs, ranked";

const CANDIDATE_COLUMNS = "election, incarnation, node, priority, fit, join_order AS joinOrder";

/** All SQL of the operations, for tables whose names begin with `prefix` (checked: it stands in the text). */
export function statementsFor(prefix: string) {
  const table = (name: string) => `${prefix}${name}`;
  return {
    version: "SELECT sqlite_version() AS version" as Sql<{ version: string }>,
    // All columns: version 1 had fewer.
    schemaRow: `SELECT * FROM ${table("schema")}` as Sql<{ version: number; works_with?: number | null }>,
    hasTable: "SELECT 1 AS there FROM sqlite_schema WHERE type = 'table' AND name = ?",
    walMode: "PRAGMA journal_mode = WAL" as Sql<{ journal_mode: string }>,

    now: `SELECT ${NOW_MS} AS nowMs` as Sql<{ nowMs: number }>,
    fileId: `SELECT file_id AS fileId FROM ${table("schema")}` as Sql<{ fileId: string }>,

    readGroup: `SELECT epoch, birth_epoch AS birthEpoch, generation, settings, longest_lease_ms AS longestLeaseMs, join_order AS joinOrder,
      elections_version AS electionsVersion, event_sequence AS eventSequence, view_version AS viewVersion, documents_version AS documentsVersion FROM ${table("group")} WHERE group_name = ?` as Sql<GroupRow>,
    insertGroup: `INSERT INTO ${table("group")}
      (group_name, epoch, birth_epoch, generation, settings, longest_lease_ms, join_order, elections_version, event_sequence, view_version) VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0)`,
    countJoin: `UPDATE ${table("group")} SET join_order = ?, longest_lease_ms = ? WHERE group_name = ?`,
    adoptEpoch: `UPDATE ${table("group")} SET epoch = ?, generation = ? WHERE group_name = ?`,
    countElections: `UPDATE ${table("group")} SET elections_version = ? WHERE group_name = ?`,
    countEvents: `UPDATE ${table("group")} SET event_sequence = ? WHERE group_name = ?`,
    countView: `UPDATE ${table("group")} SET view_version = ? WHERE group_name = ?`,

    countDocuments: `UPDATE ${table("group")} SET documents_version = ? WHERE group_name = ?`,

    readPresence: `SELECT ${PRESENCE_COLUMNS} FROM ${table("presence")} WHERE group_name = ? AND incarnation = ?` as Sql<PresenceRecord>,
    readAllPresence: `SELECT ${PRESENCE_COLUMNS} FROM ${table("presence")} WHERE group_name = ? ORDER BY join_order` as Sql<PresenceRecord>,
    readAliveNode: `SELECT ${PRESENCE_COLUMNS} FROM ${table("presence")} WHERE group_name = ? AND node = ? AND state = 'alive'` as Sql<PresenceRecord>,
    readState: `SELECT state FROM ${table("presence")} WHERE group_name = ? AND incarnation = ?` as Sql<{ state: "alive" | "dead" }>,
    readMember: `SELECT incarnation, node, state, metadata, metadata_version AS metadataVersion, join_order AS joinOrder, joined_at_ms AS joinedAtMs, dead_reason AS deadReason, observer
      FROM ${table("presence")} WHERE group_name = ? AND incarnation = ?` as Sql<MemberRecord>,
    insertPresence: `INSERT INTO ${table("presence")}
      (group_name, incarnation, node, state, beat, lease_ms, beat_at_ms, view_seen, join_order, joined_at_ms, dead_at_ms, dead_reason, metadata_version, metadata, observer)
      VALUES (?, ?, ?, 'alive', 0, ?, ?, 0, ?, ?, NULL, NULL, 1, ?, ?)`,
    beat: `UPDATE ${table("presence")} SET beat = ?, beat_at_ms = ?, view_seen = max(view_seen, ?), evidence_key = ?, evidence_epoch = ?
      WHERE group_name = ? AND incarnation = ? AND state = 'alive' AND evicted = 0 AND beat < ?`,
    evict: `UPDATE ${table("presence")} SET evicted = 1 WHERE group_name = ? AND incarnation = ?`,
    evidenceKeys: `SELECT evidence_key AS evidenceKey FROM ${table("presence")} WHERE state = 'alive' AND evidence_key IS NOT NULL` as Sql<{ evidenceKey: string }>,
    leave: `UPDATE ${table("presence")} SET state = 'dead', dead_reason = 'left', dead_at_ms = ? WHERE group_name = ? AND incarnation = ? AND state = 'alive'`,
    declareDead: `UPDATE ${table("presence")} SET state = 'dead', dead_reason = ?, dead_at_ms = ?
      WHERE group_name = ? AND incarnation = ? AND state = 'alive' AND beat = ? AND (? = 0 OR beat_at_ms + lease_ms <= ?)`,
    updateMetadata: `UPDATE ${table("presence")} SET metadata = ?, metadata_version = metadata_version + 1 WHERE group_name = ? AND incarnation = ? AND state = 'alive'`,
    forgetDead: `DELETE FROM ${table("presence")} WHERE group_name = ? AND state = 'dead' AND dead_at_ms < ?
      AND incarnation NOT IN (SELECT holder_incarnation FROM ${table("election")} WHERE group_name = ? AND holder_incarnation IS NOT NULL)`,

    forgetCandidates: `DELETE FROM ${table("candidate")} WHERE group_name = ?
      AND incarnation NOT IN (SELECT incarnation FROM ${table("presence")} WHERE group_name = ?)`,

    readElection: `SELECT ${ELECTION_COLUMNS} FROM ${table("election")} WHERE group_name = ? AND election = ?` as Sql<ElectionRecord>,
    readElectionsAfter: `SELECT ${ELECTION_COLUMNS} FROM ${table("election")} WHERE group_name = ? AND version > ? ORDER BY election` as Sql<ElectionRecord>,
    electionNames: `SELECT election FROM ${table("election")} WHERE group_name = ?` as Sql<{ election: string }>,
    insertElection: `INSERT INTO ${table("election")}
      (group_name, election, token, holder_incarnation, holder_node, epoch, version, resign_requested, changed_at_ms) VALUES (?, ?, 0, NULL, NULL, ?, ?, NULL, ?)`,
    claim: `UPDATE ${table("election")} SET token = ?, holder_incarnation = ?, holder_node = ?, epoch = ?, version = ?, resign_requested = NULL, changed_at_ms = ?,
      resign_requested_for = NULL, reservation_node = NULL, reservation_ms = NULL, priority = ?, minimum_term_ms = ?
      WHERE group_name = ? AND election = ? AND token = ?`,
    resign: `UPDATE ${table("election")} SET holder_incarnation = NULL, holder_node = NULL, version = ?, resign_requested = NULL, resign_requested_for = NULL, changed_at_ms = ?,
      reservation_node = ?, reservation_ms = ? WHERE group_name = ? AND election = ? AND token = ? AND holder_incarnation = ?`,
    requestResign: `UPDATE ${table("election")} SET resign_requested = ?, resign_requested_for = ?, version = ? WHERE group_name = ? AND election = ? AND token = ?`,
    pause: `UPDATE ${table("election")} SET paused_at_ms = ?, paused_by = ?, paused_reason = ?, version = ? WHERE group_name = ? AND election = ?`,
    resume: `UPDATE ${table("election")} SET paused_at_ms = NULL, paused_by = NULL, paused_reason = NULL, version = ? WHERE group_name = ? AND election = ?`,
    rank: `UPDATE ${table("election")} SET ranked = 1, version = ? WHERE group_name = ? AND election = ?`,

    writeCandidate: `INSERT INTO ${table("candidate")} (group_name, election, incarnation, priority, fit) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (group_name, election, incarnation) DO UPDATE SET priority = excluded.priority, fit = excluded.fit`,
    removeCandidate: `DELETE FROM ${table("candidate")} WHERE group_name = ? AND election = ? AND incarnation = ?`,
    readCandidates: `SELECT ${CANDIDATE_COLUMNS} FROM ${table("candidate")} AS candidate JOIN ${table("presence")} AS presence USING (group_name, incarnation)
      WHERE group_name = ? AND election = ? AND state = 'alive' ORDER BY join_order` as Sql<CandidateRecord>,
    readAllCandidates: `SELECT ${CANDIDATE_COLUMNS} FROM ${table("candidate")} AS candidate JOIN ${table("presence")} AS presence USING (group_name, incarnation)
      WHERE group_name = ? AND state = 'alive' ORDER BY election, join_order` as Sql<CandidateRecord>,

    readFence: `SELECT token FROM ${table("fence")} WHERE group_name = ? AND election = ?` as Sql<{ token: number }>,
    readFences: `SELECT election, token FROM ${table("fence")} WHERE group_name = ? ORDER BY election` as Sql<{ election: string; token: number }>,
    insertFence: `INSERT INTO ${table("fence")} (group_name, election, token) VALUES (?, ?, 0) ON CONFLICT DO NOTHING`,
    passFence: `UPDATE ${table("fence")} SET token = ? WHERE group_name = ? AND election = ? AND token < ?`,
    // Changes nothing, but is a write: SQLite takes the write lock for it, or refuses if the snapshot is not the newest.
    lockFence: `UPDATE ${table("fence")} SET token = token WHERE 0`,

    readView: `SELECT body FROM ${table("view")} WHERE group_name = ?` as Sql<{ body: string }>,
    writeView: `INSERT INTO ${table("view")} (group_name, body) VALUES (?, ?) ON CONFLICT (group_name) DO UPDATE SET body = excluded.body`,

    readDocument: `SELECT version, body FROM ${table("document")} WHERE group_name = ? AND name = ?` as Sql<{ version: number; body: string }>,
    readDocumentVersion: `SELECT version FROM ${table("document")} WHERE group_name = ? AND name = ?` as Sql<{ version: number }>,
    writeDocument: `INSERT INTO ${table("document")} (group_name, name, version, body) VALUES (?, ?, ?, ?)
      ON CONFLICT (group_name, name) DO UPDATE SET version = excluded.version, body = excluded.body`,
    removeDocument: `DELETE FROM ${table("document")} WHERE group_name = ? AND name = ?`,
    listDocuments: `SELECT name, version FROM ${table("document")} WHERE group_name = ? AND substr(name, 1, length(?)) = ? ORDER BY name` as Sql<DocumentRow>,

    insertEvent: `INSERT INTO ${table("event")} (group_name, sequence, at_ms, type, subject, detail) VALUES (?, ?, ?, ?, ?, ?)`,
    forgetEvents: `DELETE FROM ${table("event")} WHERE group_name = ? AND sequence <= ?`,
    readEvents: `SELECT sequence, at_ms AS atMs, type, subject, detail FROM ${table("event")} WHERE group_name = ? AND sequence > ? ORDER BY sequence LIMIT ?` as Sql<{ sequence: number; atMs: number; type: EventType; subject: string; detail: string }>,
    oldestEvent: `SELECT min(sequence) AS oldest FROM ${table("event")} WHERE group_name = ?` as Sql<{ oldest: number | null }>,

    endTerms: `UPDATE ${table("term")} SET ended_at_ms = ?, end_reason = ? WHERE group_name = ? AND election = ? AND ended_at_ms IS NULL`,
    insertTerm: `INSERT INTO ${table("term")} (group_name, election, token, node, incarnation, began_at_ms, ended_at_ms, end_reason) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)`,
    forgetTerms: `DELETE FROM ${table("term")} WHERE group_name = ? AND election = ?
      AND token <= (SELECT token FROM ${table("term")} WHERE group_name = ? AND election = ? ORDER BY token DESC LIMIT 1 OFFSET ?)`,
    readTerms: `SELECT election, token, node, incarnation, began_at_ms AS beganAtMs, ended_at_ms AS endedAtMs, end_reason AS endReason
      FROM ${table("term")} WHERE group_name = ? ORDER BY election, token DESC` as Sql<TermRow>,
  };
}

export type Statements = ReturnType<typeof statementsFor>;
