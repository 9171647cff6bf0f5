import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestContext } from "node:test";
import type { Diagnosis } from "../../src/admin/index.ts";
import type { Finding } from "../../src/store/index.ts";
import { startPgBouncer } from "../integration/postgres/pgbouncer.ts";
import { findMariadb, startMariadb } from "../support/mariadb-server.ts";
import { findPostgres, startPostgres } from "../support/postgres-server.ts";
import type { PostgresServer } from "../support/postgres-server.ts";
import { requireOrSkip } from "../support/required.ts";
import { group } from "./group.ts";
import { place, tribune } from "./run.ts";

/** What `tribune doctor --json` finds, by check. */
async function diagnose(t: TestContext, store: string, ...options: string[]): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string; readonly of: (check: string) => Finding }> {
  const { code, stdout, stderr } = await tribune(t, ["doctor", "--json", "--store", store, ...options]);
  const findings = stdout === "" ? [] : (JSON.parse(stdout) as Diagnosis).findings;
  const of = (check: string) => {
    const found = findings.find((finding) => finding.check === check);
    assert.ok(found !== undefined, `nothing was said of ${check}: ${stdout}${stderr}`);
    return found;
  };
  return { code, stdout, stderr, of };
}

describe("doctor on SQLite", () => {
  it("finds a healthy group healthy, in words that fit into eighty columns, and writes nothing", async (t) => {
    const where = place(t);
    const [ada] = await group(t, where, "ada");
    const before = ada?.view.version;
    const ended = await tribune(t, ["doctor"], where.env);
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    assert.match(ended.stdout, /^sqlite:/);
    for (const check of ["server", "round-trip", "clock", "write", "journal", "files", "file-system", "room", "schema", "evidence", "hints", "group", "event-loop", "timings", "node"]) assert.match(ended.stdout, new RegExp(`^(?:ok  |warn)  ${check} +\\S`, "m"));
    assert.match(ended.stdout, /^ok {4}evidence +in force/m);
    assert.match(ended.stdout, /^ok {4}group +billing has 1 live member, all with evidence/m);
    assert.match(ended.stdout, /\n\d+ ok, \d+ to look at, 0 failing\n$/);
    for (const line of ended.stdout.split("\n").slice(1)) assert.ok(line.length <= 80 || !line.trim().includes(" "), line);
    assert.equal(ada?.view.version, before);
  });

  it("tells what is not there yet, makes no file, and is no failure by that", async (t) => {
    const { store, folder } = place(t);
    const { code, of } = await diagnose(t, store);
    assert.equal(code, 0);
    assert.deepEqual([of("files").level, of("schema").level, of("evidence").level], ["warn", "warn", "warn"]);
    assert.match(of("schema").next ?? "", /tribune migrate/);
    assert.equal(existsSync(join(folder, "cluster.db")), false);
  });

  it("fails, with exit code 1 and a next step, where nodes could not work", async (t) => {
    const { folder } = place(t);
    const { code, of } = await diagnose(t, `sqlite:${join(folder, "nowhere", "cluster.db")}`);
    assert.equal(code, 1);
    assert.equal(of("files").level, "fail");
    assert.match(of("files").found, /there is no folder/);
  });

  it("a path that cannot be a store is exit code 3, one line", async (t) => {
    const { folder } = place(t);
    mkdirSync(join(folder, "folder.db"));
    const ended = await tribune(t, ["doctor", "--store", `sqlite:${join(folder, "folder.db")}`]);
    assert.equal(ended.code, 3);
    assert.match(ended.stderr, /^error STORE_\w+: [^\n]+\n$/);
  });

  it("judges by the timings that it is given, and refuses such as no node could have", async (t) => {
    const where = place(t);
    await group(t, where, "ada");
    const calm = await diagnose(t, where.store, "--preset", "calm");
    assert.match(calm.of("timings").found, /lease 15 s, beat 5 s/);
    const wrong = await tribune(t, ["doctor", "--store", where.store, "--lease-ms", "100"]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /^error INVALID_OPTIONS: .*leaseMs/);
  });

  it("needs a store, and no group", async (t) => {
    const ended = await tribune(t, ["doctor"]);
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /^error INVALID_OPTIONS: no store is given/);
  });
});

