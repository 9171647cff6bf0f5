import { TERMS_KEPT, TOKENS_PER_GENERATION, VIEWS_PER_GENERATION, EVENTS_KEPT, COORDINATOR } from "../index.ts";
import { ELECTION_CHANGED, PRESENCE_CHANGED, VIEW_CHANGED } from "./hints.ts";

/** What statements are written for. All three are checked or computed, never a user's text. */
export interface StatementNames {
  readonly schema: string;
  /** For NOTIFY; see `channelOf`. */
  readonly channel: string;
  /** The longest that a statement may wait for a lock. */
  readonly lockLimitMs: number;
}

/**
 * One statement for each operation. `$1` is the group everywhere; the other parameters are named in front of each. Why
 * each of them is right at READ COMMITTED is in the README, in the table under "Why one statement is enough".
 *
 * Reading them: parts of a `with` that change or lock rows run when something asks for their rows. So `from held` after
 * `held as (… for update)` is what makes the lock come first. All parts see the same snapshot, none sees what another changed.
 */
export type Statements = ReturnType<typeof statementsFor>;

export function statementsFor({ schema, channel, lockLimitMs }: StatementNames) {
  const t = tablesIn(schema);
  const writing = serverPart(lockLimitMs);
  const notify = (payload: string, from: string) => `hint as materialized (select pg_notify('${channel}', ${payload}) from ${from})`;
  // The number of a new view, $6, is of the present generation, which is that of the epoch $4.
  const inRange = `g.epoch = $4 and $6::bigint > (g.generation - 1) * ${VIEWS_PER_GENERATION}`;
  const electionChanged = `'${ELECTION_CHANGED}' || $2::text`;
  return {
    /** $2 incarnation, $3 node, $4 lease, $5 metadata, $6 settings, $7 the generation that the caller has seen. Neither `joined` nor a reason why not: someone was first, run it again. */
    join: `
      with ${writing},
      seen as materialized (select g.settings from ${t.groups} g where g.grp = $1),
      known as materialized (select p.state, p.join_order from ${t.presence} p where p.grp = $1 and p.incarnation = $2),
      taken as materialized (select p.* from ${t.presence} p where p.grp = $1 and p.node = $3 and p.state = 'alive' and p.incarnation <> $2),
      held as materialized (
        select g.join_order from ${t.groups} g, server
        where g.grp = $1 and g.settings = $6 and not exists (select from known) and not exists (select from taken)
        for update of g
      ),
      made as (
        insert into ${t.groups} (grp, birth_epoch, epoch, generation, settings, longest_lease_ms, join_order, elections_version, event_sequence, view_version)
        select $1, case when $7::bigint = 0 then server.epoch else '' end, server.epoch, $7::bigint + 1, $6, $4, 1, 0, 0, 0 from server where not exists (select from seen)
        on conflict do nothing
        returning join_order
      ),
      place as materialized (select held.join_order + 1 as join_order from held union all select made.join_order from made),
      joined as (
        insert into ${t.presence} (grp, incarnation, node, state, beat, lease_ms, beat_at_ms, expires_at_ms, join_order, joined_at_ms, view_seen, metadata, metadata_version)
        select $1, $2, $3, 'alive', 0, $4, server.now_ms, server.now_ms + $4::bigint, place.join_order, server.now_ms, 0, $5, 1 from place, server
        on conflict do nothing
        returning join_order
      ),
      counted as (
        update ${t.groups} g set join_order = joined.join_order, longest_lease_ms = greatest(g.longest_lease_ms, $4::bigint)
        from joined where g.grp = $1 and exists (select from seen)
      ),
      ${notify(`'${PRESENCE_CHANGED}'`, "joined")}
      select
        (select settings from seen) as settings,
        (select state from known) as known_state, (select join_order from known) as known_join_order,
        (select ${presenceArray("taken", "server.now_ms")} from taken, server limit 1) as taken,
        (select join_order from joined) as joined, (select epoch from server) as epoch,
        (select count(*) from hint) as hints`,

    /**
     * $2 incarnation, $3 beat, $4 view seen, $5 generation, $6 the cursor's epoch, $7 its elections version, $8 its view
     * version; for some of the rows $9 whose. No row: there is no such group.
     */
    beatWatchingAll: beat(t, channel, writing, false),
    beatWatchingSome: beat(t, channel, writing, true),

    /** $2 the cursor's epoch, $3 its elections version, $4 its view version; for some of the rows $5 whose. */
    lookWatchingAll: look(t, channel, false),
    lookWatchingSome: look(t, channel, true),

    /** $2 incarnation. */
    leave: `
      with ${writing},
      gone as (
        update ${t.presence} p set state = 'dead', dead_reason = 'left', dead_at_ms = server.now_ms
        from server where p.grp = $1 and p.incarnation = $2 and p.state = 'alive'
        returning p.incarnation
      ),
      ${notify(`'${PRESENCE_CHANGED}'`, "gone")}
      select exists (select from gone) as done, (select count(*) from hint) as hints`,

    /** $2 incarnation, $3 beat, $4 epoch, $5 whether the lease must have run out, $6 reason, $7 the event's detail. */
    declareDead: `
      with ${writing},
      seen as materialized (
        select from ${t.presence} p, server
        where p.grp = $1 and p.incarnation = $2 and p.state = 'alive' and p.beat = $3::bigint and server.epoch = $4
          and (not $5::boolean or p.expires_at_ms <= server.now_ms)
      ),
      held as materialized (select g.event_sequence from ${t.groups} g, server where g.grp = $1 and exists (select from seen) for update of g),
      buried as (
        update ${t.presence} p set state = 'dead', dead_reason = $6, dead_at_ms = server.now_ms
        from held, server
        where p.grp = $1 and p.incarnation = $2 and p.state = 'alive' and p.beat = $3::bigint
          and (not $5::boolean or p.expires_at_ms <= server.now_ms)
        returning p.node, held.event_sequence + 1 as sequence
      ),
      counted as (update ${t.groups} g set event_sequence = buried.sequence from buried where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, buried.sequence, server.now_ms, 'declared-dead', buried.node, $7 from buried, server
      ),
      ${notify(`'${PRESENCE_CHANGED}'`, "buried")}
      select exists (select from buried) as done, (select count(*) from hint) as hints`,

    /** $2 incarnation, $3 metadata. */
    updateMetadata: `
      with ${writing},
      updated as (
        update ${t.presence} p set metadata = $3, metadata_version = p.metadata_version + 1
        from server where p.grp = $1 and p.incarnation = $2 and p.state = 'alive'
        returning p.incarnation
      ),
      ${notify(`'${PRESENCE_CHANGED}'`, "updated")}
      select exists (select from updated) as done, (select count(*) from hint) as hints`,

    /** $2 election. */
    createElection: `
      with ${writing},
      held as materialized (
        select g.elections_version, g.birth_epoch from ${t.groups} g, server
        where g.grp = $1 and not exists (select from ${t.elections} e where e.grp = $1 and e.election = $2)
        for update of g
      ),
      made as (
        insert into ${t.elections} (grp, election, token, epoch, version, changed_at_ms)
        select $1, $2, 0, case when server.epoch = held.birth_epoch then server.epoch else '' end, held.elections_version + 1, server.now_ms from held, server
        on conflict do nothing
        returning version
      ),
      fence as (insert into ${t.fences} (grp, election, token) select $1, $2, 0 from made on conflict do nothing),
      counted as (update ${t.groups} g set elections_version = made.version from made where g.grp = $1),
      ${notify(electionChanged, "made")}
      select exists (select from ${t.groups} g where g.grp = $1) as group_known, (select count(*) from hint) as hints`,

    /** $2 election, $3 expected token, $4 incarnation, $5 token seen, $6 epoch, $7 node. */
    claim: `
      with ${writing},
      seen as materialized (
        select e.holder_incarnation, coalesce(f.token, 0) as fence
        from ${t.elections} e join server on server.epoch = $6 left join ${t.fences} f on f.grp = e.grp and f.election = e.election
        where e.grp = $1 and e.election = $2 and e.token = $3::bigint
          and not exists (select from ${t.presence} h where h.grp = $1 and h.incarnation = e.holder_incarnation and h.state = 'alive')
      ),
      held as materialized (
        select g.generation, g.elections_version, g.event_sequence, seen.holder_incarnation, seen.fence
        from ${t.groups} g, seen, server where g.grp = $1 and g.epoch = server.epoch
        for update of g
      ),
      claimant as materialized (
        select held.*, greatest($3::bigint, held.fence, $5::bigint, least(held.generation, 4194304) * ${TOKENS_PER_GENERATION} - 1) + 1 as token
        from ${t.presence} p, held where p.grp = $1 and p.incarnation = $4 and p.state = 'alive'
        for share of p
      ),
      won as (
        update ${t.elections} e
        set token = c.token, holder_incarnation = $4, holder_node = $7, epoch = server.epoch, version = c.elections_version + 1,
          resign_requested = null, changed_at_ms = server.now_ms
        from claimant c, server
        where e.grp = $1 and e.election = $2 and e.token = $3::bigint and c.token <= ${Number.MAX_SAFE_INTEGER}
          and (e.holder_incarnation is null or e.holder_incarnation = c.holder_incarnation)
        returning e.token, e.version, c.event_sequence + 1 as sequence, server.now_ms
      ),
      counted as (update ${t.groups} g set elections_version = won.version, event_sequence = won.sequence from won where g.grp = $1),
      ended as (
        update ${t.terms} o set ended_at_ms = won.now_ms, end_reason = 'superseded'
        from won where o.grp = $1 and o.election = $2 and o.ended_at_ms is null
      ),
      began as (
        insert into ${t.terms} (grp, election, token, node, incarnation, began_at_ms)
        select $1, $2, won.token, $7, $4, won.now_ms from won
      ),
      forgotten as (
        delete from ${t.terms} o using won
        where o.grp = $1 and o.election = $2
          and o.token < (select k.token from ${t.terms} k where k.grp = $1 and k.election = $2 order by k.token desc offset ${TERMS_KEPT - 2} limit 1)
      ),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, won.sequence, won.now_ms, 'term-began', $2, json_build_object('token', won.token, 'node', $7::text, 'incarnation', $4::text)::text from won
      ),
      outdated as (delete from ${t.events} o using won where o.grp = $1 and o.sequence <= won.sequence - ${EVENTS_KEPT}),
      ${notify(electionChanged, "won")}
      select (select token from won) as token, (select token from claimant) > ${Number.MAX_SAFE_INTEGER} as exhausted, (select count(*) from hint) as hints`,

    /**
     * $2 election, $3 incarnation, $4 token, $5 epoch. `holds`, `fence`: as the snapshot shows it; `locked`: the fence
     * under its lock, null if that was not to be had at once; `moved`: whether it is at the token now.
     */
    passFence: `
      with ${writing},
      seen as materialized (
        select f.token from ${t.elections} e join ${t.fences} f on f.grp = e.grp and f.election = e.election, server
        where e.grp = $1 and e.election = $2 and e.token = $4::bigint and e.holder_incarnation = $3 and server.epoch = $5
      ),
      named as materialized (
        select e.election from ${t.elections} e, seen, server
        where e.grp = $1 and e.election = $2 and e.token = $4::bigint and e.holder_incarnation = $3 and seen.token < $4::bigint
        for share of e skip locked
      ),
      locked as materialized (
        select f.token from ${t.fences} f, named where f.grp = $1 and f.election = $2
        for no key update of f skip locked
      ),
      moved as (
        update ${t.fences} f set token = $4::bigint
        from locked where f.grp = $1 and f.election = $2 and f.token < $4::bigint
        returning f.token
      )
      select exists (select from seen) as holds, (select token from seen) as fence, exists (select from moved) as moved, (select token from locked) as locked`,

    /** $2 election, $3 incarnation, $4 token, $5 reason. */
    resign: `
      with ${writing},
      seen as materialized (
        select e.holder_node from ${t.elections} e where e.grp = $1 and e.election = $2 and e.token = $4::bigint and e.holder_incarnation = $3
      ),
      held as materialized (
        select g.elections_version, g.event_sequence, seen.holder_node from ${t.groups} g, seen, server where g.grp = $1
        for update of g
      ),
      freed as (
        update ${t.elections} e
        set holder_incarnation = null, holder_node = null, version = held.elections_version + 1, resign_requested = null, changed_at_ms = server.now_ms
        from held, server
        where e.grp = $1 and e.election = $2 and e.token = $4::bigint and e.holder_incarnation = $3
        returning e.version, held.event_sequence + 1 as sequence, held.holder_node, server.now_ms
      ),
      counted as (update ${t.groups} g set elections_version = freed.version, event_sequence = freed.sequence from freed where g.grp = $1),
      ended as (
        update ${t.terms} o set ended_at_ms = freed.now_ms, end_reason = $5
        from freed where o.grp = $1 and o.election = $2 and o.ended_at_ms is null
      ),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, freed.sequence, freed.now_ms, 'term-ended', $2, json_build_object('token', $4::bigint, 'node', freed.holder_node, 'reason', $5::text)::text from freed
      ),
      ${notify(electionChanged, "freed")}
      select exists (select from freed) as done, (select count(*) from hint) as hints`,

    /** $2 election, $3 token. */
    requestResign: `
      with ${writing},
      seen as materialized (
        select e.holder_node from ${t.elections} e where e.grp = $1 and e.election = $2 and e.token = $3::bigint and e.holder_incarnation is not null
      ),
      held as materialized (
        select g.elections_version, g.event_sequence, seen.holder_node from ${t.groups} g, seen, server where g.grp = $1
        for update of g
      ),
      asked as (
        update ${t.elections} e set resign_requested = $3::bigint, version = held.elections_version + 1
        from held where e.grp = $1 and e.election = $2 and e.token = $3::bigint and e.holder_incarnation is not null
        returning e.version, held.event_sequence + 1 as sequence, held.holder_node
      ),
      counted as (update ${t.groups} g set elections_version = asked.version, event_sequence = asked.sequence from asked where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, asked.sequence, server.now_ms, 'resign-requested', $2, json_build_object('token', $3::bigint, 'node', asked.holder_node)::text from asked, server
      ),
      ${notify(electionChanged, "asked")}
      select exists (select from asked) as done, (select count(*) from hint) as hints`,

    /** $2 incarnations. */
    readMembers: `
      select json_agg(json_build_array(p.incarnation, p.node, p.state, p.metadata, p.metadata_version, p.join_order, p.joined_at_ms, p.dead_reason)) as members
      from ${t.presence} p where p.grp = $1 and p.incarnation = any ($2::text[])`,

    /**
     * $2 token, $3 incarnation, $4 epoch, $5 expected version, $6 version, $7 the view; $8, $9, $10 types, subjects and
     * details of the events; $11 how long the dead are remembered.
     */
    publishView: `
      with ${writing},
      seen as materialized (
        select from ${t.groups} g, ${t.elections} e, ${t.fences} f, server
        where g.grp = $1 and g.view_version = $5::bigint and server.epoch = $4 and ${inRange}
          and e.grp = $1 and e.election = '${COORDINATOR}' and e.token = $2::bigint and e.holder_incarnation = $3
          and f.grp = $1 and f.election = '${COORDINATOR}' and f.token = $2::bigint
      ),
      held as materialized (
        select g.event_sequence from ${t.groups} g, server
        where g.grp = $1 and g.view_version = $5::bigint and $6::bigint > $5::bigint and ${inRange} and exists (select from seen)
        for update of g
      ),
      named as materialized (
        select held.event_sequence from ${t.elections} e, held
        where e.grp = $1 and e.election = '${COORDINATOR}' and e.token = $2::bigint and e.holder_incarnation = $3
        for share of e
      ),
      fence as materialized (
        select named.event_sequence from ${t.fences} f, named where f.grp = $1 and f.election = '${COORDINATOR}' and f.token = $2::bigint
        for share of f
      ),
      stored as (
        insert into ${t.views} (grp, version, view) select $1, $6::bigint, $7 from fence
        on conflict (grp) do update set version = excluded.version, view = excluded.view
        returning version
      ),
      published as materialized (
        select fence.event_sequence + cardinality($8::text[]) as newest, fence.event_sequence, server.now_ms from stored, fence, server
      ),
      counted as (update ${t.groups} g set view_version = $6::bigint, event_sequence = published.newest from published where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, published.event_sequence + new.position, published.now_ms, new.type, new.subject, new.detail
        from published, unnest($8::text[], $9::text[], $10::text[]) with ordinality as new (type, subject, detail, position)
      ),
      forgotten as (delete from ${t.events} o using published where o.grp = $1 and o.sequence <= published.newest - ${EVENTS_KEPT}),
      cleared as (
        delete from ${t.presence} p using published
        where p.grp = $1 and p.state = 'dead' and p.dead_at_ms < published.now_ms - $11::bigint
          and not exists (select from ${t.elections} e where e.grp = $1 and e.holder_incarnation = p.incarnation)
      ),
      ${notify(`'${VIEW_CHANGED}'`, "published")}
      select exists (select from published) as done, (select count(*) from hint) as hints`,

    /** $2 after, $3 limit. No row: there is no such group. */
    readEvents: `
      select g.event_sequence as newest,
        (select o.sequence from ${t.events} o where o.grp = $1 order by o.sequence limit 1) as oldest,
        (
          select json_agg(json_build_array(page.sequence, page.at_ms, page.type, page.subject, page.detail) order by page.sequence)
          from (select * from ${t.events} o where o.grp = $1 and o.sequence > $2::bigint order by o.sequence limit $3::bigint) page
        ) as events
      from ${t.groups} g where g.grp = $1`,

    /** No row: there is no such group. */
    readGroup: `
      with ${SERVER_READ}
      select server.now_ms, server.epoch, g.generation, g.settings, (select m.version from ${t.meta} m) as schema_version,
        (select v.view from ${t.views} v where v.grp = $1) as view,
        (select json_agg(${presenceArray("p", "server.now_ms")}) from ${t.presence} p where p.grp = $1) as presence,
        (select json_agg(${electionArray("e")}) from ${t.elections} e where e.grp = $1) as elections,
        (select json_agg(json_build_array(f.election, f.token)) from ${t.fences} f where f.grp = $1) as fences,
        (
          select json_agg(json_build_array(o.election, o.token, o.node, o.incarnation, o.began_at_ms, o.ended_at_ms, o.end_reason) order by o.election, o.token desc)
          from ${t.terms} o where o.grp = $1
        ) as terms
      from ${t.groups} g, server where g.grp = $1`,
  };
}

