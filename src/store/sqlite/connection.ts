import { pathToFileURL } from "node:url";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { loadSqlite } from "./driver.ts";
import { storeReplaced } from "./errors.ts";
import { identityOf } from "./file.ts";

/** The text of a statement, with the shape of the rows that it answers. */
export type Sql<Row> = string & { readonly row?: Row };
export type Parameter = string | number | null;

/** `FULL` is on the disk before COMMIT returns; `NORMAL` is not lost when the process dies, but may be when the machine does. */
export type Durability = "NORMAL" | "FULL";

/** How often a file that changes while it is opened is opened again before we say so. */
const OPENING_ATTEMPTS = 5;

/**
 * One connection to a database file. Everything is synchronous, and a transaction is one call, so that no other code of this process can
 * come between its steps. Nothing here waits: a locked file throws at once.
 */
export class Connection {
  readonly database: DatabaseSync;
  /** The file that it is on (see `identityOf`). */
  readonly identity: string;
  readonly #statements = new Map<string, StatementSync>();
  #durability: Durability | undefined;
  #closed = false;

  private constructor(database: DatabaseSync, identity: string) {
    this.database = database;
    this.identity = identity;
  }

  /**
   * Opens the file at `path`, absolute; makes it only if `create` says so. The connection is on the file that has the
   * name *after* opening as well as before.
   */
  static open(path: string, options: { readonly create: boolean }): Connection {
    const { DatabaseSync } = loadSqlite();
    // A URL, because only there SQLite takes a mode; opened by its bare name, a missing file would be made.
    const url = pathToFileURL(path);
    url.searchParams.set("mode", options.create ? "rwc" : "rw");
    for (let attempt = 0; attempt < OPENING_ATTEMPTS; attempt++) {
      const before = identityOf(path);
      const database = new DatabaseSync(url, { timeout: 0 });
      if (before !== undefined && before === identityOf(path)) {
        database.exec("PRAGMA fullfsync = 1"); // macOS: fsync alone leaves the data in the drive's cache; ignored elsewhere
        return new Connection(database, before);
      }
      database.close(); // it was made by this very opening, or replaced during it
    }
    throw storeReplaced(path, path);
  }

  /** The first row; an object without a prototype. */
  get<Row>(sql: Sql<Row>, ...parameters: readonly Parameter[]): Row | undefined {
    return this.#prepared(sql).get(...parameters.map(bound)) as Row | undefined;
  }

  all<Row>(sql: Sql<Row>, ...parameters: readonly Parameter[]): Row[] {
    return this.#prepared(sql).all(...parameters.map(bound)) as Row[];
  }

  /** Runs a statement that writes; answers how many rows it touched. */
  run(sql: string, ...parameters: readonly Parameter[]): number {
    return Number(this.#prepared(sql).run(...parameters.map(bound)).changes);
  }

  exec(sql: string): void {
    this.database.exec(sql);
  }

  /** One consistent reading: SQLite shows a transaction the state of its first statement. Readers never wait for a writer. */
  read<T>(body: () => T): T {
    return this.#transaction("BEGIN", body);
  }

  /**
   * One atomic change. IMMEDIATE takes the write lock first: a transaction that read before it wrote would be refused,
   * without waiting, whenever someone else wrote in between (sqlite.org/lang_transaction.html).
   */
  write<T>(durability: Durability, body: () => T): T {
    if (this.#durability !== durability) {
      this.exec(`PRAGMA synchronous = ${durability}`); // has no effect inside a transaction
      this.#durability = durability;
    }
    return this.#transaction("BEGIN IMMEDIATE", body);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#statements.clear();
    this.database.close();
  }

  #transaction<T>(begin: string, body: () => T): T {
    this.exec(begin);
    try {
      const result = body();
      this.exec("COMMIT");
      return result;
    } catch (error) {
      rollBack(this.database);
      throw error;
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.database.prepare(sql)));
    return statement;
  }
}

/** Ends the transaction if there still is one: SQLite ends it by itself after some errors (full disk, I/O error). */
export function rollBack(database: DatabaseSync): void {
  try {
    if (database.isTransaction) database.exec("ROLLBACK");
  } catch {
    // The error that led here says more. What SQLite could not undo now it undoes when the file is next opened.
  }
}

/** Node binds every number as floating point, which tokens should not depend on: whole numbers go in as integers. */
function bound(value: Parameter): SQLInputValue {
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
}
