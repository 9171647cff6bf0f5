import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deriveStatus, fingerprint, LARGE_CLOCK_OFFSET_MS, LONG_PAUSE_MS, SILENT_SHARE, SLOW_STORE_MS, warningsOf } from "../../src/admin/index.ts";
import type { Surroundings, WarningCode } from "../../src/admin/index.ts";
import { presentPage } from "../../src/admin/record.ts";
import { resignPatienceMs, termEnd, termToEnd } from "../../src/admin/resign.ts";
import { trustMs } from "../../src/presence/index.ts";
import type { ElectionRow, GroupReading, PresenceRow, StoredMember, TermRow } from "../../src/store/index.ts";
import { electionRow, presenceRow } from "../support/rows.ts";

const NOW = Date.UTC(2026, 0, 1, 12);
const LEASE = 4_000;

function presence(node: string, over: Partial<PresenceRow> = {}): PresenceRow {
  return presenceRow({ incarnation: `i-${node}`, node, beat: 7, leaseMs: LEASE, beatAgeMs: 300, joinOrder: node.charCodeAt(0), viewSeen: 2, ...over });
}

function viewed(node: string): StoredMember {
  return { incarnation: `i-${node}`, node, metadata: { of: node }, metadataVersion: 1, joinOrder: node.charCodeAt(0), joinedAtMs: NOW - 60_000 };
}

function election(name: string, node: string | null, over: Partial<ElectionRow> = {}): ElectionRow {
  return electionRow({ election: name, token: 5, holder: node === null ? null : { incarnation: `i-${node}`, node }, epoch: "e", changedAtMs: NOW - 10_000, ...over });
}

function candidate(node: string, over: Partial<GroupReading["candidates"][number]> = {}): GroupReading["candidates"][number] {
  return { election: "scheduler", incarnation: `i-${node}`, node, priority: 0, fit: true, joinOrder: node.charCodeAt(0), ...over };
}

/** Two healthy members; `a` coordinates and holds `scheduler`. */
function reading(over: Partial<GroupReading> = {}): GroupReading {
  return {
    storeTimeMs: NOW,
    epoch: "e",
    generation: 1,
    schemaVersion: 1,
    settings: "protocol=1",
    view: { version: 2, members: [viewed("a"), viewed("b")], coordinator: { incarnation: "i-a", node: "a" } },
    presence: [presence("b"), presence("a")],
    elections: [election("scheduler", "a"), election("coordinator", "a")],
    candidates: [],
    fences: [
      { election: "coordinator", token: 5 },
      { election: "scheduler", token: 5 },
    ],
    terms: [],
    ...over,
  };
}

function around(over: Partial<Surroundings> = {}): Surroundings {
  return {
    group: "g",
    kind: "memory",
    label: "memory:",
    capabilities: { hints: true, asyncTransactions: true, boundsFrozenTransactions: false, manyHosts: false, evidence: null },
    schemaNeeded: 1,
    session: { serverVersion: "1", hints: true, warnings: [], evidence: { held: false, why: "" } },
    latencyMs: 3.07,
    wallMs: NOW,
    ...over,
  };
}

const statusOf = (over: Partial<GroupReading> = {}, more: Partial<Surroundings> = {}) => deriveStatus(reading(over), around(more));
const codesOf = (over: Partial<GroupReading> = {}, more: Partial<Surroundings> = {}): WarningCode[] => statusOf(over, more).warnings.filter((warning) => warning.severity === "warning").map((warning) => warning.code);

