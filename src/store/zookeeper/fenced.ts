import { systemClock, systemRandom, TribuneError, withDeadline } from "../../kernel/index.ts";
import type { Clock } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, termLost } from "../index.ts";
import type { FencedTransactions, FenceHandle } from "../index.ts";
import { isZookeeperError, ZookeeperError } from "./client/codes.ts";
import type { Acl, Answers, Operation, Request } from "./client/records.ts";
import { ANY_VERSION } from "./client/records.ts";
import { closeConnection, openConnection } from "./connection.ts";
import type { Connection, ConnectionSource } from "./connection.ts";
import { readData, writeData } from "./document.ts";
import { leavesUnknown, LARGEST_REQUEST_BYTES, mapZookeeperError, sizeOf, tooLarge } from "./errors.ts";
import type { OpenTransaction } from "./open-transactions.ts";

/**
 * What `term.transaction` hands to your function. ZooKeeper has no transactions that one works in, only lists of operations that are carried out together: so reads are answered at
 * once, and writes are collected, and carried out when your function is done, all or none, if the term still stands. Paths are those of your own client, inside the chroot.
 */
export interface ZookeeperTransaction {
  /** Data and version of a znode, or `null` if it is not there. What this transaction is going to write is not in it. */
  get(path: string): Promise<{ readonly data: Buffer; readonly version: number } | null>;
  /** The names right below a znode; none if it is not there. */
  children(path: string): Promise<readonly string[]>;
  create(path: string, data?: string | Uint8Array, options?: { readonly acl?: readonly Acl[] }): this;
  /** With a version: only if the znode still has that one. */
  set(path: string, data: string | Uint8Array, version?: number): this;
  delete(path: string, version?: number): this;
  /** The znode must have this version when everything is carried out. */
  check(path: string, version: number): this;
}

/** A transaction that you have begun yourself, for `term.guard`. */
export interface ZookeeperMulti extends ZookeeperTransaction {
  /** Carries everything out, or nothing. Throws a {@link ZookeeperError} that says which of the operations was refused, and `TERM_LOST` where a guard does not hold any more. */
  commit(): Promise<void>;
  /** Gives it up. Needed where it was guarded: until then the next term waits for it. */
  rollback(): Promise<void>;
}

/** A list of operations of another client's, by shape: `client.transaction()` of node-zookeeper-client is one. */
export interface ForeignMulti {
  check(path: string, version: number): unknown;
}

/** Lets `term.guard` take a list of operations of another client: `await term.guard(foreign(client.transaction()))`. Its paths must be inside the same chroot. */
export function foreign(multi: ForeignMulti): ZookeeperTransaction {
  // What a guard does to it is to call its check; nobody else gets to see it.
  return multi as ZookeeperTransaction;
}

/** Of a znode that is made and removed, and never written. */
const NEVER_CHANGED = 0;

/** The longest that a request of a transaction without a term waits. */
const PATIENCE_MS = 10_000;

/** Transactions that hold the fence up while they are open, and are carried out only if it has not moved. */
export class ZookeeperFences implements FencedTransactions<ZookeeperTransaction> {
  readonly #source: ConnectionSource;
  #connection: Promise<Connection> | undefined;

  constructor(source: ConnectionSource) {
    this.#source = source;
  }

  /** See the port. What `work` throws comes out unchanged, unless the term was over by then: that is `TERM_LOST` with it as the cause. */
  async transaction<Result>(fence: FenceHandle, work: (tx: ZookeeperTransaction) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const transaction = await this.#begin(fence.clock, fence.leaseMs);
    try {
      await this.#hold(fence, transaction);
      const result = await work(transaction);
      if (transaction.ended) throw transactionRequired(fence, "commit");
      await transaction.commit();
      return result;
    } catch (error) {
      await transaction.rollback();
      throw fence.mayAct() || isTermLost(error) ? error : termLost(fence, "the transaction was given up", error);
    }
  }

