import { DOCUMENT_VERSIONS_PER_GENERATION, TERMS_KEPT, TOKENS_PER_GENERATION, VIEWS_PER_GENERATION, EVENTS_KEPT, COORDINATOR } from "../index.ts";
import { DOCUMENT_CHANGED, ELECTION_CHANGED, PRESENCE_CHANGED, VIEW_CHANGED } from "./hints.ts";

/** What statements are written for. All three are checked or computed, never a user's text. */
export interface StatementNames {
  readonly schema: string;
  /** For NOTIFY; see `channelOf`. */
  readonly channel: string;
  /** The longest that a statement may wait for a lock. */
  readonly lockLimitMs: number;
  /** Whether the role may ask for others' evidence. If not, no statement may so much as name the function, and who is armed shows as `held`. */
  readonly probes: boolean;
}

/** Groups whose view is shorter are told at once of members and views: about a hundred of them, with little metadata. */
const HINTED_VIEW_BYTES = 16_384;

/**
 * One statement for each operation. `$1` is the group everywhere; the other parameters are named in front of each. Why
 * each of them is right at READ COMMITTED is in the README, in the table under "Why one statement is enough".
 *
 * Reading them: parts of a `with` that change or lock rows run when something asks for their rows. So `from held` after
 * `held as (… for update)` is what makes the lock come first. All parts see the same snapshot, none sees what another changed.
 */
export type Statements = ReturnType<typeof statementsFor>;

