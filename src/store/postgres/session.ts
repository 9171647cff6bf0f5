import { Events, isTribuneError, TribuneError } from "../../kernel/index.ts";
import { checkDocumentName, checkDocumentPrefix, checkDocumentText, SessionGate } from "../index.ts";
import type {
  AttendInput,
  BeatInput,
  BeatReply,
  Call,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  DocumentFence,
  DocumentRow,
  EventPage,
  EvictInput,
  GroupReading,
  Hint,
  JoinInput,
  JoinResult,
  LookInput,
  LookReply,
  MemberRow,
  OpenContext,
  PassFenceInput,
  PauseInput,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  ResignInput,
  SessionInfo,
  StoredDocument,
  StoreSession,
  WriteDocumentInput,
} from "../index.ts";
import { attend } from "./attend.ts";
import { isReadCommitted, wholeMs } from "./connection.ts";
import type { Connection, ConnectionSource, Row, ServerFacts } from "./connection.ts";
import { isForbidden, lostRace, mapPostgresError, wasAnswered, wasCalledOff, wasNotPrepared } from "./errors.ts";
import type { EvidenceFound } from "./evidence.ts";
import { channelOf, hintOf } from "./hints.ts";
import { beatReplyOf, candidatesOf, eventPageOf, groupReadingOf, intOf, isTrue, lookReplyOf, membersOf, presenceRowOf, textOf } from "./replies.ts";
import { statementsFor } from "./statements.ts";
import type { StatementNames, Statements } from "./statements.ts";

/** How often an operation is run again after the server called it off without having written anything. */
const ATTEMPTS = 5;

/** By then a node that has just started has claimed what it can. */
const BEATS_BEFORE_REHEARSAL = 3;

const POOLED =
  "The connection goes through a pooler, so changes are not pushed to this node and are seen with the next beat; " +
  "connect to the server directly, or to a port of the pooler that keeps sessions and tells the server's process number, to have them at once.";
const MOVED =
  "The connection is served by changing server processes, so changes are no longer pushed to this node and are seen with the next beat; connect to the server directly to have them at once.";
const NOT_READ_COMMITTED =
  "The pooler's connections have another isolation level than READ COMMITTED, so each operation takes three round trips instead of one; " +
  "set default_transaction_isolation to 'read committed' for this role, or connect to the server directly.";
const NO_FSYNC = "The server runs with fsync off, so a crash loses commits, and each of its restarts counts as a failover; switch fsync on.";

/** What a session is made with, besides its connection. */
interface SessionOptions {
  readonly context: OpenContext;
  readonly schema: string;
  /** For attending, which takes a connection more. */
  readonly source: ConnectionSource;
  readonly evidence: EvidenceFound;
  /** Told when the connection turned out to be served by changing server processes. */
  readonly onMoved: () => void;
}

/** The operations of one node, each as one statement on one connection. */
export class PostgresSession implements StoreSession {
  readonly #connection: Connection;
  readonly #group: string;
  readonly #label: string;
  readonly #channel: string;
  readonly #context: OpenContext;
  readonly #source: ConnectionSource;
  #names: StatementNames;
  #sql: Statements;
  /** What beats are armed with, and what others' evidence is compared with; null if this session holds none. */
  readonly #evidenceKey: string | null;
  readonly #onMoved: () => void;
  readonly #gate: SessionGate;
  readonly #hints: Events<{ hint: Hint }>;
  #info: SessionInfo;
  #endsPolitely = false;
  #beats = 0;
  #goodbye: Promise<void> | undefined;

