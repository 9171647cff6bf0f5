import { TribuneError } from "../../kernel/index.ts";

/**
 * What is used of `mysql2`, by shape: the package is an optional peer, so no type of it stands in what Tribune exports, and it is loaded
 * only when a connection is made. It has two flavours; these shapes are of the one with callbacks, which the one with promises wraps.
 */
export interface CoreConnection {
  query(options: QueryOptions, done: (error: Error | null, result?: unknown) => void): unknown;
  connect(done: (error: Error | null) => void): void;
  end(done: (error?: Error | null) => void): void;
  escape(value: string): string;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  removeListener(event: string, listener: (...args: never[]) => void): unknown;
  /** The number that the server, or a proxy, greeted with. */
  readonly threadId: number | null;
  readonly stream: { destroy(reason: Error): unknown; readonly localAddress?: string | undefined; readonly localPort?: number | undefined };
}

export interface QueryOptions {
  readonly sql: string;
  readonly typeCast?: unknown;
  readonly rowsAsArray?: boolean;
  readonly nestTables?: boolean;
}

export interface CorePoolConnection extends CoreConnection {
  release(): void;
}

export interface CorePool {
  readonly config: { readonly connectionConfig: Readonly<Record<string, unknown>> };
  getConnection(done: (error: Error | null, connection: CorePoolConnection) => void): void;
  end(done: (error?: Error | null) => void): void;
  on(event: "release", listener: (connection: CorePoolConnection) => void): unknown;
}

/** A pool of the flavour with promises. */
export interface PromisePool {
  readonly pool: CorePool;
  getConnection(): Promise<PromiseConnection>;
}

/** A connection of the flavour with promises. */
export interface PromiseConnection {
  readonly connection: CorePoolConnection;
}

export interface MysqlDriver {
  readonly createConnection: (settings: Readonly<Record<string, unknown>>) => CoreConnection;
  readonly createPool: (settings: Readonly<Record<string, unknown>>) => CorePool & { promise(): PromisePool };
}

/** What a statement that answers no rows answers. `serverStatus` has the flags of the protocol. */
export interface Header {
  readonly affectedRows: number;
  readonly serverStatus?: number;
}

/** The flag SERVER_STATUS_IN_TRANS of the protocol: a transaction is open. */
export const IN_TRANSACTION = 1;

/** Loads `mysql2`. Throws `DRIVER_MISSING` if it is not installed. */
export async function loadDriver(load: () => Promise<unknown> = async () => await import("mysql2")): Promise<MysqlDriver> {
  try {
    const module = (await load()) as MysqlDriver & { readonly default?: MysqlDriver };
    return module.default ?? module;
  } catch (error) {
    if (!isMissingPackage(error)) throw error;
    throw new TribuneError("DRIVER_MISSING", "the MySQL store needs the package mysql2, which is not installed", { about: "mysql2", next: "run 'npm install mysql2'", cause: error });
  }
}

/** Not a package that `mysql2` itself lacks: that is trouble of another kind. */
function isMissingPackage(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") && /'mysql2'/.test(String(message));
}

/** Runs a text; every value of a row is the text that the server wrote, whatever the program told the driver about types. */
export async function ask(connection: CoreConnection, sql: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    connection.query({ sql, typeCast: asText, rowsAsArray: false, nestTables: false }, (error, result) => {
      if (error === null || error === undefined) return resolve(result);
      // What was sent is long, and has in it what users gave us.
      if ("sql" in error) delete error.sql;
      reject(error);
    });
  });
}

/**
 * Has `first` run whenever a connection of a pool is about to be given back with its own `release`. The pool's event of that name is not told where a connection goes straight to
 * somebody who waits for one. A connection that is of no pool is left as it is.
 */
export function beforeRelease(connection: CoreConnection & Partial<Pick<CorePoolConnection, "release">>, first: () => void): void {
  const release = connection.release?.bind(connection);
  if (release === undefined) return;
  connection.release = () => {
    first();
    release();
  };
}

function asText(field: { string(): string | null }): string | null {
  return field.string();
}

/**
 * Drops a connection at once, whatever is going on in it, as a network that breaks would: so whoever waits for an answer hears of it, and a pool drops it too. After the driver's
 * own `destroy` nobody who waits ever does.
 */
export function destroyConnection(connection: CoreConnection): void {
  connection.stream.destroy(new Error("the connection was destroyed"));
}