export function statementsFor({ schema, channel, lockLimitMs, probes }: StatementNames) {
  const t = tablesIn(schema);
  const writing = serverPart(lockLimitMs);
  const notify = (payload: string, from: string, which = "") => `hint as materialized (select pg_notify('${channel}', ${payload}) from ${from}${which})`;
  // A notification wakes every session of the database that listens. To tell a large group of a member that came costs more than it is worth: each member's next beat tells.
  const notifyIfSmall = (payload: string, from: string) => notify(payload, from, ` where coalesce((select octet_length(v.view) from ${t.views} v where v.grp = $1), 0) < ${HINTED_VIEW_BYTES}`);
  // The number of a new view, $6, is of the present generation, which is that of the epoch $4.
  const inRange = `g.epoch = $4 and $6::bigint > (g.generation - 1) * ${VIEWS_PER_GENERATION}`;
  // What a pause and a reservation say about a claim of the node $7.
  const claimable = "e.paused_at_ms is null and (e.reserved_for is null or e.reserved_for = $7 or $10::boolean)";
  const electionChanged = `'${ELECTION_CHANGED}' || $2::text`;
  /** One row of an election changed, as a part named `changed` with the new `version` and event number `sequence` shows, and it is told. */
  const told = (changed: string, type: string, detail: string) => `
      counted as (update ${t.groups} g set elections_version = ${changed}.version, event_sequence = ${changed}.sequence from ${changed} where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, ${changed}.sequence, server.now_ms, '${type}', $2, ${detail} from ${changed}, server
      ),
      ${notify(electionChanged, changed)}
      select exists (select from ${changed}) as done, (select count(*) from hint) as hints`;
  /**
   * Ends with `granted`: the group's row under its lock, if the document $2 seems to have the version $3, the group has adopted the server's epoch, and the term $4, $5, $6 stands, unless no election
   * is named. From there to the commit no election, fence or document of the group changes.
   */
  const granted = `${writing},
      held as materialized (
        select g.generation, g.documents_version from ${t.groups} g, server
        where g.grp = $1 and g.epoch = server.epoch and $3::bigint = coalesce((select d.version from ${t.documents} d where d.grp = $1 and d.name = $2), 0)
        for update of g
      ),
      named as materialized (
        select held.* from ${t.elections} e, held
        where e.grp = $1 and e.election = $4::text and e.token = $5::bigint and e.holder_incarnation = $6
        for share of e
      ),
      fence as materialized (select named.* from ${t.fences} f, named where f.grp = $1 and f.election = $4::text and f.token = $5::bigint for share of f),
      granted as materialized (select * from fence union all select * from held where $4::text is null)`;
  return {
    /** $2 incarnation, $3 node, $4 lease, $5 metadata, $6 settings, $7 the generation that the caller has seen, $8 whether it is an observer, $9 the session's own evidence. Neither `joined` nor a reason why not: someone was first, run it again. */
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
        insert into ${t.presence} (grp, incarnation, node, state, beat, lease_ms, beat_at_ms, expires_at_ms, join_order, joined_at_ms, view_seen, metadata, metadata_version, observer)
        select $1, $2, $3, 'alive', 0, $4, server.now_ms, server.now_ms + $4::bigint, place.join_order, server.now_ms, 0, $5, 1, $8 from place, server
        on conflict do nothing
        returning join_order
      ),
      counted as (
        update ${t.groups} g set join_order = joined.join_order, longest_lease_ms = greatest(g.longest_lease_ms, $4::bigint)
        from joined where g.grp = $1 and exists (select from seen)
      ),
      ${notifyIfSmall(`'${PRESENCE_CHANGED}'`, "joined")}
      select
        (select settings from seen) as settings,
        (select state from known) as known_state, (select join_order from known) as known_join_order,
        (select ${presenceArray("taken", { own: "$9", probes })} from taken, server limit 1) as taken,
        (select join_order from joined) as joined, (select epoch from server) as epoch,
        (select count(*) from hint) as hints`,

    /**
     * $2 incarnation, $3 beat, $4 view seen, $5 generation, $6 the cursor's epoch, $7 its elections version, $8 its view
     * version, $9 the evidence that the session holds, or null; for some of the rows $10 whose. No row: there is no such group.
     */
    beatWatchingAll: beat(t, { channel, writing, probes, watchingSome: false }),
    beatWatchingSome: beat(t, { channel, writing, probes, watchingSome: true }),

    /** $2 the cursor's epoch, $3 its elections version, $4 its view version, $5 the session's own evidence; for some of the rows $6 whose. */
    lookWatchingAll: look(t, { channel, probes, watchingSome: false }),
    lookWatchingSome: look(t, { channel, probes, watchingSome: true }),

    /** $2 incarnation. */
    leave: `
      with ${writing},
      gone as (
        update ${t.presence} p set state = 'dead', dead_reason = 'left', dead_at_ms = server.now_ms
        from server where p.grp = $1 and p.incarnation = $2 and ${alive("p")}
        returning p.incarnation
      ),
      ${notifyIfSmall(`'${PRESENCE_CHANGED}'`, "gone")}
      select exists (select from gone) as done, (select count(*) from hint) as hints`,

    /**
     * $2 incarnation, $3 beat, $4 epoch, $5 whether the lease must have run out, $6 reason, $7 the event's detail, $8 whether its evidence must be
     * free, $9 the session's own. Evidence changes only with the beat number, and the shared lock that tells is kept until the commit; so one look is enough.
     */
    declareDead: `
      with ${writing},
      named as materialized (
        select p.* from ${t.presence} p, server
        where p.grp = $1 and p.incarnation = $2 and ${alive("p")} and p.beat = $3::bigint and server.epoch = $4
          and (not $5::boolean or p.expires_at_ms <= server.now_ms)
      ),
      seen as materialized (
        select from named, server where case when $8::boolean then ${evidence("named", { own: "$9", probes })} = 'free' else true end
      ),
      held as materialized (select g.event_sequence from ${t.groups} g, server where g.grp = $1 and exists (select from seen) for update of g),
      buried as (
        update ${t.presence} p set state = 'dead', dead_reason = $6, dead_at_ms = server.now_ms
        from held, server
        where p.grp = $1 and p.incarnation = $2 and ${alive("p")} and p.beat = $3::bigint
          and (not $5::boolean or p.expires_at_ms <= server.now_ms)
        returning p.node, held.event_sequence + 1 as sequence
      ),
      counted as (update ${t.groups} g set event_sequence = buried.sequence from buried where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, buried.sequence, server.now_ms, 'declared-dead', buried.node, $7 from buried, server
      ),
      ${notifyIfSmall(`'${PRESENCE_CHANGED}'`, "buried")}
      select exists (select from buried) as done, (select count(*) from hint) as hints`,

    /** $2 incarnation, $3 metadata. */
    updateMetadata: `
      with ${writing},
      updated as (
        update ${t.presence} p set metadata = $3, metadata_version = p.metadata_version + 1
        from server where p.grp = $1 and p.incarnation = $2 and ${alive("p")}
        returning p.incarnation
      ),
      ${notifyIfSmall(`'${PRESENCE_CHANGED}'`, "updated")}
      select exists (select from updated) as done, (select count(*) from hint) as hints`,

    /** $2 node, $3 by whom, $4 the reason. */
    evict: `
      with ${writing},
      seen as materialized (select p.incarnation from ${t.presence} p where p.grp = $1 and p.node = $2 and p.state = 'alive' and not p.evicted),
      held as materialized (select g.event_sequence, seen.incarnation from ${t.groups} g, seen, server where g.grp = $1 for update of g),
      asked as (
        update ${t.presence} p set evicted = true
        from held where p.grp = $1 and p.incarnation = held.incarnation and ${alive("p")} and not p.evicted
        returning p.incarnation, held.event_sequence + 1 as sequence
      ),
      counted as (update ${t.groups} g set event_sequence = asked.sequence from asked where g.grp = $1),
      noted as (
        insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
        select $1, asked.sequence, server.now_ms, 'eviction-requested', $2, json_build_object('incarnation', asked.incarnation, 'by', $3::text, 'reason', $4::text)::text
        from asked, server
      ),
      ${notifyIfSmall(`'${PRESENCE_CHANGED}'`, "asked")}
      select exists (select from asked) as done, (select count(*) from hint) as hints`,

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

    /** $2 election, $3 expected token, $4 incarnation, $5 token seen, $6 epoch, $7 node, $8 priority, $9 minimum term, $10 whether a reservation for another node counts no more, $11 whether the fence is to be passed too. */
    claim: `
      with ${writing},
      seen as materialized (
        select e.holder_incarnation, coalesce(f.token, 0) as fence
        from ${t.elections} e join server on server.epoch = $6 left join ${t.fences} f on f.grp = e.grp and f.election = e.election
        where e.grp = $1 and e.election = $2 and e.token = $3::bigint and ${claimable}
          and not exists (select from ${t.presence} h where h.grp = $1 and h.incarnation = e.holder_incarnation and ${alive("h")})
      ),
      held as materialized (
        select g.generation, g.elections_version, g.event_sequence, seen.holder_incarnation, seen.fence
        from ${t.groups} g, seen, server where g.grp = $1 and g.epoch = server.epoch
        for update of g
      ),
      claimant as materialized (
        select held.*, greatest($3::bigint, held.fence, $5::bigint, least(held.generation, 4194304) * ${TOKENS_PER_GENERATION} - 1) + 1 as token
        from ${t.presence} p, held where p.grp = $1 and p.incarnation = $4 and ${alive("p")}
        for share of p
      ),
      won as (
        update ${t.elections} e
        set token = c.token, holder_incarnation = $4, holder_node = $7, epoch = server.epoch, version = c.elections_version + 1,
          resign_requested = null, resign_requested_for = null, reserved_for = null, reserved_ms = null, priority = $8::float8, minimum_term_ms = $9::bigint,
          changed_at_ms = server.now_ms
        from claimant c, server
        where e.grp = $1 and e.election = $2 and e.token = $3::bigint and ${claimable} and c.token <= ${Number.MAX_SAFE_INTEGER}
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
      fence as materialized (
        select won.token from ${t.fences} f, won where f.grp = $1 and f.election = $2 and f.token < won.token and $11::boolean
        for no key update of f skip locked
      ),
      moved as (
        update ${t.fences} f set token = fence.token from fence where f.grp = $1 and f.election = $2 and f.token < fence.token
        returning f.token
      ),
      ${notify(electionChanged, "won")}
      select (select token from won) as token, exists (select from moved) as passed, (select token from claimant) > ${Number.MAX_SAFE_INTEGER} as exhausted, (select count(*) from hint) as hints`,

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

    /** $2 election, $3 incarnation, $4 token, $5 reason, $6 and $7 for whom the row is kept, and for how long, or null. */
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
        set holder_incarnation = null, holder_node = null, version = held.elections_version + 1, resign_requested = null, resign_requested_for = null,
          reserved_for = $6, reserved_ms = $7::bigint, changed_at_ms = server.now_ms
        from held, server
        where e.grp = $1 and e.election = $2 and e.token = $4::bigint and e.holder_incarnation = $3
        returning e.version, held.event_sequence + 1 as sequence, held.holder_node, server.now_ms
      ),
      ended as (
        update ${t.terms} o set ended_at_ms = freed.now_ms, end_reason = $5
        from freed where o.grp = $1 and o.election = $2 and o.ended_at_ms is null
      ),${told("freed", "term-ended", "json_strip_nulls(json_build_object('token', $4::bigint, 'node', freed.holder_node, 'reason', $5::text, 'for', $6::text))::text")}`,

    /** $2 election, $3 token, $4 for which node, or null. */
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
        update ${t.elections} e set resign_requested = $3::bigint, resign_requested_for = $4, version = held.elections_version + 1
        from held where e.grp = $1 and e.election = $2 and e.token = $3::bigint and e.holder_incarnation is not null
        returning e.version, held.event_sequence + 1 as sequence, held.holder_node
      ),${told("asked", "resign-requested", "json_strip_nulls(json_build_object('token', $3::bigint, 'node', asked.holder_node, 'for', $4::text))::text")}`,

    /** $2 election, $3 by whom, $4 the reason. */
    pause: `
      with ${writing},
      held as materialized (
        select g.elections_version, g.event_sequence from ${t.groups} g, server
        where g.grp = $1 and exists (select from ${t.elections} e where e.grp = $1 and e.election = $2 and e.paused_at_ms is null)
        for update of g
      ),
      paused as (
        update ${t.elections} e set paused_reason = $4, paused_by = $3, paused_at_ms = server.now_ms, version = held.elections_version + 1
        from held, server where e.grp = $1 and e.election = $2 and e.paused_at_ms is null
        returning e.version, held.event_sequence + 1 as sequence
      ),${told("paused", "election-paused", "json_build_object('by', $3::text, 'reason', $4::text)::text")}`,

    /** $2 election, $3 by whom. */
    resume: `
      with ${writing},
      held as materialized (
        select g.elections_version, g.event_sequence from ${t.groups} g, server
        where g.grp = $1 and exists (select from ${t.elections} e where e.grp = $1 and e.election = $2 and e.paused_at_ms is not null)
        for update of g
      ),
      resumed as (
        update ${t.elections} e set paused_reason = null, paused_by = null, paused_at_ms = null, version = held.elections_version + 1
        from held where e.grp = $1 and e.election = $2 and e.paused_at_ms is not null
        returning e.version, held.event_sequence + 1 as sequence
      ),${told("resumed", "election-resumed", "json_build_object('by', $3::text)::text")}`,

    /** $2 election, $3 incarnation, $4 priority, $5 whether it is fit. The group row is locked only to make the election ranked. */
    contend: `
      with ${writing},
      seen as materialized (select e.ranked from ${t.elections} e where e.grp = $1 and e.election = $2),
      held as materialized (
        select g.elections_version from ${t.groups} g, seen, server where g.grp = $1 and not seen.ranked and $4::float8 <> 0
        for update of g
      ),
      candidate as materialized (
        select p.incarnation from ${t.presence} p, seen, server, (select count(*) from held) as group_first
        where p.grp = $1 and p.incarnation = $3 and ${alive("p")}
        for share of p
      ),
      stored as (
        insert into ${t.candidates} (grp, election, incarnation, priority, fit) select $1, $2, $3, $4::float8, $5::boolean from candidate
        on conflict (grp, election, incarnation) do update set priority = excluded.priority, fit = excluded.fit
        returning election
      ),
      ranked as (
        update ${t.elections} e set ranked = true, version = held.elections_version + 1
        from held, stored where e.grp = $1 and e.election = $2 and not e.ranked
        returning e.version
      ),
      counted as (update ${t.groups} g set elections_version = ranked.version from ranked where g.grp = $1),
      ${notify(electionChanged, "ranked")}
      select exists (select from stored) as done, (select count(*) from hint) as hints`,

    /** $2 election, $3 incarnation. */
    withdraw: `
      with ${writing},
      candidate as materialized (
        select p.incarnation from ${t.presence} p, server where p.grp = $1 and p.incarnation = $3 and ${alive("p")}
        for share of p
      ),
      removed as (
        delete from ${t.candidates} c using candidate where c.grp = $1 and c.election = $2 and c.incarnation = $3
        returning c.election
      )
      select exists (select from removed) as done`,

    /** $2 election. */
    readCandidates: `select ${candidatesColumn(t, "and c.election = $2")}`,

    /** $2 incarnations. */
    readMembers: `
      select json_agg(json_build_array(p.incarnation, p.node, p.state, p.metadata, p.metadata_version, p.join_order, p.joined_at_ms, p.dead_reason, p.observer)) as members
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
        returning p.incarnation
      ),
      withdrawn as (delete from ${t.candidates} c using cleared where c.grp = $1 and c.incarnation = cleared.incarnation),
      ${notifyIfSmall(`'${VIEW_CHANGED}'`, "published")}
      select exists (select from published) as done, (select count(*) from hint) as hints`,

    /** $2 name. No row: there is no such document. */
    readDocument: `select d.version, d.body from ${t.documents} d where d.grp = $1 and d.name = $2`,

    /** $2 name, $3 expected version, $4 election or null, $5 token, $6 incarnation, $7 text. */
    writeDocument: `
      with ${granted},
      next as materialized (
        select numbered.version from (select greatest(g.documents_version, (least(g.generation, 4194304) - 1) * ${DOCUMENT_VERSIONS_PER_GENERATION}) + 1 as version from granted g) numbered
        where numbered.version <= ${Number.MAX_SAFE_INTEGER}
      ),
      replaced as (
        update ${t.documents} d set version = next.version, body = $7
        from next where d.grp = $1 and d.name = $2 and d.version = $3::bigint and $3::bigint > 0
        returning d.version
      ),
      made as (
        insert into ${t.documents} (grp, name, version, body) select $1, $2, next.version, $7 from next where $3::bigint = 0
        on conflict do nothing
        returning version
      ),
      written as materialized (select version from replaced union all select version from made),
      counted as (update ${t.groups} g set documents_version = written.version from written where g.grp = $1),
      ${notify(`'${DOCUMENT_CHANGED}' || $2::text`, "written")}
      select exists (select from written) as done, (select count(*) from hint) as hints`,

    /** $2 name, $3 expected version, $4 election or null, $5 token, $6 incarnation. */
    removeDocument: `
      with ${granted},
      removed as (delete from ${t.documents} d using granted where d.grp = $1 and d.name = $2 and d.version = $3::bigint returning d.name),
      ${notify(`'${DOCUMENT_CHANGED}' || $2::text`, "removed")}
      select exists (select from removed) as done, (select count(*) from hint) as hints`,

    /** $2 what names begin with. */
    listDocuments: `select d.name, d.version from ${t.documents} d where d.grp = $1 and starts_with(d.name, $2) order by d.name`,

    /** $2 after, $3 limit. No row: there is no such group. */
    readEvents: `
      select g.event_sequence as newest,
        (select o.sequence from ${t.events} o where o.grp = $1 order by o.sequence limit 1) as oldest,
        (
          select json_agg(json_build_array(page.sequence, page.at_ms, page.type, page.subject, page.detail) order by page.sequence)
          from (select * from ${t.events} o where o.grp = $1 and o.sequence > $2::bigint order by o.sequence limit $3::bigint) page
        ) as events
      from ${t.groups} g where g.grp = $1`,

    /** $2 the session's own evidence. No row: there is no such group. */
    readGroup: `
      with ${SERVER_READ}
      select server.now_ms, server.epoch, g.generation, g.settings, (select m.version from ${t.meta} m) as schema_version,
        (select v.view from ${t.views} v where v.grp = $1) as view,
        (select json_agg(${presenceArray("p", { own: "$2", probes })}) from ${t.presence} p where p.grp = $1) as presence,
        (select json_agg(${electionArray("e")}) from ${t.elections} e where e.grp = $1) as elections,
        ${candidatesColumn(t, "")},
        (select json_agg(json_build_array(f.election, f.token)) from ${t.fences} f where f.grp = $1) as fences,
        (
          select json_agg(json_build_array(o.election, o.token, o.node, o.incarnation, o.began_at_ms, o.ended_at_ms, o.end_reason) order by o.election, o.token desc)
          from ${t.terms} o where o.grp = $1
        ) as terms
      from ${t.groups} g, server where g.grp = $1`,

    /** $2 incarnations. Whether the evidence of one of them is free, and the key of one that is armed. */
    attend: `
      with ${SERVER_READ}
      select coalesce(bool_or(found.evidence = 'free'), false) as free, min(found.evidence_key) filter (where found.evidence = 'held') as key
      from (
        select p.evidence_key, ${evidence("p", { own: "null", probes })} as evidence
        from ${t.presence} p, server where p.grp = $1 and p.incarnation = any ($2::text[])
        offset 0
      ) found`,
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
    candidates: name("candidates"),
    fences: name("fences"),
    views: name("views"),
    events: name("events"),
    documents: name("documents"),
    terms: name("terms"),
  };
}

type Tables = ReturnType<typeof tablesIn>;

/**
 * Where the incarnation is given too. Said like this because the index on names is for \`state = 'alive'\`: before the first ANALYZE, and in a plan made then, the planner thinks that as good as
 * the primary key, and each beat would read the whole group.
 */
function alive(row: string): string {
  return `${row}.state <> 'dead'`;
}

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

/**
 * Which run of the server in this epoch answers. A restart frees every lock, also of those who live and have not heard of it yet, as after a
 * power cut, which closes no connection; so evidence counts only in the run in which it was taken.
 */
const RUN = "told.epoch || '@' || (extract(epoch from pg_postmaster_start_time()) * 1000)::bigint as run";

const SERVER_READ = `server as materialized (select told.*, ${RUN} from (select ${EPOCH}, ${NOW} offset 0) told)`;

/**
 * The server's epoch and time; and, for this transaction, which is this statement, that its commit waits for the disk and
 * that it does not wait long for a lock. Each statement says so itself, since settings of a session do not follow through a pooler.
 * Both settings are looked up when a lock is waited for and at the commit, so later than here.
 */
function serverPart(lockLimitMs: number): string {
  return `server as materialized (
        select told.*, ${RUN}, set_config('lock_timeout', '${lockLimitMs}', true) as lock_timeout,
          set_config('synchronous_commit', case when current_setting('synchronous_commit') = 'remote_apply' then 'remote_apply' else 'on' end, true) as synchronous_commit
        from (select ${EPOCH}, ${NOW} offset 0) told
      )`;
}

interface Watching {
  readonly channel: string;
  readonly probes: boolean;
  readonly watchingSome: boolean;
}

function beat(t: Tables, { channel, writing, probes, watchingSome }: Watching & { readonly writing: string }): string {
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
        set beat = $3::bigint, beat_at_ms = server.now_ms, expires_at_ms = server.now_ms + p.lease_ms, view_seen = greatest(p.view_seen, $4::bigint),
          evidence_key = $9, evidence_run = case when $9::text is not null then server.run end
        from server, (select count(*) from raised) as group_first
        where p.grp = $1 and p.incarnation = $2 and ${alive("p")} and not p.evicted and p.beat < $3::bigint and $6 in ('', server.epoch)
        returning p.*
      ),
      refused as materialized (
        select p.* from ${t.presence} p where p.grp = $1 and p.incarnation = $2 and not exists (select from beaten) for share of p
      ),
      own as materialized (select * from beaten union all select * from refused)
      select ${lookColumns(t, channel, { epoch: "$6", electionsVersion: "$7", viewVersion: "$8", evidence: { own: "$9", probes }, watched: watchingSome ? "$10" : undefined, own: "own" })},
        coalesce((select generation from raised), (select generation from stale), seen.generation) as generation,
        exists (select from beaten) as accepted, (select case when state = 'alive' and evicted then 'evicted' else state end from own) as self
      from seen, server`;
}

