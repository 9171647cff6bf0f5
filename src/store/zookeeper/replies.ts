import type { CandidateRow, ElectionRow, GroupReading, LookInput, LookReply, MemberRow, PresenceRow, StoredView, TermRow } from "../index.ts";
import type { BeatData, ElectionEntry, GroupDocument, MemberData, PresenceEntry } from "./document.ts";
import { presenceIn } from "./document.ts";
import type { Versioned } from "./statements.ts";

/** What was read of a group, as one reading: the document, and of each incarnation in question that is alive its beat. */
export interface GroupState {
  readonly document: GroupDocument;
  readonly beats: ReadonlyMap<string, Versioned<BeatData>>;
  readonly epoch: string;
  /** A time that the store's clock has certainly reached. */
  readonly storeMs: number;
}

/** Whom a look shows. */
export function watchedIn(document: GroupDocument, watch: LookInput["watch"]): readonly PresenceEntry[] {
  return watch === "all" ? document.presence : watch.map((incarnation) => presenceIn(document, incarnation)).filter((entry) => entry !== undefined);
}

/** Whether a look with this cursor is to show the view. */
export function showsView(document: GroupDocument, epoch: string, { cursor }: LookInput): boolean {
  return document.viewVersion > 0 && (cursor.epoch !== epoch || cursor.viewVersion !== document.viewVersion);
}

/** The reply to a look; `view` is the stored one if it is to be shown. */
export function lookReplyOf(state: GroupState, input: LookInput, view: StoredView | null): LookReply {
  const { document, epoch, storeMs } = state;
  const { cursor } = input;
  return {
    storeTimeMs: storeMs,
    epoch,
    generation: document.generation,
    electionsVersion: document.electionsVersion,
    elections: document.elections.filter(({ row }) => cursor.epoch !== epoch || row.version > cursor.electionsVersion).map(electionRowOf),
    viewVersion: document.viewVersion,
    view,
    presence: watchedIn(document, input.watch).map((entry) => presenceRowOf(entry, state.beats.get(entry.incarnation), storeMs)),
    longestLeaseMs: document.longestLeaseMs,
  };
}

/** A presence row; `beat` is that of one who is alive. */
export function presenceRowOf(entry: PresenceEntry, beat: Versioned<BeatData> | undefined, storeMs: number): PresenceRow {
  const { incarnation, node, state, leaseMs, joinOrder, metadataVersion, observer, evicted } = entry;
  const last = beat === undefined || state === "dead" ? { beat: entry.beat, viewSeen: entry.viewSeen, atMs: entry.beatAtMs } : { beat: beat.value.beat, viewSeen: beat.value.viewSeen, atMs: beat.modifiedMs };
  return {
    incarnation,
    node,
    state,
    beat: last.beat,
    leaseMs,
    expired: last.atMs + leaseMs <= storeMs,
    beatAgeMs: Math.max(0, storeMs - last.atMs),
    joinOrder,
    viewSeen: last.viewSeen,
    metadataVersion,
    observer,
    evicted,
    evidence: "none",
  };
}

/** An election row of one's own. */
export function electionRowOf({ row }: ElectionEntry): ElectionRow {
  return { ...row, holder: row.holder && { ...row.holder }, reservation: row.reservation && { ...row.reservation }, paused: row.paused && { ...row.paused } };
}

/** Those who contend and are alive, the oldest first. */
export function candidatesOf(document: GroupDocument, { candidates }: ElectionEntry): readonly CandidateRow[] {
  const alive = candidates.flatMap(({ incarnation, priority, fit }) => {
    const presence = presenceIn(document, incarnation);
    return presence?.state === "alive" ? [{ incarnation, node: presence.node, priority, fit, joinOrder: presence.joinOrder }] : [];
  });
  return alive.sort((a, b) => a.joinOrder - b.joinOrder);
}

/** A member row. */
export function memberRowOf({ incarnation, node, state, joinOrder, joinedAtMs, deadReason, observer }: PresenceEntry, { version, metadata }: MemberData): MemberRow {
  return { incarnation, node, state, metadata, metadataVersion: version, joinOrder, joinedAtMs, deadReason, observer };
}

/** Everything about a group. `earlier`: the terms of each election before its last one. */
export function groupReadingOf(state: GroupState, more: { readonly view: StoredView | null; readonly earlier: ReadonlyMap<string, readonly TermRow[]>; readonly schemaVersion: number }): GroupReading {
  const { document, beats, epoch, storeMs } = state;
  return {
    storeTimeMs: storeMs,
    epoch,
    generation: document.generation,
    schemaVersion: more.schemaVersion,
    settings: document.settings,
    view: more.view,
    presence: document.presence.map((entry) => presenceRowOf(entry, beats.get(entry.incarnation), storeMs)),
    elections: document.elections.map(electionRowOf),
    candidates: document.elections.flatMap((entry) => candidatesOf(document, entry).map((candidate) => ({ election: entry.row.election, ...candidate }))),
    fences: document.elections.map(({ row, fence }) => ({ election: row.election, token: fence })),
    terms: document.elections.flatMap((entry) => termsOf(entry, more.earlier.get(entry.row.election) ?? [])),
  };
}

/** The newest first. What was stored after the document was read is the last one of the document, or later. */
function termsOf({ term }: ElectionEntry, earlier: readonly TermRow[]): readonly TermRow[] {
  if (term === null) return [];
  return [{ ...term }, ...earlier.filter(({ token }) => token < term.token).reverse()];
}
