import { TribuneError } from "../../kernel/index.ts";
import { checkDocumentName, checkDocumentPrefix, checkDocumentText } from "../document-check.ts";
import { claimed, isClaimable, newElectionRow, nextToken } from "../election-rows.ts";
import { documentFloor, EVENTS_KEPT, SCHEMA_VERSION, TERMS_KEPT, viewFloor } from "../limits.ts";
import { COORDINATOR } from "../provider.ts";
import type {
  BeatInput,
  BeatReply,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ClaimResult,
  DeathReason,
  DeclareDeadInput,
  DocumentFence,
  DocumentRow,
  ElectionRow,
  EventPage,
  EvictInput,
  GroupReading,
  Hint,
  Holder,
  JoinInput,
  JoinResult,
  LookInput,
  LookReply,
  MemberRow,
  NewEvent,
  PassFenceInput,
  Pause,
  PauseInput,
  PresenceRow,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  Reservation,
  ResignInput,
  StoredDocument,
  StoredEvent,
  StoredView,
  TermRow,
  WriteDocumentInput,
} from "../provider.ts";

/** What the engine needs from whoever runs it. */
export interface EngineEnvironment {
  /** The store's own wall clock. */
  now(): number;
  /** Identity and timeline of the server that answers now. */
  epoch(): string;
  /** How many epochs the store has had: grows by at least one whenever the epoch changes, also where nobody saw some of them. */
  epochNumber(): number;
  /** Told after each change. */
  hint(group: string, hint: Hint): void;
  /** Whether fenced transactions that are open hold the fence back. */
  fenceIsBusy(group: string, election: string): boolean;
  /** Whether the session that took this evidence is still there. */
  evidenceIsHeld(key: string): boolean;
}

interface Presence {
  incarnation: string;
  node: string;
  state: "alive" | "dead";
  beat: number;
  leaseMs: number;
  beatAtMs: number;
  expiresAtMs: number;
  joinOrder: number;
  joinedAtMs: number;
  viewSeen: number;
  metadata: string;
  metadataVersion: number;
  deadReason: "left" | DeathReason | null;
  deadAtMs: number;
  observer: boolean;
  evicted: boolean;
  /** What its last beat was armed with, and in which epoch. */
  armed: { readonly key: string; readonly epoch: string } | null;
}

interface Election {
  election: string;
  token: number;
  holder: Holder | null;
  epoch: string;
  version: number;
  resignRequested: number | null;
  resignRequestedFor: string | null;
  reservation: Reservation | null;
  paused: Pause | null;
  priority: number;
  minimumTermMs: number;
  ranked: boolean;
  changedAtMs: number;
  /** By incarnation. */
  readonly candidates: Map<string, { readonly priority: number; readonly fit: boolean }>;
}

interface Group {
  epoch: string;
  epochNumber: number;
  birthEpoch: string;
  generation: number;
  settings: string;
  longestLeaseMs: number;
  joinOrder: number;
  electionsVersion: number;
  eventSequence: number;
  view: string | null;
  viewVersion: number;
  documentsVersion: number;
  readonly documents: Map<string, StoredDocument>;
  readonly presence: Map<string, Presence>;
  readonly elections: Map<string, Election>;
  readonly fences: Map<string, number>;
  events: StoredEvent[];
  terms: TermRow[];
}

/** All that a store keeps, as data: what a failover to an older copy puts back. */
export type EngineState = Map<string, Group>;

/**
 * The contract as plain, synchronous code: each method is one statement. The memory provider and the simulated store
 * run this; it is also the shortest precise answer to "what should my provider do here?". It is as strict as a
 * database: what goes in and out is copied, and nothing is granted that the contract does not grant.
 */
export class MemoryEngine {
  readonly #environment: EngineEnvironment;
  #groups: EngineState = new Map();

  constructor(environment: EngineEnvironment) {
    this.#environment = environment;
  }

