import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventLoopFinding, evidenceFinding, groupFinding, hintsFinding, nodeFinding, schemaFinding, timeSyncFinding, timingsFinding, worstOf } from "../../src/admin/diagnosis.ts";
import type { Timing } from "../../src/presence/index.ts";
import { clockFinding, LARGE_CLOCK_OFFSET_MS, roundTripFinding, roundTrips } from "../../src/store/index.ts";
import type { Finding, SessionInfo, StoreCapabilities } from "../../src/store/index.ts";
import { connectionsFinding, wayFinding } from "../../src/store/postgres/diagnose.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const TIMING: Timing = { leaseMs: 4_000, beatMs: 1_000, stopBudgetMs: 1_000 };
const CAPABILITIES: StoreCapabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true, evidence: { graceMs: 100 } };
const SESSION: SessionInfo = { serverVersion: "1", hints: true, warnings: [], evidence: { held: true, why: "it is" } };

/** Whatever is not ok says what to do. */
function level(finding: Finding | undefined): Finding["level"] | undefined {
  if (finding !== undefined && finding.level !== "ok") assert.ok((finding.next ?? "") !== "", finding.check);
  return finding?.level;
}

describe("findings", () => {
  it("of a schema: missing and older are to be mended, one that works with this code is fine, one that does not fails", () => {
    const levels = ([[0, 0], [1, 1], [2, 2], [3, 2], [3, 3]] as const).map(([version, worksWith]) => level(schemaFinding({ version, worksWith }, 2)));
    assert.deepEqual([...levels, level(schemaFinding(undefined, 2))], ["warn", "warn", "ok", "ok", "fail", "fail"]);
  });

  it("of evidence: in force, not in force and why, unknown without a session, and none by nature", () => {
    assert.match(evidenceFinding(SESSION, CAPABILITIES, TIMING).found, /in force: it is.*100 ms of grace/);
    const without = evidenceFinding({ ...SESSION, evidence: { held: false, why: "a pooler" } }, CAPABILITIES, TIMING);
    assert.deepEqual([level(without), without.found.endsWith("lease of 4 s is over: a pooler")], ["warn", true]);
    assert.equal(level(evidenceFinding(undefined, CAPABILITIES, TIMING)), "warn");
    assert.equal(level(evidenceFinding(SESSION, { ...CAPABILITIES, evidence: null }, TIMING)), "ok");
  });

  it("of hints: they come, they do not, and there are none by nature", () => {
    assert.deepEqual([level(hintsFinding(SESSION, CAPABILITIES, TIMING)), level(hintsFinding({ ...SESSION, hints: false }, CAPABILITIES, TIMING)), hintsFinding(SESSION, { ...CAPABILITIES, hints: false }, TIMING)], ["ok", "warn", undefined]);
  });

  it("of this machine: late timers, a lease that is short for them, an old Node, a clock that nobody keeps right", () => {
    assert.deepEqual([level(eventLoopFinding(1_999, 1_000, TIMING)), level(eventLoopFinding(2_000, 1_000, TIMING))], ["ok", "warn"]);
    assert.deepEqual([level(timingsFinding(TIMING, 1_900)), level(timingsFinding(TIMING, 1_950))], ["ok", "warn"]);
    assert.deepEqual(["24.1.0", "22.18.0", "22.17.9", "20.20.0"].map((version) => level(nodeFinding(version))), ["ok", "ok", "fail", "fail"]);
    assert.deepEqual([level(timeSyncFinding(true)), level(timeSyncFinding(false)), timeSyncFinding(undefined)], ["ok", "warn", undefined]);
  });

  it("of the way's length are judged by the lease, and those of the clock by what is certain", () => {
    assert.deepEqual([level(roundTripFinding([1, 499], 4_000)), level(roundTripFinding([1, 500], 4_000))], ["ok", "warn"]);
    const clock = (offsetMs: number, uncertaintyMs: number) => level(clockFinding({ offsetMs, uncertaintyMs }));
    assert.deepEqual([clock(LARGE_CLOCK_OFFSET_MS + 5, 5), clock(LARGE_CLOCK_OFFSET_MS + 6, 5), clock(-LARGE_CLOCK_OFFSET_MS - 6, 5)], ["ok", "warn", "warn"]);
  });

  it("the clock is taken from the shortest trip", async () => {
    const clock = new VirtualClock();
    let trip = 0;
    const measured = roundTrips(clock, async () => {
      const slow = trip++ !== 3;
      const asked = clock.wallMs();
      await new Promise<void>((resolve) => clock.setTimer(slow ? 40 : 10, resolve));
      return asked + 5 + 250; // the store reads its clock 5 ms into each trip, and is 250 ms ahead
    });
    for (let n = 0; n < 40; n++) await clock.advance(10);
    const { tookMs, reading } = await measured;
    assert.deepEqual([tookMs.length, Math.min(...tookMs), Math.max(...tookMs)], [10, 10, 40]);
    assert.deepEqual(reading, { offsetMs: 250, uncertaintyMs: 5 });
  });

  it("of PostgreSQL's connections: the tightest limit counts", () => {
    const row = { max_connections: "100", kept: "3", kept_more: "0", used: "20", role: "app", role_limit: "-1", role_used: "5", database: "db", database_limit: "-1", database_used: "5" };
    assert.match(connectionsFinding(row, 5).found, /^77 left of the server's 100/);
    assert.deepEqual([level(connectionsFinding(row, 5)), level(connectionsFinding(row, 39)), level(connectionsFinding({ ...row, used: "90" }, 0))], ["ok", "warn", "warn"]);
    assert.match(connectionsFinding({ ...row, role_limit: "20" }, 0).found, /^15 left of the role app's 20/);
    assert.match(connectionsFinding({ ...row, role_limit: "20", database_limit: "6" }, 0).found, /^1 left of the database db's 6/);
    assert.match(connectionsFinding({ ...row, used: "120" }, 0).found, /^0 left/);
  });

  it("of the way to PostgreSQL: direct, a pooler, a proxy, and one that somebody vouches for", () => {
    const row = { address: "10.0.0.1", port: "4000" };
    const end = { address: "10.0.0.1", port: "4000" };
    const other = { address: "192.168.0.1", port: "4000" };
    const found = [wayFinding({ direct: true }, row, end, false), wayFinding({ direct: false }, row, end, true), wayFinding({ direct: true }, row, other, false), wayFinding({ direct: true }, row, other, true), wayFinding({ direct: true }, row, undefined, false), wayFinding({ direct: true }, { address: null, port: null }, { address: undefined, port: undefined }, false)];
    assert.deepEqual(found.map(level), ["ok", "warn", "warn", "ok", "warn", "ok"]);
  });

  it("count as the worst of them", () => {
    const finding = (level: Finding["level"]): Finding => ({ check: "x", level, found: "x" });
    assert.deepEqual([worstOf([]), worstOf([finding("ok"), finding("warn")]), worstOf([finding("warn"), finding("fail"), finding("ok")])], ["ok", "warn", "fail"]);
  });

  it("of a group count the living, and who of them gives no evidence", () => {
    const row = { state: "alive", evidence: "held" };
    const reading = (rows: readonly object[]) => ({ presence: rows }) as unknown as Parameters<typeof groupFinding>[1];
    assert.equal(groupFinding("g", reading([row, { ...row, evidence: "none" }, { ...row, state: "dead" }])).found, "g has 2 live members, 1 of them without evidence of life");
    assert.equal(groupFinding("g", reading([])).found, "g has 0 live members");
  });
});