describe("doctor on PostgreSQL", () => {
  let server: PostgresServer | undefined;
  let missing = "";
  before(async () => {
    const programs = await findPostgres();
    if ("missing" in programs) missing = programs.missing;
    else server = await startPostgres({ programs });
  });
  after(async () => await server?.stop());

  /** The server, or a skip in plain sight. */
  function running(t: TestContext): PostgresServer | undefined {
    if (server === undefined) requireOrSkip(t, "postgres", missing);
    return server;
  }

  /** A role of the test's own in this database, with what `grants` says. */
  async function roleUrl(at: PostgresServer, database: string, role: string, grants: readonly string[]): Promise<string> {
    await at.query(`create role ${role} login password 'geheim-${role}'`);
    for (const grant of grants) await at.query(grant, [], { database });
    return Object.assign(new URL(at.urlOf({ database })), { username: role, password: `geheim-${role}` }).href;
  }

  it("measures a direct way, says what evidence is in force, and prints no password", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const { url } = await at.createDatabase();
    const before = await diagnose(t, url);
    assert.deepEqual([before.code, before.of("schema").level, before.of("migrate").level], [0, "warn", "ok"]);
    assert.equal((await tribune(t, ["migrate", "--store", url])).code, 0);
    const { code, of, stdout, stderr } = await diagnose(t, url);
    assert.equal(code, 0, stderr);
    assert.match(of("server").found, /^PostgreSQL \d+/);
    assert.match(of("round-trip").found, /^p50 [\d.]+ ms, longest [\d.]+ ms of 10/);
    assert.match(of("clock").found, /give or take (?:less than )?[\d.]+ ms/);
    assert.match(of("way").found, /^direct, from 127\.0\.0\.1$/);
    assert.match(of("write").found, /may read and write all 10 tables/);
    assert.match(of("evidence").found, /^in force: the presence lock is held on a direct session/);
    assert.match(of("keep-alive").found, /idle_session_timeout is off/);
    assert.match(of("durability").found, /fsync on.*no standby is connected/);
    assert.match(of("connections").found, /^\d+ left of the server's 100, 3 of them kept for superusers/);
    assert.deepEqual(["server", "way", "write", "evidence", "evidence-rights", "keep-alive", "durability", "connections", "schema", "hints"].filter((check) => of(check).level !== "ok"), []);
    assert.ok(!stdout.includes(at.password) && !stderr.includes(at.password));
  });

  it("as a role that may only read and write is fine, and says that the schema is somebody else's", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const { name, url } = await at.createDatabase();
    await tribune(t, ["migrate", "--store", url]);
    const worker = await roleUrl(at, name, "doctor_worker", ["grant usage on schema tribune to doctor_worker", "grant select, insert, update, delete on all tables in schema tribune to doctor_worker"]);
    const { code, of, stdout } = await diagnose(t, worker);
    assert.equal(code, 0);
    assert.deepEqual([of("write").level, of("migrate").level, of("evidence").level, of("connections").level], ["ok", "ok", "ok", "ok"]);
    assert.match(of("migrate").found, /may not change the schema, and need not now/);
    assert.ok(!stdout.includes("geheim"));
  });

  it("without the privileges is exit code 1, with the grants that are missing", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const { name, url } = await at.createDatabase();
    await tribune(t, ["migrate", "--store", url]);
    const outsider = await roleUrl(at, name, "doctor_outsider", []);
    const blind = await diagnose(t, outsider);
    assert.equal(blind.code, 1, blind.stderr);
    assert.deepEqual([blind.of("write").level, blind.of("schema").level], ["fail", "fail"]);
    assert.match(blind.of("write").next ?? "", /grant usage on schema tribune to doctor_outsider/);
    await at.query("grant usage on schema tribune to doctor_outsider", [], { database: name });
    await at.query("grant select on all tables in schema tribune to doctor_outsider", [], { database: name });
    const reader = await diagnose(t, outsider);
    assert.equal(reader.code, 1, reader.stdout + reader.stderr);
    assert.match(reader.of("write").found, /may not read and write .*presence/);
  });

  it("without a schema that it may make is exit code 1, too", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const { name } = await at.createDatabase();
    const stranger = await roleUrl(at, name, "doctor_stranger", []);
    const { code, of } = await diagnose(t, stranger);
    assert.deepEqual([code, of("migrate").level], [1, "fail"]);
    assert.match(of("migrate").next ?? "", /tribune migrate --print/);
  });

  it("says what limits of role and server leave, and what shortens a session's life", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const { name, url } = await at.createDatabase();
    await tribune(t, ["migrate", "--store", url]);
    const narrow = await roleUrl(at, name, "doctor_narrow", [
      "grant usage on schema tribune to doctor_narrow",
      "grant select, insert, update, delete on all tables in schema tribune to doctor_narrow",
      "alter role doctor_narrow connection limit 3",
      "alter role doctor_narrow set tcp_keepalives_idle = 1",
      "alter role doctor_narrow set tcp_keepalives_interval = 1",
      "alter role doctor_narrow set tcp_keepalives_count = 1",
    ]);
    const { code, of } = await diagnose(t, narrow);
    assert.equal(code, 0);
    assert.deepEqual([of("connections").level, of("keep-alive").level, of("evidence").level], ["warn", "warn", "warn"]);
    assert.match(of("connections").found, /left of the role doctor_narrow's 3/);
    assert.match(of("evidence").found, /not in force, so a crash is noticed when the lease of 4 s is over: .*2000 ms/);
  });

  it("through a pooler says what that costs", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const bouncer = await startPgBouncer(at);
    if ("missing" in bouncer) return requireOrSkip(t, "pgbouncer", bouncer.missing);
    t.after(async () => await bouncer.stop());
    const { name, url } = await at.createDatabase();
    await tribune(t, ["migrate", "--store", url]);
    const { code, of } = await diagnose(t, bouncer.urlOf(name));
    assert.equal(code, 0);
    assert.deepEqual([of("way").level, of("evidence").level, of("hints").level, of("write").level], ["warn", "warn", "warn", "ok"]);
    assert.match(of("way").found, /pooler.*no hints.*no evidence of death/);
    assert.match(of("evidence").found, /a pooler stands between/);
  });

  it("of a server that was stopped is exit code 3, one line, without a password", async (t) => {
    const at = running(t);
    if (at === undefined) return;
    const own = await startPostgres();
    const url = own.url;
    await own.stop();
    const ended = await tribune(t, ["doctor", "--store", url]);
    assert.equal(ended.code, 3);
    assert.match(ended.stderr, /^error STORE_UNREACHABLE: [^\n]+\n$/);
    assert.ok(!ended.stderr.includes(own.password) && ended.stdout === "");
  });
});

