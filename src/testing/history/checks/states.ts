import type { History } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { conversationOf } from "./conversation.ts";

/** After the end of all faults a member has its state within this. */
const OBTAINED_MS = 30_000;

/** Who joins is given every entry of a state, each once, whoever of the givers dies or is slow meanwhile; and in the end everybody has it. */
export function stateGivenOnce(history: History): Violation[] {
  const violations: Violation[] = [];
  const conversation = conversationOf(history);
  const waiting = new Map<string, History["events"][number]>();
  for (const event of history.events) {
    if (event.kind === "state-began") waiting.set(event.incarnation, event);
    if (event.kind !== "state-obtained" || event.code !== "") continue;
    waiting.delete(event.incarnation);
    if (event.missing > 0 || event.repeated > 0) violations.push({ check: "stateGivenOnce", message: `${who(event)} was given a state of ${event.entries} entries by ${event.from.join(", ")}: ${event.missing} did not come, ${event.repeated} came again`, atMs: event.t, evidence: [event] });
  }
  for (const [incarnation, event] of waiting) {
    if (!conversation.isOpen(incarnation) || Math.max(event.t, conversation.calmMs) + OBTAINED_MS > conversation.endMs) continue;
    violations.push({ check: "stateGivenOnce", message: `${who(event)} has no state to the end`, atMs: event.t, evidence: [event] });
  }
  return violations;
}
