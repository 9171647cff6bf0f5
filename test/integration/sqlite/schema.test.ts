import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { SCHEMA_WORKS_WITH } from "../../../src/store/index.ts";
import { DEFAULT_TABLE_PREFIX } from "../../../src/store/sqlite/options.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import { joined } from "./member.ts";
import { contextOf, folder, pretendSchema, withDatabase } from "./place.ts";

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

  it("that is newer than this code is left alone by migrate", async () => {
    const provider = sqlite({ path });
    pretendSchema(path, provider.schema.version + 1);
    await assert.rejects(provider.schema.migrate(contextOf()), { code: "SCHEMA_TOO_NEW" });
    assert.equal((await provider.schema.installed(contextOf())).version, provider.schema.version + 1);
  });
});
