import { TribuneError } from "../../kernel/index.ts";
import type { BeatReply, CandidateRow, Cursor, DocumentRow, EventPage, GroupReading, LookReply, MemberRow, PresenceRow, StoredDocument, StoredEvent, TermRow } from "../index.ts";
import { EVENTS_KEPT } from "../index.ts";
import { parseHistory } from "./history.ts";
import type { History } from "./history.ts";
import type { GroupKeys, StoreKeys } from "./keys.ts";
import type { Compare, Item, Range } from "./messages.ts";
import type { AgeRecord, BeatRecord, CandidateRecord, JoinsRecord, Key, Prefix, PresenceRecord } from "./records.ts";

/** What was read at one instant. Everything is JSON, but for what is compared as text. */
export class Reading {
  readonly #items: ReadonlyMap<string, Item>;
  readonly #keys: readonly string[];
  /** The single keys that were asked for. */
  readonly points: readonly string[];

  constructor(items: readonly Item[], reads: readonly Range[]) {
    this.points = reads.flatMap((range) => (range.end === undefined ? [range.key] : []));
    // Where a range was read for its keys alone, its values are missing, and another one of the same reading may have them.
    this.#items = new Map(items.filter((item) => item.value !== "").map((item) => [item.key, item]));
    this.#keys = [...new Set(items.map((item) => item.key))];
  }

  /** That each of the single keys is still as it was read. */
  get unchanged(): readonly Compare[] {
    return this.points.map((key) => ({ key, modRevision: this.modRevision(key) }));
  }

