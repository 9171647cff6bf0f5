import assert from "node:assert/strict";
import { silentLogger, sleep } from "../../kernel/index.ts";
import type { Clock, Random } from "../../kernel/index.ts";
import { COORDINATOR } from "../../store/index.ts";
import type {
  BeatInput,
  BeatReply,
  Call,
  CandidacyInput,
  CandidateRow,
  ClaimInput,
  ClaimResult,
  Cursor,
  DeclareDeadInput,
  DocumentFence,
  DocumentRow,
  ElectionRow,
  GroupReading,
  JoinInput,
  LookInput,
  LookReply,
  MemberRow,
  NewEvent,
  OpenContext,
  PassFenceInput,
  PresenceRow,
  PublishViewInput,
  RequestResignInput,
  ResignInput,
  StoredDocument,
  StoredEvent,
  StoredView,
  StoreProvider,
  StoreSession,
} from "../../store/index.ts";
import type { StorePlace } from "./place.ts";

/** One behaviour that a provider must show. `run` rejects where it does not. */
export interface SceneCase {
  readonly title: string;
  readonly run: (scene: Scene) => Promise<void>;
}

/** Thrown where a case cannot be tried in this place. */
export class Skipped extends Error {}

/** Long enough for any healthy store, short enough to end a case that hangs. */
const PATIENCE_MS = 10_000;

/** A cursor that knows nothing: everything is new. */
export const NOTHING_SEEN: Cursor = { epoch: "", electionsVersion: 0, viewVersion: 0 };

/** A lease that does not run out during a case. */
export const LONG_LEASE_MS = 600_000;

/** A lease that runs out soon; cases wait until the store says so. */
export const SHORT_LEASE_MS = 60;

/** Text that a store may take for something else: SQL, patterns, escapes, keys of its own. */
export const HOSTILE_TEXTS = [
  "it's; drop table tribune_presence; --",
  'a "quoted" `word` [here]',
  "100% of a_b and \\' \\\\ \\n",
  "$1 ? :name @x {{y}}",
  "ünïcødé 語 🦀 \u202e\u200b\ufeff",
  "line\nbreak\ttab\r\u0007",
  "nul\u0000nul",
  "lone \ud800 surrogate",
  "__proto__",
];

/** Those that a text column can keep. */
export const HOSTILE_WORDS = HOSTILE_TEXTS.filter((text) => !text.includes("\u0000") && !text.includes("\ud800"));

let scenes = 0;

/** What one case plays in: a fresh group in the store, and whatever sessions and members the case asks for. */
export class Scene {
  readonly place: StorePlace;
  readonly clock: Clock;
  readonly random: Random;
  readonly call: Call = { deadlineMs: PATIENCE_MS };
  readonly group: string;
  readonly #sessions: StoreSession[] = [];
  readonly #atEnd: (() => Promise<unknown>)[] = [];
  #opened = 0;
  #named = 0;

  constructor(options: { readonly place: StorePlace; readonly clock: Clock; readonly random: Random }) {
    this.place = options.place;
    this.clock = options.clock;
    this.random = options.random;
    scenes += 1;
    this.group = `conformance-${scenes}-${this.random.id().slice(0, 12)}`;
  }

  get provider(): StoreProvider {
    return this.place.provider;
  }

  /** What the place offers under `name`; without it the case is skipped. */
  need<Name extends "table" | "newEpoch" | "hang" | "cut" | "readOnly" | "schemaAt">(name: Name): NonNullable<StorePlace[Name]> {
    const offered = this.place[name];
    if (offered === undefined) throw new Skipped(`the place offers no ${name}`);
    return (typeof offered === "function" ? offered.bind(this.place) : offered) as NonNullable<StorePlace[Name]>;
  }

  context(over: Partial<OpenContext> = {}): OpenContext {
    return {
      group: this.group,
      node: "conformance",
      clock: this.clock,
      random: this.random,
      logger: silentLogger,
      deadlineMs: PATIENCE_MS,
      statementLimitMs: PATIENCE_MS,
      createSchema: true,
      ...over,
    };
  }

  /** Opens a session, on the provider and its peer by turns; it is ended with the case. */
  async session(over: Partial<OpenContext> = {}): Promise<StoreSession> {
    const provider = this.#opened++ % 2 === 1 ? (this.place.peer ?? this.place.provider) : this.place.provider;
    const session = await provider.open(this.context(over));
    this.#sessions.push(session);
    return session;
  }

