import { Complaints, shown } from "../../kernel/index.ts";
import type { PgPool } from "./driver.ts";

/** Which database the PostgreSQL store is in: the one of a pool that you have, of a URL, or of a configuration. */
export type PostgresOptions<Pool extends PostgresPool = PostgresPool> = PostgresPoolOptions<Pool> | PostgresUrlOptions | PostgresConfigOptions;

/** A store on the user's own `pg` pool, which serves the fenced transactions and lends its settings to the node's connection. */
export interface PostgresPoolOptions<Pool extends PostgresPool = PostgresPool> extends PostgresPlace {
  /**
   * Your `pg.Pool`. It serves fenced transactions only, and stays yours to end. Each node makes one connection of its own
   * with the pool's settings.
   */
  readonly pool: Pool;
  readonly url?: undefined;
  readonly config?: undefined;
}

/** A store by URL. */
export interface PostgresUrlOptions extends PostgresPlace {
  /** `postgres://user:password@host:port/database`, as `pg` reads it. */
  readonly url: string;
  readonly pool?: undefined;
  readonly config?: undefined;
}

/** A store on a `pg` client configuration. */
export interface PostgresConfigOptions extends PostgresPlace {
  /** What `new pg.Client` takes: `host`, `user`, `password`, `ssl`, … What is missing comes from the environment (`PGHOST`, …). */
  readonly config: object;
  readonly pool?: undefined;
  readonly url?: undefined;
}

interface PostgresPlace {
  /** The schema that Tribune's tables are in: small letters, digits and `_`, at most 63. Default `tribune`. All members must agree. */
  readonly schema?: string | undefined;
  /**
   * You say that nothing between this process and the server ends a connection that is in use while both of them live, although the server sees the connection come from another address than
   * this process has: as behind the address translation of containers, which only rewrites addresses. Without it such a connection holds no evidence of life, since a proxy in between may drop
   * its half of a connection and leave ours. It says nothing about poolers, which are found out all the same. Default `false`.
   */
  readonly direct?: boolean | undefined;
}

/** A `pg.Pool`, by shape. */
export interface PostgresPool {
  connect(): Promise<unknown>;
  readonly options: object;
}

/**
 * What `term.transaction` hands to your function if you gave a URL or a configuration. With a pool of your own it is
 * the pool's own type of client.
 */
export interface PostgresTransaction {
  query(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[]; readonly rowCount: number | null }>;
}

/**
 * The client that a pool's `connect()` promises. `@types/pg` declares a form with a callback beside it, and inferring from
 * overloads takes the last one; so the pattern asks for a signature without arguments among others.
 */
export type ClientOf<Pool extends PostgresPool> = Pool["connect"] extends { (): Promise<infer Client>; (...args: never[]): unknown } ? Client : PostgresTransaction;

export const DEFAULT_SCHEMA = "tribune";

/** The options after checking. `settings` is what clients are made with; it may hold a password and must never be shown. */
export interface CheckedOptions {
  readonly pool: PgPool | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly schema: string;
  readonly direct: boolean;
  readonly label: string;
}

/** Checks the options without any I/O; throws `INVALID_OPTIONS` with every complaint. No complaint repeats a URL: it may hold a password. */
export function checkOptions(options: PostgresOptions): CheckedOptions {
  const complaints = new Complaints("postgres store");
  const given: { readonly pool?: unknown; readonly url?: unknown; readonly config?: unknown; readonly schema?: unknown; readonly direct?: unknown } = isObject(options) ? options : {};
  complaints.check(given === options, `options must be an object with a pool, a url or a config, not ${typeof options}`);
  complaints.unknownKeys(given, ["pool", "url", "config", "schema", "direct"]);
  const places = (["pool", "url", "config"] as const).filter((name) => given[name] !== undefined);
  complaints.check(given !== options || places.length === 1, `give exactly one of pool, url and config, not ${places.length === 0 ? "none" : places.join(" and ")}`);
  const schema = checkSchema(given.schema ?? DEFAULT_SCHEMA, complaints);
  const { direct = false } = given;
  complaints.check(typeof direct === "boolean", `direct must be true or false, not ${shown(direct)}`);
  const pool = given.pool === undefined ? undefined : checkPool(given.pool, complaints);
  const config = given.config === undefined ? undefined : checkConfig(given.config, complaints);
  if (given.url !== undefined) checkUrl(given.url, complaints);
  complaints.throwIfAny();
  const settings = pool === undefined ? (config ?? { connectionString: given.url }) : settingsOf(pool);
  return { pool, settings, schema, direct: direct === true, label: labelOf(settings) };
}

