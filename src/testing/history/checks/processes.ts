import type { History } from "../history.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";

/** No process ended that was neither killed nor asked to. */
export function noUnexpectedExit(history: History): Violation[] {
  return history.events
    .filter((event) => event.kind === "exited")
    .filter((event) => !event.expected)
    .map((event) => ({ check: "noUnexpectedExit", message: `${event.process} ended by itself, with ${event.signal ?? `code ${event.code}`}`, atMs: event.t, evidence: [event] }));
}

/** No process reported an error that means a bug. */
export function noInternalError(history: History): Violation[] {
  return history.events
    .filter((event) => event.kind === "told")
    .filter((event) => event.code === "INTERNAL" || event.code === "LISTENER_FAILED")
    .map((event) => ({ check: "noInternalError", message: `${who(event)} reported ${event.code}: ${event.detail}`, atMs: event.t, evidence: [event] }));
}
