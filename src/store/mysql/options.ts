import { Complaints, shown } from "../../kernel/index.ts";
import type { CorePool, PromisePool } from "./driver.ts";

/** Which database the MySQL store is in: the one of a pool that you have, of a URL, or of a configuration. */
export type MysqlOptions<Pool extends MysqlPool = MysqlPool> = MysqlPoolOptions<Pool> | MysqlUrlOptions | MysqlConfigOptions;

/** A store on the user's own `mysql2` pool, which serves the fenced transactions and lends its settings to the node's connection. */
export interface MysqlPoolOptions<Pool extends MysqlPool = MysqlPool> extends MysqlPlace {
  /**
   * Your pool of `mysql2` or `mysql2/promise`. It serves fenced transactions only, and stays yours to end. Each node makes one connection of its
   * own with the pool's settings.
   */
  readonly pool: Pool;
  readonly url?: undefined;
  readonly config?: undefined;
}

/** A store by URL. */
export interface MysqlUrlOptions extends MysqlPlace {
  /** `mysql://user:password@host:port/database`, or `mariadb://…`; settings of `mysql2` may follow behind `?`. */
  readonly url: string;
  readonly pool?: undefined;
  readonly config?: undefined;
}

/** A store on a configuration of `mysql2`. */
export interface MysqlConfigOptions extends MysqlPlace {
  /** What `createConnection` of `mysql2` takes: `host`, `user`, `password`, `ssl`, `socketPath`, … */
  readonly config: object;
  readonly pool?: undefined;
  readonly url?: undefined;
}

interface MysqlPlace {
  /** The database that Tribune's tables are in. Default: that of the URL, the configuration or the pool. All members must agree. */
  readonly database?: string | undefined;
  /** What the names of Tribune's tables begin with: small letters, digits and `_`, at most 32. Default `tribune_`. All members must agree. */
  readonly prefix?: string | undefined;
  /**
   * The server sees other addresses than this machine does, and yet nothing stands in between that could end a connection by itself: a port of a container, for example.
   * Evidence of death is used then. Say so only where it is true: a proxy that ends connections makes leaders of two nodes. Default `false`.
   */
  readonly direct?: boolean | undefined;
}

/** A pool of `mysql2` or `mysql2/promise`, by shape. */
export interface MysqlPool {
  getConnection(...args: never[]): unknown;
}

/**
 * What `term.transaction` hands to your function if you gave a URL or a configuration: a connection of `mysql2/promise`. With a pool of your own it is
 * the pool's own type of connection.
 */
export interface MysqlTransaction {
  query(text: string, values?: unknown[]): Promise<[result: unknown, fields: unknown]>;
}

/** The connection that a pool gives: as a promise, or to a callback. */
export type ConnectionOf<Pool extends MysqlPool> = Pool["getConnection"] extends () => Promise<infer Connection>
  ? Connection
  : Pool["getConnection"] extends (done: infer Done) => unknown
    ? Done extends (error: never, connection: infer Connection) => unknown
      ? Connection
      : MysqlTransaction
    : MysqlTransaction;

export const DEFAULT_PREFIX = "tribune_";

/** A pool of either flavour: its core, and how a connection of it is handed to the user. */
export interface UserPool {
  readonly core: CorePool;
  readonly promises: PromisePool | undefined;
}

/** The options after checking. `settings` is what connections are made with; it may hold a password and must never be shown. */
export interface CheckedOptions {
  readonly pool: UserPool | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly database: string;
  readonly prefix: string;
  readonly direct: boolean;
  readonly label: string;
}

/** Checks the options without any I/O; throws `INVALID_OPTIONS` with every complaint. No complaint repeats a URL: it may hold a password. */
export function checkOptions(options: MysqlOptions): CheckedOptions {
  const complaints = new Complaints("mysql store");
  const given: { readonly [Name in "pool" | "url" | "config" | "database" | "prefix" | "direct"]?: unknown } = isObject(options) ? options : {};
  complaints.check(given === options, `options must be an object with a pool, a url or a config, not ${typeof options}`);
  complaints.unknownKeys(given, ["pool", "url", "config", "database", "prefix", "direct"]);
  const places = (["pool", "url", "config"] as const).filter((name) => given[name] !== undefined);
  complaints.check(given !== options || places.length === 1, `give exactly one of pool, url and config, not ${places.length === 0 ? "none" : places.join(" and ")}`);
  const prefix = checkPrefix(given.prefix ?? DEFAULT_PREFIX, complaints);
  const direct = given.direct ?? false;
  complaints.check(typeof direct === "boolean", `direct must be true or false, not ${shown(direct)}`);
  const pool = given.pool === undefined ? undefined : checkPool(given.pool, complaints);
  const config = given.config === undefined ? undefined : checkConfig(given.config, complaints);
  const fromUrl = given.url === undefined ? undefined : checkUrl(given.url, complaints);
  const settings = (pool === undefined ? (config ?? fromUrl) : pool.core.config.connectionConfig) ?? {};
  const placed = complaints.count === 0;
  const database = checkDatabase(given.database ?? settings["database"], complaints, placed);
  complaints.throwIfAny();
  return { pool, settings, database, prefix, direct: direct === true, label: labelOf({ ...settings, database }) };
}

