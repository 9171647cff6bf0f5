import type { DatabaseSync } from "node:sqlite";
import type { EtcdTransaction } from "../../store/etcd/index.ts";
import type { Row } from "./protocol.ts";

/** No name of a node has it in it. */
const BETWEEN = "~";

type Found = readonly Record<string, unknown>[];

/** The part of a client of `pg`, or of a connection of `mysql2/promise`, that is used here. */
interface QueryClient {
  query(sql: string): Promise<{ readonly rows: Found } | readonly [rows: unknown, fields: unknown]>;
}

/** The part of a transaction of the ZooKeeper store that is used here. */
interface ZnodeTransaction {
  children(path: string): Promise<readonly string[]>;
  create(path: string): unknown;
  delete(path: string): unknown;
}

/** Runs work in a fenced transaction. */
type Fenced = (work: (tx: DemoTransaction) => void | Promise<void>) => Promise<void>;

/** What `term.transaction` hands out: the driver's own object. */
export type DemoTransaction = DatabaseSync | QueryClient | EtcdTransaction | ZnodeTransaction;

/**
 * The demo's own table: what a program would write while it leads. Its statements are the same for SQLite, PostgreSQL and MySQL; all values are numbers and names
 * of the demo's own making, so that they can stand in the text. In etcd it is a folder of keys; in ZooKeeper a znode, whose rows are the names of those below it.
 */
export class Ledger {
  readonly #table: string;
  readonly #store: string;

  /** `store`: the URL of the store whose transactions it is written in. */
  constructor({ table, store }: { readonly table: string; readonly store: string }) {
    if (!/^[a-z][a-z0-9_]{0,40}$/.test(table)) throw new Error(`not a good name for a table: ${table}`);
    this.#table = table;
    this.#store = store;
  }

  async make(fenced: Fenced): Promise<void> {
    if (this.#isKeys) return;
    if (this.#isZookeeper()) return await fenced((tx) => void (tx as ZnodeTransaction).create(`/${this.#table}`));
    await this.#change(fenced, `CREATE TABLE IF NOT EXISTS ${this.#table} (entry BIGINT NOT NULL, token BIGINT NOT NULL, node VARCHAR(128) NOT NULL)`);
  }

  async drop(fenced: Fenced): Promise<void> {
    if (this.#isKeys) return await fenced((tx) => (tx as EtcdTransaction).deleteBelow(this.#folder));
    if (this.#isZookeeper()) return await fenced((tx) => this.#remove(tx as ZnodeTransaction));
    await this.#change(fenced, `DROP TABLE IF EXISTS ${this.#table}`);
  }

  /** Synchronous on SQLite, where nothing may wait inside a transaction. */
  write(tx: DemoTransaction, row: Row): void | Promise<void> {
    if (isEtcd(tx)) return tx.put(`${this.#folder}${String(Math.trunc(row.entry)).padStart(16, "0")}-${row.token}`, JSON.stringify(row));
    if (isZnodes(tx)) return void tx.create(`/${this.#table}/${[Math.trunc(row.entry), BigInt(row.token), row.node].join(BETWEEN)}`);
    return run(tx, `INSERT INTO ${this.#table} (entry, token, node) VALUES (${Math.trunc(row.entry)}, ${BigInt(row.token)}, '${row.node.replaceAll("'", "''")}')`);
  }

  read(tx: DemoTransaction): readonly Row[] | Promise<readonly Row[]> {
    if (isEtcd(tx)) return tx.getBelow(this.#folder).then((found) => found.map(({ value }) => rowOf(JSON.parse(value) as Record<string, unknown>)));
    if (isZnodes(tx)) return tx.children(`/${this.#table}`).then((names) => names.map(rowNamed).sort((a, b) => a.entry - b.entry));
    // As text: a token may be larger than what a driver takes for a number. Of the types that all three have, this is the one; PostgreSQL pads it.
    const sql = `SELECT entry, CAST(token AS CHAR(32)) AS token, node FROM ${this.#table} ORDER BY entry, token`;
    return isSqlite(tx) ? tx.prepare(sql).all().map(rowOf) : tx.query(sql).then((answer) => rowsIn(answer).map(rowOf));
  }

  get #isKeys(): boolean {
    return /^etcd:/i.test(this.#store);
  }

  get #folder(): string {
    return `${this.#table}/`;
  }

  async #remove(tx: ZnodeTransaction): Promise<void> {
    const names = await tx.children(`/${this.#table}`);
    for (const name of names) tx.delete(`/${this.#table}/${name}`);
    tx.delete(`/${this.#table}`);
  }

  #isZookeeper(): boolean {
    return /^zookeeper:/i.test(this.#store);
  }

  /** MySQL commits around a statement of this kind, which would end the fenced transaction that it is in: there it has a connection of its own. */
  async #change(fenced: Fenced, statement: string): Promise<void> {
    if (!/^(?:mysql|mariadb):/i.test(this.#store)) return await fenced((tx) => run(tx as DatabaseSync | QueryClient, statement));
    const { createConnection } = await import("mysql2");
    const connection = createConnection(this.#store).promise();
    try {
      await connection.query(statement);
      await connection.end();
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }
}

function run(tx: DatabaseSync | QueryClient, statement: string): void | Promise<void> {
  if (!isSqlite(tx)) return tx.query(statement).then(() => undefined);
  tx.exec(statement);
}

function rowsIn(answer: Awaited<ReturnType<QueryClient["query"]>>): Found {
  return "rows" in answer ? answer.rows : (answer[0] as Found);
}

function isEtcd(tx: DemoTransaction): tx is EtcdTransaction {
  return "getBelow" in tx;
}

function isZnodes(tx: DemoTransaction): tx is ZnodeTransaction {
  return "children" in tx;
}

/** `1~4294967297~node-1`. */
function rowNamed(name: string): Row {
  const [entry = "", token = "", ...node] = name.split(BETWEEN);
  return { entry: Number(entry), token, node: node.join(BETWEEN) };
}

function isSqlite(tx: DemoTransaction): tx is DatabaseSync {
  return "exec" in tx && "prepare" in tx;
}

function rowOf(row: Record<string, unknown>): Row {
  return { entry: Number(row["entry"]), token: String(row["token"]).trim(), node: String(row["node"]) };
}
