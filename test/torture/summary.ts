import { COORDINATOR_OFFICE, gaps, waitOf } from "../../src/testing/history/index.ts";
import type { History, HistoryEvent } from "../../src/testing/history/index.ts";
import { STARVED } from "../fleet/worker-config.ts";
import { WORK } from "./plan.ts";

/** Numbers about a run; the judgement is elsewhere. */
export interface Summary {
  readonly tookMs: number;
  readonly faults: readonly FaultSummary[];
  readonly rows: number;
  readonly writes: Readonly<Record<string, number>>;
  readonly terms: number;
  readonly coordinatorTerms: number;
  readonly views: number;
  readonly incarnations: number;
  readonly declaredDead: number;
  readonly beliefSamples: number;
  /** How often a process did not run for a quarter of a lease although nobody stopped it, and how long at most. */
  readonly starved: number;
  readonly longestStarvedMs: number;
  /** What the clusters told, and what is remarkable about the run, by how often. */
  readonly told: Readonly<Record<string, number>>;
  readonly remarks: Readonly<Record<string, number>>;
}

export interface FaultSummary {
  readonly kind: string;
  readonly count: number;
  /** How long nobody led, or coordinated, while the store was there: one number for each fault; 0 where the fault did not touch the office. */
  readonly leaderlessMs: Spread;
  readonly coordinatorlessMs: Spread;
}

export interface Spread {
  readonly medianMs: number;
  readonly maxMs: number;
}

export function summarize(history: History, seen: { readonly remarks: ReadonlyMap<string, number>; readonly tookMs: number }): Summary {
  const { events, rows } = history;
  const of = <Kind extends HistoryEvent["kind"]>(kind: Kind) => events.filter((event): event is Extract<HistoryEvent, { kind: Kind }> => event.kind === kind);
  const tokens = (election: string) => new Set(of("announced").filter((event) => event.election === election).map((event) => event.token)).size;
  return {
    tookMs: seen.tookMs,
    faults: faultsOf(history),
    rows: rows.length,
    writes: counted(of("wrote").map((event) => (event.outcome === "committed" ? "committed" : `${event.outcome} ${event.code}`))),
    terms: tokens(WORK),
    coordinatorTerms: tokens(COORDINATOR_OFFICE),
    views: new Set(of("view").map((event) => event.version)).size,
    incarnations: new Set(of("joined").map((event) => event.incarnation)).size,
    declaredDead: new Set(of("declared-dead").map((event) => event.dead)).size,
    beliefSamples: of("believes").length,
    ...starvation(history),
    told: counted(of("told").map((event) => (event.code === "" ? event.what : `${event.what} ${event.code}`))),
    remarks: Object.fromEntries(seen.remarks),
  };
}

/** A process that was stopped says afterwards that it did not run since its last sample, which was before the fault. */
const EARLY_MS = 50;

function faultsOf({ events }: History): FaultSummary[] {
  const faults = events.filter((event) => event.kind === "fault");
  const leaderless = gaps(events, WORK);
  const coordinatorless = gaps(events, COORDINATOR_OFFICE);
  const kinds = new Map<string, { leader: number[]; coordinator: number[] }>();
  for (const [index, fault] of faults.entries()) {
    const fromMs = fault.t - EARLY_MS;
    const untilMs = (faults[index + 1]?.t ?? Number.POSITIVE_INFINITY) - EARLY_MS;
    const longest = (all: typeof leaderless) => Math.max(0, ...all.filter((gap) => gap.fromMs >= fromMs && gap.fromMs < untilMs && !gap.open).map(waitOf));
    const kind = kinds.get(fault.name) ?? { leader: [], coordinator: [] };
    kinds.set(fault.name, kind);
    kind.leader.push(longest(leaderless));
    kind.coordinator.push(longest(coordinatorless));
  }
  return [...kinds].map(([kind, { leader, coordinator }]) => ({ kind, count: leader.length, leaderlessMs: spread(leader), coordinatorlessMs: spread(coordinator) }));
}

/** Pauses that are not the nemesis's: those of it come with one of its own. */
function starvation({ events }: History): { readonly starved: number; readonly longestStarvedMs: number } {
  const paused = events.filter((event) => event.kind === "paused");
  const resumed = events.filter((event) => event.kind === "resumed");
  const lengths = paused
    .filter((event) => event.cause === STARVED)
    .map((event) => ({ event, endMs: resumed.find((other) => other.process === event.process && other.cause === STARVED && other.t > event.t)?.t ?? event.t }))
    .filter(({ event, endMs }) => !paused.some((other) => other.process === event.process && other.cause !== STARVED && other.t >= event.t && other.t <= endMs))
    .map(({ event, endMs }) => endMs - event.t);
  return { starved: lengths.length, longestStarvedMs: Math.round(Math.max(0, ...lengths)) };
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { medianMs: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0), maxMs: Math.round(sorted.at(-1) ?? 0) };
}

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
