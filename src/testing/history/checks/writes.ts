import type { FencedRow, History } from "../history.ts";
import { ByTerm } from "./by-term.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";

/**
 * In the order of commits no row of an older token comes after one of a newer token. The sequence number is such an order, since it is drawn while the fence is
 * held; the server's own order of commits, where it is known, also catches a fence that is not held until the commit.
 */
export function fencedRowsInOrder(history: History): Violation[] {
  const bySequence = [...history.rows].sort((a, b) => a.sequence - b.sequence);
  const violations = outOfOrder(bySequence, "sequence");
  if (history.rows.length > 0 && history.rows.every((row) => row.committedAt !== undefined)) {
    // Two commits may fall into one microsecond of the server's clock.
    const byCommit = [...bySequence].sort((a, b) => (a.committedAt ?? 0) - (b.committedAt ?? 0) || a.token - b.token);
    violations.push(...outOfOrder(byCommit, "commit"));
  }
  const announced = new ByTerm<true>();
  for (const event of history.events) if (event.kind === "announced") announced.set(event.election, event.token, true);
  for (const row of bySequence) {
    if (announced.get(row.election, row.token) === true) continue;
    violations.push({ check: "fencedRowsInOrder", message: `${who(row)} wrote with token ${row.token} of ${row.election}, which was never announced`, atMs: row.t, evidence: [row] });
  }
  return violations;
}

function outOfOrder(rows: readonly FencedRow[], order: "sequence" | "commit"): Violation[] {
  const violations: Violation[] = [];
  const newest = new Map<string, FencedRow>();
  for (const row of rows) {
    const before = newest.get(row.election);
    if (before === undefined || row.token >= before.token) newest.set(row.election, row);
    else {
      violations.push({
        check: "fencedRowsInOrder",
        message: `in order of ${order}, a row of token ${row.token} (${who(row)}) of ${row.election} comes after one of token ${before.token} (${who(before)})`,
        atMs: row.t,
        evidence: [before, row],
      });
    }
  }
  return violations;
}

/** What was answered as committed is in the table, what was answered as refused is not, and nothing is there twice. */
export function writesAnsweredHonestly(history: History): Violation[] {
  const violations: Violation[] = [];
  const rows = new Map<string, FencedRow>();
  for (const row of history.rows) {
    const twice = rows.get(row.write);
    if (twice !== undefined) violations.push({ check: "writesAnsweredHonestly", message: `write ${row.write} is in the table twice`, atMs: row.t, evidence: [twice, row] });
    rows.set(row.write, row);
  }
  for (const event of history.events) {
    if (event.kind !== "wrote") continue;
    const row = rows.get(event.write);
    if (event.outcome === "committed" && row === undefined) {
      violations.push({ check: "writesAnsweredHonestly", message: `write ${event.write} of ${who(event)} was answered as committed and is not in the table`, atMs: event.t, evidence: [event] });
    } else if (event.outcome === "refused" && row !== undefined) {
      violations.push({ check: "writesAnsweredHonestly", message: `write ${event.write} of ${who(event)} was refused with ${event.code} and is in the table`, atMs: event.t, evidence: [event, row] });
    }
  }
  return violations;
}
