import { isTribuneError, TribuneError, withDeadline } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, SCHEMA_VERSION, SCHEMA_WORKS_WITH, termLost } from "../../store/index.ts";
import type { FencedTransactions, FenceHandle, OpenContext, StoreProvider, StoreSession } from "../../store/index.ts";
import type { MemoryTransaction } from "../../store/memory/index.ts";
import type { Client, Connection } from "./connection.ts";
import { openedSession } from "./session.ts";
import { STORE_PLACE } from "./statements.ts";
import type { StatementKind } from "./statements.ts";
import type { SimulatedStore } from "./store.ts";

/** Who hears what a fenced transaction came to. */
export interface TransactionWitness {
  /** Whether a holder is asked if it still may, beside the fence. Without it the fence alone has to refuse. */
  readonly asksBelief: boolean;
  /** The incarnation whose term it is. */
  incarnationOf(fence: FenceHandle): string;
  wrote(fence: FenceHandle, write: string, outcome: "committed" | "refused" | "unknown", code: string): void;
}

/** A provider that reaches the simulated store from one process. Transactions are written as for `memory()`. */
export class SimulatedProvider implements StoreProvider<MemoryTransaction> {
  readonly kind = "simulated";
  readonly label = `${STORE_PLACE}:`;
  readonly capabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true, evidence: { graceMs: 100 } } as const;
  readonly fenced: FencedTransactions<MemoryTransaction>;
  readonly schema = {
    version: SCHEMA_VERSION,
    statements: (): readonly string[] => [],
    installed: () => Promise.resolve({ version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH }),
    migrate: () => Promise.resolve({ from: SCHEMA_VERSION, to: SCHEMA_VERSION }),
  };
  readonly #store: SimulatedStore;
  readonly #client: Client;
  readonly #open = new Set<Connection>();

  constructor(store: SimulatedStore, client: Client, witness: TransactionWitness) {
    this.#store = store;
    this.#client = client;
    this.fenced = new SimulatedFences(store, () => this.#connect(), client, witness);
  }

  async open(context: OpenContext): Promise<StoreSession> {
    const connection = this.#connect();
    await withDeadline(
      connection.call("open", () => this.#store.accept(connection)),
      { clock: context.clock, ms: context.deadlineMs, operation: `opening ${this.label}`, signal: context.signal, onExpire: () => connection.close() },
    );
    return openedSession(this.#store, connection, context, () => this.#connect());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The process is gone: the system closes what it had open. */
  abandon(): void {
    for (const connection of this.#open) connection.close();
  }

  #connect(): Connection {
    const connection = this.#store.connect(this.#client);
    this.#open.add(connection);
    connection.atServerEnd(() => this.#open.delete(connection));
    return connection;
  }
}

/** Fenced transactions, statement by statement, on connections of their own. */
class SimulatedFences implements FencedTransactions<MemoryTransaction> {
  readonly #store: SimulatedStore;
  readonly #connect: () => Connection;
  readonly #client: Client;
  readonly #witness: TransactionWitness;
  readonly #known = new WeakMap<MemoryTransaction, SimulatedTransaction>();
  #writes = 0;

  constructor(store: SimulatedStore, connect: () => Connection, client: Client, witness: TransactionWitness) {
    this.#store = store;
    this.#connect = connect;
    this.#client = client;
    this.#witness = witness;
  }

  async transaction<Result>(fence: FenceHandle, work: (tx: MemoryTransaction) => Result | Promise<Result>): Promise<Result> {
    const { asksBelief } = this.#witness;
    if (asksBelief) assertMayAct(fence, "transaction");
    const beganMs = this.#store.schedule.nowMs;
    const incarnation = this.#witness.incarnationOf(fence);
    const write = `${this.#client.process.name}/${(this.#writes += 1)}`;
    const transaction = new SimulatedTransaction(this.#store, this.#connect(), fence);
    this.#known.set(transaction, transaction);
    const cutOff = () => transaction.cutOff(fence);
    if (asksBelief) fence.over.addEventListener("abort", cutOff, { once: true });
    try {
      await transaction.begin();
      await transaction.guard(fence);
      const result = await work(transaction);
      if (asksBelief && !fence.mayAct()) throw termLost(fence, "commit");
      const { election, token } = fence;
      await transaction.commit(() => this.#store.commit({ election, token, node: this.#client.node, incarnation, write, t: beganMs }));
      this.#witness.wrote(fence, write, "committed", "");
      return result;
    } catch (error) {
      const code = error instanceof TribuneError ? error.code : "";
      this.#witness.wrote(fence, write, code === "COMMIT_UNKNOWN" ? "unknown" : "refused", code);
      throw error;
    } finally {
      fence.over.removeEventListener("abort", cutOff);
      transaction.close();
    }
  }

  async guard(fence: FenceHandle, tx: MemoryTransaction): Promise<void> {
    const transaction = this.#known.get(tx);
    if (transaction === undefined) throw new TribuneError("TRANSACTION_REQUIRED", `guard of ${fence.election} needs a transaction that is open`, { about: fence.election, next: "begin one first" });
    assertMayAct(fence, "guard");
    await transaction.guard(fence);
  }
}

/** One transaction: what happens in the process, and what happens at the server. */
class SimulatedTransaction implements MemoryTransaction {
  readonly #store: SimulatedStore;
  readonly #connection: Connection;
  readonly #fence: FenceHandle;
  readonly #effects: Array<() => void> = [];
  readonly #unlocks: Array<() => void> = [];
  /** At the server. */
  #state: "new" | "open" | "committed" | "aborted" = "new";
  #commitSent = false;
  #reject: ((error: Error) => void) | undefined;

  constructor(store: SimulatedStore, connection: Connection, fence: FenceHandle) {
    this.#fence = fence;
    this.#store = store;
    this.#connection = connection;
    connection.atServerEnd(() => this.#abort());
    connection.onEnd((reason) => this.#reject?.(this.#commitSent ? commitUnknown(reason) : reason));
  }

  onCommit(effect: () => void): void {
    this.#effects.push(effect);
  }

  async begin(): Promise<void> {
    await this.#call("open", () => {
      this.#store.accept(this.#connection);
      this.#state = "open";
    });
  }

  /** The server ends it by itself within a lease. */
  async guard(fence: FenceHandle): Promise<void> {
    await this.#call("guard", () => {
      this.#assertOpen(fence);
      const found = this.#store.engine.fence(fence.group, fence.election);
      if (found === undefined) throw fenceNotFound(fence, `${STORE_PLACE}:`);
      assertFence(fence, found);
      this.#store.schedule.in(fence.leaseMs, () => this.#abort());
      this.#unlocks.push(this.#store.lockFence(fence.group, fence.election, this));
    });
  }

  async commit(write: () => void): Promise<void> {
    this.#commitSent = true;
    await this.#call("commit", () => {
      if (this.#state !== "open") throw new TribuneError("TERM_LOST", "the server has ended the transaction; nothing was written", { about: STORE_PLACE });
      this.#state = "committed";
      write();
      for (const effect of this.#effects) effect();
      this.#unlock();
    });
  }

  /** The term is over: nothing is waited for any more. */
  cutOff(fence: FenceHandle): void {
    this.#reject?.(this.#commitSent ? commitUnknown(fence.over.reason) : termLost(fence, "the transaction was cut off"));
  }

  close(): void {
    this.#connection.close();
  }

  #assertOpen(fence: FenceHandle): void {
    if (this.#state !== "open") throw termLost(fence, "the server has ended the transaction");
  }

  #call(kind: StatementKind, statement: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const answer = this.#connection.call(kind, statement);
      // As drivers do: an answer that does not come is not waited for beyond the time in which the server ends the transaction.
      withDeadline(answer, { clock: this.#fence.clock, ms: this.#fence.leaseMs, operation: kind }).then(resolve, (error: unknown) => reject(this.#commitSent && isTribuneError(error, "STORE_TIMEOUT") ? commitUnknown(error) : error));
    });
  }

  #abort(): void {
    if (this.#state === "committed") return;
    this.#state = "aborted";
    this.#unlock();
  }

  #unlock(): void {
    for (const unlock of this.#unlocks.splice(0)) unlock();
  }
}

function commitUnknown(cause: unknown): TribuneError {
  return new TribuneError("COMMIT_UNKNOWN", "the connection, or the term, ended while the commit was on its way", { about: STORE_PLACE, next: "look whether it was written", cause });
}