  /** The part of the reading that is about these keys. */
  only(reads: readonly Range[]): Reading {
    return new Reading(reads.flatMap(({ key }) => this.#items.get(key) ?? []), reads);
  }

  /** The revision of the key's last change; 0 if there is no such key. */
  modRevision(key: string): number {
    return this.#items.get(key)?.modRevision ?? 0;
  }

  text(key: string): string | undefined {
    return this.#items.get(key)?.value;
  }

  json<T>(key: Key<T>): T | undefined {
    const text = this.text(key);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  /** 0 where there is none. */
  number(key: string): number {
    return Number(this.text(key) ?? 0);
  }

  /** The values below a prefix, in the order of their keys. */
  below<T>(prefix: Prefix<T>): readonly T[] {
    return this.keysBelow(prefix).flatMap((key) => this.json(key) ?? []);
  }

  keysBelow<T>(prefix: Prefix<T>): readonly Key<T>[] {
    return this.#keys.filter((key) => key.startsWith(prefix)).sort();
  }
}

/** The store's history, which is there once a session has been opened. */
export function historyOf(reading: Reading, store: StoreKeys): History {
  const text = reading.text(store.history);
  if (text === undefined) throw new TribuneError("SCHEMA_MISSING", "the keys of Tribune were removed from the store", { about: store.history, next: "look who removed them; nodes that start again make them anew" });
  return parseHistory(text);
}

export function presenceRowOf(presence: PresenceRecord, beat: BeatRecord, nowMs: number): PresenceRow {
  const { incarnation, node, state, leaseMs, joinOrder, metadataVersion, observer, evicted } = presence;
  const beatAgeMs = Math.max(0, nowMs - beat.atMs);
  return { incarnation, node, state, leaseMs, joinOrder, metadataVersion, observer, evicted, evidence: "none", beat: beat.beat, viewSeen: beat.viewSeen, expired: beatAgeMs >= leaseMs, beatAgeMs };
}

/** All presence rows of a reading, the oldest first. */
function presenceRowsOf(reading: Reading, keys: GroupKeys, nowMs: number): readonly PresenceRow[] {
  return byJoinOrder(reading.below(keys.presences)).flatMap((presence) => {
    const beat = reading.json(keys.beat(presence.incarnation));
    return beat === undefined ? [] : [presenceRowOf(presence, beat, nowMs)];
  });
}

export function lookReplyOf(reading: Reading, { keys, store, cursor, watch, nowMs }: { readonly keys: GroupKeys; readonly store: StoreKeys; readonly cursor: Cursor; readonly watch: "all" | readonly string[]; readonly nowMs: number }): LookReply {
  const { epoch } = historyOf(reading, store);
  const sameEpoch = cursor.epoch === epoch;
  const viewVersion = reading.number(keys.viewVersion);
  const isNew = sameEpoch ? viewVersion !== cursor.viewVersion : true;
  return {
    storeTimeMs: nowMs,
    epoch,
    generation: ageOf(reading, keys).generation,
    electionsVersion: reading.number(keys.electionsVersion),
    elections: reading.below(keys.elections).filter((row) => !sameEpoch || row.version > cursor.electionsVersion),
    viewVersion,
    view: isNew ? (reading.json(keys.view) ?? null) : null,
    presence: presenceRowsOf(reading, keys, nowMs).filter((row) => watch === "all" || watch.includes(row.incarnation)),
    longestLeaseMs: (reading.json(keys.joins) as JoinsRecord).longestLeaseMs,
  };
}

/** What became of the sender's own row. */
export function selfOf(presence: PresenceRecord | undefined): BeatReply["self"] {
  if (presence === undefined) return "absent";
  return presence.state === "alive" && presence.evicted ? "evicted" : presence.state;
}

/** The group's age; a reading in which there is none is of no group. */
export function ageOf(reading: Reading, keys: GroupKeys): AgeRecord {
  return reading.json(keys.age) as AgeRecord;
}

export function memberRowsOf(reading: Reading, keys: GroupKeys, incarnations: readonly string[]): readonly MemberRow[] {
  return incarnations.flatMap((incarnation) => {
    const presence = reading.json(keys.presence(incarnation));
    const metadata = reading.json(keys.metadata(incarnation));
    if (presence === undefined || metadata === undefined) return [];
    const { node, state, metadataVersion, joinOrder, joinedAtMs, deadReason, observer } = presence;
    return [{ incarnation, node, state, metadata, metadataVersion, joinOrder, joinedAtMs, deadReason, observer }];
  });
}

/** The candidates below a prefix who are alive, the oldest first. */
export function candidatesOf(reading: Reading, keys: GroupKeys, prefix: Prefix<CandidateRecord>): readonly (CandidateRow & { readonly election: string })[] {
  const found = reading.below(prefix).flatMap(({ election, incarnation, priority, fit }) => {
    const presence = reading.json(keys.presence(incarnation));
    return presence?.state === "alive" ? [{ election, incarnation, node: presence.node, priority, fit, joinOrder: presence.joinOrder }] : [];
  });
  return byJoinOrder(found);
}

/** A document as the value of its key: the version, which is never empty, a line break, and the text as it is, so that no text grows by being quoted. */
export function documentText({ version, text }: StoredDocument): string {
  return `${version}\n${text}`;
}

/** The document in the value of its key. */
export function documentOf(value: string): StoredDocument {
  const end = value.indexOf("\n");
  return { version: Number(value.slice(0, end)), text: value.slice(end + 1) };
}

/** The documents that were read, in the order of their names. */
export function documentRowsOf(reading: Reading, keys: GroupKeys): readonly DocumentRow[] {
  return reading.keysBelow(keys.documentVersions).map((key) => ({ name: keys.documentIn(key) ?? "", version: reading.number(key) }));
}

/** The events after a number, as far as they were read. */
export function eventPageOf(reading: Reading, keys: GroupKeys, { after, limit }: { readonly after: number; readonly limit: number }): EventPage {
  const newest = reading.number(keys.sequence);
  const all: StoredEvent[] = reading.keysBelow(keys.events).flatMap((key) => {
    const events = reading.json(key) ?? [];
    const last = Number(key.slice(keys.events.length));
    return events.map((event, n) => ({ sequence: last - (events.length - 1) + n, atMs: event.atMs, type: event.type, subject: event.subject, detail: event.detail }));
  });
  // Those that were written together with younger ones go together with them; until then they count as forgotten.
  const kept = all.filter((event) => event.sequence > newest - EVENTS_KEPT);
  const oldest = kept[0]?.sequence ?? newest + 1;
  return { events: kept.filter((event) => event.sequence > after).slice(0, limit), skipped: Math.max(0, oldest - 1 - after), newest };
}

export function groupReadingOf(reading: Reading, { keys, store, nowMs }: { readonly keys: GroupKeys; readonly store: StoreKeys; readonly nowMs: number }): GroupReading {
  const elections = reading.below(keys.elections);
  return {
    storeTimeMs: nowMs,
    epoch: historyOf(reading, store).epoch,
    generation: ageOf(reading, keys).generation,
    schemaVersion: reading.json(store.schema)?.version ?? 0,
    settings: reading.json(keys.group)?.settings ?? "",
    view: reading.json(keys.view) ?? null,
    presence: presenceRowsOf(reading, keys, nowMs),
    elections,
    candidates: candidatesOf(reading, keys, keys.allCandidates),
    fences: elections.map(({ election }) => ({ election, token: reading.number(keys.fence(election)) })),
    terms: termsOf(reading, keys),
  };
}


/** The newest first. */
function termsOf(reading: Reading, keys: GroupKeys): readonly TermRow[] {
  const terms = reading.below(keys.allTerms).map((term) => ({ ...term, endedAtMs: null, endReason: null, ...reading.json(keys.termEnd(term.election, term.token)) }));
  return terms.toSorted((a, b) => b.token - a.token);
}

function byJoinOrder<Row extends { readonly joinOrder: number }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((a, b) => a.joinOrder - b.joinOrder);
}
