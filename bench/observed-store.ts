import { hostMonotonicMs } from "../src/testing/history/index.ts";
import type { StoreProvider, StoreSession } from "../src/store/index.ts";

/** One call to the store: which operation, when it was made, how long the answer took. */
export interface StoreCall {
  readonly operation: string;
  readonly t: number;
  readonly tookMs: number;
  readonly failed: boolean;
}

/** The same provider, telling `onCall` of each operation that came to an end. What waits on purpose, and sends nothing meanwhile, is not told. */
export function observed<Tx>(provider: StoreProvider<Tx>, onCall: (call: StoreCall) => void): StoreProvider<Tx> {
  return around(provider, "open", async (...args: Parameters<StoreProvider["open"]>) => observedSession(await provider.open(...args), onCall));
}

const NO_OPERATIONS: ReadonlySet<string> = new Set(["onHint", "destroy"]);

function observedSession(session: StoreSession, onCall: (call: StoreCall) => void): StoreSession {
  return new Proxy(session, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const method = value as (...args: unknown[]) => unknown;
      if (NO_OPERATIONS.has(String(name))) return (...args: unknown[]) => method.apply(target, args);
      return async (...args: unknown[]) => {
        const t = hostMonotonicMs();
        const end = (failed: boolean) => onCall({ operation: String(name), t, tookMs: hostMonotonicMs() - t, failed });
        try {
          const result = await method.apply(target, args);
          end(false);
          return result;
        } catch (error) {
          end(true);
          throw error;
        }
      };
    },
  });
}

/** `target` with one method replaced. */
function around<T extends object>(target: T, name: keyof T, replacement: unknown): T {
  return new Proxy(target, {
    get(inner, asked) {
      if (asked === name) return replacement;
      const value: unknown = Reflect.get(inner, asked, inner);
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(inner) : value;
    },
  });
}