describe("the read model", () => {
  it("of a healthy group has everything, in order, and nothing to warn about", () => {
    const status = statusOf();
    assert.deepEqual(status.members.map((member) => [member.node, member.state, member.inView, member.coordinator, member.silent]), [["a", "alive", true, true, false], ["b", "alive", true, false, false]]);
    assert.deepEqual(status.elections.map((each) => [each.election, each.holder?.node, each.token, each.fenceToken, each.termAgeMs]), [["coordinator", "a", "5", "5", 10_000], ["scheduler", "a", "5", "5", 10_000]]);
    assert.deepEqual([status.at, status.viewVersion, status.coordinator?.node, status.store.latencyMs, status.store.clockOffsetMs], ["2026-01-01T12:00:00.000Z", 2, "a", 3.1, 0]);
    assert.equal(status.members[0]?.joinedAt, "2026-01-01T11:59:00.000Z");
    assert.deepEqual(status.warnings.map((warning) => [warning.code, warning.severity]), [["CRASH_DETECTION_LEASE", "notice"]]);
  });

  it("is plain data: JSON loses nothing", () => {
    const status = statusOf({ presence: [presence("a"), presence("x", { state: "dead" })], terms: [{ election: "scheduler", token: 4, node: "b", incarnation: "i-b", beganAtMs: 1, endedAtMs: 2, endReason: "resigned" }] });
    assert.deepEqual(JSON.parse(JSON.stringify(status)), status);
  });

  it("tokens stay exact up to the largest", () => {
    assert.equal(statusOf({ elections: [election("e", "a", { token: Number.MAX_SAFE_INTEGER })] }).elections[0]?.token, "9007199254740991");
  });

  it("the trust left is what the last beat gave, less its age; none for a holder that is dead or gone", () => {
    const leftOf = (rows: readonly PresenceRow[]) => statusOf({ presence: rows }).elections[1]?.trustLeftMs;
    assert.equal(leftOf([presence("a", { beatAgeMs: 300 })]), Math.round(trustMs(LEASE) - 300));
    assert.equal(leftOf([presence("a", { beatAgeMs: 60_000 })]), 0);
    assert.equal(leftOf([presence("a", { state: "dead", beatAgeMs: 1 })]), 0);
    assert.equal(leftOf([]), 0);
  });

  it("a member is silent beyond its share of the lease, and not at it", () => {
    const silentAt = (beatAgeMs: number) => statusOf({ presence: [presence("a"), presence("b", { beatAgeMs })] }).members[1]?.silent;
    assert.deepEqual([silentAt(LEASE * SILENT_SHARE), silentAt(LEASE * SILENT_SHARE + 1)], [false, true]);
  });

  it("who is alive and not in the view yet is a member without a join time; who is dead and out of it has departed", () => {
    const status = statusOf({ presence: [presence("a"), presence("b"), presence("c"), presence("d", { state: "dead" })] });
    assert.deepEqual(status.members.map((member) => [member.node, member.inView, member.joinedAt === null, member.metadata]), [["a", true, false, { of: "a" }], ["b", true, false, { of: "b" }], ["c", false, true, null]]);
    assert.deepEqual(status.departed.map((member) => member.node), ["d"]);
  });

  it("who is in the view without a row is absent", () => {
    assert.deepEqual(statusOf({ presence: [presence("a")] }).members.map((member) => [member.node, member.state, member.ageMs]), [["a", "alive", 300], ["b", "absent", null]]);
  });

  it("a request to resign counts for the very term that it named", () => {
    const requested = (resignRequested: number | null) => statusOf({ elections: [election("e", "a", { resignRequested })] }).elections[0]?.resignRequested;
    assert.deepEqual([requested(5), requested(4), requested(null)], [true, false, false]);
  });

  it("the last term is the newest one that is over", () => {
    const term = (token: number, endedAtMs: number | null): TermRow => ({ election: "scheduler", token, node: `n${token}`, incarnation: "i", beganAtMs: 0, endedAtMs, endReason: endedAtMs === null ? null : "resigned" });
    assert.equal(statusOf({ terms: [term(3, 10), term(5, null), term(4, 20)] }).elections[1]?.lastTerm?.token, "4");
  });

  it("who is an observer, was evicted, or gives evidence of life is shown so", () => {
    const rows = [presence("a", { evidence: "held" }), presence("b", { evidence: "free", evicted: true }), presence("c", { observer: true }), presence("d", { state: "dead", evidence: "none" })];
    assert.deepEqual(
      [...statusOf({ presence: rows }).members, ...statusOf({ presence: rows }).departed].map(({ node, observer, evicted, crashDetection, connectionEnded }) => [node, observer, evicted, crashDetection, connectionEnded]),
      [["a", false, false, "evidence", false], ["b", false, true, "evidence", true], ["c", true, false, "lease", false], ["d", false, false, null, false]],
    );
  });

  it("how deaths are noticed is evidence if all give some, lease if nobody does, and else mixed", () => {
    const inForce = (rows: readonly PresenceRow["evidence"][], evidence: { readonly graceMs: number } | null = { graceMs: 100 }) => {
      const presences = rows.map((each, index) => presence(String.fromCodePoint(97 + index), { evidence: each }));
      const { crashDetection, warnings } = statusOf({ presence: presences }, { capabilities: { ...around().capabilities, evidence } });
      return [crashDetection.inForce, warnings.filter((warning) => warning.code === "CRASH_DETECTION_LEASE").map((warning) => warning.about)];
    };
    assert.deepEqual(inForce(["held", "held"]), ["evidence", []]);
    assert.deepEqual(inForce(["held", "none"]), ["mixed", ["b"]]);
    assert.deepEqual(inForce(["none", "none"]), ["lease", ["a, b"]]);
    assert.deepEqual(inForce(["none", "none"], null), ["lease", ["memory:"]]);
  });

  it("candidates come by priority and then age; those of the coordinator are all members but observers and the evicted", () => {
    const rows = [presence("a"), presence("b"), presence("c", { observer: true }), presence("d", { evicted: true })];
    const [coordinator, scheduler] = statusOf({ presence: rows, candidates: [candidate("b", { priority: 5, fit: false }), candidate("a"), candidate("x", { election: "other" })] }).elections;
    assert.deepEqual(coordinator?.candidates.map((each) => each.node), ["a", "b"]);
    assert.deepEqual(scheduler?.candidates, [{ node: "b", priority: 5, fit: false }, { node: "a", priority: 0, fit: true }]);
  });

  it("a pause, a reservation and in whose favour a holder was asked are shown; a reservation only of a free row", () => {
    const shown = (node: string | null, over: Partial<ElectionRow>) => statusOf({ elections: [election("e", node, over)] }).elections[0];
    assert.deepEqual(shown(null, { paused: { reason: "r", by: "ops", atMs: NOW } })?.paused, { reason: "r", by: "ops", at: "2026-01-01T12:00:00.000Z" });
    const reservation = { node: "b", forMs: 2_000 };
    assert.deepEqual([shown(null, { reservation })?.reservation, shown("a", { reservation })?.reservation], [reservation, null]);
    assert.deepEqual([shown("a", { resignRequested: 5, resignRequestedFor: "b" })?.resignRequestedFor, shown("a", { resignRequested: 4, resignRequestedFor: "b" })?.resignRequestedFor], ["b", null]);
  });

  it("before the first view there is view 0", () => {
    assert.equal(statusOf({ view: null }).viewVersion, 0);
  });
});

