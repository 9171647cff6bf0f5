import { TribuneError, withDeadline } from "../../kernel/index.ts";
import type { OpenContext } from "../index.ts";
import { ask, destroyConnection, loadDriver } from "./driver.ts";
import type { CoreConnection } from "./driver.ts";
import { mapConnectError, wasAnswered } from "./errors.ts";
import { filled } from "./statements.ts";
import type { Value } from "./statements.ts";

/** Where connections come from. */
export interface ConnectionSource {
  readonly label: string;
  /** May hold a password; never shown, never attached to an error. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly database: string;
}

/** Every value is the text that the server wrote. */
export type Row = Readonly<Record<string, string | null>>;

/** What the server, and whoever stands in front of it, told in the greeting. */
export interface ServerFacts {
  /** The server's own words about its version. */
  readonly version: string;
  readonly mariadb: boolean;
  readonly connectionId: number;
  /** Whether it is the server itself that greeted us, and not a proxy that lends out its connections. */
  readonly greeted: boolean;
  /** From where the server sees this connection come: `host:port`, or `localhost` for a socket file. */
  readonly seenFrom: string;
  /** From where we come: an address and a port; undefined for a socket file. */
  readonly comesFrom: { readonly address: string; readonly port: number } | undefined;
  /** Whether a crash loses nothing that was answered. */
  readonly lasting: boolean;
  readonly galera: boolean;
  /** Whether several servers of a replication group take writes. */
  readonly multiPrimary: boolean;
  /** After how long the server gives up a connection whose other end does not answer its probes; 0: as the operating system has it. */
  readonly keepAliveMs: number;
}

/** The oldest servers that have `skip locked`, which passing the fence needs. */
export const OLDEST_MYSQL = [8, 0, 1];
export const OLDEST_MARIADB = [10, 6, 0];
/** How long a polite end may take before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000;
/** How long a connection may be silent before the server takes it for abandoned; a node's own beats, one at the command line may be read for a while. */
const SHORTEST_IDLE_MS = 600_000;
const LEASES_IDLE = 10;
/** The largest value of the limits in seconds that are set, on every server. */
const LONGEST_S = 2 ** 21;

/** What of the user's settings tells where the server is and how to get in; all else would change how statements are sent or answered. */
const KEPT_SETTINGS = [
  "host", "port", "localAddress", "socketPath", "stream", "user", "password", "password1", "password2", "password3", "passwordSha1", "ssl",
  "authPlugins", "authSwitchHandler", "insecureAuth", "enableCleartextPlugin", "connectAttributes", "compress", "disableEval",
] as const;

const VARIABLES = [
  "read_only", "super_read_only", "innodb_read_only", "log_bin", "binlog_format", "sync_binlog", "innodb_flush_log_at_trx_commit", "server_uid", "server_uuid", "wsrep_on",
  "group_replication_single_primary_mode", "group_replication_group_name", "tcp_keepalive_time", "tcp_keepalive_interval", "tcp_keepalive_probes",
] as const;

const GREETING = `select version() as version, connection_id() as id;
select p.host as host from information_schema.processlist p where p.id = connection_id();
show variables where variable_name in (${VARIABLES.map((name) => `'${name}'`).join(", ")})`;

/**
 * One connection of Tribune's own. Texts run in the order of the calls, one at a time; each may hold several statements, which the server runs one
 * after the other without waiting for us in between. When it breaks, `onBroken` is told once; nothing is ever thrown into the void.
 */
export class Connection {
  readonly facts: ServerFacts;
  readonly #core: CoreConnection;
  readonly #context: OpenContext;
  readonly #label: string;
  readonly #openedAtMs: number;
  #last: Promise<unknown> = Promise.resolve();
  #broken: Error | undefined;
  #onBroken: (error: Error) => void = () => {};

  private constructor(core: CoreConnection, facts: ServerFacts, options: { readonly context: OpenContext; readonly label: string; readonly openedAtMs: number }) {
    this.#core = core;
    this.facts = facts;
    this.#context = options.context;
    this.#label = options.label;
    this.#openedAtMs = options.openedAtMs;
  }

