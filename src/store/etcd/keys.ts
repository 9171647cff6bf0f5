import { endOf } from "./messages.ts";

/** The width of numbers in keys and of those that are compared as text: the greatest safe integer has 16 digits. */
const DIGITS = 16;

/** A number whose order as text is its order. */
export function padded(value: number): string {
  return String(value).padStart(DIGITS, "0");
}

/** The keys of the whole store, which all groups share. */
export interface StoreKeys {
  readonly schema: string;
  readonly history: string;
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

  get group(): string {
    return `${this.state}group`;
  }

  get age(): string {
    return `${this.state}age`;
  }

  get joins(): string {
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

  get presences(): string {
    return `${this.shown}presence/`;
  }

  presence(incarnation: string): string {
    return this.presences + part(incarnation);
  }

  get elections(): string {
    return `${this.shown}election/`;
  }

  election(election: string): string {
    return this.elections + part(election);
  }

  /** The election whose key this is; undefined if it is none's. */
  electionIn(key: string): string | undefined {
    return key.startsWith(this.elections) ? decodeURIComponent(key.slice(this.elections.length)) : undefined;
  }

  // ---- the rest

  get view(): string {
    return `${this.#base}view`;
  }

  get beats(): string {
    return `${this.#base}beat/`;
  }

  beat(incarnation: string): string {
    return this.beats + part(incarnation);
  }

  get allMetadata(): string {
    return `${this.#base}metadata/`;
  }

  metadata(incarnation: string): string {
    return this.allMetadata + part(incarnation);
  }

  /** Which incarnation goes by a node's name. */
  name(node: string): string {
    return `${this.#base}name/${part(node)}`;
  }

  get fences(): string {
    return `${this.#base}fence/`;
  }

  fence(election: string): string {
    return this.fences + part(election);
  }

  get allCandidates(): string {
    return `${this.#base}candidate/`;
  }

  candidates(election: string): string {
    return `${this.allCandidates}${part(election)}/`;
  }

  candidate(election: string, incarnation: string): string {
    return this.candidates(election) + part(incarnation);
  }

  /** Who contends by this key. */
  candidateIn(key: string): string {
    return decodeURIComponent(key.slice(key.lastIndexOf("/") + 1));
  }

  get allTerms(): string {
    return `${this.#base}term/`;
  }

  terms(election: string): string {
    return `${this.allTerms}${part(election)}/`;
  }

  term(election: string, token: number): string {
    return this.terms(election) + padded(token);
  }

  get events(): string {
    return `${this.#base}event/`;
  }

  /** Events that were written together stand under the number of the last of them. */
  eventsUpTo(sequence: number): string {
    return this.events + padded(sequence);
  }

  get eventsEnd(): string {
    return endOf(this.events);
  }
}

/** Whatever a name has in it, it is one step of a key's path. */
function part(name: string): string {
  return encodeURIComponent(name.toWellFormed());
}
