import assert from "node:assert/strict";
import { it } from "node:test";
import { postgres } from "../../../src/store/postgres/index.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const BEATS = 20;

/** What operations cost the server, counted by the server. */
await describeWithServer("what it costs PostgreSQL", { settings: { synchronous_commit: "off", wal_writer_delay: "10s" } }, async (server) => {
  const [library] = await server.query("select 1 from pg_available_extensions where name = 'pg_stat_statements'");
  if (library !== undefined) {
    await server.kill("SIGINT");
    await server.start({ shared_preload_libraries: "pg_stat_statements" });
    await server.query("create extension pg_stat_statements");
  }

  for (const [held, evidence] of [[1, undefined], [100, undefined], [1_000, undefined], [10, { leaseMs: 15_000 }]] as const) {
    it(`a beat of one that holds ${held} elections${evidence === undefined ? "" : ", and evidence,"} writes one row, in its page, with one statement`, async (t) => {
      const { name, url } = await server.createDatabase();
      const scene = sceneOn(t, postgres({ url }));
      const member = await scene.member();
      await hold(member, name, held);
      const { epoch, electionsVersion, viewVersion } = await member.beat();
      assert.equal((await member.look()).elections.length, held);
      await member.session.close(); // what a server process counted is told at the latest when it ends
      member.session = await scene.session({ evidence });
      assert.equal(member.session.info.evidence.held, evidence !== undefined);
      const before = await counted(name);
      if (library !== undefined) await server.query("select pg_stat_statements_reset()");
      for (let n = 0; n < BEATS; n++) {
        const reply = await member.beat({ cursor: { epoch, electionsVersion, viewVersion }, watch: [member.incarnation] });
        assert.deepEqual([reply.accepted, reply.elections.length], [true, 0]);
      }
      await member.session.close();
      await ended(member);
      const since = async () => Object.fromEntries(Object.entries(await counted(name)).map(([key, value]) => [key, value - (before[key] ?? 0)]));
      // Before version 15 the counts come by way of another process, a little later.
      const written = await scene.until("the counts are there", async () => {
        const found = await since();
        return (found["updated"] ?? 0) >= BEATS ? found : undefined;
      });
      assert.deepEqual(written, { inserted: 0, updated: BEATS, inPlace: BEATS, deleted: 0, presenceUpdated: BEATS });
      if (library === undefined) t.diagnostic("pg_stat_statements is not installed: statements are not counted");
      else {
        const asked = await statements(name);
        assert.deepEqual(asked.filter(({ calls }) => calls > 1), [{ calls: BEATS, rows: BEATS }]);
        assert.equal(asked.length, 1 + 4, "the four statements of a takeover are rehearsed once, so that they are planned");
      }
    });
  }

  it("a beat reads its own row and the watched ones, also of a large group in a table that was never analyzed", async (t) => {
    const { name, url } = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url }));
    const member = await scene.member();
    const copies = "select (json_populate_record(p, json_build_object('incarnation', 'crowd-' || i, 'node', 'crowd-' || i))).* from tribune.presence p, generate_series(1, 500) i";
    await server.query(`insert into tribune.presence ${copies}`, [], { database: name });
    for (let n = 0; n < BEATS; n++) await member.beat({ watch: ["crowd-7"] }); // from the sixth on by a plan of the first
    await member.session.close();
    await ended(member);
    const [read] = await server.query("select seq_tup_read, idx_tup_fetch from pg_stat_user_tables where schemaname = 'tribune' and relname = 'presence'", [], { database: name });
    const rows = Number(read?.["seq_tup_read"]) + Number(read?.["idx_tup_fetch"]);
    assert.ok(rows < BEATS * 10, `${rows} rows read by ${BEATS} beats`);
  });

  it("a member that comes to a large group wakes nobody; the coordinator's next beat shows it", async (t) => {
    const { name, url } = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url }));
    const coordinator = await scene.member();
    const hints: string[] = [];
    coordinator.session.onHint(({ kind }) => void hints.push(kind));
    await scene.member();
    await scene.until("a small group is told", async () => (hints.includes("presence") ? true : undefined));
    await server.query("insert into tribune.views (grp, version, view) select grp, 1, json_build_object('version', 1, 'members', json_build_array(), 'coordinator', null, 'more', repeat('x', 20000)) from tribune.groups", [], { database: name });
    hints.length = 0;
    const late = await scene.member();
    await coordinator.createElection("marker"); // hints come in order, so what comes first has been left out
    await scene.until("the hint of another change comes", async () => (hints.includes("election") ? true : undefined));
    assert.deepEqual(hints.filter((kind) => kind === "presence"), []);
    const { presence } = await coordinator.look();
    assert.ok(presence.some(({ incarnation }) => incarnation === late.incarnation));
  });

  it("a look writes nothing, and takes no transaction number", async (t) => {
    const { name, url } = await server.createDatabase();
    const member = await sceneOn(t, postgres({ url })).member();
    const transactions = async () => Number((await server.query("select txid_current() as id", [], { database: name }))[0]?.["id"]);
    const before = await transactions();
    for (let n = 0; n < BEATS; n++) await member.look();
    assert.equal(await transactions(), before + 1, "the question itself takes one");
  });

  it("a claim that cannot win, and whatever else is refused, writes nothing either", async (t) => {
    const { name, url } = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url }));
    const [a, b] = [await scene.member(), await scene.member()];
    const token = await a.lead("e");
    await a.createElection("paused");
    assert.equal(await a.pause("paused"), true);
    assert.equal(await a.evict(b.node), true);
    const transactions = async () => Number((await server.query("select txid_current() as id", [], { database: name }))[0]?.["id"]);
    const before = await transactions();
    for (let n = 0; n < BEATS; n++) {
      assert.equal(await a.claim("paused"), null);
      assert.equal(await a.pause("paused"), false);
      assert.equal(await a.resume("e"), false);
      assert.equal(await a.evict(b.node), false);
      assert.equal(await a.contend("none", { priority: 1, fit: true }), false);
      assert.equal(await b.declareDead(a, { requireFree: true }), false);
      assert.equal(await b.claim("e"), null);
      assert.equal(await b.resign("e", token), false);
      assert.equal(await b.requestResign("e", token + 1), false);
      assert.equal(await a.passFence("e", token), "passed");
      assert.equal(await b.passFence("e", token), "superseded");
      assert.equal(await b.declareDead(a, { epoch: "other" }), false);
      await b.createElection("e");
    }
    assert.equal(await transactions(), before + 1, "the question itself takes one");
  });

  it("metadata is out of the way of beats: a beat of one with much of it writes as little log as one without", async (t) => {
    const { url } = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url }));
    const [small, large] = [await scene.member(), await scene.member({ metadata: JSON.stringify({ text: scene.random.id().repeat(200) }) })];
    const bytesOf = async (member: Member) => {
      await member.beat();
      await server.query("checkpoint"); // the first change of a page after it logs the whole page
      await member.beat();
      const from = (await server.query("select pg_current_wal_insert_lsn() as at"))[0]?.["at"];
      await member.beat();
      return Number((await server.query("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1) as bytes", [from]))[0]?.["bytes"]);
    };
    const [of, withMuch] = [await bytesOf(small), await bytesOf(large)];
    assert.ok(withMuch < of + 200, `${withMuch} bytes against ${of}`);
  });

  it("what was answered is on the disk, also where the database does not wait for it", async (t) => {
    const { name, url } = await server.createDatabase();
    const member = await sceneOn(t, postgres({ url })).member();
    await server.query("create table control (n int)", [], { database: name });
    const onDisk = async () => (await server.query("select pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() as is"))[0]?.["is"];
    let token = 0;
    const operations: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["an election", async () => await member.createElection("coordinator")],
      ["a beat", async () => assert.equal((await member.beat()).accepted, true)],
      ["a claim", async () => (token = (await member.claim("coordinator"))?.token ?? assert.fail("no claim"))],
      ["a fence", async () => assert.equal(await member.passFence("coordinator", token), "passed")],
      ["a view", async () => assert.equal(await member.publish(token), true)],
      ["metadata", async () => assert.equal(await member.session.updateMetadata({ incarnation: member.incarnation, metadata: "{}" }, member.call), true)],
      ["a generation", async () => assert.equal((await member.beat({ generation: 9 })).generation, 10)],
      ["a request", async () => assert.equal(await member.requestResign("coordinator", token), true)],
      ["a pause", async () => assert.equal(await member.pause("coordinator"), true)],
      ["its end", async () => assert.equal(await member.resume("coordinator"), true)],
      ["a candidacy", async () => assert.equal(await member.contend("coordinator", { priority: 2, fit: true }), true)],
      ["an eviction", async () => assert.equal(await member.evict(member.node), true)],
      ["a resignation", async () => assert.equal(await member.resign("coordinator", token), true)],
      ["a death", async () => assert.equal(await member.declareDead(member), true)],
    ];
    for (const [what, operation] of operations) {
      // The database by itself does not wait; now and then its background writer comes in between.
      do await server.query("insert into control values (1)", [], { database: name });
      while (await onDisk());
      await operation();
      assert.equal(await onDisk(), true, what);
    }
  });

  it("what was answered survives a crash of the server", async (t) => {
    const { url } = await server.createDatabase();
    const member = await sceneOn(t, postgres({ url })).member();
    const token = await member.lead("e");
    await server.kill("SIGKILL");
    await server.start();
    await member.reconnect();
    const { elections, fences } = await member.reading();
    assert.deepEqual([elections[0]?.token, fences[0]?.token], [token, token]);
  });

  // ---- what the server counted

  /** Makes a member hold that many elections, without that many statements. */
  async function hold(member: Member, database: string, count: number): Promise<void> {
    const { epoch } = await member.look();
    const insert = `insert into tribune.elections (grp, election, token, holder_incarnation, holder_node, epoch, version, changed_at_ms)
      select $1, 'e-' || n, 4294967296, $2, $3, $4, n, 1 from generate_series(1, $5::int) n`;
    await server.query(insert, [member.scene.group, member.incarnation, member.node, epoch, count], { database });
    await server.query("update tribune.groups set elections_version = $2 where grp = $1", [member.scene.group, count], { database });
  }

  async function counted(database: string): Promise<Record<string, number>> {
    const sum = `select sum(n_tup_ins)::int as inserted, sum(n_tup_upd)::int as updated, sum(n_tup_hot_upd)::int as "inPlace", sum(n_tup_del)::int as deleted,
      (sum(n_tup_upd) filter (where relname = 'presence'))::int as "presenceUpdated" from pg_stat_user_tables where schemaname = 'tribune'`;
    const [row] = await server.query(sum, [], { database });
    return row as Record<string, number>;
  }

  async function ended(member: Member): Promise<void> {
    await member.scene.until("the server process has ended", async () => {
      const left = await server.query("select from pg_stat_activity where application_name like 'tribune:%'");
      return left.length === 0 ? true : undefined;
    });
  }

  /** Everything that sessions of Tribune ran on the tables, but for the two questions about the schema that belong to opening. */
  async function statements(database: string): Promise<readonly { readonly calls: number; readonly rows: number }[]> {
    const find = `select calls::int, rows::int from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where d.datname = $1 and query not like '%pg_stat_%' and query not like '%pg_tables%' and query not like '%from "tribune".meta' and query not like 'listen%'`;
    return (await server.query(find, [database])) as { calls: number; rows: number }[];
  }
});
