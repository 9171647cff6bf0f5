import { claimed, COORDINATOR, documentFloor, EVENTS_KEPT, isClaimable, newElectionRow, nextToken, TERMS_KEPT, viewFloor } from "../index.ts";
import type {
  CandidacyInput,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  DeathReason,
  DocumentFence,
  EvictInput,
  JoinInput,
  NewEvent,
  PassFenceInput,
  PauseInput,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  ResignInput,
  TermRow,
  WriteDocumentInput,
} from "../index.ts";
import type { Acl, Operation } from "./client/records.ts";
import { ANY_VERSION } from "./client/records.ts";
import { electionIn, isAlive, NOW, presenceIn, writeData, writeDocument, writeText } from "./document.ts";
import type { BeatData, ElectionEntry, GroupDocument, PresenceEntry } from "./document.ts";
import type { GroupPaths } from "./paths.ts";

/** More events than these are moved from the document into a znode of their own. */
const EVENTS_IN_DOCUMENT = 50;

/** Which server and history it is, as the root's znode says. */
export interface Epoch {
  readonly epoch: string;
  /** How many there have been. */
  readonly number: number;
}

/** Where a step is taken, and as what it makes new znodes. */
export interface Place {
  readonly paths: GroupPaths;
  readonly group: string;
  readonly epoch: Epoch;
  readonly acl: readonly Acl[];
}

/** A znode's data, with the version that it had. */
export interface Versioned<T> {
  readonly value: T;
  readonly version: number;
  /** The store's wall clock at its last change. */
  readonly modifiedMs: number;
}

/** What a step comes to: an answer alone, or an answer and what has to be done for it to be true, besides writing the document that was changed. */
export type Step<T> = { readonly answer: T; readonly operations?: undefined } | { readonly answer: T; readonly operations: readonly Operation[] };

// Each function below is one operation of the contract as a decision: it changes the copy of the document that it is given, and says what else belongs to the same transaction.

// ---- presence

/** Makes the group with its first member. */
export function makeGroup(place: Place, input: JoinInput): { readonly document: GroupDocument; readonly operations: readonly Operation[] } {
  const { paths, epoch, acl } = place;
  const { settings, generation = 0 } = input;
  const document: GroupDocument = {
    epoch: epoch.epoch,
    epochNumber: epoch.number,
    birthEpoch: generation === 0 ? epoch.epoch : "",
    generation: generation + 1,
    settings,
    longestLeaseMs: 0,
    joinOrder: 0,
    electionsVersion: 0,
    eventSequence: 0,
    viewVersion: 0,
    documentsVersion: 0,
    presence: [],
    elections: [],
    documents: [],
    segments: [],
    events: [],
  };
  const member = addMember(place, document, input);
  const folders = [paths.beats, paths.members, paths.events, paths.terms, paths.fences, paths.documents].map((path) => create(path, acl));
  return { document, operations: [create(paths.group, acl, writeDocument(document)), create(paths.view, acl), ...folders, ...member] };
}

/** Adds a member; whether it may join has been looked at. */
export function addMember({ paths, acl }: Place, document: GroupDocument, input: JoinInput): readonly Operation[] {
  const leaseMs = Math.ceil(input.leaseMs);
  document.joinOrder += 1;
  document.longestLeaseMs = Math.max(document.longestLeaseMs, leaseMs);
  document.presence.push({
    incarnation: input.incarnation,
    node: input.node,
    state: "alive",
    leaseMs,
    joinOrder: document.joinOrder,
    joinedAtMs: NOW,
    metadataVersion: 1,
    observer: input.observer ?? false,
    evicted: false,
    beat: 0,
    viewSeen: 0,
    beatAtMs: 0,
    deadReason: null,
    deadAtMs: 0,
  });
  const beat: BeatData = { beat: 0, viewSeen: 0 };
  return [create(paths.beat(input.incarnation), acl, writeData(beat)), create(paths.member(input.incarnation), acl, writeData({ version: 1, metadata: input.metadata }))];
}

/** Whether a beat finds that the group must adopt an epoch, or a generation, first. */
export function mustRaise(document: GroupDocument, { epoch }: Epoch, generation: number): boolean {
  return document.epoch !== epoch || generation > document.generation;
}

