import { bisect } from "./bisect.ts";
import type { HistoryEvent } from "./history.ts";
import { outages, pausesByProcess } from "./spans.ts";
import type { Span } from "./spans.ts";

/** A stretch in which an office had a holder that ran. */
export interface Reign extends Span {
  readonly process: string;
  readonly incarnation: string;
  readonly token: number;
}

/** A stretch in which nobody who ran held an office. `open`: the history ends in it. */
export interface Gap extends Span {
  readonly open: boolean;
  /** When the store was last back in it; `undefined` if the store was never away. */
  readonly storeBackMs: number | undefined;
}

/** The office of publishing views: its holder counts from the first view that names it, not from its term. */
export const COORDINATOR_OFFICE = "coordinator";

/**
 * Who held an office, and ran, and when: from the announcement until the process says that the term ended, is killed or is gone, less the times in
 * which it did not run. For {@link COORDINATOR_OFFICE} from the first view, seen by anybody, that names it.
 */
export function reigns(events: readonly HistoryEvent[], office: string): Reign[] {
  const endMs = events.at(-1)?.t ?? 0;
  const spans = office === COORDINATOR_OFFICE ? coordinatorSpans(events, endMs) : termSpans(events, office, endMs);
  const paused = pausesByProcess(events, endMs);
  return spans.flatMap((span) => running(span, paused.get(span.process) ?? [])).sort((a, b) => a.fromMs - b.fromMs);
}

/** The stretches without a holder, from its first one to the end of the history. */
export function gaps(events: readonly HistoryEvent[], office: string): Gap[] {
  const endMs = events.at(-1)?.t ?? 0;
  const all = reigns(events, office);
  const down = outages(events, endMs);
  const found: Gap[] = [];
  let coveredMs = all[0]?.toMs ?? endMs;
  const add = (fromMs: number, toMs: number, open: boolean) => {
    const last = down[bisect(down, (outage) => outage.fromMs > toMs) - 1];
    found.push({ fromMs, toMs, open, storeBackMs: last !== undefined && last.toMs >= fromMs ? last.toMs : undefined });
  };
  for (const reign of all.slice(1)) {
    if (reign.fromMs > coveredMs) add(coveredMs, reign.fromMs, false);
    coveredMs = Math.max(coveredMs, reign.toMs);
  }
  if (coveredMs < endMs) add(coveredMs, endMs, true);
  return found;
}

function termSpans(events: readonly HistoryEvent[], election: string, endMs: number): Reign[] {
  const open = new Map<string, Reign>();
  const closed: Reign[] = [];
  const close = (key: string, toMs: number) => {
    const reign = open.get(key);
    if (reign === undefined) return;
    open.delete(key);
    closed.push({ ...reign, toMs });
  };
  for (const event of events) {
    const key = event.process;
    if (event.kind === "announced" && event.election === election) {
      close(key, event.t); // two terms at once are for another check to find
      open.set(key, { fromMs: event.t, toMs: endMs, process: event.process, incarnation: event.incarnation, token: event.token });
    } else if (event.kind === "ended" && event.election === election) {
      if (open.get(key)?.token === event.token) close(key, event.t);
    } else if (event.kind === "killed" || event.kind === "exited") {
      close(key, event.t);
    }
  }
  return [...closed, ...open.values()];
}

function coordinatorSpans(events: readonly HistoryEvent[], endMs: number): Reign[] {
  const namedMs = new Map<string, { readonly versions: Set<number>; readonly atMs: number[] }>();
  for (const event of events) {
    if (event.kind !== "view" || event.coordinator === null) continue;
    let named = namedMs.get(event.coordinator);
    if (named === undefined) namedMs.set(event.coordinator, (named = { versions: new Set(), atMs: [] }));
    if (named.versions.has(event.version)) continue; // somebody has seen it before
    named.versions.add(event.version);
    named.atMs.push(event.t);
  }
  return termSpans(events, COORDINATOR_OFFICE, endMs).flatMap((term) => {
    const atMs = namedMs.get(term.incarnation)?.atMs ?? [];
    const fromMs = atMs[bisect(atMs, (ms) => ms >= term.fromMs)];
    return fromMs === undefined || fromMs > term.toMs ? [] : [{ ...term, fromMs }];
  });
}

/** A reign less the pauses in it. */
function running(reign: Reign, paused: readonly Span[]): Reign[] {
  const parts: Reign[] = [];
  let fromMs = reign.fromMs;
  for (let next = bisect(paused, (pause) => pause.toMs > reign.fromMs); next < paused.length; next++) {
    const pause = paused[next] as Span;
    if (pause.fromMs >= reign.toMs) break;
    if (pause.fromMs > fromMs) parts.push({ ...reign, fromMs, toMs: pause.fromMs });
    fromMs = pause.toMs;
    if (fromMs >= reign.toMs) return parts;
  }
  parts.push({ ...reign, fromMs });
  return parts;
}
