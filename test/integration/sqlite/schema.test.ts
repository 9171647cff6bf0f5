import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import { after, beforeEach, describe, it } from "node:test";
import { SCHEMA_WORKS_WITH } from "../../../src/store/index.ts";
import { DEFAULT_TABLE_PREFIX } from "../../../src/store/sqlite/options.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import { joined } from "./member.ts";
import { contextOf, folder, pretendSchema, withDatabase } from "./place.ts";
import { VERSION_1 } from "./version-1.ts";

describe("the schema of a SQLite store", () => {
  const home = folder();
  let path: string;
  let files = 0;
  beforeEach(() => {
    files += 1;
    path = home.file(`${files}.db`);
  });
  after(() => home.remove());

  it("can be made by running the printed statements, twice too, without permission to make it later", async () => {
    const { schema } = sqlite({ path });
    const statements = schema.statements(0);
    for (let times = 0; times < 2; times++) withDatabase(path, (database) => database.exec(statements.join(";\n")));
    assert.deepEqual(await schema.installed(contextOf()), { version: schema.version, worksWith: SCHEMA_WORKS_WITH });
    const a = await joined(path, { createSchema: false });
    assert.equal((await a.beat(1)).accepted, true);
    await a.session.close();
  });

  it("that was half made by hand is completed", async () => {
    const { schema } = sqlite({ path });
    withDatabase(path, (database) => database.exec(schema.statements(0).slice(0, 4).join(";\n")));
    assert.deepEqual(await schema.installed(contextOf()), { version: 0, worksWith: 0 });
    assert.deepEqual(await schema.migrate(contextOf()), { from: 0, to: schema.version });
  });

  it("is made of tables that all begin with the prefix, so that the user's own are left alone", async () => {
    await (await sqlite({ path, tablePrefix: "coordination_" }).open(contextOf())).close();
    const names = withDatabase(path, (database) => database.prepare("SELECT name FROM sqlite_schema").all().map((row) => String(row["name"])));
    assert.ok(names.length >= 8);
    for (const name of names) assert.match(name, /^(sqlite_autoindex_)?coordination_/);
    assert.equal(DEFAULT_TABLE_PREFIX, "tribune_");
  });

  it("of version 1 is brought up to date with all that is in it, and by the printed statements as well as by migrate", async () => {
    const provider = sqlite({ path });
    const byHand = home.file(`${files}-by-hand.db`);
    const made = home.file(`${files}-made.db`);
    for (const file of [path, byHand]) withDatabase(file, (database) => database.exec([...VERSION_1, ...DATA_OF_VERSION_1].join(";\n")));
    const before = contentOf(path);
    assert.deepEqual(await provider.schema.installed(contextOf()), { version: 1, worksWith: 1 });
    await assert.rejects(provider.open(contextOf({ createSchema: false })), { code: "SCHEMA_OUTDATED" });
    assert.deepEqual(await provider.schema.migrate(contextOf()), { from: 1, to: 2 });
    withDatabase(byHand, (database) => database.exec(provider.schema.statements(1).join(";\n")));
    assert.deepEqual(await sqlite({ path: byHand }).schema.installed(contextOf()), { version: 2, worksWith: 2 });
    await sqlite({ path: made }).schema.migrate(contextOf());
    assert.deepEqual(columnsOf(path), columnsOf(made));
    assert.deepEqual(columnsOf(byHand), columnsOf(made));
    for (const [table, rows] of Object.entries(before)) {
      if (table === "tribune_schema") continue;
      const found = contentOf(path)[table] ?? [];
      assert.deepEqual(found.map((row, n) => Object.fromEntries(Object.keys(rows[n] ?? {}).map((column) => [column, row[column]]))), rows, table);
    }

    const session = await provider.open(contextOf({ createSchema: false }));
    const reading = await session.readGroup({ deadlineMs: 1_000 });
    assert.deepEqual(
      reading?.presence.map(({ incarnation, state, beat, observer, evicted, evidence }) => ({ incarnation, state, beat, observer, evicted, evidence })),
      [
        { incarnation: "i-1", state: "alive", beat: 7, observer: false, evicted: false, evidence: "none" },
        { incarnation: "i-2", state: "dead", beat: 3, observer: false, evicted: false, evidence: "none" },
      ],
    );
    const row = { election: "e", token: 4294967297, holder: { incarnation: "i-1", node: "n-1" }, epoch: "old", version: 3, resignRequested: 4294967297, changedAtMs: 1_000 };
    const unset = { resignRequestedFor: null, reservation: null, paused: null, priority: 0, minimumTermMs: 0, ranked: false };
    assert.deepEqual(reading?.elections, [{ ...row, ...unset }]);
    assert.equal(reading?.view?.version, 9);
    assert.deepEqual(reading?.candidates, []);
    await session.close();
  });

  it("of version 1 that somebody began to bring up to date by hand is completed", async () => {
    const { schema } = sqlite({ path });
    withDatabase(path, (database) => database.exec([...VERSION_1, ...schema.statements(1).slice(0, 5)].join(";\n")));
    assert.deepEqual(await schema.migrate(contextOf()), { from: 1, to: 2 });
    assert.deepEqual(await schema.installed(contextOf()), { version: 2, worksWith: 2 });
    const a = await joined(path, { createSchema: false });
    assert.equal((await a.beat(1)).accepted, true);
    await a.session.close();
  });

  it("of version 1 that was half made by hand is completed", async () => {
    const { schema } = sqlite({ path });
    withDatabase(path, (database) => database.exec(VERSION_1.slice(0, 6).join(";\n")));
    assert.deepEqual(await schema.migrate(contextOf()), { from: 0, to: 2 });
    assert.deepEqual(await schema.installed(contextOf()), { version: 2, worksWith: 2 });
  });

  it("that is newer than this code, and does not say that it works with it, is left alone by migrate", async () => {
    const { schema } = sqlite({ path });
    const newer = { version: schema.version + 1, worksWith: schema.version + 1 };
    pretendSchema(path, newer);
    await assert.rejects(schema.migrate(contextOf()), { code: "SCHEMA_TOO_NEW" });
    assert.deepEqual(await schema.installed(contextOf()), newer);
  });

  it("that is newer than this code, and says that it works with it, is used and left alone", async () => {
    const { schema } = sqlite({ path });
    const newer = { version: schema.version + 1, worksWith: schema.version };
    pretendSchema(path, newer);
    assert.deepEqual(await schema.migrate(contextOf()), { from: newer.version, to: newer.version });
    const a = await joined(path);
    assert.equal((await a.beat(1)).accepted, true);
    assert.deepEqual(await schema.installed(contextOf()), newer);
    await a.session.close();
  });
});

