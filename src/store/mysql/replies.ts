import type { BeatReply, CandidateRow, ElectionRow, EventPage, EventType, GroupReading, LookReply, MemberRow, PresenceRow, StoredView, TermRow } from "../index.ts";
import type { Row } from "./connection.ts";

/** What an operation's text answered: the rows of each of its selects. */
export type Answer = readonly (readonly Row[])[];

/** A bigint column. All that Tribune stores in one is a safe integer. */
export function intOf(row: Row, column: string): number {
  return Number(row[column]);
}

export function isTrue(row: Row | undefined, column: string): boolean {
  return row?.[column] === "1";
}

export function textOf(row: Row, column: string): string {
  return row[column] ?? "";
}

/** The text in a column, or `null`. */
function nullable(row: Row, column: string): string | null {
  return row[column] ?? null;
}

function nullableInt(row: Row, column: string): number | null {
  return nullable(row, column) === null ? null : intOf(row, column);
}

export function lookReplyOf([group, elections, view, presence]: Answer): LookReply {
  const row = first(group);
  return {
    storeTimeMs: intOf(row, "now_ms"),
    epoch: textOf(row, "epoch"),
    generation: intOf(row, "generation"),
    electionsVersion: intOf(row, "elections_version"),
    elections: (elections ?? []).map(electionRowOf),
    viewVersion: intOf(row, "view_version"),
    view: viewOf(view),
    presence: (presence ?? []).map(presenceRowOf),
    longestLeaseMs: intOf(row, "longest_lease_ms"),
  };
}

/** The write and the reading are two steps: somebody may have declared the sender dead, or asked it to go, in between. `self` is what the reading shows then. */
export function beatReplyOf(answer: Answer): BeatReply {
  const row = first(answer[0]);
  const state = row["own_state"] ?? "absent";
  const self = state === "alive" && isTrue(row, "own_evicted") ? "evicted" : (state as BeatReply["self"]);
  return { ...lookReplyOf(answer), accepted: isTrue(row, "done"), self };
}

export function presenceRowOf(row: Row): PresenceRow {
  return {
    incarnation: textOf(row, "incarnation"),
    node: textOf(row, "node"),
    state: textOf(row, "state") as PresenceRow["state"],
    beat: intOf(row, "beat"),
    leaseMs: intOf(row, "lease_ms"),
    expired: isTrue(row, "expired"),
    beatAgeMs: intOf(row, "beat_age_ms"),
    joinOrder: intOf(row, "join_order"),
    viewSeen: intOf(row, "view_seen"),
    metadataVersion: intOf(row, "metadata_version"),
    observer: isTrue(row, "observer"),
    evicted: isTrue(row, "evicted"),
    evidence: textOf(row, "evidence") as PresenceRow["evidence"],
  };
}

export function memberRowOf(row: Row): MemberRow {
  return {
    incarnation: textOf(row, "incarnation"),
    node: textOf(row, "node"),
    state: textOf(row, "state") as MemberRow["state"],
    metadata: textOf(row, "metadata"),
    metadataVersion: intOf(row, "metadata_version"),
    joinOrder: intOf(row, "join_order"),
    joinedAtMs: intOf(row, "joined_at_ms"),
    deadReason: nullable(row, "dead_reason") as MemberRow["deadReason"],
    observer: isTrue(row, "observer"),
  };
}

export function candidateRowOf(row: Row): CandidateRow {
  return { incarnation: textOf(row, "incarnation"), node: textOf(row, "node"), priority: Number(row["priority"]), fit: isTrue(row, "fit"), joinOrder: intOf(row, "join_order") };
}

export function eventPageOf([group, events]: Answer, after: number): EventPage {
  const newest = intOf(first(group), "newest");
  const oldest = nullableInt(first(group), "oldest") ?? newest + 1;
  return {
    events: (events ?? []).map((row) => ({
      sequence: intOf(row, "sequence"),
      atMs: intOf(row, "at_ms"),
      type: textOf(row, "type") as EventType,
      subject: textOf(row, "subject"),
      detail: JSON.parse(textOf(row, "detail")) as Readonly<Record<string, unknown>>,
    })),
    skipped: Math.max(0, oldest - 1 - after),
    newest,
  };
}

export function groupReadingOf([group, view, presence, elections, candidates, fences, terms]: Answer): GroupReading {
  const row = first(group);
  return {
    storeTimeMs: intOf(row, "now_ms"),
    epoch: textOf(row, "epoch"),
    generation: intOf(row, "generation"),
    schemaVersion: intOf(row, "schema_version"),
    settings: textOf(row, "settings"),
    view: viewOf(view),
    presence: (presence ?? []).map(presenceRowOf),
    elections: (elections ?? []).map(electionRowOf),
    candidates: (candidates ?? []).map((each) => ({ election: textOf(each, "election"), ...candidateRowOf(each) })),
    fences: (fences ?? []).map((each) => ({ election: textOf(each, "election"), token: intOf(each, "token") })),
    terms: (terms ?? []).map(termRowOf),
  };
}

function termRowOf(row: Row): TermRow {
  return {
    election: textOf(row, "election"),
    token: intOf(row, "token"),
    node: textOf(row, "node"),
    incarnation: textOf(row, "incarnation"),
    beganAtMs: intOf(row, "began_at_ms"),
    endedAtMs: nullableInt(row, "ended_at_ms"),
    endReason: nullable(row, "end_reason"),
  };
}

function electionRowOf(row: Row): ElectionRow {
  const incarnation = nullable(row, "holder_incarnation");
  const reservedNode = nullable(row, "reserved_node");
  const pausedAtMs = nullableInt(row, "paused_at_ms");
  return {
    election: textOf(row, "election"),
    token: intOf(row, "token"),
    holder: incarnation === null ? null : { incarnation, node: textOf(row, "holder_node") },
    epoch: textOf(row, "epoch"),
    version: intOf(row, "version"),
    resignRequested: nullableInt(row, "resign_requested"),
    resignRequestedFor: nullable(row, "resign_requested_for"),
    reservation: reservedNode === null ? null : { node: reservedNode, forMs: intOf(row, "reserved_for_ms") },
    paused: pausedAtMs === null ? null : { reason: textOf(row, "pause_reason"), by: textOf(row, "paused_by"), atMs: pausedAtMs },
    priority: Number(row["priority"]),
    minimumTermMs: intOf(row, "minimum_term_ms"),
    ranked: isTrue(row, "ranked"),
    changedAtMs: intOf(row, "changed_at_ms"),
  };
}

function viewOf(rows: readonly Row[] | undefined): StoredView | null {
  const text = rows?.[0]?.["view"];
  return text === null || text === undefined ? null : (JSON.parse(text) as StoredView);
}

/** Every text answers a first row, whatever it finds. */
export function first(rows: readonly Row[] | undefined): Row {
  return rows?.[0] ?? {};
}
