import type { History, Quiet } from "../history.ts";
import type { Violation } from "./check.ts";

/** While nothing happens to anybody, nodes beat and do nothing else: nothing is written that grows, and no hint is sent. */
export function idleWritesNothing(history: History): Violation[] {
  const violations: Violation[] = [];
  for (const event of history.events) {
    if (event.kind !== "quiet") continue;
    const found = noise(event);
    if (found.length === 0) continue;
    violations.push({ check: "idleWritesNothing", message: `nothing happened for ${(event.t - event.fromMs).toFixed(0)} ms, and yet there were ${found.join(", ")}`, atMs: event.t, evidence: [event] });
  }
  return violations;
}

function noise({ operations, grew, hints }: Quiet): string[] {
  const others = Object.entries(operations).filter(([operation, count]) => operation !== "beat" && count > 0);
  return [...others.map(([operation, count]) => `${count} × ${operation}`), ...grew.map((name) => `growing ${name}`), ...(hints > 0 ? [`${hints} hints`] : [])];
}
