import type { InstalledSchema, StoreProvider } from "../../store/index.ts";

/**
 * A store to try, and what can be done to it from outside. Only `provider` is needed; a case that needs something
 * else which is not there is reported as skipped, with the reason. The more a place offers, the more is checked.
 *
 * What a method does may reach the whole store: cases run one after the other, each in a group of its own.
 */
export interface StorePlace<Tx = unknown> {
  readonly provider: StoreProvider<Tx>;
  /** Another provider on the same store, as a second process has it. Sessions are opened on both by turns. */
  readonly peer?: StoreProvider<Tx> | undefined;
  /** A table of the user's in the same database, for fenced transactions. */
  readonly table?: UserTable<Tx> | undefined;
  /** Makes the store answer with an epoch that it never had, as after a failover. What is stored stays. Sessions may end. */
  newEpoch?(): Promise<void>;
  /** From now on nothing is answered and no connection is closed; what is returned makes the store answer again. */
  hang?(): Promise<() => Promise<void>>;
  /** Ends every open connection from the other side; new ones can be made at once. */
  cut?(): Promise<void>;
  /** A provider on the same store, or a copy of it, that cannot write: a standby, a file without write permission. The suite closes it. */
  readOnly?(): Promise<StoreProvider<Tx>>;
  /**
   * A provider on another store that nothing was written to, whose schema says this about itself; version 0: there is no schema. A newer one that says that it works with
   * this code must do so: it is this code's own with another version on it. The suite closes it.
   */
  schemaAt?(installed: InstalledSchema): Promise<StoreProvider<Tx>>;
  /** What must not be in any text that the store gives: passwords. */
  readonly secrets?: readonly string[] | undefined;
  /** Called at the end of each case; ends what was made for this place, its providers too. */
  close?(): Promise<void>;
}

/**
 * Numbers under keys, written through the user's own driver. Where the store's transactions are synchronous, `write`
 * and `read` must be synchronous as well.
 */
export interface UserTable<Tx = unknown> {
  /** Stores `value` under `key`, in the transaction. */
  write(tx: Tx, key: string, value: number): void | Promise<void>;
  /** The value under `key` as the transaction sees it; 0 if there is none. An ordinary read without a lock. */
  read(tx: Tx, key: string): number | Promise<number>;
  /** The committed value under `key`, read outside of any transaction; 0 if there is none. */
  committed(key: string): Promise<number>;
  /** Begins a transaction as a user would without Tribune, for `guard`. */
  begin?(): Promise<UserTransaction<Tx>>;
  /** What `guard` gets when somebody forgot to begin a transaction. */
  outside?(): Promise<{ readonly tx: Tx; release(): Promise<void> }>;
}

/** A transaction that a user has begun, outside of Tribune. */
export interface UserTransaction<Tx = unknown> {
  readonly tx: Tx;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}