  constructor(connection: Connection, { context, schema, source, evidence, onMoved }: SessionOptions) {
    const { label } = source;
    this.#connection = connection;
    this.#group = context.group;
    this.#label = label;
    this.#channel = channelOf(schema, context.group);
    this.#context = context;
    this.#source = source;
    this.#names = { schema, channel: this.#channel, lockLimitMs: wholeMs(context.statementLimitMs), probes: connection.facts.probes };
    this.#sql = statementsFor(this.#names);
    this.#evidenceKey = evidence.key ?? null;
    this.#onMoved = onMoved;
    this.#gate = new SessionGate({ clock: context.clock, label, onEnd: () => this.#leaveConnection() });
    this.#hints = new Events((error, event) => context.logger.error({ error, event, group: context.group }, "a listener of hints failed"));
    const { direct, version } = connection.facts;
    this.#info = { serverVersion: `PostgreSQL ${version}`, hints: direct, warnings: warningsOf(connection.facts, evidence), evidence: evidence.evidence };
    connection.onNotification((channel, payload) => this.#onNotification(channel, payload));
    connection.onBroken = (error) => this.#gate.end(mapPostgresError(error, "the session", label));
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  get info(): SessionInfo {
    return this.#info;
  }

  onHint(listener: (hint: Hint) => void): () => void {
    return this.#hints.on("hint", (hint) => listener(hint));
  }

  /** Begins to listen, where that makes sense. Part of opening. */
  async listen(): Promise<void> {
    if (this.#info.hints) await this.#connection.query(`listen "${this.#channel}"`);
  }

  // ---- presence

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    const { incarnation, node, leaseMs, metadata, settings, generation = 0, observer = false } = input;
    const values = [incarnation, node, Math.ceil(leaseMs), metadata, settings, generation, observer, this.#evidenceKey];
    return this.#run("join", call, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const [row] = await this.#ask(this.#sql.join, values);
        const result = row === undefined ? undefined : this.#joinResult(row, input);
        if (result !== undefined) return result;
      }
      throw new TribuneError("STORE_BUSY", `join of ${node} on ${this.#label} met others who join again and again; nothing was written`, { about: node, next: "try again" });
    });
  }

