import type { Clock } from "./clock.ts";
import { TribuneError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";

/** How long something may take, what it is called, and what ends it. */
export interface DeadlineOptions {
  readonly clock: Clock;
  /** From now; zero or less fails without waiting. */
  readonly ms: number;
  /** What is being waited for, for the message: "beat", "connect". */
  readonly operation: string;
  readonly code?: ErrorCode;
  readonly next?: string;
  /** Called once when the time is up or the signal aborts, to end what is still running: destroy, never pool. */
  readonly onExpire?: (reason: TribuneError) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Settles as `work` does, or rejects with a coded error naming the operation when the time is up first. What `work`
 * does afterwards is ignored, so `onExpire` must make sure that it cannot do harm.
 */
export function withDeadline<T>(work: Promise<T>, options: DeadlineOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (finish: () => void) => {
      if (settled) return;
      settled = true;
      timer.cancel();
      options.signal?.removeEventListener("abort", aborted);
      finish();
    };
    const expire = (error: TribuneError) =>
      settle(() => {
        reject(error);
        options.onExpire?.(error);
      });
    const aborted = () => expire(abortError(options.signal, options.operation));
    const timer = options.clock.setTimer(options.ms, () =>
      expire(
        new TribuneError(options.code ?? "STORE_TIMEOUT", `${options.operation} did not finish within ${Math.max(0, Math.round(options.ms))} ms`, {
          about: options.operation,
          next: options.next ?? "look at the load of the store and the network to it",
        }),
      ),
    );
    if (options.signal?.aborted === true) aborted();
    else options.signal?.addEventListener("abort", aborted, { once: true });
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : new TribuneError("INTERNAL", String(error)))),
    );
  });
}

/** The coded error for a wait that its caller gave up: the signal's own reason where that is coded, else `ABORTED`. */
export function abortError(signal: AbortSignal | undefined, operation: string): TribuneError {
  const reason: unknown = signal?.reason;
  if (reason instanceof TribuneError) return reason;
  return new TribuneError("ABORTED", `${operation} was aborted by its caller`, { about: operation, cause: reason });
}
