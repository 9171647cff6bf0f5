import { COORDINATOR, DOCUMENT_VERSIONS_PER_GENERATION, EVENTS_KEPT, TERMS_KEPT, TOKENS_PER_GENERATION, VIEWS_PER_GENERATION } from "../index.ts";
import { BELL } from "./evidence.ts";

/** Where the tables are. Both parts are checked; neither is a user's text. */
export interface TablePlace {
  readonly database: string;
  readonly prefix: string;
}

/** The text of one operation: several statements that travel in one packet. `:name` stands for a value; see `filled`. */
export type Statements = ReturnType<typeof statementsFor>;

/**
 * What each operation sends, as one packet. Why each of them is right is in the README, under "Why one packet is enough".
 *
 * Reading them: `@tribune_…` are variables of the session, in which one statement of a packet leaves to the next what it found. A row that is not found leaves
 * them as they were, so they are emptied first. A condition on a variable is known before any row is read, so that a statement with a false one locks nothing.
 */
export function statementsFor(place: TablePlace) {
  const t = tablesIn(place);
  const server = serverPart(t);
  /** Takes the group's row, for whatever changes an election, a view or the record, if `when` holds. */
  const group = (when: string) =>
    `select g.generation, g.epoch, g.birth_epoch, g.elections_version, g.event_sequence, g.view_version
      into @tribune_generation, @tribune_group_epoch, @tribune_birth, @tribune_version, @tribune_sequence, @tribune_view
      from ${t.groups} g where g.grp = :group and @tribune_epoch is not null and ${when} for update`;
  const noGroup = "@tribune_generation = null, @tribune_group_epoch = null, @tribune_birth = null, @tribune_version = null, @tribune_sequence = null, @tribune_view = null";
  /** Whether the statement before wrote something. */
  const done = "set @tribune_done = (row_count() > 0)";
  const answer = `select ${SERVER_COLUMNS}, @tribune_done as done`;
  const event = (type: string, subject: string, detail: string) =>
    `insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)
      select :group, @tribune_sequence + 1, @tribune_now, '${type}', ${subject}, ${detail} from dual where @tribune_done = 1`;
  const counted = ({ election, events }: { readonly election: boolean; readonly events: boolean }) =>
    `update ${t.groups} g set ${[...(election ? ["g.elections_version = @tribune_version + 1"] : []), ...(events ? ["g.event_sequence = @tribune_sequence + 1"] : [])].join(", ")}
      where g.grp = :group and @tribune_done = 1`;
  const termEnded = (reason: string) =>
    `update ${t.terms} o set o.ended_at_ms = @tribune_now, o.end_reason = ${reason} where o.grp = :group and o.election = :election and o.ended_at_ms is null and @tribune_done = 1`;
  const reservationOf = "e.reserved_node = :reservedNode, e.reserved_for_ms = :reservedForMs";
  const isFree = `p.armed_in = ${ARMED_NOW} and is_used_lock(p.armed_key) is null`;
  const deathOf = `p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and p.beat = :beat and @tribune_epoch = :epoch
      and (not :requireExpired or p.expires_at_ms <= @tribune_now) and (case when :requireFree then ${isFree} else 1 end)`;

  /**
   * Begins, and finds out whether the document has the expected version, the group has adopted the server's epoch, and the term stands, unless no election is named: then `@tribune_next` is the next
   * version. From there to the commit no election, fence or document of the group changes.
   */
  const documentGranted = [
    server,
    `set ${noGroup}, @tribune_done = 0, @tribune_named = null, @tribune_fence = null, @tribune_found = 0, @tribune_next = null`,
    `select d.version into @tribune_found from ${t.documents} d where d.grp = :group and d.name = :name`,
    "start transaction",
    group("g.epoch = @tribune_epoch and @tribune_found = :expectedVersion"),
    "set @tribune_found = 0",
    `select 1 into @tribune_named from ${t.elections} e
      where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation = :incarnation and @tribune_generation is not null`,
    `select 1 into @tribune_fence from ${t.fences} f where f.grp = :group and f.election = :election and f.token = :token and @tribune_named = 1 lock in share mode`,
    `select d.version into @tribune_found from ${t.documents} d where d.grp = :group and d.name = :name and @tribune_generation is not null`,
    `select greatest(g.documents_version, (least(g.generation, ${2 ** 22}) - 1) * ${DOCUMENT_VERSIONS_PER_GENERATION}) + 1 into @tribune_next from ${t.groups} g
      where g.grp = :group and @tribune_generation is not null and (:election is null or @tribune_fence = 1) and @tribune_found = :expectedVersion`,
  ];
  return {
    /** `generation` is null where there is no such group; `fresh` false: nothing was written, since the group is to be raised first. */
    beatWatchingAll: packet(...beat(t), ...reading(t, { own: true, watched: "" })),
    beatWatchingSome: packet(...beat(t), ...reading(t, { own: true, watched: " and p.incarnation in (:watched)" })),

    lookWatchingAll: packet(server, ...reading(t, { own: false, watched: "" })),
    lookWatchingSome: packet(server, ...reading(t, { own: false, watched: " and p.incarnation in (:watched)" })),

    /** Has the group adopt the server's epoch, or follow a sender who has seen a later generation. */
    raise: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_number_before = null`,
      "start transaction",
      group("true"),
      `select g.epoch_number into @tribune_number_before from ${t.groups} g where g.grp = :group`,
      `update ${t.groups} g
        set g.generation = greatest(@tribune_generation + greatest(1, cast(@tribune_number as signed) - cast(@tribune_number_before as signed)), :generation + 1),
          g.epoch = @tribune_epoch, g.epoch_number = @tribune_number
        where g.grp = :group and (@tribune_group_epoch <> @tribune_epoch or @tribune_generation < :generation)`,
      "set @tribune_done = (@tribune_group_epoch <> @tribune_epoch)",
      event("epoch-changed", ":group", `json_object('from', @tribune_group_epoch, 'to', @tribune_epoch)`),
      counted({ election: false, events: true }),
      "commit",
      answer,
    ),

    join: packet(
      server,
      "set @tribune_done = 0, @tribune_settings = null, @tribune_order = null, @tribune_known = null, @tribune_known_order = null, @tribune_taken = null",
      "start transaction",
      // Not "insert ignore": that would take a shared lock on a row that is there, and two who want more of it afterwards are a deadlock.
      `insert into ${t.groups} (grp, birth_epoch, epoch, epoch_number, generation, settings, longest_lease_ms, join_order, elections_version, event_sequence, view_version)
        select :group, if(:generation = 0, @tribune_epoch, ''), @tribune_epoch, @tribune_number, :generation + 1, :settings, 0, 0, 0, 0, 0 from dual where @tribune_epoch is not null
        on duplicate key update longest_lease_ms = longest_lease_ms`,
      `select g.settings, g.join_order into @tribune_settings, @tribune_order from ${t.groups} g where g.grp = :group and @tribune_epoch is not null for update`,
      `select p.state, p.join_order into @tribune_known, @tribune_known_order from ${t.presence} p where p.grp = :group and p.incarnation = :incarnation`,
      `select p.incarnation into @tribune_taken from ${t.presence} p where p.grp = :group and p.living = :node and p.incarnation <> :incarnation`,
      `insert into ${t.presence} (grp, incarnation, node, living, state, beat, lease_ms, beat_at_ms, expires_at_ms, join_order, joined_at_ms, view_seen, metadata, metadata_version, observer, evicted)
        select :group, :incarnation, :node, :node, 'alive', 0, :leaseMs, @tribune_now, @tribune_now + :leaseMs, @tribune_order + 1, @tribune_now, 0, :metadata, 1, :observer, 0
        from dual where cast(@tribune_settings as binary) = cast(:settings as binary) and @tribune_known is null and @tribune_taken is null`,
      done,
      `update ${t.groups} g set g.join_order = @tribune_order + 1, g.longest_lease_ms = greatest(g.longest_lease_ms, :leaseMs) where g.grp = :group and @tribune_done = 1`,
      "commit",
      `select ${SERVER_COLUMNS}, @tribune_done as done, @tribune_settings as settings, @tribune_known as known, @tribune_known_order as known_order, @tribune_order + 1 as join_order`,
      `select ${PRESENCE_COLUMNS} from ${t.presence} p where p.grp = :group and p.incarnation = @tribune_taken`,
    ),

    leave: packet(
      server,
      `update ${t.presence} p set p.state = 'dead', p.living = null, p.dead_reason = 'left', p.dead_at_ms = @tribune_now
        where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and @tribune_epoch is not null`,
      done,
      answer,
    ),

    declareDead: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null, @tribune_node = null`,
      `select 1, p.node into @tribune_seen, @tribune_node from ${t.presence} p where ${deathOf}`,
      "start transaction",
      group("@tribune_seen = 1"),
      `update ${t.presence} p set p.state = 'dead', p.living = null, p.dead_reason = :reason, p.dead_at_ms = @tribune_now
        where @tribune_generation is not null and ${deathOf}`,
      done,
      event("declared-dead", "@tribune_node", ":detail"),
      counted({ election: false, events: true }),
      "commit",
      answer,
    ),

    updateMetadata: packet(
      server,
      `update ${t.presence} p set p.metadata = :metadata, p.metadata_version = p.metadata_version + 1
        where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and @tribune_epoch is not null`,
      done,
      answer,
    ),

    evict: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null`,
      `select p.incarnation into @tribune_seen from ${t.presence} p where p.grp = :group and p.living = :node and not p.evicted`,
      "start transaction",
      group("@tribune_seen is not null"),
      `update ${t.presence} p set p.evicted = 1
        where p.grp = :group and p.incarnation = @tribune_seen and p.state = 'alive' and not p.evicted and @tribune_generation is not null`,
      done,
      event("eviction-requested", ":node", `concat('{"incarnation":"', @tribune_seen, '",', :detail)`),
      counted({ election: false, events: true }),
      "commit",
      answer,
    ),

    createElection: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null`,
      `select 1 into @tribune_seen from ${t.elections} e where e.grp = :group and e.election = :election`,
      "start transaction",
      group("@tribune_seen is null"),
      // Nobody else makes one while the group's row is held, but it may have been made before that.
      `select 1 into @tribune_seen from ${t.elections} e where e.grp = :group and e.election = :election`,
      `insert into ${t.elections} (grp, election, token, epoch, version, priority, minimum_term_ms, ranked, changed_at_ms)
        select :group, :election, 0, if(@tribune_birth = @tribune_epoch, @tribune_epoch, ''), @tribune_version + 1, 0, 0, 0, @tribune_now
        from dual where @tribune_generation is not null and @tribune_seen is null`,
      done,
      `insert into ${t.fences} (grp, election, token) select :group, :election, 0 from dual where @tribune_done = 1 on duplicate key update token = token`,
      counted({ election: true, events: false }),
      "commit",
      `select ${SERVER_COLUMNS}, @tribune_done as done, exists (select 1 from ${t.groups} g where g.grp = :group) as group_known`,
    ),

    claim: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null, @tribune_claimant = null, @tribune_token = null, @tribune_fence = 0, @tribune_oldest = null, @tribune_locked = null, @tribune_passed = 0`,
      `select 1 into @tribune_seen from ${claimable(t)}`,
      "start transaction",
      group("@tribune_seen = 1 and g.epoch = @tribune_epoch"),
      // From here to the commit nobody else changes an election of this group, and the claimant does not die.
      `select 1 into @tribune_claimant from ${t.presence} p
        where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and @tribune_generation is not null lock in share mode`,
      "set @tribune_seen = null",
      `select 1 into @tribune_seen from ${claimable(t)}`,
      `select f.token into @tribune_fence from ${t.fences} f where f.grp = :group and f.election = :election`,
      `set @tribune_token = greatest(:expectedToken, @tribune_fence, :tokenSeen, least(@tribune_generation, ${2 ** 22}) * ${TOKENS_PER_GENERATION} - 1) + 1`,
      `update ${t.elections} e
        set e.token = @tribune_token, e.holder_incarnation = :incarnation, e.holder_node = :node, e.epoch = @tribune_epoch, e.version = @tribune_version + 1, e.resign_requested = null,
          e.resign_requested_for = null, e.reserved_node = null, e.reserved_for_ms = null, e.priority = :priority, e.minimum_term_ms = :minimumTermMs, e.changed_at_ms = @tribune_now
        where e.grp = :group and e.election = :election and e.token = :expectedToken and @tribune_seen = 1 and @tribune_claimant = 1 and @tribune_token <= ${Number.MAX_SAFE_INTEGER}`,
      done,
      counted({ election: true, events: true }),
      termEnded("'superseded'"),
      `insert into ${t.terms} (grp, election, token, node, incarnation, began_at_ms)
        select :group, :election, @tribune_token, :node, :incarnation, @tribune_now from dual where @tribune_done = 1`,
      `set @tribune_oldest = (select o.token from ${t.terms} o where o.grp = :group and o.election = :election and @tribune_done = 1 order by o.token desc limit 1 offset ${TERMS_KEPT - 1})`,
      `delete from ${t.terms} where grp = :group and election = :election and token < @tribune_oldest`,
      event("term-began", ":election", `concat('{"token":', @tribune_token, ',', :detail)`),
      `delete from ${t.events} where grp = :group and sequence <= @tribune_sequence + 1 - ${EVENTS_KEPT} and @tribune_done = 1`,
      `select f.token into @tribune_locked from ${t.fences} f where f.grp = :group and f.election = :election and @tribune_done = 1 and :andPass for update skip locked`,
      `update ${t.fences} f set f.token = @tribune_token where f.grp = :group and f.election = :election and @tribune_locked < @tribune_token`,
      "set @tribune_passed = (row_count() > 0)",
      "commit",
      `select ${SERVER_COLUMNS}, @tribune_done as done, @tribune_token as token, @tribune_passed as passed, @tribune_seen = 1 and @tribune_token > ${Number.MAX_SAFE_INTEGER} as exhausted`,
    ),

    /** `holds`, `fence`: as they are without a lock; `locked`: the fence under its lock, null if that was not to be had at once; `done`: it was moved. */
    passFence: packet(
      server,
      "set @tribune_done = 0, @tribune_holds = null, @tribune_fence = null, @tribune_named = null, @tribune_locked = null",
      `select 1, f.token into @tribune_holds, @tribune_fence from ${t.elections} e join ${t.fences} f on f.grp = e.grp and f.election = e.election
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation = :incarnation and @tribune_epoch = :epoch`,
      "start transaction",
      `select 1 into @tribune_named from ${t.elections} e
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation = :incarnation and @tribune_fence < :token for update skip locked`,
      `select f.token into @tribune_locked from ${t.fences} f where f.grp = :group and f.election = :election and @tribune_named = 1 for update skip locked`,
      `update ${t.fences} f set f.token = :token where f.grp = :group and f.election = :election and @tribune_locked < :token`,
      done,
      "commit",
      `select ${SERVER_COLUMNS}, @tribune_done as done, @tribune_holds as holds, @tribune_fence as fence, @tribune_locked as locked`,
    ),

    resign: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null, @tribune_node = null`,
      `select 1, e.holder_node into @tribune_seen, @tribune_node from ${t.elections} e
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation = :incarnation`,
      "start transaction",
      group("@tribune_seen = 1"),
      `update ${t.elections} e
        set e.holder_incarnation = null, e.holder_node = null, e.version = @tribune_version + 1, e.resign_requested = null, e.resign_requested_for = null, ${reservationOf}, e.changed_at_ms = @tribune_now
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation = :incarnation and @tribune_generation is not null`,
      done,
      counted({ election: true, events: true }),
      termEnded(":reason"),
      event("term-ended", ":election", `concat('{"token":', :token, ',"node":', json_quote(@tribune_node), ',', :detail)`),
      "commit",
      answer,
    ),

    requestResign: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null, @tribune_node = null`,
      `select 1, e.holder_node into @tribune_seen, @tribune_node from ${t.elections} e
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation is not null`,
      "start transaction",
      group("@tribune_seen = 1"),
      `update ${t.elections} e set e.resign_requested = :token, e.resign_requested_for = :for, e.version = @tribune_version + 1
        where e.grp = :group and e.election = :election and e.token = :token and e.holder_incarnation is not null and @tribune_generation is not null`,
      done,
      counted({ election: true, events: true }),
      event("resign-requested", ":election", `concat('{"token":', :token, ',"node":', json_quote(@tribune_node), :detail)`),
      "commit",
      answer,
    ),

    pause: packet(
      server,
      `set ${noGroup}, @tribune_done = 0`,
      "start transaction",
      group("true"),
      `update ${t.elections} e set e.pause_reason = :reason, e.paused_by = :by, e.paused_at_ms = @tribune_now, e.version = @tribune_version + 1
        where e.grp = :group and e.election = :election and e.paused_at_ms is null and @tribune_generation is not null`,
      done,
      counted({ election: true, events: true }),
      event("election-paused", ":election", ":detail"),
      "commit",
      answer,
    ),

    resume: packet(
      server,
      `set ${noGroup}, @tribune_done = 0`,
      "start transaction",
      group("true"),
      `update ${t.elections} e set e.pause_reason = null, e.paused_by = null, e.paused_at_ms = null, e.version = @tribune_version + 1
        where e.grp = :group and e.election = :election and e.paused_at_ms is not null and @tribune_generation is not null`,
      done,
      counted({ election: true, events: true }),
      event("election-resumed", ":election", ":detail"),
      "commit",
      answer,
    ),

    stand: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_stands = 0, @tribune_claimant = null, @tribune_seen = null`,
      "start transaction",
      group("true"),
      `select 1 into @tribune_claimant from ${t.presence} p
        where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and @tribune_generation is not null lock in share mode`,
      `select 1 into @tribune_seen from ${t.elections} e where e.grp = :group and e.election = :election and @tribune_claimant = 1`,
      `insert into ${t.candidates} (grp, election, incarnation, priority, fit)
        select :group, :election, :incarnation, :priority, :fit from dual where @tribune_seen = 1
        on duplicate key update priority = :priority, fit = :fit`,
      "set @tribune_stands = coalesce(@tribune_seen, 0)",
      `update ${t.elections} e set e.ranked = 1, e.version = @tribune_version + 1 where e.grp = :group and e.election = :election and not e.ranked and :priority <> 0 and @tribune_stands = 1`,
      done,
      counted({ election: true, events: false }),
      "commit",
      `select ${SERVER_COLUMNS}, @tribune_stands as done`,
    ),

    standDown: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_claimant = null`,
      "start transaction",
      group("true"),
      `select 1 into @tribune_claimant from ${t.presence} p
        where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and @tribune_generation is not null lock in share mode`,
      `delete from ${t.candidates} where grp = :group and election = :election and incarnation = :incarnation and @tribune_claimant = 1`,
      done,
      "commit",
      answer,
    ),

    readCandidates: packet(server, ...SNAPSHOT, groupRow(t), candidateRows(t, " and c.election = :election"), "commit"),

    readMembers: packet(
      server,
      ...SNAPSHOT,
      groupRow(t),
      `select p.incarnation, p.node, p.state, p.metadata, p.metadata_version, p.join_order, p.joined_at_ms, p.dead_reason, p.observer
        from ${t.presence} p where p.grp = :group and p.incarnation in (:incarnations)`,
      "commit",
    ),

    /** Begins; `publishEvents` go in between, then `publishEnd`. */
    publishBegin: packet(
      server,
      `set ${noGroup}, @tribune_done = 0, @tribune_seen = null, @tribune_fence = null`,
      `select 1 into @tribune_seen from ${t.groups} g where g.grp = :group and ${inRange("g.epoch", "g.generation", "g.view_version")}`,
      "start transaction",
      group(`@tribune_seen = 1 and ${inRange("g.epoch", "g.generation", "g.view_version")}`),
      "set @tribune_seen = null",
      `select 1 into @tribune_seen from ${t.elections} e
        where e.grp = :group and e.election = '${COORDINATOR}' and e.token = :token and e.holder_incarnation = :incarnation and @tribune_generation is not null`,
      `select 1 into @tribune_fence from ${t.fences} f where f.grp = :group and f.election = '${COORDINATOR}' and f.token = :token and @tribune_seen = 1 lock in share mode`,
      `insert into ${t.views} (grp, version, view) select :group, :version, :view from dual where @tribune_fence = 1
        on duplicate key update version = :version, view = :view`,
      "set @tribune_done = coalesce(@tribune_fence, 0)",
    ),
    publishEvents: (count: number) =>
      `insert into ${t.events} (grp, sequence, at_ms, type, subject, detail)\n${Array.from(
        { length: count },
        (_, n) => `select :group, @tribune_sequence + ${n + 1}, @tribune_now, :type${n}, :subject${n}, :detail${n} from dual where @tribune_done = 1`,
      ).join("\nunion all ")}`,
    publishEnd: packet(
      `update ${t.groups} g set g.view_version = :version, g.event_sequence = @tribune_sequence + :eventCount where g.grp = :group and @tribune_done = 1`,
      `delete from ${t.events} where grp = :group and sequence <= @tribune_sequence + :eventCount - ${EVENTS_KEPT} and @tribune_done = 1`,
      `delete c from ${t.presence} p force index (dead) join ${t.candidates} c on c.grp = p.grp and c.incarnation = p.incarnation where ${forgotten(t)}`,
      `delete p from ${t.presence} p force index (dead) where ${forgotten(t)}`,
      "commit",
      answer,
    ),

    readDocument: packet(server, `select ${SERVER_COLUMNS}, d.version, d.body from ${ONE_ROW} left join ${t.documents} d on d.grp = :group and d.name = :name`),

    writeDocument: packet(
      ...documentGranted,
      `insert into ${t.documents} (grp, name, version, body) select :group, :name, @tribune_next, :text from dual where @tribune_next <= ${Number.MAX_SAFE_INTEGER}
        on duplicate key update version = @tribune_next, body = :text`,
      done,
      `update ${t.groups} g set g.documents_version = @tribune_next where g.grp = :group and @tribune_done = 1`,
      "commit",
      answer,
    ),

    removeDocument: packet(
      ...documentGranted,
      `delete from ${t.documents} where grp = :group and name = :name and version = :expectedVersion and @tribune_next is not null`,
      done,
      "commit",
      answer,
    ),

    listDocuments: packet(server, `select ${SERVER_COLUMNS}`, `select d.name, d.version from ${t.documents} d where d.grp = :group and left(d.name, char_length(:prefix)) = :prefix order by d.name`),

    readEvents: packet(
      server,
      ...SNAPSHOT,
      `select ${SERVER_COLUMNS}, g.event_sequence as newest, (select o.sequence from ${t.events} o where o.grp = :group order by o.sequence limit 1) as oldest
        from ${ONE_ROW} left join ${t.groups} g on g.grp = :group`,
      `select o.sequence, o.at_ms, o.type, o.subject, o.detail from ${t.events} o where o.grp = :group and o.sequence > :after order by o.sequence limit :limit`,
      "commit",
    ),

    readGroup: packet(
      server,
      ...SNAPSHOT,
      `select ${SERVER_COLUMNS}, g.generation, g.settings, (select m.version from ${t.meta} m) as schema_version from ${ONE_ROW} left join ${t.groups} g on g.grp = :group`,
      `select v.view from ${t.views} v where v.grp = :group`,
      `select ${PRESENCE_COLUMNS} from ${t.presence} p where p.grp = :group`,
      `select ${ELECTION_COLUMNS} from ${t.elections} e where e.grp = :group`,
      candidateRows(t, ""),
      `select f.election, f.token from ${t.fences} f where f.grp = :group`,
      `select o.election, o.token, o.node, o.incarnation, o.began_at_ms, o.ended_at_ms, o.end_reason from ${t.terms} o where o.grp = :group order by o.election, o.token desc`,
      "commit",
    ),

    /** Those of the named incarnations whose evidence is of this run of the server, with the lock that it is, and whether that, or its bell, is free. */
    keysOf: packet(
      server,
      `select p.armed_key, (is_used_lock(p.armed_key) is null or is_used_lock(concat(p.armed_key, '${BELL}')) is null) as free from ${t.presence} p where p.grp = :group and p.incarnation in (:incarnations) and p.state = 'alive' and p.armed_in = ${ARMED_NOW}`,
    ),
  };
}

/** The tables' full names: nothing depends on the connection's default database, which on a pool's connection is the user's. */
export function tablesIn({ database, prefix }: TablePlace) {
  const name = (table: string) => `\`${database}\`.\`${prefix}${table}\``;
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

