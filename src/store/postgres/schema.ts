import { createHash } from "node:crypto";
import { sleep, TribuneError } from "../../kernel/index.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH } from "../index.ts";
import type { InstalledSchema, OpenContext, SchemaAdmin } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { LOCK_NOT_AVAILABLE, mapPostgresError, sqlState } from "./errors.ts";
import { tablesIn } from "./statements.ts";

/**
 * How long a migration waits for the lock of a table. While it does, whatever else wants that table waits behind it: running nodes, whose beats have to come
 * in time. Less than `deadlock_timeout`, so that it is never a node that has to give way.
 */
const TABLE_LOCK_MS = 500;
const LOCK_ATTEMPTS = 5;
const BETWEEN_ATTEMPTS_MS = 200;

/** Makes Tribune's tables and tells their version. Each call has a connection of its own. */
export class PostgresSchema implements SchemaAdmin {
  readonly version = SCHEMA_VERSION;
  readonly #schema: string;
  readonly #source: ConnectionSource;

  constructor(schema: string, source: ConnectionSource) {
    this.#schema = schema;
    this.#source = source;
  }

  statements(from: number): readonly string[] {
    if (from === 0) return [`create schema if not exists "${this.#schema}"`, ...tables(this.#schema)];
    return from === 1 ? expansion(this.#schema) : [];
  }

  async installed(context: OpenContext): Promise<InstalledSchema> {
    return await this.#on("reading the schema version", context, async (connection) => await this.installedOn(connection));
  }

  async migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#on("migrating", context, async (connection) => await this.migrateOn(connection, context));
  }

  /** What is in the database that `connection` leads to. */
  async installedOn(connection: Connection): Promise<InstalledSchema> {
    const { meta } = tablesIn(this.#schema);
    // Not by naming it: that would be an error, and in a transaction the end of it. Not by to_regclass: what it remembers of names that
    // are missing is not brought up to date by waiting for an advisory lock.
    const [found] = await connection.query("select exists (select from pg_catalog.pg_tables where schemaname = $1 and tablename = 'meta') as there", [this.#schema]);
    if (found?.["there"] !== "t") return { version: 0, worksWith: 0 };
    // By way of JSON, since version 1 has no such column, and naming one that is not there is an error.
    const [row] = await connection.query(`select m.version, to_json(m) ->> 'works_with' as works_with from ${meta} m`);
    const version = Number(row?.["version"] ?? 0);
    return { version, worksWith: Number(row?.["works_with"] ?? version) };
  }

  /**
   * Makes the schema in one transaction. Brings an older one up to date in one for each statement, since nodes may be at work, which lock the tables in many an order: so it never keeps one table from them
   * while it waits for another. What is broken off is an older schema with some more in it, and goes on when it is run again.
   */
  async migrateOn(connection: Connection, context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    const from = await this.#alone(connection, async (version) => {
      if (version === 0) await this.#make(connection);
      return version;
    });
    if (from === 0) return { from, to: SCHEMA_VERSION };
    for (const statement of this.statements(from)) await this.#step(connection, context, statement);
    return { from, to: Math.max(from, SCHEMA_VERSION) };
  }

  /** Gives way to running nodes and to transactions that stay open, and tries again some times. */
  async #step(connection: Connection, context: OpenContext, statement: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#alone(connection, async (version) => {
          if (version >= SCHEMA_VERSION) return; // somebody else did it meanwhile
          await connection.query("select set_config('lock_timeout', $1, true)", [String(TABLE_LOCK_MS)]);
          await connection.query(statement);
        });
      } catch (error) {
        if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
        if (attempt === LOCK_ATTEMPTS) throw this.#tableInUse(error);
        await sleep(context.clock, BETWEEN_ATTEMPTS_MS, context.signal);
      }
    }
  }

  /** Runs `work` in a transaction in which nobody else migrates, with the version that is there then. */
  async #alone<T>(connection: Connection, work: (version: number) => Promise<T>): Promise<T> {
    return await connection.transaction(async () => {
      await connection.query("select pg_advisory_xact_lock($1, $2)", [...lockKey(this.#schema)]);
      return await work((await this.installedOn(connection)).version);
    });
  }

  async #make(connection: Connection): Promise<void> {
    const [schema] = await connection.query("select exists (select from pg_namespace where nspname = $1) as there", [this.#schema]);
    for (const statement of this.statements(0)) {
      // PostgreSQL asks for the privilege to create schemas also where the schema is there: somebody may have made it for us.
      if (schema?.["there"] === "t" && statement.startsWith("create schema")) continue;
      await connection.query(statement);
    }
  }

  #tableInUse(cause: unknown): TribuneError {
    const { label } = this.#source;
    return new TribuneError("STORE_BUSY", `migrating ${label} did not get the lock of a table in "${this.#schema}" within ${TABLE_LOCK_MS} ms, ${LOCK_ATTEMPTS} times; what is there works on as before`, {
      about: label,
      next: "look in pg_stat_activity for a transaction that has been open on these tables for long (a dump, a query by hand), let it end, and migrate again",
      cause,
    });
  }

  async #on<T>(operation: string, context: OpenContext, work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await Connection.open(this.#source, { context, operation });
    try {
      return await connection.within(operation, async () => await work(connection));
    } catch (error) {
      throw schemaError(error, operation, this.#source.label);
    } finally {
      await connection.close();
    }
  }
}

/** A lack of privileges while making tables has another remedy than one at run time. */
export function schemaError(error: unknown, operation: string, label: string): TribuneError {
  const mapped = mapPostgresError(error, operation, label);
  if (mapped.code !== "STORE_PERMISSION_DENIED") return mapped;
  return new TribuneError("STORE_PERMISSION_DENIED", mapped.message, {
    about: label,
    next: "run 'tribune migrate' with a role that may create a schema and tables, then grant usage on the schema and select, insert, update, delete on its tables",
    cause: mapped.cause,
  });
}

/** The lock that migrations of one schema take, in the two-number form, so that it meets nobody's one-number keys. */
function lockKey(schema: string): readonly [number, number] {
  return [0x54524942, createHash("sha256").update(schema).digest().readInt32BE(0)]; // "TRIB"
}

/**
 * Names are compared byte by byte (`collate "C"`): they are ASCII, and an index on a locale's order is spoilt when an
 * upgrade of the operating system changes that order. JSON is kept as text: PostgreSQL's json types refuse some of it,
 * such as an escaped NUL. Times are milliseconds since 1970.
 *
 * `presence` leaves room in its pages and moves long metadata out of the row, and no index has a column that a beat
 * changes, so that a beat can rewrite the row in its page (HOT, PostgreSQL's README.HOT).
 */
function tables(schema: string): readonly string[] {
  const t = tablesIn(schema);
  return [
    `create table ${t.meta} (
  one boolean primary key default true check (one),
  version integer not null,
  works_with integer
)`,
    `create table ${t.groups} (
  grp text collate "C" primary key,
  birth_epoch text not null,
  epoch text not null,
  generation bigint not null,
  settings text not null,
  longest_lease_ms bigint not null,
  join_order bigint not null,
  elections_version bigint not null,
  event_sequence bigint not null,
  view_version bigint not null,
${list(GROUPS_2)}
) with (fillfactor = 50)`,
    `create table ${t.presence} (
  grp text collate "C" not null,
  incarnation text collate "C" not null,
  node text collate "C" not null,
  state text not null check (state in ('alive', 'dead')),
  beat bigint not null,
  lease_ms bigint not null,
  beat_at_ms bigint not null,
  expires_at_ms bigint not null,
  join_order bigint not null,
  joined_at_ms bigint not null,
  view_seen bigint not null,
  metadata text not null,
  metadata_version bigint not null,
  dead_reason text,
  dead_at_ms bigint,
${list(PRESENCE_2)},
  primary key (grp, incarnation)
) with (fillfactor = 50, toast_tuple_target = 256)`,
    `create unique index presence_name on ${t.presence} (grp, node) where state = 'alive'`,
    `create table ${t.elections} (
  grp text collate "C" not null,
  election text collate "C" not null,
  token bigint not null,
  holder_incarnation text collate "C",
  holder_node text collate "C",
  epoch text not null,
  version bigint not null,
  resign_requested bigint,
  changed_at_ms bigint not null,
${list(ELECTIONS_2)},
  primary key (grp, election)
) with (fillfactor = 70)`,
    `create index elections_version on ${t.elections} (grp, version)`,
    candidates(t),
    `create table ${t.fences} (
  grp text collate "C" not null,
  election text collate "C" not null,
  token bigint not null,
  primary key (grp, election)
) with (fillfactor = 50)`,
    `create table ${t.views} (
  grp text collate "C" primary key,
  version bigint not null,
  view text not null
)`,
    documents(t),
    `create table ${t.events} (
  grp text collate "C" not null,
  sequence bigint not null,
  at_ms bigint not null,
  type text not null,
  subject text not null,
  detail text not null,
  primary key (grp, sequence)
)`,
    `create table ${t.terms} (
  grp text collate "C" not null,
  election text collate "C" not null,
  token bigint not null,
  node text not null,
  incarnation text not null,
  began_at_ms bigint not null,
  ended_at_ms bigint,
  end_reason text,
  primary key (grp, election, token)
)`,
    `insert into ${t.meta} (version, works_with) values (${SCHEMA_VERSION}, ${SCHEMA_WORKS_WITH})`,
  ];
}

/** From version 1 to 2, in steps of which each may be repeated. A column with a constant default is added without rewriting the table (manual, ALTER TABLE, notes). */
function expansion(schema: string): readonly string[] {
  const t = tablesIn(schema);
  const add = (columns: readonly string[]) => columns.map((column) => `add column if not exists ${column}`).join(", ");
  return [
    `alter table ${t.meta} add column if not exists works_with integer`,
    `alter table ${t.groups} ${add(GROUPS_2)}`,
    `alter table ${t.presence} ${add(PRESENCE_2)}`,
    `alter table ${t.elections} ${add(ELECTIONS_2)}`,
    candidates(t, "if not exists "),
    documents(t, "if not exists "),
    `update ${t.meta} set version = 2, works_with = 2`,
  ];
}

/** What version 2 added to `groups`. */
const GROUPS_2 = ["documents_version bigint not null default 0"];

/** What version 2 added to `presence`. */
const PRESENCE_2 = ["observer boolean not null default false", "evicted boolean not null default false", "evidence_key text", "evidence_run text"];

/** What version 2 added to `elections`. */
const ELECTIONS_2 = [
  'resign_requested_for text collate "C"',
  'reserved_for text collate "C"',
  "reserved_ms bigint",
  "paused_reason text",
  "paused_by text",
  "paused_at_ms bigint",
  "priority double precision not null default 0",
  "minimum_term_ms bigint not null default 0",
  "ranked boolean not null default false",
];

function candidates(t: ReturnType<typeof tablesIn>, unless = ""): string {
  return `create table ${unless}${t.candidates} (
  grp text collate "C" not null,
  election text collate "C" not null,
  incarnation text collate "C" not null,
  priority double precision not null,
  fit boolean not null,
  primary key (grp, election, incarnation)
)`;
}

function documents(t: ReturnType<typeof tablesIn>, unless = ""): string {
  return `create table ${unless}${t.documents} (
  grp text collate "C" not null,
  name text collate "C" not null,
  version bigint not null,
  body text not null,
  primary key (grp, name)
)`;
}

function list(columns: readonly string[]): string {
  return columns.map((column) => `  ${column}`).join(",\n");
}
