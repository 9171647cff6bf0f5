import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { Finding } from "../../../src/store/index.ts";
import { connectionsFinding, durabilityFinding, keepAliveFinding, migrateFinding, serverFinding, topologyFinding, wayFinding } from "../../../src/store/mysql/diagnose.ts";
import type { Look } from "../../../src/store/mysql/diagnose.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startMariadb } from "../../support/mariadb-server.ts";
import { connected, describeWithServer } from "./here.ts";

const CONTEXT = { group: "g", node: "doctor", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 20_000, statementLimitMs: 10_000, createSchema: false, nodes: 3, leaseMs: 4_000 };

const CHECKS = ["server", "round-trip", "clock", "way", "topology", "write", "migrate", "keep-alive", "durability", "connections"];

/** What the store says of itself at this URL, by check. */
async function diagnosed(url: string, { direct = false, nodes = 3 } = {}): Promise<{ readonly of: (check: string) => Finding; readonly notOk: readonly string[] }> {
  const provider = mysql({ url, direct });
  try {
    const findings = (await provider.diagnose?.({ ...CONTEXT, nodes })) ?? [];
    assert.deepEqual(findings.map((finding) => finding.check), CHECKS);
    return { of: (check) => findings[CHECKS.indexOf(check)] as Finding, notOk: findings.filter((finding) => finding.level !== "ok").map((finding) => finding.check) };
  } finally {
    await provider.close();
  }
}

/** Whether an answer took long is for the machine to say. */
function without(notOk: readonly string[], ...checks: readonly string[]): readonly string[] {
  return notOk.filter((check) => !checks.includes(check));
}

