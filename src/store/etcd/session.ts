import { abortError, jitter, sleep, TribuneError } from "../../kernel/index.ts";
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
import { turnFrom } from "./connection.ts";
import type { Connection, ConnectionSource } from "./connection.ts";
import { isMemberLost, mapEtcdError } from "./errors.ts";
import { Hints } from "./hints.ts";
import { parseHistory } from "./history.ts";
import type { Memory } from "./history.ts";
import { GroupKeys, padded, storeKeys } from "./keys.ts";
import type { StoreKeys } from "./keys.ts";
import { Known } from "./known.ts";
import { all, endOf } from "./messages.ts";
import type { Compare, Op, Range, Txn, TxnAnswer } from "./messages.ts";
import { Operations } from "./operations.ts";
import type { Operation, Settled } from "./operations.ts";
import { candidatesOf, documentOf, documentRowsOf, eventPageOf, groupReadingOf, lookReplyOf, memberRowsOf, Reading, selfOf } from "./rows.ts";

/** How often an operation that met others is decided anew, before it counts as one that came too late. */
const ATTEMPTS = 100;

/** No attempt is begun after this part of a call's time: that it was in vain is to be answered before the deadline, which would end the session. */
const TRYING_SHARE = 0.7;

/** The longest that it stands back in between. */
const LONGEST_PAUSE_MS = 25;

/** With more incarnations than that to look up, all of the group's are read. */
const NAMED_AT_ONCE = 20;

/** What is left for an operation. */
interface Limits {
  /** For each request. */
  readonly ms: number;
  /** By our monotonic clock: no further attempt is begun after it. */
  readonly untilMs: number;
}

/** What a session stands on, beside its connection. */
export interface SessionGround {
  readonly context: OpenContext;
  readonly source: ConnectionSource;
  readonly prefix: string;
  /** Shared by all sessions of a provider. */
  readonly memory: Memory;
}

/** The operations of one node, each as transactions on one connection. */
export class EtcdSession implements StoreSession {
  readonly info: SessionInfo;
  readonly #connection: Connection;
  readonly #context: OpenContext;
  readonly #label: string;
  readonly #memory: Memory;
  /** The history that this session was opened in. */
  readonly #history: Memory["history"];
  readonly #store: StoreKeys;
  readonly #keys: GroupKeys;
  readonly #operations: Operations;
  readonly #gate: SessionGate;
  readonly #listeners = new Set<(hint: Hint) => void>();
  #last: Promise<unknown> = Promise.resolve();
  readonly #known = new Known();
  /** What the store's history was when it was last read, as it is written there. */
  #historyText = "";
  #saysGoodbye = false;

  /** Resolves when hints reach the session, or it is clear that they do not. */
  static async on(connection: Connection, ground: SessionGround): Promise<EtcdSession> {
    let trouble = "";
    let session: EtcdSession | undefined;
    const { clock, random, group, logger, node } = ground.context;
    const keys = new GroupKeys(ground.prefix, group);
    const hints = new Hints(connection, {
      clock,
      random,
      keys,
      tell: (hint) => session?.tell(hint),
      ended: (reason) => {
        trouble = reason;
        if (session?.ended.aborted === false) logger.warn({ node, store: ground.source.label }, `the watch for changes ended and is begun again: ${reason}`);
      },
    });
    const hinted = await hints.start();
    session = new EtcdSession(connection, { ...ground, keys, hints, unhinted: hinted ? undefined : trouble });
    return session;
  }

