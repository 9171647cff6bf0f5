import assert from "node:assert/strict";
import { it } from "node:test";
import { Client } from "pg";
import { isTribuneError } from "../../../src/kernel/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { Member } from "../../../src/testing/conformance/scene.ts";
import { firstSchema } from "./first-schema.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const TABLES = ["groups", "presence", "elections", "fences", "views", "events", "terms"];

/** From one version of the schema to the next, with what is in it, and with nodes that are at work. */
await describeWithServer("migrating a schema in PostgreSQL", {}, async (server) => {
  it("keeps all that was stored, and the group goes on where it was", async (t) => {
    const { name, url } = await filled("kept");
    const provider = postgres({ url });
    const scene = sceneOn(t, provider);
    const before = await stored(name);
    assert.deepEqual(await provider.schema.installed(scene.context()), { version: 1, worksWith: 1 });
    assert.deepEqual(await provider.schema.migrate(scene.context()), { from: 1, to: 2 });
    assert.deepEqual(await provider.schema.installed(scene.context()), { version: 2, worksWith: 2 });
    const after = await stored(name);
    for (const table of TABLES) {
      assert.equal(after[table]?.length, before[table]?.length);
      // A row with more in it than before, but for what is new, is the row of before.
      for (const [n, row] of (before[table] ?? []).entries()) assert.deepEqual({ ...after[table]?.[n], ...row }, after[table]?.[n], `row ${n} of ${table}`);
    }
    const session = await scene.session({ group: "kept" });
    const leader = new Member(scene, session, { ...scene.joinInput({ incarnation: "i-1", node: "one" }), group: "kept", joinOrder: 1 });
    const reply = await leader.beat({ beat: 8 });
    assert.equal(reply.accepted, true);
    const row = reply.elections.find((each) => each.election === "e");
    assert.deepEqual([row?.token, row?.holder?.node, row?.paused, row?.reservation, row?.priority, row?.minimumTermMs, row?.ranked], [4294967301, "one", null, null, 0, 0, false]);
    assert.deepEqual(reply.presence.toSorted((x, y) => x.joinOrder - y.joinOrder).map(({ node, state, observer, evicted, evidence }) => [node, state, observer, evicted, evidence]), [
      ["one", "alive", false, false, "none"],
      ["two", "dead", false, false, "none"],
    ]);
    assert.equal(reply.view?.version, 3);
    assert.equal(await leader.resign("e", 4294967301), true);
    assert.equal((await leader.claim("e", { tokenSeen: 4294967301 }))?.token, 4294967302);
    assert.deepEqual((await leader.events()).map((event) => event.type), ["epoch-changed", "term-began", "term-ended", "term-began"]);
  });

  it("ends with the same tables as making them anew", async () => {
    const [migrated, made] = [await filled("same"), await server.createDatabase()];
    for (const statement of postgres({ url: migrated.url }).schema.statements(1)) await server.query(statement, [], { database: migrated.name });
    for (const statement of postgres({ url: made.url }).schema.statements(0)) await server.query(statement, [], { database: made.name });
    const shapes = [
      "select table_name, column_name, data_type, is_nullable, collation_name, column_default from information_schema.columns where table_schema = 'tribune' order by 1, 2",
      "select tablename, indexdef from pg_indexes where schemaname = 'tribune' order by 1, 2",
      "select relname, reloptions from pg_class where relnamespace = 'tribune'::regnamespace and relkind = 'r' order by 1",
      "select version, works_with from tribune.meta",
    ];
    for (const shape of shapes) {
      const found = await server.query(shape, [], { database: migrated.name });
      assert.ok(found.length > 0);
      assert.deepEqual(found, await server.query(shape, [], { database: made.name }));
    }
  });

  it("is done once where many try at once, and not again", async (t) => {
    const { url } = await filled("many");
    const provider = postgres({ url });
    const scene = sceneOn(t, provider);
    const done = await Promise.all(Array.from({ length: 4 }, async () => await provider.schema.migrate(scene.context())));
    assert.ok(done.some(({ from }) => from === 1));
    assert.deepEqual(done.map(({ to }) => to), [2, 2, 2, 2]);
    assert.deepEqual(await provider.schema.migrate(scene.context()), { from: 2, to: 2 });
    assert.deepEqual(provider.schema.statements(2), []);
  });

  it("goes on beside nodes at work, none of whose beats fails or waits for long", async (t) => {
    const { name, url } = await filled("busy");
    const provider = postgres({ url });
    const scene = sceneOn(t, provider);
    const node = await connected(t, url);
    let beats = 0;
    const over = new AbortController();
    const beating = (async () => {
      // A beat as code of version 1 sends it: it takes the tables' locks in its own order.
      while (!over.signal.aborted) {
        await node.query("with e as (select count(*) from tribune.elections) update tribune.presence p set beat = beat + 1 from e where p.grp = 'busy' and p.state = 'alive'");
        beats += 1;
      }
    })();
    await scene.until("it beats", async () => (beats > 10 ? true : undefined));
    await provider.schema.migrate(scene.context());
    const then = beats;
    await scene.until("it beats on", async () => (beats > then + 10 ? true : undefined));
    over.abort();
    await beating;
    const [row] = await server.query("select beat::int as beat from tribune.presence where grp = 'busy' and state = 'alive'", [], { database: name });
    assert.equal(row?.["beat"], 7 + beats);
  });

  it("gives way to a transaction that stays open on the tables, says so, leaves what works, and is done once that is over", async (t) => {
    const { url } = await filled("held");
    const provider = postgres({ url });
    const scene = sceneOn(t, provider);
    const reader = await connected(t, url);
    await reader.query("begin; select from tribune.presence");
    await assert.rejects(provider.schema.migrate(scene.context({ deadlineMs: 60_000 })), (error) => {
      assert.ok(isTribuneError(error, "STORE_BUSY"), String(error));
      assert.match(error.message, /did not get the lock of a table.*works on as before/);
      assert.match(error.next ?? "", /pg_stat_activity/);
      return true;
    });
    assert.deepEqual(await provider.schema.installed(scene.context()), { version: 1, worksWith: 1 });
    await reader.query("update tribune.presence set beat = beat + 1"); // as code of version 1 does
    const migrating = provider.schema.migrate(scene.context({ deadlineMs: 60_000 }));
    await scene.until("it waits", async () => ((await server.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length > 0 ? true : undefined));
    await reader.query("commit");
    assert.deepEqual(await migrating, { from: 1, to: 2 });
  });

  it("of a schema that is newer and works with this code is not needed; nodes of both run side by side", async (t) => {
    const { name, url } = await server.createDatabase();
    const provider = postgres({ url });
    const scene = sceneOn(t, provider);
    const present = await scene.member();
    await server.query("alter table tribune.presence add column later text", [], { database: name });
    await server.query("update tribune.meta set version = 3, works_with = 2", [], { database: name });
    assert.equal((await present.beat()).accepted, true, "one that was there before");
    const next = await scene.member({ session: await scene.session({ createSchema: false }) });
    assert.equal((await next.beat()).presence.length, 2);
    assert.deepEqual(await provider.schema.migrate(scene.context()), { from: 3, to: 3 });
    await server.query("update tribune.meta set works_with = 3", [], { database: name });
    await assert.rejects(provider.open(scene.context()), { code: "SCHEMA_TOO_NEW" });
  });

  /** A database with a schema of version 1, in which a group has had a life. */
  async function filled(group: string): Promise<{ readonly name: string; readonly url: string }> {
    const database = await server.createDatabase();
    const [told] = await server.query("select (select system_identifier from pg_control_system())::text || ':' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as epoch");
    const epoch = String(told?.["epoch"]);
    const life = [
      `insert into tribune.groups values ('${group}', '${epoch}', '${epoch}', 1, 'settings', 15000, 2, 2, 2, 3)`,
      `insert into tribune.presence values ('${group}', 'i-1', 'one', 'alive', 7, 15000, 1000, 16000, 1, 500, 3, '{"a":1}', 2, null, null),
        ('${group}', 'i-2', 'two', 'dead', 4, 15000, 900, 15900, 2, 600, 2, '{}', 1, 'expired', 16000)`,
      `insert into tribune.elections values ('${group}', 'e', 4294967301, 'i-1', 'one', '${epoch}', 2, 4294967301, 1200), ('${group}', 'free', 0, null, null, '${epoch}', 1, null, 800)`,
      `insert into tribune.fences values ('${group}', 'e', 4294967301), ('${group}', 'free', 0)`,
      `insert into tribune.views values ('${group}', 3, '{"version":3,"members":[],"coordinator":null}')`,
      `insert into tribune.events values ('${group}', 1, 400, 'epoch-changed', '${group}', '{}'), ('${group}', 2, 1200, 'term-began', 'e', '{"token":4294967301}')`,
      `insert into tribune.terms values ('${group}', 'e', 4294967301, 'one', 'i-1', 1200, null, null)`,
    ];
    for (const statement of [...firstSchema(), ...life]) await server.query(statement, [], { database: database.name });
    return database;
  }

  async function stored(database: string): Promise<Readonly<Record<string, readonly object[]>>> {
    const rows = await Promise.all(TABLES.map(async (table) => [table, await server.query(`select * from tribune.${table} order by 1, 2`, [], { database })] as const));
    return Object.fromEntries(rows);
  }
});

async function connected(t: { after(end: () => Promise<void>): void }, url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  t.after(async () => await client.end());
  return client;
}
