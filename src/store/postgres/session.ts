import { Events, isTribuneError, TribuneError } from "../../kernel/index.ts";
import { SessionGate } from "../index.ts";
import type {
  BeatInput,
  BeatReply,
  Call,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  EventPage,
  GroupReading,
  Hint,
  JoinInput,
  JoinResult,
  LookInput,
  LookReply,
  MemberRow,
  OpenContext,
  PassFenceInput,
  PublishViewInput,
  ResignInput,
  SessionInfo,
  StoreSession,
} from "../index.ts";
import { isReadCommitted, wholeMs } from "./connection.ts";
import type { Connection, Row, ServerFacts } from "./connection.ts";
import { lostRace, mapPostgresError, wasAnswered, wasCalledOff, wasNotPrepared } from "./errors.ts";
import { channelOf, hintOf } from "./hints.ts";
import { beatReplyOf, eventPageOf, groupReadingOf, intOf, isTrue, lookReplyOf, membersOf, presenceRowOf, textOf } from "./replies.ts";
import { statementsFor } from "./statements.ts";
import type { Statements } from "./statements.ts";

/** How often an operation is run again after the server called it off without having written anything. */
const ATTEMPTS = 5;

const POOLED =
  "The connection goes through a pooler, so changes are not pushed to this node and are seen with the next beat; " +
  "connect to the server directly, or to a port of the pooler that keeps sessions and tells the server's process number, to have them at once.";
const MOVED =
  "The connection is served by changing server processes, so changes are no longer pushed to this node and are seen with the next beat; connect to the server directly to have them at once.";
const NOT_READ_COMMITTED =
  "The pooler's connections have another isolation level than READ COMMITTED, so each operation takes three round trips instead of one; " +
  "set default_transaction_isolation to 'read committed' for this role, or connect to the server directly.";
const NO_FSYNC = "The server runs with fsync off, so a crash loses commits, and each of its restarts counts as a failover; switch fsync on.";

/** The operations of one node, each as one statement on one connection. */
export class PostgresSession implements StoreSession {
  readonly #connection: Connection;
  readonly #group: string;
  readonly #label: string;
  readonly #channel: string;
  readonly #sql: Statements;
  readonly #gate: SessionGate;
  readonly #hints: Events<{ hint: Hint }>;
  #info: SessionInfo;
  #goodbye: Promise<void> | undefined;

