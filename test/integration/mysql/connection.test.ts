import assert from "node:assert/strict";
import { it } from "node:test";
import { createPool } from "mysql2/promise";
import type { PoolConnection, RowDataPacket } from "mysql2/promise";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { Connection } from "../../../src/store/mysql/connection.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import { filled } from "../../../src/store/mysql/statements.ts";
import { startMariadb } from "../../support/mariadb-server.ts";
import { describeWithServer, fenceOf, sceneOn, takeOver } from "./here.ts";

/** The connection of a node's own: what it takes from the user, what it sets, and what it sends. */
await describeWithServer("a connection to MariaDB", {}, async (server) => {
  const { name, url } = await server.createDatabase();
  const context = { group: "g", node: "n", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 10_000, statementLimitMs: 2_500, createSchema: true };

  async function opened(t: { after(end: () => Promise<void>): void }, settings: Readonly<Record<string, unknown>> = {}) {
    const all = { host: server.host, port: server.port, user: "tribune", password: server.password, ...settings };
    const connection = await Connection.open({ label: "mysql://here", settings: all, database: name }, { context, operation: "testing" });
    t.after(async () => await connection.close());
    return connection;
  }

  it("sets what its statements rest on, whatever the server's defaults are, and bounds what they may take", async (t) => {
    const odd = { sql_mode: "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,ORACLE", autocommit: 0, transaction_isolation: "SERIALIZABLE", character_set_server: "latin1", default_time_zone: "+05:30", sql_safe_updates: 1 };
    const strange = await startMariadb({ programs: server.place.programs, settings: odd });
    t.after(async () => await strange.stop());
    const { url: there, name: database } = await strange.createDatabase();
    const pool = createPool({ uri: there });
    t.after(async () => await pool.end());
    await strange.query("create table ledger (what varchar(40)) engine = InnoDB", [], { database });
    await strange.query("set global tx_read_only = 1");
    const scene = sceneOn(t, mysql({ pool }));
    const metadata = JSON.stringify({ text: "it's \\ \"quoted\" – ∀🙂\0:group ? ''" });
    const [a, b] = [await scene.member({ metadata }), await scene.member()];
    assert.equal((await b.memberRow(a)).metadata, metadata);
    const { storeTimeMs } = await a.look();
    assert.ok(Math.abs(storeTimeMs - Date.now()) < 60_000, "the time is that of UTC");
    const token = await a.coordinate();
    assert.equal(await a.publish(token, { forgetDeadAfterMs: 0 }), true);
    await strange.query("set global tx_read_only = 0, global sql_safe_updates = 0");
    const users = createPool({ uri: there });
    t.after(async () => await users.end());
    const provider = mysql({ pool: users });
    const write = async (tx: PoolConnection) => void (await tx.query("insert into ledger values ('x')"));
    await provider.fenced.transaction(fenceOf(a, "coordinator", token), write);
    await takeOver(b, a, "coordinator");
    await assert.rejects(provider.fenced.transaction(fenceOf(a, "coordinator", token), write), { code: "TERM_LOST" });
    assert.equal((await strange.query("select 1 from ledger", [], { database })).length, 1);
  });

  it("takes from the user's settings the way to the server, and nothing that changes how statements are sent or answered", async (t) => {
    const connection = await opened(t, {
      ...{ charset: "latin1_swedish_ci", typeCast: false, rowsAsArray: true, dateStrings: true, namedPlaceholders: true, nestTables: true, supportBigNumbers: true, timezone: "+09:00", multipleStatements: false },
      ...{ queryFormat: () => "select 'mine'", connectAttributes: { mine: "1" }, flags: ["-MULTI_STATEMENTS"] },
    });
    const [first, second] = await connection.run("select 1 as n, null as none, now() as at, '∀🙂' as text; select 9007199254740993 as large");
    assert.deepEqual([first?.[0]?.["n"], first?.[0]?.["none"], first?.[0]?.["text"], second], ["1", null, "∀🙂", [{ large: "9007199254740993" }]]);
  });

  it("limits waiting and working in the server to what it was told, and idling to ten leases", async (t) => {
    const connection = await opened(t);
    const [row] = await connection.rows("select @@innodb_lock_wait_timeout as lock_s, @@max_statement_time as statement_s, @@wait_timeout as idle_s, @@autocommit as auto, @@tx_isolation as level");
    assert.deepEqual(row, { lock_s: "3", statement_s: "2.500000", idle_s: "600", auto: "1", level: "READ-COMMITTED" });
  });

  it("answers in the order of the calls, also where one of them fails, and goes on after that with no transaction open", async (t) => {
    const connection = await opened(t);
    const order: string[] = [];
    const ask = async (text: string, what: string) =>
      await connection.run(text).then(
        () => void order.push(what),
        (error: { readonly errno?: number }) => void order.push(`${what} ${error.errno}`),
      );
    await Promise.all([ask("select 1; select sleep(0.05)", "first"), ask("start transaction; nonsense; commit", "second"), ask("select 2; select 3", "third")]);
    assert.deepEqual(order, ["first", "second 1064", "third"]);
    const [row] = await connection.rows("select @@in_transaction as open");
    assert.equal(row?.["open"], "0");
  });

  it("that was destroyed rejects what is under way and all that comes", async (t) => {
    const connection = await opened(t);
    const heard: Error[] = [];
    connection.onBroken = (error) => heard.push(error);
    const waiting = assert.rejects(connection.run("select sleep(5); select 1"));
    await new Promise((resolve) => setImmediate(resolve));
    connection.destroy();
    await waiting;
    await assert.rejects(connection.run("select 1; select 2"));
    assert.equal(heard.length, 1);
  });

  it("says who it is to those who look at the server", async (t) => {
    const seen = await startMariadb({ programs: server.place.programs, settings: { performance_schema: 1 } });
    t.after(async () => await seen.stop());
    const scene = sceneOn(t, mysql({ url: (await seen.createDatabase()).url }));
    await scene.session({ node: "billing-1" });
    const names = await seen.query("select attr_value from performance_schema.session_connect_attrs where attr_name = 'program_name'");
    assert.ok(names.some((row) => row["attr_value"] === `tribune:${scene.group}:billing-1`), JSON.stringify(names));
  });

  it("is one per session, whatever it does, and none is left when it is closed or destroyed", async (t) => {
    const count = async () => (await server.query("select 1 from information_schema.processlist where db = ?", [name])).length;
    const scene = sceneOn(t, mysql({ url }));
    await scene.until("those of other tests are gone", async () => ((await count()) === 0 ? true : undefined));
    const [a, b] = [await scene.member(), await scene.member()];
    await a.lead("e");
    await b.beat();
    assert.equal(await count(), 2);
    await a.session.close();
    b.session.destroy(new Error("enough"));
    await scene.until("none is left", async () => ((await count()) === 0 ? true : undefined));
  });

  it("puts values into statements escaped, and refuses to send one that lacks a value", async (t) => {
    const pool = createPool({ uri: url });
    t.after(async () => await pool.end());
    const escape = (value: string) => pool.escape(value);
    const evil = ["'", "\\", "\\'", "' or '1'='1", ":other", "\0", "\u2028", "?", "`", "🙂"];
    for (const value of evil) {
      const text = filled("select :value as value, :other as other", { value, other: "o" }, escape);
      const [rows] = await pool.query<RowDataPacket[]>(text);
      assert.deepEqual({ ...rows[0] }, { value, other: "o" }, value);
    }
    assert.equal(filled(":a :b :c :d :e", { a: true, b: null, c: ["x", "y"], d: [], e: 1e21 }, escape), "1 null 'x', 'y' null 1e+21");
    assert.throws(() => filled("select :missing", {}, escape), /lacks the value missing/);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => filled("select :value", { value }, escape), /no number/);
  });
});
