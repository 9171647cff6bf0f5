import { sleep, TribuneError } from "../../kernel/index.ts";
import type { Timer } from "../../kernel/index.ts";
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
  StoredEvent,
  StoredView,
  StoreSession,
  TermRow,
  WriteDocumentInput,
} from "../index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import type { Operation, Stat } from "./client/records.ts";
import { closeConnection } from "./connection.ts";
import type { Connection, ConnectionSource } from "./connection.ts";
import { electionIn, presenceIn, readData, readDocument, readText, stamp, stampedEvents, stampTerm, writeData, writeDocument } from "./document.ts";
import type { BeatData, GroupDocument, MemberData } from "./document.ts";
import { beginEpoch } from "./epoch.ts";
import { endsSession, LARGEST_REQUEST_BYTES, mapZookeeperError, sizeOf, tooLarge } from "./errors.ts";
import { hintsBetween } from "./hints.ts";
import { OpenTransactions } from "./open-transactions.ts";
import type { GroupPaths } from "./paths.ts";
import { candidatesOf, groupReadingOf, lookReplyOf, memberRowOf, presenceRowOf, showsView, watchedIn } from "./replies.ts";
import type { GroupState } from "./replies.ts";
import { readRoot } from "./schema.ts";
import type { Root } from "./schema.ts";
import {
  addMember,
  aliveOfNode,
  changeDocument,
  claim,
  createElection,
  declareDead,
  evict,
  leave,
  makeGroup,
  mustRaise,
  oldestKept,
  passFence,
  pause,
  publishView,
  raise,
  removeDocument,
  requestResign,
  resign,
  resume,
  setCandidacy,
  updateMetadata,
} from "./statements.ts";
import type { FenceState, Place, Step, Versioned } from "./statements.ts";
import type { StoreClock } from "./store-clock.ts";

/** How often a change is tried again after somebody else's came first. */
const ATTEMPTS = 60;
/** How often a reading is begun again because what belongs together changed in between. */
const READINGS = 30;
/** The pauses between attempts are chosen by chance, so that those who meet come apart; the longest grows with each attempt by what that took, and by this at least, up to the longest. */
const PAUSE_STEP_MS = 4;
const LONGEST_PAUSE_MS = 1_000;
/** No attempt is begun after this part of a call's time: that it was in vain is to be answered before the deadline, which would end the session. */
const TRYING_SHARE = 0.7;
/** In a group of more members than these, who hears that the document has changed reads it within so much for each of them: a change wakes everybody, and in a burst of changes one reading serves for many. */
const PROMPT_MEMBERS = 50;
const SPREAD_PER_MEMBER_MS = 4;
/** A session beats for one incarnation; a few more are remembered where somebody tries things out. */
const BEATS_REMEMBERED = 16;

/** The document of the group as this session last saw it. Never changed in place. */
interface Known {
  readonly document: GroupDocument;
  readonly version: number;
  readonly zxid: bigint;
}

/** One operation that changes the document. */
interface Change<T, More> {
  /** What else must be known to decide. */
  readonly more: (document: GroupDocument) => Promise<More>;
  readonly decide: (place: Place, draft: GroupDocument, more: More) => Step<T>;
  /** The answer where there is no such group. Absent: `GROUP_UNKNOWN` is thrown. */
  readonly withoutGroup?: T;
  /** The answer where others were faster again and again. Absent: `STORE_BUSY` is thrown. */
  readonly lost?: T;
}

/** What a session is made of. */
export interface SessionParts {
  readonly connection: Connection;
  readonly source: ConnectionSource;
  readonly context: OpenContext;
  readonly root: Root;
  readonly storeClock: StoreClock;
}

/** The operations of one node, on one connection to one server of the ensemble. */
export class ZookeeperSession implements StoreSession {
  readonly info: SessionInfo;
  readonly #connection: Connection;
  readonly #client: ZookeeperClient;
  readonly #source: ConnectionSource;
  readonly #context: OpenContext;
  readonly #label: string;
  readonly #group: string;
  readonly #paths: GroupPaths;
  readonly #gate: SessionGate;
  readonly #storeClock: StoreClock;
  readonly #open: OpenTransactions;
  readonly #listeners = new Set<(hint: Hint) => void>();
  readonly #ownBeats = new Map<string, Versioned<BeatData>>();
  #root: Root;
  #known: Known | undefined;
  #view: StoredView | undefined;
  /** A watch is set that tells of the next change of the document as it is known, before any answer that was given after that change. */
  #watches = false;
  #changesHeard = 0;
  #readSoon: Timer | undefined;
  /** Changes of one session take turns: they would only be in each other's way. */
  #turn: Promise<unknown> = Promise.resolve();
  #saysGoodbye = false;
  #goodbye: Promise<void> | undefined;

