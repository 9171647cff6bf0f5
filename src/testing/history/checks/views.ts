import type { History, Viewed } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { sameJson } from "./json.ts";

/** A view's number stands for one list of members, in all processes. */
export function viewsAgree(history: History): Violation[] {
  const violations: Violation[] = [];
  const seen = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view") continue;
    const first = seen.get(event.version);
    if (first === undefined) seen.set(event.version, event);
    else if (!sameContent(first, event)) {
      violations.push({ check: "viewsAgree", message: `view ${event.version} is one thing to ${who(first)} and another to ${who(event)}`, atMs: event.t, evidence: [first, event] });
    }
  }
  return violations;
}

function sameContent(a: Viewed, b: Viewed): boolean {
  if (a.coordinator !== b.coordinator || a.members.length !== b.members.length) return false;
  if (a.members === b.members) return true;
  return a.members.every((member, index) => {
    const other = b.members[index];
    return other !== undefined && member.node === other.node && member.incarnation === other.incarnation && sameJson(member.metadata, other.metadata);
  });
}

/** In each process view numbers strictly increase, `skipped` tells whether any were missed, and an incarnation that has left a view is in no later one. */
export function viewsGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const last = new Map<string, Viewed>();
  const all = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view") continue;
    if (!all.has(event.version)) all.set(event.version, event);
    const before = last.get(event.process);
    last.set(event.process, event);
    if (before === undefined) continue;
    if (event.version <= before.version) {
      violations.push({ check: "viewsGrow", message: `${who(event)} was given view ${event.version} after view ${before.version}`, atMs: event.t, evidence: [before, event] });
    } else if (event.skipped !== event.version > before.version + 1) {
      const words = event.skipped ? "is marked as skipping" : "is not marked as skipping";
      violations.push({ check: "viewsGrow", message: `view ${event.version} after view ${before.version} ${words} in ${who(event)}`, atMs: event.t, evidence: [before, event] });
    }
  }
  const gone = new Map<string, Viewed>();
  let present = new Set<string>();
  for (const [, view] of [...all].sort(([a], [b]) => a - b)) {
    const now = new Set(view.members.map((member) => member.incarnation));
    for (const incarnation of present) if (!now.has(incarnation)) gone.set(incarnation, view);
    for (const incarnation of now) {
      const left = gone.get(incarnation);
      if (left === undefined) continue;
      gone.delete(incarnation); // once is enough
      violations.push({ check: "viewsGrow", message: `incarnation ${incarnation} left with view ${left.version} and is back in view ${view.version}`, atMs: view.t, evidence: [left, view] });
    }
    present = now;
  }
  return violations;
}
