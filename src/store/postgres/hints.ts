import { createHash } from "node:crypto";
import type { Hint } from "../index.ts";

/** The channel of one group, for NOTIFY. Names of channels are identifiers of at most 63 bytes; a group's name may be longer, so it is hashed. */
export function channelOf(schema: string, group: string): string {
  return `tribune_${createHash("sha256").update(`${schema}\0${group}`).digest("hex").slice(0, 32)}`;
}

/** What a notification says: `v` the view, `p` somebody's presence, `e:NAME` an election, `d:NAME` a document. */
export const VIEW_CHANGED = "v";
export const PRESENCE_CHANGED = "p";
export const ELECTION_CHANGED = "e:";
export const DOCUMENT_CHANGED = "d:";

/** The hint in a payload; `undefined` for what a newer version may say. Anybody can notify, so nothing is taken for granted. */
export function hintOf(payload: string | undefined): Hint | undefined {
  if (payload === VIEW_CHANGED) return { kind: "view" };
  if (payload === PRESENCE_CHANGED) return { kind: "presence" };
  if (payload?.startsWith(ELECTION_CHANGED) === true) return { kind: "election", election: payload.slice(ELECTION_CHANGED.length) };
  if (payload?.startsWith(DOCUMENT_CHANGED) === true) return { kind: "document", name: payload.slice(DOCUMENT_CHANGED.length) };
  return undefined;
}
