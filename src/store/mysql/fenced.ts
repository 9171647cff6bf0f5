import { isTribuneError, TribuneError, withDeadline } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, termLost } from "../index.ts";
import type { FencedTransactions, FenceHandle } from "../index.ts";
import { ask, beforeRelease, destroyConnection, IN_TRANSACTION } from "./driver.ts";
import type { CoreConnection, CorePoolConnection, Header, PromiseConnection } from "./driver.ts";
import { DEADLOCK, errorNumber, LOCK_WAIT_TIMEOUT, mapConnectError, mapMysqlError, NO_SUCH_SAVEPOINT, NO_SUCH_TABLE, RECORD_CHANGED, wasAnswered, wasBrokenOff } from "./errors.ts";
import type { UserPool } from "./options.ts";
import { filled, tablesIn } from "./statements.ts";
import type { TablePlace } from "./statements.ts";

/** Goes with the transaction: it is gone once that was committed or rolled back, by whomever. */
const MARK = "tribune_fence";

/** Transactions on the user's pool, behind a share lock on the fence row. */
export class MysqlFences<Tx> implements FencedTransactions<Tx> {
  readonly #pool: () => Promise<UserPool>;
  readonly #place: TablePlace;
  readonly #label: string;
  /** Connections that `guard` limited, until they go back to their pool. */
  readonly #limited = new WeakSet<CoreConnection>();
  /** Those of which we hear when they do. */
  readonly #watched = new WeakSet<CoreConnection>();

  constructor(options: { readonly pool: () => Promise<UserPool>; readonly place: TablePlace; readonly label: string }) {
    this.#pool = options.pool;
    this.#place = options.place;
    this.#label = options.label;
  }

