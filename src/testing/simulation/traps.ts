import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";

/** Something in a simulation asked the real world for time or chance: then the same seed would not give the same history. */
export class NondeterminismError extends Error {
  override readonly name = "NondeterminismError";

  constructor(what: string) {
    super(`${what} was called in a simulation; ask the clock or the random source that the program was handed`);
  }
}

/** What is caught, as objects and the names of their functions. */
const TRAPPED: readonly (readonly [owner: object, path: string, names: readonly string[]])[] = [
  [globalThis, "", ["setTimeout", "setInterval", "setImmediate"]],
  [performance, "performance.", ["now"]],
  [Math, "Math.", ["random"]],
  [AbortSignal, "AbortSignal.", ["timeout"]],
  [process, "process.", ["hrtime", "uptime"]],
  [process.hrtime, "process.hrtime.", ["bigint"]],
  [crypto, "crypto.", ["randomBytes", "randomUUID", "randomInt", "randomFillSync"]],
  [globalThis.crypto, "crypto.", ["randomUUID", "getRandomValues"]],
  [timersPromises, "timers/promises.", ["setTimeout", "setImmediate", "setInterval"]],
];

let active: ((error: NondeterminismError) => void) | undefined;
let isSet = false;

/**
 * While `work` runs, calls of the real timers, clocks and sources of chance throw, and are told to `caught` in case somebody swallows that. The traps are put in place once
 * in a process and let everything through at other times.
 */
export function withTraps<T>(caught: (error: NondeterminismError) => void, work: () => T): T {
  setTraps();
  const before = active;
  active = caught;
  try {
    return work();
  } finally {
    active = before;
  }
}

function setTraps(): void {
  if (isSet) return;
  isSet = true;
  for (const [owner, path, names] of TRAPPED) {
    for (const name of names) trap(owner as Record<string, unknown>, path, name);
  }
  globalThis.Date = trappedDate(globalThis.Date);
  syncBuiltinESMExports();
}

function trap(owner: Record<string, unknown>, path: string, name: string): void {
  const real = owner[name];
  if (typeof real !== "function" || Object.getOwnPropertyDescriptor(owner, name)?.configurable === false) return;
  const trapped = new Proxy(real, {
    apply(target, self, args) {
      if (active !== undefined) refuse(`${path}${name}`);
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  Object.defineProperty(owner, name, { value: trapped, configurable: true, writable: true, enumerable: Object.prototype.propertyIsEnumerable.call(owner, name) });
}

function trappedDate(real: DateConstructor): DateConstructor {
  const now = new Proxy(real.now, {
    apply(target, self, args) {
      if (active !== undefined) refuse("Date.now");
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  return new Proxy(real, {
    get: (target, key, receiver) => (key === "now" ? now : (Reflect.get(target, key, receiver) as unknown)),
    construct(target, args, newTarget) {
      if (active !== undefined && args.length === 0) refuse("new Date()");
      return Reflect.construct(target, args, newTarget) as object;
    },
    apply(target, self, args) {
      if (active !== undefined) refuse("Date()");
      return Reflect.apply(target, self, args) as unknown;
    },
  });
}

function refuse(what: string): never {
  const error = new NondeterminismError(what);
  active?.(error);
  throw error;
}