/** Adopts the epoch, and a generation that is greater than any that is known of. */
export function raise(place: Place, document: GroupDocument, generation: number): Step<void> {
  const { group, epoch } = place;
  if (!mustRaise(document, epoch, generation)) return { answer: undefined };
  const operations = document.epoch === epoch.epoch ? [] : record(place, document, [{ type: "epoch-changed", subject: group, detail: { from: document.epoch, to: epoch.epoch } }]);
  // Epochs in between may have handed out tokens of generations that nobody can tell of any more.
  document.generation = Math.max(document.generation + Math.max(1, epoch.number - document.epochNumber), generation + 1);
  document.epoch = epoch.epoch;
  document.epochNumber = epoch.number;
  return { answer: undefined, operations };
}

/** `beat`: the znode of the incarnation's beats, or undefined if that is not there. */
export function leave({ paths }: Place, document: GroupDocument, incarnation: string, beat: Versioned<BeatData> | undefined): Step<boolean> {
  const entry = presenceIn(document, incarnation);
  if (entry?.state !== "alive" || beat === undefined) return { answer: false };
  return { answer: true, operations: [bury(paths, entry, beat, "left")] };
}

/** `storeMs`: a time that the store's clock has certainly reached. */
export function declareDead(place: Place, document: GroupDocument, input: DeclareDeadInput, beat: Versioned<BeatData> | undefined, storeMs: number): Step<boolean> {
  const { incarnation, epoch, requireExpired, requireFree = false, by, reason } = input;
  const entry = presenceIn(document, incarnation);
  if (entry?.state !== "alive" || beat === undefined || beat.value.beat !== input.beat || epoch !== place.epoch.epoch || requireFree) return { answer: false };
  if (requireExpired && beat.modifiedMs + entry.leaseMs > storeMs) return { answer: false };
  const recorded = record(place, document, [{ type: "declared-dead", subject: entry.node, detail: { incarnation, by, reason } }]);
  return { answer: true, operations: [...recorded, bury(place.paths, entry, beat, reason)] };
}

export function updateMetadata({ paths }: Place, document: GroupDocument, { incarnation, metadata }: { readonly incarnation: string; readonly metadata: string }): Step<boolean> {
  const entry = presenceIn(document, incarnation);
  if (entry?.state !== "alive") return { answer: false };
  entry.metadataVersion += 1;
  return { answer: true, operations: [set(paths.member(incarnation), writeData({ version: entry.metadataVersion, metadata }))] };
}

export function aliveOfNode(document: GroupDocument, node: string): PresenceEntry | undefined {
  return document.presence.find((entry) => entry.state === "alive" && entry.node === node);
}

export function evict(place: Place, document: GroupDocument, { node, by, reason }: EvictInput, beat: Versioned<BeatData> | undefined): Step<boolean> {
  const entry = aliveOfNode(document, node);
  if (entry === undefined || entry.evicted || beat === undefined) return { answer: false };
  entry.evicted = true;
  const recorded = record(place, document, [{ type: "eviction-requested", subject: node, detail: { incarnation: entry.incarnation, by, reason } }]);
  // The version moves, so that a beat that is on its way finds out.
  const data: BeatData = { ...beat.value, evicted: true };
  return { answer: true, operations: [...recorded, { op: "setData", path: place.paths.beat(entry.incarnation), data: writeData(data), version: beat.version }] };
}

function bury(paths: GroupPaths, entry: PresenceEntry, beat: Versioned<BeatData>, reason: "left" | DeathReason): Operation {
  entry.state = "dead";
  entry.deadReason = reason;
  entry.deadAtMs = NOW;
  entry.beat = beat.value.beat;
  entry.viewSeen = beat.value.viewSeen;
  entry.beatAtMs = beat.modifiedMs;
  return { op: "delete", path: paths.beat(entry.incarnation), version: beat.version };
}

// ---- elections

export function createElection({ paths, epoch, acl }: Place, document: GroupDocument, election: string): Step<void> {
  if (electionIn(document, election) !== undefined) return { answer: undefined };
  document.electionsVersion += 1;
  document.elections.push({
    row: { ...newElectionRow(election, { epoch: epoch.epoch, birthEpoch: document.birthEpoch, atMs: NOW }), version: document.electionsVersion },
    fence: 0,
    term: null,
    candidates: [],
  });
  return { answer: undefined, operations: [create(paths.fence(election), acl, writeData({ token: 0 })), create(paths.standing(election, 0), acl), create(paths.termsOf(election), acl, writeData([]))] };
}