  private constructor(connection: Connection, options: SessionGround & { readonly keys: GroupKeys; readonly hints: Hints; readonly unhinted: string | undefined }) {
    const { context, source, prefix, memory, keys, hints, unhinted } = options;
    this.#connection = connection;
    this.#context = context;
    this.#label = source.label;
    this.#memory = memory;
    this.#history = memory.history;
    this.#store = storeKeys(prefix);
    this.#keys = keys;
    this.#operations = new Operations(keys, this.#store, context.group);
    this.#gate = new SessionGate({
      clock: context.clock,
      label: source.label,
      onEnd: () => {
        hints.stop();
        connection.destroy();
        // Whatever was wrong here, the next one begins elsewhere.
        if (!this.#saysGoodbye) turnFrom(source, connection.endpoint);
      },
    });
    const warnings = [
      ...(connection.authOff ? ["A user and a password are given, and the cluster asks for none: anybody who reaches it may write; enable authentication."] : []),
      ...(unhinted === undefined ? [] : [`Hints do not reach this session (${unhinted}), so changes are seen with the next beat; let the user read the prefix ${prefix}.`]),
    ];
    this.info = {
      serverVersion: `etcd ${connection.status.version}`,
      hints: unhinted === undefined,
      warnings,
      evidence: { held: false, why: "etcd tells nobody that a client's process is gone before a lease is over" },
    };
    connection.onBroken = (error) => this.#gate.end(mapEtcdError(error, "the session", this.#label));
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  onHint(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something may have changed. */
  tell(hint: Hint): void {
    if (this.ended.aborted) return;
    for (const listener of [...this.#listeners]) listener(hint);
  }

  // ---- presence

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    return this.#write("join", call, this.#operations.join(input));
  }

  /** One request, where nothing that it depends on has changed since the last one. */
  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    return this.#run("beat", call, async (limits) => {
      const { ms } = limits;
      const [reads, look] = [this.#operations.beatReads(input.incarnation), this.#lookOps(input)];
      const everything = [...reads, ...look];
      const readAgain = async () => this.#noted(await this.#ask(throughTheLog(this.#store, everything), ms), everything, reads);
      let reading = this.#known.reading(reads);
      let fresh = reading === undefined;
      reading ??= await readAgain();
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const nowMs = this.#nowMs();
        const decision = this.#operations.beat(reading, input, nowMs);
        if (typeof decision === "object") {
          const answer = await this.#ask({ compare: reading.unchanged, success: [...decision, ...everything], failure: everything }, ms);
          [reading, fresh] = [this.#noted(answer, everything, reads), true];
          if (!answer.succeeded) continue;
          if (this.#isOfToday) this.#memory.beat = { key: this.#keys.beat(input.incarnation), beat: input.beat, revision: answer.header.revision };
          return this.#beatReply(reading, input, { accepted: true, nowMs });
        }
        // What does not count, does not by what is there now, not by what was there when the last beat was answered.
        if (fresh && decision === "group-unknown") throw this.#groupUnknown();
        if (fresh && decision === "refused") return this.#beatReply(reading, input, { accepted: false, nowMs });
        if (fresh && decision === "behind") await this.#transact("beat", this.#operations.raise(input), limits);
        [reading, fresh] = [await readAgain(), true];
      }
      throw this.#busy("beat");
    });
  }

  look(input: LookInput, call: Call): Promise<LookReply> {
    return this.#run("look", call, async ({ ms }) => this.#lookReply(await this.#read(this.#lookTxn(input), ms), input, this.#nowMs()));
  }

  leave(input: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#write("leave", call, this.#operations.leave(input));
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    return this.#write("declareDead", call, this.#operations.declareDead(input), { lost: false });
  }

  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#write("updateMetadata", call, this.#operations.updateMetadata(input));
  }

  evict(input: EvictInput, call: Call): Promise<boolean> {
    return this.#write("evict", call, this.#operations.evict(input));
  }

