import { createHash } from "node:crypto";
import { TribuneError } from "../../kernel/index.ts";
import { SCHEMA_VERSION, SCHEMA_WORKS_WITH } from "../index.ts";
import type { InstalledSchema, OpenContext, SchemaAdmin } from "../index.ts";
import { Connection, wholeSeconds } from "./connection.ts";
import type { ConnectionSource } from "./connection.ts";
import { errorNumber, mapMysqlError } from "./errors.ts";
import { SERVER_NAME, tablesIn } from "./statements.ts";
import type { TablePlace } from "./statements.ts";

/** Makes Tribune's tables and tells their version. Each call has a connection of its own. */
export class MysqlSchema implements SchemaAdmin {
  readonly version = SCHEMA_VERSION;
  readonly #place: TablePlace;
  readonly #source: ConnectionSource;

  constructor(place: TablePlace, source: ConnectionSource) {
    this.#place = place;
    this.#source = source;
  }

  /** Version 2 is the first that was ever in MySQL, so whatever is older is not there. Each statement can be repeated, and makes only what is missing. */
  statements(from: number): readonly string[] {
    return from < SCHEMA_VERSION ? tables(this.#place) : [];
  }

  async installed(context: OpenContext): Promise<InstalledSchema> {
    return await this.#on("reading the schema version", context, async (connection) => await this.installedOn(connection));
  }

  async migrate(context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    return await this.#on("migrating", context, async (connection) => await this.migrateOn(connection, context));
  }

  /** What is in the database that `connection` leads to. Throws where somebody keeps the tables in another engine than InnoDB. */
  async installedOn(connection: Connection): Promise<InstalledSchema> {
    const { database, prefix } = this.#place;
    const names = Object.keys(tablesIn(this.#place)).map((name) => prefix + name);
    const found = await connection.rows("select t.table_name as name, t.engine as engine from information_schema.tables t where t.table_schema = :database and t.table_name in (:names)", { database, names });
    const stray = found.find(({ engine }) => engine !== "InnoDB");
    if (stray !== undefined) {
      throw new TribuneError("STORE_FAILED", `the table ${stray["name"]} in ${this.#source.label} is kept by ${stray["engine"]}, which has no transactions`, {
        about: this.#source.label,
        next: "run 'alter table … engine = InnoDB' on Tribune's tables",
        retryable: false,
      });
    }
    // The version is written last, so where it is missing the tables may be as well.
    if (!found.some(({ name }) => name === `${prefix}meta`)) return { version: 0, worksWith: 0 };
    const [row] = await connection.rows(`select m.version, m.works_with from ${tablesIn(this.#place).meta} m where m.one = 1`);
    return { version: Number(row?.["version"] ?? 0), worksWith: Number(row?.["works_with"] ?? 0) };
  }

  /** MySQL commits around each statement that changes a table, so each of ours can be repeated, and a lock keeps two who migrate apart. */
  async migrateOn(connection: Connection, context: OpenContext): Promise<{ readonly from: number; readonly to: number }> {
    const lock = { lock: lockName(this.#place), waitS: wholeSeconds(context.deadlineMs) };
    const locks = !connection.facts.galera; // which refuses them; statements that can be repeated do without
    if (locks) {
      const [row] = await connection.rows("select get_lock(:lock, :waitS) as got", lock);
      if (row?.["got"] !== "1") throw new TribuneError("STORE_BUSY", `somebody else is migrating ${this.#source.label}`, { about: this.#source.label, next: "try again" });
    }
    try {
      const { version: from } = await this.installedOn(connection);
      for (const statement of this.statements(from)) await connection.run(`${statement}; do 0`);
      return { from, to: Math.max(from, SCHEMA_VERSION) };
    } finally {
      if (locks) await connection.rows("select release_lock(:lock)", lock).catch(() => undefined); // it ends with the connection
    }
  }

  /** Writes down whose the next epoch is, if the last one was another server's, or of a history that may be lost. Part of opening. */
  async adoptServer(connection: Connection): Promise<void> {
    const { meta } = tablesIn(this.#place);
    await connection.run(`update ${meta} m set m.epoch_number = m.epoch_number + 1, m.server = ${SERVER_NAME} where m.one = 1 and m.server <> ${SERVER_NAME}; do 0`);
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
  const mapped = mapMysqlError(error, operation, label);
  if (mapped.code !== "STORE_PERMISSION_DENIED" || errorNumber(error) === undefined) return mapped;
  return new TribuneError("STORE_PERMISSION_DENIED", mapped.message, {
    about: label,
    next: "run 'tribune migrate' with an account that may create tables, then grant select, insert, update and delete on them",
    cause: mapped.cause,
  });
}

/** User locks are the whole server's, and their names at most 64 characters long. */
function lockName({ database, prefix }: TablePlace): string {
  return `tribune_migrate_${createHash("sha256").update(`${database}\0${prefix}`).digest("hex").slice(0, 32)}`;
}

/**
 * Texts are whatever Unicode they are, and compared byte by byte. JSON is kept as text, as it was given: the type `json` of MySQL puts it into an order of its own.
 * Times are milliseconds since 1970.
 *
 * `living` is the node's name while the row is alive and empty afterwards, so that only one living row has it: there are no partial indexes. A beat changes no indexed column.
 */
function tables(place: TablePlace): readonly string[] {
  const t = tablesIn(place);
  const name = "varchar(128)";
  const epoch = "varchar(200) character set ascii collate ascii_bin";
  const engine = "engine = InnoDB row_format = dynamic default character set utf8mb4 collate utf8mb4_bin";
  return [
    `create table if not exists ${t.groups} (
  grp ${name} not null primary key,
  birth_epoch ${epoch} not null,
  epoch ${epoch} not null,
  epoch_number bigint not null,
  generation bigint not null,
  settings longtext not null,
  longest_lease_ms bigint not null,
  join_order bigint not null,
  elections_version bigint not null,
  event_sequence bigint not null,
  view_version bigint not null,
  documents_version bigint not null default 0
) ${engine}`,
    `create table if not exists ${t.presence} (
  grp ${name} not null,
  incarnation ${name} not null,
  node ${name} not null,
  living ${name},
  state varchar(8) not null,
  beat bigint not null,
  lease_ms bigint not null,
  beat_at_ms bigint not null,
  expires_at_ms bigint not null,
  join_order bigint not null,
  joined_at_ms bigint not null,
  view_seen bigint not null,
  armed_key varchar(64),
  armed_in ${epoch},
  evicted tinyint not null,
  observer tinyint not null,
  metadata_version bigint not null,
  metadata longtext not null,
  dead_reason varchar(16),
  dead_at_ms bigint,
  primary key (grp, incarnation),
  unique key living (grp, living),
  key dead (grp, dead_at_ms)
) ${engine}`,
    `create table if not exists ${t.elections} (
  grp ${name} not null,
  election ${name} not null,
  token bigint not null,
  holder_incarnation ${name},
  holder_node ${name},
  epoch ${epoch} not null,
  version bigint not null,
  resign_requested bigint,
  resign_requested_for ${name},
  reserved_node ${name},
  reserved_for_ms bigint,
  pause_reason text,
  paused_by text,
  paused_at_ms bigint,
  priority double not null,
  minimum_term_ms bigint not null,
  ranked tinyint not null,
  changed_at_ms bigint not null,
  primary key (grp, election),
  key version (grp, version)
) ${engine}`,
    `create table if not exists ${t.candidates} (
  grp ${name} not null,
  election ${name} not null,
  incarnation ${name} not null,
  priority double not null,
  fit tinyint not null,
  primary key (grp, election, incarnation),
  key incarnation (grp, incarnation)
) ${engine}`,
    `create table if not exists ${t.fences} (
  grp ${name} not null,
  election ${name} not null,
  token bigint not null,
  primary key (grp, election)
) ${engine}`,
    `create table if not exists ${t.views} (
  grp ${name} not null primary key,
  version bigint not null,
  view longtext not null
) ${engine}`,
    `create table if not exists ${t.documents} (
  grp ${name} not null,
  name ${name} not null,
  version bigint not null,
  body longtext not null,
  primary key (grp, name)
) ${engine}`,
    `create table if not exists ${t.events} (
  grp ${name} not null,
  sequence bigint not null,
  at_ms bigint not null,
  type varchar(40) not null,
  subject text not null,
  detail longtext not null,
  primary key (grp, sequence)
) ${engine}`,
    `create table if not exists ${t.terms} (
  grp ${name} not null,
  election ${name} not null,
  token bigint not null,
  node ${name} not null,
  incarnation ${name} not null,
  began_at_ms bigint not null,
  ended_at_ms bigint,
  end_reason text,
  primary key (grp, election, token)
) ${engine}`,
    `create table if not exists ${t.meta} (
  one tinyint not null primary key,
  version int not null,
  works_with int not null,
  server ${epoch} not null,
  epoch_number bigint not null
) ${engine}`,
    `insert into ${t.meta} (one, version, works_with, server, epoch_number) values (1, ${SCHEMA_VERSION}, ${SCHEMA_WORKS_WITH}, '', 0)
  on duplicate key update works_with = if(version < ${SCHEMA_VERSION}, ${SCHEMA_WORKS_WITH}, works_with), version = greatest(version, ${SCHEMA_VERSION})`,
  ];
}
