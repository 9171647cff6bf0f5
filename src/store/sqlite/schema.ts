import { SCHEMA_VERSION, SCHEMA_WORKS_WITH, schemaStep } from "../index.ts";
import type { InstalledSchema } from "../index.ts";
import type { Connection } from "./connection.ts";
import { statementsFor } from "./statements.ts";

/** A column that a later version added to a table of an earlier one. */
interface AddedColumn {
  readonly table: string;
  readonly column: string;
  readonly definition: string;
}

/**
 * What each version since the second added to tables that were there, and which tables it made; the tables themselves are in `definitions` as they are now. Never
 * edit what was released; append. Additions only: code of the version before goes on working while its processes are restarted one after the other.
 */
const ADDED: readonly { readonly columns: readonly AddedColumn[]; readonly tables: readonly string[] }[] = [
  {
    columns: [
      { table: "schema", column: "works_with", definition: "INTEGER" },
      { table: "group", column: "documents_version", definition: "INTEGER NOT NULL DEFAULT 0" },
      { table: "presence", column: "observer", definition: "INTEGER NOT NULL DEFAULT 0" },
      { table: "presence", column: "evicted", definition: "INTEGER NOT NULL DEFAULT 0" },
      { table: "presence", column: "evidence_key", definition: "TEXT" },
      { table: "presence", column: "evidence_epoch", definition: "TEXT" },
      { table: "election", column: "resign_requested_for", definition: "TEXT" },
      { table: "election", column: "reservation_node", definition: "TEXT" },
      { table: "election", column: "reservation_ms", definition: "INTEGER" },
      { table: "election", column: "paused_at_ms", definition: "INTEGER" },
      { table: "election", column: "paused_by", definition: "TEXT" },
      { table: "election", column: "paused_reason", definition: "TEXT" },
      { table: "election", column: "priority", definition: "INTEGER NOT NULL DEFAULT 0" },
      { table: "election", column: "minimum_term_ms", definition: "INTEGER NOT NULL DEFAULT 0" },
      { table: "election", column: "ranked", definition: "INTEGER NOT NULL DEFAULT 0" },
    ],
    tables: ["candidate", "document"],
  },
];