describe("warnings", () => {
  const cases: ReadonlyArray<readonly [what: string, over: Partial<GroupReading>, more: Partial<Surroundings>, expected: readonly WarningCode[]]> = [
    ["a silent member", { presence: [presence("a"), presence("b", { beatAgeMs: 3_000 })] }, {}, ["MEMBER_SILENT"]],
    ["a silent coordinator", { presence: [presence("a", { beatAgeMs: 3_000 }), presence("b")] }, {}, ["MEMBER_SILENT", "COORDINATOR_SILENT"]],
    ["a dead member that is still in the view", { presence: [presence("a"), presence("b", { state: "dead" })] }, {}, ["DEAD_IN_VIEW"]],
    ["a member of the view that the store does not know", { presence: [presence("a")] }, {}, ["DEAD_IN_VIEW"]],
    ["two live incarnations of one name", { presence: [presence("a"), presence("b"), presence("b", { incarnation: "i-b2" })] }, {}, ["NODE_TWICE"]],
    ["no coordinator", { elections: [election("coordinator", null), election("scheduler", "a")] }, {}, ["NO_COORDINATOR"]],
    ["an election of the coordinator that is not there", { elections: [election("scheduler", "a")] }, {}, ["NO_COORDINATOR"]],
    ["an election that was held, and is free", { elections: [election("coordinator", "a"), election("scheduler", null)] }, {}, ["ELECTION_VACANT"]],
    ["an election that was never held", { elections: [election("coordinator", "a"), election("scheduler", null, { token: 0 })] }, {}, []],
    ["a holder that is dead", { presence: [presence("a"), presence("b"), presence("c", { state: "dead" })], elections: [election("coordinator", "a"), election("scheduler", "c")] }, {}, ["HOLDER_DEAD"]],
    ["a fence behind its token", { elections: [election("coordinator", "a"), election("scheduler", "a", { token: 6 })] }, {}, ["FENCE_BEHIND"]],
    ["a fence behind for a moment, as in every claim", { elections: [election("coordinator", "a"), election("scheduler", "a", { token: 6, changedAtMs: NOW - 10 })] }, {}, []],
    ["a group without members: that, and not what follows from it", { presence: [presence("a", { state: "dead" }), presence("b", { state: "dead" })], elections: [election("coordinator", null), election("scheduler", null)] }, {}, ["NO_MEMBERS"]],
    ["an older schema", { schemaVersion: 1 }, { schemaNeeded: 2 }, ["SCHEMA_OLDER"]],
    ["a newer schema", { schemaVersion: 2 }, {}, ["SCHEMA_NEWER"]],
    ["what the session warns about", {}, { session: { serverVersion: "1", hints: false, warnings: ["a pooler is in between; connect directly"], evidence: { held: false, why: "" } } }, ["STORE_SESSION"]],
    ["hints that could be there and are not", {}, { session: { serverVersion: "1", hints: false, warnings: [], evidence: { held: false, why: "" } } }, ["NO_HINTS"]],
    ["a store without hints by nature", {}, { session: { serverVersion: "1", hints: false, warnings: [], evidence: { held: false, why: "" } }, capabilities: { ...around().capabilities, hints: false } }, []],
    ["a slow store", {}, { latencyMs: SLOW_STORE_MS + 1 }, ["STORE_SLOW"]],
    ["a store just not slow", {}, { latencyMs: SLOW_STORE_MS }, []],
    ["a clock behind", {}, { wallMs: NOW + LARGE_CLOCK_OFFSET_MS + 1 }, ["CLOCK_OFFSET"]],
    ["a clock ahead", {}, { wallMs: NOW - LARGE_CLOCK_OFFSET_MS - 1 }, ["CLOCK_OFFSET"]],
    ["a member that was evicted, and is still there", { presence: [presence("a"), presence("b", { evicted: true, beatAgeMs: 3_000 })] }, {}, ["MEMBER_EVICTED"]],
    ["a member that was evicted a moment ago", { presence: [presence("a"), presence("b", { evicted: true })] }, {}, []],
    ["an election that is paused and that nobody holds, for long", { elections: [election("coordinator", "a"), election("scheduler", null, { paused: { reason: "r", by: "ops", atMs: NOW - LONG_PAUSE_MS - 1 } })] }, {}, ["ELECTION_PAUSED"]],
    ["one that is paused since just then, on purpose", { elections: [election("coordinator", "a"), election("scheduler", null, { paused: { reason: "r", by: "ops", atMs: NOW - LONG_PAUSE_MS } })] }, {}, []],
    ["one that is paused, and held", { elections: [election("coordinator", "a"), election("scheduler", "a", { paused: { reason: "r", by: "ops", atMs: 0 } })] }, {}, []],
    ["an election whose candidates may all not lead", { elections: [election("coordinator", "a"), election("scheduler", null, { token: 0 })], candidates: [candidate("a", { fit: false }), candidate("b", { fit: false })] }, {}, ["NO_FIT_CANDIDATE"]],
    ["one of whose candidates one may", { candidates: [candidate("a"), candidate("b", { fit: false })] }, {}, []],
    ["a clock just not off", {}, { wallMs: NOW - LARGE_CLOCK_OFFSET_MS }, []],
  ];
  for (const [what, over, more, expected] of cases) {
    it(`${what}: ${expected.length === 0 ? "nothing" : expected.join(", ")}`, () => assert.deepEqual(codesOf(over, more), expected));
  }

  it("each says what it is about and what to do next; notices come last", () => {
    const warnings = statusOf({ presence: [presence("a", { beatAgeMs: 9_000 })], elections: [election("scheduler", null)] }, { session: { serverVersion: "1", hints: false, warnings: ["x; do y"], evidence: { held: false, why: "" } }, latencyMs: 5_000 }).warnings;
    assert.ok(warnings.length >= 5);
    for (const { about, message, next } of warnings) assert.ok(about !== "" && message !== "" && next !== "", JSON.stringify({ about, message, next }));
    const firstNotice = warnings.findIndex((warning) => warning.severity === "notice");
    assert.ok(warnings.slice(firstNotice).every((warning) => warning.severity === "notice"));
    assert.deepEqual(warnings.find((warning) => warning.code === "STORE_SESSION")?.next, "do y");
  });

  it("can be made of a status again", () => {
    const { warnings, ...facts } = statusOf();
    assert.deepEqual(warningsOf(facts, around()), warnings);
  });
});

