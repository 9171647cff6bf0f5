import { Pool } from "pg";
import type { PoolClient } from "pg";
import { postgres } from "../../../src/store/postgres/index.ts";
import type { InstalledSchema, StoreProvider } from "../../../src/store/index.ts";
import type { StorePlace, UserTable } from "../../../src/testing/store-conformance.ts";
import { startStandby } from "../../support/postgres-server.ts";
import type { PostgresServer } from "../../support/postgres-server.ts";
import { firstSchema } from "./first-schema.ts";

/** A server of the test's own, with everything that the conformance suite can do to it. `end` ends what the places made. */
export async function postgresPlaces(server: PostgresServer): Promise<{ place(): StorePlace<PoolClient>; end(): Promise<void> }> {
  const { url } = await server.createDatabase();
  const pool = new Pool({ connectionString: url });
  pool.on("error", () => undefined); // the server is restarted now and then
  await pool.query("create table numbers (key text primary key, value bigint not null)");
  const [provider, peer] = [postgres({ pool }), postgres({ url })];
  let standby: PostgresServer | undefined;
  const place: StorePlace<PoolClient> = {
    provider,
    secrets: [server.password],
    peer: peer as StoreProvider as StoreProvider<PoolClient>, // only sessions are opened on it
    table: numbers(pool),
    newEpoch: async () => await server.restartOnNewTimeline(),
    hang: async () => {
      server.pause();
      return async () => server.resume();
    },
    cut: async () => {
      await server.query("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'");
    },
    readOnly: async () => {
      standby ??= await startStandby(server);
      return postgres({ url: standby.url }) as StoreProvider as StoreProvider<PoolClient>;
    },
    schemaAt: async (installed) => await providerAt(server, installed, (database) => server.urlOf({ database })),
  };
  return {
    place: () => place,
    end: async () => {
      await pool.end();
      await peer.close();
      await standby?.stop();
    },
  };
}

/** A provider on a fresh database whose schema says this about itself: version 1 as it was made then, the present one, or that one under a later number. */
export async function providerAt(server: PostgresServer, { version, worksWith }: InstalledSchema, urlOf: (database: string) => string): Promise<StoreProvider<PoolClient>> {
  const { name } = await server.createDatabase();
  const provider = postgres({ url: urlOf(name) });
  const statements = version === 0 ? [] : version === 1 ? firstSchema() : provider.schema.statements(0);
  for (const statement of statements) await server.query(statement, [], { database: name });
  if (version > 1) await server.query("update tribune.meta set version = $1, works_with = $2", [version, worksWith], { database: name });
  return provider as StoreProvider as StoreProvider<PoolClient>;
}

/** A table `numbers` (key, value) on a pool, for the suite to write into. */
export function numbers(pool: Pool): UserTable<PoolClient> {
  const read = async (on: Pick<Pool, "query">, key: string) => Number((await on.query<{ value: string }>("select value from numbers where key = $1", [key])).rows[0]?.value ?? 0);
  return {
    write: async (tx, key, value) => {
      await tx.query("insert into numbers values ($1, $2) on conflict (key) do update set value = excluded.value", [key, value]);
    },
    read: async (tx, key) => await read(tx, key),
    committed: async (key) => await read(pool, key),
    begin: async () => {
      const tx = await pool.connect();
      let broken: Error | undefined;
      tx.on("error", (error) => (broken = error));
      await tx.query("begin");
      const end = async (how: "commit" | "rollback") => {
        try {
          await tx.query(how);
        } finally {
          tx.release(broken);
        }
      };
      return { tx, commit: async () => await end("commit"), rollback: async () => await end("rollback") };
    },
    outside: async () => {
      const tx = await pool.connect();
      return { tx, release: async () => tx.release() };
    },
  };
}
