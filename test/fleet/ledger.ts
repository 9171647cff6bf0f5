import { DatabaseSync } from "node:sqlite";
import { createPool } from "mysql2/promise";
import type { Pool, PoolConnection } from "mysql2/promise";
import pg from "pg";
import type { Term } from "../../src/index.ts";
import { systemRandom } from "../../src/kernel/index.ts";
import { etcd } from "../../src/store/etcd/index.ts";
import type { EtcdTransaction } from "../../src/store/etcd/index.ts";
import { mysql } from "../../src/store/mysql/index.ts";
import { postgres } from "../../src/store/postgres/index.ts";
import { sqlite } from "../../src/store/sqlite/index.ts";
import { zookeeper } from "../../src/store/zookeeper/index.ts";
import type { ZookeeperTransaction } from "../../src/store/zookeeper/index.ts";
import type { StoreProvider } from "../../src/store/index.ts";
import { ETCD_ROWS } from "./etcd-rows.ts";

/** Where a worker keeps its state: told by the supervisor. */
export type WorkerStore = { readonly kind: "sqlite"; readonly path: string } | { readonly kind: "postgres" | "mysql" | "etcd" | "zookeeper"; readonly url: string };

/** The fenced table, as the supervisor makes it, and its rows in order. In etcd it is a folder of keys; see `etcd-rows.ts`. */
export const LEDGER = {
  sqlite: {
    create: `create table if not exists fenced_rows (
  sequence integer primary key autoincrement, election text not null, token integer not null, node text not null, incarnation text not null, write text not null, t real not null)`,
    rows: "select sequence, election, token, node, incarnation, write, t from fenced_rows order by sequence",
  },
  postgres: {
    create: `create table if not exists fenced_rows (
  sequence bigserial primary key, election text not null, token bigint not null, node text not null, incarnation text not null, write text not null, t double precision not null)`,
    rows: "select sequence, election, token, node, incarnation, write, t from fenced_rows order by sequence",
  },
  mysql: {
    create: `create table if not exists fenced_rows (
  sequence bigint auto_increment primary key, election varchar(128) not null, token bigint not null, node varchar(128) not null, incarnation varchar(128) not null, \`write\` varchar(200) not null,
  t double not null) engine = InnoDB`,
    rows: "select sequence, election, token, node, incarnation, `write`, t from fenced_rows order by sequence",
  },
} as const;

/** Its rows in ZooKeeper: a znode for each, below this one. */
export const LEDGER_ZNODE = "/fenced_rows";

/** What a worker writes about itself under the fence. */
export interface Entry {
  readonly election: string;
  readonly token: number;
  readonly node: string;
  readonly incarnation: string;
  readonly write: string;
  readonly t: number;
}

/** How a write is done. `holdMs` is a wait inside the transaction, before or after the row is written. */
export interface Manner {
  readonly by: "transaction" | "guard";
  readonly holdMs: number;
  readonly holdFirst: boolean;
}

/** The outcome of a write, as far as its writer can tell. */
export type Answer = { readonly outcome: "committed" | "refused" | "unknown"; readonly code: string };

/** A worker's side of the fenced table, in the database that is also the cluster's store. */
export interface Ledger {
  readonly provider: StoreProvider;
  write(term: Term, entry: Entry, manner: Manner): Promise<Answer>;
  /** What nobody should do: a write that no fence guards. */
  writeUnfenced(entry: Entry): Promise<void>;
  close(): Promise<void>;
}

export function openLedger(store: WorkerStore, leaseMs: number): Ledger {
  if (store.kind === "etcd") return etcdLedger(store.url);
  if (store.kind === "mysql") return mysqlLedger(store.url, leaseMs);
  if (store.kind === "zookeeper") return zookeeperLedger(store.url);
  return store.kind === "sqlite" ? sqliteLedger(store.path) : postgresLedger(store.url, leaseMs);
}

/** Committed, or what the error says. Only a broken connection at the commit leaves it open. */
async function answered(work: () => Promise<unknown>): Promise<Answer> {
  try {
    await work();
    return { outcome: "committed", code: "" };
  } catch (error) {
    const code = codeOf(error);
    return { outcome: code === "COMMIT_UNKNOWN" ? "unknown" : "refused", code };
  }
}

function codeOf(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === "string" && code !== "" ? code : error instanceof Error ? error.message : String(error);
}

// ---- SQLite

const SQLITE_INSERT = "insert into fenced_rows (election, token, node, incarnation, write, t) values (?, ?, ?, ?, ?, ?)";

