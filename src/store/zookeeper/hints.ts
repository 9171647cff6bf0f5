import type { Hint } from "../index.ts";
import type { GroupDocument, PresenceEntry } from "./document.ts";

/** What the step from one document to a later one is to tell. Of a group that was not known before: everything. */
export function hintsBetween(before: GroupDocument | undefined, after: GroupDocument): readonly Hint[] {
  const hints: Hint[] = [];
  if (presenceChanged(before, after)) hints.push({ kind: "presence" });
  for (const { row } of after.elections) {
    if (before === undefined || row.version > before.electionsVersion) hints.push({ kind: "election", election: row.election });
  }
  if (after.viewVersion !== (before?.viewVersion ?? 0)) hints.push({ kind: "view" });
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
