import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import { cursorOf } from "../../../src/testing/conformance/scene.ts";
import { findMariadb, startMariadb } from "../../support/mariadb-server.ts";
import type { MariadbServer } from "../../support/mariadb-server.ts";
import { skipReason } from "../../support/required.ts";
import { sceneOn } from "./here.ts";

const programs = await findMariadb();
const LOGGING = { log_bin: "log", sync_binlog: 1, log_slave_updates: 1 };
const ELECTION = "scheduler";

type Context = Parameters<typeof sceneOn>[0];

/** A primary and its replica, and what a failover between them leaves of what was answered. */
async function pair(t: Context) {
  if ("missing" in programs) return assert.fail("no server");
  const [a, b] = await Promise.all([1, 2].map(async (server_id) => await startMariadb({ programs, settings: { ...LOGGING, server_id } })));
  if (a === undefined || b === undefined) return assert.fail("no servers");
  t.after(async () => {
    await a.stop();
    await b.stop();
  });
  const { name: database } = await a.createDatabase();
  await b.query("reset master"); // forgets the making of its own administrator, which the primary knows nothing of
  await follow(b, a);
  const on = (server: MariadbServer) => mysql({ url: server.urlOf({ database }) });
  return { a, b, database, on };
}

/** Has `replica` repeat what `primary` writes, and nobody else write there. */
async function follow(replica: MariadbServer, primary: MariadbServer): Promise<void> {
  await replica.query("set global read_only = 1");
  await replica.query("stop slave").catch(() => undefined); // it may never have been one
  const from = `master_host = '${primary.host}', master_port = ${primary.port}, master_user = 'tribune', master_password = '${primary.password}', master_use_gtid = current_pos`;
  await replica.query(`change master to ${from}, master_connect_retry = 1`);
  await replica.query("start slave");
}

/** Until the replica has all that the primary has by now. */
async function caughtUp(replica: MariadbServer, primary: MariadbServer): Promise<void> {
  const [at] = await primary.query("select @@gtid_binlog_pos as position");
  const [row] = await replica.query("select master_gtid_wait(?, 20) as waited", [at?.["position"]]);
  const [status] = await replica.query("show slave status");
  assert.equal(Number(row?.["waited"]), 0, `the replica does not follow: ${String(status?.["Last_IO_Error"])} ${String(status?.["Last_SQL_Error"])}`);
}

async function promote(replica: MariadbServer): Promise<void> {
  await replica.query("stop slave");
  await replica.query("set global read_only = 0");
}

if ("missing" in programs) {
  void it("failover between MariaDB servers", { skip: skipReason("mariadb", programs.missing) });
} else {
  describe("failover between MariaDB servers", { timeout: 120_000 }, () => {
    it("that loses nothing is a new epoch: what was held stays held, a beat counts once its sender knows the epoch, and tokens are of a new range", async (t) => {
      const { a, b, on } = await pair(t);
      const before = sceneOn(t, on(a));
      const member = await before.member();
      const token = await member.lead(ELECTION);
      const seen = await member.beat();
      await caughtUp(b, a);
      await a.query("set global read_only = 1");
      await assert.rejects(member.beat(), { code: "STORE_READ_ONLY" });
      await promote(b);
      const after = sceneOn(t, on(b));
      member.session = await after.session({ group: before.group });
      const first = await member.beat({ cursor: cursorOf(seen) });
      assert.deepEqual([first.accepted, first.generation, first.epoch === seen.epoch], [false, seen.generation + 1, false]);
      assert.equal((await member.beat({ cursor: cursorOf(first) })).accepted, true);
      const row = await member.row(ELECTION);
      assert.deepEqual([row.token, row.holder?.incarnation, row.epoch], [token, member.incarnation, seen.epoch]);
      assert.equal(await member.passFence(ELECTION, token), "passed");
      assert.equal(await member.resign(ELECTION, token), true);
      assert.equal((await member.claim(ELECTION))?.token, first.generation * TOKENS_PER_GENERATION);
      assert.deepEqual((await member.events()).map((each) => each.type).slice(0, 3), ["term-began", "epoch-changed", "term-ended"]);
    });

    it("that loses the last commits gives out no token twice, although nobody is left who saw the lost one", async (t) => {
      const { a, b, on } = await pair(t);
      const before = sceneOn(t, on(a));
      const [lost, left] = [await before.member(), await before.member()];
      await left.createElection(ELECTION);
      const seen = await left.beat();
      await caughtUp(b, a);
      await b.query("stop slave");
      const token = await lost.lead(ELECTION);
      await a.kill("SIGKILL");
      await promote(b);
      const after = sceneOn(t, on(b));
      left.session = await after.session({ group: before.group });
      const first = await left.beat();
      assert.notEqual(first.epoch, seen.epoch);
      const row = await left.row(ELECTION);
      assert.deepEqual([row.token, row.epoch === first.epoch], [0, false], "the claim is lost, and the row says that it is of another epoch: nobody takes it at once");
      assert.ok(((await left.claim(ELECTION))?.token ?? 0) > token);
    });

    it("back to a server that never stopped is a new epoch, and the one in between counts, although all that happened in it is lost but its beginning", async (t) => {
      const { a, b, database, on } = await pair(t);
      const before = sceneOn(t, on(a));
      const [lost, left] = [await before.member(), await before.member()];
      await left.createElection(ELECTION);
      const onA = await left.beat();
      await caughtUp(b, a);
      await promote(b);
      await follow(a, b);
      const during = sceneOn(t, on(b));
      const session = await during.session({ group: before.group });
      await caughtUp(a, b);
      await a.query("stop slave");
      // From here on nothing of what the other server answers is left.
      lost.session = session;
      const onB = await lost.beat();
      const token = (await lost.claim(ELECTION))?.token ?? assert.fail("no claim");
      assert.equal(await lost.passFence(ELECTION, token), "passed");
      await b.kill("SIGKILL");
      await promote(a);
      const after = sceneOn(t, on(a));
      left.session = await after.session({ group: before.group });
      const back = await left.beat();
      assert.equal(new Set([onA.epoch, onB.epoch, back.epoch]).size, 3, "three epochs");
      assert.deepEqual([onB.generation, back.generation], [onA.generation + 1, onA.generation + 2]);
      const row = await left.row(ELECTION);
      assert.deepEqual([row.token, row.epoch], [0, onA.epoch], "the row is as it was before, and of the first epoch");
      assert.ok(((await left.claim(ELECTION))?.token ?? 0) > token);
      const [meta] = await a.query(`select epoch_number from ${database}.tribune_meta`);
      assert.equal(Number(meta?.["epoch_number"]), 3);
    });
  });
}