function sqliteLedger(path: string): Ledger {
  // A connection of the user's own beside those of the provider, for `guard`.
  const own = new DatabaseSync(path, { timeout: 0 });
  let last: Promise<unknown> = Promise.resolve();
  const insert = (database: DatabaseSync, entry: Entry) => {
    database.prepare(SQLITE_INSERT).run(entry.election, entry.token, entry.node, entry.incarnation, entry.write, entry.t);
  };
  const perform = (database: DatabaseSync, entry: Entry, manner: Manner) => {
    if (manner.holdFirst) waitBlocking(manner.holdMs);
    insert(database, entry);
    if (!manner.holdFirst) waitBlocking(manner.holdMs);
  };
  return {
    provider: sqlite({ path }),
    write(term, entry, manner) {
      if (manner.by === "transaction") return answered(() => term.transaction((tx) => perform(tx as DatabaseSync, entry, manner)));
      // One after the other: there is one connection, and the terms of several elections.
      const answer = last.then(() =>
        answered(async () => {
          await begin(own);
          try {
            await term.guard(own);
            perform(own, entry, manner);
            own.exec("commit");
          } catch (error) {
            if (own.isTransaction) own.exec("rollback");
            throw error;
          }
        }),
      );
      last = answer;
      return answer;
    },
    writeUnfenced: async (entry) => insert(own, entry),
    close: () => Promise.resolve(own.close()),
  };
}

/** For about so long a busy file is tried again. */
const BUSY_ATTEMPTS = 100;

async function begin(database: DatabaseSync): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      database.exec("begin immediate");
      return;
    } catch (error) {
      if ((error as { readonly errcode?: number }).errcode !== 5 || attempt === BUSY_ATTEMPTS) throw error; // SQLITE_BUSY
    }
    await wait(1 + (attempt % 9));
  }
}

/** A transaction on SQLite is synchronous, so a slow one blocks the process. */
function waitBlocking(ms: number): void {
  if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

// ---- PostgreSQL

const POSTGRES_INSERT = "insert into fenced_rows (election, token, node, incarnation, write, t) values ($1, $2, $3, $4, $5, $6)";

function postgresLedger(url: string, leaseMs: number): Ledger {
  // `allowExitOnIdle`: a connection that nobody answers any more must not keep a worker that has stopped.
  const pool = new pg.Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 2_000, allowExitOnIdle: true });
  // `term.transaction` bounds itself; in a transaction of one's own, a server that does not answer any more is one's own trouble.
  const guards = new pg.Pool({ ...pool.options, max: 1, query_timeout: leaseMs });
  for (const each of [pool, guards]) each.on("error", () => undefined); // an idle connection broke; the pool replaces it
  const insert = (client: pg.ClientBase, entry: Entry) => client.query(POSTGRES_INSERT, [entry.election, entry.token, entry.node, entry.incarnation, entry.write, entry.t]);
  const perform = async (client: pg.ClientBase, entry: Entry, manner: Manner) => {
    if (manner.holdFirst) await wait(manner.holdMs);
    await insert(client, entry);
    if (!manner.holdFirst) await wait(manner.holdMs);
  };
  return {
    provider: postgres({ pool }) as StoreProvider,
    write(term, entry, manner) {
      if (manner.by === "transaction") return answered(() => term.transaction((tx) => perform(tx as pg.PoolClient, entry, manner)));
      return guarded(guards, term, (client) => perform(client, entry, manner));
    },
    writeUnfenced: async (entry) => void (await pool.query(POSTGRES_INSERT, [entry.election, entry.token, entry.node, entry.incarnation, entry.write, entry.t])),
    close: async () => void (await Promise.all([pool.end(), guards.end()])),
  };
}

/** The user's own transaction, with the fence as its first line. */
async function guarded(pool: pg.Pool, term: Term, work: (client: pg.PoolClient) => Promise<void>): Promise<Answer> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    return { outcome: "refused", code: codeOf(error) };
  }
  client.on("error", ignore);
  let committing = false;
  let broken: Error | undefined;
  try {
    await client.query("begin");
    await term.guard(client);
    await work(client);
    committing = true;
    const result = await client.query("commit");
    // A server that had to give the transaction up answers COMMIT with ROLLBACK.
    return result.command === "COMMIT" ? { outcome: "committed", code: "" } : { outcome: "refused", code: result.command };
  } catch (error) {
    broken = error as Error;
    const sqlState = (error as { readonly code?: unknown }).code;
    const byServer = typeof sqlState === "string" && /^[0-9A-Z]{5}$/.test(sqlState) && !sqlState.startsWith("08") && !sqlState.startsWith("57P");
    return { outcome: committing && !byServer ? "unknown" : "refused", code: codeOf(error) };
  } finally {
    client.off("error", ignore);
    client.release(broken ?? false);
  }
}

// ---- MySQL and MariaDB

const MYSQL_INSERT = "insert into fenced_rows (election, token, node, incarnation, `write`, t) values (?, ?, ?, ?, ?, ?)";

