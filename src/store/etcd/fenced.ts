import { systemClock, systemRandom, TribuneError, withDeadline } from "../../kernel/index.ts";
import type { Clock } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound } from "../index.ts";
import type { FencedTransactions, FenceHandle } from "../index.ts";
import { Connection, turnFrom } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { isMemberLost, leavesUnknown, mapEtcdError } from "./errors.ts";
import { GroupKeys, padded } from "./keys.ts";
import { all, endOf } from "./messages.ts";
import type { Compare, Range, Txn, TxnAnswer, Write } from "./messages.ts";
import { DEFAULT_PREFIX } from "./options.ts";
import { Reading } from "./rows.ts";

/**
 * What `term.transaction` hands to your function: keys of your own in the same etcd. Nothing is written before the commit, which is one transaction of etcd: it compares the fence and,
 * where you write something, that what you have read is still so. It takes up to 128 comparisons and as many writes.
 */
export interface EtcdTransaction {
  /** The value under a key, or `null`; what the transaction has written itself, if it has. */
  get(key: string): Promise<string | null>;
  /** What is below a prefix in the store, in the order of the keys, without what the transaction has written itself. */
  getBelow(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]>;
  put(key: string, value: string): void;
  delete(key: string): void;
  /** Removes all that is below a prefix when it comes to the commit; nothing below it may be put in the same transaction. */
  deleteBelow(prefix: string): void;
}

/** A transaction that you have begun, and end. */
export interface OpenEtcdTransaction extends EtcdTransaction {
  /** Throws `TERM_LOST` where a guard's term no longer stands, `STORE_BUSY` where something that was read has changed, `COMMIT_UNKNOWN` where the connection broke. */
  commit(): Promise<void>;
  rollback(): void;
}

/** What a transaction of any client of etcd must compare to be fenced: that the value of the key is this one. */
export interface FenceComparison {
  readonly key: string;
  readonly value: string;
}

/**
 * The comparison that fences a transaction which you send with a client of your own: for etcdctl, `value("KEY") = "VALUE"`. It holds as long as no later term has passed the
 * fence, and not before this one has. `prefix`: as given to `etcd`.
 */
export function fenceComparison({ prefix = DEFAULT_PREFIX, group, election, token }: { readonly prefix?: string; readonly group: string; readonly election: string; readonly token: number }): FenceComparison {
  return { key: new GroupKeys(prefix.endsWith("/") ? prefix : `${prefix}/`, group).fence(election), value: padded(token) };
}

/** As many operations as a transaction of etcd takes (`--max-txn-ops`). */
const MOST_OPERATIONS = 128;

/** The longest that a request of a transaction without a term waits. */
const PATIENCE_MS = 10_000;

/** Transactions on the user's own keys, on a connection that all of a provider's share and that is made when the first needs it. */
export class EtcdFences implements FencedTransactions<EtcdTransaction> {
  readonly #source: ConnectionSource;
  readonly #prefix: string;
  #connection: Promise<Connection> | undefined;

  constructor(source: ConnectionSource, prefix: string) {
    this.#source = source;
    this.#prefix = prefix;
  }

  async transaction<Result>(fence: FenceHandle, work: (tx: EtcdTransaction) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const transaction = this.#transaction(fence.clock, fence.leaseMs);
    try {
      await transaction.fenceBy(fence, "transaction");
      const result = await work(transaction);
      assertMayAct(fence, "commit");
      await transaction.commit();
      return result;
    } finally {
      transaction.rollback();
    }
  }

  async guard(fence: FenceHandle, tx: EtcdTransaction): Promise<void> {
    assertMayAct(fence, "guard");
    if (!(tx instanceof Transaction) || tx.ended) {
      throw new TribuneError("TRANSACTION_REQUIRED", `guard of ${fence.election} needs a transaction that is open`, { about: fence.election, next: "begin one with begin() of the store first, or use term.transaction" });
    }
    await tx.fenceBy(fence, "guard");
  }

