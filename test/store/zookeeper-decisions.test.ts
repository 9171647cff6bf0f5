import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isTribuneError } from "../../src/kernel/index.ts";
import { EVENTS_KEPT } from "../../src/store/index.ts";
import type { JoinInput } from "../../src/store/index.ts";
import { ZookeeperError } from "../../src/store/zookeeper/client/codes.ts";
import { OPEN_ACL } from "../../src/store/zookeeper/client/records.ts";
import { NOW, readDocument, writeDocument } from "../../src/store/zookeeper/document.ts";
import type { GroupDocument } from "../../src/store/zookeeper/document.ts";
import { leavesUnknown } from "../../src/store/zookeeper/errors.ts";
import { hintsBetween } from "../../src/store/zookeeper/hints.ts";
import { packed, unpacked } from "../../src/store/zookeeper/packing.ts";
import { pathsBelow } from "../../src/store/zookeeper/paths.ts";
import { claim, createElection, evict, leave, makeGroup, oldestKept, pause, resign, resume, setCandidacy } from "../../src/store/zookeeper/statements.ts";
import type { Place } from "../../src/store/zookeeper/statements.ts";
import { StoreClock } from "../../src/store/zookeeper/store-clock.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { fc } from "../support/properties.ts";

const PLACE: Place = { paths: pathsBelow("/tribune").group("g"), group: "g", epoch: { epoch: "one", number: 1 }, acl: OPEN_ACL };
const JOIN: JoinInput = { incarnation: "i1", node: "n1", leaseMs: 1_000, metadata: "{}", settings: "s" };
const NO_TERMS = { value: [], version: 0, modifiedMs: 0 };

/** What the next reader has, who reads it as written at that time. */
function written(document: GroupDocument, atMs: number): GroupDocument {
  return readDocument(writeDocument(document), atMs, "/g");
}

function group(): GroupDocument {
  const { document } = makeGroup(PLACE, JOIN);
  createElection(PLACE, document, "e");
  return document;
}

describe("what is stored in a znode", () => {
  it("comes back as it was, short or long, whatever it holds", () => {
    fc.assert(fc.property(fc.jsonValue(), fc.nat(40), (value, times) => assert.deepEqual(unpacked(packed(Array.from({ length: times }, () => value)), "/x"), JSON.parse(JSON.stringify(Array.from({ length: times }, () => value))))));
    const long = { names: Array.from({ length: 5_000 }, (_, n) => `member-${n}`) };
    assert.deepEqual(unpacked(packed(long), "/x"), long);
    assert.ok(packed(long).length < JSON.stringify(long).length / 2, "what is long is compressed");
    assert.equal(packed({ a: 1 }).toString(), '{"a":1}', "what is short can be read by anybody");
  });

  it("and is somebody else's, is told by its path", () => {
    for (const bytes of [Buffer.from("not json"), Buffer.of(1, 2, 3, 4), Buffer.alloc(0)]) {
      assert.throws(() => unpacked(bytes, "/theirs"), (error) => isTribuneError(error, "STORE_FAILED") && error.message.includes("/theirs") && !error.retryable);
    }
  });
});

describe("a transaction that failed", () => {
  it("was not carried out where one of its operations, or all of it, was refused", () => {
    assert.equal(leavesUnknown(new ZookeeperError("BADVERSION", "", { index: 0 })), false);
    for (const code of ["NOAUTH", "SESSIONEXPIRED", "SESSIONMOVED", "QUOTAEXCEEDED", "THROTTLEDOP"] as const) assert.equal(leavesUnknown(new ZookeeperError(code, "")), false, code);
  });

  it("may have been, or not, after whatever else: a connection that broke, an answer that could not be read, a server in trouble", () => {
    for (const code of ["BROKEN", "NOTZOOKEEPER", "CONNECTIONLOSS", "OPERATIONTIMEOUT", "REQUESTTIMEOUT", "SYSTEMERROR", "UNKNOWN"] as const) assert.equal(leavesUnknown(new ZookeeperError(code, "")), true, code);
    assert.equal(leavesUnknown(new Error("too late")), true);
  });
});