/** `terms`: those before the last one, as they are stored. With `andPass` it takes that no transaction of an older term is open. */
export function claim(place: Place, document: GroupDocument, input: ClaimInput, terms: Versioned<readonly TermRow[]> | undefined): Step<ClaimResult | null> {
  const { election, incarnation, node } = input;
  const entry = electionIn(document, election);
  if (entry === undefined || terms === undefined || !mayClaim(place, document, entry, input)) return { answer: null };
  const { row } = entry;
  const token = nextToken(row, input, { fence: entry.fence, generation: document.generation });
  const operations: Operation[] = [];
  if (entry.term !== null) {
    endTerm(entry, "superseded");
    operations.push({ op: "setData", path: place.paths.termsOf(election), data: writeData([...terms.value, entry.term].slice(1 - TERMS_KEPT)), version: terms.version });
  }
  changed(document, entry);
  Object.assign(row, claimed(input, { token, atMs: NOW }));
  entry.term = { election, token, node, incarnation, beganAtMs: NOW, endedAtMs: null, endReason: null };
  operations.push(...record(place, document, [{ type: "term-began", subject: election, detail: { token, node, incarnation } }]));
  if (input.andPass === true) operations.push(...moveFence(place, entry, { expired: [] }));
  return { answer: { token, passed: input.andPass === true }, operations };
}

function mayClaim({ epoch }: Place, document: GroupDocument, { row }: ElectionEntry, input: ClaimInput): boolean {
  if (!isClaimable(row, input) || (row.holder !== null && isAlive(document, row.holder.incarnation))) return false;
  return isAlive(document, input.incarnation) && input.epoch === epoch.epoch && document.epoch === epoch.epoch;
}

/** What is known of the fence beside the document. */
export interface FenceState {
  /** Open transactions of the older term that have had their time, and are not waited for any more. */
  readonly expired: readonly string[];
  /** What somebody has removed: the znode of the token, or with it the fence itself. Nothing that is guarded can be carried out then, so it is made anew. */
  readonly removed?: "token" | "fence" | undefined;
}

export function passFence(place: Place, document: GroupDocument, input: PassFenceInput, state: FenceState): Step<"passed" | "superseded"> {
  const { election, incarnation, token } = input;
  const entry = electionIn(document, election);
  if (entry === undefined || entry.row.token !== token || entry.row.holder?.incarnation !== incarnation) return { answer: "superseded" };
  if (input.epoch !== place.epoch.epoch || entry.fence > token) return { answer: "superseded" };
  if (entry.fence === token) return { answer: "passed" };
  return { answer: "passed", operations: moveFence(place, entry, state) };
}

/** To the token of the row. */
function moveFence({ paths, acl }: Place, entry: ElectionEntry, { expired, removed }: FenceState): readonly Operation[] {
  const { election, token } = entry.row;
  const before = paths.standing(election, entry.fence);
  entry.fence = token;
  const takenAway = expired.map((name) => remove(`${before}/${name}`));
  const data = writeData({ token });
  return [
    removed === "fence" ? create(paths.fence(election), acl, data) : set(paths.fence(election), data),
    ...takenAway,
    // It can only be removed while nothing is below it: that is how an open transaction of the older term is found, in the same instant in which the fence moves.
    ...(removed === undefined ? [remove(before)] : []),
    create(paths.standing(election, token), acl),
  ];
}

export function resign(place: Place, document: GroupDocument, input: ResignInput): Step<boolean> {
  const { election, incarnation, token, reason, reservation } = input;
  const entry = electionIn(document, election);
  if (entry === undefined || entry.row.token !== token || entry.row.holder?.incarnation !== incarnation) return { answer: false };
  const { row } = entry;
  const { node } = row.holder ?? { node: "" };
  changed(document, entry);
  row.holder = null;
  row.resignRequested = null;
  row.resignRequestedFor = null;
  row.reservation = reservation === undefined ? null : { node: reservation.node, forMs: Math.ceil(reservation.forMs) };
  row.changedAtMs = NOW;
  endTerm(entry, reason);
  return { answer: true, operations: record(place, document, [{ type: "term-ended", subject: election, detail: { token, node, reason, ...(reservation === undefined ? {} : { for: reservation.node }) } }]) };
}

