import { isTribuneError, TribuneError, withDeadline } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, termLost } from "../index.ts";
import type { FencedTransactions, FenceHandle } from "../index.ts";
import { wholeMs } from "./connection.ts";
import { destroyClient } from "./driver.ts";
import type { PgPool, PgPoolClient, PgQueryable, PgResult } from "./driver.ts";
import { FAILED_TRANSACTION, IDLE_IN_TRANSACTION_TIMEOUT, mapConnectError, mapPostgresError, NO_ACTIVE_TRANSACTION, SERIALIZATION_FAILURE, sqlState, UNDEFINED_TABLE, wasAnswered } from "./errors.ts";
import { tablesIn } from "./statements.ts";

/** The transaction-local setting that goes with the transaction that was begun; see `stillOpen`. */
const MARK = "tribune.transaction";

/** How often, during a long statement, the server looks whether the other end of the socket is still there. */
const CHECKS_PER_LEASE = 16;

/** Transactions on the user's pool, behind a share lock on the fence row. */
export class PostgresFences<Tx> implements FencedTransactions<Tx> {
  readonly #pool: () => Promise<PgPool>;
  readonly #schema: string;
  readonly #label: string;

  constructor(options: { readonly pool: () => Promise<PgPool>; readonly schema: string; readonly label: string }) {
    this.#pool = options.pool;
    this.#schema = options.schema;
    this.#label = options.label;
  }

  /**
   * See the port. What `work` throws comes out unchanged after a rollback, unless the term was over by then: that is `TERM_LOST` with
   * it as the cause. Work that ends the transaction by itself is `TRANSACTION_REQUIRED`.
   */
  async transaction<Result>(fence: FenceHandle, work: (tx: Tx) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const loan = await Loan.take(this.#pool, fence, this.#label);
    try {
      await this.#begin(loan, fence);
      const result = await work(loan.client as Tx);
      await this.#commit(loan, fence);
      return result;
    } catch (error) {
      await loan.rollBack();
      throw loan.cutOff ? termLost(fence, "the transaction was cut off", error) : unlessLost(error, fence, loan);
    } finally {
      loan.giveBack();
    }
  }

  async guard(fence: FenceHandle, tx: Tx): Promise<void> {
    assertMayAct(fence, "guard");
    if (typeof (tx as Partial<PgQueryable> | null | undefined)?.query !== "function") throw transactionRequired(fence, "guard");
    // Outside of a transaction the lock would be gone with the statement. A savepoint is refused there, and costs nothing inside.
    const text = `savepoint tribune_guard; release savepoint tribune_guard; ${guardStatement(this.#schema, fence)}`;
    await this.#compare(fence, "guard", async () => await (tx as PgQueryable).query(text));
  }

  async #begin(loan: Loan, fence: FenceHandle): Promise<void> {
    const text = `begin; select set_config('${MARK}', ${literal(markOf(fence))}, true); ${guardStatement(this.#schema, fence)}`;
    await this.#compare(fence, "transaction", async () => await loan.client.query(text));
  }

  /** Runs a text that ends with the guard statement, and looks at the token that it answers. */
  async #compare(fence: FenceHandle, operation: string, run: () => Promise<PgResult | readonly PgResult[]>): Promise<void> {
    let results: readonly PgResult[];
    try {
      results = [await run()].flat();
    } catch (error) {
      throw this.#guardError(error, fence, operation);
    }
    const token: unknown = results.at(-1)?.rows[0]?.["token"];
    if (token === null || token === undefined) throw fenceNotFound(fence, this.#label);
    assertFence(fence, Number(token));
  }

  #guardError(error: unknown, fence: FenceHandle, operation: string): TribuneError {
    const state = sqlState(error);
    if (state === UNDEFINED_TABLE) return fenceNotFound(fence, this.#label, error);
    // At REPEATABLE READ and above: the fence moved after the transaction's snapshot.
    if (state === SERIALIZATION_FAILURE) return termLost(fence, "the fence has moved", error);
    if (state !== NO_ACTIVE_TRANSACTION) return mapPostgresError(error, operation, this.#label);
    return transactionRequired(fence, operation, error);
  }

  /** From here to the answer nothing cuts the connection: with the commit under way only its answer tells what became of it. */
  async #commit(loan: Loan, fence: FenceHandle): Promise<void> {
    assertMayAct(fence, "commit");
    if (loan.cutOff) throw termLost(fence, "commit");
    if (loan.broken !== undefined) throw this.#brokenBefore(loan.broken);
    loan.committing = true;
    try {
      const answer = loan.client.query(`${stillOpen(fence)}; commit`);
      await withDeadline(answer, { clock: fence.clock, ms: fence.leaseMs, operation: `commit on ${this.#label}`, onExpire: () => loan.destroy() });
    } catch (error) {
      throw this.#commitError(error, fence);
    }
  }

