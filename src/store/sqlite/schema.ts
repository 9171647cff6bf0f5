import { SCHEMA_VERSION, schemaStep } from "../index.ts";
import type { Connection } from "./connection.ts";
import { statementsFor } from "./statements.ts";

/**
 * The statements that lead to each version, the first to version 1. Never edit one that was released; append.
 * Each step ends by writing down its version, so that printed statements are complete.
 */
function steps(prefix: string): ReadonlyArray<readonly string[]> {
  return [
    [
      `CREATE TABLE IF NOT EXISTS ${prefix}schema (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version INTEGER NOT NULL,
  file_id TEXT NOT NULL
) STRICT`,
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
  view_version INTEGER NOT NULL
) STRICT, WITHOUT ROWID`,
      // The text of a view can be long; it stands apart from the counters, which change more often.
      `CREATE TABLE IF NOT EXISTS ${prefix}view (
  group_name TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT`,
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
  PRIMARY KEY (group_name, incarnation)
) STRICT`,
      `CREATE UNIQUE INDEX IF NOT EXISTS ${prefix}presence_alive_node ON ${prefix}presence (group_name, node) WHERE state = 'alive'`,
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
  PRIMARY KEY (group_name, election)
) STRICT, WITHOUT ROWID`,
      `CREATE TABLE IF NOT EXISTS ${prefix}fence (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  token INTEGER NOT NULL,
  PRIMARY KEY (group_name, election)
) STRICT, WITHOUT ROWID`,
      `CREATE TABLE IF NOT EXISTS ${prefix}event (
  group_name TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (group_name, sequence)
) STRICT, WITHOUT ROWID`,
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
      // Tells this file from every other, also from one that later gets the same inode.
      `INSERT INTO ${prefix}schema (only_row, version, file_id) VALUES (1, 1, lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING`,
    ],
  ];
}

/** The statements that bring a file from version `from` to the one that this code needs. */
export function schemaStatements(prefix: string, from: number): readonly string[] {
  return steps(prefix).slice(from, SCHEMA_VERSION).flat();
}

/** The version of the schema in the file; 0 if there is none. */
export function installedVersion(connection: Connection, prefix: string): number {
  return connection.read(() => readVersion(connection, prefix));
}

/** Brings the file up to date in one transaction, which looks again first: of several at once, one does it. */
export function migrateSchema(connection: Connection, options: { readonly prefix: string; readonly label: string }): { readonly from: number; readonly to: number } {
  return connection.write("FULL", () => {
    const from = readVersion(connection, options.prefix);
    if (schemaStep(from, { label: options.label, createSchema: true }) === "migrate") {
      for (const statement of schemaStatements(options.prefix, from)) connection.exec(statement);
    }
    return { from, to: SCHEMA_VERSION };
  });
}

function readVersion(connection: Connection, prefix: string): number {
  const sql = statementsFor(prefix);
  if (connection.get(sql.hasTable, `${prefix}schema`) === undefined) return 0;
  return connection.get(sql.schemaVersion)?.version ?? 0;
}