export function requestResign(place: Place, document: GroupDocument, { election, token, for: whom }: RequestResignInput): Step<boolean> {
  const entry = electionIn(document, election);
  if (entry === undefined || entry.row.holder === null || entry.row.token !== token) return { answer: false };
  changed(document, entry);
  entry.row.resignRequested = token;
  entry.row.resignRequestedFor = whom ?? null;
  const detail = { token, node: entry.row.holder.node, ...(whom === undefined ? {} : { for: whom }) };
  return { answer: true, operations: record(place, document, [{ type: "resign-requested", subject: election, detail }]) };
}

export function pause(place: Place, document: GroupDocument, { election, reason, by }: PauseInput): Step<boolean> {
  const entry = electionIn(document, election);
  if (entry === undefined || entry.row.paused !== null) return { answer: false };
  changed(document, entry);
  entry.row.paused = { reason, by, atMs: NOW };
  return { answer: true, operations: record(place, document, [{ type: "election-paused", subject: election, detail: { by, reason } }]) };
}

export function resume(place: Place, document: GroupDocument, { election, by }: { readonly election: string; readonly by: string }): Step<boolean> {
  const entry = electionIn(document, election);
  if (entry === undefined || entry.row.paused === null) return { answer: false };
  changed(document, entry);
  entry.row.paused = null;
  return { answer: true, operations: record(place, document, [{ type: "election-resumed", subject: election, detail: { by } }]) };
}

export function setCandidacy(document: GroupDocument, { election, incarnation, candidacy }: CandidacyInput): Step<boolean> {
  const entry = electionIn(document, election);
  if (entry === undefined || !isAlive(document, incarnation)) return { answer: false };
  const others = entry.candidates.filter((each) => each.incarnation !== incarnation);
  const before = entry.candidates.find((each) => each.incarnation === incarnation);
  if (candidacy === null) {
    entry.candidates = others;
    return before === undefined ? { answer: false } : { answer: true, operations: [] };
  }
  const { priority, fit } = candidacy;
  if (before?.priority === priority && before.fit === fit) return { answer: true };
  entry.candidates = [...others, { incarnation, priority, fit }];
  if (priority !== 0 && !entry.row.ranked) {
    changed(document, entry);
    entry.row.ranked = true;
  }
  return { answer: true, operations: [] };
}

function changed(document: GroupDocument, { row }: ElectionEntry): void {
  document.electionsVersion += 1;
  row.version = document.electionsVersion;
}

function endTerm({ term }: ElectionEntry, reason: string): void {
  if (term === null || term.endedAtMs !== null) return;
  term.endedAtMs = NOW;
  term.endReason = reason;
}

// ---- membership

/** `storeMs`: a time that the store's clock has certainly reached. */
export function publishView(place: Place, document: GroupDocument, input: PublishViewInput, storeMs: number): Step<boolean> {
  const { paths, group } = place;
  const { view, token } = input;
  if (!mayPublish(place, document, input)) return { answer: false };
  document.viewVersion = view.version;
  const detail = { version: view.version, members: view.members.length, token };
  const recorded = record(place, document, [...input.events, { type: "view-published", subject: group, detail }]);
  const forgotten = forget(document, storeMs - input.forgetDeadAfterMs).map((incarnation) => remove(paths.member(incarnation)));
  return { answer: true, operations: [set(paths.view, writeData(view)), ...recorded, ...forgotten] };
}

function mayPublish({ epoch }: Place, document: GroupDocument, { view, expectedVersion, epoch: seen, token, incarnation }: PublishViewInput): boolean {
  if (document.viewVersion !== expectedVersion || view.version <= expectedVersion || view.version <= viewFloor(document.generation)) return false;
  if (seen !== epoch.epoch || document.epoch !== epoch.epoch) return false;
  const coordinator = electionIn(document, COORDINATOR);
  return coordinator !== undefined && coordinator.fence === token && coordinator.row.token === token && coordinator.row.holder?.incarnation === incarnation;
}

