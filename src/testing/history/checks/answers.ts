import type { Asked, AnsweringBegan, AnsweringEnded } from "../channel-events.ts";
import type { History } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf, nameOf } from "./conversation.ts";

/** Each member works on a request at most once; an answer is that of a handler that had finished; whether the policy is met is as many answers say; and none is waited for beyond its deadline. */
export function answersAreOfHandlers(history: History): Violation[] {
  const violations: Violation[] = [];
  const conversation = conversationOf(history);
  const asked = new Map<string, Asked>();
  const waiting = new Set<Asked>();
  const working = new Map<string, AnsweringBegan>();
  const answers = new Map<string, AnsweringEnded[]>();
  const complain = (event: Asked | AnsweringBegan, message: string, sender = event.incarnation) => violations.push({ check: "answersAreOfHandlers", message: `request ${nameOf(sender, event)}: ${who(event)} ${message}`, atMs: event.t, evidence: [event] });
  for (const event of history.events) {
    if (event.kind === "asked") {
      asked.set(nameOf(event.incarnation, event), event);
      waiting.add(event);
    } else if (event.kind === "answering-began") {
      const name = nameOf(event.from, event);
      if (working.has(`${event.incarnation} ${name}`)) complain(event, "works on it again", event.from);
      working.set(`${event.incarnation} ${name}`, event);
      if (!asked.has(name)) complain(event, "works on it, and nobody has asked", event.from);
    } else if (event.kind === "answering-ended") {
      const name = nameOf(event.from, event);
      answers.set(name, [...(answers.get(name) ?? []), event]);
    } else if (event.kind === "ask-over") {
      const name = nameOf(event.incarnation, event);
      const question = asked.get(name);
      if (question === undefined) continue;
      waiting.delete(question);
      if (event.code !== "") continue;
      const given = answers.get(name) ?? [];
      for (const { target, status, code, answered } of event.replies) {
        if (status === "replied" && (answered?.message !== event.message || !given.some((each) => each.incarnation === answered.by && each.code === ""))) complain(question, `was given an answer at ${target.slice(0, 8)} that nobody has finished`);
        if (status === "failed" && code === "OUT_OF_ORDER" && !given.some((each) => each.code === code)) complain(question, `was told of a failure at ${target.slice(0, 8)} that nobody had`);
      }
      const replied = event.replies.filter(({ status }) => status === "replied").length;
      const needed = question.policy === "first" ? 1 : question.policy === "all" ? question.to.length : Math.floor(question.to.length / 2) + 1;
      if (event.ok !== (replied >= needed)) complain(question, `was told that its policy "${question.policy}" is ${event.ok ? "" : "not "}met, with ${replied} answers of ${question.to.length}`);
      const tookMs = event.t - question.t;
      if (tookMs > question.deadlineMs * 1.01 + 100 && !conversation.paused(event.incarnation, question.t, event.t)) complain(question, `waited ${tookMs.toFixed(0)} ms, with a deadline of ${question.deadlineMs}`);
    }
  }
  for (const question of waiting) if (conversation.isOpen(question.incarnation) && question.t + question.deadlineMs * 1.01 + 100 < conversation.endMs) complain(question, "still waits at the end");
  return violations;
}
