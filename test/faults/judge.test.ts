import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FencedRow, HistoryEvent } from "../../src/testing/history/index.ts";
import { judge } from "./judge.ts";
import type { RunRecord, Tables } from "./record.ts";
import { summarize } from "./summary.ts";

const RECORD: RunRecord = {
  storeKind: "postgres",
  seed: 1,
  world: "a world",
  store: "a store",
  crashDetection: "evidence",
  nodes: ["a", "b"],
  elections: ["work"],
  config: { leaseMs: 2_000, beatMs: 500, settleMs: 1_000 },
  spans: [{ kind: "kill", targets: ["a"], fromMs: 1_000, toMs: 1_500, settledMs: 2_500, within: undefined }],
  onlyFencing: [],
  calm: { fromMs: 3_000, toMs: 5_000 },
  complaints: [],
  leftOut: {},
  remarks: {},
  tookMs: 5_000,
};

const of = (node: string) => ({ process: `${node}.1`, node, incarnation: `i-${node}` });
const row = (write: string, sequence: number, token: number, t: number, node = "a"): FencedRow => ({ sequence, election: "work", token, node, incarnation: `i-${node}`, write, t });

/** A leads until it is killed, then B does. */
const GOOD: readonly HistoryEvent[] = [
  { t: 0, ...of("a"), kind: "announced", election: "work", token: 1, mayAct: true },
  { t: 0, ...of("a"), kind: "view", version: 1, members: [{ node: "a", incarnation: "i-a", metadata: {} }], coordinator: null, skipped: false },
  { t: 10, ...of("a"), kind: "believes", election: "work", token: 1 },
  { t: 20, ...of("a"), kind: "wrote", election: "work", token: 1, write: "a/1", outcome: "committed", code: "" },
  { t: 900, ...of("a"), kind: "believes", election: "work", token: 1 },
  { t: 1_000, process: "supervisor", node: "", incarnation: "", kind: "fault", name: "kill", targets: ["a.1"] },
  { t: 1_000, ...of("a"), kind: "killed" },
  { t: 2_000, ...of("b"), kind: "announced", election: "work", token: 2, mayAct: true },
  { t: 2_010, ...of("b"), kind: "believes", election: "work", token: 2 },
  { t: 2_020, ...of("b"), kind: "wrote", election: "work", token: 2, write: "b/1", outcome: "committed", code: "" },
  { t: 5_000, ...of("b"), kind: "believes", election: "work", token: 2 },
];
const TABLE: Tables = [[row("a/1", 1, 1, 15), row("b/1", 2, 2, 2_015, "b")]];

const checksOf = (events: readonly HistoryEvent[], tables: Tables, record: Partial<RunRecord> = {}) => judge(events, tables, { ...RECORD, ...record }).violations.map(({ check }) => check);

describe("the judgement of a run of faults", () => {
  it("finds nothing where nothing is wrong", () => {
    assert.deepEqual(judge(GOOD, TABLE, RECORD), { violations: [], excused: [] });
  });

  it("finds a row of an older token after one of a newer", () => {
    assert.deepEqual(checksOf(GOOD, [[row("b/1", 1, 2, 2_015, "b"), row("a/1", 2, 1, 15)]]), ["fencedRowsInOrder"]);
  });

  it("finds that an acknowledged write is nowhere", () => {
    assert.deepEqual(checksOf(GOOD, [[row("a/1", 1, 1, 15)]]), ["writesAnsweredHonestly"]);
  });

  const failover: HistoryEvent = { t: 1_500, process: "supervisor", node: "", incarnation: "", kind: "failed-over", lostSinceMs: 10 };

  it("lets a failover take what was written while the replica lagged", () => {
    assert.deepEqual(checksOf([...GOOD, failover], [[row("a/1", 1, 1, 15)], [row("b/1", 1, 2, 2_015, "b")]]), []);
  });

  it("does not let it take what was there long before", () => {
    const late = { ...failover, t: 2_900, lostSinceMs: 2_800 };
    assert.deepEqual(checksOf([...GOOD, late], [[row("a/1", 1, 1, 15)], [row("b/1", 1, 2, 2_015, "b")]]), ["lostWithoutReason"]);
  });

  const overlapping: readonly HistoryEvent[] = [...GOOD.slice(0, 9), { t: 2_015, ...of("b"), kind: "believes", election: "work", token: 2 }, { t: 1_995, ...of("c"), kind: "believes", election: "work", token: 3 }, { t: 2_012, ...of("c"), kind: "believes", election: "work", token: 3 }, ...GOOD.slice(9)];

  it("finds beliefs that overlap, and excuses them only while clocks are wrong", () => {
    assert.ok(checksOf(overlapping, TABLE).includes("beliefsDoNotOverlap"));
    const { violations, excused } = judge(overlapping, TABLE, { ...RECORD, onlyFencing: [{ fromMs: 1_500, toMs: 2_100, why: "clocks" }] });
    assert.deepEqual(violations.map(({ check }) => check).filter((check) => check === "beliefsDoNotOverlap"), []);
    assert.ok(excused.some(({ check }) => check === "beliefsDoNotOverlap"));
  });

  it("finds that an election was left without a leader", () => {
    const events = GOOD.filter((event) => event.node !== "b");
    assert.ok(checksOf([...events, { t: 9_000, process: "supervisor", node: "", incarnation: "", kind: "outage-ended" }], [[row("a/1", 1, 1, 15)]], { calm: { fromMs: 3_000, toMs: 9_000 } }).includes("leaderReturns"));
  });

  it("is not content with having seen nothing", () => {
    assert.deepEqual(new Set(checksOf([], [[]])), new Set(["harness"]));
  });
});

describe("the summary of a run of faults", () => {
  it("counts, and says how long nobody led", () => {
    const judgement = judge(GOOD, TABLE, RECORD);
    const { faults, rows, lostRows, terms } = summarize(GOOD, TABLE, RECORD, judgement);
    assert.deepEqual(faults, [{ kind: "kill", count: 1, leaderlessMs: { minMs: 1_000, medianMs: 1_000, maxMs: 1_000 }, coordinatorlessMs: { minMs: 0, medianMs: 0, maxMs: 0 }, violations: 0 }]);
    assert.deepEqual({ rows, lostRows, work: terms["work"] }, { rows: 2, lostRows: 0, work: 2 });
  });
});
