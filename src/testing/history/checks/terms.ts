import type { Announced, Believes, Denies, Granted, History, HistoryEvent, WorkBegan } from "../history.ts";
import { ByTerm } from "./by-term.ts";
import { who } from "./check.ts";
import { doubleFaulted } from "./exception.ts";
import type { Violation } from "./check.ts";

/** Tokens strictly increase in the order of announcement, as long as belief is honest: with clocks beyond the bound a term may be announced late, to somebody whose token is the smaller one. */
export function tokensGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const excepted = doubleFaulted(history);
  const newest = new Map<string, Announced>();
  for (const event of history.events) {
    if (event.kind !== "announced" || !event.mayAct || excepted.has(event.incarnation)) continue;
    const before = newest.get(event.election);
    if (before !== undefined && before.token >= event.token) {
      violations.push({ check: "tokensGrow", message: `token ${event.token} of ${event.election} was announced after ${before.token}`, atMs: event.t, evidence: [before, event] });
    } else {
      newest.set(event.election, event);
    }
  }
  return violations;
}

/** Each token belongs to one incarnation of one process, whatever clocks do. */
export function tokensHaveOneHolder(history: History): Violation[] {
  const violations: Violation[] = [];
  const holders = new ByTerm<HistoryEvent>();
  for (const event of history.events) {
    if (event.kind !== "announced" && event.kind !== "believes" && event.kind !== "wrote") continue;
    const holder = holders.get(event.election, event.token);
    if (holder === undefined) holders.set(event.election, event.token, event);
    else if (holder.incarnation !== event.incarnation || holder.node !== event.node) {
      violations.push({ check: "tokensHaveOneHolder", message: `token ${event.token} of ${event.election} belongs to ${who(holder)} and to ${who(event)}`, atMs: event.t, evidence: [holder, event] });
    }
  }
  for (const row of history.rows) {
    const holder = holders.get(row.election, row.token);
    if (holder !== undefined && holder.incarnation !== row.incarnation) {
      violations.push({ check: "tokensHaveOneHolder", message: `token ${row.token} of ${row.election} belongs to ${who(holder)}, and ${who(row)} wrote with it`, atMs: row.t, evidence: [holder, row] });
    }
  }
  return violations;
}

/** Tokens strictly increase in the order in which the store grants them, also over failovers, and none is granted twice: a claim that was lost with its commit may have been seen. */
export function grantedTokensGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const grants = new ByTerm<Granted>();
  const newest = new Map<string, Granted>();
  for (const event of history.events) {
    if (event.kind !== "granted") continue;
    const { election, token } = event;
    const twice = grants.get(election, token);
    const before = newest.get(election);
    if (twice !== undefined) {
      violations.push({ check: "grantedTokensGrow", message: `token ${token} of ${election} was granted to ${who(twice)} and again to ${who(event)}`, atMs: event.t, evidence: [twice, event] });
    } else if (before !== undefined && before.token > token) {
      violations.push({ check: "grantedTokensGrow", message: `token ${token} of ${election} was granted after ${before.token}`, atMs: event.t, evidence: [before, event] });
    } else {
      newest.set(election, event);
    }
    if (twice === undefined) grants.set(election, token, event);
  }
  return violations;
}

/** When a term is announced, whoever held an earlier one and runs has been told to stop. */
export function signalComesFirst(history: History): Violation[] {
  const excepted = doubleFaulted(history);
  return history.events
    .filter((event) => event.kind === "announced")
    .filter((event) => !excepted.has(event.incarnation))
    .flatMap((event) =>
      (event.unaware ?? []).filter((incarnation) => !excepted.has(incarnation)).map((incarnation) => ({
        check: "signalComesFirst",
        message: `${who(event)} was announced term ${event.token} of ${event.election} while ${incarnation.slice(0, 8)}, which ran and held an earlier one, had not been told to stop`,
        atMs: event.t,
        evidence: [event],
      })),
    );
}

