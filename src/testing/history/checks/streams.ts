import type { GivingBegan, GivingEnded, StreamAsked, StreamItem, StreamOver } from "../channel-events.ts";
import type { History, HistoryEvent } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf, nameOf } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";

/** After the end of all faults every pair of members is connected again within this. */
const RECONNECTED_MS = 20_000;

/** A stream with less time than this may come to its deadline though all is well. */
const UNHURRIED_MS = 8_000;

/** What handlers of these runs throw. */
const HANDLER_CODE = "OUT_OF_ORDER";

interface Streamed {
  readonly asked: StreamAsked;
  readonly items: StreamItem[];
  over: StreamOver | undefined;
  readonly began: GivingBegan[];
  readonly ended: GivingEnded[];
}

/**
 * The replies of a stream come once each, in order, from one member; its end comes after the last of them, and so does what breaks it; no more are given than there is room for. Each member gives it at most once, and stops when nobody takes it any more. It is over by its deadline, or with the view in which its giver is no member; and when all faults are over, streams come to their end.
 */
export function streamsAreWhole(history: History): Violation[] {
  const conversation = conversationOf(history);
  const violations: Violation[] = [];
  for (const stream of streamsOf(history).values()) {
    const { asked, items, over, began, ended } = stream;
    for (const complaint of complaintsAbout(stream, conversation)) {
      const evidence: HistoryEvent[] = [asked, ...began, ...items.slice(-2), ...ended, ...(over === undefined ? [] : [over])];
      violations.push({ check: "streamsAreWhole", message: `stream ${nameOf(asked.incarnation, asked)} of ${who(asked)} ${complaint}`, atMs: over?.t ?? asked.t, evidence });
    }
  }
  return violations;
}

function streamsOf({ events }: History): Map<string, Streamed> {
  const streams = new Map<string, Streamed>();
  for (const event of events) {
    if (event.kind === "stream-asked") streams.set(nameOf(event.incarnation, event), { asked: event, items: [], over: undefined, began: [], ended: [] });
    else if (event.kind === "stream-item") streams.get(nameOf(event.incarnation, event))?.items.push(event);
    else if (event.kind === "giving-began") streams.get(nameOf(event.from, event))?.began.push(event);
    else if (event.kind === "giving-ended") streams.get(nameOf(event.from, event))?.ended.push(event);
    else if (event.kind === "stream-over") {
      const stream = streams.get(nameOf(event.incarnation, event));
      if (stream !== undefined) stream.over = event;
    }
  }
  return streams;
}

function complaintsAbout(stream: Streamed, conversation: Conversation): string[] {
  return [...wholeness(stream), ...ending(stream, conversation), ...waiting(stream, conversation)];
}

function wholeness({ asked, items, began, ended }: Streamed): string[] {
  const complaints: string[] = [];
  const wrong = items.find(({ number, by }, index) => number !== index + 1 || by !== items[0]?.by);
  if (wrong !== undefined) complaints.push(`got reply ${wrong.number} of ${wrong.by.slice(0, 8)} after ${items.indexOf(wrong)} of ${items[0]?.by.slice(0, 8)}`);
  const givers = began.map(({ incarnation }) => incarnation);
  if (new Set(givers).size < givers.length) complaints.push("was given twice by one member");
  for (const { incarnation, given, t } of ended) {
    const taken = items.filter((item) => item.by === incarnation && item.t <= t).length;
    if (given > taken + asked.window) complaints.push(`was given ${given} replies when ${taken} were taken, with room for ${asked.window}`);
  }
  return complaints;
}

function ending({ asked, items, over, ended }: Streamed, conversation: Conversation): string[] {
  if (over === undefined) return [];
  const by = items[0]?.by;
  const whole = (how: GivingEnded["how"]) => ended.some((end) => end.how === how && end.t <= over.t && end.given === items.length && (by === undefined || end.incarnation === by));
  if (over.how === "end") return whole("all") ? [] : [`came to its end after ${items.length} replies, which nobody gave for all`];
  if (over.how !== "broken") return [];
  const { status, code } = over;
  if (status === "failed" && code === HANDLER_CODE) return whole("threw") ? [] : [`was told of a failure after ${items.length} replies, where nobody failed`];
  if (status === "left") {
    const giver = by ?? asked.to;
    const isStopped = (conversation.speakers.get(asked.incarnation)?.closedMs ?? 0) <= over.t;
    const isMember = conversation.viewOf(asked.incarnation, over.t)?.members.some(({ incarnation }) => incarnation === giver) === true;
    // Without a reply it may be somebody else, whom it was sent on to.
    return by !== undefined && isMember && !isStopped ? [`was told that ${giver.slice(0, 8)} has left, which is a member`] : [];
  }
  const isWell = asked.t > conversation.calmMs + RECONNECTED_MS && asked.deadlineMs >= UNHURRIED_MS && conversation.stayTogether(asked.incarnation, by ?? asked.to);
  return isWell && (status === "timeout" || code === "PEER_UNREACHABLE") ? [`broke with ${code || status}, though all is well`] : [];
}

function waiting({ asked, items, over, began, ended }: Streamed, conversation: Conversation): string[] {
  const { incarnation, t, deadlineMs } = asked;
  const dueMs = t + deadlineMs * 1.01 + 100;
  const speaker = conversation.speakers.get(incarnation);
  if (over === undefined) return conversation.isOpen(incarnation) && dueMs < conversation.endMs && !conversation.paused(incarnation, t, dueMs) ? ["is still waited for at the end"] : [];
  const complaints: string[] = [];
  if (over.t > dueMs + LONGEST_TAKING_MS && !conversation.paused(incarnation, t, over.t)) complaints.push(`was over after ${(over.t - t).toFixed(0)} ms, with a deadline of ${deadlineMs}`);
  const by = items[0]?.by;
  const gone = by === undefined || by === incarnation ? undefined : speaker?.views.find((view) => view.t > t && !view.members.some((member) => member.incarnation === by));
  if (over.status === "timeout" && gone !== undefined && gone.t < Math.min(over.t - LONGEST_TAKING_MS, t + deadlineMs * 0.99) - 100) complaints.push(`was waited for to its deadline, though its giver had left with view ${gone.version}`);
  for (const { incarnation: giver } of began) {
    if (ended.some((end) => end.incarnation === giver) || !conversation.isOpen(giver) || !conversation.stayTogether(incarnation, giver)) continue;
    if (Math.max(over.t, conversation.calmMs) + RECONNECTED_MS < conversation.endMs) complaints.push(`is still given by ${giver.slice(0, 8)} at the end`);
  }
  return complaints;
}

/** How long it may take to take what had come by the deadline. */
const LONGEST_TAKING_MS = 5_000;
