import type { Hint } from "../index.ts";
import type { GroupDocument, PresenceEntry } from "./document.ts";

/** In a group of more members than these nobody is hinted at who comes and goes, nor at a view: everybody would read that at once, the view with everybody's metadata, in place of the few whose beat is due. */
export const HINTED_MEMBERS = 100;

/** What the step from one document to a later one is to tell. Of a group that was not known before: everything. */
export function hintsBetween(before: GroupDocument | undefined, after: GroupDocument): readonly Hint[] {
  const hints: Hint[] = [];
  const isLarge = after.presence.filter(({ state }) => state === "alive").length > HINTED_MEMBERS;
  if (!isLarge && presenceChanged(before, after)) hints.push({ kind: "presence" });
  for (const { row } of after.elections) {
    if (before === undefined || row.version > before.electionsVersion) hints.push({ kind: "election", election: row.election });
  }
  if (!isLarge && after.viewVersion !== (before?.viewVersion ?? 0)) hints.push({ kind: "view" });
  for (const name of changedDocuments(before, after)) hints.push({ kind: "document", name });
  return hints;
}

/** Those that were written or removed. */
function changedDocuments(before: GroupDocument | undefined, after: GroupDocument): readonly string[] {
  const known = new Map(before?.documents.map(({ name, version }) => [name, version]));
  const written = after.documents.filter(({ name, version }) => known.get(name) !== version).map(({ name }) => name);
  const there = new Set(after.documents.map(({ name }) => name));
  return [...written, ...[...known.keys()].filter((name) => !there.has(name))];
}

/** Somebody came, died, was asked to go, or says something else of itself. That the dead are forgotten is no news. */
function presenceChanged(before: GroupDocument | undefined, after: GroupDocument): boolean {
  if (before === undefined || after.joinOrder !== before.joinOrder) return true;
  const known = new Map(before.presence.map((entry) => [entry.incarnation, entry]));
  return after.presence.some((entry) => isNews(known.get(entry.incarnation), entry));
}

function isNews(before: PresenceEntry | undefined, after: PresenceEntry): boolean {
  return before?.state !== after.state || before.evicted !== after.evicted || before.metadataVersion !== after.metadataVersion;
}