/** Takes the rows of those away that died before that time and that no election names; answers who they were. */
function forget(document: GroupDocument, deadBeforeMs: number): readonly string[] {
  const holders = new Set(document.elections.map(({ row }) => row.holder?.incarnation));
  const isForgotten = (entry: PresenceEntry) => entry.state === "dead" && entry.deadAtMs < deadBeforeMs && !holders.has(entry.incarnation);
  const forgotten = new Set(document.presence.filter(isForgotten).map((entry) => entry.incarnation));
  document.presence = document.presence.filter((entry) => !forgotten.has(entry.incarnation));
  for (const entry of document.elections) entry.candidates = entry.candidates.filter((each) => !forgotten.has(each.incarnation));
  return [...forgotten];
}

// ---- documents

/** Writes or makes a document, where it still has the version that the writer saw. */
export function changeDocument(place: Place, document: GroupDocument, input: WriteDocumentInput): Step<boolean> {
  const { paths, acl } = place;
  const { name, text } = input;
  const version = Math.max(document.documentsVersion, documentFloor(document.generation)) + 1;
  if (!mayChangeDocument(place, document, input) || !Number.isSafeInteger(version)) return { answer: false };
  const path = paths.document(name);
  const data = writeText({ version, text });
  const isNew = document.documents.every((each) => each.name !== name);
  document.documentsVersion = version;
  document.documents = [...document.documents.filter((each) => each.name !== name), { name, version }];
  return { answer: true, operations: [isNew ? create(path, acl, data) : set(path, data)] };
}

/** Removes a document, where it still has that version. */
export function removeDocument(place: Place, document: GroupDocument, input: RemoveDocumentInput): Step<boolean> {
  if (input.expectedVersion === 0 || !mayChangeDocument(place, document, input)) return { answer: false };
  document.documents = document.documents.filter((each) => each.name !== input.name);
  return { answer: true, operations: [remove(place.paths.document(input.name))] };
}

/** A generation that is not adopted yet would give versions of an earlier one. */
function mayChangeDocument({ epoch }: Place, document: GroupDocument, { name, expectedVersion, fence }: RemoveDocumentInput): boolean {
  const found = document.documents.find((each) => each.name === name);
  if (document.epoch !== epoch.epoch || (found?.version ?? 0) !== expectedVersion) return false;
  return fence === undefined || stands(document, fence);
}

function stands(document: GroupDocument, { election, token, incarnation }: DocumentFence): boolean {
  const entry = electionIn(document, election);
  return entry !== undefined && entry.fence === token && entry.row.token === token && entry.row.holder?.incarnation === incarnation;
}

// ---- the record

/**
 * Appends events. They stay in the document until there are many, and then move to a znode of their own; those that nobody will be shown any more are removed.
 */
function record({ paths, acl }: Place, document: GroupDocument, events: readonly NewEvent[]): readonly Operation[] {
  for (const { type, subject, detail } of events) {
    document.eventSequence += 1;
    document.events.push({ type, subject, detail, sequence: document.eventSequence, atMs: NOW });
  }
  const [first] = document.events;
  if (first === undefined || document.events.length <= EVENTS_IN_DOCUMENT) return [];
  const operations: Operation[] = [create(paths.segment(first.sequence), acl, writeData(document.events))];
  document.segments.push(first.sequence);
  document.events = [];
  const oldest = oldestKept(document);
  while ((document.segments[1] ?? Number.POSITIVE_INFINITY) <= oldest) {
    operations.push(remove(paths.segment(document.segments[0] ?? 0)));
    document.segments.shift();
  }
  return operations;
}

/** The oldest event that is shown; one more than the newest if there is none. */
export function oldestKept({ segments, events, eventSequence }: GroupDocument): number {
  const stored = segments[0] ?? events[0]?.sequence ?? eventSequence + 1;
  return Math.max(stored, eventSequence - EVENTS_KEPT + 1);
}

function create(path: string, acl: readonly Acl[], data: Uint8Array = Buffer.alloc(0)): Operation {
  return { op: "create", path, data, acl };
}

function remove(path: string): Operation {
  return { op: "delete", path, version: ANY_VERSION };
}

/** Whatever version it has: the document's version, which is compared in the same transaction, is what keeps others out. */
function set(path: string, data: Uint8Array): Operation {
  return { op: "setData", path, data, version: ANY_VERSION };
}
