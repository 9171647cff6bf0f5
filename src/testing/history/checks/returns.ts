import { bisect } from "../bisect.ts";
import type { History, HistoryEvent, Viewed } from "../history.ts";
import { COORDINATOR_OFFICE, gaps } from "../reigns.ts";
import type { Gap } from "../reigns.ts";
import { outages, Timeline } from "../spans.ts";
import type { CheckConfig, Violation } from "./check.ts";

/** How long an office may stay empty once the store is there: one lease, two beats, and the slack. */
export function takeoverBoundMs(config: CheckConfig): number {
  return config.leaseMs + 2 * config.beatMs + (config.slackMs ?? 1_000);
}

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

function lateReturns({ events }: History, config: CheckConfig, check: string, office: string): Violation[] {
  return gaps(events, office)
    .filter((gap) => waitOf(gap) > takeoverBoundMs(config))
    .map((gap) => ({
      check,
      message: `${office} had no holder for ${waitOf(gap).toFixed(0)} ms${gap.storeBackMs === undefined ? "" : " after the store came back"}${gap.open ? ", and has none at the end" : ""}; ${takeoverBoundMs(config)} ms are allowed`,
      atMs: gap.fromMs,
      evidence: eventsOf(events, gap),
    }));
}

/** So many events tell enough of a gap. */
const TELLING_EVENTS = 50;

/** The first events of a gap, without those that come by the hundred. */
function eventsOf(events: readonly HistoryEvent[], gap: Gap): HistoryEvent[] {
  const found: HistoryEvent[] = [];
  for (let index = bisect(events, (event) => event.t >= gap.fromMs - 1); found.length < TELLING_EVENTS; index++) {
    const event = events[index];
    if (event === undefined || event.t > gap.toMs + 1) break;
    if (event.kind !== "believes" && event.kind !== "wrote") found.push(event);
  }
  return found;
}

/** How long an office was empty while the store was there. */
export function waitOf(gap: Gap): number {
  return gap.toMs - Math.max(gap.fromMs, Math.min(gap.toMs, gap.storeBackMs ?? gap.fromMs));
}

/**
 * A member that was killed is out of the newest view in time: after one takeover for the coordinator, if that died as well, and one more for the dead, plus the lease of patience when more
 * than half seem dead at once. Outages and what happens to coordinators meanwhile do not count.
 */
export function deadLeaveTheView({ events }: History, config: CheckConfig): Violation[] {
  const endMs = events.at(-1)?.t ?? 0;
  const killed = events.filter((event) => event.kind === "killed").filter((event) => event.incarnation !== "");
  const views = events.filter((event) => event.kind === "view");
  const shown = appearances(views, new Set(killed.map((event) => event.incarnation)));
  const away = [outages(events, endMs), gaps(events, COORDINATOR_OFFICE)].map((spans) => new Timeline(spans));
  const boundMs = takeoverBoundMs(config) + config.leaseMs;
  const violations: Violation[] = [];
  const later = new Later(views);
  for (const event of killed.reverse()) {
    later.rewind(event.t);
    const seen = shown.get(event.incarnation);
    if (seen === undefined || seen.first.t > event.t) continue;
    // The first view after which no newer one shows it.
    const without = later.firstNewerThan(seen.last.version);
    const untilMs = without?.t ?? endMs;
    const excusedMs = away.reduce((sum, timeline) => sum + timeline.coveredMs(event.t, untilMs), 0);
    // Whoever takes over begins to count when it does.
    const disturbed = away.some((timeline) => timeline.touches(event.t, untilMs));
    const tookMs = untilMs - event.t - excusedMs;
    if (tookMs <= boundMs * (disturbed ? 2 : 1)) continue;
    const words = without === undefined ? "is still in the newest view" : "was still in the view";
    violations.push({ check: "deadLeaveTheView", message: `${event.process} was killed and ${words} ${tookMs.toFixed(0)} ms later`, atMs: event.t, evidence: [event, seen.last] });
  }
  return violations.reverse();
}

interface Appearance {
  readonly first: Viewed;
  last: Viewed;
}

/** The first and the last view that have each of these incarnations. */
function appearances(views: readonly Viewed[], incarnations: ReadonlySet<string>): Map<string, Appearance> {
  const found = new Map<string, Appearance>();
  for (const view of views) {
    for (const { incarnation } of view.members) {
      if (!incarnations.has(incarnation)) continue;
      const seen = found.get(incarnation);
      if (seen === undefined) found.set(incarnation, { first: view, last: view });
      else seen.last = view;
    }
  }
  return found;
}

/** The views after a moment that is only ever moved back. */
class Later {
  readonly #views: readonly Viewed[];
  #next: number;
  /** Those of them that are newer than all between the moment and themselves; the nearest is the last, and the least new. */
  readonly #records: Viewed[] = [];

  constructor(views: readonly Viewed[]) {
    this.#views = views;
    this.#next = views.length;
  }

  rewind(toMs: number): void {
    for (let view = this.#views[this.#next - 1]; view !== undefined && view.t > toMs; view = this.#views[--this.#next - 1]) {
      for (let last = this.#records.at(-1); last !== undefined && last.version <= view.version; last = this.#records.at(-1)) this.#records.pop();
      this.#records.push(view);
    }
  }

  firstNewerThan(version: number): Viewed | undefined {
    return this.#records[bisect(this.#records, (view) => view.version <= version) - 1];
  }
}
