import { DatabaseSync } from "node:sqlite";
import { createPool } from "mysql2/promise";
import type { PoolConnection } from "mysql2/promise";
import pg from "pg";
import { etcd } from "../../src/store/etcd/index.ts";
import type { EtcdTransaction } from "../../src/store/etcd/index.ts";
import { mysql } from "../../src/store/mysql/index.ts";
import { postgres } from "../../src/store/postgres/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";
import { zookeeper } from "../../src/store/zookeeper/index.ts";
import type { ZookeeperTransaction } from "../../src/store/zookeeper/index.ts";
import type { StoreProvider } from "../../src/store/index.ts";

/** One transaction with one insert, bare and fenced, on the same driver, with the same connections. */
export interface FenceSubject {
  readonly provider: StoreProvider;
  /** What is done in the transaction. */
  readonly work: (tx: unknown) => Promise<void> | void;
  /** The transaction as one writes it without a term. */
  bare(): Promise<void>;
  close(): Promise<void>;
}

const MAKE_TABLE = "create table bench_rows (id integer not null, note varchar(40) not null)";
const INSERT = "insert into bench_rows (id, note) values (1, 'a row as small as they come')";

/** By the name of the store. */
export const SUBJECTS: Readonly<Record<string, (url: string) => Promise<FenceSubject>>> = {
  postgres: async (url) => {
    const pool = new pg.Pool({ connectionString: url });
    pool.on("error", () => undefined);
    await pool.query(MAKE_TABLE);
    const work = async (tx: unknown) => void (await (tx as pg.PoolClient).query(INSERT));
    return {
      provider: postgres({ pool }),
      work,
      async bare() {
        const client = await pool.connect();
        try {
          await client.query("begin");
          await work(client);
          await client.query("commit");
        } finally {
          client.release();
        }
      },
      close: () => pool.end(),
    };
  },
  mariadb: async (url) => {
    const pool = createPool({ uri: url });
    await pool.query(MAKE_TABLE);
    const work = async (tx: unknown) => void (await (tx as PoolConnection).query(INSERT));
    return {
      provider: mysql({ pool }),
      work,
      async bare() {
        const connection = await pool.getConnection();
        try {
          await connection.query("begin");
          await work(connection);
          await connection.query("commit");
        } finally {
          connection.release();
        }
      },
      close: () => pool.end(),
    };
  },
  etcd: async (url) => {
    const provider = etcd({ url });
    const work = (tx: unknown) => (tx as EtcdTransaction).put("bench/row", "a row as small as they come");
    await Promise.resolve();
    return {
      provider,
      work,
      async bare() {
        const tx = provider.begin();
        work(tx);
        await tx.commit();
      },
      close: () => provider.close(),
    };
  },
  zookeeper: async (url) => {
    const provider = zookeeper({ url });
    const path = "/bench-row";
    const first = await provider.begin();
    await first.create(path, "a row").commit();
    const work = (tx: unknown) => void (tx as ZookeeperTransaction).set(path, "a row as small as they come");
    return {
      provider,
      work,
      async bare() {
        const tx = await provider.begin();
        work(tx);
        await tx.commit();
      },
      close: () => provider.close(),
    };
  },
  sqlite: async (url) => {
    const database = new DatabaseSync(url.slice("sqlite:".length));
    // As the store itself has it, so that both sides pay for the same durability.
    database.exec("pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 1000");
    database.exec(MAKE_TABLE);
    const work = (tx: unknown) => (tx as DatabaseSync).exec(INSERT);
    return {
      provider: sqlite({ database }),
      work,
      async bare() {
        database.exec("begin immediate");
        work(database);
        database.exec("commit");
        await Promise.resolve();
      },
      close: async () => database.close(),
    };
  },
};