describe("doctor on MariaDB", () => {
  it("says what evidence is in force and how much room is left, to an account that may only read and write, without its password", async (t) => {
    const programs = await findMariadb();
    if ("missing" in programs) return requireOrSkip(t, "mariadb", programs.missing);
    const server = await startMariadb({ programs });
    t.after(async () => await server.stop());
    const { name, url } = await server.createDatabase();
    await server.query("create user doctor_outsider identified by 'geheim'");
    const worker = server.urlOf({ user: "doctor_outsider", password: "geheim", database: name });
    assert.equal((await tribune(t, ["migrate", "--store", url])).code, 0);
    const outside = await diagnose(t, worker);
    assert.deepEqual([outside.code, outside.of("write").level, outside.of("schema").level, outside.of("evidence").level], [1, "fail", "fail", "warn"], outside.stderr);
    await server.query(`grant select, insert, update, delete on ${name}.* to doctor_outsider`);
    const { code, of, stdout, stderr } = await diagnose(t, worker);
    assert.equal(code, 0, stderr);
    assert.match(of("server").found, /^MariaDB \d+/);
    assert.match(of("write").found, /may read and write all 10 tables/);
    assert.match(of("migrate").found, /may not make the schema, and need not now/);
    assert.match(of("evidence").found, /^in force: the presence lock is held on a direct session/);
    assert.match(of("connections").found, /^\d+ left of the server's 300/);
    assert.deepEqual(["server", "way", "topology", "write", "migrate", "evidence", "keep-alive", "durability", "connections", "schema"].filter((check) => of(check).level !== "ok"), []);
    assert.doesNotMatch(outside.stdout + outside.stderr + stdout + stderr, /geheim/);
    await server.query("set global read_only = 1");
    const readOnly = await tribune(t, ["doctor", "--store", worker]);
    assert.equal(readOnly.code, 3);
    assert.match(readOnly.stderr, /^error STORE_READ_ONLY: [^\n]+\n$/);
  });
});
