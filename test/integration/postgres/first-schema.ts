/** The statements that made version 1 of the schema, word for word as they were released: what a migration may find. Never to be changed. */
export function firstSchema(schema = "tribune"): readonly string[] {
  const table = (name: string) => `"${schema}".${name}`;
  return [
    `create schema if not exists "${schema}"`,
    `create table ${table("meta")} (
  one boolean primary key default true check (one),
  version integer not null
)`,
    `create table ${table("groups")} (
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
    `create table ${table("presence")} (
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
    `create unique index presence_name on ${table("presence")} (grp, node) where state = 'alive'`,
    `create table ${table("elections")} (
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
    `create index elections_version on ${table("elections")} (grp, version)`,
    `create table ${table("fences")} (
  grp text collate "C" not null,
  election text collate "C" not null,
  token bigint not null,
  primary key (grp, election)
) with (fillfactor = 50)`,
    `create table ${table("views")} (
  grp text collate "C" primary key,
  version bigint not null,
  view text not null
)`,
    `create table ${table("events")} (
  grp text collate "C" not null,
  sequence bigint not null,
  at_ms bigint not null,
  type text not null,
  subject text not null,
  detail text not null,
  primary key (grp, sequence)
)`,
    `create table ${table("terms")} (
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
    `insert into ${table("meta")} (version) values (1)`,
  ];
}