describe("a status's fingerprint", () => {
  it("is the same while only time passes", () => {
    const later = reading({ storeTimeMs: NOW + 500, presence: [presence("b", { beatAgeMs: 500, beat: 8 }), presence("a", { beatAgeMs: 800 })] });
    assert.equal(fingerprint(statusOf()), fingerprint(deriveStatus(later, around({ latencyMs: 9, wallMs: NOW + 480 }))));
  });

  it("is another one when something happened", () => {
    const before = fingerprint(statusOf());
    for (const over of [
      { presence: [presence("a"), presence("b"), presence("c")] },
      { presence: [presence("a"), presence("b", { state: "dead" })] },
      { presence: [presence("a"), presence("b", { beatAgeMs: 3_000 })] },
      { elections: [election("coordinator", "a"), election("scheduler", "b", { token: 6 })] },
      { elections: [election("coordinator", "a"), election("scheduler", "a", { resignRequested: 5 })] },
      { elections: [election("coordinator", "a"), election("scheduler", "a", { paused: { reason: "r", by: "b", atMs: 1 } })] },
      { candidates: [candidate("a")] },
      { presence: [presence("a"), presence("b", { evicted: true })] },
      { presence: [presence("a"), presence("b", { evidence: "held" })] },
      { epoch: "f" },
      { view: { version: 3, members: [viewed("a"), viewed("b")], coordinator: null } },
    ] satisfies Partial<GroupReading>[]) {
      assert.notEqual(fingerprint(statusOf(over)), before, JSON.stringify(over));
    }
  });
});

