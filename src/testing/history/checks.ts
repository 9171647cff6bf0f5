import type { Announced, Believes, FencedRow, History, HistoryEvent, Viewed } from "./history.ts";
import { COORDINATOR_OFFICE, gaps } from "./reigns.ts";
import type { Gap } from "./reigns.ts";
import { cuts, outages, pauses } from "./spans.ts";
import type { Span } from "./spans.ts";

/** What a history is judged by. */
export interface CheckConfig {
  readonly leaseMs: number;
  readonly beatMs: number;
  /** What liveness is allowed on top of one lease and two beats. Default 1000. */
  readonly slackMs?: number;
}

/** A promise that a history breaks. */
export interface Violation {
  /** The name of the check, as in {@link CHECKS}. */
  readonly check: string;
  readonly message: string;
  /** When, on the history's clock. */
  readonly atMs: number;
  /** The events and rows that show it. */
  readonly evidence: readonly (HistoryEvent | FencedRow)[];
}

/** One promise, as a pure function from a history to what broke it. */
export type Check = (history: History, config: CheckConfig) => Violation[];

/** All checks by name; each stands for one promise. */
export const CHECKS = {
  tokensGrow,
  beliefsDoNotOverlap,
  fencedRowsInOrder,
  writesAnsweredHonestly,
  viewsAgree,
  viewsGrow,
  deadNeverActs,
  runningIsNotDeclaredDead,
  noUnexpectedExit,
  noInternalError,
  leaderReturns,
  coordinatorReturns,
  deadLeaveTheView,
} as const satisfies Record<string, Check>;

/** Runs all checks. */
export function checkHistory(history: History, config: CheckConfig): Violation[] {
  return Object.values(CHECKS)
    .flatMap((check) => check(history, config))
    .sort((a, b) => a.atMs - b.atMs);
}

/** How long an office may stay empty once the store is there: one lease, two beats, and the slack. */
export function takeoverBoundMs(config: CheckConfig): number {
  return config.leaseMs + 2 * config.beatMs + (config.slackMs ?? 1_000);
}

// ---- safety

/** Tokens strictly increase in the order of announcement, and each belongs to one incarnation of one process. */
export function tokensGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const owners = new Map<string, HistoryEvent | FencedRow>();
  const newest = new Map<string, Announced>();
  for (const event of history.events) {
    if (event.kind !== "announced" && event.kind !== "believes" && event.kind !== "wrote") continue;
    const key = `${event.election} ${event.token}`;
    const owner = owners.get(key);
    if (owner === undefined) owners.set(key, event);
    else if (owner.incarnation !== event.incarnation || owner.node !== event.node) {
      violations.push({ check: "tokensGrow", message: `token ${event.token} of ${event.election} belongs to ${who(owner)} and to ${who(event)}`, atMs: event.t, evidence: [owner, event] });
    }
    if (event.kind !== "announced" || !event.mayAct) continue;
    const before = newest.get(event.election);
    if (before !== undefined && before.token >= event.token) {
      violations.push({ check: "tokensGrow", message: `token ${event.token} of ${event.election} was announced after ${before.token}`, atMs: event.t, evidence: [before, event] });
    } else {
      newest.set(event.election, event);
    }
  }
  for (const row of history.rows) {
    const owner = owners.get(`${row.election} ${row.token}`);
    if (owner !== undefined && owner.incarnation !== row.incarnation) {
      violations.push({ check: "tokensGrow", message: `token ${row.token} of ${row.election} belongs to ${who(owner)}, and ${who(row)} wrote with it`, atMs: row.t, evidence: [owner, row] });
    }
  }
  return violations;
}

