import { TribuneError } from "../../kernel/index.ts";

/**
 * What is used of `pg` (node-postgres), by shape: the package is an optional peer, so no type of it stands in what
 * Tribune exports, and it is loaded only when a URL or a configuration is given.
 */
export interface PgClient extends PgQueryable {
  connect(): Promise<unknown>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(event: "notification", listener: (message: { readonly channel: string; readonly payload?: string | undefined }) => void): unknown;
  removeListener(event: string, listener: (...args: never[]) => void): unknown;
  /** The process number that the server, or a pooler, greeted with. Not declared by `@types/pg`, there since version 1. */
  readonly processID?: number | null;
  /** Not in the native client, which can only be asked to end. */
  readonly connection?: { readonly stream: PgStream } | undefined;
}

/** A `net.Socket`, or a `tls.TLSSocket` around one. */
export interface PgStream {
  destroy(): unknown;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
}

export interface PgQueryable {
  query(query: string | { readonly name?: string; readonly text: string; readonly values?: readonly unknown[] }): Promise<PgResult | readonly PgResult[]>;
}

/** One statement's result; several statements in one text give an array of these. */
export interface PgResult {
  readonly command: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

export interface PgPoolClient extends PgClient {
  release(error?: Error | boolean): void;
}

export interface PgPool {
  readonly options: Readonly<Record<string, unknown>>;
  readonly Client?: PgClientClass | undefined;
  connect(): Promise<PgPoolClient>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export type PgClientClass = new (config: Readonly<Record<string, unknown>>) => PgClient;

export interface PgDriver {
  readonly Client: PgClientClass;
  readonly Pool: new (config: Readonly<Record<string, unknown>>) => PgPool;
}

/** Loads `pg`. Throws `DRIVER_MISSING` if it is not installed. */
export async function loadDriver(load: () => Promise<unknown> = async () => await import("pg")): Promise<PgDriver> {
  try {
    const module = (await load()) as PgDriver & { readonly default?: PgDriver };
    return module.default ?? module;
  } catch (error) {
    if (!isMissingPackage(error)) throw error;
    throw new TribuneError("DRIVER_MISSING", "the PostgreSQL store needs the package pg, which is not installed", { about: "pg", next: "run 'npm install pg'", cause: error });
  }
}

/** Not a package that `pg` itself lacks: that is trouble of another kind. */
function isMissingPackage(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") && /'pg'/.test(String(message));
}

/** Drops a connection at once, whatever is going on in it. A polite end would wait for a server that does not answer. */
export function destroyClient(client: PgClient): void {
  const stream = client.connection?.stream;
  if (stream === undefined) client.end().catch(() => undefined);
  else stream.destroy();
}
