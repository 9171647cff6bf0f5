import { TribuneError } from "../../kernel/index.ts";
import { claimed, COORDINATOR, documentFloor, EVENTS_KEPT, isClaimable, newElectionRow, nextToken, TERMS_KEPT, viewFloor } from "../index.ts";
import type {
  BeatInput,
  CandidacyInput,
  ClaimInput,
  ClaimResult,
  DeclareDeadInput,
  DocumentFence,
  ElectionRow,
  EvictInput,
  JoinInput,
  JoinResult,
  NewEvent,
  PassFenceInput,
  PauseInput,
  PublishViewInput,
  RemoveDocumentInput,
  RequestResignInput,
  ResignInput,
  WriteDocumentInput,
} from "../index.ts";
import { padded } from "./keys.ts";
import type { GroupKeys, StoreKeys } from "./keys.ts";
import { all } from "./messages.ts";
import type { Compare, Range, Write } from "./messages.ts";
import type { AgeRecord, Key, PresenceRecord } from "./records.ts";
import { ageOf, documentText, historyOf, presenceRowOf } from "./rows.ts";
import type { Reading } from "./rows.ts";

/**
 * An operation as a decision: what to read, and what follows from it. What is written is written by a transaction that compares every single key of the reading: if one has
 * changed since, nothing is, and the decision is made again from what is there then. Ranges are not compared; no decision depends on one.
 */
export interface Operation<T> {
  readonly reads: readonly Range[];
  /** Read as well where anything is read; what is known already decides without. */
  readonly extra?: readonly Range[];
  decide(reading: Reading, nowMs: number): Decision<T>;
}

export type Decision<T> = Settled<T> | { /** What was read names something else that the decision depends on. */ readonly need: readonly Range[] };

/** What is answered, once everything has been written. */
export interface Settled<T> {
  readonly answer: T;
  /** Left out: nothing is. */
  readonly writes?: readonly Write[];
  /** What must hold besides, for it to be written. */
  readonly compare?: readonly Compare[];
}

/** Values are cut into pieces of so many events, so that no request becomes too large. */
const EVENTS_TOGETHER = 500;

/** A transaction takes 128 operations. Who cannot be forgotten with this view is with the next. */
const REMOVALS_AT_ONCE = 90;

/** The operations of a group that write, all but the beat without I/O. */
export class Operations {
  readonly #keys: GroupKeys;
  readonly #store: StoreKeys;
  readonly #group: string;

  constructor(keys: GroupKeys, store: StoreKeys, group: string) {
    this.#keys = keys;
    this.#store = store;
    this.#group = group;
  }

  // ---- presence

