import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { viewFloor } from "../../../src/store/index.ts";
import { Connection } from "../../../src/store/sqlite/connection.ts";
import { Evidence } from "../../../src/store/sqlite/evidence.ts";
import { Operations } from "../../../src/store/sqlite/operations.ts";
import { statementsFor } from "../../../src/store/sqlite/statements.ts";
import { CALL, joined } from "./member.ts";
import type { Joined } from "./member.ts";
import { folder, withDatabase } from "./place.ts";

const TABLES = ["schema", "group", "view", "presence", "election", "candidate", "fence", "event", "term"];

describe("what operations write to a SQLite file", () => {
  const home = folder();
  let path: string;
  let files = 0;
  const open: Joined[] = [];
  const member = async () => {
    const each = await joined(path);
    open.push(each);
    return each;
  };
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
  });
  after(async () => {
    for (const each of open) await each.session.close();
    home.remove();
  });

  /** From now on every row that is written leaves its table's name in an audit. */
  const audit = () =>
    withDatabase(path, (database) => {
      database.exec("CREATE TABLE audit (what TEXT)");
      for (const table of TABLES) {
        for (const verb of ["INSERT", "UPDATE", "DELETE"]) {
          database.exec(`CREATE TRIGGER audit_${verb}_${table} AFTER ${verb} ON tribune_${table} BEGIN INSERT INTO audit VALUES ('${verb} ${table}'); END`);
        }
      }
    });
  const written = () => withDatabase(path, (database) => database.prepare("DELETE FROM audit RETURNING what").all().map((row) => row["what"]));

  it("a beat writes one row, however many elections are held; one that is refused, and every reading, writes none", async () => {
    const a = await member();
    for (const election of ["one", "two", "three"]) await a.lead(election);
    audit();
    assert.equal((await a.beat(5, { viewSeen: 3 })).accepted, true);
    assert.deepEqual(written(), ["UPDATE presence"]);
    assert.equal((await a.beat(5)).accepted, false);
    await a.session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: "all" }, CALL);
    await a.session.readGroup(CALL);
    await a.session.readMembers({ incarnations: [a.incarnation] }, CALL);
    await a.session.readEvents({ after: 0, limit: 10 }, CALL);
    assert.deepEqual(written(), []);
  });

  it("a beat that brings news of a generation also writes the group's row, once", async () => {
    const a = await member();
    audit();
    assert.equal((await a.beat(1, { generation: 7 })).generation, 8);
    assert.deepEqual(written(), ["UPDATE group", "UPDATE presence"]);
    assert.equal((await a.beat(2, { generation: 8 })).generation, 8);
    assert.deepEqual(written(), ["UPDATE presence"]);
  });

  it("a connection never waits inside SQLite, where the event loop would wait with it", () => {
    const connection = Connection.open(path, { create: true });
    assert.deepEqual({ ...connection.database.prepare("PRAGMA busy_timeout").get() }, { timeout: 0 });
    connection.close();
  });

  it("what must survive a crash of the machine is synced before the answer; what may be lost is not", async () => {
    const { session, node, epoch, incarnation: other } = await member();
    const connection = Connection.open(path, { create: false });
    const operations = new Operations({ connection, statements: statementsFor("tribune_"), group: "g", epoch, evidence: Evidence.none(home.path, "none is needed") });
    const FULL = 2;
    const NORMAL = 1;
    const incarnation = "me";
    const beat = (number: number, generation = 0) => operations.beat({ incarnation, beat: number, generation, viewSeen: 0, cursor: { epoch, electionsVersion: 0, viewVersion: 0 }, watch: [] });
    let token = 0;
    const steps: readonly (readonly [level: number, step: () => unknown])[] = [
      [FULL, () => operations.join({ incarnation, node: "mine", leaseMs: 1, metadata: "{}", settings: "" })],
      [NORMAL, () => beat(1)],
      [FULL, () => beat(2, 10)],
      [NORMAL, () => beat(3)],
      [FULL, () => operations.createElection({ election: "coordinator" })],
      [FULL, () => (token = operations.claim({ election: "coordinator", incarnation, node: "mine", expectedToken: 0, epoch, tokenSeen: 0 })?.token ?? 0)],
      [NORMAL, () => operations.updateMetadata({ incarnation, metadata: "{}" })],
      [FULL, () => operations.passFence({ election: "coordinator", incarnation, token, epoch })],
      [NORMAL, () => operations.requestResign({ election: "coordinator", token })],
      [NORMAL, () => operations.setCandidacy({ election: "coordinator", incarnation, candidacy: { priority: 1, fit: true } }).done],
      [FULL, () => operations.pause({ election: "coordinator", by: "somebody", reason: "a test" })],
      [FULL, () => operations.resume({ election: "coordinator", by: "somebody" })],
      [
        FULL,
        () => operations.publishView({ token, incarnation, epoch, expectedVersion: 0, view: { version: viewFloor(11) + 1, members: [], coordinator: null }, events: [], forgetDeadAfterMs: 0 }),
      ],
      [NORMAL, () => operations.resign({ election: "coordinator", incarnation, token, reason: "done" })],
      [NORMAL, () => operations.evict({ node: "mine", by: "somebody", reason: "a test" })],
      [NORMAL, () => operations.declareDead({ incarnation: other, beat: 0, epoch, requireExpired: false, by: node, reason: "expired" })],
      [NORMAL, () => operations.leave({ incarnation })],
    ];
    for (const [level, step] of steps) {
      assert.ok(step(), step.toString());
      const found = connection.database.prepare("PRAGMA synchronous").get()?.["synchronous"];
      assert.equal(found, level, step.toString());
    }
    assert.equal(connection.database.prepare("PRAGMA journal_mode").get()?.["journal_mode"], "wal");
    assert.equal(session.ended.aborted, false);
    connection.close();
  });
});