function checkSchema(value: unknown, complaints: Complaints): string {
  if (typeof value !== "string" || !/^[a-z_][a-z0-9_]{0,62}$/.test(value)) {
    complaints.add(`schema must be 1 to 63 of a-z, 0-9 and _, the first no digit, not ${shown(value)}`);
    return DEFAULT_SCHEMA;
  }
  complaints.check(!value.startsWith("pg_"), "schema must not begin with pg_, which PostgreSQL keeps for itself");
  return value;
}

function checkPool(value: unknown, complaints: Complaints): PgPool | undefined {
  const pool = value as Partial<PgPool>;
  const fits = isObject(value) && typeof pool.connect === "function" && isObject(pool.options) && typeof pool.Client === "function";
  return complaints.check(fits, `pool must be a Pool of the package pg, not ${typeof value}`) ? (pool as PgPool) : undefined;
}

function checkConfig(value: unknown, complaints: Complaints): Readonly<Record<string, unknown>> | undefined {
  if (!complaints.check(isObject(value), `config must be an object as pg.Client takes it, not ${typeof value}`)) return undefined;
  return value as Readonly<Record<string, unknown>>;
}

function checkUrl(value: unknown, complaints: Complaints): void {
  if (!complaints.check(typeof value === "string", `url must be a string that begins with postgres://, not ${typeof value}`)) return;
  const url = value as string;
  if (!complaints.check(/^postgres(ql)?:\/\//.test(url), "url must begin with postgres:// or postgresql://")) return;
  complaints.check(parseUrl(url) !== undefined, "url cannot be read; encode what is special in the user, the password and the database, such as '@' as %40");
}

/** `pg` hides a pool's password from being listed, so that it is not printed; a copy has to ask for it by name. */
function settingsOf(pool: PgPool): Readonly<Record<string, unknown>> {
  return { ...pool.options, password: pool.options["password"] };
}

// ---- the label

/** Where it points: user, host, port and database. Never the password, nor anything of a query string but the host. */
function labelOf(settings: Readonly<Record<string, unknown>>): string {
  const url = typeof settings["connectionString"] === "string" ? parseUrl(settings["connectionString"]) : undefined;
  const part = (name: "user" | "host" | "port" | "database"): string => {
    const value = url?.[name] ?? settings[name];
    return typeof value === "string" || typeof value === "number" ? printable(String(value)) : "";
  };
  const [user, host, port, database] = [part("user"), part("host"), part("port"), part("database")];
  return `postgres://${user === "" ? "" : `${user}@`}${host}${port === "" ? "" : `:${port}`}/${database}`;
}

/** The parts of a URL as `pg` understands them, empty ones left out; `undefined` if it is none. */
function parseUrl(text: string): { readonly user?: string; readonly host?: string; readonly port?: string; readonly database?: string } | undefined {
  try {
    // A URL with a user and no host (`postgres://me@/app?host=/run`) is fine for pg, and none for the standard.
    const url = new URL(text.replace("@/", "@nowhere.invalid/"));
    const parts = {
      user: url.searchParams.get("user") ?? decodeURIComponent(url.username),
      host: url.searchParams.get("host") ?? (url.hostname === "nowhere.invalid" ? "" : decodeURIComponent(url.hostname)),
      port: url.searchParams.get("port") ?? url.port,
      database: decodeURIComponent(url.pathname.slice(1)),
    };
    return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== ""));
  } catch {
    return undefined;
  }
}

/** What stands in a label goes to terminals and logs. */
function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, "?");
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