/** The tables' full names: nothing depends on a search path, which behind a pooler is somebody else's. */
export function tablesIn(schema: string) {
  const name = (table: string) => `"${schema}".${table}`;
  return {
    meta: name("meta"),
    groups: name("groups"),
    presence: name("presence"),
    elections: name("elections"),
    fences: name("fences"),
    views: name("views"),
    events: name("events"),
    terms: name("terms"),
  };
}

type Tables = ReturnType<typeof tablesIn>;

/**
 * Identity and timeline of the server. The timeline is taken from the name of the WAL file that is being written: right
 * after a promotion the control file still shows the old one. On a standby this raises 55000.
 */
const EPOCH = `(select system_identifier from pg_control_system())::text || ':' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
        || case when current_setting('fsync') = 'off' then ':' || (extract(epoch from pg_postmaster_start_time()) * 1000)::bigint else '' end as epoch`;

/**
 * By how many timelines two epochs of one server are apart, at least one. A promotion takes the next timeline, so one that was lost again with everything
 * that happened in it leaves a gap here.
 */
export function epochsBetween(from: string, to: string): string {
  const server = (epoch: string) => `split_part(${epoch}, ':', 1)`;
  const timeline = (epoch: string) => `('x' || lpad(split_part(${epoch}, ':', 2), 16, '0'))::bit(64)::bigint`;
  return `case when ${server(from)} = ${server(to)} then greatest(1, ${timeline(to)} - ${timeline(from)}) else 1 end`;
}

