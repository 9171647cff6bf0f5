import type { DatabaseSync } from "node:sqlite";
import { systemRandom, TribuneError } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, termLost } from "../index.ts";
import type { FencedTransactions, FenceHandle } from "../index.ts";
import { Connection, rollBack } from "./connection.ts";
import { ConnectionInUse, isBrokenConstraint, isBusy, leavesCommitOpen, mapSqliteError, storeBusy } from "./errors.ts";
import { identityOf } from "./file.ts";
import type { Statements } from "./statements.ts";
import { Turns } from "./turns.ts";

/** The work's own outcome, so that what it throws is never taken for trouble of ours. */
type Outcome<Result> = { readonly ok: true; readonly value: Result } | { readonly ok: false; readonly error: unknown };

/**
 * Transactions that commit only while a term stands. SQLite lets one writer in, so a transaction that has the write
 * lock and finds the fence at its token cannot be overtaken before it ends.
 */
export class SqliteFencedTransactions implements FencedTransactions<DatabaseSync> {
  readonly #path: string;
  readonly #users: DatabaseSync | undefined;
  readonly #statements: Statements;
  readonly #turns = new Turns(systemRandom);
  #own: Connection | undefined;

  constructor(options: { readonly path: string; readonly database: DatabaseSync | undefined; readonly statements: Statements }) {
    this.#path = options.path;
    this.#users = options.database;
    this.#statements = options.statements;
  }

  async transaction<Result>(fence: FenceHandle, work: (tx: DatabaseSync) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const outcome = await this.#turns.run(() => this.#attempt(fence, work), {
      clock: fence.clock,
      giveUpAfterMs: fence.leaseMs,
      whenBusy: (cause) => {
        throw storeBusy(`transaction for ${fence.election}`, this.#path, cause);
      },
    });
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Checks before the promise is returned. Not `async` in effect: there is nothing to wait for, and no time must pass before the user's next statement. */
  guard(fence: FenceHandle, tx: DatabaseSync): Promise<void> {
    try {
      assertMayAct(fence, "guard");
      if (!tx.isTransaction) {
        throw new TribuneError("TRANSACTION_REQUIRED", `guard of ${fence.election} needs a transaction that is open`, { about: fence.election, next: "begin one first, with BEGIN IMMEDIATE" });
      }
      this.#takeFence(fence, tx);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(isBusy(error) ? this.#guardRefused(fence, error) : mapSqliteError(error, "guard", this.#path));
    }
  }

  /** Closes the connection that transactions were run on. A later transaction opens another. */
  close(): void {
    this.#own?.close();
    this.#own = undefined;
  }

  /** Begins and runs it all in one go; throws a busy error if it could not begin. */
  #attempt<Result>(fence: FenceHandle, work: (tx: DatabaseSync) => Result | Promise<Result>): Outcome<Result> {
    assertMayAct(fence, "transaction");
    const database = this.#begin(fence);
    try {
      this.#takeFence(fence, database);
    } catch (error) {
      rollBack(database);
      throw mapSqliteError(error, "transaction", this.#path);
    }
    let value: Result;
    try {
      value = this.#settled(fence, database, work(database));
    } catch (error) {
      rollBack(database);
      return { ok: false, error };
    }
    return this.#commit(fence, database, value);
  }

  #begin(fence: FenceHandle): DatabaseSync {
    try {
      const database = this.#users ?? this.#ownDatabase();
      if (database.isTransaction) throw new ConnectionInUse(`a transaction is open on the connection that ${fence.election} is to use`);
      database.exec("BEGIN IMMEDIATE");
      return database;
    } catch (error) {
      throw isBusy(error) ? error : mapSqliteError(error, "transaction", this.#path);
    }
  }

  /** Refuses work that goes on after it returned, and work that has ended the transaction. */
  #settled<Result>(fence: FenceHandle, database: DatabaseSync, result: Result | Promise<Result>): Result {
    if (isThenable(result)) {
      result.then(undefined, () => undefined); // its failure is no longer of interest, and must not end the process
      throw new TribuneError("TRANSACTION_NOT_SYNCHRONOUS", `the transaction for ${fence.election} returned a promise; it was rolled back`, {
        about: fence.election,
        next: "do what takes time before the transaction, and pass a function that is not async",
      });
    }
    if (!database.isTransaction) {
      throw new TribuneError("TRANSACTION_REQUIRED", `the work of ${fence.election} ended its transaction itself; what it committed stays`, {
        about: fence.election,
        next: "leave BEGIN, COMMIT and ROLLBACK to transaction(), or begin your own and use guard()",
      });
    }
    return result;
  }

  #commit<Result>(fence: FenceHandle, database: DatabaseSync, value: Result): Outcome<Result> {
    try {
      if (!fence.mayAct()) throw termLost(fence, "commit");
      database.exec("COMMIT");
      return { ok: true, value };
    } catch (error) {
      rollBack(database);
      return { ok: false, error: this.#commitError(fence, error) };
    }
  }

  #commitError(fence: FenceHandle, error: unknown): unknown {
    if (isBrokenConstraint(error)) return error;
    if (!leavesCommitOpen(error)) return mapSqliteError(error, "commit", this.#path);
    this.close();
    return new TribuneError("COMMIT_UNKNOWN", `the commit for ${fence.election} failed in the disk; it may have been written`, {
      about: fence.election,
      next: "read back what the transaction wrote before doing it again",
      cause: error,
    });
  }

  /** The connection of our own, opened anew when the file has become another one. */
  #ownDatabase(): DatabaseSync {
    if (this.#own !== undefined && this.#own.identity !== identityOf(this.#path)) this.close();
    if (this.#own === undefined) {
      this.#own = Connection.open(this.#path, { create: false });
      this.#own.exec("PRAGMA synchronous = FULL");
    }
    return this.#own.database;
  }

  /**
   * The write lock first, so that the fence cannot move after it was read. In a deferred transaction of the user's
   * the lock is refused if anything was committed since the transaction first read (SQLITE_BUSY_SNAPSHOT).
   */
  #takeFence(fence: FenceHandle, database: DatabaseSync): void {
    let found: number | undefined;
    try {
      database.exec(this.#statements.lockFence);
      found = (database.prepare(this.#statements.readFence).get(fence.group, fence.election) as { readonly token: number } | undefined)?.token;
    } catch (error) {
      if (isMissingTable(error)) throw fenceNotFound(fence, this.#path, error);
      throw error;
    }
    if (found === undefined) throw fenceNotFound(fence, this.#path);
    assertFence(fence, found);
  }

  #guardRefused(fence: FenceHandle, cause: unknown): TribuneError {
    return new TribuneError("STORE_BUSY", `guard of ${fence.election}: another writer has ${this.#path}, or wrote to it since this transaction began`, {
      about: fence.election,
      next: "roll back and begin again, with BEGIN IMMEDIATE",
      cause,
    });
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return ((typeof value === "object" && value !== null) || typeof value === "function") && typeof (value as { readonly then?: unknown }).then === "function";
}

function isMissingTable(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("no such table");
}