describe("a resignation, step by step", () => {
  it("the term to end is that of the present holder", () => {
    assert.deepEqual(termToEnd(reading(), "scheduler"), { kind: "held", token: 5, node: "a", leaseMs: LEASE });
  });

  it("there is none where nobody holds it, or no such election is known", () => {
    assert.deepEqual(termToEnd(reading({ elections: [election("scheduler", null)] }), "scheduler"), { kind: "done", outcome: { outcome: "not-held", election: "scheduler", token: "5" } });
    assert.deepEqual(termToEnd(reading(), "x"), { kind: "done", outcome: { outcome: "unknown", election: "x", known: ["scheduler", "coordinator"] } });
  });

  it("it has ended when the row does not hold that token any more", () => {
    const term: TermRow = { election: "scheduler", token: 5, node: "a", incarnation: "i-a", beganAtMs: 1, endedAtMs: 2, endReason: "resigned" };
    assert.equal(termEnd(reading(), "scheduler", 5), undefined);
    assert.deepEqual(termEnd(reading({ elections: [election("scheduler", null)], terms: [term] }), "scheduler", 5), { reason: "resigned", successor: null });
    assert.deepEqual(termEnd(reading({ elections: [election("scheduler", "b", { token: 6 })] }), "scheduler", 5), { reason: "", successor: { node: "b", token: "6" } });
  });

  it("patience covers two leases of the holder", () => {
    assert.deepEqual([resignPatienceMs(2_000), resignPatienceMs(15_000)], [10_000, 30_000]);
  });
});

describe("events for readers", () => {
  it("have times as text and tokens as strings, and a cursor to go on from", () => {
    const page = presentPage({ events: [{ sequence: 8, atMs: NOW, type: "term-began", subject: "e", detail: { token: 2 ** 33, node: "a" } }], skipped: 3, newest: 9 }, 4);
    assert.deepEqual(page, { events: [{ sequence: 8, at: "2026-01-01T12:00:00.000Z", type: "term-began", subject: "e", detail: { token: "8589934592", node: "a" } }], skipped: 3, cursor: 8, newest: 9 });
    assert.equal(presentPage({ events: [], skipped: 0, newest: 4 }, 4).cursor, 4);
  });
});
