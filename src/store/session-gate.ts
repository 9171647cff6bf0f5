import { TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { Call } from "./provider.ts";

/**
 * The part of a session that every provider has: it ends once, for one reason, and bounds each operation. A provider
 * wraps its operations in `run` and passes what ends its connection as `onEnd`.
 */
export class SessionGate {
  readonly #clock: Clock;
  readonly #label: string;
  readonly #onEnd: () => void;
  readonly #controller = new AbortController();

  constructor(options: { readonly clock: Clock; readonly label: string; readonly onEnd: () => void }) {
    this.#clock = options.clock;
    this.#label = options.label;
    this.#onEnd = options.onEnd;
  }

  get ended(): AbortSignal {
    return this.#controller.signal;
  }

  /** Runs one operation; if it is not answered in time the session ends, since nobody knows what it still does. */
  async run<T>(operation: string, call: Call, work: () => Promise<T>): Promise<T> {
    if (this.ended.aborted) throw this.#endedError(operation);
    return await withDeadline(work(), {
      clock: this.#clock,
      ms: call.deadlineMs,
      operation: `${operation} on ${this.#label}`,
      signal: this.ended,
      onExpire: (error) => this.end(error),
    });
  }

  /** Ends the session; the first reason stays. */
  end(reason: Error): void {
    if (this.ended.aborted) return;
    this.#controller.abort(reason instanceof TribuneError ? reason : new TribuneError("STORE_SESSION_ENDED", `the connection to ${this.#label} ended: ${reason.message}`, { about: this.#label, cause: reason }));
    this.#onEnd();
  }

  #endedError(operation: string): TribuneError {
    const reason: unknown = this.ended.reason;
    return new TribuneError("STORE_SESSION_ENDED", `${operation}: the connection to ${this.#label} has ended${reason instanceof Error ? ` (${reason.message})` : ""}`, {
      about: this.#label,
      cause: reason,
    });
  }
}