function checkPrefix(value: unknown, complaints: Complaints): string {
  const fits = typeof value === "string" && /^[a-z_][a-z0-9_]{0,31}$/.test(value);
  return complaints.check(fits, `prefix must be 1 to 32 of a-z, 0-9 and _, the first no digit, not ${shown(value)}`) ? (value as string) : DEFAULT_PREFIX;
}

/** Stands in every statement, between backquotes. */
function checkDatabase(value: unknown, complaints: Complaints, placed: boolean): string {
  if (value === undefined || value === "") {
    if (placed) complaints.add("name the database that Tribune's tables are in: at the end of the url, in the config or the pool, or as the option database");
    return "";
  }
  const fits = typeof value === "string" && /^[A-Za-z0-9_$-]{1,64}$/.test(value);
  return complaints.check(fits, `database must be 1 to 64 letters, digits, '_', '$' or '-', not ${shown(value)}`) ? (value as string) : "";
}

function checkPool(value: unknown, complaints: Complaints): UserPool | undefined {
  const pool = value as Partial<CorePool & PromisePool>;
  const core = isObject(value) && isObject(pool.pool) ? pool.pool : pool;
  const fits = isObject(value) && typeof pool.getConnection === "function" && typeof core.getConnection === "function" && isObject(core.config) && isObject(core.config.connectionConfig);
  if (!complaints.check(fits, `pool must be a pool of the package mysql2 or mysql2/promise, not ${typeof value}`)) return undefined;
  return { core: core as CorePool, promises: core === pool ? undefined : (value as PromisePool) };
}

function checkConfig(value: unknown, complaints: Complaints): Readonly<Record<string, unknown>> | undefined {
  if (!complaints.check(isObject(value), `config must be an object as createConnection of mysql2 takes it, not ${typeof value}`)) return undefined;
  const config = value as Readonly<Record<string, unknown>>;
  complaints.check(config["uri"] === undefined, "config must not have a uri; give it as url");
  return config;
}

function checkUrl(value: unknown, complaints: Complaints): Readonly<Record<string, unknown>> | undefined {
  if (!complaints.check(typeof value === "string", `url must be a string that begins with mysql://, not ${typeof value}`)) return undefined;
  const url = value as string;
  if (!complaints.check(/^(mysql|mariadb):\/\//.test(url), "url must begin with mysql:// or mariadb://")) return undefined;
  const settings = parseUrl(url);
  complaints.check(settings !== undefined, "url cannot be read; encode what is special in the user, the password and the database, such as '@' as %40");
  return settings;
}

/**
 * The settings in a URL, as `mysql2` reads them. Not left to the driver, which takes those behind `?` over ours where ours are `false`.
 */
function parseUrl(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const url = new URL(text);
    const parts = {
      host: decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? undefined : Number(url.port),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
    };
    const more = [...url.searchParams].map(([name, value]) => [name, jsonOr(value)] as const);
    return Object.fromEntries([...Object.entries(parts).filter(([, value]) => value !== undefined && value !== ""), ...more]);
  } catch {
    return undefined;
  }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Where it points: user, host, port or socket, and database. Never the password. */
function labelOf(settings: Readonly<Record<string, unknown>>): string {
  const part = (name: string): string => {
    const value = settings[name];
    return typeof value === "string" || typeof value === "number" ? String(value).replace(/[^\x21-\x7e]/g, "?") : "";
  };
  const [user, socket, port] = [part("user"), part("socketPath"), part("port")];
  const where = socket === "" ? `${part("host") === "" ? "localhost" : part("host")}${port === "" ? "" : `:${port}`}` : `(${socket})`;
  return `mysql://${user === "" ? "" : `${user}@`}${where}/${part("database")}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
