import { abortError, isTribuneError, sleep, TribuneError } from "../../kernel/index.ts";
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
import type { Connection, ConnectionSource, Row, ServerFacts } from "./connection.ts";
import { lostRace, mapMysqlError, wasAnswered, wasCalledOff } from "./errors.ts";
import { bellOf, NO_LOCK } from "./evidence.ts";
import type { EvidenceFound } from "./evidence.ts";
import { beatReplyOf, candidateRowOf, eventPageOf, first, groupReadingOf, intOf, isTrue, lookReplyOf, memberRowOf, presenceRowOf, textOf } from "./replies.ts";
import type { Answer } from "./replies.ts";
import type { Statements, Value } from "./statements.ts";

/** How often an operation is run again after the server called it off without having written anything. */
const ATTEMPTS = 5;

/** How long a bell is let go of: longer than the pause between two looks of those who look. */
const BELL_MS = 100;

const PASSING =
  "A crash of the server, or of its machine, may lose commits that were answered (innodb_flush_log_at_trx_commit is not 1, or there is a binary log and sync_binlog is not 1), " +
  "so each of its restarts counts as a failover; set both to 1.";
const GALERA =
  "The server is a node of a Galera cluster, where two writes on different nodes meet only when they are committed; point every member at the same node, since each change of nodes counts as a failover.";
const PROXIED = "The connection goes through a proxy; one that sends reads and writes to different servers must not be used, so connect to the primary directly.";

type Values = Readonly<Record<string, Value>>;

/** The operations of one node, each as one packet on one connection. */
export class MysqlSession implements StoreSession {
  readonly info: SessionInfo;
  readonly #connection: Connection;
  readonly #context: OpenContext;
  readonly #source: ConnectionSource;
  readonly #group: string;
  readonly #label: string;
  readonly #sql: Statements;
  readonly #gate: SessionGate;
  /** What beats are armed with. */
  readonly #armedWith: string;
  readonly #bell: string | undefined;
  #ringing = false;
  #saysGoodbye = false;
  #goodbye: Promise<void> | undefined;

