import { resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { Complaints, shown } from "../../kernel/index.ts";

/** Where the SQLite store is: a file, or a connection to one. */
export type SqliteOptions = SqliteFile & {
  /** What the names of tables and of the files beside the database begin with. Default `tribune_`. All members must agree. */
  readonly tablePrefix?: string | undefined;
};

type SqliteFile =
  | {
      /** The database file. Made if it is missing, in a folder that must exist. On a local disk, never a network file system. */
      readonly path: string;
      readonly database?: undefined;
    }
  | {
      /**
       * Your own open connection to the database file. It serves fenced transactions only; beats and all else run on
       * connections of their own to the same file. It stays yours to close.
       */
      readonly database: DatabaseSync;
      readonly path?: undefined;
    };

export const DEFAULT_TABLE_PREFIX = "tribune_";

/** The options after checking: an absolute path, so that a later change of the working directory changes nothing. */
export interface CheckedOptions {
  readonly path: string;
  readonly database: DatabaseSync | undefined;
  readonly tablePrefix: string;
}

/** Checks the options without touching the disk; throws `INVALID_OPTIONS` with every complaint. */
export function checkOptions(options: SqliteOptions): CheckedOptions {
  const complaints = new Complaints("sqlite store");
  const given: { readonly path?: unknown; readonly database?: unknown; readonly tablePrefix?: unknown } =
    typeof options === "object" && options !== null ? options : {};
  complaints.check(given === options, `options must be an object with a path, not ${shown(options)}`);
  complaints.unknownKeys(given, ["path", "database", "tablePrefix"]);
  const path = given.database === undefined ? checkPath(given.path, complaints) : checkDatabase(given, complaints);
  const tablePrefix = checkTablePrefix(given.tablePrefix, complaints);
  complaints.throwIfAny();
  return { path: resolve(path ?? ""), database: given.database as DatabaseSync | undefined, tablePrefix };
}

/** The prefix stands in the text of statements, so nothing may pass that would need quoting. */
function checkTablePrefix(given: unknown, complaints: Complaints): string {
  if (given === undefined) return DEFAULT_TABLE_PREFIX;
  if (typeof given === "string" && /^[a-z][a-z0-9_]{0,30}$/.test(given)) {
    complaints.check(!given.startsWith("sqlite_"), "tablePrefix must not begin with sqlite_, which SQLite keeps for itself");
    return given;
  }
  complaints.add(`tablePrefix must be 1 to 31 of a-z, 0-9 and _, beginning with a letter, not ${shown(given)}`);
  return DEFAULT_TABLE_PREFIX;
}

function checkPath(path: unknown, complaints: Complaints): string | undefined {
  const complaint = pathComplaint(path);
  if (complaint === undefined) return path as string;
  complaints.add(complaint);
  return undefined;
}

function pathComplaint(path: unknown): string | undefined {
  if (typeof path !== "string") return `path must be the name of a file, not ${shown(path)}`;
  if (path === "") return "path is empty, which SQLite takes for a temporary database that nobody else sees; name a file, or use memory()";
  if (path === ":memory:") return "path :memory: is a database that nobody else sees; name a file, or use memory()";
  if (/^(file|sqlite):/.test(path)) return `path ${shown(path)} is a URL; give the bare name of the file`;
  if (path.includes("\0")) return "path has a zero character";
  return undefined;
}

function checkDatabase(given: { readonly path?: unknown; readonly database?: unknown }, complaints: Complaints): string | undefined {
  complaints.check(given.path === undefined, "give either path or database, not both: the path is the database's own");
  const database = given.database as Partial<DatabaseSync> | null;
  if (!complaints.check(typeof database === "object" && typeof database?.location === "function" && typeof database.prepare === "function", `database must be a DatabaseSync of node:sqlite, not ${shown(given.database)}`)) return undefined;
  const location = locationOf(database as DatabaseSync);
  if (!complaints.check(location !== undefined, "database is not open; open it before making the store")) return undefined;
  if (complaints.check(location !== null && location !== "", "database is in memory or temporary, which no other process sees; open a file, or use memory()")) return location ?? undefined;
  return undefined;
}

/** The file of an open database, `null` or `""` if it has none; `undefined` if it is not open. */
function locationOf(database: DatabaseSync): string | null | undefined {
  try {
    return database.location();
  } catch {
    return undefined;
  }
}
