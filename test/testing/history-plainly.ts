import { COORDINATOR_OFFICE, gaps, outages, takeoverBoundMs } from "../../src/testing/history/index.ts";
import type { CheckConfig, Gap, History, HistoryEvent, Reign, Span } from "../../src/testing/history/index.ts";

/**
 * What the quick ones say, said plainly: each question looks through the whole history again. Slow, short, and made in another way, so that both are hardly wrong in the same place.
 */

/** Incarnations that `runningIsNotDeclaredDead` names, with the time. */
export function runningDeclaredDead({ events }: History, { leaseMs }: CheckConfig): string[] {
  const endMs = events.at(-1)?.t ?? 0;
  return events.flatMap((death) => {
    if (death.kind !== "declared-dead") return [];
    const process = events.findLast((event) => event.incarnation === death.dead && event.kind !== "declared-dead")?.process;
    if (process === undefined) return [];
    const before = events.filter((event) => event.process === process && event.t <= death.t);
    const ended = before.some((event) => event.kind === "killed" || event.kind === "exited");
    const lapsed = before.findLast((event) => event.kind === "told" && (event.what === "lost" || event.what === "rejoined"));
    const own = events.filter((event) => event.process === process);
    const away = [...spans(own, "paused", "resumed", endMs), ...spans(own, "cut-off", "mended", endMs)].some((span) => span.fromMs <= death.t && span.toMs >= death.t - 2 * leaseMs);
    return ended || away || (lapsed?.kind === "told" && lapsed.what === "lost") ? [] : [`${death.dead} at ${death.t}`];
  });
}

/** Processes that `deadLeaveTheView` names, with how long it took. */
export function deadStillInView({ events }: History, config: CheckConfig): string[] {
  const endMs = events.at(-1)?.t ?? 0;
  const views = events.filter((event) => event.kind === "view");
  const away: readonly Span[] = [...outages(events, endMs), ...gaps(events, COORDINATOR_OFFICE)];
  return events.flatMap((death) => {
    if (death.kind !== "killed" || death.incarnation === "") return [];
    const showing = views.filter((view) => view.members.some((member) => member.incarnation === death.incarnation));
    const last = showing.at(-1);
    if (last === undefined || !showing.some((view) => view.t <= death.t)) return [];
    const untilMs = views.find((view) => view.t > death.t && view.version > last.version)?.t ?? endMs;
    const excusedMs = away.reduce((sum, span) => sum + Math.max(0, Math.min(span.toMs, untilMs) - Math.max(span.fromMs, death.t)), 0);
    const disturbed = away.some((span) => span.toMs >= death.t && span.fromMs <= untilMs);
    const tookMs = untilMs - death.t - excusedMs;
    return tookMs > (takeoverBoundMs(config) + config.leaseMs) * (disturbed ? 2 : 1) ? [`${death.process} after ${tookMs.toFixed(0)}`] : [];
  });
}

/** The gaps between reigns: of each moment at which anything happens it is asked whether the office is held from there to the next. */
export function gapsBetween(events: readonly HistoryEvent[], all: readonly Reign[]): Gap[] {
  const endMs = events.at(-1)?.t ?? 0;
  const moments = [...new Set([...all.flatMap((reign) => [reign.fromMs, reign.toMs]), endMs])].sort((x, y) => x - y);
  const down = spans(events, "outage-began", "outage-ended", endMs);
  const found: Gap[] = [];
  for (const [index, fromMs] of moments.entries()) {
    const toMs = moments[index + 1];
    const begun = all.some((reign) => reign.fromMs <= fromMs);
    if (toMs === undefined || !begun || all.some((reign) => reign.fromMs <= fromMs && reign.toMs >= toMs)) continue;
    const backs = down.filter((span) => span.fromMs <= toMs && span.toMs >= fromMs).map((span) => span.toMs);
    found.push({ fromMs, toMs, open: !all.some((reign) => reign.fromMs >= toMs), storeBackMs: backs.length === 0 ? undefined : Math.max(...backs) });
  }
  return found;
}

function spans(events: readonly HistoryEvent[], begin: HistoryEvent["kind"], end: HistoryEvent["kind"], endMs: number): Span[] {
  const found: Array<{ fromMs: number; toMs: number }> = [];
  let depth = 0;
  for (const event of events) {
    if (event.kind === begin && depth++ === 0) found.push({ fromMs: event.t, toMs: endMs });
    const open = found.at(-1);
    if (event.kind === end && depth > 0 && --depth === 0 && open !== undefined) open.toMs = event.t;
  }
  return found;
}