export type Tables = ReturnType<typeof tablesIn>;

function packet(...statements: readonly string[]): string {
  return statements.join(";\n");
}

// ---- the server

/** Milliseconds since 1970 at which the statement began, whatever the session's time zone. Not `unix_timestamp(now())`, which is ambiguous for an hour each autumn. */
const NOW = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000";

/** Whether the server takes writes from everybody; a demoted primary goes on taking those of an administrator. */
const WRITABLE = "cast(@@global.read_only as char) in ('0', 'OFF')";

/**
 * Whether a crash of the server, or of its machine, loses nothing that was answered. Where there is a binary log, recovery asks it which prepared transactions
 * were committed, so it has to be on disk as well (MariaDB manual, "Binary Log Group Commit and InnoDB Flushing Performance"; MySQL manual, "sync_binlog").
 */
const LASTING = "@@global.innodb_flush_log_at_trx_commit = 1 and (cast(@@global.log_bin as char) in ('0', 'OFF') or @@global.sync_binlog = 1)";

/** What the session calls the server whose session it is: set once, by the server itself, see `greeting`. */
export const SERVER_NAME = `if(${LASTING}, @tribune_lasting, @tribune_passing)`;

/** What evidence is armed in: an epoch may outlast a run of the server, locks do not. */
const ARMED_NOW = "concat(@tribune_epoch, '@', @tribune_start)";

