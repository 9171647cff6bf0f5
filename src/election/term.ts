import { TribuneError } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { FencedTransactions, FenceHandle } from "../store/index.ts";

/** What a term asks of the node that holds it. */
export interface TermPorts<Tx> {
  readonly group: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly fenced: FencedTransactions<Tx>;
  /** Whether the trust on which the term was announced is unbroken and has not run out, by the clocks, now. */
  trusted(): boolean;
  trustLeftMs(): number;
  /** Gives the term up, and resolves when the store knows. */
  resign(): Promise<void>;
}

/**
 * One period of holding an election. It begins once and ends once; a node that wins again gets another term with a greater token.
 */
export class Term<Tx = unknown> implements AsyncDisposable {
  /** The election's name. */
  readonly election: string;
  /**
   * The fencing token: a safe integer, greater than that of every earlier term of this election. Hand it to whatever you write to, and
   * let that refuse smaller ones.
   */
  readonly token: number;
  readonly node: string;
  readonly incarnation: string;
  readonly #ports: TermPorts<Tx>;
  readonly #stopping = new AbortController();
  readonly #over = new AbortController();
  readonly #fence: FenceHandle;

  constructor(identity: { readonly election: string; readonly token: number; readonly node: string; readonly incarnation: string }, ports: TermPorts<Tx>) {
    this.election = identity.election;
    this.token = identity.token;
    this.node = identity.node;
    this.incarnation = identity.incarnation;
    this.#ports = ports;
    this.#fence = {
      group: ports.group,
      election: identity.election,
      token: identity.token,
      leaseMs: ports.leaseMs,
      clock: ports.clock,
      mayAct: () => this.mayAct(),
      over: this.#over.signal,
    };
  }

  /**
   * Aborts when the work has to stop: the trust is about to run out, someone asked to resign, the cluster stops, the term is lost. After a sleep of the machine it aborts
   * within a quarter of a beat of running; `mayAct` is right at once.
   */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Whether this process may act as the holder now. It reads the clocks each time, so it is right also in the first line that runs after a
   * long pause. What you do *after* asking may still come late: only the token stops that.
   */
  mayAct(): boolean {
    return !this.#over.signal.aborted && this.#ports.trusted();
  }

  /** Milliseconds until the trust runs out if no further beat is confirmed; 0 once the term is over. */
  trustLeftMs(): number {
    return this.#over.signal.aborted ? 0 : this.#ports.trustLeftMs();
  }

  /**
   * Runs `work` in a transaction of the store's own driver. It commits only while no later term has passed the fence; otherwise it throws
   * `TERM_LOST` and nothing was written. On SQLite `work` must be synchronous. `COMMIT_UNKNOWN` means that the connection broke during the commit.
   */
  transaction<Result>(work: (tx: Tx) => Result | Promise<Result>): Promise<Result> {
    return this.#ports.fenced.transaction(this.#fence, work);
  }

  /** Puts the fence into a transaction that you have begun: its first line. Throws `TERM_LOST` if the term does not stand. */
  guard(tx: Tx): Promise<void> {
    return this.#ports.fenced.guard(this.#fence, tx);
  }

  /** Gives the term up. Resolves when the store knows, or when the term is over anyway. */
  resign(): Promise<void> {
    return this.#ports.resign();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resign();
  }

  /** Asks the work to stop. For the elector. */
  askToStop(reason: TribuneError): void {
    if (!this.#stopping.signal.aborted) this.#stopping.abort(reason);
  }

  /** Ends the term; `mayAct` is false from here on. For the elector. */
  end(reason: TribuneError): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.askToStop(reason);
  }

  /** Whether the term is over. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }
}

/** Why a term that was given up on purpose ended. */
export function resigned(election: string, why: string): TribuneError {
  return new TribuneError("TERM_RESIGNED", `the term of ${election} was resigned: ${why}`, { about: election });
}
