import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import type { StoreProvider } from "../../../src/store/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { storeConformance } from "../../../src/testing/store-conformance.ts";
import { findPostgres, startPostgres } from "../../support/postgres-server.ts";
import { skipReason } from "../../support/required.ts";
import { sceneOn } from "./here.ts";
import { startPgBouncer } from "./pgbouncer.ts";
import { numbers, providerAt } from "./place.ts";

/** Every statement of a node, and every transaction of a user, on whatever server connection PgBouncer has at hand. */
const programs = await findPostgres();
const server = "missing" in programs ? undefined : await startPostgres({ programs });
const pgbouncer = server === undefined ? undefined : await startPgBouncer(server);

if (server === undefined || pgbouncer === undefined) {
  void it("PostgreSQL behind a pooler", { skip: skipReason("postgres", "missing" in programs ? programs.missing : "it did not start") });
} else if ("missing" in pgbouncer) {
  void it("PostgreSQL behind a pooler", { skip: skipReason("pgbouncer", pgbouncer.missing) });
  after(async () => await server.stop());
} else {
  const { name } = await server.createDatabase();
  const url = pgbouncer.urlOf(name);
  const pool = new Pool({ connectionString: url });
  pool.on("error", () => undefined); // the server is restarted now and then
  const [provider, peer] = [postgres({ pool }), postgres({ url }) as StoreProvider as StoreProvider<PoolClient>];
  await pool.query("create table numbers (key text primary key, value bigint not null)");
  after(async () => {
    await pool.end();
    await peer.close();
    await pgbouncer.stop();
    await server.stop();
  });

  storeConformance({
    name: `PostgreSQL ${server.major} behind ${pgbouncer.version}`,
    describe,
    it,
    place: () => ({
      provider,
      peer,
      secrets: [server.password],
      table: numbers(pool),
      newEpoch: async () => await server.restartOnNewTimeline(),
      hang: async () => {
        server.pause();
        return async () => server.resume();
      },
      schemaAt: async (installed) => await providerAt(server, installed, (database) => pgbouncer.urlOf(database)),
    }),
  });

  describe("a session behind PgBouncer in transaction mode", () => {
    it("finds out, has no hints, and says what to do", async (t) => {
      const { info } = await sceneOn(t, postgres({ url })).session();
      assert.equal(info.hints, false);
      assert.match(info.warnings.join(" "), /pooler.*connect to the server directly/);
    });

    it("leaves no setting on the connections that others get", async (t) => {
      const member = await sceneOn(t, postgres({ url })).member();
      for (let n = 0; n < 20; n++) await member.beat();
      await member.lead("e");
      const others = postgres({ url: server.urlOf({ database: name }) });
      assert.equal((await sceneOn(t, others).session()).info.hints, true, "one that is direct has hints");
      for (const setting of ["search_path", "statement_timeout", "lock_timeout", "synchronous_commit"]) {
        const shared = await pool.query<Record<string, string>>(`show ${setting}`);
        const untouched = await server.query(`show ${setting}`, [], { database: name });
        assert.equal(shared.rows[0]?.[setting], untouched[0]?.[setting], setting);
      }
    });
  });
}