/** Whether the session that runs the statement holds the lock that it arms the row with. */
const OWN_LOCK = "is_used_lock(:armedWith) = connection_id()";

/**
 * The first statement of each packet: the epoch, or null where this server is not the one that the last epoch names, or takes no writes. Nothing is written then.
 * An aggregate, so that there is a row in any case.
 */
function serverPart({ meta }: Pick<Tables, "meta">): string {
  return `select max(${EPOCH}), max(m.epoch_number), ${NOW} into @tribune_epoch, @tribune_number, @tribune_now from ${meta} m where m.one = 1`;
}

const EPOCH = `if(${WRITABLE} and m.server = ${SERVER_NAME}, concat(m.server, ':', m.epoch_number), null)`;

/** What every packet answers about the server, in its first row. */
const SERVER_COLUMNS = `@tribune_epoch as epoch, @tribune_now as now_ms, ${WRITABLE} as writable`;

/** What follows is one consistent reading. */
const SNAPSHOT = ["set transaction isolation level repeatable read", "start transaction with consistent snapshot, read only"];

const ONE_ROW = "(select 1 as one) only_row";

// ---- parts

const PRESENCE_COLUMNS = `p.incarnation, p.node, p.state, p.beat, p.lease_ms, p.expires_at_ms <= @tribune_now as expired, greatest(0, @tribune_now - p.beat_at_ms) as beat_age_ms, p.join_order,
        p.view_seen, p.metadata_version, p.observer, p.evicted,
        case when p.state = 'alive' and p.armed_in = ${ARMED_NOW} then if(is_used_lock(p.armed_key) is null, 'free', 'held') else 'none' end as evidence`;

