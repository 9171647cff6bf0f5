import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HistoryEvent } from "../../src/testing/history/index.ts";
import { summarize } from "./summary.ts";

const event = (t: number, process: string, kind: string, more: object = {}) => ({ t, process, node: process, incarnation: `${process}-i`, kind, ...more }) as unknown as HistoryEvent;
const announced = (t: number, process: string, token: number) => event(t, process, "announced", { election: "work", token, mayAct: true });
const fault = (t: number, name: string) => event(t, "supervisor", "fault", { name, targets: [] });
const sum = (events: readonly HistoryEvent[]) => summarize({ events, rows: [] }, { remarks: new Map(), tookMs: 0 });

describe("the summary of a torture", () => {
  it("gives each fault the time without a leader that began after it", () => {
    const { faults, terms } = sum([
      announced(0, "a", 1),
      fault(100, "kill-leader"),
      event(101, "a", "killed"),
      announced(601, "b", 2),
      fault(700, "kill-node"),
      fault(800, "kill-leader"),
      event(801, "b", "killed"),
      announced(1_001, "c", 3),
    ]);
    assert.equal(terms, 3);
    assert.deepEqual(faults.map(({ kind, count, leaderlessMs }) => [kind, count, leaderlessMs]), [
      ["kill-leader", 2, { medianMs: 500, maxMs: 500 }],
      ["kill-node", 1, { medianMs: 0, maxMs: 0 }],
    ]);
  });

  it("gives a fault what began with the last sample before it", () => {
    const { faults } = sum([announced(0, "a", 1), fault(50, "resign"), event(995, "a", "paused", { cause: "starved" }), fault(1_000, "freeze-leader"), event(1_001, "a", "paused", { cause: "SIGSTOP" }), announced(2_995, "b", 2)]);
    assert.deepEqual(faults.map(({ kind, leaderlessMs }) => [kind, leaderlessMs.maxMs]), [["resign", 0], ["freeze-leader", 2_000]]);
  });

  it("does not count the time in which the store was away", () => {
    const { faults } = sum([announced(0, "a", 1), fault(100, "store-crash"), event(100, "", "outage-began"), event(500, "a", "ended", { election: "work", token: 1 }), event(900, "", "outage-ended"), announced(1_000, "a", 2)]);
    assert.deepEqual(faults[0]?.leaderlessMs, { medianMs: 100, maxMs: 100 });
  });

  it("tells a busy machine from a process that was stopped", () => {
    const starved = (t: number, process: string, ms: number) => [event(t, process, "paused", { cause: "starved" }), event(t + ms, process, "resumed", { cause: "starved" })];
    const stopped = [event(10, "a", "paused", { cause: "SIGSTOP" }), event(900, "a", "resumed", { cause: "SIGSTOP" })];
    const events = [...starved(9, "a", 892), ...stopped, ...starved(2_000, "b", 700)].sort((a, b) => a.t - b.t);
    const { starved: count, longestStarvedMs } = sum(events);
    assert.deepEqual({ count, longestStarvedMs }, { count: 1, longestStarvedMs: 700 });
  });
});
