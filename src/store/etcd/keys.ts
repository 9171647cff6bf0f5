import type { ElectionRow, StoredView } from "../index.ts";
import type { History } from "./history.ts";
import type { AgeRecord, BeatRecord, CandidateRecord, EventsRecord, GroupRecord, JoinsRecord, Key, Prefix, PresenceRecord, SchemaRecord, TermEndRecord, TermRecord } from "./records.ts";

/** The width of numbers in keys and of those that are compared as text: the greatest safe integer has 16 digits. */
const DIGITS = 16;

/** A number whose order as text is its order. */
export function padded(value: number): string {
  return String(value).padStart(DIGITS, "0");
}

/** The keys of the whole store, which all groups share. */
export interface StoreKeys {
  readonly schema: Key<SchemaRecord>;
  readonly history: Key<History>;
}

export function storeKeys(prefix: string): StoreKeys {
  return { schema: `${prefix}schema`, history: `${prefix}history` };
}

/** The keys of one group. Whoever makes a hint stands under `shown/`, which sessions watch; what a beat writes does not. */
export class GroupKeys {
  readonly #base: string;

  constructor(prefix: string, group: string) {
    this.#base = `${prefix}groups/${part(group)}/`;
  }

  // ---- the group's own record, in the parts that change together

  get state(): string {
    return `${this.#base}state/`;
  }

  get group(): Key<GroupRecord> {
    return `${this.state}group`;
  }

  get age(): Key<AgeRecord> {
    return `${this.state}age`;
  }

  get joins(): Key<JoinsRecord> {
    return `${this.state}joins`;
  }

  get electionsVersion(): string {
    return `${this.state}elections`;
  }

  get sequence(): string {
    return `${this.state}sequence`;
  }

  // ---- what sends hints

  get shown(): string {
    return `${this.#base}shown/`;
  }

  get viewVersion(): string {
    return `${this.shown}view`;
  }

  get presences(): Prefix<PresenceRecord> {
    return `${this.shown}presence/`;
  }

  presence(incarnation: string): Key<PresenceRecord> {
    return this.presences + part(incarnation);
  }

  get elections(): Prefix<ElectionRow> {
    return `${this.shown}election/`;
  }

  election(election: string): Key<ElectionRow> {
    return this.elections + part(election);
  }

  /** The election whose key this is; undefined if it is none's. */
  electionIn(key: string): string | undefined {
    return key.startsWith(this.elections) ? decodeURIComponent(key.slice(this.elections.length)) : undefined;
  }

  /** The version of each document; the text is elsewhere, since whoever watches is sent the values as well. */
  get documentVersions(): string {
    return `${this.shown}document/`;
  }

  documentVersion(name: string): string {
    return this.documentVersions + part(name);
  }

  /** The document whose key this is; undefined if it is none's. */
  documentIn(key: string): string | undefined {
    return key.startsWith(this.documentVersions) ? decodeURIComponent(key.slice(this.documentVersions.length)) : undefined;
  }

  // ---- the rest

  /** The version that was given last to any document. */
  get documentsVersion(): string {
    return `${this.#base}documents`;
  }

  document(name: string): string {
    return `${this.#base}document/${part(name)}`;
  }

  get view(): Key<StoredView> {
    return `${this.#base}view`;
  }

  get beats(): Prefix<BeatRecord> {
    return `${this.#base}beat/`;
  }

  beat(incarnation: string): Key<BeatRecord> {
    return this.beats + part(incarnation);
  }

  get allMetadata(): Prefix<string> {
    return `${this.#base}metadata/`;
  }

  metadata(incarnation: string): Key<string> {
    return this.allMetadata + part(incarnation);
  }

  /** Which incarnation goes by a node's name. */
  name(node: string): Key<string> {
    return `${this.#base}name/${part(node)}`;
  }

  get fences(): string {
    return `${this.#base}fence/`;
  }

  fence(election: string): string {
    return this.fences + part(election);
  }

  get allCandidates(): Prefix<CandidateRecord> {
    return `${this.#base}candidate/`;
  }

  candidates(election: string): Prefix<CandidateRecord> {
    return `${this.allCandidates}${part(election)}/`;
  }

  candidate(election: string, incarnation: string): Key<CandidateRecord> {
    return this.candidates(election) + part(incarnation);
  }

  /** Who contends by this key. */
  candidateIn(key: string): string {
    return decodeURIComponent(key.slice(key.lastIndexOf("/") + 1));
  }

  get allTerms(): Prefix<TermRecord> {
    return `${this.#base}term/`;
  }

  term(election: string, token: number): Key<TermRecord> {
    return `${this.allTerms}${part(election)}/${padded(token)}`;
  }

  get allTermEnds(): Prefix<TermEndRecord> {
    return `${this.#base}ended/`;
  }

  termEnd(election: string, token: number): Key<TermEndRecord> {
    return `${this.allTermEnds}${part(election)}/${padded(token)}`;
  }

  /** For the key of a term, that of its end, and what the keys of all terms of its election begin with. */
  ofTerm(key: string): { readonly end: string; readonly terms: string; readonly ends: string } {
    const rest = key.slice(this.allTerms.length);
    const election = rest.slice(0, rest.indexOf("/") + 1);
    return { end: this.allTermEnds + rest, terms: this.allTerms + election, ends: this.allTermEnds + election };
  }

  get events(): Prefix<EventsRecord> {
    return `${this.#base}event/`;
  }

  /** Events that were written together stand under the number of the last of them. */
  eventsUpTo(sequence: number): Key<EventsRecord> {
    return this.events + padded(sequence);
  }
}

/** Whatever a name has in it, it is one step of a key's path. */
function part(name: string): string {
  return encodeURIComponent(name.toWellFormed());
}
