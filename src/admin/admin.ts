import { abortError, checkName, isoTime, isTribuneError, sleep, toTribuneError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { ErrorCode } from "../kernel/index.ts";
import { defaultStopBudgetMs, PRESETS } from "../presence/index.ts";
import type { Timing } from "../presence/index.ts";
import { checkReason, SCHEMA_WORKS_WITH } from "../store/index.ts";
import type { Call, GroupReading, InstalledSchema, OpenContext, StoreProvider, StoreSession } from "../store/index.ts";
import { decodeReach, REACH_DOCUMENT } from "../channel/index.ts";
import type { ReachReports } from "../channel/index.ts";
import { annexOf } from "../membership/index.ts";
import { decodeRing, KEY_RING_DOCUMENT, StoreKeyRing } from "../transport/index.ts";
import type { KeyDescription } from "../transport/index.ts";
import { Bell } from "./bell.ts";
import { evidenceFinding, groupFinding, hintsFinding, schemaFinding, worstOf } from "./diagnosis.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { isGone, memberToEvict } from "./evict.ts";
import type { EvictOutcome } from "./evict.ts";
import { checkDestination, checkStill, electionsToMove, generationBefore, tokensAbove } from "./move.ts";
import type { MoveOutcome, MoveProgress } from "./move.ts";
import { keyStatus, keyUnderWay, noKeys, settleMs } from "./keys.ts";
import type { KeysStatus, RotationOutcome, RotationProgress } from "./keys.ts";
import { checkAdminOptions } from "./options.ts";
import type { AdminOptions, CheckedAdminOptions } from "./options.ts";
import { diagnoseMachine } from "./machine.ts";
import { checkPausable, notPaused, pausedAlready, pauseOutcome, rowOf } from "./pause.ts";
import type { PauseOutcome } from "./pause.ts";
import { cursorExpired, isBehind, presentPage } from "./record.ts";
import type { EventsBatch, EventsPage } from "./record.ts";
import { resignPatienceMs, termEnd, termToEnd } from "./resign.ts";
import type { ResignOutcome, Successor } from "./resign.ts";
import { deriveStatus, fingerprint } from "./status.ts";
import type { ElectionStatus, GroupStatus, MemberStatus } from "./status.ts";
import { handed, notHanded, termToHand } from "./transfer.ts";
import type { TransferOutcome, TransferProgress } from "./transfer.ts";

/** How long an answer is waited for, and what calls it off. */
export interface Ask {
  /** Ends the wait; the call rejects with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

/** What a follower is handed: news, or trouble that it need not end for. */
export type Followed<News> = { readonly kind: "news"; readonly news: News } | { readonly kind: "trouble"; readonly error: TribuneError };

/** The schema of the store, for people who bring it up to date. */
export interface AdminSchema {
  /** The version that this code needs. */
  readonly needed: number;
  /** The oldest version of the code that works with that schema: older code is refused when it opens the store. */
  readonly worksWith: number;
  /** The version in the store, 0 if there is none, and the oldest code that works with it. */
  installed(ask?: Ask): Promise<InstalledSchema>;
  /** Brings the store up to date. Running it twice, or twice at once, does no harm. */
  migrate(ask?: Ask): Promise<{ readonly from: number; readonly to: number }>;
  /** The statements that lead from version `from` to the one that is needed. Asks nobody. */
  print(from: number): readonly string[];
  /** What ends each of them where they are run from a file. */
  readonly terminator: string;
}

const DEFAULT_TIMING: Timing = { ...PRESETS.default, stopBudgetMs: defaultStopBudgetMs(PRESETS.default.leaseMs) };

/** Events that are read at once when following. */
const PAGE = 500;

/** News that come in a burst become one reading. */
const SPACING_MS = 50;

/** After a term has ended, a successor that is waiting is there within this time, mostly. */
const SUCCESSOR_MS = 250;

/** Who was asked for something is looked at so often, since a hint may be lost. */
const POLL_MS = 250;

/** Whoever makes a group on another store is a member of it for as long as a few requests take. Short, since what is made waits for the longest lease of the group before it is free. */
const MOVER_LEASE_MS = 1_000;

/**
 * Reads and commands a group from outside. Made by {@link openAdmin}; connects with the first question, and again when the connection was cut.
 */
export class Admin implements AsyncDisposable {
  readonly group: string;
  readonly schema: AdminSchema;
  readonly #options: CheckedAdminOptions;
  readonly #bells = new Set<Bell>();
  readonly #closing = new AbortController();
  #opening: Promise<StoreSession> | undefined;

  constructor(options: CheckedAdminOptions) {
    this.#options = options;
    this.group = options.group;
    const { schema } = options.store;
    this.schema = {
      needed: schema.version,
      worksWith: SCHEMA_WORKS_WITH,
      installed: (ask) => this.#within("schema", ask?.signal, () => schema.installed(this.#context(false))),
      migrate: (ask) => this.#within("migrate", ask?.signal, () => schema.migrate(this.#context(true))),
      print: (from) => schema.statements(from),
      terminator: schema.terminator ?? ";",
    };
  }

  /** Everything about the group, at one instant. Throws `GROUP_UNKNOWN` if the store has no such group. */
  async status(ask: Ask = {}): Promise<GroupStatus> {
    const { store, clock } = this.#options;
    const { reading, reach, session, latencyMs, wallMs } = await this.#ask("status", ask.signal, async (session, call) => {
      const beganMs = clock.monotonicMs();
      const beganWallMs = clock.wallMs();
      const reading = await session.readGroup(call);
      const measured = { latencyMs: clock.monotonicMs() - beganMs, wallMs: (beganWallMs + clock.wallMs()) / 2 };
      return { reading, session, ...measured, reach: await readReach(reading, session, call) };
    });
    const { kind, label, capabilities, schema } = store;
    return deriveStatus(this.#known(reading), { group: this.group, kind, label, capabilities, schemaNeeded: schema.version, session: session.info, latencyMs, wallMs, reach });
  }

  async members(ask: Ask = {}): Promise<readonly MemberStatus[]> {
    return (await this.status(ask)).members;
  }

  async elections(ask: Ask = {}): Promise<readonly ElectionStatus[]> {
    return (await this.status(ask)).elections;
  }

  /**
   * Events after the cursor `after`, the oldest first; without a cursor the newest `limit` (default 100). Throws `CURSOR_EXPIRED` if the store has gone
   * back behind the cursor.
   */
  async events(options: Ask & { readonly after?: number | undefined; readonly limit?: number | undefined } = {}): Promise<EventsPage> {
    const limit = options.limit ?? 100;
    return await this.#ask("events", options.signal, async (session, call) => {
      const after = options.after ?? Math.max(0, (await session.readEvents({ after: 0, limit: 1 }, call)).newest - limit);
      const page = await session.readEvents({ after, limit }, call);
      if (isBehind(page, after)) throw cursorExpired(after, page.newest);
      // Without a cursor nothing was promised, so nothing was skipped.
      return presentPage(options.after === undefined ? { ...page, skipped: 0 } : page, after);
    });
  }

  /** Events as they come, from the cursor on (default: only new ones). Ends when `signal` aborts or the admin is closed, never by itself. */
  async *followEvents(options: Ask & { readonly after?: number | undefined } = {}): AsyncGenerator<Followed<EventsBatch>, void, undefined> {
    let after = options.after;
    yield* this.#follow<EventsBatch>(options.signal, async () => {
      const from = after;
      const batch = await this.#ask("events", options.signal, async (session, call): Promise<EventsBatch> => {
        const page = await session.readEvents({ after: from ?? 0, limit: from === undefined ? 1 : PAGE }, call);
        if (from === undefined) return { events: [], skipped: 0, cursor: page.newest, newest: page.newest, restarted: false };
        if (isBehind(page, from)) return { events: [], skipped: 0, cursor: page.newest, newest: page.newest, restarted: true };
        return { ...presentPage(page, from), restarted: false };
      });
      after = batch.cursor;
      const isNews = batch.events.length > 0 || batch.skipped > 0 || batch.restarted;
      return { news: isNews ? batch : undefined, more: batch.cursor < batch.newest };
    });
  }

  /**
   * The status, at first and then each time something changed. With `every: "look"` also when only ages did, for a screen that shows them.
   * Ends when `signal` aborts or the admin is closed, never by itself.
   */
  async *followStatus(options: Ask & { readonly every?: "change" | "look" } = {}): AsyncGenerator<Followed<GroupStatus>, void, undefined> {
    let shown: string | undefined;
    yield* this.#follow<GroupStatus>(options.signal, async () => {
      const status = await this.status({ signal: options.signal });
      const print = fingerprint(status);
      const changed = print !== shown;
      shown = print;
      return { news: changed || options.every === "look" ? status : undefined, more: false };
    });
  }

  /**
   * Asks the holder of `election` to resign, and waits until that term has ended: as long as `timeoutMs` says (default two leases of the holder, at
   * least 10 s). What comes of it is a value; only trouble with the store throws.
   */
  async requestResign(election: string, options: Ask & { readonly timeoutMs?: number | undefined } = {}): Promise<ResignOutcome> {
    checkName("election", election);
    const { signal } = options;
    const bell = this.#bell();
    try {
      const before = termToEnd(await this.#read(signal), election);
      if (before.kind === "done") return before.outcome;
      const { token, node } = before;
      const waitMs = options.timeoutMs ?? resignPatienceMs(before.leaseMs);
      const asked = await this.#ask("resign", signal, (session, call) => session.requestResign({ election, token }, call));
      if (!asked) return { outcome: "superseded", election, token: String(token), node };
      const { found: end, tookMs } = await this.#await("resign", { bell, waitMs, signal }, (reading) => termEnd(reading, election, token));
      if (end === undefined) return { outcome: "still-held", election, token: String(token), node, waitedMs: tookMs };
      const successor = end.successor ?? (await this.#successorSoon(election, token, bell, signal));
      return { outcome: "resigned", election, token: String(token), node, tookMs, reason: end.reason, successor };
    } finally {
      this.#bells.delete(bell);
    }
  }

  /**
   * Has `node` hold `election`: the present holder is asked to stop its work, which has its stop budget, and to resign in favour of that node. Resolves when that node is seen to hold it.
   * Rejects with nothing done: `NOT_HELD`, `ELECTION_PAUSED`, `NODE_UNKNOWN`, `NOT_ELIGIBLE`; and with `TRANSFER_FAILED` if somebody else has it in the end, or nobody within `timeoutMs`
   * (default two leases of the holder, at least 10 s). Works for `coordinator`, too: all members but observers are its candidates.
   */
  async transfer(election: string, node: string, options: Ask & { readonly timeoutMs?: number | undefined; readonly onProgress?: ((progress: TransferProgress) => void) | undefined } = {}): Promise<TransferOutcome> {
    checkName("election", election);
    checkName("node", node);
    const { signal, onProgress } = options;
    const bell = this.#bell();
    try {
      const term = termToHand(await this.#read(signal), election, node);
      const waitMs = options.timeoutMs ?? resignPatienceMs(term.leaseMs);
      const asked = await this.#ask("transfer", signal, (session, call) => session.requestResign({ election, token: term.token, for: node }, call));
      if (!asked) throw new TribuneError("TRANSFER_FAILED", `the holder of ${election} has changed meanwhile`, { about: election, next: "look who holds it now, and try again" });
      onProgress?.({ step: "asked", from: term.node, waitMs });
      let toldFree = false;
      let last: GroupReading | undefined;
      const { found, tookMs } = await this.#await("transfer", { bell, waitMs, signal }, (reading) => {
        last = reading;
        if (!toldFree && reading.elections.some((row) => row.election === election && row.token === term.token && row.holder === null)) {
          toldFree = true;
          onProgress?.({ step: "free" });
        }
        return handed(reading, election, term.token, node);
      });
      if (found === undefined) throw notHanded(last as GroupReading, election, term, node, tookMs);
      return { election, from: { node: term.node, token: String(term.token) }, ...found, tookMs };
    } finally {
      this.#bells.delete(bell);
    }
  }

  /**
   * Asks a node to leave the group: from now on its beats are refused, so that it ends its terms, leaves and stops with `EVICTED`; one that is frozen is declared dead as any other. Waits until
   * it is gone: as long as `timeoutMs` says (default two leases of it, at least 10 s). It does not come back by itself; whoever starts it again may. Rejects with `NODE_UNKNOWN` if nobody alive has that name, and with `NOT_ELIGIBLE` if it is `self` of the options.
   */
  async evict(node: string, options: Ask & { readonly reason: string; readonly timeoutMs?: number | undefined }): Promise<EvictOutcome> {
    checkName("node", node);
    const reason = checkReason("evict", (options as Partial<typeof options> | undefined)?.reason);
    const { signal } = options;
    const { by, self } = this.#options;
    const bell = this.#bell();
    try {
      const { incarnation, leaseMs, already, last, held } = memberToEvict(await this.#read(signal), node, self);
      const waitMs = options.timeoutMs ?? resignPatienceMs(leaseMs);
      if (!already) await this.#ask("evict", signal, (session, call) => session.evict({ node, by, reason }, call)); // not written: it has gone, or somebody else was first
      const { found, tookMs } = await this.#await("evict", { bell, waitMs, signal }, (reading) => (isGone(reading, incarnation) ? true : undefined));
      const gone = found === true;
      const [row] = gone ? await this.#ask("evict", signal, (session, call) => session.readMembers({ incarnations: [incarnation] }, call)) : [];
      return { outcome: gone ? "gone" : "still-there", node, incarnation, how: row?.deadReason ?? null, already, last, held, tookMs };
    } finally {
      this.#bells.delete(bell);
    }
  }

  /**
   * No new term of `election` begins, in the whole cluster, until it is resumed; a holder keeps its term. Rejects with `ELECTION_PAUSED` if it is paused already, saying by whom, since when and why,
   * with `ELECTION_RESERVED` for `coordinator`, and with `NOT_HELD` if the group has no such election.
   */
  async pause(election: string, options: Ask & { readonly reason: string }): Promise<PauseOutcome> {
    checkName("election", election);
    const reason = checkReason("pause", (options as Partial<typeof options> | undefined)?.reason);
    checkPausable(election);
    const { signal } = options;
    const paused = await this.#ask("pause", signal, (session, call) => session.pause({ election, reason, by: this.#options.by }, call));
    const row = rowOf(await this.#read(signal), election, "NOT_HELD");
    if (!paused && row.paused !== null) throw pausedAlready(election, row.paused);
    if (row.paused === null) throw new TribuneError("NOT_PAUSED", `${election} was resumed at this very moment`, { about: election, next: "ask who did that, and pause it again", retryable: true });
    return pauseOutcome(row, row.paused);
  }

  /** Terms of `election` may begin again. Rejects with `NOT_PAUSED` if it is not paused. */
  async resume(election: string, ask: Ask = {}): Promise<PauseOutcome> {
    checkName("election", election);
    const { signal } = ask;
    const row = rowOf(await this.#read(signal), election, "NOT_PAUSED");
    if (row.paused === null) throw notPaused(election);
    const resumed = await this.#ask("resume", signal, (session, call) => session.resume({ election, by: this.#options.by }, call));
    if (!resumed) throw notPaused(election); // somebody else was first
    return pauseOutcome(row, row.paused);
  }

  /** The keys that members prove themselves with, without their secrets. Rejects with `KEYS_MISSING` if there are none. */
  async keys(ask: Ask = {}): Promise<KeysStatus> {
    return { keys: (await this.#readKeys(ask.signal)).map(keyStatus) };
  }

  /**
   * Has all members use a new key, and refuse those before it: the new one is accepted, then used, then the old ones are retired, and after the first and the second step all members are given the time to read it
   * (`settleMs` each; default five and a half of the longest lease, and a second, which is enough also without hints). Nothing is lost meanwhile. One that was called off, or failed, goes on when it is called again.
   * A member that has not reached the store for all that time gets no new connections until it has. Rejects with `KEYS_MISSING` if the group has no keys or too many, `STORE_BUSY` if others change them at the same time, `ABORTED`.
   */
  async rotateKeys(options: Ask & { readonly settleMs?: number | undefined; readonly onProgress?: ((progress: RotationProgress) => void) | undefined } = {}): Promise<RotationOutcome> {
    const { signal, onProgress } = options;
    const { clock, random, logger, pollMs } = this.#options;
    const beganMs = clock.monotonicMs();
    const begun = keyUnderWay(await this.#readKeys(signal));
    const name = KEY_RING_DOCUMENT;
    const ring = new StoreKeyRing({
      store: {
        read: () => this.#ask("rotateKeys", signal, (session, call) => session.readDocument({ name }, call)),
        write: (input) => this.#ask("rotateKeys", signal, (session, call) => session.writeDocument({ name, ...input }, call)),
      },
      clock,
      random,
      logger,
      pollMs,
    });
    const settle = async (step: RotationProgress["step"], key: string) => {
      const ms = options.settleMs ?? settleMs(await this.#read(signal));
      onProgress?.({ step, key, settleMs: ms });
      await sleep(clock, ms, this.#until(signal));
      this.#assertWanted("rotateKeys", signal);
    };
    const key = begun ?? (await ring.introduce());
    await settle("introduced", key);
    await ring.activate(key);
    await settle("activated", key);
    const retired: string[] = [];
    for (const { id, state } of ring.describe()) {
      if (state !== "accepted") continue;
      await ring.retire(id);
      retired.push(id);
      onProgress?.({ step: "retired", key: id, settleMs: 0 });
    }
    return { active: key, retired, resumed: begun !== undefined, tookMs: Math.round(clock.monotonicMs() - beganMs) };
  }

  async #readKeys(signal: AbortSignal | undefined): Promise<readonly KeyDescription[]> {
    const document = await this.#ask("keys", signal, (session, call) => session.readDocument({ name: KEY_RING_DOCUMENT }, call));
    if (document === null) throw noKeys(this.group);
    return decodeRing(document.text).keys;
  }

  /**
   * Makes the group on another store so that its nodes can be started there: pauses every election here for good, has each holder resign, and makes the group there in a later generation, so that tokens and
   * view numbers go on growing. From then on nodes can be restarted with the new store, one after the other. Run again after a failure it goes on; `resume` undoes it as long as no node runs on the new store.
   * Rejects with `INVALID_OPTIONS` if the group has live members there, with `STOP_OVERRUN` if a holder has not resigned within `timeoutMs` (default two leases of it, at least 10 s), with `NOT_PAUSED` if somebody resumed meanwhile.
   */
  async move(to: StoreProvider, options: Ask & { readonly timeoutMs?: number | undefined; readonly onProgress?: ((progress: MoveProgress) => void) | undefined } = {}): Promise<MoveOutcome> {
    const { signal, timeoutMs, onProgress } = options;
    const { clock, store } = this.#options;
    const beganMs = clock.monotonicMs();
    const reading = await this.#read(signal);
    const session = await this.#within("move", signal, () => to.open(this.#context(true)), to.label);
    try {
      checkDestination(await this.#within("move", signal, () => session.readGroup({ deadlineMs: this.#options.timeoutMs }), to.label), this.group, to.label);
      for (const { election, paused } of electionsToMove(reading)) {
        if (paused === null) await this.pause(election, { reason: `moved to ${to.label}`, signal });
        onProgress?.({ step: "paused", election });
      }
      for (const { election } of electionsToMove(reading)) {
        const ended = await this.requestResign(election, { signal, timeoutMs });
        if (ended.outcome === "still-held") {
          throw new TribuneError("STOP_OVERRUN", `${ended.node} was asked to resign ${election}, and still holds it after ${Math.round(ended.waitedMs)} ms`, { about: election, next: "look at that process, or end it; then move again: what is paused stays paused" });
        }
        if (ended.outcome === "resigned") onProgress?.({ step: "resigned", election, node: ended.node, token: ended.token });
      }
      const still = await this.#read(signal);
      checkStill(still);
      const generation = await this.#within("move", signal, () => this.#makeAnew(session, still), to.label);
      onProgress?.({ step: "made", generation });
      const elections = electionsToMove(still).map(({ election, token }) => ({ election, token: String(token) }));
      return { group: this.group, from: store.label, to: to.label, elections, tokensAbove: String(tokensAbove(generation)), generation: { from: still.generation, to: generation }, tookMs: Math.round(clock.monotonicMs() - beganMs) };
    } finally {
      await session.close();
    }
  }

  /** Joins for a moment as somebody who has seen the group's generation, which raises it there. */
  async #makeAnew(session: StoreSession, reading: GroupReading): Promise<number> {
    const call = { deadlineMs: this.#options.timeoutMs };
    const { settings } = reading;
    const before = generationBefore(reading);
    const incarnation = this.#options.random.id();
    const joined = await session.join({ incarnation, node: `move-${incarnation.slice(0, 12)}`, leaseMs: MOVER_LEASE_MS, metadata: "{}", settings, generation: before, observer: true }, call);
    if (joined.outcome !== "joined") {
      throw new TribuneError("SETTINGS_MISMATCH", `group ${this.group} was on the other store before, with other settings`, { about: this.group, next: "use another group's name, or another place in that store" });
    }
    const cursor = { epoch: "", electionsVersion: 0, viewVersion: 0 };
    // The group may have been there, of an earlier time: a beat that has seen a later generation raises it.
    let { generation } = await session.look({ cursor, watch: [] }, call);
    if (generation <= before) ({ generation } = await session.beat({ incarnation, beat: 1, generation: before + 1, viewSeen: 0, cursor, watch: [] }, call));
    await session.leave({ incarnation }, call);
    if (generation > before) return generation;
    throw new TribuneError("STORE_FAILED", `group ${this.group} was not raised beyond generation ${before} on the other store, so its tokens might not grow`, { about: this.group, next: "move again; no node may be started there before that has succeeded", retryable: true });
  }

  /** Whoever waits for the election takes it within a moment; people want to know who. */
  async #successorSoon(election: string, token: number, bell: Bell, signal: AbortSignal | undefined): Promise<Successor | null> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + SUCCESSOR_MS;
    for (let leftMs = SUCCESSOR_MS; leftMs > 0; leftMs = untilMs - clock.monotonicMs()) {
      await bell.wait(clock, leftMs, this.#until(signal));
      this.#assertWanted("resign", signal);
      const successor = termEnd(await this.#read(signal), election, token)?.successor ?? null;
      if (successor !== null) return successor;
    }
    return null;
  }

  /**
   * Looks at the store, the way to it and this machine, for a node that is to run from here with `timing`: what works, what is less than it could be, what fails, each with what was measured and the next
   * step. Takes a second or two and changes nothing. Rejects with a `STORE_…` code if the store cannot be reached; what else is wrong is a finding.
   */
  async diagnose(options: Ask & { readonly timing?: Timing | undefined } = {}): Promise<Diagnosis> {
    const { store, clock, group, timeoutMs } = this.#options;
    const { kind, label, capabilities } = store;
    const { timing = DEFAULT_TIMING, signal } = options;
    const at = isoTime(clock.wallMs());
    const findings = await this.#within("doctor", signal, async () => {
      const { leaseMs } = timing;
      const context = this.#context(false);
      const session = await store.open(capabilities.evidence === null ? context : { ...context, evidence: { leaseMs } }).catch(unlessItIsAFinding);
      try {
        const reading = (await session?.readGroup({ deadlineMs: timeoutMs })) ?? null;
        const nodes = reading?.presence.filter((row) => row.state === "alive").length ?? 0;
        const installed = await store.schema.installed(context).catch(unlessItIsAFinding);
        const ofStore = (await store.diagnose?.({ ...context, leaseMs, nodes })) ?? [];
        const hints = hintsFinding(session?.info, capabilities, timing);
        return [
          ...ofStore,
          schemaFinding(installed, store.schema.version),
          evidenceFinding(session?.info, capabilities, timing),
          ...(hints === undefined ? [] : [hints]),
          ...(reading === null ? [] : [groupFinding(group, reading)]),
        ];
      } finally {
        await session?.close();
      }
    });
    const all = [...findings, ...(await diagnoseMachine(clock, timing, this.#until(signal)))];
    this.#assertWanted("doctor", signal);
    return { kind, label, at, findings: all, worst: worstOf(all) };
  }

  /** Ends the connection, and every call and follower with it. May be called twice. */
  async close(): Promise<void> {
    this.#closing.abort(new TribuneError("ABORTED", "the admin was closed", { about: this.group }));
    const session = await this.#opening?.catch(() => undefined);
    await session?.close();
    if (this.#options.ownsStore) await this.#options.store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Looks again and again, at once when a hint comes, until `find` finds what is waited for, or the time is over. */
  async #await<T>(
    operation: string,
    { bell, waitMs, signal }: { readonly bell: Bell; readonly waitMs: number; readonly signal: AbortSignal | undefined },
    find: (reading: GroupReading) => T | undefined,
  ): Promise<{ readonly found: T | undefined; readonly tookMs: number }> {
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    for (;;) {
      const found = find(await this.#read(signal));
      const tookMs = Math.round(clock.monotonicMs() - beganMs);
      if (found !== undefined || tookMs >= waitMs) return { found, tookMs };
      await bell.wait(clock, Math.min(POLL_MS, waitMs - tookMs), this.#until(signal));
      this.#assertWanted(operation, signal);
    }
  }

  // ---- asking

  async #read(signal: AbortSignal | undefined): Promise<GroupReading> {
    return this.#known(await this.#ask("status", signal, (session, call) => session.readGroup(call)));
  }

  #known(reading: GroupReading | null): GroupReading {
    if (reading !== null) return reading;
    const { label } = this.#options.store;
    throw new TribuneError("GROUP_UNKNOWN", `there is no group ${this.group} in ${label}`, { about: this.group, next: "start a member of it first, or look for a slip in the name" });
  }

  /** One question. If the connection turns out to have ended since the last one, it is asked again on a new one, once. */
  async #ask<T>(operation: string, signal: AbortSignal | undefined, question: (session: StoreSession, call: Call) => Promise<T>): Promise<T> {
    return await this.#within(operation, signal, async () => {
      const call = { deadlineMs: this.#options.timeoutMs };
      const { session, fresh } = await this.#session();
      try {
        return await question(session, call);
      } catch (error) {
        if (fresh || !isTribuneError(error, "STORE_SESSION_ENDED")) throw error;
        return await question((await this.#session()).session, call);
      }
    });
  }

  /** The connection that is there, or a new one; whoever asks while it is being opened waits for the same one. */
  async #session(): Promise<{ readonly session: StoreSession; readonly fresh: boolean }> {
    const before = this.#opening;
    const session = await before?.catch(() => undefined);
    if (session !== undefined && !session.ended.aborted) return { session, fresh: false };
    if (this.#opening === before) this.#opening = this.#open();
    return { session: await (this.#opening as Promise<StoreSession>), fresh: true };
  }

  async #open(): Promise<StoreSession> {
    const session = await this.#options.store.open(this.#context(false));
    const ring = () => {
      for (const bell of this.#bells) bell.ring();
    };
    session.onHint(ring);
    session.ended.addEventListener("abort", ring, { once: true });
    return session;
  }

  #context(createSchema: boolean): OpenContext {
    const { group, connectionName, clock, random, logger, timeoutMs } = this.#options;
    return { group, node: connectionName, clock, random, logger, createSchema, deadlineMs: timeoutMs, statementLimitMs: timeoutMs, signal: this.#closing.signal };
  }

  /** A deadline for connecting and asking together, so that a provider which hangs does not hang its caller. */
  async #within<T>(operation: string, signal: AbortSignal | undefined, work: () => Promise<T>, label = this.#options.store.label): Promise<T> {
    this.#assertWanted(operation, signal);
    const { clock, timeoutMs } = this.#options;
    return await withDeadline(work(), { clock, ms: 2 * timeoutMs, operation: `${operation} on ${label}`, signal: this.#until(signal) });
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
  }

  #assertWanted(operation: string, signal: AbortSignal | undefined): void {
    const until = this.#until(signal);
    if (until.aborted) throw abortError(until, operation);
  }

  // ---- following

  #bell(): Bell {
    const bell = new Bell();
    this.#bells.add(bell);
    return bell;
  }

  /** Looks again and again: at once while there is more, otherwise when a hint comes or the poll is due. */
  async *#follow<News>(signal: AbortSignal | undefined, look: () => Promise<{ readonly news: News | undefined; readonly more: boolean }>): AsyncGenerator<Followed<News>, void, undefined> {
    const { clock, pollMs, store } = this.#options;
    const ends = this.#until(signal);
    const bell = this.#bell();
    try {
      while (!ends.aborted) {
        let more = false;
        try {
          const seen = await look();
          more = seen.more;
          if (seen.news !== undefined) yield { kind: "news", news: seen.news };
        } catch (error) {
          if (isOver(ends)) return;
          yield { kind: "trouble", error: toTribuneError(error, "STORE_FAILED", `${store.label} failed`) };
        }
        if (more) continue;
        await bell.wait(clock, pollMs, ends);
        await sleep(clock, SPACING_MS, ends);
      }
    } finally {
      this.#bells.delete(bell);
    }
  }
}

/** What a diagnosis tells about, instead of ending with it. */
const FINDINGS: readonly ErrorCode[] = ["SCHEMA_MISSING", "SCHEMA_OUTDATED", "SCHEMA_TOO_NEW", "STORE_PERMISSION_DENIED"];

function unlessItIsAFinding(error: unknown): undefined {
  if (!isTribuneError(error) || !FINDINGS.includes(error.code)) throw error;
  return undefined;
}

/** Asked again after a wait, which the type checker does not know of. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

/**
 * Makes an admin of a group. Checks the options (`INVALID_OPTIONS`, `INVALID_NAME`, `UNKNOWN_STORE`) and does no I/O: the first question connects.
 */
export function openAdmin(options: AdminOptions): Admin {
  return new Admin(checkAdminOptions(options));
}

/** What members say about their ways to each other; nothing is read where none has a channel. */
async function readReach(reading: GroupReading | null, session: StoreSession, call: Call): Promise<ReachReports | undefined> {
  if (reading?.view?.members.some(({ metadata }) => annexOf(metadata)["channel"] !== undefined) !== true) return undefined;
  const document = await session.readDocument({ name: REACH_DOCUMENT }, call);
  return document === null ? undefined : decodeReach(document.text);
}
