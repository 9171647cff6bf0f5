import { checkHistory, FENCING_CHECKS, LIVENESS_CHECKS, SAFETY_CHECKS } from "../../src/testing/history/index.ts";
import type { CheckName, FencedRow, History, HistoryEvent, Violation } from "../../src/testing/history/index.ts";
import { CROWD_NODE, CROWD_PATIENCE } from "./crowd.ts";
import type { FaultSpan, RunRecord, Tables } from "./record.ts";

/** What is judged table by table, since a failover begins another one. */
const OF_TABLES: readonly CheckName[] = ["fencedRowsInOrder", "writesAnsweredHonestly"];

/** What was found wrong, and what was found but is nothing that was promised. */
export interface Judgement {
  readonly violations: readonly Violation[];
  /** In a stretch in which clocks ran as nobody promised to bear, after a double fault that is excepted, or by (or after) a crowd that is too much for this machine. */
  readonly excused: readonly Violation[];
}

/** All that is wrong with a run: what the checks found, what the harness saw itself, and whether it saw anything at all. */
export function judge(events: readonly HistoryEvent[], tables: Tables, record: RunRecord): Judgement {
  const { config, calm } = record;
  const rows = unionOf(tables);
  const history: History = { events, rows };
  const untilStop: History = { events: events.filter((event) => event.t <= calm.toMs), rows };
  const found = [
    ...checkHistory(history, config, SAFETY_CHECKS.filter((name) => !OF_TABLES.includes(name))),
    ...liveness(untilStop, record),
    ...tables.flatMap((table) => checkHistory({ events, rows: table }, config, ["fencedRowsInOrder"])),
    ...checkHistory(history, config, ["writesAnsweredHonestly"]),
    ...lostWithoutReason(events, tables, config.leaseMs),
  ];
  const crowd = new Set(events.filter((event) => CROWD_NODE.test(event.node)).map((event) => event.incarnation));
  const excused = found.filter((violation) => isExcused(violation, record, crowd));
  const violations = [...record.complaints, ...blindness(history), ...found.filter((violation) => !excused.includes(violation))];
  return { violations: violations.sort((a, b) => a.atMs - b.atMs), excused };
}

/** Each row that ever was, once: what a failover took away was committed all the same. */
export function unionOf(tables: Tables): FencedRow[] {
  const rows = new Map<string, FencedRow>();
  for (const table of tables) for (const row of table) if (!rows.has(row.write)) rows.set(row.write, row);
  return [...rows.values()];
}

/** Those of the crowd beat slowly, and so take over slowly, and are slow to leave the view: while they are there, their timings count. */
function liveness(history: History, { config, spans }: RunRecord): Violation[] {
  const patient = { ...config, leaseMs: config.leaseMs * CROWD_PATIENCE, beatMs: config.beatMs * CROWD_PATIENCE };
  const crowded = spans.filter((span) => span.kind === "crowd");
  const inCrowd = ({ atMs }: Violation) => crowded.some((span) => isWithin(span, atMs));
  return [...checkHistory(history, config, LIVENESS_CHECKS).filter((violation) => !inCrowd(violation)), ...(crowded.length === 0 ? [] : checkHistory(history, patient, ["leaderReturns", "coordinatorReturns", "deadLeaveTheView"]).filter(inCrowd))];
}

/** A failover may take away what was begun after the replica had fallen behind, or shortly before; nothing older. */
function lostWithoutReason(events: readonly HistoryEvent[], tables: Tables, leaseMs: number): Violation[] {
  const failovers = events.filter((event) => event.kind === "failed-over");
  return tables.slice(0, -1).flatMap((table, index) => {
    const failover = failovers[index];
    const kept = new Set(tables[index + 1]?.map((row) => row.write));
    return table
      .filter((row) => !kept.has(row.write) && (failover === undefined || row.t < failover.lostSinceMs - leaseMs))
      .map((row) => ({ check: "lostWithoutReason", message: `write ${row.write} was committed, and is gone, though no failover could have taken it`, atMs: row.t, evidence: failover === undefined ? [row] : [row, failover] }));
  });
}

function isExcused({ check, atMs, evidence }: Violation, { onlyFencing, config, spans }: RunRecord, crowd: ReadonlySet<string>): boolean {
  // Hundreds of nodes and their server on one machine: that some of them get no turn for a lease shows how small the machine is.
  if (check === "runningIsNotDeclaredDead" && evidence.some((event) => "dead" in event && crowd.has(event.dead))) return true;
  // After a failover everybody waits for the longest lease that anybody ever joined the group with, and that was the crowd's.
  if ((check === "leaderReturns" || check === "coordinatorReturns") && spans.some((span) => span.kind === "promote" && isWithin(span, atMs) && spans.some((other) => other.kind === "crowd" && other.fromMs < span.fromMs))) return true;
  if ((FENCING_CHECKS as readonly string[]).includes(check)) return false;
  // What was done shows for a while after.
  return onlyFencing.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + 2 * config.leaseMs);
}

function isWithin(span: FaultSpan, atMs: number): boolean {
  return atMs >= span.fromMs && atMs <= (span.settledMs ?? Number.POSITIVE_INFINITY);
}

/** A harness that saw nothing proves nothing. */
function blindness({ events, rows }: History): Violation[] {
  const expected: readonly (readonly [string, boolean])[] = [
    ["no term was announced", events.some((event) => event.kind === "announced")],
    ["no belief was sampled", events.some((event) => event.kind === "believes")],
    ["no fenced row was written", rows.length > 0],
    ["no view was delivered", events.some((event) => event.kind === "view")],
    ["no fault was done", events.some((event) => event.kind === "fault")],
  ];
  return expected.filter(([, seen]) => !seen).map(([message]) => ({ check: "harness", message, atMs: 0, evidence: [] }));
}