  join(input: JoinInput): Operation<JoinResult> {
    const [keys, store] = [this.#keys, this.#store];
    const { incarnation, node, settings, generation = 0, observer = false } = input;
    const leaseMs = Math.ceil(input.leaseMs);
    return {
      reads: points(store.history, keys.group, keys.age, keys.joins, keys.name(node), keys.presence(incarnation)),
      decide: (reading, nowMs) => {
        const history = historyOf(reading, store);
        const group = reading.json(keys.group);
        if (group !== undefined && group.settings !== settings) return { answer: { outcome: "settings-mismatch", settings: group.settings } };
        const known = reading.json(keys.presence(incarnation));
        if (known?.state === "alive") return { answer: { outcome: "joined", joinOrder: known.joinOrder, epoch: history.epoch } };
        if (known !== undefined) throw new TribuneError("INCARNATION_DEAD", `incarnation ${incarnation} is dead and does not come back`, { about: node, next: "join with a fresh incarnation" });
        const holder = reading.json(keys.name(node));
        if (holder !== undefined) {
          if (!reading.points.includes(keys.presence(holder))) return { need: points(keys.presence(holder), keys.beat(holder)) };
          const [presence, beat] = [reading.json(keys.presence(holder)), reading.json(keys.beat(holder))];
          if (presence !== undefined && beat !== undefined) return { answer: { outcome: "name-taken", by: presenceRowOf(presence, beat, nowMs) } };
        }
        const joins = reading.json(keys.joins) ?? { joinOrder: 0, longestLeaseMs: 0 };
        const joinOrder = joins.joinOrder + 1;
        const presence: PresenceRecord = {
          incarnation, node, state: "alive", leaseMs, joinOrder, joinedAtMs: nowMs, metadataVersion: 1, deadReason: null, deadAtMs: 0, observer, evicted: false,
        };
        return {
          answer: { outcome: "joined", joinOrder, epoch: history.epoch },
          writes: [
            ...(group === undefined ? this.#newGroup({ settings, generation, epoch: history.epoch, epochNumber: history.number }) : []),
            put(keys.joins, { joinOrder, longestLeaseMs: Math.max(joins.longestLeaseMs, leaseMs) }),
            put(keys.presence(incarnation), presence),
            put(keys.beat(incarnation), { beat: 0, viewSeen: 0, atMs: nowMs }),
            put(keys.metadata(incarnation), input.metadata),
            put(keys.name(node), incarnation),
          ],
        };
      },
    };
  }

  /** For somebody who knows that there was one before, it is not born in this epoch, and its generation is a later one. */
  #newGroup({ settings, generation, epoch, epochNumber }: AgeRecord & { readonly settings: string }): readonly Write[] {
    const keys = this.#keys;
    return [
      put(keys.group, { birthEpoch: generation === 0 ? epoch : "", settings }),
      put(keys.age, { generation: generation + 1, epochNumber, epoch }),
      putNumber(keys.electionsVersion, 0),
      putNumber(keys.sequence, 0),
      putNumber(keys.viewVersion, 0),
    ];
  }

  /** Gives the group the store's epoch, and a generation that neither the group nor the sender has seen. Answers whether there is such a group. */
  raise(input: Pick<BeatInput, "generation">): Operation<boolean> {
    const [keys, store] = [this.#keys, this.#store];
    return {
      reads: points(store.history, keys.age, keys.sequence),
      decide: (reading, nowMs) => {
        if (reading.text(keys.age) === undefined) return { answer: false };
        const [history, age] = [historyOf(reading, store), ageOf(reading, keys)];
        if (!isBehind(age, history.epoch, input.generation)) return { answer: true };
        // Epochs in between may have handed out tokens of generations that nobody can tell of any more.
        const generation = Math.max(age.generation + Math.max(1, history.number - age.epochNumber), input.generation + 1);
        const events: NewEvent[] = age.epoch === history.epoch ? [] : [{ type: "epoch-changed", subject: this.#group, detail: { from: age.epoch, to: history.epoch } }];
        return { answer: true, writes: [put(keys.age, { generation, epochNumber: history.number, epoch: history.epoch }), ...this.#record(reading, nowMs, events)] };
      },
    };
  }

  /** The reads of a beat, each of which its write compares. */
  beatReads(incarnation: string): readonly Range[] {
    return points(this.#store.history, this.#keys.age, this.#keys.presence(incarnation), this.#keys.beat(incarnation));
  }

  /** What a beat comes to. `behind`: the group is to be raised first, whether the beat counts or not. */
  beat(reading: Reading, input: BeatInput, nowMs: number): "group-unknown" | "behind" | "refused" | readonly Write[] {
    const keys = this.#keys;
    if (reading.text(keys.age) === undefined) return "group-unknown";
    const [history, age] = [historyOf(reading, this.#store), ageOf(reading, keys)];
    if (isBehind(age, history.epoch, input.generation)) return "behind";
    const [presence, beat] = [reading.json(keys.presence(input.incarnation)), reading.json(keys.beat(input.incarnation))];
    if (presence?.state !== "alive" || presence.evicted || beat === undefined || beat.beat >= input.beat) return "refused";
    if (input.cursor.epoch !== "" && input.cursor.epoch !== history.epoch) return "refused";
    return [put(keys.beat(input.incarnation), { beat: input.beat, viewSeen: Math.max(beat.viewSeen, input.viewSeen), atMs: nowMs })];
  }

  leave({ incarnation }: { readonly incarnation: string }): Operation<boolean> {
    const keys = this.#keys;
    return {
      reads: points(keys.presence(incarnation)),
      decide: (reading, nowMs) => {
        const presence = reading.json(keys.presence(incarnation));
        return presence?.state === "alive" ? { answer: true, writes: this.#bury(presence, "left", nowMs) } : { answer: false };
      },
    };
  }

  declareDead({ incarnation, beat, epoch, requireExpired, requireFree = false, by, reason }: DeclareDeadInput): Operation<boolean> {
    const [keys, store] = [this.#keys, this.#store];
    return {
      reads: points(store.history, keys.presence(incarnation), keys.beat(incarnation), keys.sequence),
      decide: (reading, nowMs) => {
        const [presence, last] = [reading.json(keys.presence(incarnation)), reading.json(keys.beat(incarnation))];
        if (presence?.state !== "alive" || last?.beat !== beat || historyOf(reading, store).epoch !== epoch) return { answer: false };
        if (requireFree || (requireExpired && !presenceRowOf(presence, last, nowMs).expired)) return { answer: false };
        const event: NewEvent = { type: "declared-dead", subject: presence.node, detail: { incarnation, by, reason } };
        return { answer: true, writes: [...this.#bury(presence, reason, nowMs), ...this.#record(reading, nowMs, [event])] };
      },
    };
  }

  updateMetadata({ incarnation, metadata }: { readonly incarnation: string; readonly metadata: string }): Operation<boolean> {
    const keys = this.#keys;
    return {
      reads: points(keys.presence(incarnation)),
      decide: (reading) => {
        const presence = reading.json(keys.presence(incarnation));
        if (presence?.state !== "alive") return { answer: false };
        return { answer: true, writes: [put(keys.presence(incarnation), { ...presence, metadataVersion: presence.metadataVersion + 1 }), put(keys.metadata(incarnation), metadata)] };
      },
    };
  }

  evict({ node, by, reason }: EvictInput): Operation<boolean> {
    const keys = this.#keys;
    return {
      reads: points(keys.name(node), keys.sequence),
      decide: (reading, nowMs) => {
        const incarnation = reading.json(keys.name(node));
        if (incarnation === undefined) return { answer: false };
        if (!reading.points.includes(keys.presence(incarnation))) return { need: points(keys.presence(incarnation)) };
        const presence = reading.json(keys.presence(incarnation));
        if (presence === undefined || presence.evicted) return { answer: false };
        const event: NewEvent = { type: "eviction-requested", subject: node, detail: { incarnation, by, reason } };
        return { answer: true, writes: [put(keys.presence(incarnation), { ...presence, evicted: true }), ...this.#record(reading, nowMs, [event])] };
      },
    };
  }

  // ---- elections

  createElection({ election }: { readonly election: string }): Operation<boolean> {
    const [keys, store] = [this.#keys, this.#store];
    return {
      reads: points(store.history, keys.group, keys.election(election), keys.fence(election), keys.electionsVersion),
      decide: (reading, nowMs) => {
        const group = reading.json(keys.group);
        if (group === undefined || reading.text(keys.election(election)) !== undefined) return { answer: group !== undefined };
        const row = newElectionRow(election, { epoch: historyOf(reading, store).epoch, birthEpoch: group.birthEpoch, atMs: nowMs });
        return { answer: true, writes: [...this.#changed(reading, row), ...(reading.text(keys.fence(election)) === undefined ? [putNumber(keys.fence(election), 0)] : [])] };
      },
    };
  }

  claim(input: ClaimInput): Operation<ClaimResult | null> {
    const [keys, store] = [this.#keys, this.#store];
    const { election, incarnation, node, expectedToken, epoch, andPass = false } = input;
    return {
      reads: points(store.history, keys.age, keys.election(election), keys.presence(incarnation), keys.electionsVersion, keys.sequence),
      extra: points(keys.fence(election)),
      decide: (reading, nowMs) => {
        const row = reading.json(keys.election(election));
        if (row === undefined || !isClaimable(row, input)) return { answer: null };
        const age = ageOf(reading, keys);
        if (historyOf(reading, store).epoch !== epoch || age.epoch !== epoch) return { answer: null };
        if (reading.json(keys.presence(incarnation))?.state !== "alive") return { answer: null };
        const holder = row.holder === null ? undefined : keys.presence(row.holder.incarnation);
        if (holder !== undefined && !reading.points.includes(holder)) return { need: points(holder) };
        if (holder !== undefined && reading.json(holder)?.state === "alive") return { answer: null };
        const token = nextToken(row, input, { fence: reading.number(keys.fence(election)), generation: age.generation });
        const event: NewEvent = { type: "term-began", subject: election, detail: { token, node, incarnation } };
        return {
          answer: { token, passed: andPass },
          compare: [{ key: keys.fence(election), valueBefore: padded(token) }],
          writes: [
            ...this.#changed(reading, { ...row, ...claimed(input, { token, atMs: nowMs }) }),
            // Who had resigned has ended the term already.
            ...(row.holder === null ? [] : [put(keys.termEnd(election, expectedToken), { endedAtMs: nowMs, endReason: "superseded" })]),
            put(keys.term(election, token), { election, token, node, incarnation, beganAtMs: nowMs }),
            ...(andPass ? [putNumber(keys.fence(election), token)] : []),
            ...this.#record(reading, nowMs, [event], { forget: true }),
          ],
        };
      },
    };
  }

  /** Whatever it answers but `superseded` is written, also where the fence stands already: no such answer rests on a reading alone. */
  passFence({ election, incarnation, token, epoch }: PassFenceInput): Operation<"passed" | "superseded"> {
    const [keys, store] = [this.#keys, this.#store];
    return {
      reads: points(store.history, keys.election(election)),
      extra: points(keys.fence(election)),
      decide: (reading) => {
        const row = reading.json(keys.election(election));
        const holds = row?.token === token && row.holder?.incarnation === incarnation;
        if (!holds || historyOf(reading, store).epoch !== epoch || reading.number(keys.fence(election)) > token) return { answer: "superseded" };
        // The fence is never ahead of its election's row, unless somebody has laid hands on the keys.
        return { answer: "passed", compare: [{ key: keys.fence(election), valueBefore: padded(token + 1) }], writes: [putNumber(keys.fence(election), token)] };
      },
    };
  }

  resign({ election, incarnation, token, reason, reservation }: ResignInput): Operation<boolean> {
    const keys = this.#keys;
    return {
      reads: points(keys.election(election), keys.electionsVersion, keys.sequence),
      decide: (reading, nowMs) => {
        const row = reading.json(keys.election(election));
        if (row?.token !== token || row.holder?.incarnation !== incarnation) return { answer: false };
        const { node } = row.holder;
        const kept = reservation === undefined ? null : { node: reservation.node, forMs: Math.ceil(reservation.forMs) };
        const event: NewEvent = { type: "term-ended", subject: election, detail: { token, node, reason, ...(reservation === undefined ? {} : { for: reservation.node }) } };
        return {
          answer: true,
          writes: [
            ...this.#changed(reading, { ...row, holder: null, resignRequested: null, resignRequestedFor: null, reservation: kept, changedAtMs: nowMs }),
            put(keys.termEnd(election, token), { endedAtMs: nowMs, endReason: reason }),
            ...this.#record(reading, nowMs, [event]),
          ],
        };
      },
    };
  }

  requestResign({ election, token, for: whom }: RequestResignInput): Operation<boolean> {
    return this.#change(election, (row) => {
      if (row.holder === null || row.token !== token) return undefined;
      const detail = { token, node: row.holder.node, ...(whom === undefined ? {} : { for: whom }) };
      return { row: { ...row, resignRequested: token, resignRequestedFor: whom ?? null }, event: { type: "resign-requested", subject: election, detail } };
    });
  }

  pause({ election, reason, by }: PauseInput): Operation<boolean> {
    return this.#change(election, (row, nowMs) =>
      row.paused === null ? { row: { ...row, paused: { reason, by, atMs: nowMs } }, event: { type: "election-paused", subject: election, detail: { by, reason } } } : undefined,
    );
  }

  resume({ election, by }: { readonly election: string; readonly by: string }): Operation<boolean> {
    return this.#change(election, (row) => (row.paused === null ? undefined : { row: { ...row, paused: null }, event: { type: "election-resumed", subject: election, detail: { by } } }));
  }

  setCandidacy({ election, incarnation, candidacy }: CandidacyInput): Operation<boolean> {
    const keys = this.#keys;
    const key = keys.candidate(election, incarnation);
    return {
      reads: points(keys.election(election), keys.presence(incarnation), keys.electionsVersion, key),
      decide: (reading) => {
        const row = reading.json(keys.election(election));
        if (row === undefined || reading.json(keys.presence(incarnation))?.state !== "alive") return { answer: false };
        if (candidacy === null) return reading.text(key) === undefined ? { answer: false } : { answer: true, writes: [{ delete: key }] };
        const { priority, fit } = candidacy;
        const ranks = priority !== 0 && !row.ranked;
        return { answer: true, writes: [put(key, { election, incarnation, priority, fit }), ...(ranks ? this.#changed(reading, { ...row, ranked: true }) : [])] };
      },
    };
  }

  // ---- membership

  publishView(input: PublishViewInput): Operation<boolean> {
    const [keys, store] = [this.#keys, this.#store];
    const { token, incarnation, epoch, expectedVersion, view, forgetDeadAfterMs } = input;
    return {
      reads: [
        ...points(store.history, keys.age, keys.viewVersion, keys.election(COORDINATOR), keys.fence(COORDINATOR), keys.sequence),
        all(keys.presences),
        all(keys.elections),
        all(keys.allCandidates, { keysOnly: true }),
        all(keys.allTerms, { keysOnly: true }),
      ],
      decide: (reading, nowMs) => {
        const row = reading.json(keys.election(COORDINATOR));
        if (row?.token !== token || row.holder?.incarnation !== incarnation || reading.number(keys.fence(COORDINATOR)) !== token) return { answer: false };
        const age = ageOf(reading, keys);
        if (historyOf(reading, store).epoch !== epoch || age.epoch !== epoch) return { answer: false };
        if (reading.number(keys.viewVersion) !== expectedVersion || view.version <= expectedVersion || view.version <= viewFloor(age.generation)) return { answer: false };
        const published: NewEvent = { type: "view-published", subject: this.#group, detail: { version: view.version, members: view.members.length, token } };
        return {
          answer: true,
          writes: [
            put(keys.view, view),
            putNumber(keys.viewVersion, view.version),
            ...this.#forget(reading, nowMs - forgetDeadAfterMs),
            ...this.#record(reading, nowMs, [...input.events, published], { forget: true }),
          ],
        };
      },
    };
  }

  /** The dead whom no election names, and old terms. That they are is for ever, so what was read of them need not be compared. */
  #forget(reading: Reading, deadBeforeMs: number): readonly Write[] {
    const keys = this.#keys;
    const holders = new Set(reading.below(keys.elections).map((row) => row.holder?.incarnation));
    const candidates = reading.keysBelow(keys.allCandidates);
    const writes: Write[] = [];
    for (const { incarnation, state, deadAtMs } of reading.below(keys.presences)) {
      if (state === "alive" || deadAtMs >= deadBeforeMs || holders.has(incarnation)) continue;
      const gone = [keys.presence(incarnation), keys.beat(incarnation), keys.metadata(incarnation), ...candidates.filter((key) => keys.candidateIn(key) === incarnation)];
      if (writes.length + gone.length > REMOVALS_AT_ONCE) break;
      writes.push(...gone.map((key) => ({ delete: key })));
    }
    const perElection = Map.groupBy(reading.keysBelow(keys.allTerms), (key) => keys.ofTerm(key).terms);
    for (const oldestKept of [...perElection.values()].flatMap((terms) => (terms.length > TERMS_KEPT ? (terms.at(-TERMS_KEPT) ?? []) : []))) {
      if (writes.length + 2 > REMOVALS_AT_ONCE) break;
      const { end, terms, ends } = keys.ofTerm(oldestKept);
      writes.push({ delete: terms, end: oldestKept }, { delete: ends, end });
    }
    return writes;
  }

  // ---- documents

  writeDocument(input: WriteDocumentInput): Operation<boolean> {
    const keys = this.#keys;
    const { name, text } = input;
    return this.#documentChange(input, (reading) => {
      const version = Math.max(reading.number(keys.documentsVersion), documentFloor(ageOf(reading, keys).generation)) + 1;
      if (!Number.isSafeInteger(version)) return undefined;
      return [putNumber(keys.documentsVersion, version), putNumber(keys.documentVersion(name), version), { put: keys.document(name), value: documentText({ version, text }) }];
    });
  }

  removeDocument(input: RemoveDocumentInput): Operation<boolean> {
    const { name, expectedVersion } = input;
    return this.#documentChange(input, () => (expectedVersion === 0 ? undefined : [{ delete: this.#keys.documentVersion(name) }, { delete: this.#keys.document(name) }]));
  }

  /** A generation that is not adopted yet would give versions of an earlier one. */
  #documentChange({ name, expectedVersion, fence }: RemoveDocumentInput, change: (reading: Reading) => readonly Write[] | undefined): Operation<boolean> {
    const [keys, store] = [this.#keys, this.#store];
    const term = fence === undefined ? [] : [keys.election(fence.election), keys.fence(fence.election)];
    return {
      reads: points(store.history, keys.age, keys.documentsVersion, keys.documentVersion(name), ...term),
      decide: (reading) => {
        if (reading.text(keys.age) === undefined || historyOf(reading, store).epoch !== ageOf(reading, keys).epoch) return { answer: false };
        if (reading.number(keys.documentVersion(name)) !== expectedVersion || (fence !== undefined && !this.#stands(reading, fence))) return { answer: false };
        const writes = change(reading);
        return writes === undefined ? { answer: false } : { answer: true, writes };
      },
    };
  }

  #stands(reading: Reading, { election, token, incarnation }: DocumentFence): boolean {
    const row = reading.json(this.#keys.election(election));
    return row?.token === token && row.holder?.incarnation === incarnation && reading.number(this.#keys.fence(election)) === token;
  }

  // ---- what several have in common

  #bury(presence: PresenceRecord, reason: NonNullable<PresenceRecord["deadReason"]>, nowMs: number): readonly Write[] {
    const dead: PresenceRecord = { ...presence, state: "dead", deadReason: reason, deadAtMs: nowMs };
    return [put(this.#keys.presence(presence.incarnation), dead), { delete: this.#keys.name(presence.node) }];
  }

  /** A change of an election's row alone, with its event. */
  #change(election: string, change: (row: ElectionRow, nowMs: number) => { readonly row: ElectionRow; readonly event: NewEvent } | undefined): Operation<boolean> {
    const keys = this.#keys;
    return {
      reads: points(keys.election(election), keys.electionsVersion, keys.sequence),
      decide: (reading, nowMs) => {
        const row = reading.json(keys.election(election));
        const changed = row === undefined ? undefined : change(row, nowMs);
        return changed === undefined ? { answer: false } : { answer: true, writes: [...this.#changed(reading, changed.row), ...this.#record(reading, nowMs, [changed.event])] };
      },
    };
  }

  /** The row with the next version of the group's elections. */
  #changed(reading: Reading, row: Omit<ElectionRow, "version">): readonly Write[] {
    const version = reading.number(this.#keys.electionsVersion) + 1;
    return [put(this.#keys.election(row.election), { ...row, version }), putNumber(this.#keys.electionsVersion, version)];
  }

  #record(reading: Reading, nowMs: number, events: readonly NewEvent[], { forget = false } = {}): readonly Write[] {
    if (events.length === 0) return [];
    const keys = this.#keys;
    const before = reading.number(keys.sequence);
    const newest = before + events.length;
    const writes: Write[] = [putNumber(keys.sequence, newest)];
    for (let from = 0; from < events.length; from += EVENTS_TOGETHER) {
      const together = events.slice(from, from + EVENTS_TOGETHER).map((event) => ({ ...event, atMs: nowMs }));
      const last = before + from + together.length;
      if (last > newest - EVENTS_KEPT) writes.push(put(keys.eventsUpTo(last), together));
    }
    if (forget && newest > EVENTS_KEPT) writes.push({ delete: keys.events, end: keys.eventsUpTo(newest - EVENTS_KEPT + 1) });
    return writes;
  }
}

/** The group has another epoch than the store, or an earlier generation than somebody has seen. */
function isBehind(age: AgeRecord, epoch: string, generationSeen: number): boolean {
  return age.epoch !== epoch || age.generation < generationSeen;
}

function points(...keys: readonly string[]): readonly Range[] {
  return keys.map((key) => ({ key }));
}

function put<T>(key: Key<T>, value: T): Write {
  return { put: key, value: JSON.stringify(value) };
}

/** Numbers are compared as text, here and by others, so they are written as such. */
function putNumber(key: string, value: number): Write {
  return { put: key, value: padded(value) };
}