const ELECTION_COLUMNS = `e.election, e.token, e.holder_incarnation, e.holder_node, e.epoch, e.version, e.resign_requested, e.resign_requested_for, e.reserved_node, e.reserved_for_ms,
        e.pause_reason, e.paused_by, e.paused_at_ms, e.priority, e.minimum_term_ms, e.ranked, e.changed_at_ms`;

/** The write of a beat: nothing unless the group has adopted the server's epoch and the sender's generation, which `raise` sees to. */
function beat(t: Tables): readonly string[] {
  return [
    `select max(${EPOCH}), max(m.epoch_number), ${NOW}, coalesce(max(g.epoch = ${EPOCH} and g.generation >= :generation), 0)
      into @tribune_epoch, @tribune_number, @tribune_now, @tribune_fresh from ${t.meta} m left join ${t.groups} g on g.grp = :group where m.one = 1`,
    `update ${t.presence} p
      set p.beat = :beat, p.beat_at_ms = @tribune_now, p.expires_at_ms = @tribune_now + p.lease_ms, p.view_seen = greatest(p.view_seen, :viewSeen),
        p.armed_key = if(${OWN_LOCK}, :armedWith, null), p.armed_in = if(${OWN_LOCK}, ${ARMED_NOW}, null)
      where p.grp = :group and p.incarnation = :incarnation and p.state = 'alive' and not p.evicted and p.beat < :beat and @tribune_fresh = 1 and :epoch in ('', @tribune_epoch)`,
    "set @tribune_done = (row_count() > 0)",
  ];
}

