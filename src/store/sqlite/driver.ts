import type * as sqliteModule from "node:sqlite";
import { TribuneError } from "../../kernel/index.ts";

let loaded: typeof sqliteModule | undefined;

/**
 * `node:sqlite`, loaded when it is first needed: importing `tribune/sqlite` must cost nothing, and Node 22 prints a
 * warning when the module loads. Throws `DRIVER_MISSING` where Node was built without SQLite.
 */
export function loadSqlite(): typeof sqliteModule {
  loaded ??= withoutItsWarning(() => process.getBuiltinModule("node:sqlite") as typeof sqliteModule | undefined);
  if (loaded !== undefined) return loaded;
  throw new TribuneError("DRIVER_MISSING", "this build of Node has no node:sqlite", { about: "node:sqlite", next: "use an official build of Node 22.18 or newer" });
}

/**
 * Keeps back the one ExperimentalWarning that Node 22 gives while the module loads; all others pass. Loading is
 * synchronous, so nobody else's warning is seen by the stand-in.
 */
function withoutItsWarning<T>(load: () => T): T {
  const original = Object.getOwnPropertyDescriptor(process, "emitWarning");
  if (original === undefined) return load();
  const standIn = (warning: string | Error, ...rest: unknown[]): void => {
    if (rest[0] === "ExperimentalWarning" && String(warning).includes("SQLite")) return;
    Reflect.apply(original.value as (...all: unknown[]) => void, process, [warning, ...rest]);
  };
  Object.defineProperty(process, "emitWarning", { ...original, value: standIn });
  try {
    return load();
  } finally {
    Object.defineProperty(process, "emitWarning", original);
  }
}
