import type { DeathReason, NewEvent, TermRow } from "../index.ts";

/** A key of the store whose value is the JSON text of a `T`. */
export type Key<T> = string & { readonly [VALUE]?: T };

/** What keys begin with whose values are such texts. */
export type Prefix<T> = string & { readonly [VALUES]?: T };

declare const VALUE: unique symbol;
declare const VALUES: unique symbol;

/** What stays as it was when the group was made. */
export interface GroupRecord {
  readonly birthEpoch: string;
  readonly settings: string;
}

/** The epoch that the group has adopted, the number of that epoch in the store, and the generation. */
export interface AgeRecord {
  readonly generation: number;
  readonly epochNumber: number;
  readonly epoch: string;
}

export interface JoinsRecord {
  readonly joinOrder: number;
  readonly longestLeaseMs: number;
}

/** All of a presence that a beat does not write. */
export interface PresenceRecord {
  readonly incarnation: string;
  readonly node: string;
  readonly state: "alive" | "dead";
  readonly leaseMs: number;
  readonly joinOrder: number;
  readonly joinedAtMs: number;
  readonly metadataVersion: number;
  readonly deadReason: "left" | DeathReason | null;
  readonly deadAtMs: number;
  readonly observer: boolean;
  readonly evicted: boolean;
}

export interface BeatRecord {
  readonly beat: number;
  readonly viewSeen: number;
  readonly atMs: number;
}

/** A term as it began. */
export type TermRecord = Omit<TermRow, "endedAtMs" | "endReason">;

export interface CandidateRecord {
  readonly election: string;
  readonly incarnation: string;
  readonly priority: number;
  readonly fit: boolean;
}

/** How a term ended; a term that has none is open. */
export interface TermEndRecord {
  readonly endedAtMs: number;
  readonly endReason: string;
}

export interface SchemaRecord {
  readonly version: number;
  readonly worksWith: number;
}

/** Events that were written together; their numbers end with the one in the key. */
export type EventsRecord = readonly (NewEvent & { readonly atMs: number })[];
