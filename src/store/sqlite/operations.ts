import { TribuneError } from "../../kernel/index.ts";
import { COORDINATOR, documentFloor, EVENTS_KEPT, SCHEMA_VERSION, TERMS_KEPT, TOKENS_PER_GENERATION, viewFloor } from "../index.ts";
import type {
  BeatInput,
  BeatReply,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  DocumentRow,
  ElectionRow,
  EventPage,
  EvictInput,
  GroupReading,
  JoinInput,
  JoinResult,
  LookInput,
  LookReply,
  MemberRow,
  NewEvent,
  PassFenceInput,
  PauseInput,
  PresenceRow,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  ResignInput,
  StoredDocument,
  StoredView,
  WriteDocumentInput,
} from "../index.ts";
import type { Connection } from "./connection.ts";
import type { Evidence } from "./evidence.ts";
import type { CandidateRecord, ElectionRecord, GroupRow, PresenceRecord, Statements } from "./statements.ts";

/**
 * What each operation of the contract reads and writes in one group. Every method is one transaction, finished when it
 * returns; it throws what SQLite throws, busy included. The write lock is taken first, so a row that was
 * read is still so when the next statement writes.
 */
export class Operations {
  readonly #db: Connection;
  readonly #sql: Statements;
  readonly #group: string;
  readonly #epoch: string;
  readonly #evidence: Evidence;

  constructor(options: { readonly connection: Connection; readonly statements: Statements; readonly group: string; readonly epoch: string; readonly evidence: Evidence }) {
    this.#db = options.connection;
    this.#sql = options.statements;
    this.#group = options.group;
    this.#epoch = options.epoch;
    this.#evidence = options.evidence;
  }

  // ---- presence