  /** Connects, looks at who answers, and sets up the connection. Rejects with a coded error, within the context's deadline; then nothing is left open. */
  static async open(source: ConnectionSource, { context, operation }: { readonly context: OpenContext; readonly operation: string }): Promise<Connection> {
    const { label } = source;
    const openedAtMs = context.clock.monotonicMs();
    let core: CoreConnection | undefined;
    let givenUp = false;
    const work = async () => {
      const driver = await loadDriver();
      if (givenUp) throw new Error("the driver was loaded too late");
      core = driver.createConnection(ownSettings(source, context));
      const broken = brokenOf(core);
      await connected(core);
      const facts = await greet(core, label);
      await ask(core, setUp(facts, context));
      const connection = new Connection(core, facts, { context, label, openedAtMs });
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
      if (core !== undefined) destroyConnection(core);
      throw mapConnectError(error, operation, label);
    }
  }

  /** Told when the connection breaks, or has broken already. */
  set onBroken(listener: (error: Error) => void) {
    this.#onBroken = listener;
    if (this.#broken !== undefined) listener(this.#broken);
  }

  /**
   * Runs a text of several statements after those before it, and answers the rows of each statement that has rows. Rejects with what the driver threw; a transaction that
   * the text had begun is rolled back by then. An error ends a text where it occurs: what stands behind it is not run.
   */
  run(text: string, values: Readonly<Record<string, Value>> = {}): Promise<readonly (readonly Row[])[]> {
    const work = async () => {
      if (this.#broken !== undefined) throw this.#broken;
      try {
        const results = (await ask(this.#core, filled(text, values, (value) => this.#core.escape(value)))) as readonly unknown[];
        return results.filter((result) => Array.isArray(result)) as readonly (readonly Row[])[];
      } catch (error) {
        if (wasAnswered(error)) await ask(this.#core, "rollback");
        throw error;
      }
    };
    const answer = this.#last.then(work, work);
    this.#last = answer;
    return answer;
  }

  /** Like `run`, for a single statement. */
  async rows(statement: string, values: Readonly<Record<string, Value>> = {}): Promise<readonly Row[]> {
    const [rows] = await this.run(`${statement}; do 0`, values);
    return rows ?? [];
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
    const ended = new Promise<void>((resolve) => this.#core.end(() => resolve()));
    await withDeadline(ended, { clock: this.#context.clock, ms: CLOSE_TIMEOUT_MS, operation: `closing ${this.#label}`, onExpire: () => this.destroy() }).catch(() => undefined);
  }

  /** At once, whatever is under way. */
  destroy(): void {
    this.#break(new Error("the connection was destroyed"));
    destroyConnection(this.#core);
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#onBroken(error);
  }
}

async function connected(core: CoreConnection): Promise<void> {
  await new Promise<void>((resolve, reject) => core.connect((error) => (error === null || error === undefined ? resolve() : reject(error))));
}

/** Collects the first sign that a connection broke, from before it is there on, so that its `error` event always has a listener. */
function brokenOf(core: CoreConnection): (listener: (error: Error) => void) => void {
  let first: Error | undefined;
  let tell: ((error: Error) => void) | undefined;
  const broke = (error: Error) => {
    first ??= error;
    tell?.(first);
  };
  core.on("error", broke);
  core.on("end", () => broke(new Error("the connection was closed")));
  return (listener) => {
    tell = listener;
    if (first !== undefined) listener(first);
  };
}

function ownSettings({ settings, database }: ConnectionSource, context: OpenContext): Readonly<Record<string, unknown>> {
  const kept = KEPT_SETTINGS.filter((name) => settings[name] !== undefined).map((name) => [name, settings[name]] as const);
  return {
    ...Object.fromEntries(kept),
    database,
    connectAttributes: { ...(settings["connectAttributes"] as object | undefined), program_name: `tribune:${context.group}:${context.node}` },
    connectTimeout: Math.max(1, Math.ceil(context.deadlineMs)),
    enableKeepAlive: true,
    multipleStatements: true,
    charset: "utf8mb4_bin",
  };
}

async function greet(core: CoreConnection, label: string): Promise<ServerFacts> {
  const [[hello], [seen], listed] = (await ask(core, GREETING)) as readonly [Row[], Row[], Row[]];
  const version = hello?.["version"] ?? "";
  const variables = new Map(listed.map((row) => [row["Variable_name"] ?? "", row["Value"] ?? ""]));
  const on = (name: (typeof VARIABLES)[number]) => ["ON", "1"].includes((variables.get(name) ?? "OFF").toUpperCase());
  const numeric = (name: (typeof VARIABLES)[number]) => Number(variables.get(name) ?? 0);
  const mariadb = /mariadb/i.test(version);
  checkVersion(version, mariadb, label);
  if (on("innodb_read_only") || on("super_read_only") || (variables.get("read_only") ?? "OFF").toUpperCase() !== "OFF") {
    throw new TribuneError("STORE_READ_ONLY", `${label} is set to be read-only: a replica, or a reader's address`, { about: label, next: "connect to the primary" });
  }
  if (on("log_bin") && variables.get("binlog_format") === "STATEMENT") {
    throw new TribuneError("STORE_FAILED", `${label} logs statements (binlog_format); at READ COMMITTED it takes no writes then`, { about: label, next: "set binlog_format to ROW or MIXED", retryable: false });
  }
  const connectionId = Number(hello?.["id"]);
  const { localAddress, localPort } = core.stream;
  return {
    version,
    mariadb,
    connectionId,
    greeted: core.threadId === connectionId,
    seenFrom: seen?.["host"] ?? "",
    comesFrom: localAddress === undefined || localPort === undefined ? undefined : { address: localAddress.replace(/^::ffff:/, ""), port: localPort },
    lasting: numeric("innodb_flush_log_at_trx_commit") === 1 && (!on("log_bin") || numeric("sync_binlog") === 1),
    galera: on("wsrep_on"),
    multiPrimary: (variables.get("group_replication_group_name") ?? "") !== "" && !on("group_replication_single_primary_mode"),
    keepAliveMs: (numeric("tcp_keepalive_time") + numeric("tcp_keepalive_interval") * numeric("tcp_keepalive_probes")) * 1_000,
  };
}

function checkVersion(version: string, mariadb: boolean, label: string): void {
  // Some MariaDB servers put "5.5.5-" in front, for old replicas.
  const numbers = (/^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  const oldest = mariadb ? OLDEST_MARIADB : OLDEST_MYSQL;
  const differing = oldest.findIndex((number, n) => numbers[n] !== number);
  if (numbers.length === 3 && (differing === -1 || (numbers[differing] ?? 0) > (oldest[differing] ?? 0))) return;
  throw new TribuneError("STORE_FAILED", `${label} is version ${version}; the store needs MySQL ${OLDEST_MYSQL.join(".")} or MariaDB ${OLDEST_MARIADB.join(".")}, or newer`, {
    about: label,
    next: "upgrade the server",
    retryable: false,
  });
}

/** A limit in whole seconds, as most of the server's are. */
export function wholeSeconds(ms: number): number {
  return Math.min(LONGEST_S, Math.max(1, Math.ceil(ms / 1_000)));
}

/**
 * Settings for the session, and what it calls the server: `@tribune_lasting` by what names it, `@tribune_passing` with the second of its start, for where a crash may lose commits.
 *
 * `unix_timestamp()` and the status `Uptime` are both made from the time at which the statement began (`show_starttime` in the sources of both), so their difference is
 * the second in which the server started, always the same one. These are the server's own words, so a proxy that repeats them elsewhere has them say who is there.
 */
function setUp({ mariadb }: ServerFacts, context: OpenContext): string {
  const limitS = wholeSeconds(context.statementLimitMs);
  const idleS = wholeSeconds(Math.max(SHORTEST_IDLE_MS, LEASES_IDLE * (context.evidence?.leaseMs ?? 0)));
  const statementLimit = mariadb ? `max_statement_time = ${Math.max(0.001, context.statementLimitMs / 1_000)}` : `max_execution_time = ${Math.min(2 ** 31 - 1, Math.max(1, Math.ceil(context.statementLimitMs)))}`;
  const id = mariadb ? "@@global.server_uid" : "@@global.server_uuid";
  const status = mariadb ? "information_schema.global_status" : "performance_schema.global_status";
  return `set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', session autocommit = 1, session time_zone = '+00:00', session sql_safe_updates = 0,
  session sql_select_limit = default, session innodb_lock_wait_timeout = ${limitS}, session lock_wait_timeout = ${limitS}, session wait_timeout = ${idleS}, session interactive_timeout = ${idleS},
  session ${statementLimit};
set session transaction isolation level read committed, read write;
set @tribune_lasting = md5(concat_ws('/', ${id}, @@global.server_id, @@global.hostname, @@global.port)),
  @tribune_start = (select unix_timestamp() - cast(s.variable_value as signed) from ${status} s where s.variable_name in ('Uptime', 'UPTIME'));
set @tribune_passing = concat(@tribune_lasting, '@', @tribune_start)`;
}
