import type { GapTold, HandlingBegan } from "../channel-events.ts";
import type { History } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf, nameOf } from "./conversation.ts";

/** What one incarnation has handled on one topic, in its order. */
interface Line {
  readonly incarnation: string;
  readonly handled: HandlingBegan[];
  /** By the name of a message, where it is in `handled`. */
  readonly at: Map<string, number>;
  /** Where it was told of a gap: before the message at that place. */
  readonly gaps: Array<{ readonly at: number; readonly told: GapTold }>;
  /** By sender, its last message. */
  readonly last: Map<string, HandlingBegan>;
}

/**
 * On a topic with one order of all, any two members that have both handled two messages have handled the same one first; what one of them has handled between two that both have, the other one has as well, or was told of a gap there; and what one member sends is handled in the order of sending.
 *
 * Excepted is who was no member any more, in any view that anybody had, by the time at which that showed: what it alone had of the order is ordered anew by those who are left.
 */
export function handledInOneOrder(history: History): Violation[] {
  const violations: Violation[] = [];
  const lines = linesOf(history, (line, before, event) => {
    violations.push({ check: "handledInOneOrder", message: `${who(event)} handled message ${nameOf(event.from, event)} after ${before.message} of the same sender`, atMs: event.t, evidence: [...line.gaps.slice(-1).map(({ told }) => told), before, event] });
  });
  if (lines.size === 0) return violations;
  const leftMs = departures(history);
  for (const ofTopic of lines.values()) {
    for (const [index, one] of ofTopic.entries()) {
      for (const other of ofTopic.slice(index + 1)) {
        if (!overlap(one, other)) continue;
        const togetherUntilMs = Math.min(leftMs.get(one.incarnation) ?? Number.POSITIVE_INFINITY, leftMs.get(other.incarnation) ?? Number.POSITIVE_INFINITY);
        violations.push(...compare(one, other, togetherUntilMs), ...compare(other, one, togetherUntilMs));
      }
    }
  }
  return violations;
}

/** Looks at what `other` has handled, with the places that the same has in `one`. Tells of an inversion once, whichever comes first. */
function compare(one: Line, other: Line, togetherUntilMs: number): Violation[] {
  const violations: Violation[] = [];
  let common: { readonly mine: HandlingBegan; readonly its: HandlingBegan; readonly at: number } | undefined;
  let lacking: HandlingBegan[] = [];
  for (const its of other.handled) {
    const at = one.at.get(nameOf(its.from, its));
    if (at === undefined) {
      lacking.push(its);
      continue;
    }
    const mine = one.handled[at] as HandlingBegan;
    if (common !== undefined && Math.max(mine.t, its.t, common.mine.t, common.its.t) < togetherUntilMs) {
      const { at: before } = common;
      if (at < before) {
        if (one.incarnation < other.incarnation) violations.push({ check: "handledInOneOrder", message: `${who(mine)} handled ${nameOf(mine.from, mine)} before ${nameOf(common.mine.from, common.mine)}, and ${who(its)} after it`, atMs: Math.max(common.mine.t, its.t), evidence: [mine, common.mine, common.its, its] });
      } else if (lacking.length > 0 && !one.gaps.some((gap) => gap.at > before && gap.at <= at)) {
        violations.push({ check: "handledInOneOrder", message: `${who(mine)} went from ${nameOf(common.mine.from, common.mine)} to ${nameOf(mine.from, mine)} and was told of no gap, where ${who(its)} has handled ${lacking.length} more`, atMs: mine.t, evidence: [common.mine, mine, ...lacking.slice(0, 3), its] });
      }
    }
    common = { mine, its, at };
    lacking = [];
  }
  return violations;
}

/** By topic, what each incarnation has handled. */
function linesOf(history: History, disordered: (line: Line, before: HandlingBegan, event: HandlingBegan) => void): Map<string, Line[]> {
  const { messages } = conversationOf(history);
  const topics = new Set<string>();
  for (const { sent } of messages.values()) if (sent.inOneOrder === true) topics.add(sent.topic);
  const lines = new Map<string, Line>();
  const byTopic = new Map<string, Line[]>();
  for (const event of history.events) {
    if ((event.kind !== "handling-began" && event.kind !== "gap-told") || !topics.has(event.topic)) continue;
    const key = `${event.incarnation} ${event.topic}`;
    let line = lines.get(key);
    if (line === undefined) {
      line = { incarnation: event.incarnation, handled: [], at: new Map(), gaps: [], last: new Map() };
      lines.set(key, line);
      byTopic.set(event.topic, [...(byTopic.get(event.topic) ?? []), line]);
    }
    if (event.kind === "gap-told") {
      line.gaps.push({ at: line.handled.length, told: event });
      continue;
    }
    const before = line.last.get(event.from);
    if (before !== undefined && before.message >= event.message) disordered(line, before, event);
    line.last.set(event.from, event);
    line.at.set(nameOf(event.from, event), line.handled.length);
    line.handled.push(event);
  }
  return byTopic;
}

/** When somebody was first given a view without an incarnation that had been in an earlier one. */
function departures({ events }: History): Map<string, number> {
  const leftMs = new Map<string, number>();
  const since = new Map<string, number>();
  for (const event of events) {
    if (event.kind !== "view") continue;
    const members = new Set(event.members.map(({ incarnation }) => incarnation));
    for (const incarnation of members) since.set(incarnation, Math.min(event.version, since.get(incarnation) ?? Number.POSITIVE_INFINITY));
    for (const [incarnation, version] of since) if (version < event.version && !members.has(incarnation) && !leftMs.has(incarnation)) leftMs.set(incarnation, event.t);
  }
  return leftMs;
}

function overlap(one: Line, other: Line): boolean {
  const [oneFrom, oneTo, otherFrom, otherTo] = [one.handled[0]?.t, one.handled.at(-1)?.t, other.handled[0]?.t, other.handled.at(-1)?.t];
  return oneFrom !== undefined && oneTo !== undefined && otherFrom !== undefined && otherTo !== undefined && oneFrom <= otherTo + LONGEST_BETWEEN_MS && otherFrom <= oneTo + LONGEST_BETWEEN_MS;
}

/** Two members may handle the same message at times so far apart. */
const LONGEST_BETWEEN_MS = 120_000;