/** What a look shows, as one snapshot: the group's row, elections, view, presence. */
function reading(t: Tables, { own, watched }: { readonly own: boolean; readonly watched: string }): readonly string[] {
  const ownColumns = own ? ", @tribune_fresh as fresh, @tribune_done as done, o.state as own_state, o.evicted as own_evicted" : "";
  const ownRow = own ? ` left join ${t.presence} o on o.grp = :group and o.incarnation = :incarnation` : "";
  return [
    ...SNAPSHOT,
    `select ${SERVER_COLUMNS}, g.generation, g.elections_version, g.view_version, g.longest_lease_ms${ownColumns} from ${ONE_ROW} left join ${t.groups} g on g.grp = :group${ownRow}`,
    `select ${ELECTION_COLUMNS} from ${t.elections} e where e.grp = :group and e.version > if(:epoch = @tribune_epoch, :electionsVersion, -1)`,
    `select v.view from ${t.views} v where v.grp = :group and (:epoch <> @tribune_epoch or v.version <> :viewVersion)`,
    `select ${PRESENCE_COLUMNS} from ${t.presence} p where p.grp = :group${watched}`,
    "commit",
  ];
}

function groupRow(t: Tables): string {
  return `select ${SERVER_COLUMNS}, g.generation from ${ONE_ROW} left join ${t.groups} g on g.grp = :group`;
}