  constructor(connection: Connection, options: { readonly context: OpenContext; readonly source: ConnectionSource; readonly sql: Statements; readonly evidence: EvidenceFound }) {
    const { context, source, sql, evidence } = options;
    this.#connection = connection;
    this.#context = context;
    this.#source = source;
    this.#group = context.group;
    this.#label = source.label;
    this.#sql = sql;
    this.#armedWith = evidence.key ?? NO_LOCK;
    this.#bell = evidence.key === undefined ? undefined : bellOf(evidence.key);
    this.#gate = new SessionGate({ clock: context.clock, label: source.label, onEnd: () => this.#leaveConnection() });
    const { facts } = connection;
    const warnings = [...warningsOf(facts), ...(evidence.warning === undefined ? [] : [evidence.warning])];
    this.info = { serverVersion: facts.mariadb ? facts.version : `MySQL ${facts.version}`, hints: false, warnings, evidence: evidence.evidence };
    connection.onBroken = (error) => this.#gate.end(mapMysqlError(error, "the session", this.#label));
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  /** There are none: MySQL tells nobody that something changed. */
  onHint(): () => void {
    return () => {};
  }

  // ---- presence

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    const { incarnation, node, leaseMs, metadata, settings, generation = 0, observer = false } = input;
    return this.#run("join", call, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const answer = await this.#ask(this.#sql.join, { incarnation, node, leaseMs: Math.ceil(leaseMs), metadata, settings, generation, observer });
        const result = this.#joinResult(answer, input);
        if (result !== undefined) return result;
      }
      throw new TribuneError("STORE_BUSY", `join of ${node} on ${this.#label} met others who join again and again; nothing was written`, { about: node, next: "try again" });
    });
  }

  /** `undefined`: who had the name was forgotten while the packet ran. */
  #joinResult([row = [], taken = []]: Answer, { incarnation, node, settings }: JoinInput): JoinResult | undefined {
    const joined = first(row);
    const [epoch, stored, known] = [textOf(joined, "epoch"), textOf(joined, "settings"), joined["known"] ?? null];
    if (isTrue(joined, "done")) return { outcome: "joined", joinOrder: intOf(joined, "join_order"), epoch };
    if (stored !== settings) return { outcome: "settings-mismatch", settings: stored };
    if (known === "alive") return { outcome: "joined", joinOrder: intOf(joined, "known_order"), epoch };
    if (known !== null) throw new TribuneError("INCARNATION_DEAD", `incarnation ${incarnation} is dead and does not come back`, { about: node, next: "join with a fresh incarnation" });
    return taken[0] === undefined ? undefined : { outcome: "name-taken", by: presenceRowOf(taken[0]) };
  }

  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    const { incarnation, beat, viewSeen, generation, watch } = input;
    const values = { ...lookValues(input), incarnation, beat, viewSeen, generation, armedWith: this.#armedWith };
    const text = watch === "all" ? this.#sql.beatWatchingAll : this.#sql.beatWatchingSome;
    return this.#run("beat", call, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const answer = await this.#ask(text, values);
        this.#checkGroup(answer);
        if (isTrue(first(answer[0]), "fresh")) return beatReplyOf(answer);
        // The group has another epoch, or an earlier generation than the sender has seen: nothing was written.
        await this.#ask(this.#sql.raise, { generation });
      }
      throw new TribuneError("STORE_BUSY", `beat on ${this.#label} could not raise the group's generation; nothing was written`, { about: this.#group, next: "try again" });
    });
  }

  look(input: LookInput, call: Call): Promise<LookReply> {
    const text = input.watch === "all" ? this.#sql.lookWatchingAll : this.#sql.lookWatchingSome;
    const values = lookValues(input);
    return this.#run("look", call, async () => {
      const answer = await this.#ask(text, values);
      this.#checkGroup(answer);
      return lookReplyOf(answer);
    });
  }

  leave({ incarnation }: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, async () => await this.#done(this.#sql.leave, { incarnation }));
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    const { incarnation, beat, epoch, requireExpired, requireFree = false, by, reason } = input;
    const values = { incarnation, beat, epoch, requireExpired, requireFree, reason, detail: JSON.stringify({ incarnation, by, reason }) };
    return this.#race("declareDead", call, false, async () => await this.#done(this.#sql.declareDead, values));
  }

  updateMetadata({ incarnation, metadata }: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#run("updateMetadata", call, async () => await this.#done(this.#sql.updateMetadata, { incarnation, metadata }));
  }

  evict({ node, by, reason }: EvictInput, call: Call): Promise<boolean> {
    return this.#run("evict", call, async () => await this.#done(this.#sql.evict, { node, detail: openDetail({ by, reason }) }));
  }

  async attend({ incarnations, signal }: AttendInput): Promise<void> {
    const either = AbortSignal.any([signal, this.ended]);
    if (this.ended.aborted) throw abortError(this.ended, "attending evidence");
    await attend({ source: this.#source, context: this.#context, signal: either, incarnations: [...incarnations], sql: this.#sql });
  }

  // ---- elections

  createElection({ election }: { readonly election: string }, call: Call): Promise<void> {
    return this.#run("createElection", call, async () => {
      const [row] = await this.#ask(this.#sql.createElection, { election });
      if (!isTrue(first(row), "group_known")) throw this.#groupUnknown();
    });
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    const { election, incarnation, node, expectedToken, epoch, tokenSeen, priority = 0, minimumTermMs = 0, overReservation = false, andPass = false } = input;
    const detail = openDetail({ node, incarnation });
    const values = { election, incarnation, node, expectedToken, epoch, tokenSeen, priority, minimumTermMs: Math.ceil(minimumTermMs), overReservation, andPass, detail };
    return this.#race("claim", call, null, async () => {
      const [rows] = await this.#ask(this.#sql.claim, values);
      const row = first(rows);
      if (isTrue(row, "exhausted")) throw new TribuneError("TOKEN_EXHAUSTED", `tokens of ${election} are used up`, { about: election, next: "use an election of another name" });
      return isTrue(row, "done") ? { token: intOf(row, "token"), passed: isTrue(row, "passed") } : null;
    });
  }

  passFence({ election, incarnation, token, epoch }: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#race<"passed" | "busy" | "superseded">("passFence", call, "busy", async () => {
      const [rows] = await this.#ask(this.#sql.passFence, { election, incarnation, token, epoch });
      const row = first(rows);
      if (!isTrue(row, "holds") || intOf(row, "fence") > token) return "superseded";
      if (intOf(row, "fence") === token || isTrue(row, "done")) return "passed";
      // With the lock in hand and nothing moved, somebody else has moved it since the first look.
      return (row["locked"] ?? null) !== null && intOf(row, "locked") > token ? "superseded" : "busy";
    });
  }

  resign({ election, incarnation, token, reason, reservation }: ResignInput, call: Call): Promise<boolean> {
    const detail = openDetail({ reason, ...(reservation === undefined ? {} : { for: reservation.node }) });
    const reserved = { reservedNode: reservation?.node ?? null, reservedForMs: reservation === undefined ? null : Math.ceil(reservation.forMs) };
    return this.#run("resign", call, async () => {
      const done = await this.#done(this.#sql.resign, { election, incarnation, token, reason, detail, ...reserved });
      if (done) void this.#ring();
      return done;
    });
  }

  requestResign({ election, token, for: whom }: RequestResignInput, call: Call): Promise<boolean> {
    const detail = whom === undefined ? "}" : `,${openDetail({ for: whom })}`;
    return this.#run("requestResign", call, async () => await this.#done(this.#sql.requestResign, { election, token, for: whom ?? null, detail }));
  }

  pause({ election, reason, by }: PauseInput, call: Call): Promise<boolean> {
    return this.#run("pause", call, async () => await this.#done(this.#sql.pause, { election, reason, by, detail: JSON.stringify({ by, reason }) }));
  }

  resume({ election, by }: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#run("resume", call, async () => await this.#done(this.#sql.resume, { election, detail: JSON.stringify({ by }) }));
  }

  setCandidacy({ election, incarnation, candidacy }: CandidacyInput, call: Call): Promise<boolean> {
    return this.#run("setCandidacy", call, async () =>
      candidacy === null
        ? await this.#done(this.#sql.standDown, { election, incarnation })
        : await this.#done(this.#sql.stand, { election, incarnation, priority: candidacy.priority, fit: candidacy.fit }),
    );
  }

  readCandidates({ election }: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    return this.#run("readCandidates", call, async () => {
      const answer = await this.#ask(this.#sql.readCandidates, { election });
      this.#checkGroup(answer);
      return (answer[1] ?? []).map(candidateRowOf);
    });
  }

  // ---- membership and record

  readMembers({ incarnations }: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    return this.#run("readMembers", call, async () => {
      const answer = await this.#ask(this.#sql.readMembers, { incarnations });
      this.#checkGroup(answer);
      return (answer[1] ?? []).map(memberRowOf);
    });
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    const { token, incarnation, epoch, expectedVersion, view, forgetDeadAfterMs } = input;
    const events = [...input.events, { type: "view-published", subject: this.#group, detail: { version: view.version, members: view.members.length, token } }];
    const columns = events.flatMap((each, n) => [[`type${n}`, each.type], [`subject${n}`, each.subject], [`detail${n}`, JSON.stringify(each.detail)]] as const);
    const forgetAfterMs = Math.min(Math.ceil(forgetDeadAfterMs), Number.MAX_SAFE_INTEGER);
    const values = { token, incarnation, epoch, expectedVersion, version: view.version, view: JSON.stringify(view), eventCount: events.length, forgetDeadAfterMs: forgetAfterMs };
    const text = [this.#sql.publishBegin, this.#sql.publishEvents(events.length), this.#sql.publishEnd].join(";\n");
    return this.#race("publishView", call, false, async () => await this.#done(text, { ...values, ...Object.fromEntries(columns) }));
  }

  async readDocument({ name }: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    checkDocumentName(name);
    return await this.#run("readDocument", call, async () => {
      const [rows] = await this.#ask(this.#sql.readDocument, { name });
      const row = first(rows);
      return (row["version"] ?? null) === null ? null : { version: intOf(row, "version"), text: textOf(row, "body") };
    });
  }

  async writeDocument({ name, expectedVersion, text, fence }: WriteDocumentInput, call: Call): Promise<boolean> {
    checkDocumentText(checkDocumentName(name), text);
    return await this.#race("writeDocument", call, false, async () => await this.#done(this.#sql.writeDocument, { name, expectedVersion, text, ...termOf(fence) }));
  }

  async removeDocument({ name, expectedVersion, fence }: RemoveDocumentInput, call: Call): Promise<boolean> {
    checkDocumentName(name);
    return await this.#race("removeDocument", call, false, async () => await this.#done(this.#sql.removeDocument, { name, expectedVersion, ...termOf(fence) }));
  }

  async listDocuments({ prefix }: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    checkDocumentPrefix(prefix);
    return await this.#run("listDocuments", call, async () => {
      const [, rows = []] = await this.#ask(this.#sql.listDocuments, { prefix });
      return rows.map((row) => ({ name: textOf(row, "name"), version: intOf(row, "version") }));
    });
  }

  readEvents({ after, limit }: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, async () => {
      const answer = await this.#ask(this.#sql.readEvents, { after, limit });
      if ((first(answer[0])["newest"] ?? null) === null) throw this.#groupUnknown();
      return eventPageOf(answer, after);
    });
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, async () => {
      const answer = await this.#ask(this.#sql.readGroup, {});
      return isGroup(answer) ? groupReadingOf(answer) : null;
    });
  }

  // ---- the end

  async close(): Promise<void> {
    if (!this.ended.aborted) {
      this.#saysGoodbye = true;
      this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} was closed`, { about: this.#label }));
      this.#goodbye = this.#connection.close();
    }
    await this.#goodbye;
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  #leaveConnection(): void {
    if (!this.#saysGoodbye) this.#connection.destroy();
  }

  // ---- how packets are run

  #run<T>(operation: string, call: Call, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(operation, call, async () => await this.#attempt(operation, work));
  }

  /** Like `#run`, for what may lose a race: where the server does not let it through, it has been lost. */
  #race<T>(operation: string, call: Call, lost: T, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(operation, call, async () => await this.#attempt(operation, work, { answer: lost }));
  }

  async #attempt<T>(operation: string, work: () => Promise<T>, lost?: { readonly answer: T }): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (isTribuneError(error)) throw error;
        if (wasCalledOff(error) && attempt < ATTEMPTS) continue;
        if (lost !== undefined && lostRace(error)) return lost.answer;
        const mapped = mapMysqlError(error, operation, this.#label);
        // What the server answered has been rolled back and leaves the connection sound. After anything else nobody knows.
        if (!wasAnswered(error) || mapped.code === "STORE_READ_ONLY") this.#gate.end(mapped);
        throw mapped;
      }
    }
  }

  async #ask(text: string, values: Values): Promise<Answer> {
    const answer = await this.#connection.run(text, { ...values, group: this.#group });
    const [row] = answer[0] ?? [];
    if (row !== undefined && (row["epoch"] ?? null) === null) throw this.#endedByServer(row);
    return answer;
  }

  async #done(text: string, values: Values): Promise<boolean> {
    const [rows] = await this.#ask(text, values);
    return isTrue(first(rows), "done");
  }

  /** The server takes no writes any more, or its name is not the one in the last epoch. Nothing was written; the next session finds out what there is now. */
  #endedByServer(row: Row): TribuneError {
    const error = isTrue(row, "writable")
      ? new TribuneError("STORE_SESSION_ENDED", `${this.#label} is another server than before, or one that has another history`, { about: this.#label, next: "nothing by hand: a new connection is made" })
      : new TribuneError("STORE_READ_ONLY", `${this.#label} was set to be read-only`, { about: this.#label, next: "connect to the primary; after a failover the next connection finds it if the address follows it" });
    this.#gate.end(error);
    return error;
  }

  /** Wakes those who attend this session. For want of hints: who attends is the coordinator or next in succession, so one of those who may take over. */
  async #ring(): Promise<void> {
    if (this.#bell === undefined || this.#ringing) return;
    this.#ringing = true;
    const bell = this.#bell;
    try {
      await this.#connection.rows("select release_lock(:bell)", { bell });
      for (let got = false; !got; ) {
        await sleep(this.#context.clock, BELL_MS, this.ended);
        if (this.ended.aborted) return;
        const [row] = await this.#connection.rows("select get_lock(:bell, 0) as got", { bell });
        got = row?.["got"] === "1";
      }
    } catch {
      // The next beat finds out what is wrong with the connection. Without the bell whoever attends looks once a beat.
    } finally {
      this.#ringing = false;
    }
  }

  #checkGroup(answer: Answer): void {
    if (!isGroup(answer)) throw this.#groupUnknown();
  }

  #groupUnknown(): TribuneError {
    return new TribuneError("GROUP_UNKNOWN", `there is no group ${this.#group} in ${this.#label}`, { about: this.#group, next: "start a member of it first, or look for a slip in the name" });
  }
}

function termOf(fence: DocumentFence | undefined): Values {
  return { election: fence?.election ?? null, token: fence?.token ?? null, incarnation: fence?.incarnation ?? null };
}

function isGroup(answer: Answer): boolean {
  return (first(answer[0])["generation"] ?? null) !== null;
}

function lookValues({ cursor, watch }: LookInput): Values {
  return { epoch: cursor.epoch, electionsVersion: cursor.electionsVersion, viewVersion: cursor.viewVersion, watched: watch === "all" ? [] : [...watch] };
}

/** The end of a JSON object whose beginning the statement writes. */
function openDetail(detail: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(detail).slice(1);
}

function warningsOf(facts: ServerFacts): readonly string[] {
  const all = [
    [!facts.lasting, PASSING],
    [facts.galera, GALERA],
    [!facts.greeted, PROXIED],
  ] as const;
  return all.filter(([holds]) => holds).map(([, warning]) => warning);
}