  #brokenBefore(cause: Error): TribuneError {
    return new TribuneError("STORE_SESSION_ENDED", `the connection to ${this.#label} ended before the commit (${cause.message}); nothing was written`, { about: this.#label, next: "run the transaction again", cause });
  }

  #commitError(error: unknown, fence: FenceHandle): unknown {
    const state = sqlState(error);
    if (state === FAILED_TRANSACTION) {
      return new TribuneError("STORE_FAILED", `the transaction of ${fence.election} was rolled back, because a statement in it had failed`, {
        about: fence.election,
        next: "let the error of the failed statement out of the function, or run that statement behind a savepoint",
        cause: error,
        retryable: false,
      });
    }
    if (wasAnswered(error) && (error as Error).message.includes(MARK)) {
      return new TribuneError("TRANSACTION_REQUIRED", `the work of ${fence.election} ended its transaction itself; what it wrote after that is not fenced`, {
        about: fence.election,
        next: "leave begin, commit and rollback to term.transaction",
        cause: error,
      });
    }
    // An answer with an error is a rollback: a deferred constraint, a serialization failure. It is the user's to read.
    if (wasAnswered(error)) return error;
    if (state === IDLE_IN_TRANSACTION_TIMEOUT) return this.#brokenBefore(error as Error);
    return new TribuneError("COMMIT_UNKNOWN", `the connection to ${this.#label} broke during the commit of ${fence.election}; it may have been done or not`, {
      about: fence.election,
      next: "read what the transaction would have written, under a new term",
      cause: error,
    });
  }
}

function transactionRequired(fence: FenceHandle, operation: string, cause?: unknown): TribuneError {
  return new TribuneError("TRANSACTION_REQUIRED", `${operation} of ${fence.election} needs a client of pg with a transaction that is open`, {
    about: fence.election,
    next: "run 'begin' on that client first, or use term.transaction",
    cause,
  });
}

/** Where the term is lost, what broke the connection is not the point: the server ended the transaction of a process that froze. */
function unlessLost(error: unknown, fence: FenceHandle, loan: Loan): unknown {
  if (fence.mayAct() || isTribuneError(error, "COMMIT_UNKNOWN")) return error;
  const endedByServer = loan.broken !== undefined || isTribuneError(error, "STORE_SESSION_ENDED") || (sqlState(error) !== undefined && !wasAnswered(error));
  return endedByServer && !isTribuneError(error, "TERM_LOST") ? termLost(fence, "the server ended the transaction", error) : error;
}