  /**
   * For a {@link ZookeeperMulti} that is open: as the port says. For a list of operations of another client, by its method `check`: puts the comparison into it, so that it is
   * carried out only while no later term has passed the fence; the successor does not wait for it.
   */
  async guard(fence: FenceHandle, tx: ZookeeperTransaction): Promise<void> {
    assertMayAct(fence, "guard");
    if (tx instanceof Multi) {
      if (tx.ended) throw transactionRequired(fence, "guard");
      return await this.#hold(fence, tx);
    }
    if (typeof (tx as Partial<ZookeeperTransaction> | null | undefined)?.check !== "function") throw transactionRequired(fence, "guard");
    const { client } = await this.#connected(fence.clock, fence.leaseMs);
    await this.#look(fence, patientlyOn(client, { label: this.#source.label, clock: fence.clock, limitMs: fence.leaseMs }));
    // Its name says all: a version could come again where an older copy of the disks was put back.
    tx.check(this.#standing(fence).slice(this.#source.options.chroot.length), NEVER_CHANGED);
  }

  /** A transaction of the user's own. */
  async begin(): Promise<ZookeeperMulti> {
    return await this.#begin(systemClock, PATIENCE_MS);
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    if (connection !== undefined) await closeConnection(connection, systemClock);
  }

  async #begin(clock: Clock, limitMs: number): Promise<Multi> {
    return new Multi(await this.#connected(clock, limitMs), this.#source, { clock, limitMs });
  }

  /** From now until the transaction ends, whoever wants to pass the fence is told that it is busy. */
  async #hold(fence: FenceHandle, transaction: Multi): Promise<void> {
    await this.#look(fence, transaction.ask);
    const hold = `${this.#standing(fence)}/${systemRandom.id()}`;
    const data: OpenTransaction = { leaseMs: fence.leaseMs };
    try {
      await transaction.ask("guard", { op: "multi", operations: [{ op: "create", path: hold, data: writeData(data), acl: this.#source.acl, ephemeral: true }] });
    } catch (error) {
      if (isZookeeperError(error, "NONODE")) throw termLost(fence, "the fence has moved", error);
      throw this.#mapped(error, "transaction");
    }
    transaction.guards.push({ fence, hold });
  }

  /** The znode that is there while the fence stands at the term's token. */
  #standing({ group, election, token }: FenceHandle): string {
    return this.#source.paths.group(group).standing(election, token);
  }

  /** Whether the fence stands at the term's token, so that work for a term that is over is not even begun. */
  async #look(fence: FenceHandle, ask: Ask): Promise<void> {
    const path = this.#source.paths.group(fence.group).fence(fence.election);
    try {
      const [, { data }] = await Promise.all([ask("guard", { op: "sync", path }), ask("guard", { op: "getData", path })]);
      assertFence(fence, (readData(data, path) as { readonly token: number }).token);
    } catch (error) {
      if (isZookeeperError(error, "NONODE")) throw fenceNotFound(fence, this.#source.label, error);
      throw this.#mapped(error, "transaction");
    }
  }

  /** One connection serves all transactions of the process; a broken one is replaced by the next transaction. */
  async #connected(clock: Clock, deadlineMs: number): Promise<Connection> {
    this.#connection ??= this.#connect(clock, deadlineMs);
    return await this.#connection;
  }

  #connect(clock: Clock, deadlineMs: number): Promise<Connection> {
    const connecting = openConnection(this.#source, { clock, random: systemRandom, deadlineMs }, { operation: "transaction" });
    const forget = () => {
      if (this.#connection === connecting) this.#connection = undefined;
    };
    connecting.then(({ client }) => (client.onBroken = forget), forget);
    return connecting;
  }

  #mapped(error: unknown, operation: string): TribuneError {
    return mapZookeeperError(error, operation, this.#source.label);
  }
}

/** A request that is waited for no longer than whoever asks may wait; one that is late takes its connection with it. */
type Ask = <R extends Request>(operation: string, request: R) => Promise<Answers[R["op"]]>;

function patientlyOn(client: Connection["client"], { label, clock, limitMs }: { readonly label: string; readonly clock: Clock; readonly limitMs: number }): Ask {
  return async (operation, request) => await withDeadline(client.request(request), { clock, ms: limitMs, operation: `${operation} on ${label}`, onExpire: () => client.destroy() });
}

interface Guard {
  readonly fence: FenceHandle;
  /** The znode that says that this transaction is open. It is below the one of the token, which cannot go while it is there. */
  readonly hold: string;
}

class Multi implements ZookeeperMulti {
  readonly guards: Guard[] = [];
  readonly ask: Ask;
  ended = false;
  readonly #source: ConnectionSource;
  readonly #operations: Operation[] = [];

  constructor({ client }: Connection, source: ConnectionSource, patience: { readonly clock: Clock; readonly limitMs: number }) {
    this.ask = patientlyOn(client, { label: source.label, ...patience });
    this.#source = source;
  }

  async get(path: string): Promise<{ readonly data: Buffer; readonly version: number } | null> {
    return await this.#read(path, async (whole) => {
      const { data, stat } = await this.ask("a read in a transaction", { op: "getData", path: whole });
      return { data: Buffer.from(data), version: stat.version };
    });
  }

  async children(path: string): Promise<readonly string[]> {
    return (await this.#read(path, async (whole) => (await this.ask("a read in a transaction", { op: "getChildren", path: whole })).children)) ?? [];
  }

  create(path: string, data: string | Uint8Array = "", { acl = this.#source.acl }: { readonly acl?: readonly Acl[] } = {}): this {
    return this.#add({ op: "create", path: this.#whole(path), data: Buffer.from(data), acl });
  }

  set(path: string, data: string | Uint8Array, version = ANY_VERSION): this {
    return this.#add({ op: "setData", path: this.#whole(path), data: Buffer.from(data), version });
  }

  delete(path: string, version = ANY_VERSION): this {
    return this.#add({ op: "delete", path: this.#whole(path), version });
  }

  check(path: string, version: number): this {
    return this.#add({ op: "check", path: this.#whole(path), version });
  }

  async commit(): Promise<void> {
    this.#assertOpen("commit");
    for (const { fence } of this.guards) assertMayAct(fence, "commit");
    const sizeBytes = sizeOf(this.#operations);
    // A server would close the connection over it, and with it break off whatever else is on it.
    if (sizeBytes > LARGEST_REQUEST_BYTES) throw tooLarge("commit", sizeBytes, this.#source.label, "write less in one transaction");
    this.ended = true;
    const guards = this.guards.map(({ hold }): Operation => ({ op: "delete", path: hold, version: ANY_VERSION }));
    const operations = [...guards, ...this.#operations];
    if (operations.length === 0) return;
    try {
      await this.ask("commit", { op: "multi", operations });
    } catch (error) {
      throw await this.#refused(error);
    }
  }

  async rollback(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    await this.#release();
  }

  /** What became of the commit, as an error. */
  async #refused(error: unknown): Promise<Error> {
    const { label } = this.#source;
    if (leavesUnknown(error)) return new TribuneError("COMMIT_UNKNOWN", `the connection to ${label} broke during the commit`, { about: label, next: "look at what the transaction would have written", cause: error });
    await this.#release();
    if (!isZookeeperError(error) || error.index === undefined) return mapZookeeperError(error, "commit", label);
    const guard = this.guards[error.index];
    if (guard !== undefined) return termLost(guard.fence, "commit", error);
    return new ZookeeperError(error.code, error.message, { path: error.path?.slice(this.#source.options.chroot.length), index: error.index - this.guards.length, cause: error });
  }

  /** Whoever waits for the fence need not wait longer. If this fails, the session's end, or the successor's patience, does it. */
  async #release(): Promise<void> {
    await Promise.all(this.guards.map(async ({ hold }) => await this.ask("rollback", { op: "delete", path: hold, version: ANY_VERSION }).catch(() => undefined)));
  }

  async #read<T>(path: string, read: (whole: string) => Promise<T>): Promise<T | null> {
    this.#assertOpen("a read");
    try {
      return await read(this.#whole(path));
    } catch (error) {
      if (isZookeeperError(error, "NONODE")) return null;
      throw mapZookeeperError(error, "a read in a transaction", this.#source.label);
    }
  }

  #add(operation: Operation): this {
    this.#assertOpen(operation.op);
    this.#operations.push(operation);
    return this;
  }

  #whole(path: string): string {
    if (!/^(?:\/[^/\0]+)+$/.test(path)) throw new TribuneError("INVALID_OPTIONS", "a path of a transaction begins with '/' and does not end with it", { about: "path", next: "give a path like /app/state" });
    return `${this.#source.options.chroot}${path}`;
  }

  #assertOpen(what: string): void {
    if (this.ended) throw new TribuneError("TRANSACTION_REQUIRED", `${what} came after the transaction had ended`, { about: this.#source.label, next: "begin another one" });
  }
}

function isTermLost(error: unknown): boolean {
  return error instanceof TribuneError && ["TERM_LOST", "COMMIT_UNKNOWN", "FENCE_NOT_FOUND"].includes(error.code);
}

function transactionRequired(fence: FenceHandle, operation: string): TribuneError {
  return new TribuneError("TRANSACTION_REQUIRED", `${operation} of ${fence.election} needs a transaction that is open`, {
    about: fence.election,
    next: "begin one with the store's begin(), or hand in a list of operations that has a method check(path, version)",
  });
}
