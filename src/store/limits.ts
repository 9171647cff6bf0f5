/** Events that are kept per group; older ones are forgotten, and readers are told how many they missed. */
export const EVENTS_KEPT = 10_000;

/** Terms that are kept per election in the history. */
export const TERMS_KEPT = 100;

/** Each generation opens a fresh range of tokens, so that a failover that lost commits cannot repeat one. */
export const TOKENS_PER_GENERATION = 2 ** 32;

/** Likewise the numbers of views. */
export const VIEWS_PER_GENERATION = 2 ** 32;

/** Views of this generation have greater numbers; those of earlier ones have not, unless there were more than fit. */
export function viewFloor(generation: number): number {
  return (generation - 1) * VIEWS_PER_GENERATION;
}

/** Likewise the versions of documents. */
export const DOCUMENT_VERSIONS_PER_GENERATION = 2 ** 32;

/** Documents that are written in this generation have greater versions. */
export function documentFloor(generation: number): number {
  return (generation - 1) * DOCUMENT_VERSIONS_PER_GENERATION;
}

/** The largest text of a document, in bytes of UTF-8: half of what ZooKeeper takes in one request, so that every store takes it. */
export const LARGEST_DOCUMENT_BYTES = 512 * 1024;

/** The largest metadata text, in bytes of UTF-8. */
export const LARGEST_METADATA_BYTES = 16 * 1024;

/** The version of the schema that this code reads and writes. */
export const SCHEMA_VERSION = 2;

/** The oldest version of the code that can work with that schema. */
export const SCHEMA_WORKS_WITH = 2;

/** The longest reason for a pause or an eviction, in characters. */
export const LONGEST_REASON = 500;