/** A client out of the pool, for one transaction. It is destroyed when the term ends first. */
class Loan {
  readonly client: PgPoolClient;
  /** Set when the end of the term destroyed the connection. */
  cutOff = false;
  /** Why the connection broke while nobody was asking anything of it. */
  broken: Error | undefined;
  committing = false;
  readonly #fence: FenceHandle;
  readonly #onError = (error: Error) => {
    this.broken ??= error;
  };
  readonly #onOver = () => {
    if (this.committing) return;
    this.cutOff = true;
    this.destroy();
  };
  #released = false;

  private constructor(client: PgPoolClient, fence: FenceHandle) {
    this.client = client;
    this.#fence = fence;
    client.on("error", this.#onError); // a pool listens to idle clients only, and an error that nobody listens to ends the process
    fence.over.addEventListener("abort", this.#onOver, { once: true });
    if (fence.over.aborted) this.#onOver();
  }

  /** Waits for a client for at most a lease, and not after the term is over. One that comes too late goes back. */
  static async take(pool: () => Promise<PgPool>, fence: FenceHandle, label: string): Promise<Loan> {
    const asked = (async () => await (await pool()).connect())();
    try {
      const client = await withDeadline(asked, {
        clock: fence.clock,
        ms: fence.leaseMs,
        operation: `getting a connection to ${label} for a transaction of ${fence.election}`,
        next: "give the pool more connections, or let fewer be held for long",
        signal: fence.over,
      });
      return new Loan(client, fence);
    } catch (error) {
      asked.then(
        (client) => client.release(),
        () => undefined,
      );
      throw fence.over.aborted ? termLost(fence, "transaction", error) : mapConnectError(error, "transaction", label);
    }
  }

  /** After an error. A connection that cannot be rolled back is destroyed, which does the same. */
  async rollBack(): Promise<void> {
    if (this.#released || this.broken !== undefined) return this.destroy();
    const { clock, leaseMs } = this.#fence;
    try {
      await withDeadline(this.client.query("rollback"), { clock, ms: leaseMs, operation: "rollback", onExpire: () => this.destroy() });
    } catch {
      this.destroy();
    }
  }

  giveBack(): void {
    this.#fence.over.removeEventListener("abort", this.#onOver);
    if (this.#released) return;
    this.#released = true;
    this.client.release(this.broken);
    this.client.removeListener("error", this.#onError); // the pool listens from here on
  }

  /** First released, so that the pool knows that the end is meant and does not report it; then cut, without waiting for a goodbye. */
  destroy(): void {
    if (this.#released) return;
    this.#released = true;
    this.client.release(this.broken ?? new Error("the transaction's connection was destroyed"));
    destroyClient(this.client);
  }
}

/** The mark that a transaction carries from its `begin` to its end; a setting of the transaction, so that it goes with it. */
function markOf({ group, election, token }: FenceHandle): string {
  return `${group}/${election}/${token}`;
}

/**
 * Fails, and with it the commit behind it, unless the transaction that was begun is still the one that is open. Otherwise whatever the
 * work wrote after it had ended the transaction would be committed, by itself or by us, without a fence.
 */
function stillOpen(fence: FenceHandle): string {
  const mark = `current_setting('${MARK}', true)`;
  // A text that is no number is turned into one where the mark is gone. Not a constant, which would be tried at once.
  return `select case when ${mark} is distinct from ${literal(markOf(fence))} then concat('${MARK} is gone: ', ${mark})::int end`;
}

/**
 * Locks the fence row against change until the transaction ends, answers its token, and bounds how long the server goes
 * on without hearing from this process, in each state that it may freeze in: between two statements, during one, and while a
 * result is on its way to it (which no time limit of PostgreSQL's interrupts, only the socket's own). Each may take half of
 * the lease, and a long result both of the latter two. A process that is dead, and not only frozen, is noticed sooner. A shorter limit of
 * the user's stays. All of it ends with the transaction.
 */
function guardStatement(schema: string, { group, election, leaseMs }: FenceHandle): string {
  const { fences } = tablesIn(schema);
  const limitMs = wholeMs(Math.floor(leaseMs / 2));
  const checkMs = wholeMs(Math.floor(leaseMs / CHECKS_PER_LEASE));
  return `with fence as materialized (select f.token from ${fences} f where f.grp = ${literal(group)} and f.election = ${literal(election)} for share)
    select (select fence.token::text from fence) as token,
      ${atMost("idle_in_transaction_session_timeout", limitMs)},
      ${atMost("statement_timeout", limitMs)},
      ${atMost("tcp_user_timeout", limitMs, "current_setting('tcp_user_timeout')::bigint")},
      case when current_setting('server_version_num')::int >= 140000 and version() like '%linux%' then ${atMost("client_connection_check_interval", checkMs)} end`;
}

/** Lowers a limit of this transaction; 0 means that there was none. Settings are shown with their unit, but for the socket's, which shows bare milliseconds. */
function atMost(name: string, limitMs: number, presentMs = `(extract(epoch from current_setting('${name}')::interval) * 1000)::bigint`): string {
  return `set_config('${name}', (select case when present.ms between 1 and ${limitMs} then present.ms else ${limitMs} end from (select ${presentMs} as ms) present)::text, true)`;
}

/** A string constant. Names cannot hold quotes, but this is no place to rely on that: several statements in one text take no parameters. */
function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}
