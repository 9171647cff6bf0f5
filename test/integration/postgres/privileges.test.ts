import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { Pool } from "pg";
import { postgres } from "../../../src/store/postgres/index.ts";
import { storeConformanceCases } from "../../../src/testing/store-conformance.ts";
import { findPostgres, startPostgres } from "../../support/postgres-server.ts";
import { skipReason } from "../../support/required.ts";
import { numbers } from "./place.ts";

/** Everything that a session does, but for what is about connections and schemas, and what only repeats it many times. */
const RECORDS_LEFT_OUT = ["session", "hints", "races"];

const programs = await findPostgres();

if ("missing" in programs) {
  void it("a role that may read and write rows, and nothing else", { skip: skipReason("postgres", programs.missing) });
} else {
  const server = await startPostgres({ programs });
  const { name, url } = await server.createDatabase();
  const statements = postgres({ url }).schema.statements(0);
  const worker = [
    "create role worker login password 'worker'",
    "revoke all on schema public from public",
    `revoke all on database "${name}" from public`,
    `grant connect on database "${name}" to worker`,
    // What the README says, word for word.
    "grant usage on schema tribune to worker",
    "grant select, insert, update, delete on all tables in schema tribune to worker",
    // A table of the user's.
    "create schema worker authorization worker",
  ];
  for (const statement of [...statements, ...worker]) await server.query(statement, [], { database: name });
  const role = server.urlOf({ user: "worker", password: "worker", database: name });
  const pool = new Pool({ connectionString: role });
  pool.on("error", () => undefined); // the server is restarted now and then
  await pool.query("create table numbers (key text primary key, value bigint not null)");
  await server.query("revoke create on schema worker from worker", [], { database: name });
  const provider = postgres({ pool });
  after(async () => {
    await pool.end();
    await server.stop();
  });

  await describe("a role that may read and write the rows of Tribune's tables, and nothing else", () => {
    it("may do nothing else", async () => {
      const { rows } = await pool.query(`select rolsuper, rolcreaterole, has_database_privilege(current_database(), 'create, temp') as create,
        has_schema_privilege('tribune', 'create') as make, has_table_privilege('tribune.fences', 'truncate, references, trigger') as more from pg_roles where rolname = current_user`);
      assert.deepEqual(rows, [{ rolsuper: false, rolcreaterole: false, create: false, make: false, more: false }]);
    });

    const place = {
      provider,
      table: numbers(pool),
      newEpoch: async () => await server.restartOnNewTimeline(),
      hang: async () => {
        server.pause();
        return async () => server.resume();
      },
      cut: async () => {
        await server.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'worker'");
      },
    };
    const cases = storeConformanceCases({ place: () => place }).filter(({ record }) => !RECORDS_LEFT_OUT.includes(record));
    for (const each of cases) {
      it(`${each.record}: ${each.title}`, { timeout: 120_000 }, async (t) => {
        const { skipped } = await each.run();
        if (skipped !== undefined) t.skip(skipped);
      });
    }
  });
}
