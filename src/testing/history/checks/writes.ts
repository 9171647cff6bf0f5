import { bisect } from "../bisect.ts";
import type { Announced, FencedRow, History } from "../history.ts";
import { ByTerm } from "./by-term.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";

/**
 * In the order of commits no row of an older token comes after one of a newer token. The sequence number is such an order, since it is drawn while the fence is
 * held; the server's own order of commits, where it is known, also catches a fence that is not held until the commit. Where a simulation knows when each row was committed
 * and lost, that is the order, and a row that a failover took away counts until then. No row has a token that was never announced.
 */
export function fencedRowsInOrder(history: History): Violation[] {
  const bySequence = history.rows.filter((row) => row.committedMs === undefined).sort((a, b) => a.sequence - b.sequence);
  const violations = [...outOfOrderInTable(history.rows.filter((row) => row.committedMs !== undefined)), ...outOfOrder(bySequence, "sequence")];
  if (bySequence.length > 0 && bySequence.every((row) => row.committedAt !== undefined)) {
    // Two commits may fall into one microsecond of the server's clock.
    const byCommit = [...bySequence].sort((a, b) => (a.committedAt ?? 0) - (b.committedAt ?? 0) || a.token - b.token);
    violations.push(...outOfOrder(byCommit, "commit"));
  }
  const announced = new ByTerm<true>();
  for (const event of history.events) if (event.kind === "announced") announced.set(event.election, event.token, true);
  for (const row of history.rows) {
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
    else violations.push(comesAfter(row, before, order));
  }
  return violations;
}

/** Each row is compared with what the table had at its commit. */
function outOfOrderInTable(rows: readonly FencedRow[]): Violation[] {
  const violations: Violation[] = [];
  /** By election, in the order of tokens. */
  const table = new Map<string, FencedRow[]>();
  for (const row of inOrderOfCommits(rows)) {
    let there = table.get(row.election);
    if (there === undefined) table.set(row.election, (there = []));
    let newest = there.at(-1);
    while (newest !== undefined && lostMs(newest) <= committedMs(row)) {
      there.pop();
      newest = there.at(-1);
    }
    if (newest === undefined || row.token >= newest.token) {
      there.push(row);
    } else {
      violations.push(comesAfter(row, newest, "commit"));
      there.splice(bisect(there, (other) => other.token > row.token), 0, row);
    }
  }
  return violations;
}

function comesAfter(row: FencedRow, before: FencedRow, order: "sequence" | "commit"): Violation {
  return {
    check: "fencedRowsInOrder",
    message: `in order of ${order}, a row of token ${row.token} (${who(row)}) of ${row.election} comes after one of token ${before.token} (${who(before)})`,
    atMs: row.t,
    evidence: [before, row],
  };
}

/**
 * What a term writes is committed before any later term is announced: a term that is announced has passed the fence, and the fence has waited for it. A later term that passed the fence in what
 * a failover took away, or may have, holds nobody back; where the order of commits is not known, neither is this.
 */
export function writesPrecedeTheNextTerm(history: History): Violation[] {
  const violations: Violation[] = [];
  const rows = inOrderOfCommits(history.rows.filter((row) => row.committedMs !== undefined));
  /** By election, in the order of time; each with the greatest token so far. */
  const announced = new Map<string, Announced[]>();
  let next = 0;
  const judge = (untilMs: number) => {
    for (let row = rows[next]; row !== undefined && committedMs(row) <= untilMs; row = rows[++next]) {
      const later = announced.get(row.election)?.at(-1);
      if (later === undefined || later.token <= row.token) continue;
      const message = `${who(row)} wrote with token ${row.token} of ${row.election} ${(committedMs(row) - later.t).toFixed(1)} ms after term ${later.token} had been announced to ${who(later)}`;
      violations.push({ check: "writesPrecedeTheNextTerm", message, atMs: committedMs(row), evidence: [later, row] });
    }
  };
  const grantedMs = new ByTerm<number>();
  let failedOverMs = Number.NEGATIVE_INFINITY;
  for (const event of history.events) {
    if (event.kind === "granted") grantedMs.set(event.election, event.token, event.t);
    if (event.kind !== "announced" && event.kind !== "failed-over") continue;
    judge(event.t);
    if (event.kind === "failed-over") {
      failedOverMs = event.t;
      for (const [election, terms] of announced) announced.set(election, terms.slice(0, bisect(terms, (term) => term.t > event.lostSinceMs)));
      continue;
    }
    if ((grantedMs.get(event.election, event.token) ?? event.t) <= failedOverMs) continue; // the answer that it has passed was on its way when the server died
    const terms = announced.get(event.election);
    if (terms === undefined) announced.set(event.election, [event]);
    else if ((terms.at(-1)?.token ?? 0) < event.token) terms.push(event);
  }
  judge(Number.POSITIVE_INFINITY);
  return violations;
}

/**
 * What was answered as committed was written, what was answered as refused was not, and nothing was written twice. A row that a failover took away was written all the same; only after
 * that may the same write be there again.
 */
export function writesAnsweredHonestly(history: History): Violation[] {
  const violations: Violation[] = [];
  const rows = new Map<string, FencedRow>();
  for (const row of inOrderOfCommits(history.rows)) {
    const before = rows.get(row.write);
    if (before !== undefined && lostMs(before) > committedMs(row)) {
      violations.push({ check: "writesAnsweredHonestly", message: `write ${row.write} is in the table twice`, atMs: row.t, evidence: [before, row] });
      if (lostMs(before) > lostMs(row)) continue; // the next one is compared with the one that stays
    }
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

// Sequence numbers may be drawn again after a failover: they only order what is committed at one moment.
function inOrderOfCommits(rows: readonly FencedRow[]): FencedRow[] {
  return [...rows].sort((a, b) => committedMs(a) - committedMs(b) || a.sequence - b.sequence);
}

/** Where nobody knows when rows were committed, all are from one moment, and in the order of their sequence numbers. */
function committedMs(row: FencedRow): number {
  return row.committedMs ?? 0;
}

function lostMs(row: FencedRow): number {
  return row.lostMs ?? Number.POSITIVE_INFINITY;
}
