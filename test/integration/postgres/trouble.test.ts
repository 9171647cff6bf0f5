import assert from "node:assert/strict";
import { it } from "node:test";
import { inspect } from "node:util";
import { Client } from "pg";
import { isTribuneError } from "../../../src/kernel/index.ts";
import type { ErrorCode } from "../../../src/kernel/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startStandby } from "../../support/postgres-server.ts";
import { describeWithServer, sceneOn } from "./here.ts";

/** What goes wrong on the way to the server, in it, and between the two. */
await describeWithServer("trouble with PostgreSQL", { settings: { max_connections: 20 } }, (server) => {
  // ---- getting in

  it("a server that is not there is STORE_UNREACHABLE, naming where it was looked for", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    await proxy.mode({ kind: "refuse" });
    await refused(t, server.urlOf({ port: proxy.port }), "STORE_UNREACHABLE", new RegExp(`${proxy.port}.*nobody listens`));
    await refused(t, "postgres://u@no-such-host.invalid/d", "STORE_UNREACHABLE", /no-such-host/);
  });

  it("a server that never answers is STORE_UNREACHABLE within the deadline, and the socket is gone", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    await refused(t, server.urlOf({ port: proxy.port }), "STORE_UNREACHABLE", /did not finish within 300 ms|broken off/, 300);
    await proxy.mode({ kind: "pass" }); // lets the proxy notice who hung up
    await until(() => proxy.connections === 0);
  });

  it("a wrong password, an unknown role and no password at all are STORE_AUTH_FAILED", async (t) => {
    await refused(t, server.urlOf({ password: "hunter2" }), "STORE_AUTH_FAILED", /password/);
    await refused(t, server.urlOf({ user: "stranger", password: "hunter2" }), "STORE_AUTH_FAILED", /stranger/);
    await refused(t, `postgres://tribune@${server.host}:${server.port}/postgres`, "STORE_AUTH_FAILED", /password/);
  });

  it("a missing database is STORE_DATABASE_MISSING", async (t) => {
    await refused(t, server.urlOf({ database: "nowhere" }), "STORE_DATABASE_MISSING", /nowhere/);
  });

  it("TLS that the server does not offer is STORE_UNREACHABLE, saying that TLS is the point", async (t) => {
    await refused(t, `${server.url}?sslmode=verify-full`, "STORE_UNREACHABLE", /TLS/);
  });

  it("a server without a free connection is STORE_UNREACHABLE with its own words", async (t) => {
    await server.query("create role crowd login password 'crowd' connection limit 1");
    const url = server.urlOf({ user: "crowd", password: "crowd" });
    const first = new Client({ connectionString: url });
    await first.connect();
    t.after(async () => await first.end());
    await refused(t, url, "STORE_UNREACHABLE", /no free connection/);
  });

  it("a standby is STORE_READ_ONLY, and so is a primary where the role is set to read only", async (t) => {
    const standby = await startStandby(server);
    t.after(async () => await standby.stop());
    await refused(t, standby.url, "STORE_READ_ONLY", /standby/);
    await server.query("create role reader login password 'reader'");
    await server.query("alter role reader set default_transaction_read_only = on");
    await refused(t, server.urlOf({ user: "reader", password: "reader" }), "STORE_READ_ONLY", /default_transaction_read_only/);
  });

  it("an abort while opening rejects at once and leaves no connection", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    await proxy.mode({ kind: "blackhole" });
    const scene = sceneOn(t, postgres({ url: server.urlOf({ port: proxy.port }) }));
    const abort = new AbortController();
    const opening = scene.session({ signal: abort.signal });
    await until(() => proxy.connections === 1);
    abort.abort();
    await assert.rejects(opening, { code: "ABORTED" });
    await proxy.mode({ kind: "pass" });
    await until(() => proxy.connections === 0);
  });

  // ---- staying connected

  for (const [what, fault] of [
    ["requests disappear", { kind: "blackhole", direction: "toServer" }],
    ["answers disappear", { kind: "blackhole", direction: "toClient" }],
    ["the server's process is frozen", { kind: "stall" }],
  ] as const) {
    it(`when ${what}, a call ends with its deadline, the session with it, and the socket is destroyed`, async (t) => {
      const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
      t.after(async () => await proxy.close());
      const member = await sceneOn(t, postgres({ url: server.urlOf({ port: proxy.port }) })).member();
      await proxy.mode(fault);
      const look = { cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] };
      await assert.rejects(member.session.look(look, { deadlineMs: 150 }), { code: "STORE_TIMEOUT" });
      assert.ok(isTribuneError(member.session.ended.reason, "STORE_TIMEOUT"));
      await proxy.mode({ kind: "pass" });
      await until(() => proxy.connections === 0);
    });
  }

  it("a reset connection ends the session at once, with nobody asking anything of it, and the call under way rejects", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const member = await sceneOn(t, postgres({ url: server.urlOf({ port: proxy.port }) })).member();
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    const waiting = member.look();
    const rejected = assert.rejects(waiting, { code: "STORE_SESSION_ENDED" });
    proxy.resetAll();
    await rejected;
    await until(() => member.session.ended.aborted);
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_SESSION_ENDED"));
  });

  it("a connection cut in the middle of an answer ends the session", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const member = await sceneOn(t, postgres({ url: server.urlOf({ port: proxy.port }) })).member();
    await proxy.mode({ kind: "cut", afterBytes: 40, direction: "toClient" });
    await assert.rejects(member.look(), { code: "STORE_SESSION_ENDED" });
    assert.equal(member.session.ended.aborted, true);
  });

  it("a session whose server process is terminated, or whose server crashes, ends with STORE_SESSION_ENDED", async (t) => {
    const member = await sceneOn(t, postgres({ url: server.url })).member();
    await server.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tribune:%'");
    await until(() => member.session.ended.aborted);
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_SESSION_ENDED"));
    await member.reconnect();
    await server.kill("SIGKILL");
    await until(() => member.session.ended.aborted);
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_SESSION_ENDED"));
    await server.start();
    await member.reconnect();
    assert.equal((await member.beat()).accepted, true);
  });

  it("a statement that the server cancels is STORE_TIMEOUT, has written nothing, and leaves the session usable", async (t) => {
    const scene = sceneOn(t, postgres({ url: server.url }));
    const member = await scene.member({ session: await scene.session({ statementLimitMs: 100 }) });
    const blocker = await connected(t, server.url);
    await blocker.query("begin; lock table tribune.presence in exclusive mode");
    await assert.rejects(member.beat({ beat: 7 }), { code: "STORE_TIMEOUT" });
    await blocker.query("rollback");
    assert.equal(member.session.ended.aborted, false);
    assert.equal((await member.presenceOf(member)).beat, 0);
  });

  it("a server that turned into a standby under an open session is STORE_READ_ONLY, and ends it", async (t) => {
    // A running primary cannot become a standby, but a role can lose the right to write, which reads the same to a statement.
    const member = await sceneOn(t, postgres({ url: server.url })).member();
    const pids = await server.query("select pid from pg_stat_activity where application_name like 'tribune:%'");
    assert.equal(pids.length, 1);
    await server.query("alter system set default_transaction_read_only = on");
    await server.query("select pg_reload_conf()");
    t.after(async () => {
      const admin = await connected(t, server.url);
      await admin.query("set default_transaction_read_only = off");
      await admin.query("alter system reset default_transaction_read_only");
      await admin.query("select pg_reload_conf()");
    });
    await until(async () => await member.beat().then(() => false, (error) => isTribuneError(error, "STORE_READ_ONLY")));
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_READ_ONLY"));
  });

  // ---- privileges and the schema

  it("a role without privileges on the tables is STORE_PERMISSION_DENIED; so is one that may not make the schema, and it is told what to do", async (t) => {
    const { name, url } = await server.createDatabase();
    await server.query("create role outsider login password 'outsider'");
    const asOutsider = server.urlOf({ user: "outsider", password: "outsider", database: name });
    const error = await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /permission denied/);
    assert.match(error.next ?? "", /tribune migrate/);
    await (await sceneOn(t, postgres({ url })).session()).close();
    await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /permission denied/);
    await server.query("grant usage on schema tribune to outsider", [], { database: name });
    await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /permission denied/);
  });

  it("a role that owns a schema made for it, and may make no other, brings it up to date", async (t) => {
    const { name } = await server.createDatabase();
    await server.query("create role owner login password 'owner'");
    await server.query("create schema tribune authorization owner", [], { database: name });
    const provider = postgres({ url: server.urlOf({ user: "owner", password: "owner", database: name }) });
    const scene = sceneOn(t, provider);
    assert.deepEqual(await provider.schema.migrate(scene.context()), { from: 0, to: provider.schema.version });
    assert.equal((await (await scene.member()).beat()).accepted, true);
  });

  it("the statements that are shown to people make the same schema as migrating does", async (t) => {
    const [shown, migrated] = [await server.createDatabase(), await server.createDatabase()];
    const columns = "select table_name, column_name, data_type, is_nullable, collation_name from information_schema.columns where table_schema = 'house' order by 1, 2";
    for (const statement of postgres({ url: shown.url, schema: "house" }).schema.statements(0)) await server.query(statement, [], { database: shown.name });
    const provider = postgres({ url: migrated.url, schema: "house" });
    await provider.schema.migrate(sceneOn(t, provider).context());
    const found = await server.query(columns, [], { database: shown.name });
    assert.ok(found.length > 40);
    assert.deepEqual(found, await server.query(columns, [], { database: migrated.name }));
    await sceneOn(t, postgres({ url: shown.url, schema: "house" })).session({ createSchema: false });
  });

  it("tables that disappear under a running node are SCHEMA_MISSING", async (t) => {
    const { name, url } = await server.createDatabase();
    const member = await sceneOn(t, postgres({ url })).member();
    await member.beat();
    await server.query("drop schema tribune cascade", [], { database: name });
    await assert.rejects(member.beat(), { code: "SCHEMA_MISSING" });
  });

  it("two schemas in one database are two stores, hints included", async (t) => {
    const { url } = await server.createDatabase();
    const [one, two] = [sceneOn(t, postgres({ url, schema: "one" })), sceneOn(t, postgres({ url, schema: "two" }))];
    const here = await one.member({ group: "same" });
    const heard: unknown[] = [];
    here.session.onHint((hint) => heard.push(hint));
    const there = await two.member({ group: "same" });
    await there.createElection("e");
    await here.createElection("own");
    await until(() => heard.length > 0);
    assert.deepEqual(heard, [{ kind: "election", election: "own" }]);
    assert.deepEqual((await here.look()).presence.map((row) => row.incarnation), [here.incarnation]);
  });

  // ---- secrets

  it("no error shows the password: not in its words, not as JSON, not inspected with all that hangs on it", async (t) => {
    const secret = "correct-horse-battery";
    const urls = [server.urlOf({ password: secret }), `postgres://u:${secret}@no-such-host.invalid/d`, `postgres://u:${secret}@127.0.0.1:1/d`, `${server.urlOf({ password: secret })}?sslmode=verify-full`];
    for (const url of urls) {
      const error = await refused(t, url, undefined, /./);
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret), inspect(error));
      assert.ok(!JSON.stringify(error).includes(secret));
    }
  });
});

type Context = Parameters<typeof sceneOn>[0];

/** Opens, which must be refused with `code` (or any) and say `message`. */
async function refused(t: Context, url: string, code: ErrorCode | undefined, message: RegExp, deadlineMs = 10_000) {
  const scene = sceneOn(t, postgres({ url }));
  const error: unknown = await scene.session({ deadlineMs }).then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(isTribuneError(error, code), inspect(error));
  assert.match(error.message, message);
  assert.ok((error.next ?? "").length > 0, "it says what to do");
  return error;
}

async function connected(t: Context, url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  t.after(async () => await client.end());
  return client;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endMs) assert.fail(`waited in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
