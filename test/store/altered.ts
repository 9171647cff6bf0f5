import type { OpenContext, StoreProvider, StoreSession } from "../../src/store/index.ts";

/** `inner` with some of its members replaced. */
export function altered<T extends object>(inner: T, over: Partial<T>): T {
  return new Proxy(inner, {
    get(target, key) {
      if (key in over) return Reflect.get(over, key) as unknown;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** `provider`, whose sessions have some of their operations replaced. */
export function withSessions<Tx>(provider: StoreProvider<Tx>, alter: (inner: StoreSession, context: OpenContext) => Partial<StoreSession>): StoreProvider<Tx> {
  return altered(provider, {
    async open(context: OpenContext) {
      const inner = await provider.open(context);
      return altered(inner, alter(inner, context));
    },
  });
}