  /** `undefined`: somebody else made the group, or took the name, while the statement ran. */
  #joinResult(row: Row, { incarnation, node, settings }: JoinInput): JoinResult | undefined {
    const stored = row["settings"] ?? settings;
    if (stored !== settings) return { outcome: "settings-mismatch", settings: stored };
    if (row["known_state"] === "alive") return { outcome: "joined", joinOrder: intOf(row, "known_join_order"), epoch: textOf(row, "epoch") };
    if (row["known_state"] === "dead") {
      throw new TribuneError("INCARNATION_DEAD", `incarnation ${incarnation} is dead and does not come back`, { about: node, next: "join with a fresh incarnation" });
    }
    const taken = row["taken"] ?? null;
    if (taken !== null) return { outcome: "name-taken", by: presenceRowOf(JSON.parse(taken) as Parameters<typeof presenceRowOf>[0]) };
    return (row["joined"] ?? null) === null ? undefined : { outcome: "joined", joinOrder: intOf(row, "joined"), epoch: textOf(row, "epoch") };
  }

  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    const { incarnation, beat, viewSeen, generation, cursor, watch } = input;
    const values = [incarnation, beat, viewSeen, generation, cursor.epoch, cursor.electionsVersion, cursor.viewVersion, this.#evidenceKey];
    return this.#run("beat", call, async () => {
      const [row] = watch === "all" ? await this.#ask(this.#sql.beatWatchingAll, values, "tribune_beat_all") : await this.#ask(this.#sql.beatWatchingSome, [...values, watch], "tribune_beat");
      if ((this.#beats += 1) === BEATS_BEFORE_REHEARSAL) void this.#rehearse();
      return beatReplyOf(this.#existing(row, call));
    });
  }

  look({ cursor, watch }: LookInput, call: Call): Promise<LookReply> {
    const values = [cursor.epoch, cursor.electionsVersion, cursor.viewVersion, this.#evidenceKey];
    return this.#run("look", call, async () => {
      const [row] = watch === "all" ? await this.#ask(this.#sql.lookWatchingAll, values, "tribune_look_all") : await this.#ask(this.#sql.lookWatchingSome, [...values, watch], "tribune_look");
      return lookReplyOf(this.#existing(row, call));
    });
  }

  leave({ incarnation }: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, async () => await this.#done(this.#sql.leave, [incarnation]));
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    const { incarnation, beat, epoch, requireExpired, requireFree = false, by, reason } = input;
    const values = [incarnation, beat, epoch, requireExpired, reason, JSON.stringify({ incarnation, by, reason }), requireFree, this.#evidenceKey];
    return this.#race("declareDead", call, false, async () => await this.#done(this.#sql.declareDead, values, "tribune_declare_dead"));
  }

  updateMetadata({ incarnation, metadata }: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#run("updateMetadata", call, async () => await this.#done(this.#sql.updateMetadata, [incarnation, metadata]));
  }

  evict({ node, by, reason }: EvictInput, call: Call): Promise<boolean> {
    return this.#run("evict", call, async () => await this.#done(this.#sql.evict, [node, storable(by), storable(reason)]));
  }

  async attend({ incarnations, signal }: AttendInput): Promise<void> {
    if (!this.#names.probes) {
      throw new TribuneError("STORE_PERMISSION_DENIED", `attending evidence on ${this.#label} takes a privilege that this role lacks`, { about: this.#label, next: "grant execute on pg_try_advisory_xact_lock_shared and pg_advisory_xact_lock_shared to it" });
    }
    const either = AbortSignal.any([signal, this.ended]);
    await attend({ source: this.#source, context: this.#context, signal: either, incarnations: [...incarnations], statement: this.#sql.attend, label: this.#label });
  }

  // ---- elections

  createElection({ election }: { readonly election: string }, call: Call): Promise<void> {
    return this.#run("createElection", call, async () => {
      const [row] = await this.#ask(this.#sql.createElection, [election]);
      if (!isTrue(row, "group_known")) throw this.#groupUnknown();
    });
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    const { election, expectedToken, incarnation, tokenSeen, epoch, node, priority = 0, minimumTermMs = 0, overReservation = false, andPass = false } = input;
    const values = [election, expectedToken, incarnation, tokenSeen, epoch, node, priority, Math.ceil(minimumTermMs), overReservation, andPass];
    return this.#race("claim", call, null, async () => {
      const [row] = await this.#ask(this.#sql.claim, values, "tribune_claim");
      if (isTrue(row, "exhausted")) {
        throw new TribuneError("TOKEN_EXHAUSTED", `tokens of ${election} are used up`, { about: election, next: "use an election of another name" });
      }
      return row === undefined || row["token"] === null ? null : { token: intOf(row, "token"), passed: isTrue(row, "passed") };
    });
  }

  passFence({ election, incarnation, token, epoch }: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#race<"passed" | "busy" | "superseded">("passFence", call, "busy", async () => {
      const [row] = await this.#ask(this.#sql.passFence, [election, incarnation, token, epoch], "tribune_pass_fence");
      if (row === undefined || !isTrue(row, "holds") || intOf(row, "fence") > token) return "superseded";
      if (intOf(row, "fence") === token || isTrue(row, "moved")) return "passed";
      return row["locked"] !== null && intOf(row, "locked") > token ? "superseded" : "busy";
    });
  }

  resign({ election, incarnation, token, reason, reservation }: ResignInput, call: Call): Promise<boolean> {
    const keptFor = reservation === undefined ? [null, null] : [reservation.node, Math.ceil(reservation.forMs)];
    return this.#run("resign", call, async () => await this.#done(this.#sql.resign, [election, incarnation, token, storable(reason), ...keptFor], "tribune_resign"));
  }

  requestResign(input: RequestResignInput, call: Call): Promise<boolean> {
    return this.#run("requestResign", call, async () => await this.#done(this.#sql.requestResign, [input.election, input.token, input.for ?? null]));
  }

  pause({ election, by, reason }: PauseInput, call: Call): Promise<boolean> {
    return this.#run("pause", call, async () => await this.#done(this.#sql.pause, [election, storable(by), storable(reason)]));
  }

  resume({ election, by }: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#run("resume", call, async () => await this.#done(this.#sql.resume, [election, storable(by)]));
  }

  setCandidacy({ election, incarnation, candidacy }: CandidacyInput, call: Call): Promise<boolean> {
    return this.#run("setCandidacy", call, async () => {
      if (candidacy === null) return await this.#done(this.#sql.withdraw, [election, incarnation]);
      return await this.#done(this.#sql.contend, [election, incarnation, candidacy.priority, candidacy.fit]);
    });
  }

  readCandidates({ election }: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    return this.#run("readCandidates", call, async () => {
      const [row] = await this.#ask(this.#sql.readCandidates, [election]);
      return row === undefined ? [] : candidatesOf(row);
    });
  }

  // ---- membership and record

  readMembers({ incarnations }: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    return this.#run("readMembers", call, async () => {
      const [row] = await this.#ask(this.#sql.readMembers, [incarnations]);
      return row === undefined ? [] : membersOf(row);
    });
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    const { token, incarnation, epoch, expectedVersion, view, forgetDeadAfterMs } = input;
    const events = [...input.events, { type: "view-published", subject: this.#group, detail: { version: view.version, members: view.members.length, token } }];
    const columns = [events.map((each) => each.type), events.map((each) => each.subject), events.map((each) => JSON.stringify(each.detail))];
    const values = [token, incarnation, epoch, expectedVersion, view.version, JSON.stringify(view), ...columns, Math.min(Math.ceil(forgetDeadAfterMs), Number.MAX_SAFE_INTEGER)];
    return this.#race("publishView", call, false, async () => await this.#done(this.#sql.publishView, values));
  }

  async readDocument({ name }: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    checkDocumentName(name);
    return await this.#run("readDocument", call, async () => {
      const [row] = await this.#ask(this.#sql.readDocument, [name]);
      return row === undefined ? null : { version: intOf(row, "version"), text: textOf(row, "body") };
    });
  }

  async writeDocument({ name, expectedVersion, text, fence }: WriteDocumentInput, call: Call): Promise<boolean> {
    checkDocumentText(checkDocumentName(name), text);
    return await this.#race("writeDocument", call, false, async () => await this.#done(this.#sql.writeDocument, [name, expectedVersion, ...termOf(fence), text]));
  }

  async removeDocument({ name, expectedVersion, fence }: RemoveDocumentInput, call: Call): Promise<boolean> {
    checkDocumentName(name);
    return await this.#race("removeDocument", call, false, async () => await this.#done(this.#sql.removeDocument, [name, expectedVersion, ...termOf(fence)]));
  }

  async listDocuments({ prefix }: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    checkDocumentPrefix(prefix);
    return await this.#run("listDocuments", call, async () => {
      const rows = await this.#ask(this.#sql.listDocuments, [prefix]);
      return rows.map((row) => ({ name: textOf(row, "name"), version: intOf(row, "version") }));
    });
  }

  readEvents({ after, limit }: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, async () => {
      const [row] = await this.#ask(this.#sql.readEvents, [after, limit]);
      if (row === undefined) throw this.#groupUnknown();
      return eventPageOf(row, after);
    });
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, async () => {
      const [row] = await this.#ask(this.#sql.readGroup, [this.#evidenceKey]);
      return row === undefined ? null : groupReadingOf(row);
    });
  }

  /**
   * Has the server plan what a takeover consists of, at a quiet time: planning takes it several times as long as running (2.2 against 0.6 ms for a claim, measured), and would come just when
   * every millisecond counts. Nothing fits these values, so nothing is written. What goes wrong here comes again where it matters.
   */
  async #rehearse(): Promise<void> {
    if (!this.#connection.prepares) return;
    const nothing = [
      [this.#sql.declareDead, ["", -1, "", false, "expired", "{}", false, null], "tribune_declare_dead"],
      [this.#sql.claim, ["", -1, "", 0, "", "", 0, 0, false, false], "tribune_claim"],
      [this.#sql.passFence, ["", "", -1, ""], "tribune_pass_fence"],
      [this.#sql.resign, ["", "", -1, "", null, null], "tribune_resign"],
    ] as const;
    for (const [text, values, name] of nothing) await this.#ask(text, values, name).catch(() => undefined);
  }

  // ---- the end

  async close(): Promise<void> {
    if (!this.ended.aborted) {
      this.#endsPolitely = true;
      this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} was closed`, { about: this.#label }));
    }
    await this.#goodbye;
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  /** After `ended` was aborted, never before: with the connection the evidence goes, and whoever sees that takes over. */
  #leaveConnection(): void {
    if (this.#endsPolitely) this.#goodbye = this.#connection.close();
    else this.#connection.destroy();
  }

  // ---- how statements are run

  #run<T>(operation: string, call: Call, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(operation, call, async () => await this.#attempt(operation, work));
  }

  /** Like `#run`, for what may lose a race: where the server does not let the statement through, it has been lost. */
  #race<T>(operation: string, call: Call, lost: T, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(operation, call, async () => await this.#attempt(operation, work, { answer: lost }));
  }

  async #attempt<T>(operation: string, work: () => Promise<T>, lost?: { readonly answer: T }): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (isTribuneError(error)) throw error;
        if (wasNotPrepared(error)) this.#connection.prepares = false;
        if ((wasCalledOff(error) || wasNotPrepared(error)) && attempt < ATTEMPTS) continue;
        if (isForbidden(error) && this.#names.probes) {
          this.#stopProbing(); // it may have been that privilege that was taken away
          continue;
        }
        if (lost !== undefined && lostRace(error)) return lost.answer;
        const mapped = mapPostgresError(error, operation, this.#label);
        // What the server answered has written nothing and leaves the connection sound. After anything else nobody knows.
        if (!wasAnswered(error) || mapped.code === "STORE_READ_ONLY") this.#gate.end(mapped);
        throw mapped;
      }
    }
  }

  #ask(text: string, values: readonly unknown[], name?: string): Promise<readonly Row[]> {
    return this.#connection.query(text, [this.#group, ...values], name);
  }

  async #done(text: string, values: readonly unknown[], name?: string): Promise<boolean> {
    const [row] = await this.#ask(text, values, name);
    return isTrue(row, "done");
  }

  #existing(row: Row | undefined, call: Call): Row {
    if (row === undefined) throw this.#groupUnknown();
    this.#checkConnection(row, call);
    return row;
  }

  /** Each reply tells which server process wrote it and whether that one listens for us. */
  #checkConnection(row: Row, call: Call): void {
    if (!this.#info.hints) return;
    if (intOf(row, "pid") !== this.#connection.facts.pid) {
      this.#moved();
    } else if (!isTrue(row, "listening")) {
      this.#run("listen", call, async () => await this.listen()).catch(() => undefined); // the next reply tells whether it helped
    }
  }

  /** What was found out while opening was about another server process: so this session holds no evidence, and what others believed of it is void. */
  #moved(): void {
    this.#connection.prepares = false;
    const held = this.#info.evidence.held;
    const evidence = held ? { held: false, why: "the session turned out to be served by changing server processes" } : this.#info.evidence;
    this.#info = { ...this.#info, hints: false, warnings: [...this.#info.warnings, MOVED], evidence };
    this.#onMoved();
    if (held) this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} turned out to be served by changing server processes, so it is no evidence of life`, { about: this.#label, next: "nothing by hand: the next session holds none; connect to the server directly to have it" }));
  }

  #stopProbing(): void {
    this.#names = { ...this.#names, probes: false };
    this.#sql = statementsFor(this.#names);
    this.#connection.prepares = false; // what is prepared has another text
  }

  #onNotification(channel: string, payload: string | undefined): void {
    const hint = channel === this.#channel ? hintOf(payload) : undefined;
    if (hint !== undefined && !this.ended.aborted) this.#hints.emit("hint", hint);
  }

  #groupUnknown(): TribuneError {
    return new TribuneError("GROUP_UNKNOWN", `there is no group ${this.#group} in ${this.#label}`, {
      about: this.#group,
      next: "start a member of it first, or look for a slip in the name",
    });
  }
}

function termOf(fence: DocumentFence | undefined): readonly (string | number | null)[] {
  return fence === undefined ? [null, null, null] : [fence.election, fence.token, fence.incarnation];
}

function warningsOf(facts: ServerFacts, { warning }: EvidenceFound): readonly string[] {
  const all = [
    [!facts.direct, POOLED],
    [!isReadCommitted(facts), NOT_READ_COMMITTED],
    [!facts.fsync, NO_FSYNC],
    [warning !== undefined, warning ?? ""],
  ] as const;
  return all.filter(([holds]) => holds).map(([, each]) => each);
}

/** PostgreSQL's text holds no NUL, and a resignation must not fail for one in its reason. */
function storable(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}
