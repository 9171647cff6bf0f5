import type { BeatReply, CandidateRow, ElectionRow, EventPage, EventType, GroupReading, LookReply, MemberRow, PresenceRow, StoredView, TermRow } from "../index.ts";
import type { Row } from "./connection.ts";

/** A bigint column. All that Tribune stores in one is a safe integer. */
export function intOf(row: Row, column: string): number {
  return Number(row[column]);
}

export function isTrue(row: Row | undefined, column: string): boolean {
  return row?.[column] === "t";
}

export function lookReplyOf(row: Row): LookReply {
  return {
    storeTimeMs: intOf(row, "now_ms"),
    epoch: textOf(row, "epoch"),
    generation: intOf(row, "generation"),
    electionsVersion: intOf(row, "elections_version"),
    elections: listOf(row, "elections").map(electionRowOf),
    viewVersion: intOf(row, "view_version"),
    view: viewOf(row),
    presence: listOf(row, "presence").map(presenceRowOf),
    longestLeaseMs: intOf(row, "longest_lease_ms"),
  };
}

export function beatReplyOf(row: Row): BeatReply {
  return { ...lookReplyOf(row), accepted: isTrue(row, "accepted"), self: (row["self"] ?? "absent") as BeatReply["self"] };
}

export function presenceRowOf([incarnation, node, state, beat, leaseMs, expired, beatAgeMs, joinOrder, viewSeen, metadataVersion, observer, evicted, evidence]: Json[]): PresenceRow {
  return { incarnation, node, state, beat, leaseMs, expired, beatAgeMs, joinOrder, viewSeen, metadataVersion, observer, evicted, evidence } as PresenceRow;
}

export function membersOf(row: Row): readonly MemberRow[] {
  return listOf(row, "members").map(
    ([incarnation, node, state, metadata, metadataVersion, joinOrder, joinedAtMs, deadReason, observer]) =>
      ({ incarnation, node, state, metadata, metadataVersion, joinOrder, joinedAtMs, deadReason, observer }) as MemberRow,
  );
}

export function candidatesOf(row: Row): readonly CandidateRow[] {
  return listOf(row, "candidates").map(candidateOf);
}

export function eventPageOf(row: Row, after: number): EventPage {
  const newest = intOf(row, "newest");
  const oldest = row["oldest"] === null ? newest + 1 : intOf(row, "oldest");
  return {
    events: listOf(row, "events").map(([sequence, atMs, type, subject, detail]) => ({
      sequence: sequence as number,
      atMs: atMs as number,
      type: type as EventType,
      subject: subject as string,
      detail: JSON.parse(detail as string) as Readonly<Record<string, unknown>>,
    })),
    skipped: Math.max(0, oldest - 1 - after),
    newest,
  };
}

export function groupReadingOf(row: Row): GroupReading {
  return {
    storeTimeMs: intOf(row, "now_ms"),
    epoch: textOf(row, "epoch"),
    generation: intOf(row, "generation"),
    schemaVersion: intOf(row, "schema_version"),
    settings: textOf(row, "settings"),
    view: viewOf(row),
    presence: listOf(row, "presence").map(presenceRowOf),
    elections: listOf(row, "elections").map(electionRowOf),
    candidates: listOf(row, "candidates").map((columns) => ({ election: columns[0] as string, ...candidateOf(columns) })),
    fences: listOf(row, "fences").map(([election, token]) => ({ election: election as string, token: token as number })),
    terms: listOf(row, "terms").map(
      ([election, token, node, incarnation, beganAtMs, endedAtMs, endReason]) => ({ election, token, node, incarnation, beganAtMs, endedAtMs, endReason }) as TermRow,
    ),
  };
}

type Json = string | number | boolean | null;

/** An aggregate of arrays; null if there was nothing to aggregate. */
export function listOf(row: Row, column: string): Json[][] {
  const text = row[column];
  return text === null || text === undefined ? [] : (JSON.parse(text) as Json[][]);
}

export function textOf(row: Row, column: string): string {
  return row[column] ?? "";
}

function viewOf(row: Row): StoredView | null {
  const text = row["view"];
  return text === null || text === undefined ? null : (JSON.parse(text) as StoredView);
}

function candidateOf([, incarnation, node, priority, fit, joinOrder]: Json[]): CandidateRow {
  return { incarnation, node, priority, fit, joinOrder } as CandidateRow;
}

function electionRowOf(columns: Json[]): ElectionRow {
  const [election, token, incarnation, node, epoch, version, resignRequested, changedAtMs, resignRequestedFor, reservedFor, reservedMs, reason, by, atMs, priority, minimumTermMs, ranked] = columns;
  const holder = incarnation === null ? null : { incarnation, node };
  const reservation = reservedFor === null ? null : { node: reservedFor, forMs: reservedMs };
  const paused = atMs === null ? null : { reason, by, atMs };
  return { election, token, holder, epoch, version, resignRequested, resignRequestedFor, reservation, paused, priority, minimumTermMs, ranked, changedAtMs } as ElectionRow;
}