function look(t: Tables, { channel, probes, watchingSome }: Watching): string {
  return `
      with ${SERVER_READ},
      seen as materialized (select g.* from ${t.groups} g where g.grp = $1)
      select ${lookColumns(t, channel, { epoch: "$2", electionsVersion: "$3", viewVersion: "$4", evidence: { own: "$5", probes }, watched: watchingSome ? "$6" : undefined, own: undefined })},
        seen.generation as generation
      from seen, server`;
}

interface LookParameters {
  readonly epoch: string;
  readonly electionsVersion: string;
  readonly viewVersion: string;
  readonly evidence: EvidenceParameters;
  readonly watched: string | undefined;
  /** Where the caller's own presence row is as it stands now; the snapshot shows it as it was before. */
  readonly own: string | undefined;
}

/**
 * Everything here is as the snapshot shows it, so that rows and versions belong together. The first condition on elections
 * is known before any row is read: when nothing changed, none is.
 */
function lookColumns(t: Tables, channel: string, { epoch, electionsVersion, viewVersion, evidence: shown, watched, own }: LookParameters): string {
  // One lookup for each name, by the primary key: a list in the condition is, by a plan made before the first ANALYZE, looked for in the whole group.
  const others = watched === undefined ? `${t.presence} q where q.grp = $1` : `unnest(${watched}::text[]) w cross join lateral (select * from ${t.presence} each where each.grp = $1 and each.incarnation = w offset 0) q where true`;
  const rows = own === undefined ? `(select q.* from ${others}) p` : `(select * from ${own} union all select q.* from ${others} and q.incarnation <> $2) p`;
  const which = watched === undefined ? "" : ` where p.incarnation = any (${watched}::text[])`;
  return `server.now_ms, server.epoch, seen.elections_version, seen.view_version, seen.longest_lease_ms,
        (
          select json_agg(${electionArray("e")}) from ${t.elections} e
          where e.grp = $1 and (${epoch} <> server.epoch or seen.elections_version > ${electionsVersion}::bigint)
            and e.version > case when ${epoch} = server.epoch then ${electionsVersion}::bigint else -1 end
        ) as elections,
        (select v.view from ${t.views} v where v.grp = $1 and (${epoch} <> server.epoch or v.version <> ${viewVersion}::bigint)) as view,
        (select json_agg(${presenceArray("p", shown)}) from ${rows}${which}) as presence,
        pg_backend_pid() as pid, exists (select from pg_listening_channels() c where c = '${channel}') as listening`;
}

