import { createHash } from "node:crypto";
import { TribuneError } from "../../kernel/index.ts";
import { SCHEMA_VERSION } from "../index.ts";
import type { OpenContext, SchemaAdmin } from "../index.ts";
import { Connection } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { mapPostgresError } from "./errors.ts";
import { tablesIn } from "./statements.ts";

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
    return from === 0 ? [`create schema if not exists "${this.#schema}"`, ...tables(this.#schema)] : [];
  }

  async installed(context: OpenContext): Promise<number> {
    return await this.#on("reading the schema version", context, async (connection) => await this.installedOn(connection));
  }

  async migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#on("migrating", context, async (connection) => await this.migrateOn(connection));
  }

  /** The version in the database that `connection` leads to. */
  async installedOn(connection: Connection): Promise<number> {
    const { meta } = tablesIn(this.#schema);
    // Not by naming it: that would be an error, and in a transaction the end of it. Not by to_regclass: what it remembers of names that
    // are missing is not brought up to date by waiting for an advisory lock.
    const [found] = await connection.query("select exists (select from pg_catalog.pg_tables where schemaname = $1 and tablename = 'meta') as there", [this.#schema]);
    if (found?.["there"] !== "t") return 0;
    const [row] = await connection.query(`select version from ${meta}`);
    return Number(row?.["version"] ?? 0);
  }

  async migrateOn(connection: Connection): Promise<{ readonly from: number; readonly to: number }> {
    return await connection.transaction(async () => {
      await connection.query("select pg_advisory_xact_lock($1, $2)", [...lockKey(this.#schema)]);
      const from = await this.installedOn(connection);
      if (from < SCHEMA_VERSION) await this.#raise(connection, from);
      return { from, to: Math.max(from, SCHEMA_VERSION) };
    });
  }

  async #raise(connection: Connection, from: number): Promise<void> {
    const [schema] = await connection.query("select exists (select from pg_namespace where nspname = $1) as there", [this.#schema]);
    for (const statement of this.statements(from)) {
      // PostgreSQL asks for the privilege to create schemas also where the schema is there: somebody may have made it for us.
      if (schema?.["there"] === "t" && statement.startsWith("create schema")) continue;
      await connection.query(statement);
    }
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
  version integer not null
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
  view_version bigint not null
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
  primary key (grp, election)
) with (fillfactor = 70)`,
    `create index elections_version on ${t.elections} (grp, version)`,
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
    `insert into ${t.meta} (version) values (${SCHEMA_VERSION})`,
  ];
}
