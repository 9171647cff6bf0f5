import { systemClock, systemRandom, toTribuneError, TribuneError } from "../../kernel/index.ts";
import type { Clock } from "../../kernel/index.ts";
import { assertFence, assertMayAct, fenceNotFound, termLost } from "../fenced.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH } from "../limits.ts";
import type { FencedTransactions, FenceHandle, Finding, Hint, OpenContext, StoreProvider, StoreSession } from "../provider.ts";
import { diagnose } from "./diagnose.ts";
import { MemoryEngine } from "./engine.ts";
import type { MemoryOptions } from "./options.ts";
import { MemorySession } from "./session.ts";

/**
 * What a fenced transaction works on. The store has no tables for users, so this only lets a program be written as
 * it would be for a database: what `onCommit` is given runs when the transaction commits, and not if it rolls back.
 */
export interface MemoryTransaction {
  onCommit(effect: () => void): void;
}

/**
 * A store in this process's memory, as strict as a database. For tests, examples and single processes: clusters that
 * are given the same `memory()` share it. Nothing survives the process.
 */
export class MemoryProvider implements StoreProvider<MemoryTransaction> {
  readonly kind = "memory";
  readonly label = "memory:";
  readonly capabilities = { hints: true, asyncTransactions: true, boundsFrozenTransactions: false, manyHosts: false, evidence: { graceMs: 0 } } as const;
  readonly fenced: FencedTransactions<MemoryTransaction>;
  readonly schema = {
    version: SCHEMA_VERSION,
    statements: (): readonly string[] => [],
    installed: () => Promise.resolve({ version: SCHEMA_VERSION, worksWith: SCHEMA_WORKS_WITH }),
    migrate: () => Promise.resolve({ from: SCHEMA_VERSION, to: SCHEMA_VERSION }),
  };
  /** For tests and simulations: the state itself. */
  readonly engine: MemoryEngine;
  readonly #sessions = new Set<MemorySession>();
  /** Told of each session that ends. */
  readonly #attending = new Set<() => void>();
  #epoch: string;
  #epochNumber = 1;

  constructor(options: MemoryOptions = {}) {
    const clock: Clock = options.clock ?? systemClock;
    this.#epoch = `memory:${systemRandom.id()}:1`;
    const fences = new MemoryFences((handle) => this.engine.fence(handle.group, handle.election));
    this.fenced = fences;
    this.engine = new MemoryEngine({
      now: () => Math.trunc(clock.wallMs()),
      epoch: () => this.#epoch,
      epochNumber: () => this.#epochNumber,
      hint: (group, hint) => this.#tell(group, hint),
      fenceIsBusy: (group, election) => fences.isBusy(group, election),
      evidenceIsHeld: (key) => [...this.#sessions].some((session) => session.evidenceKey === key),
    });
  }

  open(context: OpenContext): Promise<StoreSession> {
    const session: MemorySession = new MemorySession(this.engine, context, {
      onEnd: () => {
        this.#sessions.delete(session);
        for (const look of [...this.#attending]) look();
      },
      whenFree: (group, incarnations, signals) => this.#whenFree(group, incarnations, signals),
    });
    this.#sessions.add(session);
    return Promise.resolve(session);
  }

  /** As a failover to another server does: every session ends, and the epoch is another. */
  changeEpoch(epoch: string): void {
    this.#epoch = epoch;
    this.#epochNumber += 1;
    for (const session of [...this.#sessions]) session.destroy(new TribuneError("STORE_SESSION_ENDED", "the store failed over", { about: this.label }));
  }

  diagnose(): Promise<readonly Finding[]> {
    return Promise.resolve(diagnose());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #whenFree(group: string, incarnations: readonly string[], signals: readonly AbortSignal[]): Promise<void> {
    const seemsFree = () => incarnations.some((incarnation) => this.engine.evidenceOf(group, incarnation) === "free");
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#attending.delete(look);
        for (const signal of signals) signal.removeEventListener("abort", abort);
      };
      const look = () => {
        if (!seemsFree()) return;
        end();
        resolve();
      };
      const abort = () => {
        end();
        reject(toTribuneError(signals.find((signal) => signal.aborted)?.reason, "ABORTED", "attending evidence was called off"));
      };
      if (signals.some((signal) => signal.aborted)) return abort();
      this.#attending.add(look);
      for (const signal of signals) signal.addEventListener("abort", abort, { once: true });
      look();
    });
  }

  #tell(group: string, hint: Hint): void {
    for (const session of this.#sessions) session.hint(group, hint);
  }
}

/** Open fenced transactions hold the fence of their election back, as a share lock on its row would. */
class MemoryFences implements FencedTransactions<MemoryTransaction> {
  readonly #fenceOf: (handle: FenceHandle) => number | undefined;
  readonly #open = new Map<string, Set<Transaction>>();
  readonly #byTransaction = new WeakMap<MemoryTransaction, Transaction>();

  constructor(fenceOf: (handle: FenceHandle) => number | undefined) {
    this.#fenceOf = fenceOf;
  }

  isBusy(group: string, election: string): boolean {
    return (this.#open.get(`${group}/${election}`)?.size ?? 0) > 0;
  }

  async transaction<Result>(fence: FenceHandle, work: (tx: MemoryTransaction) => Result | Promise<Result>): Promise<Result> {
    assertMayAct(fence, "transaction");
    const transaction = new Transaction();
    this.#byTransaction.set(transaction, transaction);
    try {
      this.#lock(fence, transaction);
      const result = await work(transaction);
      if (!fence.mayAct()) throw termLost(fence, "commit");
      transaction.commit();
      return result;
    } finally {
      transaction.end();
    }
  }

  guard(fence: FenceHandle, tx: MemoryTransaction): Promise<void> {
    const transaction = this.#byTransaction.get(tx);
    if (transaction === undefined || transaction.ended) {
      return Promise.reject(new TribuneError("TRANSACTION_REQUIRED", `guard of ${fence.election} needs a transaction that is open`, { about: fence.election, next: "begin one first" }));
    }
    return Promise.resolve().then(() => {
      assertMayAct(fence, "guard");
      this.#lock(fence, transaction);
    });
  }

  #lock(fence: FenceHandle, transaction: Transaction): void {
    const found = this.#fenceOf(fence);
    if (found === undefined) throw fenceNotFound(fence, "memory:");
    assertFence(fence, found);
    const key = `${fence.group}/${fence.election}`;
    let open = this.#open.get(key);
    if (open === undefined) this.#open.set(key, (open = new Set()));
    open.add(transaction);
    transaction.onEnd(() => open.delete(transaction));
  }
}

class Transaction implements MemoryTransaction {
  readonly #effects: Array<() => void> = [];
  readonly #ends: Array<() => void> = [];
  ended = false;

  onCommit(effect: () => void): void {
    this.#effects.push(effect);
  }

  onEnd(listener: () => void): void {
    this.#ends.push(listener);
  }

  commit(): void {
    for (const effect of this.#effects) effect();
  }

  end(): void {
    this.ended = true;
    for (const listener of this.#ends) listener();
  }
}
