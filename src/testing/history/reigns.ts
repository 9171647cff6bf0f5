import type { HistoryEvent } from "./history.ts";

/** A stretch of time, in milliseconds on the history's clock. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

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
  return spans.flatMap((span) => running(span, pauses(events, span.process, endMs))).sort((a, b) => a.fromMs - b.fromMs);
}

/** The stretches without a holder, from its first one to the end of the history. */
export function gaps(events: readonly HistoryEvent[], office: string): Gap[] {
  const endMs = events.at(-1)?.t ?? 0;
  const all = reigns(events, office);
  const down = outages(events, endMs);
  const found: Gap[] = [];
  let coveredMs = all[0]?.toMs ?? endMs;
  const add = (fromMs: number, toMs: number, open: boolean) => {
    const overlapping = down.filter((outage) => outage.fromMs <= toMs && outage.toMs >= fromMs);
    found.push({ fromMs, toMs, open, storeBackMs: overlapping.length === 0 ? undefined : Math.max(...overlapping.map((outage) => outage.toMs)) });
  };
  for (const reign of all.slice(1)) {
    if (reign.fromMs > coveredMs) add(coveredMs, reign.fromMs, false);
    coveredMs = Math.max(coveredMs, reign.toMs);
  }
  if (coveredMs < endMs) add(coveredMs, endMs, true);
  return found;
}

/** The stretches in which the store could not be used. */
export function outages(events: readonly HistoryEvent[], endMs: number): Span[] {
  return paired(events.filter((event) => event.kind === "outage-began" || event.kind === "outage-ended"), "outage-began", endMs);
}

/** The stretches in which a process did not run. */
export function pauses(events: readonly HistoryEvent[], process: string, endMs: number): Span[] {
  return paired(events.filter((event) => event.process === process && (event.kind === "paused" || event.kind === "resumed")), "paused", endMs);
}

/** The stretches in which a process could not reach the store. */
export function cuts(events: readonly HistoryEvent[], process: string, endMs: number): Span[] {
  return paired(events.filter((event) => event.process === process && (event.kind === "cut-off" || event.kind === "mended")), "cut-off", endMs);
}

function paired(events: readonly HistoryEvent[], begin: HistoryEvent["kind"], endMs: number): Span[] {
  const spans: Span[] = [];
  let depth = 0;
  let fromMs = 0;
  for (const event of events) {
    if (event.kind === begin) {
      if (depth++ === 0) fromMs = event.t;
    } else if (depth > 0 && --depth === 0) {
      spans.push({ fromMs, toMs: event.t });
    }
  }
  if (depth > 0) spans.push({ fromMs, toMs: endMs });
  return spans;
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
  const named: { readonly t: number; readonly incarnation: string }[] = [];
  const seen = new Set<string>();
  for (const event of events) {
    if (event.kind !== "view" || event.coordinator === null || seen.has(event.coordinator + event.version)) continue;
    seen.add(event.coordinator + event.version);
    named.push({ t: event.t, incarnation: event.coordinator });
  }
  return termSpans(events, COORDINATOR_OFFICE, endMs).flatMap((term) => {
    const first = named.find((view) => view.incarnation === term.incarnation && view.t >= term.fromMs && view.t <= term.toMs);
    return first === undefined ? [] : [{ ...term, fromMs: first.t }];
  });
}

/** A reign less the pauses in it. */
function running(reign: Reign, paused: readonly Span[]): Reign[] {
  const parts: Reign[] = [];
  let fromMs = reign.fromMs;
  for (const pause of paused) {
    if (pause.toMs <= fromMs || pause.fromMs >= reign.toMs) continue;
    if (pause.fromMs > fromMs) parts.push({ ...reign, fromMs, toMs: pause.fromMs });
    fromMs = pause.toMs;
    if (fromMs >= reign.toMs) return parts;
  }
  parts.push({ ...reign, fromMs });
  return parts;
}