/** The time now, not that of the transaction's start, which is what `now()` gives. */
const NOW = "(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms";

const SERVER_READ = `server as materialized (select ${EPOCH}, ${NOW})`;

/**
 * The server's epoch and time; and, for this transaction, which is this statement, that its commit waits for the disk and
 * that it does not wait long for a lock. Each statement says so itself, since settings of a session do not follow through a pooler.
 * Both settings are looked up when a lock is waited for and at the commit, so later than here.
 */
function serverPart(lockLimitMs: number): string {
  return `server as materialized (
        select ${EPOCH}, ${NOW}, set_config('lock_timeout', '${lockLimitMs}', true) as lock_timeout,
          set_config('synchronous_commit', case when current_setting('synchronous_commit') = 'remote_apply' then 'remote_apply' else 'on' end, true) as synchronous_commit
      )`;
}

function beat(t: Tables, channel: string, writing: string, watchingSome: boolean): string {
  return `
      with ${writing},
      seen as materialized (select g.* from ${t.groups} g where g.grp = $1),
      stale as materialized (
        select g.epoch, g.generation, g.event_sequence from ${t.groups} g, seen, server
        where g.grp = $1 and (seen.epoch <> server.epoch or seen.generation < $5::bigint)
        for update of g
      ),
      raised as (
        update ${t.groups} g
        set generation = greatest(stale.generation + ${epochsBetween("stale.epoch", "server.epoch")}, $5::bigint + 1), epoch = server.epoch, event_sequence = stale.event_sequence + (stale.epoch <> server.epoch)::int
        from stale, server where g.grp = $1 and (stale.epoch <> server.epoch or stale.generation < $5::bigint)
        returning g.generation, g.event_sequence, stale.epoch as left_epoch
      ),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, raised.event_sequence, server.now_ms, 'epoch-changed', $1, json_build_object('from', raised.left_epoch, 'to', server.epoch)::text
        from raised, server where raised.left_epoch <> server.epoch
      ),
      beaten as (
        update ${t.presence} p
        set beat = $3::bigint, beat_at_ms = server.now_ms, expires_at_ms = server.now_ms + p.lease_ms, view_seen = greatest(p.view_seen, $4::bigint)
        from server, (select count(*) from raised) as group_first
        where p.grp = $1 and p.incarnation = $2 and p.state = 'alive' and p.beat < $3::bigint and $6 in ('', server.epoch)
        returning p.*
      ),
      refused as materialized (
        select p.* from ${t.presence} p where p.grp = $1 and p.incarnation = $2 and not exists (select from beaten) for share of p
      ),
      own as materialized (select * from beaten union all select * from refused)
      select ${lookColumns(t, channel, { epoch: "$6", electionsVersion: "$7", viewVersion: "$8", watched: watchingSome ? "$9" : undefined, own: "own" })},
        coalesce((select generation from raised), (select generation from stale), seen.generation) as generation,
        exists (select from beaten) as accepted, (select state from own) as self
      from seen, server`;
}