  /**
   * See the port. What `work` throws comes out unchanged after a rollback, unless the term was over by then: that is `TERM_LOST` with it as the cause. Work that ends the transaction
   * by itself is `TRANSACTION_REQUIRED`.
   */
  async transaction<Result>(fence: FenceHandle, work: (tx: Tx) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const loan = await Loan.take(this.#pool, fence, this.#label);
    try {
      await this.#begin(loan, fence);
      const result = await work(loan.tx as Tx);
      await this.#commit(loan, fence);
      return result;
    } catch (error) {
      await loan.rollBack();
      throw loan.cutOff ? termLost(fence, "the transaction was cut off", error) : unlessLost(error, fence, loan);
    } finally {
      await loan.giveBack();
    }
  }

  async guard(fence: FenceHandle, tx: Tx): Promise<void> {
    assertMayAct(fence, "guard");
    const core = coreOf(tx);
    if (core === undefined) throw this.#transactionRequired(fence, "guard");
    // The limits first: if no answer to the lock arrives, they end it.
    const limited = await this.#answer(core, limitsOf(fence, { autocommit: false }), fence, "guard");
    this.#limited.add(core);
    if (!this.#watched.has(core)) {
      this.#watched.add(core);
      beforeRelease(core, () => this.released(core));
    }
    await this.#compare(core, fence, "guard");
    // With autocommit off a transaction begins with the lock. Outside of one the lock was gone with its statement, and what the server answers next tells.
    if (isInTransaction(limited) || isInTransaction(await this.#answer(core, "do 0", fence, "guard"))) return;
    this.#limited.delete(core);
    await ask(core, UNLIMITED).catch(() => undefined); // the first error is the one to tell
    throw this.#transactionRequired(fence, "guard");
  }

  /** Lifts the limits of a guard from a connection that goes back to its pool; whoever takes it next asks after that. */
  released(connection: CoreConnection): void {
    if (!this.#limited.delete(connection)) return;
    ask(connection, UNLIMITED).catch(() => destroyConnection(connection));
  }

  async #begin(loan: Loan, fence: FenceHandle): Promise<void> {
    const limited = await this.#answer(loan.core, limitsOf(fence, { autocommit: true }), fence, "transaction");
    loan.limited = true;
    // Somebody gave it back with a transaction open, which is not ours to commit.
    if (isInTransaction(limited)) await this.#answer(loan.core, "rollback", fence, "transaction");
    await this.#compare(loan.core, fence, "transaction");
    await this.#answer(loan.core, `savepoint ${MARK}`, fence, "transaction");
  }

  /** Locks the fence row against change until the transaction ends, and looks at its token. */
  async #compare(core: CoreConnection, fence: FenceHandle, operation: string): Promise<void> {
    const { group, election } = fence;
    const text = `select f.token from ${tablesIn(this.#place).fences} f where f.grp = :group and f.election = :election lock in share mode`;
    const rows = (await this.#answer(core, filled(text, { group, election }, (value) => core.escape(value)), fence, operation)) as readonly { readonly token: string }[];
    const [row] = rows;
    if (row === undefined) throw fenceNotFound(fence, this.#label);
    assertFence(fence, Number(row.token));
  }

  async #answer(core: CoreConnection, text: string, fence: FenceHandle, operation: string): Promise<unknown> {
    try {
      return await ask(core, text);
    } catch (error) {
      throw this.#guardError(error, fence, operation);
    }
  }

  #guardError(error: unknown, fence: FenceHandle, operation: string): TribuneError {
    const number = errorNumber(error);
    if (number === NO_SUCH_TABLE) return fenceNotFound(fence, this.#label, error);
    // Where the server compares with the transaction's snapshot (innodb_snapshot_isolation): the fence moved after it was made.
    if (number === RECORD_CHANGED) return termLost(fence, "the fence has moved", error);
    if (number === LOCK_WAIT_TIMEOUT || number === DEADLOCK) {
      return new TribuneError("STORE_BUSY", `${operation} of ${fence.election} could not get the lock of its fence; nothing was written`, { about: fence.election, next: "roll back and try again", cause: error });
    }
    return mapMysqlError(error, operation, this.#label);
  }

  /** From here to the answer nothing cuts the connection: with the commit under way only its answer tells what became of it. */
  async #commit(loan: Loan, fence: FenceHandle): Promise<void> {
    assertMayAct(fence, "commit");
    if (loan.cutOff) throw termLost(fence, "commit");
    if (loan.broken !== undefined) throw this.#brokenBefore(loan.broken);
    try {
      await withDeadline(ask(loan.core, `release savepoint ${MARK}`), { clock: fence.clock, ms: fence.leaseMs, operation: `commit on ${this.#label}`, signal: fence.over, onExpire: () => loan.destroy() });
    } catch (error) {
      throw this.#unmarkedError(error, fence, loan);
    }
    assertMayAct(fence, "commit");
    if (loan.cutOff) throw termLost(fence, "commit");
    loan.committing = true;
    try {
      await withDeadline(ask(loan.core, "commit"), { clock: fence.clock, ms: fence.leaseMs, operation: `commit on ${this.#label}`, onExpire: () => loan.destroy() });
    } catch (error) {
      if (wasAnswered(error) && !wasBrokenOff(error)) throw error; // an answer with an error is a rollback, and the user's to read
      throw new TribuneError("COMMIT_UNKNOWN", `the commit of ${fence.election} on ${this.#label} was broken off; it may have been done or not`, {
        about: fence.election,
        next: "read what the transaction would have written, under a new term",
        cause: error,
      });
    }
  }

  #unmarkedError(error: unknown, fence: FenceHandle, loan: Loan): unknown {
    if (errorNumber(error) === NO_SUCH_SAVEPOINT) {
      return new TribuneError("TRANSACTION_REQUIRED", `the transaction of ${fence.election} was ended by its work, or by the server after an error in it; what came after that was rolled back`, {
        about: fence.election,
        next: "leave commit and rollback to term.transaction, use no statement that commits by itself (such as 'create table'), and let errors out of the function",
        cause: error,
      });
    }
    return wasAnswered(error) || isTribuneError(error) ? error : this.#brokenBefore(loan.broken ?? (error as Error));
  }

  #brokenBefore(cause: Error): TribuneError {
    return new TribuneError("STORE_SESSION_ENDED", `the connection to ${this.#label} ended before the commit (${cause.message}); nothing was written`, { about: this.#label, next: "run the transaction again", cause });
  }

  #transactionRequired(fence: FenceHandle, operation: string): TribuneError {
    return new TribuneError("TRANSACTION_REQUIRED", `${operation} of ${fence.election} needs a connection of mysql2 with a transaction that is open`, {
      about: fence.election,
      next: "run 'start transaction' on that connection first, or use term.transaction",
    });
  }
}

/** Where the term is lost, what broke the connection is not the point: the server ended the transaction of a process that froze. */
function unlessLost(error: unknown, fence: FenceHandle, loan: Loan): unknown {
  if (fence.mayAct() || isTribuneError(error, "COMMIT_UNKNOWN")) return error;
  const endedByServer = loan.broken !== undefined || isTribuneError(error, "STORE_SESSION_ENDED") || (isDriverError(error) && !wasAnswered(error));
  return endedByServer && !isTribuneError(error, "TERM_LOST") ? termLost(fence, "the server ended the transaction", error) : error;
}

function isDriverError(error: unknown): boolean {
  return error instanceof Error && (error as { readonly fatal?: unknown }).fatal === true;
}

/** The connection under what a pool hands out: with promises it is inside. */
/** `answer`: to a statement that shows no rows. */
function isInTransaction(answer: unknown): boolean {
  return (((answer as Header).serverStatus ?? 0) & IN_TRANSACTION) !== 0;
}

function coreOf(tx: unknown): CoreConnection | undefined {
  if (typeof tx !== "object" || tx === null) return undefined;
  const { connection } = tx as Partial<PromiseConnection>;
  const core = (connection ?? tx) as Partial<CoreConnection>;
  // A pool can be asked as well, but of no connection in particular.
  return typeof core.query === "function" && typeof core.threadId === "number" ? (core as CoreConnection) : undefined;
}

/** A connection out of the pool, for one transaction. It is destroyed when the term ends first. */
class Loan {
  readonly core: CorePoolConnection;
  /** What the user's work gets. */
  readonly tx: unknown;
  /** Set when the end of the term destroyed the connection. */
  cutOff = false;
  /** Why the connection broke while nobody was asking anything of it. */
  broken: Error | undefined;
  committing = false;
  /** Whether settings of the session are to be put back. */
  limited = false;
  readonly #fence: FenceHandle;
  readonly #onError = (error: Error) => {
    this.broken ??= error;
  };
  readonly #onEnd = () => this.#onError(new Error("the connection was closed"));
  readonly #onOver = () => {
    if (this.committing) return;
    this.cutOff = true;
    this.destroy();
  };
  #released = false;