  /** There is no evidence to wait for. */
  attend({ signal }: AttendInput): Promise<void> {
    if (signal.aborted || this.ended.aborted) return Promise.reject(abortError(signal.aborted ? signal : this.ended, "attending evidence"));
    return Promise.reject(new TribuneError("STORE_FAILED", `${this.#label} has no evidence of death to wait for`, { about: this.#label, next: "wait for the lease", retryable: false }));
  }

  // ---- elections

  createElection(input: { readonly election: string }, call: Call): Promise<void> {
    return this.#run("createElection", call, async (limits) => {
      if (!(await this.#transact("createElection", this.#operations.createElection(input), limits))) throw this.#groupUnknown();
    });
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    return this.#write("claim", call, this.#operations.claim(input), { lost: null });
  }

  passFence(input: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    return this.#write<"passed" | "busy" | "superseded">("passFence", call, this.#operations.passFence(input), { lost: "busy" });
  }

  resign(input: ResignInput, call: Call): Promise<boolean> {
    return this.#write("resign", call, this.#operations.resign(input));
  }

  requestResign(input: RequestResignInput, call: Call): Promise<boolean> {
    return this.#write("requestResign", call, this.#operations.requestResign(input));
  }

  pause(input: PauseInput, call: Call): Promise<boolean> {
    return this.#write("pause", call, this.#operations.pause(input));
  }

  resume(input: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#write("resume", call, this.#operations.resume(input));
  }

  setCandidacy(input: CandidacyInput, call: Call): Promise<boolean> {
    return this.#write("setCandidacy", call, this.#operations.setCandidacy(input));
  }

  readCandidates({ election }: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    const keys = this.#keys;
    return this.#run("readCandidates", call, async ({ ms }) => {
      const reading = await this.#readGroupKeys([all(keys.candidates(election)), all(keys.presences)], ms);
      return candidatesOf(reading, keys, keys.candidates(election)).map(({ incarnation, node, priority, fit, joinOrder }) => ({ incarnation, node, priority, fit, joinOrder }));
    });
  }

  // ---- membership and record

  readMembers({ incarnations }: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    const keys = this.#keys;
    const some = incarnations.flatMap((each) => [{ key: keys.presence(each) }, { key: keys.metadata(each) }]);
    return this.#run("readMembers", call, async ({ ms }) => {
      const reading = await this.#readGroupKeys(incarnations.length <= NAMED_AT_ONCE ? some : [all(keys.presences), all(keys.allMetadata)], ms);
      return memberRowsOf(reading, keys, incarnations);
    });
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    return this.#write("publishView", call, this.#operations.publishView(input), { lost: false });
  }

  async readDocument({ name }: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    const key = this.#keys.document(checkDocumentName(name));
    return await this.#run("readDocument", call, async ({ ms }) => {
      // Not noted: a text can be long, and nothing is decided by it.
      const { items } = await this.#ask({ compare: [], success: [{ key }], failure: [] }, ms);
      return items[0] === undefined ? null : documentOf(items[0].value);
    });
  }

  async writeDocument(input: WriteDocumentInput, call: Call): Promise<boolean> {
    checkDocumentText(checkDocumentName(input.name), input.text);
    return await this.#write("writeDocument", call, this.#operations.writeDocument(input), { lost: false });
  }

  async removeDocument(input: RemoveDocumentInput, call: Call): Promise<boolean> {
    checkDocumentName(input.name);
    return await this.#write("removeDocument", call, this.#operations.removeDocument(input), { lost: false });
  }

  async listDocuments({ prefix }: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    const keys = this.#keys;
    checkDocumentPrefix(prefix);
    return await this.#run("listDocuments", call, async ({ ms }) => documentRowsOf(await this.#read({ compare: [], success: [all(keys.documentVersions + prefix)], failure: [] }, ms), keys));
  }

  readEvents(input: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    const keys = this.#keys;
    return this.#run("readEvents", call, async ({ ms }) => {
      const next: Range = { key: keys.eventsUpTo(Math.max(0, input.after) + 1), end: endOf(keys.events), limit: input.limit };
      return eventPageOf(await this.#readGroupKeys([{ key: keys.sequence }, all(keys.events, { limit: 1 }), next], ms), keys, input);
    });
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    const [keys, store] = [this.#keys, this.#store];
    const prefixes = [keys.state, keys.shown, keys.beats, keys.allCandidates, keys.fences, keys.allTerms, keys.allTermEnds];
    return this.#run("readGroup", call, async ({ ms }) => {
      const reading = await this.#read({ compare: [], success: [{ key: store.schema }, { key: store.history }, { key: keys.view }, ...prefixes.map((prefix) => all(prefix))], failure: [] }, ms);
      return reading.text(keys.age) === undefined ? null : groupReadingOf(reading, { keys, store, nowMs: this.#nowMs() });
    });
  }

  // ---- the end

  close(): Promise<void> {
    this.#saysGoodbye = true;
    this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} was closed`, { about: this.#label }));
    return Promise.resolve();
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  // ---- looking

  /** What a look reads, whatever has changed. */
  #watched({ watch }: LookInput): readonly Range[] {
    const keys = this.#keys;
    const rows = watch === "all" || watch.length > NAMED_AT_ONCE ? [all(keys.presences), all(keys.beats)] : watch.flatMap((each) => [{ key: keys.presence(each) }, { key: keys.beat(each) }]);
    return [{ key: this.#store.history }, all(keys.state), { key: keys.viewVersion }, ...rows];
  }

  /** What it reads besides, unless the cursor is up to date. */
  get #versioned(): readonly Range[] {
    return [all(this.#keys.elections), { key: this.#keys.view }];
  }

  /** That nothing is new since the cursor; `undefined`: its epoch is not the store's, as far as this session knows, so everything is. */
  #nothingNew({ cursor }: LookInput): readonly Compare[] | undefined {
    const keys = this.#keys;
    if (this.#historyText === "" || parseHistory(this.#historyText).epoch !== cursor.epoch) return undefined;
    return [
      { key: this.#store.history, value: this.#historyText },
      { key: keys.electionsVersion, value: padded(cursor.electionsVersion) },
      { key: keys.viewVersion, value: padded(cursor.viewVersion) },
    ];
  }

  #lookTxn(input: LookInput): Txn {
    const compare = this.#nothingNew(input);
    const everything = [...this.#watched(input), ...this.#versioned];
    return compare === undefined ? { compare: [], success: everything, failure: [] } : { compare, success: this.#watched(input), failure: everything };
  }

  /** The same, as a part of another transaction. */
  #lookOps(input: LookInput): readonly Op[] {
    const compare = this.#nothingNew(input);
    return [...this.#watched(input), ...(compare === undefined ? this.#versioned : [{ txn: { compare, success: [], failure: this.#versioned } }])];
  }

  #lookReply(reading: Reading, { cursor, watch }: LookInput, nowMs: number): LookReply {
    if (reading.text(this.#keys.age) === undefined) throw this.#groupUnknown();
    this.#historyText = reading.text(this.#store.history) ?? "";
    return lookReplyOf(reading, { keys: this.#keys, store: this.#store, cursor, watch, nowMs });
  }

  #beatReply(reading: Reading, input: BeatInput, { accepted, nowMs }: { readonly accepted: boolean; readonly nowMs: number }): BeatReply {
    const presence = reading.json(this.#keys.presence(input.incarnation));
    return { ...this.#lookReply(reading, input, nowMs), accepted, self: selfOf(presence) };
  }

  // ---- how transactions are run

  /** Operations run in the order of the calls. */
  #run<T>(operation: string, call: Call, work: (limits: Limits) => Promise<T>): Promise<T> {
    const limits = { ms: Math.min(call.deadlineMs, this.#context.statementLimitMs), untilMs: this.#context.clock.monotonicMs() + call.deadlineMs * TRYING_SHARE };
    return this.#gate.run(operation, call, async () => {
      const turn = this.#last.then(async () => await work(limits));
      this.#last = turn.catch(() => undefined);
      try {
        return await turn;
      } catch (error) {
        throw mapEtcdError(error, operation, this.#label);
      }
    });
  }

  /** `lost`: what is answered where others came first again and again. */
  #write<T>(operation: string, call: Call, decided: Operation<T>, race?: { readonly lost: T }): Promise<T> {
    return this.#run(operation, call, async (limits) => await this.#transact(operation, decided, limits, race));
  }

  async #transact<T>(name: string, operation: Operation<T>, limits: Limits, race?: { readonly lost: T }): Promise<T> {
    const timeoutMs = limits.ms;
    const { extra = [] } = operation;
    const guess = this.#guess(operation);
    let reads = guess?.reads ?? operation.reads;
    let reading = guess?.reading ?? (await this.#read({ compare: [], success: [...reads, ...extra], failure: [] }, timeoutMs));
    for (let attempt = 1; this.#mayTry(attempt, limits); attempt++) {
      const decision = (attempt === 1 ? guess?.decision : undefined) ?? operation.decide(reading, this.#nowMs());
      if ("need" in decision) {
        reads = [...operation.reads, ...decision.need];
        reading = await this.#read({ compare: [], success: [...reads, ...extra], failure: [] }, timeoutMs);
        continue;
      }
      if (decision.writes === undefined) return decision.answer;
      const answer = await this.#ask({ compare: [...reading.unchanged, ...(decision.compare ?? [])], success: decision.writes, failure: [...reads, ...extra] }, timeoutMs);
      if (answer.succeeded) {
        this.#known.written(decision.writes, answer.header.revision);
        return decision.answer;
      }
      reading = this.#noted(answer, [...reads, ...extra]);
      if (attempt > 2 && this.#mayTry(attempt + 1, limits)) await sleep(this.#context.clock, jitter(this.#context.random, Math.min(attempt, LONGEST_PAUSE_MS), 0.9), this.ended);
    }
    if (race !== undefined) return race.lost;
    throw this.#busy(name);
  }

  #mayTry(attempt: number, { untilMs }: Limits): boolean {
    return !this.ended.aborted && (attempt === 1 || (attempt <= ATTEMPTS && this.#context.clock.monotonicMs() < untilMs));
  }

  /** What would be written by what is known already: undefined where that is not enough, or where nothing would be, since then nothing would tell whether it is still so. */
  #guess<T>(operation: Operation<T>): { readonly reading: Reading; readonly reads: readonly Range[]; readonly decision: Settled<T> } | undefined {
    try {
      for (let reads = operation.reads; ; ) {
        const reading = this.#known.reading(reads);
        const decision = reading === undefined ? undefined : operation.decide(reading, this.#nowMs());
        if (reading === undefined || decision === undefined) return undefined;
        if (!("need" in decision)) return decision.writes === undefined ? undefined : { reading, reads, decision };
        reads = [...operation.reads, ...decision.need];
      }
    } catch {
      return undefined; // what it would throw, it throws from what is there now
    }
  }

  /** A transaction that only reads: of the cluster as a whole, at one instant, and without an entry in its log. */
  async #read(txn: Txn, timeoutMs: number): Promise<Reading> {
    const answer = await this.#ask(txn, timeoutMs);
    return this.#noted(answer, answer.succeeded ? txn.success : txn.failure);
  }

  async #readGroupKeys(reads: readonly Range[], timeoutMs: number): Promise<Reading> {
    const reading = await this.#read({ compare: [], success: [{ key: this.#keys.age }, ...reads], failure: [] }, timeoutMs);
    if (reading.text(this.#keys.age) === undefined) throw this.#groupUnknown();
    return reading;
  }

  /** The reading in an answer; what it shows of single keys is remembered. `points`: those that a decision on it depends on. */
  #noted({ items }: TxnAnswer, asked: readonly Op[], points: readonly Range[] = rangesIn(asked)): Reading {
    this.#known.note(items, rangesIn(asked));
    return new Reading(items, points);
  }

  async #ask(txn: Txn, timeoutMs: number): Promise<TxnAnswer> {
    const before = this.#isOfToday ? this.#memory.revision : 0;
    let answer: TxnAnswer;
    try {
      answer = await this.#connection.txn(txn, timeoutMs);
    } catch (error) {
      if (isMemberLost(error)) this.#gate.end(mapEtcdError(error, "the session", this.#label));
      throw error;
    }
    if (answer.header.revision < before) {
      const stale = new TribuneError("STORE_FAILED", `${this.#label} answered with an older state (revision ${answer.header.revision}) than it had shown before (${before})`, { about: this.#label, next: "nothing by hand: another connection is made; upgrade etcd if it comes back" });
      this.#gate.end(stale);
      throw stale;
    }
    if (this.#isOfToday) this.#memory.revision = Math.max(this.#memory.revision, answer.header.revision);
    return answer;
  }

  /** Whether this session is of the last history that its process knows: one that was left behind, and is answered late by what was there before, is not. */
  get #isOfToday(): boolean {
    return this.#memory.history === this.#history;
  }

  /** Whole milliseconds of this machine's wall clock: etcd has none to offer. */
  #nowMs(): number {
    return Math.trunc(this.#context.clock.wallMs());
  }

  #busy(operation: string): TribuneError {
    return new TribuneError("STORE_BUSY", `${operation} on ${this.#label} met others again and again; nothing was written`, { about: this.#context.group, next: "try again" });
  }

  #groupUnknown(): TribuneError {
    const { group } = this.#context;
    return new TribuneError("GROUP_UNKNOWN", `there is no group ${group} in ${this.#label}`, { about: group, next: "start a member of it first, or look for a slip in the name" });
  }
}

function rangesIn(ops: readonly Op[]): readonly Range[] {
  return ops.filter((op): op is Range => "key" in op);
}

/**
 * A reading that takes its place among the writes: members that have a leader of yesterday cannot answer it from what they have (etcd's issue 20418 is about readings that they did answer). A
 * transaction with a write in it goes that way, also where what would write cannot come true.
 */
export function throughTheLog(store: StoreKeys, reads: readonly Op[]): Txn {
  return { compare: [{ key: store.history, modRevision: Number.MAX_SAFE_INTEGER }], success: [{ delete: `${store.history}/never` }], failure: reads };
}

