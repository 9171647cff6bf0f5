import type { DatabaseSync } from "node:sqlite";
import type { Row } from "./protocol.ts";

/** The part of a `pg` client that is used here. */
interface QueryClient {
  query(sql: string): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
}

/** What `term.transaction` hands out: the driver's own object. */
export type DemoTransaction = DatabaseSync | QueryClient;

/**
 * The demo's own table: what a program would write while it leads. Its statements are the same for SQLite and PostgreSQL; all values are numbers and names
 * of the demo's own making, so that they can stand in the text.
 */
export class Ledger {
  readonly #table: string;

  constructor(table: string) {
    if (!/^[a-z][a-z0-9_]{0,40}$/.test(table)) throw new Error(`not a good name for a table: ${table}`);
    this.#table = table;
  }

  /** Synchronous on SQLite, where nothing may wait inside a transaction. */
  write(tx: DemoTransaction, row: Row): void | Promise<void> {
    return run(tx, [
      `CREATE TABLE IF NOT EXISTS ${this.#table} (entry BIGINT NOT NULL, token BIGINT NOT NULL, node VARCHAR(128) NOT NULL)`,
      `INSERT INTO ${this.#table} (entry, token, node) VALUES (${Math.trunc(row.entry)}, ${BigInt(row.token)}, '${row.node.replaceAll("'", "''")}')`,
    ]);
  }

  read(tx: DemoTransaction): readonly Row[] | Promise<readonly Row[]> {
    // As text: a token may be larger than what a driver takes for a number.
    const sql = `SELECT entry, CAST(token AS VARCHAR(32)) AS token, node FROM ${this.#table} ORDER BY entry, token`;
    return isSqlite(tx) ? tx.prepare(sql).all().map(rowOf) : tx.query(sql).then(({ rows }) => rows.map(rowOf));
  }

  drop(tx: DemoTransaction): void | Promise<void> {
    return run(tx, [`DROP TABLE IF EXISTS ${this.#table}`]);
  }
}

function run(tx: DemoTransaction, statements: readonly string[]): void | Promise<void> {
  if (!isSqlite(tx)) return inTurn(tx, statements);
  for (const statement of statements) tx.exec(statement);
}

async function inTurn(client: QueryClient, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await client.query(statement);
}

function isSqlite(tx: DemoTransaction): tx is DatabaseSync {
  return "exec" in tx && "prepare" in tx;
}

function rowOf(row: Record<string, unknown>): Row {
  return { entry: Number(row["entry"]), token: String(row["token"]), node: String(row["node"]) };
}