  /** A name that this case has not used yet. */
  name(prefix: string): string {
    this.#named += 1;
    return `${prefix}-${this.#named}`;
  }

  /** A join of somebody new, with a lease that does not run out. */
  joinInput(over: Partial<JoinInput> = {}): JoinInput {
    return { incarnation: this.random.id(), node: this.name("node"), leaseMs: LONG_LEASE_MS, metadata: "{}", settings: "settings", ...over };
  }

  /** Somebody who has joined, with a session of its own unless one is given. */
  async member(over: Partial<JoinInput> & { readonly session?: StoreSession; readonly group?: string } = {}): Promise<Member> {
    const { session: given, group, ...rest } = over;
    const session = given ?? (await this.session({ group: group ?? this.group }));
    const input = this.joinInput(rest);
    const result = await session.join(input, this.call);
    assert.equal(result.outcome, "joined", `${input.node} joins`);
    return new Member(this, session, { ...input, group: group ?? this.group, joinOrder: result.outcome === "joined" ? result.joinOrder : 0 });
  }

  async members(count: number): Promise<readonly Member[]> {
    const members: Member[] = [];
    for (let n = 0; n < count; n++) members.push(await this.member());
    return members;
  }

  /** Asks again and again until `probe` answers something; fails with `what` if it never does. */
  async until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
    const endMs = this.clock.monotonicMs() + PATIENCE_MS;
    for (;;) {
      const found = await probe();
      if (found !== undefined) return found;
      if (this.clock.monotonicMs() > endMs) assert.fail(`waited in vain until ${what}`);
      await sleep(this.clock, 5);
    }
  }

  /** Has the store answer with another epoch; the members given get new sessions. */
  async newEpoch(...members: readonly Member[]): Promise<void> {
    const newEpoch = this.need("newEpoch");
    for (const session of this.#sessions.splice(0)) await session.close();
    await newEpoch();
    for (const member of members) await member.reconnect();
  }

  /** Has `work` done when the case has ended, however it did; its failure is ignored. */
  atEnd(work: () => Promise<unknown>): void {
    this.#atEnd.push(work);
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#atEnd.map((work) => work()));
    for (const session of this.#sessions.splice(0)) await session.close();
    await this.place.close?.();
  }
}

/** Somebody in the group who says what a real node would say; a case gives the words that it wants to be different. */
export class Member {
  readonly scene: Scene;
  readonly incarnation: string;
  readonly node: string;
  readonly joinOrder: number;
  session: StoreSession;
  readonly #group: string;
  #beat = 0;

  constructor(scene: Scene, session: StoreSession, joined: { readonly incarnation: string; readonly node: string; readonly group: string; readonly joinOrder: number }) {
    this.scene = scene;
    this.session = session;
    this.incarnation = joined.incarnation;
    this.node = joined.node;
    this.joinOrder = joined.joinOrder;
    this.#group = joined.group;
  }

  get call(): Call {
    return this.scene.call;
  }

  async reconnect(): Promise<void> {
    this.session = await this.scene.session({ group: this.#group });
  }

  // ---- presence

  /** A beat with the next number, of a sender who has seen nothing yet. */
  async beat(over: Partial<BeatInput> = {}): Promise<BeatReply> {
    this.#beat = over.beat ?? this.#beat + 1;
    const { incarnation } = this;
    return await this.session.beat({ incarnation, beat: this.#beat, generation: 0, viewSeen: 0, cursor: NOTHING_SEEN, watch: "all", ...over }, this.call);
  }

  async look(over: Partial<LookInput> = {}): Promise<LookReply> {
    return await this.session.look({ cursor: NOTHING_SEEN, watch: "all", ...over }, this.call);
  }

  /** The presence row of `who`, which must be there. */
  async presenceOf(who: Member): Promise<PresenceRow> {
    const row = (await this.look()).presence.find((each) => each.incarnation === who.incarnation);
    return row ?? assert.fail(`there is no presence row of ${who.node}`);
  }

  async memberRow(who: Member): Promise<MemberRow> {
    const [row] = await this.session.readMembers({ incarnations: [who.incarnation] }, this.call);
    return row ?? assert.fail(`there is no presence row of ${who.node}`);
  }

  /** Declares `who` dead as seen now, whether or not the lease has run out. Where beat and epoch are given it does not look, so that it meets others at once. */
  async declareDead(who: Member, over: Partial<DeclareDeadInput> = {}): Promise<boolean> {
    const seen = over.beat === undefined || over.epoch === undefined ? await this.look() : undefined;
    const beat = seen?.presence.find((row) => row.incarnation === who.incarnation)?.beat ?? 0;
    return await this.session.declareDead(
      { incarnation: who.incarnation, beat, epoch: seen?.epoch ?? "", requireExpired: false, by: this.node, reason: "expired", ...over },
      this.call,
    );
  }

  async leave(): Promise<boolean> {
    return await this.session.leave({ incarnation: this.incarnation }, this.call);
  }

  /** Asks whoever goes by this node's name to go. */
  async evict(node: string, reason = "asked to go"): Promise<boolean> {
    return await this.session.evict({ node, by: this.node, reason }, this.call);
  }

  /** Waits for the evidence of these; `signal` calls it off. */
  async attend(whom: readonly Member[], signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.session.attend({ incarnations: whom.map((each) => each.incarnation), signal });
  }

  // ---- elections

  async createElection(election: string): Promise<void> {
    await this.session.createElection({ election }, this.call);
  }

  /** The row of `election`, which must be there. */
  async row(election: string): Promise<ElectionRow> {
    return (await this.rowIfAny(election)) ?? assert.fail(`there is no election row ${election}`);
  }

  async rowIfAny(election: string): Promise<ElectionRow | undefined> {
    return (await this.look()).elections.find((each) => each.election === election);
  }

  /** A claim on what the row shows now, unless told otherwise. Where token and epoch are given it does not look, so that it meets others at once. */
  async claim(election: string, over: Partial<ClaimInput> = {}): Promise<ClaimResult | null> {
    const seen = over.expectedToken === undefined || over.epoch === undefined ? await this.look({ watch: [] }) : undefined;
    const expectedToken = seen?.elections.find((row) => row.election === election)?.token ?? 0;
    const { incarnation, node } = this;
    return await this.session.claim({ election, incarnation, node, expectedToken, epoch: seen?.epoch ?? "", tokenSeen: 0, ...over }, this.call);
  }

  async passFence(election: string, token: number, over: Partial<PassFenceInput> = {}): Promise<"passed" | "busy" | "superseded"> {
    const epoch = over.epoch ?? (await this.look({ watch: [] })).epoch;
    return await this.session.passFence({ election, incarnation: this.incarnation, token, ...over, epoch }, this.call);
  }

  async resign(election: string, token: number, reason = "done", over: Partial<ResignInput> = {}): Promise<boolean> {
    return await this.session.resign({ election, incarnation: this.incarnation, token, reason, ...over }, this.call);
  }

  async requestResign(election: string, token: number, over: Partial<RequestResignInput> = {}): Promise<boolean> {
    return await this.session.requestResign({ election, token, ...over }, this.call);
  }

  async pause(election: string, reason = "maintenance"): Promise<boolean> {
    return await this.session.pause({ election, by: this.node, reason }, this.call);
  }

  async resume(election: string): Promise<boolean> {
    return await this.session.resume({ election, by: this.node }, this.call);
  }

  /** Says that it contends, or with `null` that it does so no more. */
  async contend(election: string, candidacy: CandidacyInput["candidacy"]): Promise<boolean> {
    return await this.session.setCandidacy({ election, incarnation: this.incarnation, candidacy }, this.call);
  }

  async candidates(election: string): Promise<readonly CandidateRow[]> {
    return await this.session.readCandidates({ election }, this.call);
  }

  /** Claims, which must succeed. The election is made if need be. */
  async hold(election: string): Promise<number> {
    await this.createElection(election);
    const claimed = await this.claim(election);
    return claimed?.token ?? assert.fail(`${this.node} claims ${election}`);
  }

  /** Claims and passes the fence, both of which must succeed. */
  async lead(election: string): Promise<number> {
    const token = await this.hold(election);
    assert.equal(await this.passFence(election, token), "passed", `${this.node} passes the fence of ${election}`);
    return token;
  }

  // ---- documents

  async readDocument(name: string): Promise<StoredDocument | null> {
    return await this.session.readDocument({ name }, this.call);
  }

  /** The version of a document; 0 if there is none. */
  async versionOf(name: string): Promise<number> {
    return (await this.readDocument(name))?.version ?? 0;
  }

  /** Writes where the document has that version, 0 for none; under a term, if one is given. */
  async writeDocument(name: string, expectedVersion: number, text: string, fence?: DocumentFence): Promise<boolean> {
    return await this.session.writeDocument({ name, expectedVersion, text, fence }, this.call);
  }

  async removeDocument(name: string, expectedVersion: number, fence?: DocumentFence): Promise<boolean> {
    return await this.session.removeDocument({ name, expectedVersion, fence }, this.call);
  }

  async documents(prefix = ""): Promise<readonly DocumentRow[]> {
    return await this.session.listDocuments({ prefix }, this.call);
  }

  // ---- membership and record

  /** Publishes a view that follows the stored one, as the coordinator with `token`. */
  async publish(token: number, over: Partial<PublishViewInput> = {}): Promise<boolean> {
    const seen = await this.look({ watch: [] });
    return await this.publishFrom(seen, token, over);
  }

  /** Like `publish`, from a reading that the caller has. */
  async publishFrom(seen: LookReply, token: number, over: Partial<PublishViewInput> = {}): Promise<boolean> {
    const expectedVersion = over.expectedVersion ?? seen.viewVersion;
    const input: PublishViewInput = {
      token,
      incarnation: this.incarnation,
      epoch: seen.epoch,
      expectedVersion,
      view: emptyView(expectedVersion + 1),
      events: [],
      forgetDeadAfterMs: LONG_LEASE_MS,
      ...over,
    };
    return await this.session.publishView(input, this.call);
  }

  /** All events there are, the oldest first. */
  async events(after = 0): Promise<readonly StoredEvent[]> {
    const events: StoredEvent[] = [];
    for (;;) {
      const page = await this.session.readEvents({ after: events.at(-1)?.sequence ?? after, limit: 500 }, this.call);
      if (page.events.length === 0) return events;
      events.push(...page.events);
    }
  }

  async reading(): Promise<GroupReading> {
    return (await this.session.readGroup(this.call)) ?? assert.fail("there is no such group");
  }

  async coordinate(): Promise<number> {
    return await this.lead(COORDINATOR);
  }
}

export function emptyView(version: number): StoredView {
  return { version, members: [], coordinator: null };
}

export function event(type: NewEvent["type"], subject: string, detail: NewEvent["detail"] = {}): NewEvent {
  return { type, subject, detail };
}

/** A group's whole state without what changes by itself as time goes by, in one order. */
export function still(reading: GroupReading): unknown {
  const { storeTimeMs: _, presence, elections, candidates, fences, ...rest } = reading;
  const inOrder = candidates.toSorted((x, y) => x.joinOrder - y.joinOrder);
  return { ...rest, presence: stillRows(presence), elections: byElection(elections), candidates: byElection(inOrder), fences: byElection(fences) };
}

/** Presence rows without what changes by itself, in order of joining. */
export function stillRows(presence: readonly PresenceRow[]): readonly unknown[] {
  return presence.toSorted((x, y) => x.joinOrder - y.joinOrder).map(({ beatAgeMs: _age, expired: _expired, ...row }) => row);
}

/** Rows in the order of their elections' names; the contract promises none. */
export function byElection<Row extends { readonly election: string }>(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted((x, y) => (x.election < y.election ? -1 : 1));
}

export function cursorOf({ epoch, electionsVersion, viewVersion }: LookReply): Cursor {
  return { epoch, electionsVersion, viewVersion };
}

/** Waits until the store's clock shows a later time than now, and answers that one. */
export async function tick(member: Member): Promise<number> {
  const { storeTimeMs: nowMs } = await member.look({ watch: [] });
  return await member.scene.until("the store's clock moves on", async () => {
    const { storeTimeMs } = await member.look({ watch: [] });
    return storeTimeMs > nowMs ? storeTimeMs : undefined;
  });
}

/** Publishes one view after the other until `who`, who is dead, is forgotten. */
export async function untilForgotten(coordinator: Member, token: number, who: Member): Promise<void> {
  await coordinator.scene.until(`${who.node} is forgotten`, async () => {
    assert.equal(await coordinator.publish(token, { forgetDeadAfterMs: 0 }), true);
    return (await coordinator.look()).presence.some((row) => row.incarnation === who.incarnation) ? undefined : true;
  });
}

/** Lets some round trips go by, so that what comes next meets others at another moment. */
export async function later(member: Member, roundTrips: number): Promise<void> {
  for (let n = 0; n < roundTrips; n++) await member.look({ watch: [] });
}

/** Runs all of them at once and gives back what each answered; a rejection is the case's failure. */
export async function atOnce<T>(works: readonly (() => Promise<T>)[]): Promise<readonly T[]> {
  const settled = await Promise.allSettled(works.map((work) => work()));
  return settled.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value;
  });
}