  join(input: JoinInput): JoinResult {
    return this.#db.write("FULL", () => {
      const nowMs = this.#nowMs();
      const group = this.#find();
      if (group !== undefined && group.settings !== input.settings) return { outcome: "settings-mismatch", settings: group.settings };
      const known = this.#presence(input.incarnation);
      if (known?.state === "alive") return { outcome: "joined", joinOrder: known.joinOrder, epoch: this.#epoch };
      if (known !== undefined) {
        throw new TribuneError("INCARNATION_DEAD", `incarnation ${input.incarnation} is dead and does not come back`, { about: input.node, next: "join as a new incarnation" });
      }
      const holder = this.#db.get(this.#sql.readAliveNode, this.#group, input.node);
      if (holder !== undefined) return { outcome: "name-taken", by: this.#shown(holder, nowMs) };

      if (group === undefined) this.#db.run(this.#sql.insertGroup, this.#group, this.#epoch, (input.generation ?? 0) === 0 ? this.#epoch : "", (input.generation ?? 0) + 1, input.settings);
      const joinOrder = (group?.joinOrder ?? 0) + 1;
      const leaseMs = Math.ceil(input.leaseMs); // the column takes whole numbers
      this.#db.run(this.#sql.countJoin, joinOrder, Math.max(group?.longestLeaseMs ?? 0, leaseMs), this.#group);
      this.#db.run(this.#sql.insertPresence, this.#group, input.incarnation, input.node, leaseMs, nowMs, joinOrder, nowMs, input.metadata, input.observer === true ? 1 : 0);
      return { outcome: "joined", joinOrder, epoch: this.#epoch };
    });
  }

  /** In one transaction; in a second one, made durable, if the first finds that the generation has to be raised. */
  beat(input: BeatInput): BeatReply {
    const reply = this.#db.write("NORMAL", () => {
      const group = this.#existing();
      return this.#mustRaise(group, input) ? undefined : this.#beat(input, group, this.#nowMs());
    });
    return reply ?? this.#db.write("FULL", () => this.#raiseAndBeat(input));
  }

  #mustRaise(group: GroupRow, input: BeatInput): boolean {
    return group.epoch !== this.#epoch || input.generation > group.generation;
  }

  #raiseAndBeat(input: BeatInput): BeatReply {
    const nowMs = this.#nowMs();
    const group = this.#existing();
    if (!this.#mustRaise(group, input)) return this.#beat(input, group, nowMs); // someone else came first
    const generation = Math.max(group.generation, input.generation) + 1;
    this.#db.run(this.#sql.adoptEpoch, this.#epoch, generation, this.#group);
    if (group.epoch !== this.#epoch) this.#record(group, nowMs, [{ type: "epoch-changed", subject: this.#group, detail: { from: group.epoch, to: this.#epoch } }]);
    return this.#beat(input, { ...group, epoch: this.#epoch, generation }, nowMs);
  }

  #beat(input: BeatInput, group: GroupRow, nowMs: number): BeatReply {
    const inItsEpoch = input.cursor.epoch === "" || input.cursor.epoch === this.#epoch;
    const { key } = this.#evidence;
    const accepted = inItsEpoch && this.#db.run(this.#sql.beat, input.beat, nowMs, input.viewSeen, key, key === null ? null : this.#epoch, this.#group, input.incarnation, input.beat) > 0;
    return { ...this.#look(input, group, nowMs), accepted, self: accepted ? "alive" : this.#self(input.incarnation) };
  }

  #self(incarnation: string): BeatReply["self"] {
    const row = this.#presence(incarnation);
    return row?.state === "alive" && row.evicted === 1 ? "evicted" : (row?.state ?? "absent");
  }

  look(input: LookInput): LookReply {
    return this.#db.read(() => {
      const group = this.#existing();
      return this.#look(input, group, this.#nowMs());
    });
  }

  #look(input: LookInput, group: GroupRow, nowMs: number): LookReply {
    const { cursor } = input;
    const sameEpoch = cursor.epoch === this.#epoch;
    const electionsMoved = !sameEpoch || group.electionsVersion > cursor.electionsVersion;
    const viewMoved = !sameEpoch || group.viewVersion !== cursor.viewVersion;
    const presence = input.watch === "all" ? this.#db.all(this.#sql.readAllPresence, this.#group) : this.#each(input.watch, (incarnation) => this.#presence(incarnation));
    return {
      storeTimeMs: nowMs,
      epoch: this.#epoch,
      generation: group.generation,
      electionsVersion: group.electionsVersion,
      elections: electionsMoved ? this.#electionsAfter(sameEpoch ? cursor.electionsVersion : 0) : [],
      viewVersion: group.viewVersion,
      view: viewMoved ? this.#view() : null,
      presence: presence.map((row) => this.#shown(row, nowMs)),
      longestLeaseMs: group.longestLeaseMs,
    };
  }

  leave(input: { readonly incarnation: string }): boolean {
    return this.#db.write("NORMAL", () => this.#db.run(this.#sql.leave, this.#nowMs(), this.#group, input.incarnation) > 0);
  }

  declareDead(input: DeclareDeadInput): boolean {
    if (input.epoch !== this.#epoch) return false;
    const buried = this.#db.write("NORMAL", () => {
      const nowMs = this.#nowMs();
      const row = this.#presence(input.incarnation);
      if (row === undefined || (input.requireFree === true && this.#evidenceOf(row) !== "free")) return undefined;
      if (this.#db.run(this.#sql.declareDead, input.reason, nowMs, this.#group, input.incarnation, input.beat, input.requireExpired ? 1 : 0, nowMs) === 0) return undefined;
      this.#record(this.#existing(), nowMs, [{ type: "declared-dead", subject: row.node, detail: { incarnation: row.incarnation, by: input.by, reason: input.reason } }]);
      return row;
    });
    if (buried !== undefined && buried.evidenceKey !== null) this.#evidence.discard(buried.evidenceKey);
    return buried !== undefined;
  }

  evict(input: EvictInput): boolean {
    return this.#db.write("NORMAL", () => {
      const group = this.#find();
      const row = this.#db.get(this.#sql.readAliveNode, this.#group, input.node);
      if (group === undefined || row === undefined || row.evicted === 1) return false;
      this.#db.run(this.#sql.evict, this.#group, row.incarnation);
      this.#record(group, this.#nowMs(), [{ type: "eviction-requested", subject: row.node, detail: { incarnation: row.incarnation, by: input.by, reason: input.reason } }]);
      return true;
    });
  }

  /** The evidence that those of them who are alive are armed with in this epoch. */
  evidenceKeysOf(incarnations: readonly string[]): readonly string[] {
    return this.#db.read(() => this.#each(incarnations, (incarnation) => this.#presence(incarnation)).flatMap((row) => this.#armedWith(row) ?? []));
  }

  /** Whether the row of somebody alive names this evidence. */
  isNamed(key: string): boolean {
    return this.#evidenceKeys().has(key);
  }

  /** Removes what dead sessions left behind. */
  discardLeftovers(): void {
    const { named, nowMs } = this.#db.read(() => ({ named: this.#evidenceKeys(), nowMs: this.#nowMs() }));
    this.#evidence.discardLeftovers({ named, nowMs });
  }

  #evidenceKeys(): ReadonlySet<string> {
    return new Set(this.#db.all(this.#sql.evidenceKeys).map((row) => row.evidenceKey));
  }

  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }): boolean {
    return this.#db.write("NORMAL", () => this.#db.run(this.#sql.updateMetadata, input.metadata, this.#group, input.incarnation) > 0);
  }

  // ---- elections

  /** Whether it was not there yet. */
  createElection(input: { readonly election: string }): boolean {
    return this.#db.write("FULL", () => {
      const group = this.#existing();
      if (this.#election(input.election) !== undefined) return false;
      const version = this.#countElections(group);
      this.#db.run(this.#sql.insertElection, this.#group, input.election, this.#epoch === group.birthEpoch ? this.#epoch : "", version, this.#nowMs());
      this.#db.run(this.#sql.insertFence, this.#group, input.election);
      return true;
    });
  }

  claim(input: ClaimInput): ClaimResult | null {
    if (input.epoch !== this.#epoch) return null;
    return this.#db.write("FULL", () => {
      const nowMs = this.#nowMs();
      const group = this.#existing();
      const row = this.#election(input.election);
      if (group.epoch !== this.#epoch || row === undefined || row.token !== input.expectedToken) return null;
      if (row.holderIncarnation !== null && this.#state(row.holderIncarnation) === "alive") return null;
      if (row.pausedAtMs !== null || this.#state(input.incarnation) !== "alive") return null;
      if (row.reservationNode !== null && row.reservationNode !== input.node && input.overReservation !== true) return null;
      const token = Math.max(row.token, this.#fence(input.election) ?? 0, input.tokenSeen, group.generation * TOKENS_PER_GENERATION - 1) + 1;
      if (!Number.isSafeInteger(token)) {
        throw new TribuneError("TOKEN_EXHAUSTED", `the tokens of ${input.election} are used up`, { about: input.election, next: "use an election with another name" });
      }

      const [priority, minimumTermMs] = [input.priority ?? 0, Math.ceil(input.minimumTermMs ?? 0)];
      this.#db.run(this.#sql.claim, token, input.incarnation, input.node, this.#epoch, this.#countElections(group), nowMs, priority, minimumTermMs, this.#group, input.election, input.expectedToken);
      this.#db.run(this.#sql.endTerms, nowMs, "superseded", this.#group, input.election);
      this.#db.run(this.#sql.insertTerm, this.#group, input.election, token, input.node, input.incarnation, nowMs);
      this.#db.run(this.#sql.forgetTerms, this.#group, input.election, this.#group, input.election, TERMS_KEPT);
      this.#record(group, nowMs, [{ type: "term-began", subject: input.election, detail: { token, node: input.node, incarnation: input.incarnation } }]);
      // Whoever has the file for writing has it alone, so nothing holds the fence.
      if (input.andPass === true) this.#db.run(this.#sql.passFence, token, this.#group, input.election, token);
      return { token, passed: input.andPass === true };
    });
  }

  /** Never "busy": while a fenced transaction is open the file is, and this throws so. */
  passFence(input: PassFenceInput): "passed" | "superseded" {
    if (input.epoch !== this.#epoch) return "superseded";
    return this.#db.write("FULL", () => {
      this.#existing();
      const row = this.#election(input.election);
      if (row === undefined || row.token !== input.token || row.holderIncarnation !== input.incarnation) return "superseded";
      this.#db.run(this.#sql.passFence, input.token, this.#group, input.election, input.token);
      return this.#fence(input.election) === input.token ? "passed" : "superseded";
    });
  }

  resign(input: ResignInput): boolean {
    return this.#db.write("NORMAL", () => {
      const nowMs = this.#nowMs();
      const group = this.#existing();
      const row = this.#election(input.election);
      if (row === undefined || row.token !== input.token || row.holderIncarnation !== input.incarnation) return false;
      const { reservation } = input;
      const [reservedFor, reservationMs] = reservation === undefined ? [null, null] : [reservation.node, Math.ceil(reservation.forMs)];
      this.#db.run(this.#sql.resign, this.#countElections(group), nowMs, reservedFor, reservationMs, this.#group, input.election, input.token, input.incarnation);
      this.#db.run(this.#sql.endTerms, nowMs, input.reason, this.#group, input.election);
      this.#record(group, nowMs, [{ type: "term-ended", subject: input.election, detail: { token: input.token, node: row.holderNode, reason: input.reason, ...(reservation === undefined ? {} : { for: reservation.node }) } }]);
      return true;
    });
  }

  requestResign(input: RequestResignInput): boolean {
    return this.#db.write("NORMAL", () => {
      const group = this.#existing();
      const row = this.#election(input.election);
      if (row === undefined || row.holderIncarnation === null || row.token !== input.token) return false;
      this.#db.run(this.#sql.requestResign, input.token, input.for ?? null, this.#countElections(group), this.#group, input.election, input.token);
      this.#record(group, this.#nowMs(), [{ type: "resign-requested", subject: input.election, detail: { token: input.token, node: row.holderNode, ...(input.for === undefined ? {} : { for: input.for }) } }]);
      return true;
    });
  }

  pause(input: PauseInput): boolean {
    const { election, by, reason } = input;
    return this.#db.write("FULL", () => {
      const nowMs = this.#nowMs();
      const group = this.#existing();
      const row = this.#election(election);
      if (row === undefined || row.pausedAtMs !== null) return false;
      this.#db.run(this.#sql.pause, nowMs, by, reason, this.#countElections(group), this.#group, election);
      this.#record(group, nowMs, [{ type: "election-paused", subject: election, detail: { by, reason } }]);
      return true;
    });
  }

  resume(input: { readonly election: string; readonly by: string }): boolean {
    return this.#db.write("FULL", () => {
      const group = this.#existing();
      const row = this.#election(input.election);
      if (row === undefined || row.pausedAtMs === null) return false;
      this.#db.run(this.#sql.resume, this.#countElections(group), this.#group, input.election);
      this.#record(group, this.#nowMs(), [{ type: "election-resumed", subject: input.election, detail: { by: input.by } }]);
      return true;
    });
  }

  /** `done` is the answer; `ranked` says that this made the election one of which all must look at the candidates. */
  setCandidacy(input: CandidacyInput): { readonly done: boolean; readonly ranked: boolean } {
    const { election, incarnation, candidacy } = input;
    return this.#db.write("NORMAL", () => {
      const group = this.#existing();
      const row = this.#election(election);
      if (row === undefined || this.#state(incarnation) !== "alive") return { done: false, ranked: false };
      if (candidacy === null) return { done: this.#db.run(this.#sql.removeCandidate, this.#group, election, incarnation) > 0, ranked: false };
      this.#db.run(this.#sql.writeCandidate, this.#group, election, incarnation, candidacy.priority, candidacy.fit ? 1 : 0);
      const ranked = candidacy.priority !== 0 && row.ranked === 0;
      if (ranked) this.#db.run(this.#sql.rank, this.#countElections(group), this.#group, election);
      return { done: true, ranked };
    });
  }

  readCandidates(input: { readonly election: string }): readonly CandidateRow[] {
    return this.#db.read(() => {
      this.#existing();
      return this.#db.all(this.#sql.readCandidates, this.#group, input.election).map((row) => candidateRow(row));
    });
  }

  // ---- membership

  readMembers(input: { readonly incarnations: readonly string[] }): readonly MemberRow[] {
    return this.#db.read(() => {
      this.#existing();
      return this.#each(input.incarnations, (incarnation) => this.#db.get(this.#sql.readMember, this.#group, incarnation)).map((row) => ({ ...row, observer: row.observer === 1 }));
    });
  }

  publishView(input: PublishViewInput): boolean {
    if (input.epoch !== this.#epoch || input.view.version <= input.expectedVersion) return false;
    return this.#db.write("FULL", () => {
      const nowMs = this.#nowMs();
      const group = this.#existing();
      const row = this.#election(COORDINATOR);
      if (group.epoch !== this.#epoch || input.view.version <= viewFloor(group.generation)) return false;
      if (group.viewVersion !== input.expectedVersion || this.#fence(COORDINATOR) !== input.token) return false;
      if (row === undefined || row.token !== input.token || row.holderIncarnation !== input.incarnation) return false;
      const { view } = input;
      this.#db.run(this.#sql.writeView, this.#group, JSON.stringify(view));
      this.#db.run(this.#sql.countView, view.version, this.#group);
      this.#record(group, nowMs, [...input.events, { type: "view-published", subject: this.#group, detail: { version: view.version, members: view.members.length, token: input.token } }]);
      this.#db.run(this.#sql.forgetDead, this.#group, nowMs - input.forgetDeadAfterMs, this.#group);
      this.#db.run(this.#sql.forgetCandidates, this.#group, this.#group);
      return true;
    });
  }

  // ---- documents

  readDocument({ name }: { readonly name: string }): StoredDocument | null {
    return this.#db.read(() => {
      const row = this.#db.get(this.#sql.readDocument, this.#group, name);
      return row === undefined ? null : { version: row.version, text: row.body };
    });
  }

  writeDocument(input: WriteDocumentInput): boolean {
    return this.#db.write("FULL", () => {
      const group = this.#find();
      if (group === undefined || !this.#mayChangeDocument(group, input)) return false;
      const version = Math.max(group.documentsVersion, documentFloor(group.generation)) + 1;
      if (!Number.isSafeInteger(version)) return false;
      this.#db.run(this.#sql.countDocuments, version, this.#group);
      this.#db.run(this.#sql.writeDocument, this.#group, input.name, version, input.text);
      return true;
    });
  }

  removeDocument(input: RemoveDocumentInput): boolean {
    return this.#db.write("FULL", () => {
      const group = this.#find();
      return group !== undefined && this.#mayChangeDocument(group, input) && this.#db.run(this.#sql.removeDocument, this.#group, input.name) > 0;
    });
  }

  listDocuments({ prefix }: { readonly prefix: string }): readonly DocumentRow[] {
    return this.#db.read(() => this.#db.all(this.#sql.listDocuments, this.#group, prefix, prefix).map(({ name, version }) => ({ name, version })));
  }

  /** A generation that is not adopted yet would give versions of an earlier one. */
  #mayChangeDocument(group: GroupRow, { name, expectedVersion, fence }: RemoveDocumentInput): boolean {
    const version = this.#db.get(this.#sql.readDocumentVersion, this.#group, name)?.version ?? 0;
    if (group.epoch !== this.#epoch || version !== expectedVersion) return false;
    if (fence === undefined) return true;
    const row = this.#election(fence.election);
    return row !== undefined && row.token === fence.token && row.holderIncarnation === fence.incarnation && this.#fence(fence.election) === fence.token;
  }

  // ---- the record

  readEvents(input: { readonly after: number; readonly limit: number }): EventPage {
    return this.#db.read(() => {
      const group = this.#existing();
      const oldest = this.#db.get(this.#sql.oldestEvent, this.#group)?.oldest ?? group.eventSequence + 1;
      const rows = this.#db.all(this.#sql.readEvents, this.#group, input.after, input.limit);
      return {
        events: rows.map(({ detail, ...row }) => ({ ...row, detail: JSON.parse(detail) as Readonly<Record<string, unknown>> })),
        skipped: Math.max(0, oldest - 1 - input.after),
        newest: group.eventSequence,
      };
    });
  }

  readGroup(): GroupReading | null {
    return this.#db.read(() => {
      const group = this.#find();
      if (group === undefined) return null;
      const nowMs = this.#nowMs();
      return {
        storeTimeMs: nowMs,
        epoch: this.#epoch,
        generation: group.generation,
        schemaVersion: this.#db.get(this.#sql.schemaRow)?.version ?? SCHEMA_VERSION,
        settings: group.settings,
        view: this.#view(),
        presence: this.#db.all(this.#sql.readAllPresence, this.#group).map((row) => this.#shown(row, nowMs)),
        elections: this.#electionsAfter(0),
        candidates: this.#db.all(this.#sql.readAllCandidates, this.#group).map((row) => ({ election: row.election, ...candidateRow(row) })),
        fences: this.#db.all(this.#sql.readFences, this.#group).map((row) => ({ ...row })),
        terms: this.#db.all(this.#sql.readTerms, this.#group).map((row) => ({ ...row })),
      };
    });
  }

  /** The names of all elections, for hints that must miss none. */
  electionNames(): readonly string[] {
    return this.#db.all(this.#sql.electionNames, this.#group).map((row) => row.election);
  }

  // ---- rows; to be called inside a transaction

  #nowMs(): number {
    return this.#db.get(this.#sql.now)?.nowMs ?? 0;
  }

  #find(): GroupRow | undefined {
    return this.#db.get(this.#sql.readGroup, this.#group);
  }

  #existing(): GroupRow {
    const group = this.#find();
    if (group !== undefined) return group;
    throw new TribuneError("GROUP_UNKNOWN", `there is no group ${this.#group} in this store`, { about: this.#group, next: "start a member of it first, or look for a slip in the name" });
  }

  #presence(incarnation: string): PresenceRecord | undefined {
    return this.#db.get(this.#sql.readPresence, this.#group, incarnation);
  }

  #shown(row: PresenceRecord, nowMs: number): PresenceRow {
    const { incarnation, node, state, beat, leaseMs, beatAtMs, joinOrder, viewSeen, metadataVersion } = row;
    const [observer, evicted, evidence] = [row.observer === 1, row.evicted === 1, this.#evidenceOf(row)];
    return { incarnation, node, state, beat, leaseMs, expired: beatAtMs + leaseMs <= nowMs, beatAgeMs: nowMs - beatAtMs, joinOrder, viewSeen, metadataVersion, observer, evicted, evidence };
  }

  #evidenceOf(row: PresenceRecord): PresenceRow["evidence"] {
    const key = this.#armedWith(row);
    if (key === null) return "none";
    return this.#evidence.isFree(key) ? "free" : "held";
  }

  /** Evidence of another epoch is of another file, or of processes that ended with the machine. */
  #armedWith({ state, evidenceKey, evidenceEpoch }: PresenceRecord): string | null {
    return state === "alive" && evidenceEpoch === this.#epoch ? evidenceKey : null;
  }

  #state(incarnation: string): "alive" | "dead" | undefined {
    return this.#db.get(this.#sql.readState, this.#group, incarnation)?.state;
  }

  #election(election: string): ElectionRecord | undefined {
    return this.#db.get(this.#sql.readElection, this.#group, election);
  }

  #electionsAfter(version: number): readonly ElectionRow[] {
    return this.#db.all(this.#sql.readElectionsAfter, this.#group, version).map(electionRow);
  }

  #fence(election: string): number | undefined {
    return this.#db.get(this.#sql.readFence, this.#group, election)?.token;
  }

  #view(): StoredView | null {
    const body = this.#db.get(this.#sql.readView, this.#group)?.body;
    return body === undefined ? null : (JSON.parse(body) as StoredView);
  }

  #each<T>(incarnations: readonly string[], read: (incarnation: string) => T | undefined): T[] {
    return incarnations.map(read).filter((row) => row !== undefined);
  }

  /** The next elections version, written down. */
  #countElections(group: GroupRow): number {
    const version = group.electionsVersion + 1;
    this.#db.run(this.#sql.countElections, version, this.#group);
    return version;
  }

  /** Appends events and forgets as many of the oldest as there are too many. At most once per transaction: `group` is as it was before. */
  #record(group: GroupRow, nowMs: number, events: readonly NewEvent[]): void {
    let sequence = group.eventSequence;
    for (const event of events) {
      sequence += 1;
      this.#db.run(this.#sql.insertEvent, this.#group, sequence, nowMs, event.type, event.subject, JSON.stringify(event.detail));
    }
    this.#db.run(this.#sql.countEvents, sequence, this.#group);
    this.#db.run(this.#sql.forgetEvents, this.#group, sequence - EVENTS_KEPT);
  }
}

function electionRow(row: ElectionRecord): ElectionRow {
  const { holderIncarnation, holderNode, reservationNode, reservationMs, pausedAtMs, pausedBy, pausedReason, ...rest } = row;
  return {
    ...rest,
    holder: holderIncarnation === null ? null : { incarnation: holderIncarnation, node: holderNode ?? "" },
    reservation: reservationNode === null ? null : { node: reservationNode, forMs: reservationMs ?? 0 },
    paused: pausedAtMs === null ? null : { reason: pausedReason ?? "", by: pausedBy ?? "", atMs: pausedAtMs },
    ranked: row.ranked === 1,
  };
}

function candidateRow({ incarnation, node, priority, fit, joinOrder }: CandidateRecord): CandidateRow {
  return { incarnation, node, priority, fit: fit === 1, joinOrder };
}
