import { TribuneError } from "../../kernel/index.ts";
import type { DeathReason, ElectionRow, StoredDocument, StoredEvent, TermRow } from "../index.ts";
import { packed, unpacked } from "./packing.ts";

/**
 * Stands for the time at which the znode that it is in was written: the leader puts that into the znode's own record, and nobody can know it before. Whoever reads puts
 * that time in its place, and whoever writes next writes it down.
 */
export const NOW = -1;

/** An incarnation in the document of its group. While it is alive its beats are in a znode of their own; `beat`, `viewSeen` and `beatAtMs` here are those it died with. */
export interface PresenceEntry {
  readonly incarnation: string;
  readonly node: string;
  state: "alive" | "dead";
  readonly leaseMs: number;
  readonly joinOrder: number;
  joinedAtMs: number;
  metadataVersion: number;
  readonly observer: boolean;
  evicted: boolean;
  beat: number;
  viewSeen: number;
  beatAtMs: number;
  deadReason: "left" | DeathReason | null;
  deadAtMs: number;
}

/** An election in the document of its group. */
export interface ElectionEntry {
  row: { -readonly [Key in keyof ElectionRow]: ElectionRow[Key] };
  fence: number;
  /** The last one; those before are in a znode of their own. */
  term: { -readonly [Key in keyof TermRow]: TermRow[Key] } | null;
  candidates: { readonly incarnation: string; readonly priority: number; readonly fit: boolean }[];
}

/** All of a group that must change together: one znode, whose version is the lock that orders everything but beats. */
export interface GroupDocument {
  epoch: string;
  epochNumber: number;
  readonly birthEpoch: string;
  generation: number;
  readonly settings: string;
  longestLeaseMs: number;
  joinOrder: number;
  electionsVersion: number;
  eventSequence: number;
  viewVersion: number;
  documentsVersion: number;
  presence: PresenceEntry[];
  elections: ElectionEntry[];
  /** What documents there are; each text is in a znode of its own. */
  documents: { readonly name: string; readonly version: number }[];
  /** The first event of each znode of events, in order. */
  segments: number[];
  /** Events that are in no such znode yet. */
  events: StoredEvent[];
}

/** The document as the data of its znode. */
export function writeDocument(document: GroupDocument): Buffer {
  return packed(document);
}

/** The document in the data of its znode, which was written at `modifiedMs`. */
export function readDocument(data: Buffer, modifiedMs: number, path: string): GroupDocument {
  const document = unpacked(data, path) as GroupDocument;
  stamp(document, modifiedMs);
  return document;
}

/** Puts the time of the writing where it was left open. */
export function stamp(document: GroupDocument, writtenMs: number): void {
  const at = (ms: number) => (ms === NOW ? writtenMs : ms);
  for (const entry of document.presence) {
    entry.joinedAtMs = at(entry.joinedAtMs);
    entry.deadAtMs = at(entry.deadAtMs);
  }
  for (const { row, term } of document.elections) {
    row.changedAtMs = at(row.changedAtMs);
    if (row.paused !== null) row.paused = { ...row.paused, atMs: at(row.paused.atMs) };
    if (term !== null) stampTerm(term, writtenMs);
  }
  document.events = stampedEvents(document.events, writtenMs);
}

/** Events with the time at which their znode was written where it was left open. */
export function stampedEvents(events: readonly StoredEvent[], writtenMs: number): StoredEvent[] {
  return events.map((event) => (event.atMs === NOW ? { ...event, atMs: writtenMs } : event));
}

/** Likewise a term. */
export function stampTerm(term: { -readonly [Key in keyof TermRow]: TermRow[Key] }, writtenMs: number): void {
  if (term.beganAtMs === NOW) term.beganAtMs = writtenMs;
  if (term.endedAtMs === NOW) term.endedAtMs = writtenMs;
}

/** The presence entry of an incarnation. */
export function presenceIn(document: GroupDocument, incarnation: string): PresenceEntry | undefined {
  return document.presence.find((entry) => entry.incarnation === incarnation);
}

/** Whether an incarnation is there and alive. */
export function isAlive(document: GroupDocument, incarnation: string): boolean {
  return presenceIn(document, incarnation)?.state === "alive";
}

/** The entry of an election. */
export function electionIn(document: GroupDocument, election: string): ElectionEntry | undefined {
  return document.elections.find(({ row }) => row.election === election);
}

// ---- the small znodes

/** What the znode of a beat holds. */
export interface BeatData {
  readonly beat: number;
  readonly viewSeen: number;
  /** Somebody has asked it to go: it counts no more. */
  readonly evicted?: boolean;
}

/** What the znode of a member holds. */
export interface MemberData {
  readonly version: number;
  readonly metadata: string;
}

/** A document as the data of its znode: the version, a line break, and the text as it is, so that no text grows by being quoted. */
export function writeText({ version, text }: StoredDocument): Buffer {
  return Buffer.from(`${version}\n${text}`);
}

/** The document in the data of its znode. Throws `STORE_FAILED` where that is not one of ours. */
export function readText(data: Buffer, path: string): StoredDocument {
  const end = data.indexOf("\n");
  const version = end === -1 ? Number.NaN : Number(data.toString("utf8", 0, end));
  if (!Number.isSafeInteger(version)) {
    throw new TribuneError("STORE_FAILED", `the znode ${path} holds something that is not Tribune's`, { about: path, next: "look at who else writes below this root, or choose another root", retryable: false });
  }
  return { version, text: data.toString("utf8", end + 1) };
}

export { packed as writeData, unpacked as readData } from "./packing.ts";