/** From the first to the last time that a holder believed in its term, no other term of the same election was believed in. */
export function beliefsDoNotOverlap(history: History): Violation[] {
  const intervals = new Map<string, { first: Believes; last: Believes }>();
  for (const event of history.events) {
    if (event.kind !== "believes") continue;
    const key = `${event.election} ${event.token} ${event.process}`;
    const interval = intervals.get(key);
    if (interval === undefined) intervals.set(key, { first: event, last: event });
    else interval.last = event;
  }
  const violations: Violation[] = [];
  const latest = new Map<string, { first: Believes; last: Believes }>();
  for (const interval of [...intervals.values()].sort((a, b) => a.first.t - b.first.t)) {
    const { election } = interval.first;
    const before = latest.get(election);
    if (before !== undefined && before.last.t >= interval.first.t) {
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
  const announced = new Set(history.events.filter((event) => event.kind === "announced").map((event) => `${event.election} ${event.token}`));
  for (const row of bySequence) {
    if (announced.has(`${row.election} ${row.token}`)) continue;
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

/** A view's number stands for one list of members, in all processes. */
export function viewsAgree(history: History): Violation[] {
  const violations: Violation[] = [];
  const seen = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view") continue;
    const first = seen.get(event.version);
    if (first === undefined) seen.set(event.version, event);
    else if (content(first) !== content(event)) {
      violations.push({ check: "viewsAgree", message: `view ${event.version} is one thing to ${who(first)} and another to ${who(event)}`, atMs: event.t, evidence: [first, event] });
    }
  }
  return violations;
}

function content(view: Viewed): string {
  return JSON.stringify([view.members.map((member) => [member.node, member.incarnation, member.metadata]), view.coordinator]);
}

/** In each process view numbers strictly increase, `skipped` tells whether any were missed, and an incarnation that has left a view is in no later one. */
export function viewsGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const last = new Map<string, Viewed>();
  const all = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view") continue;
    if (!all.has(event.version)) all.set(event.version, event);
    const before = last.get(event.process);
    last.set(event.process, event);
    if (before === undefined) continue;
    if (event.version <= before.version) {
      violations.push({ check: "viewsGrow", message: `${who(event)} was given view ${event.version} after view ${before.version}`, atMs: event.t, evidence: [before, event] });
    } else if (event.skipped !== event.version > before.version + 1) {
      const words = event.skipped ? "is marked as skipping" : "is not marked as skipping";
      violations.push({ check: "viewsGrow", message: `view ${event.version} after view ${before.version} ${words} in ${who(event)}`, atMs: event.t, evidence: [before, event] });
    }
  }
  const gone = new Map<string, Viewed>();
  let present = new Set<string>();
  for (const [, view] of [...all].sort(([a], [b]) => a - b)) {
    const now = new Set(view.members.map((member) => member.incarnation));
    for (const incarnation of present) if (!now.has(incarnation)) gone.set(incarnation, view);
    for (const incarnation of now) {
      const left = gone.get(incarnation);
      if (left === undefined) continue;
      gone.delete(incarnation); // once is enough
      violations.push({ check: "viewsGrow", message: `incarnation ${incarnation} left with view ${left.version} and is back in view ${view.version}`, atMs: view.t, evidence: [left, view] });
    }
    present = now;
  }
  return violations;
}

/** An incarnation that was declared dead believes in nothing and is announced nothing from then on. */
export function deadNeverActs(history: History): Violation[] {
  const violations: Violation[] = [];
  const deaths = new Map<string, HistoryEvent>();
  for (const event of history.events) {
    if (event.kind === "declared-dead") {
      if (!deaths.has(event.dead)) deaths.set(event.dead, event);
      continue;
    }
    if (event.kind !== "believes" && !(event.kind === "announced" && event.mayAct) && event.kind !== "joined") continue;
    const death = deaths.get(event.incarnation);
    if (death === undefined) continue;
    const did = event.kind === "believes" ? `believed in term ${event.token} of ${event.election}` : event.kind === "announced" ? `was announced term ${event.token} of ${event.election}` : "was a member";
    violations.push({ check: "deadNeverActs", message: `${who(event)} ${did} ${(event.t - death.t).toFixed(1)} ms after it was declared dead`, atMs: event.t, evidence: [death, event] });
    deaths.delete(event.incarnation); // once is enough
  }
  return violations;
}

/**
 * A process that ran is not declared dead: slow is not dead, and an outage removes nobody. Whoever was stopped, blocked or cut off within the last two leases is excepted; it may
 * deserve it. So is whoever ended, or knew that its own trust had lapsed.
 */
export function runningIsNotDeclaredDead(history: History, config: CheckConfig): Violation[] {
  const endMs = history.events.at(-1)?.t ?? 0;
  const processes = new Map(history.events.filter((event) => event.incarnation !== "" && event.kind !== "declared-dead").map((event) => [event.incarnation, event.process]));
  const violations: Violation[] = [];
  for (const event of history.events) {
    if (event.kind !== "declared-dead") continue;
    const process = processes.get(event.dead);
    if (process === undefined) continue;
    const ended = history.events.find((other) => other.process === process && (other.kind === "killed" || other.kind === "exited") && other.t <= event.t);
    const away = [...pauses(history.events, process, endMs), ...cuts(history.events, process, endMs)];
    // Its own clocks had told it that its trust was over, and it was not back yet: whoever declared it dead was right about its beats.
    const knew = isLapsed(history.events, process, event.t);
    if (ended === undefined && !knew && !away.some((span) => span.fromMs <= event.t && span.toMs >= event.t - 2 * config.leaseMs)) {
      violations.push({ check: "runningIsNotDeclaredDead", message: `${who(event)} declared incarnation ${event.dead} of ${process} dead, which was running`, atMs: event.t, evidence: [event] });
    }
  }
  return violations;
}

/** Whether the last that a process was told about its trust, by `atMs`, is that it was over. */
function isLapsed(events: readonly HistoryEvent[], process: string, atMs: number): boolean {
  const told = events.filter((event) => event.kind === "told").filter((event) => event.process === process && event.t <= atMs);
  return told.findLast((event) => event.what === "lost" || event.what === "rejoined")?.what === "lost";
}

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

// ---- liveness

/** Each election that ever had a holder has one again within the bound; an outage of the store does not count. */
export function leaderReturns(history: History, config: CheckConfig): Violation[] {
  const elections = new Set(history.events.filter((event) => event.kind === "announced").map((event) => event.election));
  elections.delete(COORDINATOR_OFFICE);
  return [...elections].flatMap((election) => lateReturns(history, config, "leaderReturns", election));
}

/** The group has a view that names a coordinator that runs, again within the bound. */
export function coordinatorReturns(history: History, config: CheckConfig): Violation[] {
  return lateReturns(history, config, "coordinatorReturns", COORDINATOR_OFFICE);
}

function lateReturns(history: History, config: CheckConfig, check: string, office: string): Violation[] {
  return gaps(history.events, office)
    .filter((gap) => waitOf(gap) > takeoverBoundMs(config))
    .map((gap) => ({
      check,
      message: `${office} had no holder for ${waitOf(gap).toFixed(0)} ms${gap.storeBackMs === undefined ? "" : " after the store came back"}${gap.open ? ", and has none at the end" : ""}; ${takeoverBoundMs(config)} ms are allowed`,
      atMs: gap.fromMs,
      evidence: history.events.filter((event) => event.t >= gap.fromMs - 1 && event.t <= gap.toMs + 1 && event.kind !== "believes" && event.kind !== "wrote").slice(0, 50),
    }));
}

/** How long an office was empty while the store was there. */
export function waitOf(gap: Gap): number {
  return gap.toMs - Math.max(gap.fromMs, Math.min(gap.toMs, gap.storeBackMs ?? gap.fromMs));
}

/**
 * A member that was killed is out of the newest view in time: after one takeover for the coordinator, if that died as well, and one more for the dead, plus the lease of patience when more
 * than half seem dead at once. Outages and what happens to coordinators meanwhile do not count.
 */
export function deadLeaveTheView(history: History, config: CheckConfig): Violation[] {
  const endMs = history.events.at(-1)?.t ?? 0;
  const views = history.events.filter((event) => event.kind === "view");
  const away: readonly Span[] = [...outages(history.events, endMs), ...gaps(history.events, COORDINATOR_OFFICE)];
  const boundMs = takeoverBoundMs(config) + config.leaseMs;
  const violations: Violation[] = [];
  for (const event of history.events) {
    if (event.kind !== "killed" || event.incarnation === "") continue;
    const shown = views.some((view) => view.t <= event.t && view.members.some((member) => member.incarnation === event.incarnation));
    if (!shown) continue;
    // The first view after which no newer one shows it.
    const last = views.findLast((view) => view.members.some((member) => member.incarnation === event.incarnation));
    const without = views.find((view) => view.t > event.t && view.version > (last?.version ?? 0));
    const untilMs = without?.t ?? endMs;
    const excusedMs = away.reduce((sum, span) => sum + Math.max(0, Math.min(span.toMs, untilMs) - Math.max(span.fromMs, event.t)), 0);
    // Whoever takes over begins to count when it does.
    const disturbed = away.some((span) => span.toMs >= event.t && span.fromMs <= untilMs);
    const tookMs = untilMs - event.t - excusedMs;
    if (tookMs <= boundMs * (disturbed ? 2 : 1)) continue;
    const words = without === undefined ? "is still in the newest view" : "was still in the view";
    violations.push({ check: "deadLeaveTheView", message: `${event.process} was killed and ${words} ${tookMs.toFixed(0)} ms later`, atMs: event.t, evidence: [event, ...(last === undefined ? [] : [last])] });
  }
  return violations;
}

function who(event: HistoryEvent | FencedRow): string {
  const name = "process" in event && event.process !== "" ? event.process : event.node;
  return event.incarnation === "" ? name : `${name} (${event.incarnation.slice(0, 8)})`;
}
