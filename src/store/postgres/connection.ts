import { TribuneError, withDeadline } from "../../kernel/index.ts";
import type { OpenContext } from "../index.ts";
import { destroyClient } from "./driver.ts";
import type { PgClient, PgClientClass, PgResult } from "./driver.ts";
import { mapConnectError } from "./errors.ts";

/** Where connections come from: the pool's own client class, or the one of `pg`, loaded when it is first asked for. */
export interface ConnectionSource {
  readonly label: string;
  /** May hold a password; never shown, never attached to an error. */
  readonly settings: Readonly<Record<string, unknown>>;
  clientClass(): Promise<PgClientClass>;
}

/** Every value is the text that PostgreSQL wrote: a program may have told `pg` to read numbers in its own way. */
export type Row = Readonly<Record<string, string | null>>;

/** What the server, and whoever stands in front of it, told in the greeting. */
export interface ServerFacts {
  /** The server's own words about its version. */
  readonly version: string;
  /** As `server_version_num`: 150018. */
  readonly versionNumber: number;
  readonly pid: number;
  /** Whether it is the server itself that we talk to, and not a pooler that lends out its connections. */
  readonly direct: boolean;
  /** What a statement gets that begins no transaction by itself. */
  readonly isolation: string;
  readonly fsync: boolean;
  readonly linux: boolean;
  /** Whether this role may ask for the evidence of others. */
  readonly probes: boolean;
}

/** Our end of the connection, as the server would name it: `undefined` for both on a Unix-domain socket, which has no numbers. */
export interface SocketEnd {
  readonly address: string | undefined;
  readonly port: string | undefined;
}

const OLDEST_VERSION = 120000;
/** How long a polite end may take before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000;
/** The largest number that a setting in milliseconds takes, and a timer of Node's. */
const LONGEST_MS = 2 ** 31 - 1;
/** How often the server looks, while a statement waits, whether we are still there. */
const CLIENT_CHECK_MS = 1_000;
/** PostgreSQL cuts longer ones, with a notice; in bytes. */
const LONGEST_APPLICATION_NAME = 63;

const FACTS = `select current_setting('server_version') as version, current_setting('server_version_num') as version_number,
  pg_backend_pid() as pid, pg_is_in_recovery() as standby, current_setting('transaction_read_only') as read_only,
  current_setting('default_transaction_isolation') as isolation, current_setting('fsync') as fsync, version() like '%linux%' as linux,
  has_function_privilege('pg_catalog.pg_try_advisory_xact_lock_shared(integer, integer)', 'execute') as probes`;

/**
 * One connection of Tribune's own. Statements run in the order of the calls, one at a time: `pg` will stop keeping a
 * queue of its own with version 9. When it breaks, `onBroken` is told once; nothing is ever thrown into the void.
 */
export class Connection {
  readonly facts: ServerFacts;
  /** Whether statements with a name are prepared. Switched off when it turns out that the server process is not always the same. */
  prepares: boolean;
  readonly #client: PgClient;
  readonly #context: OpenContext;
  readonly #label: string;
  readonly #openedAtMs: number;
  /** Whether each statement has to be put into a transaction, since one by itself would not be at READ COMMITTED. */
  #wraps: boolean;
  #last: Promise<unknown> = Promise.resolve();
  #broken: Error | undefined;
  #onBroken: (error: Error) => void = () => {};

  private constructor(client: PgClient, facts: ServerFacts, options: { readonly context: OpenContext; readonly label: string; readonly openedAtMs: number }) {
    this.#client = client;
    this.facts = facts;
    this.prepares = facts.direct;
    this.#wraps = !isReadCommitted(facts);
    this.#context = options.context;
    this.#label = options.label;
    this.#openedAtMs = options.openedAtMs;
  }

