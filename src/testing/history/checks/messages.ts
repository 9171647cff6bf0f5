import type { GapTold, HandlingBegan } from "../channel-events.ts";
import type { History, Viewed } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf, nameOf } from "./conversation.ts";

/** A message is handed to the handlers of each incarnation at most once. */
export function handledOnce({ events }: History): Violation[] {
  const violations: Violation[] = [];
  const first = new Map<string, HandlingBegan>();
  for (const event of events) {
    if (event.kind !== "handling-began") continue;
    const name = `${event.incarnation} ${nameOf(event.from, event)}`;
    const before = first.get(name);
    if (before === undefined) first.set(name, event);
    else violations.push({ check: "handledOnce", message: `${who(event)} handled message ${nameOf(event.from, event)} again`, atMs: event.t, evidence: [before, event] });
  }
  return violations;
}

/** A message is handled by those whom its sender meant and by nobody else; while the channel that it was sent to is open; and not once the receiver knows that the sender is no member any more. What has a place in one order of all is also for who joins, and stays in its place when its sender is gone. */
export function handledByWhomItIsFor(history: History): Violation[] {
  const violations: Violation[] = [];
  const conversation = conversationOf(history);
  const views = new Map<string, Viewed>();
  for (const event of history.events) {
    if (event.kind === "view") views.set(event.incarnation, event);
    if (event.kind !== "handling-began") continue;
    const complain = (message: string) => violations.push({ check: "handledByWhomItIsFor", message: `${who(event)} handled message ${nameOf(event.from, event)}${message}`, atMs: event.t, evidence: [event] });
    const sent = conversation.messages.get(nameOf(event.from, event))?.sent;
    const speaker = conversation.speakers.get(event.incarnation);
    if (sent === undefined || sent.t > event.t) complain(", which nobody has sent");
    else if (sent.inOneOrder !== true && !sent.to.includes(event.incarnation)) complain(", which was not for this incarnation");
    if (speaker === undefined || speaker.closedMs < event.t) complain(" after its channel was closed");
    if (event.from !== event.incarnation && sent?.inOneOrder !== true && views.get(event.incarnation)?.members.some(({ incarnation }) => incarnation === event.from) !== true) complain(" of somebody who is no member in its view");
  }
  return violations;
}

/** On a topic with order a handler begins when the one before it has ended: that of the same sender's message before, or, in one order of all, of anybody's. */
export function handledOneByOne(history: History): Violation[] {
  const violations: Violation[] = [];
  const { messages } = conversationOf(history);
  const atWork = new Map<string, HandlingBegan>();
  for (const event of history.events) {
    if (event.kind !== "handling-began" && event.kind !== "handling-ended") continue;
    const sent = messages.get(nameOf(event.from, event))?.sent;
    if (sent?.ordered !== true) continue;
    const line = `${event.incarnation} ${event.topic} ${sent.inOneOrder === true ? "" : event.from}`;
    const before = atWork.get(line);
    if (event.kind === "handling-began") {
      if (before !== undefined) violations.push({ check: "handledOneByOne", message: `${who(event)} handled message ${nameOf(event.from, event)} while it was still at ${nameOf(before.from, before)}`, atMs: event.t, evidence: [before, event] });
      atWork.set(line, event);
    } else if (before?.from === event.from && before.message === event.message) atWork.delete(line);
  }
  return violations;
}

/** What one incarnation hears of another one on one topic, in order. */
interface Hearing {
  /** Messages that were sent to it, by number: which of them each is. */
  readonly places: ReadonlyMap<number, number>;
  readonly roomy: boolean;
  /** The place of the last message that was handled; -1: none. */
  place: number;
  last: HandlingBegan | undefined;
  gaps: GapTold[];
}

/**
 * On a topic with order what one member sends to another is handled in the order in which it was sent. A message that is left out is a gap of which the receiver was told at its place, unless it was over before it had a place: that happens only where the sender keeps little.
 */
export function handledInOrder(history: History): Violation[] {
  const violations: Violation[] = [];
  const hearings = new Map<string, Hearing>();
  const places = new Map<string, { numbers: Map<number, number>; roomy: boolean }>();
  const between = (from: string, to: string, topic: string) => `${from} ${to} ${topic}`;
  for (const { sent } of conversationOf(history).messages.values()) {
    if (!sent.ordered || sent.inOneOrder === true) continue;
    for (const to of sent.to) {
      const key = between(sent.incarnation, to, sent.topic);
      let known = places.get(key);
      if (known === undefined) places.set(key, (known = { numbers: new Map(), roomy: sent.roomy }));
      known.numbers.set(sent.message, known.numbers.size);
    }
  }
  for (const event of history.events) {
    if (event.kind !== "handling-began" && event.kind !== "gap-told") continue;
    const key = between(event.from, event.incarnation, event.topic);
    const known = places.get(key);
    if (known === undefined) continue; // no order, or nobody has sent it
    let hearing = hearings.get(key);
    if (hearing === undefined) hearings.set(key, (hearing = { places: known.numbers, roomy: known.roomy, place: -1, last: undefined, gaps: [] }));
    if (event.kind === "gap-told") {
      hearing.gaps.push(event);
      continue;
    }
    const place = hearing.places.get(event.message);
    if (place === undefined) continue;
    const complain = (message: string) => violations.push({ check: "handledInOrder", message: `${who(event)} handled message ${nameOf(event.from, event)} ${message}`, atMs: event.t, evidence: [...(hearing.last === undefined ? [] : [hearing.last]), ...hearing.gaps, event] });
    const skipped = place - hearing.place - 1;
    if (place < hearing.place) complain(`after ${hearing.last?.message}, which was sent later`);
    else if (place > hearing.place && (hearing.gaps.length > skipped || (hearing.roomy && hearing.gaps.length < skipped))) complain(`after ${hearing.last === undefined ? "none" : hearing.last.message}: ${skipped} were left out, and it was told of ${hearing.gaps.length} gaps`);
    hearing.gaps = [];
    hearing.place = Math.max(place, hearing.place);
    hearing.last = event;
  }
  return violations;
}