/** A group with a leader that was asked to resign, one who died, a view and a history. */
const DATA_OF_VERSION_1: readonly string[] = [
  `INSERT INTO tribune_group VALUES ('g', 'old', 'old', 1, '{}', 4000, 2, 3, 2, 9)`,
  `INSERT INTO tribune_view VALUES ('g', '{"version":9,"members":[],"coordinator":null}')`,
  `INSERT INTO tribune_presence VALUES ('g', 'i-1', 'n-1', 'alive', 7, 4000, 1000, 9, 1, 500, NULL, NULL, 2, '{"a":1}')`,
  `INSERT INTO tribune_presence VALUES ('g', 'i-2', 'n-2', 'dead', 3, 4000, 900, 8, 2, 600, 950, 'left', 1, '{}')`,
  `INSERT INTO tribune_election VALUES ('g', 'e', 4294967297, 'i-1', 'n-1', 'old', 3, 4294967297, 1000)`,
  `INSERT INTO tribune_fence VALUES ('g', 'e', 4294967297)`,
  `INSERT INTO tribune_event VALUES ('g', 1, 800, 'term-began', 'e', '{}')`,
  `INSERT INTO tribune_event VALUES ('g', 2, 900, 'member-left', 'n-2', '{}')`,
  `INSERT INTO tribune_term VALUES ('g', 'e', 4294967297, 'n-1', 'i-1', 800, NULL, NULL)`,
];

type Row = Readonly<Record<string, unknown>>;

/** All rows of all tables. */
function contentOf(path: string): Readonly<Record<string, readonly Row[]>> {
  return withDatabase(path, (database) =>
    Object.fromEntries(tablesOf(database).map((table) => [table, database.prepare(`SELECT * FROM ${table}`).all().map((row) => ({ ...row }))])),
  );
}

/** What each table looks like, in whichever order its columns were added. */
function columnsOf(path: string): Readonly<Record<string, readonly Row[]>> {
  return withDatabase(path, (database) =>
    Object.fromEntries(
      tablesOf(database).map((table) => [table, database.prepare('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?) ORDER BY name').all(table).map((row) => ({ ...row }))]),
    ),
  );
}

function tablesOf(database: DatabaseSync): readonly string[] {
  return database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all().map((row) => String(row["name"]));
}
