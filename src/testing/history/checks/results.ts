import type { TargetResult } from "../channel-events.ts";
import type { History } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf, nameOf } from "./conversation.ts";
import type { Conversation, Conveyed } from "./conversation.ts";

/** What a timer may be late by, with clocks that run at other rates. */
const LATE = { ms: 100, share: 0.01 };

/** After the end of all faults every pair of members is connected again within this, whatever pauses and patience had grown to. */
const RECONNECTED_MS = 20_000;

/** A message with less time than this may fail because handlers before it take theirs. */
const UNHURRIED_MS = 5_000;

/** Handlers that were at work for this share of a time had no room for more: the rest is the way from one to the next. */
const BUSY = 0.95;

/** When a channel is stopped, what is awaited is answered within this. */
const STOPPED_MS = 2_000;

/** What was told `delivered` was handled to its end before; what was told to have failed in the handler did. */
export function acknowledgedIsHandled(history: History): Violation[] {
  return judge(history, "acknowledgedIsHandled", ({ sent, over, ended }) => {
    const complaints: string[] = [];
    for (const { target, status, code } of over?.results ?? []) {
      const end = ended.get(target);
      const isBefore = end !== undefined && end.t <= (over?.t ?? 0);
      if (status === "delivered" && !(isBefore && end.code === "")) complaints.push(`was told delivered at ${short(target)}, which ${end === undefined ? "never finished with it" : isBefore ? `failed with ${end.code}` : "had not finished with it"}`);
      if (status === "failed" && code === HANDLER_CODE && !(isBefore && end.code === code)) complaints.push(`was told failed at ${short(target)}, whose handler ${end === undefined ? "never finished" : "did not fail"}`);
    }
    if (over?.code === "" && over.ok !== (sent.mode === "ack" && sent.missing.length === 0 && over.results.every(({ status }) => status === "delivered"))) complaints.push(`is ${over.ok ? "" : "not "}ok with ${describe(over.results)}`);
    return complaints;
  });
}

/** What handlers of these runs throw. */
const HANDLER_CODE = "OUT_OF_ORDER";

/** Of a message whose outcome is awaited there is exactly one result for each target, and for each node that is none; `left` only of who has left the view, or when the channel was stopped. */
export function everyTargetHasAResult(history: History): Violation[] {
  return judge(history, "everyTargetHasAResult", ({ sent, over }, conversation) => {
    if (over === undefined || over.code !== "") return [];
    const complaints: string[] = [];
    const wanted = [...(sent.mode === "ack" ? sent.to : []), ...sent.missing].sort();
    const told = over.results.map(({ target }) => target).sort();
    if (wanted.join() !== told.join()) complaints.push(`has results of ${told.map(short).join(", ") || "nobody"}, where it was for ${wanted.map(short).join(", ") || "nobody"}`);
    const isStopped = (conversation.speakers.get(sent.incarnation)?.closedMs ?? 0) <= over.t;
    const members = conversation.viewOf(sent.incarnation, over.t)?.members ?? [];
    for (const { target, status } of over.results) {
      if (status === "left" && !isStopped && members.some(({ incarnation }) => incarnation === target)) complaints.push(`was told that ${short(target)} has left, which is a member`);
    }
    return complaints;
  });
}

/** Every wait ends: by the deadline, with the view in which a target is no member any more, or when the channel is stopped; none is left over at the end of a history, but for what is still in a line, in one order of all, that is longer than its members could work off. */
export function waitsEnd(history: History): Violation[] {
  return judge(history, "waitsEnd", (message, conversation) => {
    const { sent, over, ended } = message;
    const { incarnation, t, deadlineMs } = sent;
    const speaker = conversation.speakers.get(incarnation);
    if (speaker === undefined) return [];
    if (over === undefined) {
      const dueMs = speaker.closedMs === Number.POSITIVE_INFINITY ? t + LATE.ms : speaker.closedMs + STOPPED_MS;
      const runs = speaker.goneMs > dueMs && !conversation.paused(incarnation, t, dueMs);
      const isInLine = t + deadlineMs * (1 + LATE.share) + LATE.ms > conversation.endMs && sent.to.some((target) => !ended.has(target) && conversation.stayTogether(incarnation, target)) && isOverrun(message, conversation, Math.max(t, conversation.calmMs + RECONNECTED_MS), conversation.endMs);
      if (isInLine) return [];
      return runs && dueMs < conversation.endMs ? [`is still waited for at the end, ${(conversation.endMs - t).toFixed(0)} ms later`] : [];
    }
    const complaints: string[] = [];
    const tookMs = over.t - t;
    if (tookMs > deadlineMs * (1 + LATE.share) + LATE.ms && !conversation.paused(incarnation, t, over.t)) complaints.push(`was waited for ${tookMs.toFixed(0)} ms, with a deadline of ${deadlineMs}`);
    for (const { target, status } of over.results) {
      const gone = target === incarnation ? undefined : speaker.views.find((view) => view.t > t && !view.members.some((member) => member.incarnation === target));
      if (status === "timeout" && gone !== undefined && gone.t < Math.min(over.t, t + deadlineMs * (1 - LATE.share)) - LATE.ms) complaints.push(`was told timeout at ${short(target)}, which had left with view ${gone.version} long before`);
    }
    return complaints;
  });
}

