/**
 * Under this name in its metadata a member keeps what its own rooms tell those of others. Users neither see it nor can set it.
 */
export const ANNEX = "$tribune";

/** What the annex takes of the room for metadata at most, in bytes. */
export const LARGEST_ANNEX_BYTES = 512;

/** Metadata as text, with an annex. */
export function withAnnex(metadata: string, annex: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...(JSON.parse(metadata) as object), [ANNEX]: annex });
}

/** What a member's rooms say; empty if they say nothing. */
export function annexOf(metadata: unknown): Readonly<Record<string, unknown>> {
  if (!hasAnnex(metadata)) return {};
  const annex: unknown = metadata[ANNEX];
  return typeof annex === "object" && annex !== null ? (annex as Record<string, unknown>) : {};
}

/** Metadata as users gave it. */
export function withoutAnnex(metadata: unknown): unknown {
  if (!hasAnnex(metadata)) return metadata;
  const { [ANNEX]: _annex, ...rest } = metadata;
  return rest;
}

function hasAnnex(metadata: unknown): metadata is Record<string, unknown> {
  return typeof metadata === "object" && metadata !== null && Object.hasOwn(metadata, ANNEX);
}