  begin(): OpenEtcdTransaction {
    return this.#transaction(systemClock, PATIENCE_MS);
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.then((one) => one.destroy(), () => undefined);
  }

  #transaction(clock: Clock, patienceMs: number): Transaction {
    const { label } = this.#source;
    return new Transaction({ label, prefix: this.#prefix, ask: async (txn, operation) => await this.#ask(txn, operation, { clock, ms: patienceMs }) });
  }

  /** Rejects with what the driver threw; a request that is late takes its connection with it. */
  async #ask(txn: Txn, operation: string, { clock, ms }: { readonly clock: Clock; readonly ms: number }): Promise<TxnAnswer> {
    const opened = (this.#connection ??= this.#open(clock, ms));
    const connection = await opened;
    try {
      return await withDeadline(connection.txn(txn, ms), { clock, ms, operation: `${operation} on ${this.#source.label}`, onExpire: () => connection.destroy() });
    } catch (error) {
      if (isMemberLost(error)) {
        connection.destroy();
        turnFrom(this.#source, connection.endpoint);
      }
      throw error;
    }
  }

  #open(clock: Clock, deadlineMs: number): Promise<Connection> {
    const forget = () => {
      if (this.#connection === opening) this.#connection = undefined;
    };
    const opening: Promise<Connection> = (async () => {
      const { connection } = await Connection.open(this.#source, { context: { clock, random: systemRandom, deadlineMs }, operation: "transaction", prepare: () => Promise.resolve() });
      connection.onBroken = forget;
      return connection;
    })();
    opening.catch(forget);
    return opening;
  }
}

interface TransactionPorts {
  readonly label: string;
  readonly prefix: string;
  ask(txn: Txn, operation: string): Promise<TxnAnswer>;
}

class Transaction implements OpenEtcdTransaction {
  ended = false;
  readonly #ports: TransactionPorts;
  readonly #fences: { readonly fence: FenceHandle; readonly key: string }[] = [];
  /** What was read, and when it had changed last; `null`: nothing was there. */
  readonly #reads = new Map<string, { readonly value: string | null; readonly modRevision: number }>();
  readonly #ranges: Compare[] = [];
  readonly #writes = new Map<string, Write>();

  constructor(ports: TransactionPorts) {
    this.#ports = ports;
  }

  async get(key: string): Promise<string | null> {
    this.#assertOpen("get");
    const written = this.#writes.get(key);
    if (written !== undefined) return "put" in written ? written.value : null;
    const known = this.#reads.get(key);
    if (known !== undefined) return known.value;
    const { items } = await this.#ask({ compare: [], success: [{ key }], failure: [] }, "get");
    // Another get of the same key may have been answered first: all of them see one value.
    const found = this.#reads.get(key) ?? { value: items[0]?.value ?? null, modRevision: items[0]?.modRevision ?? 0 };
    this.#reads.set(key, found);
    return found.value;
  }

  async getBelow(prefix: string): Promise<readonly { readonly key: string; readonly value: string }[]> {
    this.#assertOpen("getBelow");
    const { items, header } = await this.#ask({ compare: [], success: [all(prefix)], failure: [] }, "getBelow");
    this.#ranges.push({ key: prefix, end: endOf(prefix), changedBefore: header.revision + 1 });
    // Of what was removed only its own comparison tells.
    for (const { key, value, modRevision } of items) if (!this.#reads.has(key)) this.#reads.set(key, { value, modRevision });
    return items.map(({ key, value }) => ({ key, value }));
  }

  put(key: string, value: string): void {
    this.#assertOpen("put");
    this.#assertOwn(key, "put");
    this.#writes.set(key, { put: key, value });
  }

  delete(key: string): void {
    this.#assertOpen("delete");
    this.#assertOwn(key, "delete");
    this.#writes.set(key, { delete: key });
  }

  deleteBelow(prefix: string): void {
    this.#assertOpen("deleteBelow");
    this.#assertOwn(prefix, "deleteBelow");
    this.#writes.set(prefix, { delete: prefix, end: endOf(prefix) });
  }

  /** Looks at the fence now, so that work for a term that is over is not even begun, and has the commit compare it. */
  async fenceBy(fence: FenceHandle, operation: string): Promise<void> {
    const key = new GroupKeys(this.#ports.prefix, fence.group).fence(fence.election);
    const reads: readonly Range[] = [{ key }];
    const { items } = await this.#ask({ compare: [], success: reads, failure: [] }, operation);
    this.#assertFence(fence, new Reading(items, reads).text(key));
    this.#fences.push({ fence, key });
  }

  async commit(): Promise<void> {
    this.#assertOpen("commit");
    this.ended = true;
    const writes = [...this.#writes.values()];
    const compare: readonly Compare[] = [
      ...this.#fences.map(({ fence, key }) => ({ key, value: padded(fence.token) })),
      ...(writes.length === 0 ? [] : [...this.#ranges, ...[...this.#reads].map(([key, { modRevision }]) => ({ key, modRevision }))]),
    ];
    if (compare.length > MOST_OPERATIONS || writes.length > MOST_OPERATIONS) {
      throw new TribuneError("INVALID_OPTIONS", `the transaction reads ${this.#reads.size} keys and writes ${writes.length}; a transaction of etcd takes ${MOST_OPERATIONS} of either`, { about: this.#ports.label, next: "split it, each part fenced by itself" });
    }
    const fences: readonly Range[] = this.#fences.map(({ key }) => ({ key }));
    const answer = await this.#commit({ compare, success: writes, failure: fences });
    if (answer.succeeded) return;
    const reading = new Reading(answer.items, fences);
    for (const { fence, key } of this.#fences) this.#assertFence(fence, reading.text(key));
    throw new TribuneError("STORE_BUSY", `commit on ${this.#ports.label}: something that the transaction has read was changed since; nothing was written`, { about: this.#ports.label, next: "run the transaction again" });
  }

  rollback(): void {
    this.ended = true;
  }

  async #commit(txn: Txn): Promise<TxnAnswer> {
    try {
      return await this.#ports.ask(txn, "commit");
    } catch (error) {
      if (!leavesUnknown(error)) throw mapEtcdError(error, "commit", this.#ports.label);
      const about = this.#fences[0]?.fence.election ?? this.#ports.label;
      throw new TribuneError("COMMIT_UNKNOWN", `the commit of ${about} on ${this.#ports.label} was broken off; it may have been done or not`, { about, next: "read what the transaction would have written, under a new term", cause: error });
    }
  }

  async #ask(txn: Txn, operation: string): Promise<TxnAnswer> {
    try {
      return await this.#ports.ask(txn, operation);
    } catch (error) {
      throw mapEtcdError(error, operation, this.#ports.label);
    }
  }

  #assertFence(fence: FenceHandle, found: string | undefined): void {
    if (found === undefined) throw fenceNotFound(fence, this.#ports.label);
    assertFence(fence, Number(found));
  }

  #assertOpen(operation: string): void {
    if (this.ended) throw new TribuneError("TRANSACTION_REQUIRED", `${operation}: the transaction on ${this.#ports.label} has ended`, { about: this.#ports.label, next: "await everything in it before its function returns" });
  }

  #assertOwn(key: string, operation: string): void {
    const { prefix } = this.#ports;
    if (key !== "" && !key.startsWith(prefix) && !(operation === "deleteBelow" && prefix.startsWith(key))) return;
    throw new TribuneError("INVALID_OPTIONS", `${operation}: ${key === "" ? "a key must not be empty" : `the keys below ${prefix} are Tribune's own`}`, { about: key, next: "use another key" });
  }
}