interface EvidenceParameters {
  /** Where the key is that the session itself holds. */
  readonly own: string;
  readonly probes: boolean;
}

/** The class of the locks that are evidence, for the form of advisory locks with two numbers: one that nobody else in the database is likely to use, and another than that of migrations. It spells "TRIE". */
export const EVIDENCE_CLASS = 0x54524945;

/**
 * What a presence row shows as evidence, for a statement that has \`server\`. The function must be called for rows that are armed and for no other, which nothing but \`case\`
 * promises (manual, 4.2.14). For as long as the statement runs it holds the lock itself, shared, if that was free. The session's own lock it would get as well, so it is not asked for that.
 */
function evidence(p: string, { own, probes }: EvidenceParameters): string {
  const others = probes ? `when pg_try_advisory_xact_lock_shared(${EVIDENCE_CLASS}, ${p}.evidence_key::integer) then 'free' else 'held'` : "else 'held'";
  return `case when ${p}.state <> 'alive' or ${p}.evidence_key is null or ${p}.evidence_run is distinct from server.run then 'none' when ${p}.evidence_key = ${own}::text then 'held' ${others} end`;
}

/** Rows travel as arrays: with a thousand members the names of the columns would be most of the text. For a statement that has \`server\`. */
function presenceArray(p: string, shown: EvidenceParameters): string {
  return `json_build_array(${p}.incarnation, ${p}.node, ${p}.state, ${p}.beat, ${p}.lease_ms, ${p}.expires_at_ms <= server.now_ms, server.now_ms - ${p}.beat_at_ms, ${p}.join_order, ${p}.view_seen, ${p}.metadata_version, ${p}.observer, ${p}.evicted, ${evidence(p, shown)})`;
}

function electionArray(e: string): string {
  return `json_build_array(${e}.election, ${e}.token, ${e}.holder_incarnation, ${e}.holder_node, ${e}.epoch, ${e}.version, ${e}.resign_requested, ${e}.changed_at_ms, ${e}.resign_requested_for, ${e}.reserved_for, ${e}.reserved_ms, ${e}.paused_reason, ${e}.paused_by, ${e}.paused_at_ms, ${e}.priority, ${e}.minimum_term_ms, ${e}.ranked)`;
}

/** Those who contend and are alive, the oldest first. */
function candidatesColumn(t: Tables, which: string): string {
  return `(
          select json_agg(json_build_array(c.election, c.incarnation, p.node, c.priority, c.fit, p.join_order) order by p.join_order, c.election)
          from ${t.candidates} c join ${t.presence} p on p.grp = c.grp and p.incarnation = c.incarnation and ${alive("p")}
          where c.grp = $1 ${which}
        ) as candidates`;
}