function mysqlLedger(url: string, leaseMs: number): Ledger {
  const pool = createPool({ uri: url, connectionLimit: 4, connectTimeout: 2_000 });
  const guards = createPool({ uri: url, connectionLimit: 1, connectTimeout: 2_000 });
  const insert = async (on: Pick<PoolConnection, "query">, entry: Entry) => void (await on.query(MYSQL_INSERT, [entry.election, entry.token, entry.node, entry.incarnation, entry.write, entry.t]));
  const perform = async (tx: PoolConnection, entry: Entry, manner: Manner) => {
    if (manner.holdFirst) await wait(manner.holdMs);
    await insert(tx, entry);
    if (!manner.holdFirst) await wait(manner.holdMs);
  };
  return {
    provider: mysql({ pool }) as StoreProvider,
    write(term, entry, manner) {
      if (manner.by === "transaction") return answered(() => term.transaction((tx) => perform(tx as PoolConnection, entry, manner)));
      return guardedOnMysql({ pool: guards, term, limitMs: leaseMs }, async (tx) => await perform(tx, entry, manner));
    },
    writeUnfenced: async (entry) => await insert(pool, entry),
    close: async () => void (await Promise.allSettled([pool.end(), guards.end()])),
  };
}

/** The user's own transaction, with the fence as its first line. A server that does not answer any more is one's own trouble: the connection is cut after `limitMs`. */
async function guardedOnMysql({ pool, term, limitMs }: { readonly pool: Pool; readonly term: Term; readonly limitMs: number }, work: (tx: PoolConnection) => Promise<void>): Promise<Answer> {
  let tx: PoolConnection;
  try {
    tx = await pool.getConnection();
  } catch (error) {
    return { outcome: "refused", code: codeOf(error) };
  }
  tx.on("error", ignore);
  // Not the driver's `destroy`, after which whoever waits for an answer waits for ever.
  const cut = () => (tx.connection as unknown as { readonly stream: { destroy(reason: Error): void } }).stream.destroy(new Error("cut"));
  const timer = setTimeout(cut, limitMs);
  let committing = false;
  try {
    await tx.query("start transaction");
    await term.guard(tx);
    await work(tx);
    committing = true;
    await tx.query("commit");
    tx.release();
    return { outcome: "committed", code: "" };
  } catch (error) {
    const byServer = typeof (error as { readonly sqlState?: unknown }).sqlState === "string" && (error as { readonly fatal?: unknown }).fatal !== true;
    cut(); // rolls back
    return { outcome: committing && !byServer ? "unknown" : "refused", code: codeOf(error) };
  } finally {
    clearTimeout(timer);
    tx.off("error", ignore);
  }
}

// ---- etcd

function etcdLedger(url: string): Ledger {
  const store = etcd({ url });
  const put = (tx: EtcdTransaction, entry: Entry) => tx.put(`${ETCD_ROWS}${entry.incarnation}/${entry.write}`, JSON.stringify(entry));
  const perform = async (tx: EtcdTransaction, entry: Entry, manner: Manner) => {
    if (manner.holdFirst) await wait(manner.holdMs);
    put(tx, entry);
    if (!manner.holdFirst) await wait(manner.holdMs);
  };
  return {
    provider: store,
    write(term, entry, manner) {
      if (manner.by === "transaction") return answered(() => term.transaction((tx) => perform(tx as EtcdTransaction, entry, manner)));
      return answered(async () => {
        const tx = store.begin();
        await term.guard(tx);
        await perform(tx, entry, manner);
        await tx.commit();
      });
    },
    async writeUnfenced(entry) {
      const tx = store.begin();
      put(tx, entry);
      await tx.commit();
    },
    close: () => Promise.resolve(),
  };
}

function ignore(): void {
  // The query that was on its way reports it.
}

function wait(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

// ---- ZooKeeper

function zookeeperLedger(url: string): Ledger {
  const provider = zookeeper({ url });
  const insert = (tx: ZookeeperTransaction, entry: Entry) => void tx.create(`${LEDGER_ZNODE}/${systemRandom.id()}`, JSON.stringify(entry));
  const perform = async (tx: ZookeeperTransaction, entry: Entry, manner: Manner) => {
    if (manner.holdFirst) await wait(manner.holdMs);
    insert(tx, entry);
    if (!manner.holdFirst) await wait(manner.holdMs);
  };
  return {
    provider,
    write(term, entry, manner) {
      if (manner.by === "transaction") return answered(() => term.transaction((tx) => perform(tx as ZookeeperTransaction, entry, manner)));
      return answered(async () => {
        const tx = await provider.begin();
        try {
          await term.guard(tx);
          await perform(tx, entry, manner);
          await tx.commit();
        } finally {
          await tx.rollback();
        }
      });
    },
    async writeUnfenced(entry) {
      const tx = await provider.begin();
      insert(tx, entry);
      await tx.commit();
    },
    close: async () => await provider.close(),
  };
}