function look(t: Tables, channel: string, watchingSome: boolean): string {
  return `
      with ${SERVER_READ},
      seen as materialized (select g.* from ${t.groups} g where g.grp = $1)
      select ${lookColumns(t, channel, { epoch: "$2", electionsVersion: "$3", viewVersion: "$4", watched: watchingSome ? "$5" : undefined, own: undefined })},
        seen.generation as generation
      from seen, server`;
}

interface LookParameters {
  readonly epoch: string;
  readonly electionsVersion: string;
  readonly viewVersion: string;
  readonly watched: string | undefined;
  /** Where the caller's own presence row is as it stands now; the snapshot shows it as it was before. */
  readonly own: string | undefined;
}

/**
 * Everything here is as the snapshot shows it, so that rows and versions belong together. The first condition on elections
 * is known before any row is read: when nothing changed, none is.
 */
function lookColumns(t: Tables, channel: string, { epoch, electionsVersion, viewVersion, watched, own }: LookParameters): string {
  const rows = own === undefined ? `${t.presence} p` : `(select * from ${own} union all select q.* from ${t.presence} q where q.grp = $1 and q.incarnation <> $2) p`;
  const which = watched === undefined ? "" : ` and p.incarnation = any (${watched}::text[])`;
  return `server.now_ms, server.epoch, seen.elections_version, seen.view_version, seen.longest_lease_ms,
        (
          select json_agg(${electionArray("e")}) from ${t.elections} e
          where e.grp = $1 and (${epoch} <> server.epoch or seen.elections_version > ${electionsVersion}::bigint)
            and e.version > case when ${epoch} = server.epoch then ${electionsVersion}::bigint else -1 end
        ) as elections,
        (select v.view from ${t.views} v where v.grp = $1 and (${epoch} <> server.epoch or v.version <> ${viewVersion}::bigint)) as view,
        (select json_agg(${presenceArray("p", "server.now_ms")}) from ${rows} where p.grp = $1${which}) as presence,
        pg_backend_pid() as pid, exists (select from pg_listening_channels() c where c = '${channel}') as listening`;
}

/** Rows travel as arrays: with a thousand members the names of the columns would be most of the text. */
function presenceArray(p: string, nowMs: string): string {
  return `json_build_array(${p}.incarnation, ${p}.node, ${p}.state, ${p}.beat, ${p}.lease_ms, ${p}.expires_at_ms <= ${nowMs}, ${nowMs} - ${p}.beat_at_ms, ${p}.join_order, ${p}.view_seen, ${p}.metadata_version)`;
}

function electionArray(e: string): string {
  return `json_build_array(${e}.election, ${e}.token, ${e}.holder_incarnation, ${e}.holder_node, ${e}.epoch, ${e}.version, ${e}.resign_requested, ${e}.changed_at_ms)`;
}