describe("stamps", () => {
  it("that nobody could know before the writing are those of the writing, and stay when others write later", () => {
    const first = group();
    assert.equal(first.presence[0]?.joinedAtMs, NOW);
    const second = written(first, 1_000);
    assert.deepEqual([second.presence[0]?.joinedAtMs, second.elections[0]?.row.changedAtMs], [1_000, 1_000]);
    assert.notEqual(claim(PLACE, second, { election: "e", incarnation: "i1", node: "n1", expectedToken: 0, epoch: "one", tokenSeen: 0 }, NO_TERMS).answer, null);
    pause(PLACE, second, { election: "e", by: "x", reason: "y" });
    const third = written(second, 2_000);
    const [entry] = third.elections;
    assert.deepEqual([entry?.row.changedAtMs, entry?.row.paused?.atMs, entry?.term?.beganAtMs, entry?.term?.endedAtMs, third.presence[0]?.joinedAtMs], [2_000, 2_000, 2_000, null, 1_000]);
    assert.deepEqual(third.events.map((event) => event.atMs), [2_000, 2_000]);
  });

  it("are not looked for where the user's own numbers are", () => {
    const document = group();
    setCandidacy(document, { election: "e", incarnation: "i1", candidacy: { priority: NOW, fit: true } });
    assert.equal(written(document, 5_000).elections[0]?.candidates[0]?.priority, NOW);
  });
});

describe("the record", () => {
  it("has no gaps, and what is in the document and what was moved out of it are all that is kept", () => {
    const document = group();
    const moved = new Map<number, number>();
    for (let n = 0; n < EVENTS_KEPT + 500; n++) {
      const step = n % 2 === 0 ? pause(PLACE, document, { election: "e", by: "x", reason: "y" }) : resume(PLACE, document, { election: "e", by: "x" });
      for (const operation of step.operations ?? []) {
        const first = Number(operation.path.split("/").at(-1));
        if (operation.op === "delete") moved.delete(first);
        if (operation.op === "create") moved.set(first, (JSON.parse(Buffer.from(operation.data).toString()) as unknown[]).length);
      }
      if (n % 1_000 === 0) assert.equal([...moved.values()].reduce((sum, count) => sum + count, 0) + document.events.length, document.eventSequence - (document.segments[0] ?? 1) + 1);
    }
    assert.deepEqual([...moved.keys()], document.segments, "the document knows of each");
    assert.equal(oldestKept(document), document.eventSequence - EVENTS_KEPT + 1);
    const removedBy = (document.segments.at(-1) ?? 0) + 50 - EVENTS_KEPT; // when events were moved last
    assert.ok((document.segments[0] ?? 0) <= oldestKept(document) && (document.segments[1] ?? 0) > removedBy, "nothing is kept that nobody was shown then");
  });
});

describe("hints", () => {
  it("tell of what changed between two documents, and of nothing else", () => {
    const before = group();
    const after = (change: (document: GroupDocument) => void) => {
      const document = structuredClone(before);
      change(document);
      return hintsBetween(before, document);
    };
    const beat = { value: { beat: 0, viewSeen: 0 }, version: 0, modifiedMs: 0 };
    assert.deepEqual(after(() => undefined), []);
    assert.deepEqual(after((document) => void setCandidacy(document, { election: "e", incarnation: "i1", candidacy: { priority: 0, fit: true } })), []);
    assert.deepEqual(after((document) => (document.generation += 1)), []);
    assert.deepEqual(after((document) => void leave(PLACE, document, "i1", beat)), [{ kind: "presence" }]);
    assert.deepEqual(after((document) => void evict(PLACE, document, { node: "n1", by: "x", reason: "y" }, beat)), [{ kind: "presence" }]);
    assert.deepEqual(after((document) => void createElection(PLACE, document, "f")), [{ kind: "election", election: "f" }]);
    assert.deepEqual(after((document) => void resign(PLACE, document, { election: "e", incarnation: "i1", token: 9, reason: "none" })), []);
    assert.deepEqual(after((document) => (document.viewVersion = 3)), [{ kind: "view" }]);
    assert.deepEqual(after((document) => (document.presence = [])), [], "that the dead are forgotten is no news");
    assert.deepEqual(hintsBetween(undefined, before), [{ kind: "presence" }, { kind: "election", election: "e" }]);
  });
});

describe("the store's clock, as a session knows it", () => {
  it("is never ahead of what the store has reached, goes on between stamps, and never back for a late one", async () => {
    const clock = new VirtualClock();
    const store = new StoreClock(clock);
    store.see(10_000);
    assert.equal(store.nowMs(), 10_000);
    await clock.advance(500);
    assert.equal(store.nowMs(), 10_500);
    store.see(10_100);
    assert.equal(store.nowMs(), 10_500, "an old stamp tells nothing");
    store.see(11_000);
    assert.equal(store.nowMs(), 11_000);
  });

  it("follows a leader whose clock is behind after a minute, by stamps of its own writes", async () => {
    const clock = new VirtualClock();
    const store = new StoreClock(clock);
    store.seeOwn(100_000);
    await clock.advance(1_000);
    store.seeOwn(50_000);
    assert.equal(store.nowMs(), 101_000);
    await clock.advance(60_000);
    store.seeOwn(111_000);
    assert.equal(store.nowMs(), 111_000);
  });
});