  /**
   * Connects, looks at who answers, and sets up the connection where it is ours alone. Rejects with a coded error, within the
   * context's deadline; then nothing is left open.
   */
  static async open(source: ConnectionSource, { context, operation, role }: { readonly context: OpenContext; readonly operation: string; readonly role?: string }): Promise<Connection> {
    const { label } = source;
    const name = applicationName(context, role);
    const openedAtMs = context.clock.monotonicMs();
    let client: PgClient | undefined;
    let givenUp = false;
    const work = async () => {
      const Client = await source.clientClass();
      if (givenUp) throw new Error("the driver was loaded too late");
      client = new Client(clientSettings(source.settings, { name, deadlineMs: context.deadlineMs }));
      const broken = brokenOf(client);
      await client.connect();
      const facts = await greet(client, label);
      if (facts.direct) await client.query(setUp(facts, { name, limitMs: context.statementLimitMs }));
      const connection = new Connection(client, facts, { context, label, openedAtMs });
      broken((error) => connection.#break(error));
      return connection;
    };
    try {
      return await withDeadline(work(), {
        clock: context.clock,
        ms: context.deadlineMs,
        operation: `${operation}: connecting to ${label}`,
        code: "STORE_UNREACHABLE",
        next: "look whether the server runs, and whether host, port and firewall let this machine in",
        signal: context.signal,
      });
    } catch (error) {
      givenUp = true;
      if (client !== undefined) destroyClient(client);
      throw mapConnectError(error, operation, label);
    }
  }

  /** Told when the connection breaks, or has broken already. */
  set onBroken(listener: (error: Error) => void) {
    this.#onBroken = listener;
    if (this.#broken !== undefined) listener(this.#broken);
  }

  /** `undefined` where the driver does not show it, as the native one. */
  get socketEnd(): SocketEnd | undefined {
    const stream = this.#client.connection?.stream;
    if (stream === undefined) return undefined;
    if (stream.remoteAddress === undefined) return { address: undefined, port: undefined };
    return { address: plainAddress(stream.localAddress), port: stream.localPort === undefined ? undefined : String(stream.localPort) };
  }

  onNotification(listener: (channel: string, payload: string | undefined) => void): void {
    this.#client.on("notification", ({ channel, payload }) => listener(channel, payload));
  }

  /**
   * Runs one statement after those before it. Rejects with what `pg` threw. One with a name is prepared once and then costs the server about
   * a quarter of the work (1.7 against 0.45 ms of its processor for a beat, measured); only where the connection is ours, as preparing is per server process.
   */
  query(text: string, values: readonly unknown[] = [], name?: string): Promise<readonly Row[]> {
    const run = async () => {
      if (this.#broken !== undefined) throw this.#broken;
      const query = name === undefined || !this.prepares ? { text, values } : { name, text, values };
      const ask = async () => (await this.#client.query(query)) as PgResult;
      const result = this.#wraps ? await this.#atReadCommitted(ask) : await ask();
      return result.rows as readonly Row[];
    };
    const answer = this.#last.then(run, run);
    this.#last = answer;
    return answer;
  }

  /** Runs `work`, which may only ask this connection, in a transaction. For as long as nobody else uses the connection. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    const wraps = this.#wraps;
    this.#wraps = false;
    try {
      return await this.#atReadCommitted(work);
    } finally {
      this.#wraps = wraps;
    }
  }

  async #atReadCommitted<T>(work: () => Promise<T>): Promise<T> {
    await this.#client.query("begin isolation level read committed");
    try {
      const result = await work();
      await this.#client.query("commit");
      return result;
    } catch (error) {
      await this.#client.query("rollback").catch(() => undefined); // the first error is the one to tell
      throw error;
    }
  }

  /** Bounds what is still done as part of opening by what is left of the context's deadline; too late, the connection is destroyed. */
  within<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const { clock, deadlineMs, signal } = this.#context;
    return withDeadline(work(), {
      clock,
      ms: this.#openedAtMs + deadlineMs - clock.monotonicMs(),
      operation: `${operation} on ${this.#label}`,
      signal,
      onExpire: () => this.destroy(),
    });
  }

  /** Says goodbye; if that takes long, the socket is destroyed. */
  async close(): Promise<void> {
    if (this.#broken !== undefined) return;
    const goodbye = withDeadline(this.#client.end(), { clock: this.#context.clock, ms: CLOSE_TIMEOUT_MS, operation: `closing ${this.#label}`, onExpire: () => this.destroy() });
    await goodbye.catch(() => undefined);
  }

  /** At once, whatever is under way. */
  destroy(): void {
    destroyClient(this.#client);
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#onBroken(error);
  }
}

/** Whether a statement by itself is at READ COMMITTED. A connection that is ours is set to it; a pooler's is as somebody made it. */
export function isReadCommitted({ direct, isolation }: ServerFacts): boolean {
  return direct || isolation === "read committed" || isolation === "read uncommitted";
}

/** Collects the first sign that a client broke, from before it connects on, so that its `error` event always has a listener. */
function brokenOf(client: PgClient): (listener: (error: Error) => void) => void {
  let first: Error | undefined;
  let tell: ((error: Error) => void) | undefined;
  const broke = (error: Error) => {
    first ??= error;
    tell?.(first);
  };
  client.on("error", broke);
  client.on("end", () => broke(new Error("the connection was closed")));
  return (listener) => {
    tell = listener;
    if (first !== undefined) listener(first);
  };
}

/** The user's settings but for what would change how statements are sent, bounded or answered. */
function clientSettings(settings: Readonly<Record<string, unknown>>, { name, deadlineMs }: { readonly name: string; readonly deadlineMs: number }): Readonly<Record<string, unknown>> {
  return {
    ...settings,
    application_name: name,
    connectionTimeoutMillis: wholeMs(deadlineMs),
    keepAlive: true,
    statement_timeout: undefined,
    query_timeout: undefined, // a call's own deadline destroys the connection; this one would leave it in use
    lock_timeout: undefined,
    idle_in_transaction_session_timeout: undefined,
    pipeline: false,
    binary: false,
    types: { getTypeParser: () => (value: unknown) => value },
  };
}

/** A limit as PostgreSQL and Node take it: whole, not 0, which means none, and not too large. */
export function wholeMs(ms: number): number {
  return Math.min(LONGEST_MS, Math.max(1, Math.ceil(ms)));
}

/** For the people who look in `pg_stat_activity`. `role`: what else than a node's own connection it is. */
function applicationName({ group, node }: OpenContext, role?: string): string {
  const suffix = role === undefined ? "" : `:${role}`;
  return `tribune:${group}:${node}`.slice(0, LONGEST_APPLICATION_NAME - suffix.length) + suffix; // names are ASCII
}

/** An address without what only one side says: that IPv4 travels as IPv6, and by which interface. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
}

async function greet(client: PgClient, label: string): Promise<ServerFacts> {
  const { rows } = (await client.query(FACTS)) as PgResult;
  const row = rows[0] as Row;
  const versionNumber = Number(row["version_number"]);
  if (versionNumber < OLDEST_VERSION) {
    throw new TribuneError("STORE_FAILED", `${label} is PostgreSQL ${row["version"]}; the store needs 12 or newer`, { about: label, next: "upgrade the server", retryable: false });
  }
  if (row["standby"] === "t" || row["read_only"] === "on") {
    const what = row["standby"] === "t" ? "is a standby" : "is set to be read-only (default_transaction_read_only)";
    throw new TribuneError("STORE_READ_ONLY", `${label} ${what}, which takes no writes`, { about: label, next: "connect to the primary, with a role that may write" });
  }
  const pid = Number(row["pid"]);
  // A pooler greets with a number of its own (PgBouncer: at random), or lends a server whose number is another one.
  return {
    version: String(row["version"]),
    versionNumber,
    pid,
    direct: client.processID === pid,
    isolation: String(row["isolation"]),
    fsync: row["fsync"] !== "off",
    linux: row["linux"] === "t",
    probes: row["probes"] === "t",
  };
}

/**
 * Settings for the session. Only where the connection is ours: through a pooler they would stay on a connection that
 * somebody else gets next. Not as start-up options, which poolers refuse.
 */
function setUp({ versionNumber, linux }: ServerFacts, options: { readonly name: string; readonly limitMs: number }): { readonly text: string; readonly values: readonly string[] } {
  const limitMs = String(wholeMs(options.limitMs));
  const settings: (readonly [string, string])[] = [
    ["application_name", options.name], // a connection string may have named it otherwise
    ["search_path", "pg_catalog"],
    ["default_transaction_isolation", "read committed"],
    ["statement_timeout", limitMs],
    ["lock_timeout", "0"],
    ["idle_in_transaction_session_timeout", limitMs],
  ];
  if (versionNumber >= 140000) settings.push(["idle_session_timeout", "0"]);
  // Where the operating system cannot tell that a socket was closed, setting it is an error.
  if (versionNumber >= 140000 && linux) settings.push(["client_connection_check_interval", String(CLIENT_CHECK_MS)]);
  return { text: `select ${settings.map((_, n) => `set_config($${2 * n + 1}, $${2 * n + 2}, false)`).join(", ")}`, values: settings.flat() };
}