  /** A copy of everything, as a replica that lags would have it. */
  snapshot(): EngineState {
    return structuredClone(this.#groups);
  }

  /** Puts an older copy in place, as a failover that lost commits does. */
  restore(state: EngineState): void {
    this.#groups = structuredClone(state);
  }

  // ---- presence

  join(groupName: string, input: JoinInput): JoinResult {
    const now = this.#environment.now();
    const epoch = this.#environment.epoch();
    const group = this.#groups.get(groupName) ?? newGroup(epoch, this.#environment.epochNumber(), input);
    if (group.settings !== input.settings) return { outcome: "settings-mismatch", settings: group.settings };
    const known = group.presence.get(input.incarnation);
    if (known?.state === "alive") return { outcome: "joined", joinOrder: known.joinOrder, epoch };
    if (known !== undefined) throw new TribuneError("INCARNATION_DEAD", `incarnation ${input.incarnation} is dead and does not come back`, { about: input.node });
    for (const other of group.presence.values()) {
      if (other.state === "alive" && other.node === input.node) return { outcome: "name-taken", by: this.#presenceRow(other, now) };
    }
    this.#groups.set(groupName, group);
    group.joinOrder += 1;
    group.longestLeaseMs = Math.max(group.longestLeaseMs, input.leaseMs);
    group.presence.set(input.incarnation, {
      incarnation: input.incarnation,
      node: input.node,
      state: "alive",
      beat: 0,
      leaseMs: input.leaseMs,
      beatAtMs: now,
      expiresAtMs: now + input.leaseMs,
      joinOrder: group.joinOrder,
      joinedAtMs: now,
      viewSeen: 0,
      metadata: input.metadata,
      metadataVersion: 1,
      deadReason: null,
      deadAtMs: 0,
      observer: input.observer ?? false,
      evicted: false,
      armed: null,
    });
    this.#environment.hint(groupName, { kind: "presence" });
    return { outcome: "joined", joinOrder: group.joinOrder, epoch };
  }

  /** `armedWith`: the evidence that the session holds, if it does. */
  beat(groupName: string, input: BeatInput, armedWith?: string): BeatReply {
    const group = this.#group(groupName);
    const now = this.#environment.now();
    const epoch = this.#environment.epoch();
    if (group.epoch !== epoch || input.generation > group.generation) {
      if (group.epoch !== epoch) this.#record(group, [{ type: "epoch-changed", subject: groupName, detail: { from: group.epoch, to: epoch } }]);
      const epochNumber = this.#environment.epochNumber();
      // Epochs in between may have handed out tokens of generations that nobody can tell of any more.
      group.generation = Math.max(group.generation + Math.max(1, epochNumber - group.epochNumber), input.generation + 1);
      group.epoch = epoch;
      group.epochNumber = epochNumber;
    }
    const row = group.presence.get(input.incarnation);
    const accepted = row?.state === "alive" && !row.evicted && row.beat < input.beat && (input.cursor.epoch === "" || input.cursor.epoch === epoch);
    if (accepted) {
      row.beat = input.beat;
      row.beatAtMs = now;
      row.expiresAtMs = now + row.leaseMs;
      row.viewSeen = Math.max(row.viewSeen, input.viewSeen);
      row.armed = armedWith === undefined ? null : { key: armedWith, epoch };
    }
    return { ...this.look(groupName, input), accepted, self: row?.state === "alive" && row.evicted ? "evicted" : (row?.state ?? "absent") };
  }

  look(groupName: string, input: LookInput): LookReply {
    const group = this.#group(groupName);
    const now = this.#environment.now();
    const epoch = this.#environment.epoch();
    const sameEpoch = input.cursor.epoch === epoch;
    const presence = input.watch === "all" ? [...group.presence.values()] : input.watch.map((incarnation) => group.presence.get(incarnation)).filter((row) => row !== undefined);
    return {
      storeTimeMs: now,
      epoch,
      generation: group.generation,
      electionsVersion: group.electionsVersion,
      elections: [...group.elections.values()].filter((row) => !sameEpoch || row.version > input.cursor.electionsVersion).map(electionRow),
      viewVersion: group.viewVersion,
      view: group.view !== null && (!sameEpoch || group.viewVersion !== input.cursor.viewVersion) ? (JSON.parse(group.view) as StoredView) : null,
      presence: presence.map((row) => this.#presenceRow(row, now)),
      longestLeaseMs: group.longestLeaseMs,
    };
  }

  leave(groupName: string, input: { readonly incarnation: string }): boolean {
    const row = this.#groups.get(groupName)?.presence.get(input.incarnation);
    if (row?.state !== "alive") return false;
    this.#bury(groupName, row, "left");
    return true;
  }

  declareDead(groupName: string, input: DeclareDeadInput): boolean {
    const group = this.#groups.get(groupName);
    const row = group?.presence.get(input.incarnation);
    if (group === undefined || row?.state !== "alive" || row.beat !== input.beat || this.#environment.epoch() !== input.epoch) return false;
    if (input.requireExpired && row.expiresAtMs > this.#environment.now()) return false;
    if (input.requireFree === true && this.#evidence(row) !== "free") return false;
    this.#record(group, [{ type: "declared-dead", subject: row.node, detail: { incarnation: row.incarnation, by: input.by, reason: input.reason } }]);
    this.#bury(groupName, row, input.reason);
    return true;
  }

  updateMetadata(groupName: string, input: { readonly incarnation: string; readonly metadata: string }): boolean {
    const row = this.#groups.get(groupName)?.presence.get(input.incarnation);
    if (row?.state !== "alive") return false;
    row.metadata = input.metadata;
    row.metadataVersion += 1;
    this.#environment.hint(groupName, { kind: "presence" });
    return true;
  }

  evict(groupName: string, input: EvictInput): boolean {
    const group = this.#groups.get(groupName);
    const row = [...(group?.presence.values() ?? [])].find((each) => each.state === "alive" && each.node === input.node);
    if (group === undefined || row === undefined || row.evicted) return false;
    row.evicted = true;
    this.#record(group, [{ type: "eviction-requested", subject: row.node, detail: { incarnation: row.incarnation, by: input.by, reason: input.reason } }]);
    this.#environment.hint(groupName, { kind: "presence" });
    return true;
  }

  // ---- elections

  createElection(groupName: string, input: { readonly election: string }): void {
    const group = this.#group(groupName);
    if (group.elections.has(input.election)) return;
    group.electionsVersion += 1;
    group.elections.set(input.election, {
      ...newElectionRow(input.election, { epoch: this.#environment.epoch(), birthEpoch: group.birthEpoch, atMs: this.#environment.now() }),
      version: group.electionsVersion,
      candidates: new Map(),
    });
    group.fences.set(input.election, 0);
    this.#environment.hint(groupName, { kind: "election", election: input.election });
  }

  claim(groupName: string, input: ClaimInput): ClaimResult | null {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    const epoch = this.#environment.epoch();
    if (row === undefined || !isClaimable(row, input)) return null;
    if (row.holder !== null && group.presence.get(row.holder.incarnation)?.state === "alive") return null;
    if (group.presence.get(input.incarnation)?.state !== "alive") return null;
    if (epoch !== input.epoch || group.epoch !== epoch) return null;
    const now = this.#environment.now();
    const token = nextToken(row, input, { fence: group.fences.get(input.election) ?? 0, generation: group.generation });
    group.electionsVersion += 1;
    Object.assign(row, claimed(input, { token, atMs: now }), { version: group.electionsVersion });
    this.#endTerms(group, input.election, "superseded");
    group.terms.push({ election: input.election, token, node: input.node, incarnation: input.incarnation, beganAtMs: now, endedAtMs: null, endReason: null });
    this.#record(group, [{ type: "term-began", subject: input.election, detail: { token, node: input.node, incarnation: input.incarnation } }]);
    this.#environment.hint(groupName, { kind: "election", election: input.election });
    const passed = input.andPass === true && !this.#environment.fenceIsBusy(groupName, input.election);
    if (passed) group.fences.set(input.election, token);
    return { token, passed };
  }

  passFence(groupName: string, input: PassFenceInput): "passed" | "busy" | "superseded" {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    const fence = group.fences.get(input.election);
    if (row === undefined || fence === undefined || row.token !== input.token || row.holder?.incarnation !== input.incarnation) return "superseded";
    if (this.#environment.epoch() !== input.epoch || fence > input.token) return "superseded";
    if (fence === input.token) return "passed";
    if (this.#environment.fenceIsBusy(groupName, input.election)) return "busy";
    group.fences.set(input.election, input.token);
    return "passed";
  }

  resign(groupName: string, input: ResignInput): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    if (row === undefined || row.token !== input.token || row.holder?.incarnation !== input.incarnation) return false;
    group.electionsVersion += 1;
    const node = row.holder.node;
    row.holder = null;
    row.version = group.electionsVersion;
    row.resignRequested = null;
    row.resignRequestedFor = null;
    row.reservation = input.reservation === undefined ? null : { node: input.reservation.node, forMs: Math.ceil(input.reservation.forMs) };
    row.changedAtMs = this.#environment.now();
    this.#endTerms(group, input.election, input.reason);
    this.#record(group, [{ type: "term-ended", subject: input.election, detail: { token: input.token, node, reason: input.reason, ...(input.reservation === undefined ? {} : { for: input.reservation.node }) } }]);
    this.#environment.hint(groupName, { kind: "election", election: input.election });
    return true;
  }

  requestResign(groupName: string, input: RequestResignInput): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    if (row === undefined || row.holder === null || row.token !== input.token) return false;
    group.electionsVersion += 1;
    row.version = group.electionsVersion;
    row.resignRequested = input.token;
    row.resignRequestedFor = input.for ?? null;
    this.#record(group, [{ type: "resign-requested", subject: input.election, detail: { token: input.token, node: row.holder.node, ...(input.for === undefined ? {} : { for: input.for }) } }]);
    this.#environment.hint(groupName, { kind: "election", election: input.election });
    return true;
  }

  pause(groupName: string, input: PauseInput): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    if (row === undefined || row.paused !== null) return false;
    const { reason, by } = input;
    row.paused = { reason, by, atMs: this.#environment.now() };
    this.#changed(groupName, group, row, { type: "election-paused", subject: input.election, detail: { by, reason } });
    return true;
  }

  resume(groupName: string, input: { readonly election: string; readonly by: string }): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    if (row === undefined || row.paused === null) return false;
    row.paused = null;
    this.#changed(groupName, group, row, { type: "election-resumed", subject: input.election, detail: { by: input.by } });
    return true;
  }

  setCandidacy(groupName: string, input: CandidacyInput): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    if (row === undefined || group.presence.get(input.incarnation)?.state !== "alive") return false;
    if (input.candidacy === null) return row.candidates.delete(input.incarnation);
    row.candidates.set(input.incarnation, { priority: input.candidacy.priority, fit: input.candidacy.fit });
    if (input.candidacy.priority !== 0 && !row.ranked) {
      row.ranked = true;
      this.#changed(groupName, group, row);
    }
    return true;
  }

  readCandidates(groupName: string, input: { readonly election: string }): readonly CandidateRow[] {
    const group = this.#group(groupName);
    const row = group.elections.get(input.election);
    return row === undefined ? [] : candidatesOf(group, row);
  }

  // ---- membership

  readMembers(groupName: string, input: { readonly incarnations: readonly string[] }): readonly MemberRow[] {
    const group = this.#group(groupName);
    return input.incarnations
      .map((incarnation) => group.presence.get(incarnation))
      .filter((row) => row !== undefined)
      .map(({ incarnation, node, state, metadata, metadataVersion, joinOrder, joinedAtMs, deadReason, observer }) => ({ incarnation, node, state, metadata, metadataVersion, joinOrder, joinedAtMs, deadReason, observer }));
  }

  publishView(groupName: string, input: PublishViewInput): boolean {
    const group = this.#group(groupName);
    const row = group.elections.get(COORDINATOR);
    if (group.viewVersion !== input.expectedVersion || input.view.version <= input.expectedVersion) return false;
    if (group.epoch !== input.epoch || input.view.version <= viewFloor(group.generation)) return false;
    if (group.fences.get(COORDINATOR) !== input.token || this.#environment.epoch() !== input.epoch) return false;
    if (row === undefined || row.token !== input.token || row.holder?.incarnation !== input.incarnation) return false;
    group.view = JSON.stringify(input.view);
    group.viewVersion = input.view.version;
    this.#record(group, [...input.events, { type: "view-published", subject: groupName, detail: { version: input.view.version, members: input.view.members.length, token: input.token } }]);
    this.#forget(group, this.#environment.now() - input.forgetDeadAfterMs);
    this.#environment.hint(groupName, { kind: "view" });
    return true;
  }

  // ---- documents

  readDocument(groupName: string, input: { readonly name: string }): StoredDocument | null {
    const found = this.#groups.get(groupName)?.documents.get(checkDocumentName(input.name));
    return found === undefined ? null : { ...found };
  }

  writeDocument(groupName: string, input: WriteDocumentInput): boolean {
    const name = checkDocumentName(input.name);
    const text = checkDocumentText(name, input.text);
    const group = this.#groups.get(groupName);
    if (group === undefined || !this.#mayChangeDocument(group, input)) return false;
    const version = Math.max(group.documentsVersion, documentFloor(group.generation)) + 1;
    if (!Number.isSafeInteger(version)) return false;
    group.documentsVersion = version;
    group.documents.set(name, { version, text });
    this.#environment.hint(groupName, { kind: "document", name });
    return true;
  }

  removeDocument(groupName: string, input: RemoveDocumentInput): boolean {
    const name = checkDocumentName(input.name);
    const group = this.#groups.get(groupName);
    if (group === undefined || !this.#mayChangeDocument(group, input) || !group.documents.delete(name)) return false;
    this.#environment.hint(groupName, { kind: "document", name });
    return true;
  }

  listDocuments(groupName: string, input: { readonly prefix: string }): readonly DocumentRow[] {
    const prefix = checkDocumentPrefix(input.prefix);
    const rows = [...(this.#groups.get(groupName)?.documents ?? [])].map(([name, { version }]) => ({ name, version }));
    return rows.filter(({ name }) => name.startsWith(prefix)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A generation that is not adopted yet would give versions of an earlier one. */
  #mayChangeDocument(group: Group, { name, expectedVersion, fence }: RemoveDocumentInput): boolean {
    if (group.epoch !== this.#environment.epoch() || (group.documents.get(name)?.version ?? 0) !== expectedVersion) return false;
    return fence === undefined || this.#stands(group, fence);
  }

  #stands(group: Group, { election, token, incarnation }: DocumentFence): boolean {
    const row = group.elections.get(election);
    return row !== undefined && row.token === token && row.holder?.incarnation === incarnation && group.fences.get(election) === token;
  }

  // ---- the record

  readEvents(groupName: string, input: { readonly after: number; readonly limit: number }): EventPage {
    const group = this.#group(groupName);
    const oldest = group.events[0]?.sequence ?? group.eventSequence + 1;
    return {
      events: structuredClone(group.events.filter((event) => event.sequence > input.after).slice(0, input.limit)),
      skipped: Math.max(0, oldest - 1 - input.after),
      newest: group.eventSequence,
    };
  }

  readGroup(groupName: string): GroupReading | null {
    const group = this.#groups.get(groupName);
    if (group === undefined) return null;
    const now = this.#environment.now();
    return {
      storeTimeMs: now,
      epoch: this.#environment.epoch(),
      generation: group.generation,
      schemaVersion: SCHEMA_VERSION,
      settings: group.settings,
      view: group.view === null ? null : (JSON.parse(group.view) as StoredView),
      presence: [...group.presence.values()].map((row) => this.#presenceRow(row, now)),
      elections: [...group.elections.values()].map(electionRow),
      candidates: [...group.elections.values()].flatMap((row) => candidatesOf(group, row).map((candidate) => ({ election: row.election, ...candidate }))),
      fences: [...group.fences].map(([election, token]) => ({ election, token })),
      terms: structuredClone(group.terms).reverse(),
    };
  }

  /** The fence's token, for a guard; `undefined` if there is no such fence. */
  fence(groupName: string, election: string): number | undefined {
    return this.#groups.get(groupName)?.fences.get(election);
  }

  /** What a look shows of the evidence of an incarnation; `none` also if there is no such row. */
  evidenceOf(groupName: string, incarnation: string): PresenceRow["evidence"] {
    const row = this.#groups.get(groupName)?.presence.get(incarnation);
    return row === undefined ? "none" : this.#evidence(row);
  }

  /** What the last beat of an incarnation was armed with, for simulations. */
  evidenceKeyOf(groupName: string, incarnation: string): string | undefined {
    return this.#groups.get(groupName)?.presence.get(incarnation)?.armed?.key;
  }

  #group(name: string): Group {
    const group = this.#groups.get(name);
    if (group === undefined) throw new TribuneError("GROUP_UNKNOWN", `there is no group ${name} in this store`, { about: name, next: "start a member of it first, or look for a slip in the name" });
    return group;
  }

  #presenceRow(row: Presence, now: number): PresenceRow {
    const { incarnation, node, state, beat, leaseMs, joinOrder, viewSeen, metadataVersion, observer, evicted } = row;
    const evidence = this.#evidence(row);
    return { incarnation, node, state, beat, leaseMs, joinOrder, viewSeen, metadataVersion, observer, evicted, evidence, expired: row.expiresAtMs <= now, beatAgeMs: now - row.beatAtMs };
  }

  /** Evidence of another epoch is of another server, or of a history that is lost. */
  #evidence({ state, armed }: Presence): PresenceRow["evidence"] {
    if (state === "dead" || armed === null || armed.epoch !== this.#environment.epoch()) return "none";
    return this.#environment.evidenceIsHeld(armed.key) ? "held" : "free";
  }

  /** The row has changed: with a new version, an event and a hint. */
  #changed(groupName: string, group: Group, row: Election, event?: NewEvent): void {
    group.electionsVersion += 1;
    row.version = group.electionsVersion;
    if (event !== undefined) this.#record(group, [event]);
    this.#environment.hint(groupName, { kind: "election", election: row.election });
  }

  #bury(groupName: string, row: Presence, reason: "left" | DeathReason): void {
    row.state = "dead";
    row.deadReason = reason;
    row.deadAtMs = this.#environment.now();
    this.#environment.hint(groupName, { kind: "presence" });
  }

  #record(group: Group, events: readonly NewEvent[]): void {
    for (const event of events) {
      group.eventSequence += 1;
      group.events.push({ ...structuredClone(event), sequence: group.eventSequence, atMs: this.#environment.now() });
    }
    // Not at each event: taking the first of a long list costs as much as the list is long.
    if (group.events.length > EVENTS_KEPT * 1.1) group.events = group.events.slice(-EVENTS_KEPT);
  }

  #endTerms(group: Group, election: string, reason: string): void {
    group.terms = group.terms.map((term) => (term.election === election && term.endedAtMs === null ? { ...term, endedAtMs: this.#environment.now(), endReason: reason } : term));
  }

  #forget(group: Group, deadBeforeMs: number): void {
    const holders = new Set([...group.elections.values()].map((row) => row.holder?.incarnation));
    for (const row of group.presence.values()) {
      if (row.state === "dead" && row.deadAtMs < deadBeforeMs && !holders.has(row.incarnation)) group.presence.delete(row.incarnation);
    }
    for (const { candidates } of group.elections.values()) {
      for (const incarnation of candidates.keys()) if (!group.presence.has(incarnation)) candidates.delete(incarnation);
    }
    group.events = group.events.slice(-EVENTS_KEPT);
    const perElection = Map.groupBy(group.terms, (term) => term.election);
    const kept = new Set([...perElection.values()].flatMap((terms) => terms.slice(-TERMS_KEPT)));
    group.terms = group.terms.filter((term) => kept.has(term));
  }
}

/** For somebody who knows that there was one before, it is not born in this epoch, and its generation is a later one. */
function newGroup(epoch: string, epochNumber: number, { settings, generation = 0 }: JoinInput): Group {
  return {
    epoch,
    epochNumber,
    birthEpoch: generation === 0 ? epoch : "",
    generation: generation + 1,
    settings,
    longestLeaseMs: 0,
    joinOrder: 0,
    electionsVersion: 0,
    eventSequence: 0,
    view: null,
    viewVersion: 0,
    documentsVersion: 0,
    documents: new Map(),
    presence: new Map(),
    elections: new Map(),
    fences: new Map(),
    events: [],
    terms: [],
  };
}

/** All of a row but who contends for it. */
function electionRow(row: Election): ElectionRow {
  const { candidates: _candidates, holder, reservation, paused, ...rest } = row;
  return { ...rest, holder: holder && { ...holder }, reservation: reservation && { ...reservation }, paused: paused && { ...paused } };
}

/** Those who are alive, the oldest first. */
function candidatesOf(group: Group, row: Election): CandidateRow[] {
  const found: CandidateRow[] = [];
  for (const [incarnation, { priority, fit }] of row.candidates) {
    const presence = group.presence.get(incarnation);
    if (presence?.state === "alive") found.push({ incarnation, node: presence.node, priority, fit, joinOrder: presence.joinOrder });
  }
  return found.sort((a, b) => a.joinOrder - b.joinOrder);
}
