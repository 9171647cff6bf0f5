/** The statements that made a file of version 1, as they were printed and run then. */
export const VERSION_1: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS tribune_schema (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version INTEGER NOT NULL,
  file_id TEXT NOT NULL
) STRICT`,
  `CREATE TABLE IF NOT EXISTS tribune_group (
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
  `CREATE TABLE IF NOT EXISTS tribune_view (
  group_name TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT`,
  `CREATE TABLE IF NOT EXISTS tribune_presence (
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
  `CREATE UNIQUE INDEX IF NOT EXISTS tribune_presence_alive_node ON tribune_presence (group_name, node) WHERE state = 'alive'`,
  `CREATE TABLE IF NOT EXISTS tribune_election (
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
  `CREATE TABLE IF NOT EXISTS tribune_fence (
  group_name TEXT NOT NULL,
  election TEXT NOT NULL,
  token INTEGER NOT NULL,
  PRIMARY KEY (group_name, election)
) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS tribune_event (
  group_name TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (group_name, sequence)
) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS tribune_term (
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
  `INSERT INTO tribune_schema (only_row, version, file_id) VALUES (1, 1, lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING`,
];
