import type { Clock } from "../kernel/index.ts";
import type { Reading } from "./hello.ts";
import type { Wire } from "./wire.ts";

/** What came of waiting for the other side's words. */
export type Heard<T> =
  | { readonly kind: "heard"; readonly value: T; /** What came behind them. */ readonly rest: Uint8Array }
  | { readonly kind: "timeout" | "closed" | "malformed"; readonly detail: string };

/**
 * Waits for the beginning of what the other side says, and calls `done` once, in the very call in which the last byte came, so that nothing that follows is missed. `read` bounds how much is held.
 * The returned function gives up: `done` is not called any more. The wire is left as it is.
 */
export function hear<T>(wire: Wire, read: (bytes: Uint8Array) => Reading<T>, wait: { readonly clock: Clock; readonly deadlineMs: number }, done: (heard: Heard<T>) => void): () => void {
  let held = new Uint8Array(0);
  let over = false;
  const finish = (heard: Heard<T>) => {
    if (over) return;
    over = true;
    timer.cancel();
    done(heard);
  };
  const timer = wait.clock.setTimer(wait.deadlineMs, () => finish({ kind: "timeout", detail: `no handshake within ${Math.round(wait.deadlineMs)} ms` }));
  wire.handlers = {
    data(chunk) {
      if (over) return;
      held = held.length === 0 ? new Uint8Array(chunk) : joined(held, chunk);
      let reading: Reading<T>;
      try {
        reading = read(held);
      } catch (error) {
        return finish({ kind: "malformed", detail: error instanceof Error ? error.message : String(error) });
      }
      if (reading !== "more") finish({ kind: "heard", value: reading.value, rest: held.subarray(reading.bytes) });
    },
    drained() {},
    closed: (_reason, detail) => finish({ kind: "closed", detail }),
  };
  return () => {
    over = true;
    timer.cancel();
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