  constructor({ connection, source, context, root, storeClock }: SessionParts) {
    this.#connection = connection;
    this.#client = connection.client;
    this.#source = source;
    this.#context = context;
    this.#label = source.label;
    this.#group = context.group;
    this.#paths = source.paths.group(context.group);
    this.#root = root;
    this.#storeClock = storeClock;
    this.#open = new OpenTransactions(this.#client, context.clock, storeClock);
    this.#gate = new SessionGate({ clock: context.clock, label: source.label, onEnd: () => this.#leaveConnection() });
    const { version } = connection.facts;
    this.info = {
      serverVersion: version === undefined ? "ZooKeeper (its version is not told: srvr is not on its list of commands)" : `ZooKeeper ${version}`,
      hints: true,
      warnings: [],
      evidence: { held: false, why: "ZooKeeper has no evidence of death: a session ends by silence" },
    };
    this.#client.onWatch = ({ path }) => (path === this.#paths.group ? this.#documentChanged() : undefined);
    this.#client.onBroken = (error) => this.#gate.end(mapZookeeperError(error, "the session", this.#label));
    this.#follow();
  }

  get ended(): AbortSignal {
    return this.#gate.ended;
  }

  onHint(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // ---- presence

  join(input: JoinInput, call: Call): Promise<JoinResult> {
    const { incarnation, node, settings } = input;
    return this.#run("join", call, async (untilMs) => {
      for (let attempt = 1; this.#mayTry(attempt, untilMs); attempt++) {
        if (!(await this.#refresh())) {
          const { document, operations } = makeGroup(this.#place(), input);
          const joined: JoinResult = { outcome: "joined", joinOrder: document.joinOrder, epoch: this.#root.data.epoch };
          if ((await this.#transact("join", operations)) !== undefined) return joined;
          await this.#pause(attempt);
          continue;
        }
        return await this.#change("join", untilMs, {
          more: async (document) => {
            const other = aliveOfNode(document, node);
            return other === undefined ? undefined : await this.#beatOf(other.incarnation);
          },
          decide: (place, draft, beat): Step<JoinResult> => {
            if (draft.settings !== settings) return { answer: { outcome: "settings-mismatch", settings: draft.settings } };
            const known = presenceIn(draft, incarnation);
            const epoch = place.epoch.epoch;
            if (known?.state === "alive") return { answer: { outcome: "joined", joinOrder: known.joinOrder, epoch } };
            if (known !== undefined) throw new TribuneError("INCARNATION_DEAD", `incarnation ${incarnation} is dead and does not come back`, { about: node, next: "join with a fresh incarnation" });
            const other = aliveOfNode(draft, node);
            if (other !== undefined) return { answer: { outcome: "name-taken", by: presenceRowOf(other, beat, this.#storeClock.nowMs()) } };
            const operations = addMember(place, draft, input);
            return { answer: { outcome: "joined", joinOrder: draft.joinOrder, epoch }, operations };
          },
        });
      }
      throw this.#busy("join");
    });
  }

  beat(input: BeatInput, call: Call): Promise<BeatReply> {
    const { incarnation, generation, cursor } = input;
    return this.#run("beat", call, async (untilMs) => {
      for (let attempt = 1; this.#mayTry(attempt, untilMs); attempt++) {
        const remembered = this.#known === undefined ? undefined : this.#ownBeats.get(incarnation);
        // What was read is used as it was answered: a beat beside this one may have forgotten it again.
        const own = remembered ?? (await this.#readOwn(incarnation));
        const document = this.#documentOrThrow();
        if (mustRaise(document, this.#root.data, generation)) {
          await this.#change("beat", untilMs, { more: async () => undefined, decide: (place, draft) => raise(place, draft, generation) });
          continue;
        }
        const counts = own !== undefined && own.value.evicted !== true && own.value.beat < input.beat && (cursor.epoch === "" || cursor.epoch === this.#root.data.epoch);
        const reply = counts ? await this.#beatAndLook(input, own) : remembered === undefined ? await this.#refuse(input) : undefined;
        if (reply !== undefined) return reply;
        // Somebody else changed what was known; so it is read again.
        this.#ownBeats.delete(incarnation);
        if (attempt > 2) await this.#pause(attempt);
      }
      throw this.#busy("beat");
    });
  }

  /** One transaction, and the reading in the same packet behind it, which shows at least what was there when the transaction was carried out. `undefined`: it was not. */
  async #beatAndLook(input: BeatInput, own: Versioned<BeatData>): Promise<BeatReply | undefined> {
    const { incarnation, beat, viewSeen } = input;
    const value: BeatData = { beat, viewSeen: Math.max(own.value.viewSeen, viewSeen) };
    const { epoch } = this.#root.data;
    const written = this.#transact("beat", [{ op: "setData", path: this.#paths.beat(incarnation), data: writeData(value), version: own.version }]);
    const reading = this.#read(input, written, incarnation);
    reading.catch(() => undefined); // of no interest where the beat failed
    const stats = await written;
    const stat = stats?.[0];
    if (stat === undefined || stat === null) return undefined;
    this.#storeClock.seeOwn(stat.modifiedMs);
    const mine = { value, version: stat.version, modifiedMs: stat.modifiedMs };
    this.#rememberBeat(incarnation, mine);
    const { state, view } = await reading;
    // What was read may already be of another epoch than what was written: then the beat has not counted in that one.
    const accepted = state.epoch === epoch;
    return this.#beatReply(input, { ...state, beats: new Map([...state.beats, [incarnation, mine]]), storeMs: this.#storeClock.nowMs() }, view, accepted);
  }

  async #refuse(input: BeatInput): Promise<BeatReply> {
    const { state, view } = await this.#readFresh(input);
    return this.#beatReply(input, state, view, false);
  }

  #beatReply(input: BeatInput, state: GroupState, view: StoredView | null, accepted: boolean): BeatReply {
    const entry = presenceIn(state.document, input.incarnation);
    return { ...lookReplyOf(state, input, view), accepted, self: entry?.state === "alive" && entry.evicted ? "evicted" : (entry?.state ?? "absent") };
  }

  look(input: LookInput, call: Call): Promise<LookReply> {
    return this.#run("look", call, async () => {
      const { state, view } = await this.#readFresh(input);
      return lookReplyOf(state, input, view);
    });
  }

  leave({ incarnation }: { readonly incarnation: string }, call: Call): Promise<boolean> {
    return this.#run("leave", call, async (untilMs) =>
      this.#change("leave", untilMs, { more: async () => await this.#beatOf(incarnation), decide: (place, draft, beat) => leave(place, draft, incarnation, beat), withoutGroup: false }),
    );
  }