interface Interval {
  readonly first: Believes;
  last: Believes;
}

/** From the first to the last time that a holder believed in its term, no other term of the same election was believed in. */
export function beliefsDoNotOverlap(history: History): Violation[] {
  const intervals: Interval[] = [];
  const byTerm = new ByTerm<Map<string, Interval>>();
  for (const event of history.events) {
    if (event.kind !== "believes") continue;
    let byProcess = byTerm.get(event.election, event.token);
    if (byProcess === undefined) byTerm.set(event.election, event.token, (byProcess = new Map()));
    const interval = byProcess.get(event.process);
    if (interval !== undefined) {
      interval.last = event;
      continue;
    }
    const fresh = { first: event, last: event };
    byProcess.set(event.process, fresh);
    intervals.push(fresh);
  }
  const violations: Violation[] = [];
  const latest = new Map<string, Interval>();
  const excepted = doubleFaulted(history);
  for (const interval of intervals.sort((a, b) => a.first.t - b.first.t)) {
    const { election } = interval.first;
    const before = latest.get(election);
    if (before !== undefined && before.last.t >= interval.first.t && !excepted.has(before.first.incarnation) && !excepted.has(interval.first.incarnation)) {
      const overlapMs = Math.min(before.last.t, interval.last.t) - interval.first.t;
      violations.push({
        check: "beliefsDoNotOverlap",
        message: `${who(before.first)} believed in term ${before.first.token} of ${election}, and ${who(interval.first)} in ${interval.first.token}, for ${overlapMs.toFixed(1)} ms`,
        atMs: interval.first.t,
        evidence: [before.first, before.last, interval.first, interval.last],
      });
    }
    if (before === undefined || interval.last.t > before.last.t) latest.set(election, interval);
  }
  return violations;
}

/** Once a holder has found that it may not act in a term it never may again: what revives a belief is a reply that came too late. */
export function beliefNeverReturns(history: History): Violation[] {
  const violations: Violation[] = [];
  const denials = new ByTerm<Map<string, Denies>>();
  for (const event of history.events) {
    if (event.kind === "denies") {
      const byProcess = denials.get(event.election, event.token);
      if (byProcess === undefined) denials.set(event.election, event.token, new Map([[event.process, event]]));
      else if (!byProcess.has(event.process)) byProcess.set(event.process, event);
    } else if (event.kind === "believes") {
      const byProcess = denials.get(event.election, event.token);
      const denial = byProcess?.get(event.process);
      if (denial === undefined) continue;
      byProcess?.delete(event.process); // once is enough
      const message = `${who(event)} believed in term ${event.token} of ${event.election} again, ${(event.t - denial.t).toFixed(1)} ms after it had found that it may not act`;
      violations.push({ check: "beliefNeverReturns", message, atMs: event.t, evidence: [denial, event] });
    }
  }
  return violations;
}

/** In one process no callback of `lead` begins before the last one of the same election has settled. */
export function workNeverOverlaps(history: History): Violation[] {
  const violations: Violation[] = [];
  const processes = new Map<string, Map<string, WorkBegan[]>>();
  for (const event of history.events) {
    if (event.kind === "started") processes.delete(event.process); // another run under the same name
    if (event.kind !== "work-began" && event.kind !== "work-settled") continue;
    let elections = processes.get(event.process);
    if (elections === undefined) processes.set(event.process, (elections = new Map()));
    const open = elections.get(event.election) ?? [];
    if (event.kind === "work-settled") {
      elections.set(event.election, open.filter((began) => began.token !== event.token));
      continue;
    }
    const before = open.at(-1);
    if (before !== undefined) {
      violations.push({
        check: "workNeverOverlaps",
        message: `the work of term ${event.token} of ${event.election} began in ${who(event)} while that of term ${before.token} had not settled`,
        atMs: event.t,
        evidence: [before, event],
      });
    }
    elections.set(event.election, [...open, event]);
  }
  return violations;
}
