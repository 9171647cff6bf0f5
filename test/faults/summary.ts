import { COORDINATOR_OFFICE, gaps } from "../../src/testing/history/index.ts";
import type { Gap, HistoryEvent, Violation } from "../../src/testing/history/index.ts";
import type { FaultKind } from "./catalogue.ts";
import type { Judgement } from "./judge.ts";
import type { FaultSpan, RunRecord, Tables } from "./record.ts";
import { unionOf } from "./judge.ts";

/** Numbers about a run; the judgement is elsewhere. */
export interface Summary {
  readonly tookMs: number;
  readonly faults: readonly FaultSummary[];
  readonly rows: number;
  /** Rows that were committed and that a failover took away. */
  readonly lostRows: number;
  readonly writes: Readonly<Record<string, number>>;
  /** By election. */
  readonly terms: Readonly<Record<string, number>>;
  readonly views: number;
  readonly incarnations: number;
  readonly declaredDead: number;
  readonly beliefSamples: number;
  readonly told: Readonly<Record<string, number>>;
  readonly remarks: Readonly<Record<string, number>>;
  readonly leftOut: Readonly<Partial<Record<FaultKind, string>>>;
  /** What is no violation only because nothing is promised for clocks that are so wrong, or for a crowd on so small a machine. */
  readonly excused: Readonly<Record<string, number>>;
}

export interface FaultSummary {
  readonly kind: FaultKind;
  readonly count: number;
  /** How long nobody led: one number for each fault and each election; 0 where the fault did not touch it. */
  readonly leaderlessMs: Spread;
  readonly coordinatorlessMs: Spread;
  readonly violations: number;
}

export interface Spread {
  readonly minMs: number;
  readonly medianMs: number;
  readonly maxMs: number;
}

export function summarize(events: readonly HistoryEvent[], tables: Tables, record: RunRecord, { violations, excused }: Judgement): Summary {
  const of = <Kind extends HistoryEvent["kind"]>(kind: Kind) => events.filter((event): event is Extract<HistoryEvent, { kind: Kind }> => event.kind === kind);
  const announced = of("announced");
  const rows = unionOf(tables).length;
  return {
    tookMs: record.tookMs,
    faults: faultsOf(events, record, violations),
    rows,
    lostRows: rows - (tables.at(-1)?.length ?? 0),
    writes: counted(of("wrote").map((event) => (event.outcome === "committed" ? "committed" : `${event.outcome} ${event.code}`))),
    terms: Object.fromEntries([...record.elections, COORDINATOR_OFFICE].map((election) => [election, new Set(announced.filter((event) => event.election === election).map((event) => event.token)).size])),
    views: new Set(of("view").map((event) => event.version)).size,
    incarnations: new Set(of("joined").map((event) => event.incarnation)).size,
    declaredDead: new Set(of("declared-dead").map((event) => event.dead)).size,
    beliefSamples: of("believes").length,
    told: counted(of("told").map((event) => (event.code === "" ? event.what : `${event.what} ${event.code}`))),
    remarks: record.remarks,
    leftOut: record.leftOut,
    excused: counted(excused.map((violation) => violation.check)),
  };
}

/** A process that was stopped says afterwards that it did not run since its last sample, which was before the fault. */
const EARLY_MS = 50;

function faultsOf(events: readonly HistoryEvent[], { elections, spans, calm }: RunRecord, violations: readonly Violation[]): FaultSummary[] {
  const shown = events.filter((event) => event.t <= calm.toMs);
  const leaderless = elections.map((election) => gaps(shown, election));
  const coordinatorless = gaps(shown, COORDINATOR_OFFICE);
  const kinds = [...new Set(spans.map((span) => span.kind))];
  return kinds.map((kind) => {
    const mine = spans.filter((span) => span.kind === kind);
    return {
      kind,
      count: mine.length,
      leaderlessMs: spread(mine.flatMap((span) => leaderless.map((all) => longestIn(all, span)))),
      coordinatorlessMs: spread(mine.map((span) => longestIn(coordinatorless, span))),
      violations: violations.filter(({ atMs }) => mine.some((span) => isIn(span, atMs))).length,
    };
  });
}

function longestIn(all: readonly Gap[], span: FaultSpan): number {
  return Math.max(0, ...all.filter((gap) => isIn(span, gap.fromMs)).map((gap) => gap.toMs - gap.fromMs));
}

function isIn(span: FaultSpan, atMs: number): boolean {
  return atMs >= span.fromMs - EARLY_MS && atMs < (span.settledMs ?? Number.POSITIVE_INFINITY) - EARLY_MS;
}

function spread(values: readonly number[]): Spread {
  const sorted = values.map(Math.round).sort((a, b) => a - b);
  return { minMs: sorted[0] ?? 0, medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0, maxMs: sorted.at(-1) ?? 0 };
}

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