  declareDead(input: DeclareDeadInput, call: Call): Promise<boolean> {
    return this.#run("declareDead", call, async (untilMs) =>
      this.#change("declareDead", untilMs, {
        more: async () => await this.#beatOf(input.incarnation),
        decide: (place, draft, beat) => declareDead(place, draft, input, beat, this.#storeClock.nowMs()),
        withoutGroup: false,
        lost: false,
      }),
    );
  }

  updateMetadata(input: { readonly incarnation: string; readonly metadata: string }, call: Call): Promise<boolean> {
    return this.#simple("updateMetadata", call, (place, draft) => updateMetadata(place, draft, input), { withoutGroup: false });
  }

  evict(input: EvictInput, call: Call): Promise<boolean> {
    return this.#run("evict", call, async (untilMs) =>
      this.#change("evict", untilMs, {
        more: async (document) => {
          const entry = aliveOfNode(document, input.node);
          return entry === undefined ? undefined : await this.#beatOf(entry.incarnation);
        },
        decide: (place, draft, beat) => evict(place, draft, input, beat),
        withoutGroup: false,
      }),
    );
  }

  attend(_input: AttendInput): Promise<void> {
    return Promise.reject(new TribuneError("STORE_FAILED", `${this.#label} has no evidence of death to attend`, { about: this.#label, retryable: false }));
  }

  // ---- elections

  createElection({ election }: { readonly election: string }, call: Call): Promise<void> {
    return this.#simple("createElection", call, (place, draft) => createElection(place, draft, election));
  }

  claim(input: ClaimInput, call: Call): Promise<ClaimResult | null> {
    let andPass = input.andPass === true;
    return this.#run("claim", call, async (untilMs) =>
      this.#change("claim", untilMs, {
        more: async (document) => (electionIn(document, input.election) === undefined ? undefined : await this.#earlierTerms(input.election)),
        decide: (place, draft, terms): Step<ClaimResult | null> => {
          const step = claim(place, draft, { ...input, andPass }, terms);
          // Should it not be taken as it is, a transaction that is open may be why.
          if (step.operations !== undefined) andPass = false;
          return step;
        },
        lost: null,
      }),
    );
  }

  passFence(input: PassFenceInput, call: Call): Promise<"passed" | "busy" | "superseded"> {
    let tried = false;
    return this.#run("passFence", call, async (untilMs) =>
      this.#change<"passed" | "busy" | "superseded", FenceState & { readonly waiting: number }>("passFence", untilMs, {
        // Mostly nothing is open, and the first attempt finds out.
        more: async (document) => {
          const state = tried ? await this.#fenceState(document, input.election) : { waiting: 0, expired: [] };
          tried = true;
          return state;
        },
        decide: (place, draft, state) => {
          const step = passFence(place, draft, input, state);
          return step.operations !== undefined && state.waiting > 0 ? { answer: "busy" } : step;
        },
        lost: "busy",
      }),
    );
  }

  async #fenceState(document: GroupDocument, election: string): Promise<FenceState & { readonly waiting: number }> {
    const open = await this.#open.below(this.#paths.standing(election, electionIn(document, election)?.fence ?? 0));
    if (open !== undefined) return open;
    return { waiting: 0, expired: [], removed: (await this.#data(this.#paths.fence(election))) === undefined ? "fence" : "token" };
  }

  resign(input: ResignInput, call: Call): Promise<boolean> {
    return this.#simple("resign", call, (place, draft) => resign(place, draft, input));
  }

  requestResign(input: RequestResignInput, call: Call): Promise<boolean> {
    return this.#simple("requestResign", call, (place, draft) => requestResign(place, draft, input));
  }

  pause(input: PauseInput, call: Call): Promise<boolean> {
    return this.#simple("pause", call, (place, draft) => pause(place, draft, input));
  }

  resume(input: { readonly election: string; readonly by: string }, call: Call): Promise<boolean> {
    return this.#simple("resume", call, (place, draft) => resume(place, draft, input));
  }

  setCandidacy(input: CandidacyInput, call: Call): Promise<boolean> {
    return this.#simple("setCandidacy", call, (_place, draft) => setCandidacy(draft, input));
  }

  readCandidates({ election }: { readonly election: string }, call: Call): Promise<readonly CandidateRow[]> {
    return this.#run("readCandidates", call, async () => {
      const { document } = await this.#freshKnown();
      const entry = electionIn(document, election);
      return entry === undefined ? [] : candidatesOf(document, entry);
    });
  }

  // ---- membership and record

  readMembers({ incarnations }: { readonly incarnations: readonly string[] }, call: Call): Promise<readonly MemberRow[]> {
    return this.#run("readMembers", call, async () => {
      const { document } = await this.#freshKnown();
      const rows = incarnations.map(async (incarnation) => {
        const entry = presenceIn(document, incarnation);
        const member = entry === undefined ? undefined : await this.#data<MemberData>(this.#paths.member(incarnation));
        return entry === undefined || member === undefined ? [] : [memberRowOf(entry, member.value)];
      });
      return (await Promise.all(rows)).flat();
    });
  }

  publishView(input: PublishViewInput, call: Call): Promise<boolean> {
    return this.#run("publishView", call, async (untilMs) =>
      this.#change("publishView", untilMs, { more: async () => undefined, decide: (place, draft) => publishView(place, draft, input, this.#storeClock.nowMs()), lost: false }),
    );
  }

  async readDocument({ name }: { readonly name: string }, call: Call): Promise<StoredDocument | null> {
    const path = this.#paths.document(checkDocumentName(name));
    return await this.#run("readDocument", call, async () => {
      if (!(await this.#refresh())) return null;
      try {
        return readText((await this.#client.request({ op: "getData", path })).data, path);
      } catch (error) {
        if (!isZookeeperError(error, "NONODE")) throw error;
        return null;
      }
    });
  }

  async writeDocument(input: WriteDocumentInput, call: Call): Promise<boolean> {
    checkDocumentText(checkDocumentName(input.name), input.text);
    return await this.#run("writeDocument", call, async (untilMs) =>
      this.#change("writeDocument", untilMs, { more: async () => undefined, decide: (place, draft) => changeDocument(place, draft, input), withoutGroup: false, lost: false }),
    );
  }

  async removeDocument(input: RemoveDocumentInput, call: Call): Promise<boolean> {
    checkDocumentName(input.name);
    return await this.#run("removeDocument", call, async (untilMs) =>
      this.#change("removeDocument", untilMs, { more: async () => undefined, decide: (place, draft) => removeDocument(place, draft, input), withoutGroup: false, lost: false }),
    );
  }

  async listDocuments({ prefix }: { readonly prefix: string }, call: Call): Promise<readonly DocumentRow[]> {
    checkDocumentPrefix(prefix);
    return await this.#run("listDocuments", call, async () => {
      if (!(await this.#refresh())) return [];
      const rows = (this.#known?.document.documents ?? []).filter(({ name }) => name.startsWith(prefix));
      return rows.map(({ name, version }) => ({ name, version })).sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  readEvents({ after, limit }: { readonly after: number; readonly limit: number }, call: Call): Promise<EventPage> {
    return this.#run("readEvents", call, async () => {
      for (let attempt = 1; attempt <= READINGS; attempt++) {
        const { document } = await this.#freshKnown();
        const page = await this.#eventsIn(document, after, limit);
        if (page !== undefined) return page;
      }
      throw this.#busy("readEvents");
    });
  }

  /** `undefined`: some of them were forgotten meanwhile. */
  async #eventsIn(document: GroupDocument, after: number, limit: number): Promise<EventPage | undefined> {
    const oldest = oldestKept(document);
    const from = Math.max(after + 1, oldest);
    const found: StoredEvent[] = [];
    for (const [n, first] of document.segments.entries()) {
      const next = document.segments[n + 1] ?? document.events[0]?.sequence ?? document.eventSequence + 1;
      if (next <= from || found.length >= limit) continue;
      const segment = await this.#data<StoredEvent[]>(this.#paths.segment(first));
      if (segment === undefined) return undefined;
      found.push(...stampedEvents(segment.value, segment.modifiedMs).filter((event) => event.sequence >= from));
    }
    found.push(...document.events.filter((event) => event.sequence >= from));
    return { events: structuredClone(found.slice(0, limit)), skipped: Math.max(0, oldest - 1 - after), newest: document.eventSequence };
  }

  readGroup(call: Call): Promise<GroupReading | null> {
    return this.#run("readGroup", call, async () => {
      if (!(await this.#refresh())) return null;
      const { state, view } = await this.#readFresh({ watch: "all", cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 } });
      const earlier = state.document.elections.map(async ({ row }) => [row.election, (await this.#earlierTerms(row.election))?.value ?? []] as const);
      return groupReadingOf(state, { view, earlier: new Map(await Promise.all(earlier)), schemaVersion: this.#root.data.version });
    });
  }

  // ---- the end

  async close(): Promise<void> {
    if (!this.ended.aborted) {
      this.#saysGoodbye = true;
      this.#gate.end(new TribuneError("STORE_SESSION_ENDED", `the session on ${this.#label} was closed`, { about: this.#label }));
      this.#goodbye = closeConnection(this.#connection, this.#context.clock);
    }
    await this.#goodbye;
  }

  destroy(reason: Error): void {
    this.#gate.end(reason);
  }

  #leaveConnection(): void {
    this.#readSoon?.cancel();
    this.#rememberSeen();
    if (this.#saysGoodbye) return;
    this.#source.leave(this.#client, this.#context.clock);
    this.#client.destroy();
  }

  /** What this session has seen counts from now on; not if another one has found out meanwhile that it is of an epoch which is over. */
  #rememberSeen(): void {
    if (this.#source.epoch?.epoch === this.#root.data.epoch) this.#source.remember(this.#client);
  }

  // ---- changing

  #simple<T>(operation: string, call: Call, decide: (place: Place, draft: GroupDocument) => Step<T>, options: { readonly withoutGroup?: T } = {}): Promise<T> {
    return this.#run(operation, call, async (untilMs) => this.#change(operation, untilMs, { more: async () => undefined, decide, ...options }));
  }

  /** Changes take turns. */
  #change<T, More>(operation: string, untilMs: number, change: Change<T, More>): Promise<T> {
    const work = async () => await this.#attempt(operation, untilMs, change);
    const result = this.#turn.then(work, work);
    this.#turn = result;
    return result;
  }

  /**
   * Decides on a copy of the document as it is known, and writes it where its version is still that one; else it is read again. An answer that
   * needs nothing written is given only on what was read during this call.
   */
  async #attempt<T, More>(operation: string, untilMs: number, change: Change<T, More>): Promise<T> {
    let fresh = false;
    for (let attempt = 1; this.#mayTry(attempt, untilMs); attempt++) {
      if (this.#known === undefined && !fresh) {
        await this.#refresh();
        fresh = true;
      }
      const known = this.#known;
      if (known === undefined) {
        if (change.withoutGroup !== undefined) return change.withoutGroup;
        throw this.#groupUnknown();
      }
      const beganMs = this.#context.clock.monotonicMs();
      const draft = structuredClone(known.document);
      const more = await change.more(draft);
      const { answer, operations } = change.decide(this.#place(), draft, more);
      if (operations === undefined && fresh) return answer;
      if (operations !== undefined) {
        const document: Operation = { op: "setData", path: this.#paths.group, data: writeDocument(draft), version: known.version };
        const stat = (await this.#transact(operation, [document, ...operations]))?.[0];
        if (stat !== undefined && stat !== null) {
          this.#storeClock.seeOwn(stat.modifiedMs);
          stamp(draft, stat.modifiedMs);
          this.#adopt({ document: draft, version: stat.version, zxid: stat.modifiedZxid });
          return answer;
        }
        if (attempt > 1) await this.#pause(attempt, this.#context.clock.monotonicMs() - beganMs);
      }
      await this.#refresh();
      fresh = true;
    }
    if (change.lost !== undefined) return change.lost;
    throw this.#busy(operation);
  }

  /**
   * All of it, or nothing: where the epoch is still the one that is known. Answers what each of the operations came to; `undefined` where something was not as it was known
   * to be. What is known of the epoch is put right then.
   */
  async #transact(operation: string, operations: readonly Operation[]): Promise<readonly (Stat | null)[] | undefined> {
    const check: Operation = { op: "check", path: this.#source.paths.root, version: this.#root.version };
    const sizeBytes = sizeOf(operations);
    if (sizeBytes > LARGEST_REQUEST_BYTES) throw tooLarge(operation, sizeBytes, this.#label);
    try {
      const { results } = await this.#client.request({ op: "multi", operations: [check, ...operations] });
      return results.slice(1).map(({ stat }) => stat);
    } catch (error) {
      if (!isZookeeperError(error, "BADVERSION", "NONODE", "NODEEXISTS", "NOTEMPTY")) throw error;
      if (error.index === 0) await this.#readRoot();
      return undefined;
    }
  }

  // ---- reading

  /** Reads root and document as the ensemble has them now. Answers whether there is such a group. */
  async #refresh(): Promise<boolean> {
    const root = this.#readRoot();
    const document = this.#fetch();
    document.catch(() => undefined);
    await root;
    return await document;
  }

  async #freshKnown(): Promise<Known> {
    await this.#refresh();
    return this.#known ?? this.#throwUnknown();
  }

  async #readRoot(): Promise<void> {
    const root = await readRoot(this.#client, this.#source);
    if (root === undefined) {
      const error = new TribuneError("STORE_SESSION_ENDED", `${this.#label} has lost Tribune's root, or somebody removed it`, { about: this.#label, next: "nothing by hand: the next session finds out what there is now" });
      this.#gate.end(error);
      throw error;
    }
    // A session that is late must not go back.
    if (root.version >= this.#root.version || root.data.epoch !== this.#root.data.epoch) this.#root = root;
    this.#source.enter(this.#root.data);
  }

  /** Reads the document, and asks to be told when it changes. Answers whether there is one. */
  async #fetch(): Promise<boolean> {
    const path = this.#paths.group;
    const heard = this.#changesHeard;
    try {
      const { data, stat } = await this.#client.request({ op: "getData", path, watch: true });
      this.#watches = heard === this.#changesHeard;
      this.#storeClock.see(stat.modifiedMs);
      if (this.#known?.zxid !== stat.modifiedZxid) this.#adopt({ document: readDocument(data, stat.modifiedMs, path), version: stat.version, zxid: stat.modifiedZxid });
      return true;
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
      this.#known = undefined;
      this.#watches = false;
      return false;
    }
  }

  /** Keeps what is known up to date from now on, for hints and for the next change. What fails here shows with the next operation. */
  #follow(): void {
    const follow = async () => {
      if (await this.#fetch()) return;
      await this.#client.request({ op: "exists", path: this.#paths.group, watch: true }); // throws where it still is not there, and is told when it is
      await this.#fetch();
    };
    follow().catch(() => undefined);
  }

  /** Told by the watch, which is over with that. */
  #documentChanged(): void {
    this.#watches = false;
    this.#changesHeard += 1;
    const { clock, random } = this.#context;
    const members = this.#known?.document.presence.filter(({ state }) => state === "alive").length ?? 0;
    if (members <= PROMPT_MEMBERS) return this.#follow();
    this.#readSoon?.cancel();
    // Whoever has read it meanwhile, for a beat, watches again.
    this.#readSoon = clock.setTimer(random.next() * members * SPREAD_PER_MEMBER_MS, () => (this.#watches ? undefined : this.#follow()));
  }

  #adopt(next: Known): void {
    const before = this.#known;
    if (before !== undefined && next.zxid <= before.zxid) return;
    this.#known = next;
    if (this.#listeners.size === 0) return;
    for (const hint of hintsBetween(before?.document, next.document)) for (const listener of [...this.#listeners]) listener(hint);
  }

  /** A reading of what the ensemble has now. */
  async #readFresh(input: LookInput): Promise<{ readonly state: GroupState; readonly view: StoredView | null }> {
    const root = this.#readRoot();
    const reading = this.#read(input, root);
    reading.catch(() => undefined);
    await root;
    return await reading;
  }

  /** One reading of the group, by what this server has with an answer that is on its way. Begins again until what belongs together is together. */
  async #read(input: LookInput, answer: Promise<unknown>, except?: string): Promise<{ readonly state: GroupState; readonly view: StoredView | null }> {
    const beats = new Map<string, Versioned<BeatData>>();
    for (let attempt = 1; attempt <= READINGS; attempt++) {
      const isAsked = (incarnation: string) => incarnation !== except && !beats.has(incarnation);
      const wanted = this.#known === undefined ? [] : aliveIn(this.#known.document, input).filter(isAsked);
      const [isThere, found] = await Promise.all([this.#upToDate(answer), Promise.all(wanted.map(async (incarnation) => [incarnation, await this.#beatOf(incarnation)] as const))]);
      for (const [incarnation, beat] of found) if (beat !== undefined) beats.set(incarnation, beat);
      if (!isThere) throw this.#groupUnknown();
      const { document } = this.#known ?? this.#throwUnknown();
      if (document.epochNumber > this.#root.data.number) await this.#readRoot();
      const { epoch } = this.#root.data;
      if (aliveIn(document, input).some(isAsked)) {
        // Whoever has no beat has died since the document was read, or came since.
        if (wanted.some(isAsked)) await this.#fetch();
        continue;
      }
      const view = showsView(document, epoch, input) ? await this.#viewOf(document) : null;
      if (view !== undefined) return { state: { document, beats, epoch, storeMs: this.#storeClock.nowMs() }, view };
      await this.#fetch();
    }
    throw this.#busy("reading");
  }

  /** Makes sure that the document is known as `answer`, which is on its way, shows the store, or later. Answers whether there is one. */
  async #upToDate(answer: Promise<unknown>): Promise<boolean> {
    if (this.#watches) {
      await answer;
      if (this.#watches) return true;
    }
    return await this.#fetch();
  }

  /** The view that the document speaks of; `undefined` if there is a later one by now. */
  async #viewOf({ viewVersion }: GroupDocument): Promise<StoredView | undefined> {
    if (this.#view?.version !== viewVersion) this.#view = (await this.#data<StoredView>(this.#paths.view))?.value;
    return this.#view?.version === viewVersion ? structuredClone(this.#view) : undefined;
  }

  async #beatOf(incarnation: string): Promise<Versioned<BeatData> | undefined> {
    return await this.#data<BeatData>(this.#paths.beat(incarnation));
  }

  async #earlierTerms(election: string): Promise<Versioned<readonly TermRow[]> | undefined> {
    const terms = await this.#data<TermRow[]>(this.#paths.termsOf(election));
    for (const term of terms?.value ?? []) stampTerm(term, terms?.modifiedMs ?? 0);
    return terms;
  }

  /** What a znode holds; `undefined` if it is not there. */
  async #data<T>(path: string): Promise<Versioned<T> | undefined> {
    try {
      const { data, stat } = await this.#client.request({ op: "getData", path });
      this.#storeClock.see(stat.modifiedMs);
      return { value: readData(data, path) as T, version: stat.version, modifiedMs: stat.modifiedMs };
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
      return undefined;
    }
  }

  /** Reads what a beat goes by; and looks whether the store still has the last beat that was acknowledged. */
  async #readOwn(incarnation: string): Promise<Versioned<BeatData> | undefined> {
    const path = this.#paths.beat(incarnation);
    // As of before the reading is asked for: beats beside it may be acknowledged before its answer is here.
    const acknowledged = this.#source.acknowledged(path);
    const refreshed = this.#refresh();
    const reading = this.#beatOf(incarnation);
    reading.catch(() => undefined);
    if (!(await refreshed)) throw this.#groupUnknown();
    const own = await reading;
    // Whoever died has no such znode, and that is no loss; but the number of those who have joined is never less than it was.
    const isGone = own === undefined ? this.#documentOrThrow().joinOrder < (acknowledged?.joinOrder ?? 0) : own.version < (acknowledged?.version ?? 0);
    if (isGone) {
      const { random, logger } = this.#context;
      await beginEpoch(this.#client, this.#source, { random, logger, known: acknowledged });
      this.#source.forget();
      await this.#readRoot();
    }
    if (own === undefined) this.#ownBeats.delete(incarnation);
    else this.#rememberBeat(incarnation, own);
    return own;
  }

  #rememberBeat(incarnation: string, own: Versioned<BeatData>): void {
    if ((this.#ownBeats.get(incarnation)?.version ?? -1) > own.version) return;
    if (this.#ownBeats.size >= BEATS_REMEMBERED) this.#ownBeats.clear();
    this.#ownBeats.set(incarnation, own);
    const { epoch, number } = this.#root.data;
    const joinOrder = this.#known === undefined ? 0 : (presenceIn(this.#known.document, incarnation)?.joinOrder ?? 0);
    this.#source.acknowledge(this.#paths.beat(incarnation), { version: own.version, joinOrder, epoch, number });
  }

  #documentOrThrow(): GroupDocument {
    return (this.#known ?? this.#throwUnknown()).document;
  }

  // ---- how operations are run

  #run<T>(operation: string, call: Call, work: (untilMs: number) => Promise<T>): Promise<T> {
    const untilMs = this.#context.clock.monotonicMs() + call.deadlineMs * TRYING_SHARE;
    return this.#gate.run(operation, call, async () => {
      try {
        const result = await work(untilMs);
        this.#rememberSeen();
        return result;
      } catch (error) {
        const mapped = mapZookeeperError(error, operation, this.#label);
        if (endsSession(error)) this.#gate.end(mapped);
        throw mapped;
      }
    });
  }

  #mayTry(attempt: number, untilMs: number): boolean {
    return attempt === 1 || (attempt <= ATTEMPTS && this.#context.clock.monotonicMs() < untilMs);
  }

  async #pause(attempt: number, tookMs = 0): Promise<void> {
    const { clock, random } = this.#context;
    await sleep(clock, random.next() * Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_STEP_MS, tookMs) * attempt), this.ended);
  }

  #place(): Place {
    const { epoch, number } = this.#root.data;
    return { paths: this.#paths, group: this.#group, epoch: { epoch, number }, acl: this.#source.acl };
  }

  #busy(operation: string): TribuneError {
    return new TribuneError("STORE_BUSY", `${operation} on ${this.#label} met others who change the group again and again; nothing was written`, { about: this.#group, next: "try again" });
  }

  #groupUnknown(): TribuneError {
    return new TribuneError("GROUP_UNKNOWN", `there is no group ${this.#group} in ${this.#label}`, { about: this.#group, next: "start a member of it first, or look for a slip in the name" });
  }

  #throwUnknown(): never {
    throw this.#groupUnknown();
  }
}

/** Whose beats a look shows. */
function aliveIn(document: GroupDocument, { watch }: LookInput): readonly string[] {
  return watchedIn(document, watch).flatMap((entry) => (entry.state === "alive" ? [entry.incarnation] : []));
}
