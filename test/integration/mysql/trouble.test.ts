import assert from "node:assert/strict";
import { it } from "node:test";
import { inspect } from "node:util";
import { isTribuneError } from "../../../src/kernel/index.ts";
import type { ErrorCode } from "../../../src/kernel/index.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startMariadb } from "../../support/mariadb-server.ts";
import { connected, describeWithServer, sceneOn } from "./here.ts";

/** What goes wrong on the way to the server, in it, and between the two. */
await describeWithServer("trouble with MariaDB", {}, async (server) => {
  const { name: database, url } = await server.createDatabase();
  const proxied = (port: number) => server.urlOf({ database, port });

  // ---- getting in

  it("a server that is not there is STORE_UNREACHABLE, naming where it was looked for", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    await proxy.close();
    await refused(t, proxied(proxy.port), "STORE_UNREACHABLE", new RegExp(`${proxy.port}.*nobody listens`));
    await refused(t, "mysql://u@no-such-host.invalid/d", "STORE_UNREACHABLE", /no-such-host/);
  });

  it("a server that never answers is STORE_UNREACHABLE within the deadline, and the socket is gone", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    await refused(t, proxied(proxy.port), "STORE_UNREACHABLE", /did not finish within 300 ms|got no answer|broken off/, 300);
    await proxy.mode({ kind: "pass" }); // lets the proxy notice who hung up
    await until(() => proxy.connections === 0);
  });

  it("a wrong password, an unknown account and no password at all are STORE_AUTH_FAILED", async (t) => {
    await refused(t, server.urlOf({ password: "hunter2", database }), "STORE_AUTH_FAILED", /password/);
    await refused(t, server.urlOf({ user: "stranger", password: "hunter2", database }), "STORE_AUTH_FAILED", /stranger/);
    await refused(t, `mysql://tribune@${server.host}:${server.port}/${database}`, "STORE_AUTH_FAILED", /password/);
  });

  it("a missing database is STORE_DATABASE_MISSING", async (t) => {
    await refused(t, server.urlOf({ database: "nowhere" }), "STORE_DATABASE_MISSING", /nowhere/);
  });

  it("TLS that the server does not offer is STORE_UNREACHABLE, saying that TLS is the point", async (t) => {
    await refused(t, `${url}?ssl={"rejectUnauthorized":true}`, "STORE_UNREACHABLE", /TLS/);
  });

  it("a server without a free connection is STORE_UNREACHABLE with its own words", async (t) => {
    await server.query("create user crowd identified by 'crowd' with max_user_connections 1");
    await server.query(`grant all on ${database}.* to crowd`);
    const crowded = server.urlOf({ user: "crowd", password: "crowd", database });
    await connected(t, crowded);
    await refused(t, crowded, "STORE_UNREACHABLE", /no free connection/);
  });

  it("a server that is read-only is STORE_READ_ONLY, also to an administrator, whose writes it would take", async (t) => {
    await server.query("set global read_only = 1");
    t.after(async () => void (await server.query("set global read_only = 0")));
    await refused(t, url, "STORE_READ_ONLY", /read-only/);
  });

  it("a server that logs statements is refused, since it would take no writes, saying what to set", async (t) => {
    const logging = await startMariadb({ programs: server.place.programs, settings: { log_bin: "log", binlog_format: "STATEMENT" } });
    t.after(async () => await logging.stop());
    const error = await refused(t, (await logging.createDatabase()).url, "STORE_FAILED", /binlog_format/);
    assert.equal(error.retryable, false);
  });

  it("tables that are kept by an engine without transactions are refused", async (t) => {
    const stray = await server.createDatabase();
    await (await sceneOn(t, mysql({ url: stray.url })).session()).close();
    await server.query("alter table tribune_fences engine = Aria", [], { database: stray.name });
    await refused(t, stray.url, "STORE_FAILED", /tribune_fences.*Aria/);
  });

  it("an abort while opening rejects at once and leaves no connection", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    await proxy.mode({ kind: "blackhole" });
    const scene = sceneOn(t, mysql({ url: proxied(proxy.port) }));
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
      const member = await sceneOn(t, mysql({ url: proxied(proxy.port) })).member();
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
    const member = await sceneOn(t, mysql({ url: proxied(proxy.port) })).member();
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    const rejected = assert.rejects(member.look(), { code: "STORE_SESSION_ENDED" });
    proxy.resetAll();
    await rejected;
    await until(() => member.session.ended.aborted);
    const idle = await sceneOn(t, mysql({ url })).member();
    await server.cut();
    await until(() => idle.session.ended.aborted);
    assert.ok(isTribuneError(idle.session.ended.reason, "STORE_SESSION_ENDED"));
  });

  it("a connection cut in the middle of an answer ends the session", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const member = await sceneOn(t, mysql({ url: proxied(proxy.port) })).member();
    await proxy.mode({ kind: "cut", afterBytes: 40, direction: "toClient" });
    await assert.rejects(member.look(), { code: "STORE_SESSION_ENDED" });
    assert.equal(member.session.ended.aborted, true);
  });

  it("a server that crashes ends the session; what was answered survives, in the same epoch", async (t) => {
    const member = await sceneOn(t, mysql({ url })).member();
    const token = await member.lead("e");
    const { epoch } = await member.beat();
    await server.kill("SIGKILL");
    await until(() => member.session.ended.aborted);
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_SESSION_ENDED"));
    await server.start();
    await member.reconnect();
    const { elections, fences, ...after } = await member.reading();
    assert.deepEqual([elections[0]?.token, fences[0]?.token, after.epoch], [token, token, epoch]);
    assert.equal((await member.beat({ cursor: { epoch, electionsVersion: 0, viewVersion: 0 } })).accepted, true);
  });

  it("a beat that has to wait longer than its limit is STORE_TIMEOUT, has written nothing, and leaves the session usable", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const member = await scene.member({ session: await scene.session({ statementLimitMs: 300 }) });
    const blocker = await connected(t, url);
    await blocker.query("start transaction");
    await blocker.query("select 1 from tribune_presence where grp = ? for update", [scene.group]);
    await assert.rejects(member.beat({ beat: 7 }), { code: "STORE_TIMEOUT" });
    await blocker.query("rollback");
    assert.equal(member.session.ended.aborted, false);
    assert.equal((await member.presenceOf(member)).beat, 0);
  });

  it("a server that is set to be read-only under an open session is STORE_READ_ONLY to a beat and to a look, writes nothing, and the session is over", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const [a, b] = [await scene.member(), await scene.member()];
    await server.query("set global read_only = 1");
    const lift = async () => void (await server.query("set global read_only = 0"));
    t.after(lift);
    await assert.rejects(a.beat({ beat: 9 }), { code: "STORE_READ_ONLY" });
    await assert.rejects(b.look(), { code: "STORE_READ_ONLY" });
    for (const each of [a, b]) assert.ok(isTribuneError(each.session.ended.reason, "STORE_READ_ONLY"));
    await lift();
    await a.reconnect();
    assert.equal((await a.presenceOf(a)).beat, 0);
  });

  // ---- the epoch

  it("a restart that loses nothing keeps the epoch; one of a server that may lose commits does not, and says so", async (t) => {
    const own = await startMariadb({ programs: server.place.programs });
    t.after(async () => await own.stop());
    const { url: ownUrl } = await own.createDatabase();
    const scene = sceneOn(t, mysql({ url: ownUrl }));
    const member = await scene.member();
    const { epoch: first, generation } = await member.beat();
    await own.restart();
    await member.reconnect();
    assert.deepEqual(member.session.info.warnings, []);
    assert.equal((await member.beat({ cursor: { epoch: first, electionsVersion: 0, viewVersion: 0 } })).accepted, true);
    await own.restart({ innodb_flush_log_at_trx_commit: 2 });
    await member.reconnect();
    assert.match(member.session.info.warnings.join(" "), /may lose commits/);
    const second = await member.beat();
    assert.deepEqual([second.epoch === first, second.generation], [false, generation + 1]);
    await scene.until("the second of its start is over", async () => (Number((await own.query("select variable_value as s from information_schema.global_status where variable_name = 'UPTIME'"))[0]?.["s"]) > 1 ? true : undefined));
    await own.restart({ innodb_flush_log_at_trx_commit: 2 });
    await member.reconnect();
    const third = await member.beat();
    assert.deepEqual([new Set([first, second.epoch, third.epoch]).size, third.generation], [3, generation + 2]);
    await own.restart({ log_bin: "log", sync_binlog: 0 });
    await member.reconnect();
    assert.match(member.session.info.warnings.join(" "), /sync_binlog/);
  });

  it("commits that begin to be lost in a crash while a session is open end it: no beat counts in an epoch that outlasts them", async (t) => {
    const member = await sceneOn(t, mysql({ url })).member();
    const { epoch } = await member.beat();
    await server.query("set global innodb_flush_log_at_trx_commit = 2");
    t.after(async () => void (await server.query("set global innodb_flush_log_at_trx_commit = 1")));
    await assert.rejects(member.beat(), { code: "STORE_SESSION_ENDED" });
    await member.reconnect();
    assert.notEqual((await member.look()).epoch, epoch);
  });

  it("a server that comes back after another one had its place is a new epoch, also without a restart, and the generation rises by all there were", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const member = await scene.member();
    const before = await member.beat();
    const [own] = await server.query(`select server, epoch_number from ${database}.tribune_meta`);
    // Replication brought what the other server wrote when its first session was opened.
    await server.query(`update ${database}.tribune_meta set server = 'another', epoch_number = epoch_number + 1`);
    await assert.rejects(member.beat(), { code: "STORE_SESSION_ENDED" });
    await member.reconnect();
    const after = await member.beat();
    assert.notEqual(after.epoch, before.epoch);
    assert.equal(after.epoch, `${String(own?.["server"])}:${Number(own?.["epoch_number"]) + 2}`);
    assert.equal(after.generation, before.generation + 2);
  });

  it("an epoch is the same to every session, whenever it was opened and however many are", async (t) => {
    const scene = sceneOn(t, mysql({ url }));
    const epochs = new Set<string>();
    const endMs = performance.now() + 1_500;
    const member = await scene.member();
    while (performance.now() < endMs) {
      const session = await scene.session();
      epochs.add((await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, member.call)).epoch);
      await session.close();
    }
    assert.equal(epochs.size, 1);
  });

  // ---- privileges and the schema

  it("an account that may only read and write the tables can do everything at run time, where the schema is there", async (t) => {
    const { url: of, name } = await server.createDatabase();
    await (await sceneOn(t, mysql({ url: of })).session()).close();
    await server.query("create user worker identified by 'worker'");
    await server.query(`grant select, insert, update, delete on ${name}.* to worker`);
    const scene = sceneOn(t, mysql({ url: server.urlOf({ user: "worker", password: "worker", database: name }) }));
    const a = await scene.member({ session: await scene.session({ evidence: { leaseMs: 15_000 } }) });
    const b = await scene.member();
    assert.equal(a.session.info.evidence.held, true);
    assert.equal((await a.beat()).accepted, true);
    const token = await a.coordinate();
    assert.equal(await a.publish(token, { forgetDeadAfterMs: 0 }), true);
    assert.equal(await a.session.updateMetadata({ incarnation: a.incarnation, metadata: "{}" }, a.call), true);
    assert.equal(await a.writeDocument("plan", 0, "made", { election: "coordinator", token, incarnation: a.incarnation }), true);
    assert.equal(await b.writeDocument("plan", (await b.documents("plan"))[0]?.version ?? 0, "changed"), true);
    assert.equal(await a.removeDocument("plan", await a.versionOf("plan")), true);
    assert.equal(await b.requestResign("coordinator", token), true);
    assert.equal(await a.resign("coordinator", token), true);
    const attended = b.attend([a]);
    a.session.destroy(new Error("the process is gone"));
    await attended;
    await scene.until("it is declared dead", async () => ((await b.declareDead(a, { requireFree: true })) ? true : undefined));
    assert.equal((await b.events()).length, 5);
    assert.equal((await b.reading()).terms.length, 1);
    assert.equal(await b.leave(), true);
    await scene.session({ createSchema: false });
  });

  it("an account without privileges on the tables is STORE_PERMISSION_DENIED; so is one that may not make the schema, and it is told what to do", async (t) => {
    const { name, url: of } = await server.createDatabase();
    await server.query("create user outsider identified by 'outsider'");
    const asOutsider = server.urlOf({ user: "outsider", password: "outsider", database: name });
    await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /denied/);
    await server.query(`create table ${name}.theirs (n int)`);
    await server.query(`grant select on ${name}.theirs to outsider`);
    const error = await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /denied/);
    assert.match(error.next ?? "", /tribune migrate/);
    await (await sceneOn(t, mysql({ url: of })).session()).close();
    await refused(t, asOutsider, "STORE_PERMISSION_DENIED", /denied/);
  });

  it("the statements that are shown to people make the same schema as migrating does, and running them again does no harm", async (t) => {
    const [shown, migrated] = [await server.createDatabase(), await server.createDatabase()];
    const columns = "select table_name, column_name, column_type, is_nullable, collation_name from information_schema.columns where table_schema = ? order by 1, 2";
    const statements = mysql({ url: shown.url, prefix: "house_" }).schema.statements(0);
    for (const statement of [...statements, ...statements]) await server.query(statement, [], { database: shown.name });
    const provider = mysql({ url: migrated.url, prefix: "house_" });
    assert.deepEqual(await provider.schema.migrate(sceneOn(t, provider).context()), { from: 0, to: 2 });
    const found = await server.query(columns, [shown.name]);
    assert.ok(found.length > 60);
    assert.deepEqual(found, await server.query(columns, [migrated.name]));
    await sceneOn(t, mysql({ url: shown.url, prefix: "house_" })).session({ createSchema: false });
  });

  it("a schema whose making was broken off in the middle is made whole", async (t) => {
    const half = await server.createDatabase();
    const provider = mysql({ url: half.url });
    for (const statement of provider.schema.statements(0).slice(0, 4)) await server.query(statement, [], { database: half.name });
    const scene = sceneOn(t, provider);
    assert.equal((await provider.schema.installed(scene.context())).version, 0);
    assert.equal((await (await scene.member()).beat()).accepted, true);
  });

  it("tables that disappear under a running node are SCHEMA_MISSING", async (t) => {
    const gone = await server.createDatabase();
    const member = await sceneOn(t, mysql({ url: gone.url })).member();
    await member.beat();
    await server.query("drop table tribune_presence", [], { database: gone.name });
    await assert.rejects(member.beat(), { code: "SCHEMA_MISSING" });
  });

  it("two prefixes in one database are two stores, and so are two databases", async (t) => {
    const other = await server.createDatabase();
    const scenes = [sceneOn(t, mysql({ url, prefix: "one_" })), sceneOn(t, mysql({ url, prefix: "two_" })), sceneOn(t, mysql({ url, database: other.name, prefix: "one_" }))];
    for (const scene of scenes) {
      const here = await scene.member({ group: "same" });
      await here.createElection("e");
      assert.deepEqual((await here.look()).presence.map((row) => row.incarnation), [here.incarnation]);
    }
  });

  // ---- secrets

  it("no error shows the password: not in its words, not as JSON, not inspected with all that hangs on it", async (t) => {
    const secret = "correct-horse-battery";
    const urls = [server.urlOf({ password: secret, database }), `mysql://u:${secret}@no-such-host.invalid/d`, `mysql://u:${secret}@127.0.0.1:1/d`, `${server.urlOf({ password: secret, database })}?ssl={}`];
    for (const each of urls) {
      const error = await refused(t, each, undefined, /./);
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret), inspect(error));
      assert.ok(!JSON.stringify(error).includes(secret));
    }
  });
});

type Context = Parameters<typeof sceneOn>[0];

/** Opens, which must be refused with `code` (or any) and say `message`. */
async function refused(t: Context, url: string, code: ErrorCode | undefined, message: RegExp, deadlineMs = 10_000) {
  const scene = sceneOn(t, mysql({ url }));
  const error: unknown = await scene.session({ deadlineMs }).then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => reason,
  );
  assert.ok(isTribuneError(error, code), inspect(error));
  assert.match(error.message, message);
  assert.ok((error.next ?? "").length > 0, "it says what to do");
  return error;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endMs) assert.fail(`waited in vain: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
