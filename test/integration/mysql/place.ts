import { createPool } from "mysql2/promise";
import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import { mysql } from "../../../src/store/mysql/index.ts";
import type { InstalledSchema, StoreProvider } from "../../../src/store/index.ts";
import type { StorePlace, UserTable } from "../../../src/testing/store-conformance.ts";
import { makeDatabase, queryOnce, startMariadb } from "../../support/mariadb-server.ts";
import type { MariadbServer } from "../../support/mariadb-server.ts";

/** A server of the test's own, with everything that the conformance suite can do to it. `end` ends what the places made. */
export async function mariadbPlaces(server: MariadbServer): Promise<{ place(): StorePlace<PoolConnection>; end(): Promise<void> }> {
  const { url } = await server.createDatabase();
  const { place, ...made } = await placeOn(url);
  let replica: MariadbServer | undefined;
  const whole: StorePlace<PoolConnection> = {
    ...place,
    newEpoch: async () => await server.restartAsAnother(),
    hang: async () => {
      await server.pause();
      return async () => server.resume();
    },
    cut: async () => await server.cut(),
    readOnly: async () => {
      replica ??= await startMariadb({ programs: server.place.programs, settings: { read_only: 1 } });
      const { url: readOnlyUrl } = await replica.createDatabase();
      return mysql({ url: readOnlyUrl }) as StoreProvider as StoreProvider<PoolConnection>;
    },
  };
  return {
    place: () => whole,
    end: async () => {
      await made.end();
      await replica?.stop();
    },
  };
}

/** What can be done on a server that is not the test's own: nothing to the server itself. */
export async function placeOn(url: string): Promise<{ readonly place: StorePlace<PoolConnection>; end(): Promise<void> }> {
  const pool = createPool({ uri: url, connectionLimit: 20 });
  await pool.query("create table numbers (`key` varchar(100) primary key, value bigint not null) engine = InnoDB");
  const [provider, peer] = [mysql({ pool }), mysql({ url })];
  const place: StorePlace<PoolConnection> = {
    provider,
    peer: peer as StoreProvider as StoreProvider<PoolConnection>, // only sessions are opened on it
    table: numbers(pool),
    schemaAt: async (installed) => await providerAt(url, installed),
  };
  return {
    place,
    end: async () => {
      await pool.end();
      await peer.close();
    },
  };
}

/** A provider on a fresh database whose schema says this about itself. */
export async function providerAt(url: string, { version, worksWith }: InstalledSchema): Promise<StoreProvider<PoolConnection>> {
  const at = new URL(url);
  at.pathname = `/${await makeDatabase(url)}`;
  const provider = mysql({ url: at.href });
  if (version !== 0) {
    for (const statement of provider.schema.statements(0)) await queryOnce(at.href, statement);
    await queryOnce(at.href, "update tribune_meta set version = ?, works_with = ?", [version, worksWith]);
  }
  return provider as StoreProvider as StoreProvider<PoolConnection>;
}

/** A table `numbers` (key, value) on a pool, for the suite to write into. */
export function numbers(pool: Pool): UserTable<PoolConnection> {
  const read = async (on: Pick<Pool, "query">, key: string) => {
    const [rows] = await on.query<RowDataPacket[]>("select value from numbers where `key` = ?", [key]);
    return Number(rows[0]?.["value"] ?? 0);
  };
  return {
    write: async (tx, key, value) => {
      await tx.query("insert into numbers values (?, ?) on duplicate key update value = ?", [key, value, value]);
    },
    read: async (tx, key) => await read(tx, key),
    committed: async (key) => await read(pool, key),
    begin: async () => {
      const tx = await pool.getConnection();
      tx.on("error", () => undefined); // the pool drops it
      await tx.query("start transaction");
      const end = async (how: "commit" | "rollback") => {
        try {
          await tx.query(how);
        } finally {
          tx.release();
        }
      };
      return { tx, commit: async () => await end("commit"), rollback: async () => await end("rollback") };
    },
    outside: async () => {
      const tx = await pool.getConnection();
      return { tx, release: async () => tx.release() };
    },
  };
}