/**
 * When all faults are over, what members send to each other is handled within its deadline, and the sender of what was handled, also long before, hears of it. What is not handled, whenever it was sent, was told to its sender.
 */
export function messagesArrive(history: History): Violation[] {
  const conversation = conversationOf(history);
  const wellMs = conversation.calmMs + RECONNECTED_MS;
  const untold = new Map<string, Conveyed[]>();
  const late = judge(history, "messagesArrive", (message) => {
    const { sent, over, began } = message;
    const dueMs = sent.t + sent.deadlineMs;
    return sent.to.flatMap((target) => {
      if (dueMs * (1 + LATE.share) + LATE.ms > conversation.endMs || !conversation.stayTogether(sent.incarnation, target)) return [];
      const handled = began.get(target);
      // In one order of all the sender hears what has no place; whoever lacks what has one hears of a gap.
      if (handled === undefined && sent.mode === "async" && over?.code === "" && (sent.inOneOrder !== true || (target === sent.incarnation && !conversation.missed(target, sent.topic, sent.t)))) {
        const key = `${sent.incarnation} ${target} ${sent.topic}`;
        untold.set(key, [...(untold.get(key) ?? []), message]);
      }
      const end = message.ended.get(target);
      if (end !== undefined && Math.max(end.t, conversation.calmMs) + RECONNECTED_MS < Math.min(dueMs, conversation.endMs) && over?.results.some((result) => result.target === target && result.status === "timeout") === true) return [`was handled by ${short(target)} long before its deadline, and the sender was told timeout`];
      const isTold = over?.results.some((result) => result.target === target && result.status !== "delivered") === true;
      if (sent.mode === "ack" && handled === undefined && over?.code === "" && !isTold) return [`was not handled by ${short(target)}, and the sender was not told`];
      if (sent.t < wellMs || sent.deadlineMs < UNHURRIED_MS || !sent.roomy) return [];
      if (isOverrun(message, conversation, sent.t, dueMs)) return [];
      return handled === undefined ? [`was not handled by ${short(target)}, though all is well`] : [];
    });
  });
  for (const event of history.events) if (event.kind === "undelivered") untold.get(`${event.incarnation} ${event.to} ${event.topic}`)?.shift();
  const lost = [...untold.values()].flat().map(({ sent }) => ({ check: "messagesArrive", message: `message ${nameOf(sent.incarnation, sent)} of ${who(sent)} was not handled by all, and the sender was not told`, atMs: sent.t, evidence: [sent] }));
  return [...late, ...lost];
}

/** One order of all is as slow as the slowest of its members: what is sent faster than that one works is too late behind the rest. A line that stands still while nobody works on it is no excuse. */
function isOverrun({ sent }: Conveyed, conversation: Conversation, fromMs: number, toMs: number): boolean {
  if (sent.inOneOrder !== true || fromMs >= toMs) return false;
  const members = conversation.viewOf(sent.incarnation, toMs)?.members ?? [];
  return members.some(({ incarnation }) => conversation.busy(incarnation, sent.topic, fromMs, toMs) >= BUSY);
}

function judge(history: History, check: string, complaintsOf: (message: Conveyed, conversation: Conversation) => readonly string[]): Violation[] {
  const conversation = conversationOf(history);
  return [...conversation.messages.values()].flatMap((message) => {
    const { sent, over, ended } = message;
    return complaintsOf(message, conversation).map((complaint): Violation => ({ check, message: `message ${nameOf(sent.incarnation, sent)} of ${who(sent)} ${complaint}`, atMs: over?.t ?? sent.t, evidence: [sent, ...ended.values(), ...(over === undefined ? [] : [over])] }));
  });
}

function describe(results: readonly TargetResult[]): string {
  return results.map(({ target, status }) => `${short(target)} ${status}`).join(", ") || "no results";
}

function short(target: string): string {
  return target.slice(0, 8);
}