/** All tables as this version has them. Each statement may be run again. */
function definitions(prefix: string): ReadonlyMap<string, readonly string[]> {
  return new Map([
    [
      "schema",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}schema (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version INTEGER NOT NULL,
  file_id TEXT NOT NULL,
  works_with INTEGER
) STRICT`,
      ],
    ],
    [
      "group",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}group (
  group_name TEXT PRIMARY KEY,
  epoch TEXT NOT NULL,
  birth_epoch TEXT NOT NULL,
  generation INTEGER NOT NULL,
  settings TEXT NOT NULL,
  longest_lease_ms INTEGER NOT NULL,
  join_order INTEGER NOT NULL,
  elections_version INTEGER NOT NULL,
  event_sequence INTEGER NOT NULL,
  view_version INTEGER NOT NULL,
  documents_version INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID`,
      ],
    ],
    [
      "view",
      [
        // The text of a view can be long; it stands apart from the counters, which change more often.
        `CREATE TABLE IF NOT EXISTS ${prefix}view (
  group_name TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT`,
      ],
    ],
    [
      "presence",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}presence (
  group_name TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  node TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('alive', 'dead')),
  beat INTEGER NOT NULL,
  lease_ms INTEGER NOT NULL,
  beat_at_ms INTEGER NOT NULL,
  view_seen INTEGER NOT NULL,
  join_order INTEGER NOT NULL,
  joined_at_ms INTEGER NOT NULL,
  dead_at_ms INTEGER,
  dead_reason TEXT,
  metadata_version INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  observer INTEGER NOT NULL DEFAULT 0,
  evicted INTEGER NOT NULL DEFAULT 0,
  evidence_key TEXT,
  evidence_epoch TEXT,
  PRIMARY KEY (group_name, incarnation)
) STRICT`,
        `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}presence_alive_node ON ${prefix}presence (group_name, node) WHERE state = 'alive'`,
      ],
    ],
    [
      "election",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}election (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  token INTEGER NOT NULL,
  holder_incarnation TEXT,
  holder_node TEXT,
  epoch TEXT NOT NULL,
  version INTEGER NOT NULL,
  resign_requested INTEGER,
  changed_at_ms INTEGER NOT NULL,
  resign_requested_for TEXT,
  reservation_node TEXT,
  reservation_ms INTEGER,
  paused_at_ms INTEGER,
  paused_by TEXT,
  paused_reason TEXT,
  priority INTEGER NOT NULL DEFAULT 0,
  minimum_term_ms INTEGER NOT NULL DEFAULT 0,
  ranked INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (group_name, election)
) STRICT, WITHOUT ROWID`,
      ],
    ],
    [
      "candidate",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}candidate (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  priority INTEGER NOT NULL,
  fit INTEGER NOT NULL,
  PRIMARY KEY (group_name, election, incarnation)
) STRICT, WITHOUT ROWID`,
      ],
    ],
    [
      "fence",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}fence (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  token INTEGER NOT NULL,
  PRIMARY KEY (group_name, election)
) STRICT, WITHOUT ROWID`,
      ],
    ],
    [
      "document",
      [
        // Not without rowid: a text can be long, and rows that are long slow every search in such a table.
        `CREATE TABLE IF NOT EXISTS ${prefix}document (
  group_name TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (group_name, name)
) STRICT`,
      ],
    ],
    [
      "event",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}event (
  group_name TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (group_name, sequence)
) STRICT, WITHOUT ROWID`,
      ],
    ],
    [
      "term",
      [
        `CREATE TABLE IF NOT EXISTS ${prefix}term (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  token INTEGER NOT NULL,
  node TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  began_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  end_reason TEXT,
  PRIMARY KEY (group_name, election, token)
) STRICT, WITHOUT ROWID`,
      ],
    ],
  ]);
}

/** Makes the row of a fresh file. `file_id` tells it from every other, also from one that later gets the same inode. */
function firstStamp(prefix: string): string {
  return `INSERT INTO ${prefix}schema (only_row, version, file_id, works_with) VALUES (1, ${SCHEMA_VERSION}, lower(hex(randomblob(16))), ${SCHEMA_WORKS_WITH}) ON CONFLICT DO NOTHING`;
}

function stamp(prefix: string): string {
  return `UPDATE ${prefix}schema SET version = ${SCHEMA_VERSION}, works_with = ${SCHEMA_WORKS_WITH}`;
}

function addition(prefix: string, { table, column, definition }: AddedColumn): string {
  return `ALTER TABLE ${prefix}${table} ADD COLUMN ${column} ${definition}`;
}

/** The statements that bring a file from version `from` to the one that this code needs. They end by writing that down, so that printed ones are complete. */
export function schemaStatements(prefix: string, from: number): readonly string[] {
  const tables = definitions(prefix);
  if (from === 0) return [...[...tables.values()].flat(), firstStamp(prefix)];
  const added = ADDED.slice(from - 1);
  if (added.length === 0) return [];
  return [
    ...added.flatMap(({ columns }) => columns.map((column) => addition(prefix, column))),
    ...added.flatMap((version) => version.tables.flatMap((table) => tables.get(table) ?? [])),
    stamp(prefix),
  ];
}

/** What the file says of its schema; version 0 if there is none. */
export function installedSchema(connection: Connection, prefix: string): InstalledSchema {
  return connection.read(() => readInstalled(connection, prefix));
}

/**
 * Brings the file up to date in one transaction, which looks again first: of several at once, one does it. It adds what is missing, whatever that is, so that
 * it also completes what somebody began by hand.
 */
export function migrateSchema(connection: Connection, options: { readonly prefix: string; readonly label: string }): { readonly from: number; readonly to: number } {
  const { prefix, label } = options;
  return connection.write("FULL", () => {
    const installed = readInstalled(connection, prefix);
    if (schemaStep(installed, { label, createSchema: true }) === "ready") return { from: installed.version, to: installed.version };
    for (const statement of [...definitions(prefix).values()].flat()) connection.exec(statement);
    for (const column of ADDED.flatMap(({ columns }) => columns)) {
      if (!hasColumn(connection, `${prefix}${column.table}`, column.column)) connection.exec(addition(prefix, column));
    }
    connection.exec(firstStamp(prefix));
    connection.exec(stamp(prefix));
    return { from: installed.version, to: SCHEMA_VERSION };
  });
}

function readInstalled(connection: Connection, prefix: string): InstalledSchema {
  const sql = statementsFor(prefix);
  const row = connection.get(sql.hasTable, `${prefix}schema`) === undefined ? undefined : connection.get(sql.schemaRow);
  if (row === undefined) return { version: 0, worksWith: 0 };
  return { version: row.version, worksWith: row.works_with ?? row.version }; // version 1 said nothing about it
}

function hasColumn(connection: Connection, table: string, column: string): boolean {
  return connection.get("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", table, column) !== undefined;
}