  constructor(connection: Connection, options: { readonly context: OpenContext; readonly schema: string; readonly label: string }) {
    const { context, schema, label } = options;
    this.#connection = connection;
    this.#group = context.group;
    this.#label = label;
    this.#channel = channelOf(schema, context.group);
    this.#sql = statementsFor({ schema, channel: this.#channel, lockLimitMs: wholeMs(context.statementLimitMs) });
    this.#gate = new SessionGate({ clock: context.clock, label, onEnd: () => this.#leaveConnection() });
    this.#hints = new Events((error, event) => context.logger.error({ error, event, group: context.group }, "a listener of hints failed"));
    const { direct, version } = connection.facts;
    this.#info = { serverVersion: `PostgreSQL ${version}`, hints: direct, warnings: warningsOf(connection.facts) };
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
    const { incarnation, node, leaseMs, metadata, settings, generation = 0 } = input;
    return this.#run("join", call, async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const [row] = await this.#ask(this.#sql.join, [incarnation, node, Math.ceil(leaseMs), metadata, settings, generation]);
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
    const values = [incarnation, beat, viewSeen, generation, cursor.epoch, cursor.electionsVersion, cursor.viewVersion];
    return this.#run("beat", call, async () => {
      const [row] = watch === "all" ? await this.#ask(this.#sql.beatWatchingAll, values, "tribune_beat_all") : await this.#ask(this.#sql.beatWatchingSome, [...values, watch], "tribune_beat");
      return beatReplyOf(this.#existing(row, call));
    });
  }

  look({ cursor, watch }: LookInput, call: Call): Promise<LookReply> {
    const values = [cursor.epoch, cursor.electionsVersion, cursor.viewVersion];
    return this.#run("look", call, async () => {
      const [row] = watch === "all" ? await this.#ask(this.#sql.lookWatchingAll, values, "tribune_look_all") : await this.#ask(this.#sql.lookWatchingSome, [...values, watch], "tribune_look");
      return lookReplyOf(this.#existing(row, call));
    });
  }

  leave({ incarnation }: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, async () => await this.#done(this.#sql.leave, [incarnation]));
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    const { incarnation, beat, epoch, requireExpired, by, reason } = input;
    const detail = JSON.stringify({ incarnation, by, reason });
    return this.#race("declareDead", call, false, async () => await this.#done(this.#sql.declareDead, [incarnation, beat, epoch, requireExpired, reason, detail]));
  }

  updateMetadata({ incarnation, metadata }: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#run("updateMetadata", call, async () => await this.#done(this.#sql.updateMetadata, [incarnation, metadata]));
  }

  // ---- elections

  createElection({ election }: { readonly election: string }, call: Call): Promise<void> {
    return this.#run("createElection", call, async () => {
      const [row] = await this.#ask(this.#sql.createElection, [election]);
      if (!isTrue(row, "group_known")) throw this.#groupUnknown();
    });
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    const { election, expectedToken, incarnation, tokenSeen, epoch, node } = input;
    return this.#race("claim", call, null, async () => {
      const [row] = await this.#ask(this.#sql.claim, [election, expectedToken, incarnation, tokenSeen, epoch, node]);
      if (isTrue(row, "exhausted")) {
        throw new TribuneError("TOKEN_EXHAUSTED", `tokens of ${election} are used up`, { about: election, next: "use an election of another name" });
      }
      return row === undefined || row["token"] === null ? null : { token: intOf(row, "token") };
    });
  }

  passFence({ election, incarnation, token, epoch }: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#race<"passed" | "busy" | "superseded">("passFence", call, "busy", async () => {
      const [row] = await this.#ask(this.#sql.passFence, [election, incarnation, token, epoch]);
      if (row === undefined || !isTrue(row, "holds") || intOf(row, "fence") > token) return "superseded";
      if (intOf(row, "fence") === token || isTrue(row, "moved")) return "passed";
      return row["locked"] !== null && intOf(row, "locked") > token ? "superseded" : "busy";
    });
  }

  resign({ election, incarnation, token, reason }: ResignInput, call: Call): Promise<boolean> {
    const storable = reason.replaceAll("\0", "\ufffd"); // PostgreSQL's text holds no NUL, and a resignation must not fail for that
    return this.#run("resign", call, async () => await this.#done(this.#sql.resign, [election, incarnation, token, storable]));
  }

  requestResign({ election, token }: { readonly election: string; readonly token: number }, call: Call): Promise<boolean> {
    return this.#run("requestResign", call, async () => await this.#done(this.#sql.requestResign, [election, token]));
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

  readEvents({ after, limit }: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, async () => {
      const [row] = await this.#ask(this.#sql.readEvents, [after, limit]);
      if (row === undefined) throw this.#groupUnknown();
      return eventPageOf(row, after);
    });
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, async () => {
      const [row] = await this.#ask(this.#sql.readGroup, []);
      return row === undefined ? null : groupReadingOf(row);
    });
  }

  // ---- the end

  async close(): Promise<void> {
    if (!this.ended.aborted) {
      this.#goodbye = this.#connection.close();
      this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} was closed`, { about: this.#label }));
    }
    await this.#goodbye;
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  #leaveConnection(): void {
    if (this.#goodbye === undefined) this.#connection.destroy();
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

  async #done(text: string, values: readonly unknown[]): Promise<boolean> {
    const [row] = await this.#ask(text, values);
    return isTrue(row, "done");
  }

  #existing(row: Row | undefined, call: Call): Row {
    if (row === undefined) throw this.#groupUnknown();
    this.#checkHints(row, call);
    return row;
  }

  /** Each reply tells which server process wrote it and whether that one listens for us. */
  #checkHints(row: Row, call: Call): void {
    if (!this.#info.hints) return;
    if (intOf(row, "pid") !== this.#connection.facts.pid) {
      this.#connection.prepares = false;
      this.#info = { ...this.#info, hints: false, warnings: [...this.#info.warnings, MOVED] };
    } else if (!isTrue(row, "listening")) {
      this.#run("listen", call, async () => await this.listen()).catch(() => undefined); // the next reply tells whether it helped
    }
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

function warningsOf(facts: ServerFacts): readonly string[] {
  const all = [
    [!facts.direct, POOLED],
    [!isReadCommitted(facts), NOT_READ_COMMITTED],
    [!facts.fsync, NO_FSYNC],
  ] as const;
  return all.filter(([holds]) => holds).map(([, warning]) => warning);
}