  private constructor(core: CorePoolConnection, tx: unknown, fence: FenceHandle) {
    this.core = core;
    this.tx = tx;
    this.#fence = fence;
    core.on("error", this.#onError);
    core.on("end", this.#onEnd);
    fence.over.addEventListener("abort", this.#onOver, { once: true });
    if (fence.over.aborted) this.#onOver();
  }

  /** Waits for a connection for at most a lease, and not after the term is over. One that comes too late goes back. */
  static async take(pool: () => Promise<UserPool>, fence: FenceHandle, label: string): Promise<Loan> {
    const asked = (async () => await connectionOf(await pool()))();
    try {
      const { core, tx } = await withDeadline(asked, {
        clock: fence.clock,
        ms: fence.leaseMs,
        operation: `getting a connection to ${label} for a transaction of ${fence.election}`,
        next: "give the pool more connections, or let fewer be held for long",
        signal: fence.over,
      });
      return new Loan(core, tx, fence);
    } catch (error) {
      asked.then(
        ({ core }) => core.release(),
        () => undefined,
      );
      throw fence.over.aborted ? termLost(fence, "transaction", error) : mapConnectError(error, "transaction", label);
    }
  }

  /** After an error. A connection that cannot be rolled back is destroyed, which does the same. */
  async rollBack(): Promise<void> {
    if (this.#released || this.broken !== undefined) return this.destroy();
    await this.#ask("rollback");
  }

  async giveBack(): Promise<void> {
    this.#fence.over.removeEventListener("abort", this.#onOver);
    if (!this.#released && this.broken === undefined && this.limited) await this.#ask(UNLIMITED);
    if (this.broken !== undefined) this.destroy();
    if (!this.#released) {
      this.#released = true;
      this.core.release();
    }
    this.core.removeListener("error", this.#onError);
    this.core.removeListener("end", this.#onEnd);
  }

  destroy(): void {
    if (this.#released) return;
    this.#released = true;
    destroyConnection(this.core);
  }

  async #ask(text: string): Promise<void> {
    const { clock, leaseMs } = this.#fence;
    try {
      await withDeadline(ask(this.core, text), { clock, ms: leaseMs, operation: text, onExpire: () => this.destroy() });
    } catch {
      this.destroy();
    }
  }
}

async function connectionOf({ core, promises }: UserPool): Promise<{ readonly core: CorePoolConnection; readonly tx: unknown }> {
  if (promises !== undefined) {
    const tx = await promises.getConnection();
    return { core: tx.connection, tx };
  }
  const connection = await new Promise<CorePoolConnection>((resolve, reject) => core.getConnection((error, one) => (error === null || error === undefined ? resolve(one) : reject(error))));
  return { core: connection, tx: connection };
}

/** A setting of the session that bounds how long the server goes on without hearing from this process; `none`: what stands for no limit. In comments that only the one server reads. */
interface Limit {
  readonly name: string;
  readonly mariadb: boolean;
  readonly mysql: boolean;
  readonly unit: "s" | "ms" | "fraction";
}

/** A variable of a session that was never set is text, as which `autocommit` would be 'ON'; and no setting takes text. */
const TYPES = { s: "signed", ms: "signed", fraction: "decimal(20, 6)" } as const;

/** What the limit was before it was lowered, or is if it was not. */
function kept({ name, unit }: Pick<Limit, "name" | "unit">): string {
  return `cast(if(@tribune_kept_${name} is null, @@session.${name} + 0, @tribune_kept_${name} + 0) as ${TYPES[unit]})`;
}

const AUTOCOMMIT = kept({ name: "autocommit", unit: "s" });

/**
 * In each state that a process may freeze in: between two statements (MariaDB has a limit for transactions alone; in MySQL it is that of any silence), during one, and while a result is on
 * its way to it. MySQL bounds no statement but those that only read.
 */
const LIMITS: readonly Limit[] = [
  { name: "idle_transaction_timeout", mariadb: true, mysql: false, unit: "s" },
  { name: "idle_write_transaction_timeout", mariadb: true, mysql: false, unit: "s" },
  { name: "idle_readonly_transaction_timeout", mariadb: true, mysql: false, unit: "s" },
  { name: "max_statement_time", mariadb: true, mysql: false, unit: "fraction" },
  { name: "wait_timeout", mariadb: false, mysql: true, unit: "s" },
  { name: "max_execution_time", mariadb: false, mysql: true, unit: "ms" },
  { name: "net_write_timeout", mariadb: true, mysql: true, unit: "s" },
  { name: "innodb_lock_wait_timeout", mariadb: true, mysql: true, unit: "s" },
];

/** For one server only: MariaDB reads `M!`, and passes over what is for MySQL 8 (its manual, "Comment Syntax"). */
function onlyFor({ mariadb, mysql }: Limit, text: string): string {
  if (mariadb && mysql) return text;
  return mariadb ? `/*M!100600 ${text} */` : `/*!80000 ${text} */`;
}

/**
 * Lowers the limits of the session to half of the lease each; a shorter one of the user's stays. What they were is kept in the session, also where this is run twice. With `autocommit`
 * off, whatever is written after the server or the work itself ended the transaction is in another one that nobody commits.
 */
function limitsOf({ leaseMs }: FenceHandle, { autocommit }: { readonly autocommit: boolean }): string {
  const halfMs = Math.max(1, Math.floor(leaseMs / 2));
  const limits = { s: String(Math.max(1, Math.floor(halfMs / 1_000))), ms: String(halfMs), fraction: String(halfMs / 1_000) };
  const keep = LIMITS.map((limit) => onlyFor(limit, `, @tribune_kept_${limit.name} = ${kept(limit)}`));
  const lowered = LIMITS.map((limit) => {
    const [now, most] = [`@@session.${limit.name}`, limits[limit.unit]];
    return onlyFor(limit, `, session ${limit.name} = if(${now} > 0 and ${now} < ${most}, ${now}, ${most})`);
  });
  const off = autocommit ? `, @tribune_kept_autocommit = ${AUTOCOMMIT}, session autocommit = 0` : "";
  return `set @tribune_limited = 1 ${[...keep, ...lowered].join(" ")}${off}`;
}

/** Puts the limits back. `autocommit` is last: where it is switched on, what is open is committed, and nothing is by then. */
const UNLIMITED = `set @tribune_limited = null ${LIMITS.map((limit) => onlyFor(limit, `, session ${limit.name} = ${kept(limit)}`)).join(" ")},
  session autocommit = ${AUTOCOMMIT}
  ${LIMITS.map((limit) => onlyFor(limit, `, @tribune_kept_${limit.name} = null`)).join(" ")}, @tribune_kept_autocommit = null`;