function candidateRows(t: Tables, which: string): string {
  return `select c.election, c.incarnation, p.node, c.priority, c.fit, p.join_order
        from ${t.candidates} c join ${t.presence} p on p.grp = c.grp and p.incarnation = c.incarnation
        where c.grp = :group and p.state = 'alive'${which} order by p.join_order`;
}

/** The election as the claimant saw it, free for it; the claimant's own row is looked at under its lock. */
function claimable(t: Tables): string {
  return `${t.elections} e left join ${t.presence} h on h.grp = e.grp and h.incarnation = e.holder_incarnation and h.state = 'alive'
        where e.grp = :group and e.election = :election and e.token = :expectedToken and h.incarnation is null and e.paused_at_ms is null
          and (e.reserved_node is null or e.reserved_node = :node or :overReservation) and @tribune_epoch = :epoch`;
}

/** The new view follows the stored one, and its number is of the present generation, which is that of the epoch. */
function inRange(epoch: string, generation: string, viewVersion: string): string {
  return `@tribune_epoch = :epoch and ${epoch} = :epoch and ${viewVersion} = :expectedVersion and :version > :expectedVersion and :version > (${generation} - 1) * ${VIEWS_PER_GENERATION}`;
}

/** The dead that nobody asks for any more. Found by their own index, so that nobody's beat is in the way. */
function forgotten(t: Tables): string {
  return `p.grp = :group and p.dead_at_ms < @tribune_now - :forgetDeadAfterMs and @tribune_done = 1
        and not exists (select 1 from ${t.elections} e where e.grp = p.grp and e.holder_incarnation = p.incarnation)`;
}

/** What a value may be: text, a finite number, a truth, nothing, or several texts for `in (…)`. */
export type Value = string | number | boolean | null | readonly string[];

/** Puts values in place of their names, each escaped by the driver. No text of ours has a colon with a letter behind it that is not one. */
export function filled(text: string, values: Readonly<Record<string, Value>>, escape: (value: string) => string): string {
  return text.replace(/:([a-z]\w*)/gi, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`a statement of the MySQL store lacks the value ${name}`);
    return literal(value, escape);
  });
}

function literal(value: Value, escape: (value: string) => string): string {
  if (value === null) return "null";
  if (typeof value === "string") return escape(value);
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value !== "number") return value.length === 0 ? "null" : value.map((each) => escape(each)).join(", "); // in (null) is never true
  if (!Number.isFinite(value)) throw new Error(`${value} is no number for a statement`);
  return String(value);
}