await describeWithServer("a diagnosis of MariaDB", {}, async (server) => {
  const { name, url } = await server.createDatabase();
  const provider = mysql({ url });
  await provider.schema.migrate(CONTEXT);

  /** An account of the test's own, with what `grants` says; `?` stands for it. */
  async function account(user: string, ...grants: readonly string[]): Promise<string> {
    await server.query(`create user ${user} identified by 'geheim'`);
    for (const grant of grants) await server.query(grant.replace("?", user));
    return server.urlOf({ user, password: "geheim", database: name });
  }

  it("finds nothing wrong with a sound server, and says what it measured", async () => {
    const { of, notOk } = await diagnosed(url);
    assert.deepEqual(without(notOk, "round-trip"), []);
    assert.match(of("server").found, /^MariaDB 1\d\.\d+.*; 10\.6\.0 is the oldest that is supported$/);
    assert.match(of("round-trip").found, /^p50 (?:less than )?[\d.]+ ms, longest [\d.]+ ms of 10/);
    assert.match(of("clock").found, /give or take (?:less than )?[\d.]+ ms/);
    assert.equal(of("way").found, "direct, from 127.0.0.1");
    assert.equal(of("write").found, `tribune@% may read and write all 10 tables tribune_… in ${name}`);
    assert.match(of("migrate").found, /^tribune@% may create tables/);
    assert.match(of("keep-alive").found, /operating system.*wait_timeout is 28800 s/);
    assert.match(of("durability").found, /^innodb_flush_log_at_trx_commit 1, no binary log, innodb_doublewrite ON; no replica is connected$/);
    assert.match(of("connections").found, /^\d+ left of the server's 300; \d+ in use\. The 3 nodes of this group take up to 6,/);
  });

  it("knows a socket file for the direct way that it is", async () => {
    const there = new URL(url);
    there.searchParams.set("socketPath", server.socketPath);
    const { of } = await diagnosed(there.href);
    assert.equal(of("way").found, "direct, through a socket file");
    assert.match(of("keep-alive").found, /^a socket file needs none/);
  });

  it("of an account that may only read and write is fine, whether its rights are its own or a role's", async () => {
    await server.query("create role worker");
    await server.query(`grant select, insert, update, delete on ${name}.* to worker`);
    for (const there of [await account("own", `grant select, insert, update, delete on ${name}.* to ?`), await account("by_role", "grant worker to ?", "set default role worker for ?")]) {
      const { of, notOk } = await diagnosed(there);
      assert.deepEqual(without(notOk, "round-trip"), []);
      assert.match(of("write").found, /may read and write all 10 tables/);
      assert.match(of("migrate").found, /may not make the schema, and need not now/);
    }
  });

  it("names each table that an account cannot write, also one that it cannot see, with a grant that mends it", async () => {
    const tables = Object.keys({ meta: 0, groups: 0, presence: 0, elections: 0, candidates: 0, views: 0, documents: 0, events: 0 });
    const grants = tables.map((table) => `grant select, insert, update, delete on ${name}.tribune_${table} to ?`);
    const there = await account("partial", ...grants, `grant select, insert, update on ${name}.tribune_terms to ?`);
    const { of, notOk } = await diagnosed(there);
    assert.deepEqual(without(notOk, "round-trip"), ["write"]);
    assert.equal(of("write").level, "fail");
    assert.match(of("write").found, /^partial@% cannot read and write tribune_fences, tribune_terms in /);
    const grant = /^run '(grant .* to 'partial'@'%')', and the same for each of the others$/.exec(of("write").next ?? "")?.[1] ?? "";
    await server.query(grant);
    await server.query(grant.replace("tribune_fences", "tribune_terms"));
    assert.equal((await diagnosed(there)).of("write").level, "ok");
  });

  it("of an account that is not let into the database, or sees nothing there, says so instead of failing", async () => {
    const outside = await diagnosed(await account("outside"));
    assert.deepEqual([outside.of("write").level, outside.of("server").level], ["fail", "ok"]);
    assert.match(outside.of("write").found, /^outside@% may not read the tables/);
    const blind = await diagnosed(await account("blind", `grant create temporary tables on ${name}.* to ?`));
    assert.equal(blind.of("migrate").level, "fail");
    assert.match(blind.of("migrate").found, /may not create tables.*may not see it/);
  });

  it("says who may make a schema that is not there yet, and makes nothing by that", async () => {
    const empty = await server.createDatabase();
    assert.deepEqual(without((await diagnosed(empty.url)).notOk, "round-trip"), []);
    await server.query(`create user writer identified by 'geheim'`);
    await server.query(`grant select, insert, update, delete on ${empty.name}.* to writer`);
    const { of } = await diagnosed(server.urlOf({ user: "writer", password: "geheim", database: empty.name }));
    assert.equal(of("migrate").level, "fail");
    assert.deepEqual(await server.query(`show tables from ${empty.name}`), []);
    assert.equal((await server.query(`show tables from ${name}`)).length, 10);
  });

  it("through a proxy says that there is one, and takes the user's word that it does no harm", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const there = server.urlOf({ database: name, port: proxy.port });
    const warned = await diagnosed(there);
    assert.deepEqual(without(warned.notOk, "round-trip"), ["way"]);
    assert.match(warned.of("way").found, /^the server sees this connection come from (?:localhost|127\.0\.0\.1):\d+, not from here: .*; no evidence of death through it$/);
    assert.match((await diagnosed(there, { direct: true })).of("way").found, /direct: true says that it does no harm$/);
  });

  it("says what a crash may lose where commits are answered before they are on disk", async (t) => {
    t.after(async () => void (await server.query("set global innodb_flush_log_at_trx_commit = 1")));
    await server.query("set global innodb_flush_log_at_trx_commit = 2");
    const { of, notOk } = await diagnosed(url);
    assert.deepEqual(without(notOk, "round-trip"), ["durability"]);
    assert.match(of("durability").found, /innodb_flush_log_at_trx_commit 2.*each of its restarts counts as a failover/);
    assert.equal(of("durability").next, "set innodb_flush_log_at_trx_commit to 1");
  });

  it("says which limit leaves few connections, that of the server or that of the account", async (t) => {
    const there = await account("narrow", `grant select, insert, update, delete on ${name}.* to ?`, "grant usage on *.* to ? with max_user_connections 12");
    await connected(t, there);
    const few = await diagnosed(there, { nodes: 6 });
    assert.equal(few.of("connections").level, "warn");
    assert.match(few.of("connections").found, /^\d+ left of the account narrow@%'s 12; [23] in use\. The 6 nodes of this group take up to 12,/);
    t.after(async () => void (await server.query("set global max_connections = 300")));
    await server.query("set global max_connections = 11");
    const { of } = await diagnosed(there, { nodes: 0 });
    assert.match(of("connections").found, /left of the (?:server's 11|account)/);
    assert.match((await diagnosed(url, { nodes: 0 })).of("connections").found, /left of the server's 11; /);
    assert.equal((await diagnosed(url, { nodes: 0 })).of("connections").level, "warn");
  });

  it("of a server that is read-only is STORE_READ_ONLY, since no node could work there", async (t) => {
    t.after(async () => void (await server.query("set global read_only = 0")));
    await server.query("set global read_only = 1");
    await assert.rejects(diagnosed(url), { code: "STORE_READ_ONLY" });
  });

  it("says so where a binary log does not reach the disk with the commit, and where a server is a replica that takes writes", async (t) => {
    const [primary, replica] = await Promise.all([1, 2].map(async (server_id) => await startMariadb({ programs: server.place.programs, settings: { server_id, log_bin: "log" } })));
    assert.ok(primary !== undefined && replica !== undefined);
    t.after(async () => {
      await primary.stop();
      await replica.stop();
    });
    const { name: database } = await primary.createDatabase();
    const alone = await diagnosed(primary.urlOf({ database }));
    assert.deepEqual(without(alone.notOk, "round-trip"), ["durability"]);
    assert.match(alone.of("durability").found, /sync_binlog 0.*no replica is connected/);
    assert.equal(alone.of("durability").next, "set innodb_flush_log_at_trx_commit and sync_binlog to 1");
    await replica.query(`change master to master_host = '${primary.host}', master_port = ${primary.port}, master_user = 'tribune', master_password = '${primary.password}', master_use_gtid = slave_pos`);
    await replica.query("start slave");
    const [at] = await primary.query("select @@gtid_binlog_pos as position");
    await replica.query("select master_gtid_wait(?, 20)", [at?.["position"]]);
    const followed = await diagnosed(primary.urlOf({ database }));
    assert.match(followed.of("durability").found, /1 replica connected, replication is asynchronous: a failover may lose the last commits/);
    const follower = await diagnosed(replica.urlOf({ database }));
    assert.equal(follower.of("topology").found, "the server is a replica of another one, and takes writes");
  });
});

describe("what the facts about a server mean", () => {
  const level = (finding: Finding) => finding.level;
  const look = (over: Readonly<Record<string, string>> = {}): Look => new Map(Object.entries(over));

  it("MySQL itself works, with the warning that it was not tested", () => {
    assert.deepEqual([level(serverFinding({ version: "8.4.3", mariadb: false })), level(serverFinding({ version: "11.4.2-MariaDB", mariadb: true }))], ["warn", "ok"]);
    assert.match(serverFinding({ version: "8.4.3", mariadb: false }).found, /^MySQL 8\.4\.3; 8\.0\.1 .* tested on MariaDB only$/);
  });

  it("a proxy that lends out its connections is told from one that does not", () => {
    const facts = { comesFrom: { address: "10.0.0.7", port: 1 }, seenFrom: "10.0.0.7:1" };
    assert.match(wayFinding({ ...facts, greeted: false }, { sameEnd: true, assertedDirect: true }).found, /lends out its connections/);
    assert.equal(level(wayFinding({ ...facts, greeted: true }, { sameEnd: true, assertedDirect: false })), "ok");
  });

  it("several servers that take writes, and a replica that does, are warned about", () => {
    const alone = { galera: false, multiPrimary: false };
    const found = [
      topologyFinding({ ...alone, galera: true }, look({ wsrep_cluster_size: "3" })),
      topologyFinding({ ...alone, multiPrimary: true }, look()),
      topologyFinding(alone, look({ Slave_running: "ON" })),
      topologyFinding(alone, look({ Slave_running: "OFF", group_replication_group_name: "7d0c" })),
      topologyFinding(alone, look()),
    ];
    assert.deepEqual(found.map(level), ["warn", "warn", "warn", "ok", "ok"]);
    assert.match(found[0]?.found ?? "", /Galera cluster of 3/);
    assert.match(found[3]?.found ?? "", /primary of a replication group/);
  });

  it("on Galera making a table is not tried", () => {
    assert.match(migrateFinding({ account: "app@%", denied: [], creates: undefined }, { database: "app", prefix: "tribune_", assertedDirect: false, installed: undefined }).found, /cannot be tried on a Galera cluster/);
  });

  it("keep-alives that are shorter than the lease are warned about", () => {
    const comesFrom = { address: "10.0.0.7", port: 1 };
    const found = [0, 3_000, 4_000].map((keepAliveMs) => keepAliveFinding({ comesFrom, keepAliveMs }, look({ wait_timeout: "600" }), 4_000));
    assert.deepEqual(found.map(level), ["ok", "warn", "ok"]);
    assert.match(found[1]?.found ?? "", /after 3 s; wait_timeout is 600 s.*lease of 4 s/);
  });

  it("replicas are counted where the server tells, and what a failover loses is said by how they replicate", () => {
    const sound = { innodb_flush_log_at_trx_commit: "1", log_bin: "ON", sync_binlog: "1", innodb_doublewrite: "ON" };
    const of = (over: Readonly<Record<string, string>>) => durabilityFinding({ lasting: true }, look({ ...sound, ...over }));
    assert.match(of({ Slaves_connected: "2" }).found, /2 replicas connected, replication is asynchronous: a failover may lose the last commits/);
    assert.match(of({ Rpl_semi_sync_source_status: "ON", Rpl_semi_sync_source_clients: "1" }).found, /1 replica connected, replication is semi-synchronous/);
    assert.match(of({}).found, /does not tell how many replicas/);
    assert.deepEqual([level(of({})), level(of({ innodb_doublewrite: "OFF" }))], ["ok", "warn"]);
  });

  it("the tightest limit is the one that is told, and never less than nothing is left", () => {
    const server = { max_connections: "100", Threads_connected: "20", account_limit: "0", account: "app@%" };
    assert.match(connectionsFinding(look(server), 1).found, /^80 left of the server's 100; 20 in use\. The 1 node of this group/);
    assert.match(connectionsFinding(look({ ...server, account_limit: "8", account_used: "9" }), 1).found, /^0 left of the account app@%'s 8; 9 in use/);
  });
});
