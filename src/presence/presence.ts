import { backoffMs, Elapsed, Events, isTribuneError, jitter, sleep, toTribuneError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock, ListenerErrorHandler, Logger, Random, Timer } from "../kernel/index.ts";
import type { BeatReply, Call, Hint, JoinResult, LookReply, SessionEvidence, StoreProvider, StoreSession } from "../store/index.ts";
import { Facts } from "./facts.ts";
import type { FactsChange } from "./facts.ts";
import { Attendant } from "./attendant.ts";
import { AGREEMENT_MS, deathStep, observe, observerGapMs, refused, restarted, stoodStill } from "./observation.ts";
import type { EvidenceRule, Grounds, Observation } from "./observation.ts";
import { BEAT_JITTER, trustMs } from "./timing.ts";
import type { Timing } from "./timing.ts";

/** Who this node is, and by which timings it lives. */
export interface PresenceOptions {
  readonly group: string;
  readonly node: string;
  readonly timing: Timing;
  /** JSON text. */
  readonly metadata: string;
  /** What must agree in the whole group. */
  readonly settings: string;
  readonly createSchema: boolean;
  /** Whether the store's evidence of death is used, where it has any: given by this node, and looked at. */
  readonly evidence: boolean;
  /** It takes part, but is never the coordinator. */
  readonly observer: boolean;
  /** How long `start` goes on trying to reach a store that does not answer. */
  readonly startTimeoutMs: number;
}

/** What presence is handed by whoever wires it. */
export interface PresencePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly store: StoreProvider;
  readonly onListenerError: ListenerErrorHandler;
  readonly annex?: Annex | undefined;
}

/** What is put beside the user's metadata, anew for each incarnation. */
export interface Annex {
  /** Called before each join, with the incarnation that is to be. What it throws counts as a failure to join. */
  prepare(incarnation: string): Promise<void>;
  /** Called at each writing: the user's metadata with what belongs to it. */
  attach(metadata: string): string;
}

/** What presence tells the rooms to its right. */
export interface PresenceEvents {
  /** A reply was taken in. Comes before the trust of that reply counts, so that listeners can end what it contradicts. */
  facts: FactsChange;
  /** Trust has begun: at first, or again after a lapse or as a new incarnation. */
  trusted: { readonly incarnation: string };
  /** The store does not answer; trust stands until then. */
  suspended: { readonly reason: TribuneError; readonly trustLeftMs: number };
  /** A beat was confirmed again before the trust ran out. */
  recovered: { readonly afterMs: number };
  /** Only the stop budget is left of the trust: stop what must not outlive it. */
  fading: { readonly trustLeftMs: number };
  /** Trust is over; whatever stood on it has ended. `dead`: the incarnation is, and another one will join. */
  ended: { readonly cause: "lapsed" | "dead"; readonly incarnation: string; readonly reason: TribuneError };
  /** A document of the group may have changed: read it if it matters. A hint, so it may be lost, doubled or late. */
  document: { readonly name: string };
  /** An operator asked this node to leave: its beats are refused, and it is to stop while it has trust left. */
  evicted: TribuneError;
  /** Trouble that needs a person, while the loop goes on. */
  trouble: TribuneError;
}

/** A connection that cannot be opened is tried again after these pauses. */
const RECONNECT = { firstMs: 50, longestMs: 1_000 };

/** What a statement may meet on a connection that is sound, and what passes. */
const PASSING: ReadonlySet<string> = new Set(["STORE_BUSY", "STORE_FULL", "STORE_TIMEOUT"]);

/** The least that opening a connection is given while there is no trust that could run out meanwhile. */
const PATIENT_OPEN_MS = 3_000;

/** In a large group, for each member: more patience with opening a connection, and the longest pause between two attempts while there is no trust to lose. */
const OPEN_PER_MEMBER_MS = 10;
const RECONNECT_PER_MEMBER_MS = 5;

/** Pause between two looks that hints asked for; grows with the group, so that a burst of joins costs each node a few looks. */
const LOOK_SPACING_MS = 5;
const LOOK_SPACING_PER_MEMBER_MS = 0.5;

/** Looks that a hint leads to come from everybody within this time for each member. A view is large, and nobody waits for it; of an election some wait, and the first look is what counts. */
const VIEW_SPREAD_PER_MEMBER_MS = 1;
const ELECTION_SPREAD_PER_MEMBER_MS = 0.1;

/**
 * The incarnation, its beat loop and its trust. One loop tells the story: open a session, join, beat until the session or
 * the incarnation ends, begin again. See the README of this room for the states.
 */
export class Presence {
  readonly events: Events<PresenceEvents>;
  readonly facts = new Facts();
  readonly #options: PresenceOptions;
  readonly #ports: PresencePorts;
  readonly #elapsed: Elapsed;
  readonly #stop = new AbortController();
  readonly #attendant: Attendant;
  readonly #watched = new Map<string, number>();
  /** Who is suspected, since when, on the monotonic clock. */
  readonly #suspectedMs = new Map<string, number>();
  readonly #prompt = new Map<string, number>();
  #watchAll = 0;
  #clockWatchers = 0;
  #metadata: string;
  #incarnation = "";
  /** The incarnation of a join that may or may not have been written; `sureUntilMs`: nobody can have declared it dead before then, on `#elapsed`. */
  #candidate: { readonly incarnation: string; readonly sureUntilMs: number } | undefined;
  /** The epoch in which this incarnation is known to be alive. A beat counts in no other one. */
  #epoch = "";
  /** The generation that the group had when `#epoch` was last heard from. */
  #generation = 0;
  #state: "none" | "joined" = "none";
  /** The incarnation that was asked to leave, if one was. */
  #evicted = "";
  #beat = 0;
  /** When the present connection was opened, and how many there have been with it: its number. */
  #openedAtMs = 0;
  #connections = 0;
  /** The connection, also before its first reply. */
  #connection: StoreSession | undefined;
  /** The connection after its first reply; what others may use. */
  #session: StoreSession | undefined;
  /** When the trust is over, on `#elapsed`. */
  #trustEndMs: number | undefined;
  #trustPeriod = 0;
  #suspendedSince: number | undefined;
  #trustTimer: Timer | undefined;
  #faded = false;
  #lookState: "idle" | "busy" | "again" = "idle";
  /** Takeovers that are under way, who waits for their end, and whether a look does. */
  #takeovers = 0;
  #disturbers: (() => void)[] = [];
  #lookAfterwards = false;
  /** A look that a hint asked for and that is put off, until when, and when the last hint came. */
  #hintTimer: Timer | undefined;
  #hintDueMs = 0;
  #hintedMs = 0;
  /** When what was answered last had been sent. */
  #heardFromMs = Number.NEGATIVE_INFINITY;
  /** Statements about a death that are on their way. */
  readonly #declaring = new Map<Observation, { readonly grounds: Grounds; readonly outcome: Promise<boolean> }>();
  #beatNow: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #latencyMs = 0;

  constructor(options: PresenceOptions, ports: PresencePorts) {
    this.#options = options;
    this.#ports = ports;
    this.#metadata = options.metadata;
    this.#elapsed = new Elapsed(ports.clock);
    this.#stop.signal.addEventListener("abort", () => this.#beatNow?.(), { once: true });
    this.events = new Events(ports.onListenerError);
    this.#attendant = new Attendant({ clock: ports.clock, session: () => (this.evidenceRule() === undefined ? undefined : this.#session), look: () => this.lookSoon(), pauseMs: options.timing.beatMs, stop: this.#stop.signal });
  }

  // ---- what others ask

  get node(): string {
    return this.#options.node;
  }

  get timing(): Timing {
    return this.#options.timing;
  }

  /** Whether this node only takes part, and leads nothing. */
  get isObserver(): boolean {
    return this.#options.observer;
  }

  /** The present incarnation; `""` before the first join. */
  get incarnation(): string {
    return this.#incarnation;
  }

  /** Counts the stretches of unbroken trust: what began in another one has ended. */
  get trustPeriod(): number {
    return this.#trustPeriod;
  }

  /** Round-trip time of the last beat. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** What is in force to tell the dead from the silent on this node's own part, and why. */
  get evidence(): SessionEvidence {
    if (!this.#options.evidence) return { held: false, why: "chosen" };
    if (this.#ports.store.capabilities.evidence === null) return { held: false, why: "this kind of store has no evidence of death" };
    return this.#session?.info.evidence ?? { held: false, why: "there is no connection to the store at the moment" };
  }

  /**
   * Whether this incarnation may act now. Asks the clocks each time, so it is right also when no timer could run. It only
   * reads; the event `ended` tells the others.
   */
  trusted(): boolean {
    return this.trustLeftMs() > 0;
  }

  /** Whether there is more trust left than the stop budget: something new may begin. */
  mayBegin(): boolean {
    return this.trustLeftMs() > this.#options.timing.stopBudgetMs;
  }

  /** Milliseconds of trust left; 0 if there is none. */
  trustLeftMs(): number {
    return this.#trustEndMs === undefined ? 0 : Math.max(0, this.#trustEndMs - this.#elapsed.nowMs());
  }

  // ---- life

  /** Resolves with the first trust. Rejects on what a person has to mend, and when the store cannot be reached in time. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const giveUpAtMs = clock.monotonicMs() + this.#options.startTimeoutMs;
    const abort = () => {
      const reason = new TribuneError("CLUSTER_STOPPED", `${this.#options.node} was stopped while it started`, { about: this.#options.node });
      this.#stop.abort(reason);
      this.#connection?.destroy(reason); // whatever hangs in it is not waited for
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await new Promise<void>((resolve, reject) => {
        const offs = [
          this.events.on("trusted", () => {
            settled();
            resolve();
          }),
          this.events.on("evicted", (error) => {
            settled();
            reject(error);
          }),
        ];
        const settled = () => {
          for (const off of offs) off();
        };
        this.#loop = this.#run((error) => {
          if (this.#trustPeriod > 0) return "go on";
          if (!needsPerson(error) && clock.monotonicMs() < giveUpAtMs && !this.#stop.signal.aborted) return "go on";
          settled();
          reject(error);
          return "give up";
        });
        this.#loop.then(() => reject(toTribuneError(this.#stop.signal.reason, "CLUSTER_STOPPED", "the node was stopped while it started")), reject);
      });
    } finally {
      signal.removeEventListener("abort", abort); // a later stop has an order of its own
    }
  }

  /** Tells of an error that a person has to mend; others pass by themselves. */
  report(error: unknown): void {
    if (isTribuneError(error) && needsPerson(error)) this.events.emit("trouble", error);
  }

  /** Leaves the group if the store can be reached within `deadlineMs`, and ends the connection. */
  async stop(deadlineMs: number): Promise<void> {
    const session = this.#session;
    this.#endTrust("lapsed", new TribuneError("CLUSTER_STOPPED", `${this.#options.node} was stopped`, { about: this.#options.node }));
    this.#stop.abort(new TribuneError("CLUSTER_STOPPED", "stopped"));
    if (session !== undefined && this.#state === "joined" && !session.ended.aborted) {
      await session.leave({ incarnation: this.#incarnation }, { deadlineMs }).catch((error: unknown) => {
        this.#ports.logger.warn({ node: this.#options.node, error: String(error) }, "could not leave the group; the lease will run out instead");
      });
    }
    this.#state = "none";
    await this.#connection?.close().catch(() => undefined);
    await this.#loop;
  }

  // ---- requests of other rooms

  /** Shows the presence of `incarnation` with each reply from now on, until the returned function is called. */
  watch(incarnation: string): () => void {
    const count = this.#watched.get(incarnation) ?? 0;
    this.#watched.set(incarnation, count + 1);
    if (count === 0) this.lookSoon();
    return once(() => {
      const left = (this.#watched.get(incarnation) ?? 1) - 1;
      if (left === 0) this.#watched.delete(incarnation);
      else this.#watched.set(incarnation, left);
    });
  }

  /** Shows everybody's presence from now on: the coordinator's way of watching. */
  watchEverybody(): () => void {
    this.#watchAll += 1;
    this.lookSoon();
    return once(() => (this.#watchAll -= 1));
  }

  /**
   * Notices within a quarter of a beat that the machine has slept, until the returned function is called. Timers sleep as well: without this a lapse would be told with the next beat.
   */
  watchClocks(): () => void {
    this.#clockWatchers += 1;
    if (this.#trustEndMs !== undefined) this.#armTrustTimer();
    return once(() => (this.#clockWatchers -= 1));
  }

  /** Has the store tell when the evidence of `incarnation` becomes free, until the returned function is called: an extra connection, for those who are to notice a death at once. */
  attend(incarnation: string): () => void {
    if (!this.#options.evidence || this.#ports.store.capabilities.evidence === null) return () => undefined;
    return this.#attendant.attend(incarnation);
  }

  /**
   * Something else than the store says that this incarnation may have ended just now. Whoever watches it looks at the store; alone that ends nobody.
   */
  suspect(incarnation: string): void {
    const nowMs = this.#ports.clock.monotonicMs();
    for (const [each, sinceMs] of this.#suspectedMs) if (nowMs - sinceMs > AGREEMENT_MS) this.#suspectedMs.delete(each);
    this.#suspectedMs.set(incarnation, nowMs);
    if (this.#watchAll > 0 || this.#watched.has(incarnation)) this.#lookWithin(this.#groupSize() * ELECTION_SPREAD_PER_MEMBER_MS);
  }

  /** It was heard of again. */
  absolve(incarnation: string): void {
    this.#suspectedMs.delete(incarnation);
  }

  /** Looks at once when a hint names this election, instead of with the next beat, until the returned function is called. */
  prompt(election: string): () => void {
    this.#prompt.set(election, (this.#prompt.get(election) ?? 0) + 1);
    return once(() => {
      const left = (this.#prompt.get(election) ?? 1) - 1;
      if (left > 0) this.#prompt.set(election, left);
      else this.#prompt.delete(election);
    });
  }

  /** Runs an operation on the session, with the deadline that the trust leaves. Rejects while there is no session. */
  async perform<T>(operation: (session: StoreSession, call: Call) => Promise<T>): Promise<T> {
    const session = this.#session;
    if (session === undefined || session.ended.aborted) {
      throw new TribuneError("STORE_UNREACHABLE", `there is no connection to ${this.#ports.store.label} at the moment`, { about: this.#ports.store.label, next: "it is being opened again" });
    }
    return await operation(session, this.#call());
  }

  /**
   * How evidence of death is to be used now; `undefined`: not at all. Whoever may not give any, because something may stand between it and the server, believes none: its connection, to a pooler,
   * may outlive a crash of the server, which frees everybody's.
   */
  evidenceRule(): EvidenceRule | undefined {
    const { evidence } = this.#ports.store.capabilities;
    return this.#options.evidence && evidence !== null && this.#connection?.info.evidence.held === true ? { connection: this.#connections, graceMs: evidence.graceMs, suspectedMs: this.#suspectedMs } : undefined;
  }

  /**
   * Declares an incarnation dead if its beat number has not moved and `deathStep` allowed it. An observation that is no longer the present one, also of another epoch, counts for nothing. Several who
   * come to the same conclusion share one statement.
   */
  async declareDead(observation: Observation, grounds: Grounds): Promise<boolean> {
    const underWay = this.#declaring.get(observation);
    if (underWay?.grounds === grounds) return await underWay.outcome;
    const outcome = this.#declareDead(observation, grounds);
    this.#declaring.set(observation, { grounds, outcome });
    try {
      return await outcome;
    } finally {
      this.#declaring.delete(observation);
    }
  }

  async #declareDead(observation: Observation, grounds: Grounds): Promise<boolean> {
    if (this.facts.observation(observation.incarnation) !== observation) return false;
    // Frozen, or left without an answer, until just now: the next reply makes it count again.
    if (this.facts.silentMs(this.#ports.clock.monotonicMs()) > observerGapMs(observation.leaseMs, this.#options.timing.beatMs)) return false;
    const dead = await this.perform((session, call) =>
      session.declareDead(
        {
          incarnation: observation.incarnation,
          beat: observation.beat,
          epoch: this.facts.epoch,
          requireExpired: grounds === "expiry",
          requireFree: grounds === "evidence",
          by: this.#options.node,
          reason: grounds === "evidence" ? "crashed" : "expired",
        },
        call,
      ),
    );
    if (dead) {
      this.#ports.logger.info({ node: this.#options.node, dead: observation.node, incarnation: observation.incarnation, grounds }, "declared an incarnation dead");
      this.facts.noteDead(observation, this.#ports.clock.monotonicMs());
    } else {
      this.facts.noteRefused(observation, grounds, this.#ports.clock.monotonicMs());
    }
    return dead;
  }

  /** Replaces the metadata; also kept for the incarnations to come. */
  async updateMetadata(metadata: string): Promise<void> {
    const written = await this.perform((session, call) => session.updateMetadata({ incarnation: this.#incarnation, metadata: this.#withAnnex(metadata) }, call));
    if (!written) throw new TribuneError("INCARNATION_DEAD", `${this.#options.node} is not a member at the moment`, { about: this.#options.node, next: "try again after it has rejoined", retryable: true });
    this.#metadata = metadata;
  }

  /** Writes the annex as it is now. Rejects as `updateMetadata` does. */
  async updateAnnex(): Promise<void> {
    await this.updateMetadata(this.#metadata);
  }

  #withAnnex(metadata: string): string {
    return this.#ports.annex?.attach(metadata) ?? metadata;
  }

  /**
   * Says that a takeover is under way here, until the returned function is called: its statements are not to stand behind others on the connection. Looks wait for its end, and so does whoever asks to be
   * `undisturbing`. Every statement has a deadline, so no takeover lasts.
   */
  takeOver(): () => void {
    this.#takeovers += 1;
    return once(() => {
      this.#takeovers -= 1;
      if (this.#takeovers > 0) return;
      for (const resolve of this.#disturbers.splice(0)) resolve();
      if (!this.#lookAfterwards) return;
      this.#lookAfterwards = false;
      this.lookSoon();
    });
  }

  /** Resolves when no takeover is under way here. */
  async undisturbing(): Promise<void> {
    if (this.#takeovers > 0) await new Promise<void>((resolve) => this.#disturbers.push(resolve));
  }

  /** Looks at the store soon, without beating. Many wishes become one look. */
  lookSoon(): void {
    if (this.#takeovers > 0) {
      this.#lookAfterwards = true;
      return;
    }
    if (this.#lookState !== "idle") {
      this.#lookState = "again";
      return;
    }
    this.#lookState = "busy";
    void this.#look();
  }

  // ---- the loop

  async #run(onFailure: (error: TribuneError) => "go on" | "give up"): Promise<void> {
    const { clock, logger } = this.#ports;
    let failures = 0;
    const stopped = new Promise<void>((resolve) => this.#stop.signal.addEventListener("abort", () => resolve(), { once: true }));
    while (!this.#stop.signal.aborted) {
      let session: StoreSession | undefined;
      try {
        session = await this.#open();
        while (!this.#stop.signal.aborted) {
          if (await this.#wasEvicted(session)) {
            this.#noteEviction();
            await stopped; // whoever listens sees to it
            break;
          }
          if (this.#state === "none") await this.#join(session);
          await this.#beatUntilDead(session);
        }
      } catch (error) {
        const failure = toTribuneError(error, "STORE_FAILED", `${this.#ports.store.label} failed`);
        if (failure.code === "GROUP_UNKNOWN") {
          this.facts.forgetEpoch();
          this.#died("is gone from the store, with its whole group");
        }
        session?.destroy(failure);
        this.#session = undefined;
        if (this.#stop.signal.aborted) break;
        logger.warn({ node: this.#options.node, code: failure.code, attempt: failures }, failure.message);
        this.#suspend(failure);
        if (onFailure(failure) === "give up") break;
        this.report(failure);
        // A connection that held for a lease was a good one; one that breaks at once each time is tried ever less often.
        if (session !== undefined && clock.monotonicMs() - this.#openedAtMs > this.#options.timing.leaseMs) failures = 0;
        await sleep(clock, this.#reconnectMs(failures), this.#stop.signal);
        failures += 1;
      }
    }
    this.#trustTimer?.cancel();
    this.#hintTimer?.cancel();
  }

  async #open(): Promise<StoreSession> {
    const { clock, random, logger, store } = this.#ports;
    const { group, node, createSchema, timing } = this.#options;
    const deadlineMs = this.#openMs();
    const opening = store.open({
      group,
      node,
      clock,
      random,
      logger,
      createSchema: createSchema && this.#trustPeriod === 0, // a schema is made at the first start only, never in the middle of a failover
      deadlineMs,
      statementLimitMs: timing.leaseMs,
      evidence: this.#options.evidence && store.capabilities.evidence !== null ? { leaseMs: timing.leaseMs } : undefined,
      signal: this.#stop.signal,
    });
    // The provider keeps the deadline; this is for one that does not.
    const session = await withDeadline(opening, { clock, ms: deadlineMs * 2, operation: `opening ${store.label}` }).catch((error: unknown) => {
      opening.then((late) => late.destroy(toTribuneError(error, "STORE_TIMEOUT", "too late")), () => undefined);
      throw error;
    });
    this.#openedAtMs = clock.monotonicMs();
    this.#connections += 1;
    this.#connection = session;
    if (this.#stop.signal.aborted) await session.close();
    for (const warning of session.info.warnings) logger.warn({ node, store: store.label }, warning);
    session.onHint((hint) => this.#onHint(hint));
    session.ended.addEventListener("abort", () => this.#sessionEnded(session), { once: true });
    return session;
  }

  /** Where the session held evidence, others may take its end for this process's death at once: then nothing that was told on it counts any more. */
  #sessionEnded(session: StoreSession): void {
    if (session === this.#connection && session.info.evidence.held) {
      const cause: unknown = session.ended.reason;
      const detail = cause instanceof Error ? `: ${cause.message}` : "";
      this.#endTrust("lapsed", new TribuneError("TERM_LOST", `the connection that proves that ${this.#options.node} lives has ended${detail}`, { about: this.#options.node, next: "it is being opened again", cause }));
    }
    this.#beatNow?.();
  }

  /** Joins as a new incarnation. Waits out an incarnation of the same name that has fallen silent. */
  async #join(session: StoreSession): Promise<void> {
    const { clock, logger } = this.#ports;
    const { node, timing, settings } = this.#options;
    let other: Observation | undefined;
    let epoch = "";
    let moves = 0;
    let lookedMs = clock.monotonicMs();
    for (;;) {
      const { incarnation, sureUntilMs } = await this.#candidateFor(session);
      const result = await this.#askToJoin(session, incarnation);
      if (result === "dead") continue;
      if (result.outcome === "joined") {
        if (this.#elapsed.nowMs() >= sureUntilMs) continue; // heard of too late: the next round leaves, and asks anew
        this.#candidate = undefined;
        this.#incarnation = incarnation;
        this.#epoch = result.epoch;
        this.#state = "joined";
        this.#beat = 0;
        logger.info({ node, incarnation }, "joined");
        return;
      }
      if (result.outcome === "settings-mismatch") {
        throw new TribuneError("SETTINGS_MISMATCH", `group ${this.#options.group} runs with other settings: ${result.settings} there, ${settings} here`, {
          about: this.#options.group,
          next: "give all members of a group the same settings, or use another group",
        });
      }
      const reply = await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [result.by.incarnation] }, this.#call());
      if (reply.epoch !== epoch || result.by.incarnation !== other?.incarnation) {
        other = undefined; // another history, or another bearer: counted from here
        epoch = reply.epoch;
      }
      const nowMs = clock.monotonicMs();
      const seen = observe(other, reply.presence[0] ?? result.by, nowMs, { connection: this.#connections });
      const stands = other !== undefined && stoodStill(other, seen);
      if (other !== undefined && !stands) moves += 1;
      // One move may be a beat that a dead process had sent before; two are a process that lives.
      if (moves >= 2) throw this.#nameTaken();
      // Whoever was not looking counts again, here as everywhere: the store may have been away for the other one, too.
      other = stands && nowMs - lookedMs > observerGapMs(seen.leaseMs, timing.beatMs) ? restarted(seen, nowMs) : seen;
      lookedMs = nowMs;
      const step = deathStep(other, clock.monotonicMs(), { evidence: this.evidenceRule() });
      if (step.kind === "wait") {
        await sleep(clock, Math.min(step.untilMs - clock.monotonicMs(), timing.beatMs / 2), this.#stop.signal);
        this.#stop.signal.throwIfAborted();
        continue;
      }
      const { grounds } = step;
      const input = { incarnation: other.incarnation, beat: other.beat, epoch, requireExpired: grounds === "expiry", requireFree: grounds === "evidence", by: node, reason: grounds === "evidence" ? ("crashed" as const) : ("expired" as const) };
      if (await session.declareDead(input, this.#call())) continue;
      other = refused(other, grounds, clock.monotonicMs());
    }
  }

  /**
   * The incarnation to join with. An attempt that was not answered may have been written, so the next one asks with the same incarnation; but only as long as nobody can have
   * declared it dead, for the store may have lost that while others know it.
   */
  async #candidateFor(session: StoreSession): Promise<{ readonly incarnation: string; readonly sureUntilMs: number }> {
    const former = this.#candidate;
    if (former !== undefined && this.#elapsed.nowMs() >= former.sureUntilMs) {
      this.#candidate = undefined;
      await session.leave({ incarnation: former.incarnation }, this.#call());
    }
    if (this.#candidate !== undefined) return this.#candidate;
    const incarnation = this.#ports.random.id();
    if (this.#ports.annex !== undefined) {
      await this.#ports.annex.prepare(incarnation);
      this.#stop.signal.throwIfAborted();
    }
    return (this.#candidate = { incarnation, sureUntilMs: this.#elapsed.nowMs() + trustMs(this.#options.timing.leaseMs) });
  }

  /** `dead`: an earlier attempt was written, and declared dead before it was heard of. */
  async #askToJoin(session: StoreSession, incarnation: string): Promise<JoinResult | "dead"> {
    const { node, timing, settings } = this.#options;
    try {
      return await session.join({ incarnation, node, leaseMs: timing.leaseMs, metadata: this.#withAnnex(this.#metadata), settings, generation: this.facts.generation, observer: this.#options.observer }, this.#call());
    } catch (error) {
      if (!isTribuneError(error, "INCARNATION_DEAD")) throw error;
      this.#candidate = undefined;
      return "dead";
    }
  }

  #nameTaken(): TribuneError {
    const { group, node } = this.#options;
    return new TribuneError("NODE_NAME_TAKEN", `another live member of group ${group} is called ${node}`, { about: node, next: "give each running node a name of its own" });
  }

  /** Returns when the incarnation is dead or this node stops; throws when the session ends. */
  async #beatUntilDead(session: StoreSession): Promise<void> {
    const { clock, random } = this.#ports;
    const { timing } = this.#options;
    let refused = 0;
    while (!this.#stop.signal.aborted) {
      const sentAtMs = clock.monotonicMs();
      const trustEndMs = this.#elapsed.nowMs() + trustMs(timing.leaseMs); // counted from the sending, not from the reply
      this.#beat += 1;
      const watch = this.#watchList();
      const input = { incarnation: this.#incarnation, beat: this.#beat, generation: this.facts.generation, viewSeen: this.facts.viewSeen, cursor: this.facts.cursorIn(this.#epoch), watch };
      const reply = await session.beat(input, { deadlineMs: this.#beatDeadlineMs() }).catch((error: unknown) => this.#refusedBeat(session, error));
      if (reply === undefined) {
        await this.#untilNextBeat(backoffMs(refused++, RECONNECT, random));
        if (session.ended.aborted) throw endOf(session);
        continue;
      }
      refused = 0;
      this.#latencyMs = clock.monotonicMs() - sentAtMs;
      if (this.#stop.signal.aborted) return;
      if (session.ended.aborted) throw endOf(session); // the answer and the end came together: it counts for nothing
      this.#session = session;
      const taken = this.#takeBeat(reply, watch, sentAtMs, trustEndMs);
      if (taken === "outcast") await session.leave({ incarnation: this.#incarnation }, this.#call());
      if (this.#state === "none") return;
      if (taken === "again") continue;
      await this.#untilNextBeat(sentAtMs + jitter(random, timing.beatMs, BEAT_JITTER) - clock.monotonicMs());
      if (session.ended.aborted) throw endOf(session);
    }
  }

  /**
   * A server that was too busy, or too full, for one statement is asked again on the same connection: to end that would end the trust too, where evidence is armed. Anything else is thrown, and so is this once
   * the trust is over.
   */
  #refusedBeat(session: StoreSession, error: unknown): undefined {
    if (session.ended.aborted || !this.trusted() || !isTribuneError(error) || !PASSING.has(error.code)) throw error;
    this.#suspend(error);
    this.report(error);
  }

  #untilNextBeat(waitMs: number): Promise<void> {
    if (waitMs <= 0 || this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#beatNow = undefined;
        resolve();
      };
      const timer = this.#ports.clock.setTimer(waitMs, done);
      this.#beatNow = done;
    });
  }

  // ---- replies

  /**
   * `again`: the store has another epoch, in which the beat did not count, so the next one follows at once. `outcast`: the same, but with no trust left, so that
   * this incarnation may have been declared dead in commits that the store has lost; or with an epoch in between of which nothing was heard, which may have lost its join, and with it its
   * place in the view. Then others know that it has left, and it has to.
   */
  #takeBeat(reply: BeatReply, watched: "all" | readonly string[], sentAtMs: number, trustEndMs: number): "taken" | "again" | "outcast" {
    this.#absorb(reply, watched, sentAtMs);
    if (reply.self === "evicted") {
      this.#noteEviction();
      return "taken"; // what is left of the trust is there to stop in; beats bring no more
    }
    if (reply.self !== "alive") {
      // In another epoch a row that is not there was lost with the commits that were lost, and the generation has risen already.
      if (reply.self === "absent" && reply.epoch === this.#epoch) this.facts.forgetEpoch();
      this.#died(reply.self === "dead" ? "was declared dead" : "is not in the store any more");
      return "taken";
    }
    if (reply.epoch === this.#epoch) {
      if (reply.accepted) this.#extendTrust(trustEndMs);
      this.#generation = reply.generation;
      return "taken";
    }
    if (!this.trusted()) {
      this.#died("had no trust left when the store changed its epoch");
      return "outcast";
    }
    if (reply.generation > this.#generation + 1) {
      this.#died("has heard nothing of an epoch that came and went");
      return "outcast";
    }
    this.#epoch = reply.epoch;
    this.#generation = reply.generation;
    return "again";
  }

  /** Whether the last incarnation had been asked to leave, also where it is dead and did not hear of it: then no other one is to come in its place. */
  async #wasEvicted(session: StoreSession): Promise<boolean> {
    if (this.#state === "joined" || this.#incarnation === "") return false;
    try {
      const { presence } = await session.look({ cursor: this.facts.cursor(), watch: [this.#incarnation] }, this.#call());
      return presence.some((row) => row.evicted);
    } catch (error) {
      if (isTribuneError(error, "GROUP_UNKNOWN")) return false;
      throw error;
    }
  }

  #noteEviction(): void {
    const { node, group } = this.#options;
    if (this.#evicted === this.#incarnation) return;
    this.#evicted = this.#incarnation;
    const error = new TribuneError("EVICTED", `an operator asked ${node} to leave group ${group}`, { about: node, next: "start it again when it is to come back; the group's events say who asked, and why" });
    this.#ports.logger.warn({ node, incarnation: this.#incarnation }, error.message);
    this.events.emit("evicted", error);
  }

  /** The incarnation acts no more; the loop joins with another one. */
  #died(how: string): void {
    const { node } = this.#options;
    const reason = new TribuneError("INCARNATION_DEAD", `incarnation ${this.#incarnation} of ${node} ${how}`, { about: node });
    if (this.#trustEndMs === undefined) this.#ports.logger.warn({ node, incarnation: this.#incarnation }, reason.message);
    this.#state = "none";
    this.#endTrust("dead", reason);
  }

  /** A lapse counts before the reply that came too late. */
  #absorb(reply: LookReply, watched: "all" | readonly string[], sentAtMs: number): void {
    this.#checkLapse();
    this.#heardFromMs = sentAtMs;
    const change = this.facts.absorb(reply, watched, { clock: this.#ports.clock, beatMs: this.#options.timing.beatMs, connection: this.#connections });
    if (change.epochChanged) this.#ports.logger.warn({ node: this.#options.node, epoch: reply.epoch, generation: reply.generation }, "the store answers with another epoch");
    this.events.emit("facts", change);
  }

  async #look(): Promise<void> {
    const { clock } = this.#ports;
    for (;;) {
      this.#lookState = "busy";
      const session = this.#session;
      if (session === undefined || session.ended.aborted || this.#stop.signal.aborted) break;
      const watch = this.#watchList();
      const sentAtMs = clock.monotonicMs();
      try {
        this.#absorb(await session.look({ cursor: this.facts.cursor(), watch }, this.#call()), watch, sentAtMs);
      } catch {
        break; // the session ended, and the loop sees that; the next beat brings what this look would have
      }
      // Read again what may have been asked for while the answer was on its way.
      if ((this.#lookState as string) !== "again") break;
      await sleep(clock, LOOK_SPACING_MS + LOOK_SPACING_PER_MEMBER_MS * this.#groupSize(), this.#stop.signal);
    }
    this.#lookState = "idle";
  }

  #onHint(hint: Hint): void {
    const members = this.#groupSize();
    if (hint.kind === "presence" && this.#watchAll > 0) this.lookSoon();
    else if (hint.kind === "election" && this.#prompt.has(hint.election)) this.#lookWithin(members * ELECTION_SPREAD_PER_MEMBER_MS);
    else if (hint.kind === "document") this.events.emit("document", { name: hint.name });
    else if (hint.kind === "view") this.#lookWithin(members * VIEW_SPREAD_PER_MEMBER_MS);
  }

  /** Everybody hears a hint in one instant: the looks of a large group spread, and whoever beats meanwhile has seen it already. Less than a timer's grain is not waited for. */
  #lookWithin(spreadMs: number): void {
    const { clock, random } = this.#ports;
    const nowMs = clock.monotonicMs();
    const dueMs = nowMs + random.next() * spreadMs;
    this.#hintedMs = nowMs;
    if (dueMs - nowMs < 1) return this.lookSoon();
    if (this.#hintTimer !== undefined && this.#hintDueMs <= dueMs) return;
    this.#hintTimer?.cancel();
    this.#hintDueMs = dueMs;
    this.#hintTimer = clock.setTimer(dueMs - nowMs, () => {
      this.#hintTimer = undefined;
      if (this.#heardFromMs < this.#hintedMs) this.lookSoon();
    });
  }

  #groupSize(): number {
    return this.facts.view?.members.length ?? 0;
  }

  #watchList(): "all" | readonly string[] {
    return this.#watchAll > 0 ? "all" : [...this.#watched.keys()];
  }

  // ---- trust

  #extendTrust(endMs: number): void {
    const { clock } = this.#ports;
    if (endMs <= this.#elapsed.nowMs()) return; // the reply took longer than the trust that it brings
    const begins = this.#trustEndMs === undefined;
    this.#trustEndMs = endMs;
    this.#faded = false;
    this.#armTrustTimer();
    if (this.#suspendedSince !== undefined) {
      const afterMs = clock.monotonicMs() - this.#suspendedSince;
      this.#suspendedSince = undefined;
      if (!begins) this.events.emit("recovered", { afterMs });
    }
    if (begins) {
      this.#trustPeriod += 1;
      this.events.emit("trusted", { incarnation: this.#incarnation });
    }
  }

  #armTrustTimer(): void {
    this.#trustTimer?.cancel();
    const left = this.trustLeftMs();
    const next = this.#faded ? left : left - this.#options.timing.stopBudgetMs;
    const longestMs = this.#clockWatchers > 0 ? this.#options.timing.beatMs / 4 : next;
    this.#trustTimer = this.#ports.clock.setTimer(Math.max(0, Math.min(next, longestMs)), () => this.#onTrustTimer());
  }

  #onTrustTimer(): void {
    if (this.#checkLapse() || this.#trustEndMs === undefined) return;
    const left = this.trustLeftMs();
    if (!this.#faded && left <= this.#options.timing.stopBudgetMs + 1) {
      this.#faded = true;
      this.events.emit("fading", { trustLeftMs: left });
    }
    this.#armTrustTimer();
  }

  #checkLapse(): boolean {
    if (this.#trustEndMs === undefined || this.trustLeftMs() > 0) return false;
    this.#endTrust("lapsed", new TribuneError("TERM_LOST", `no beat of ${this.#options.node} was confirmed within its trust`, { about: this.#options.node, next: "look at the store and at this process's event loop" }));
    return true;
  }

  #endTrust(cause: "lapsed" | "dead", reason: TribuneError): void {
    this.#trustTimer?.cancel();
    if (this.#trustEndMs === undefined) return;
    this.#trustEndMs = undefined;
    this.#suspendedSince = undefined;
    this.#ports.logger.warn({ node: this.#options.node, incarnation: this.#incarnation, cause }, reason.message);
    this.events.emit("ended", { cause, incarnation: this.#incarnation, reason });
  }

  #suspend(reason: TribuneError): void {
    if (this.#checkLapse() || this.#trustEndMs === undefined || this.#suspendedSince !== undefined) return;
    this.#suspendedSince = this.#ports.clock.monotonicMs();
    this.events.emit("suspended", { reason, trustLeftMs: this.trustLeftMs() });
  }

  /**
   * The deadline for opening a connection: several round trips, so all of the trust that is left before the stop budget. When there is none to lose, patience, and more of it in a large group: to a server
   * that is overwhelmed every attempt that is broken off half-way is work for nothing, and one more.
   */
  #openMs(): number {
    const { leaseMs, beatMs, stopBudgetMs } = this.#options.timing;
    const left = this.trustLeftMs() - stopBudgetMs;
    return left <= 0 ? Math.max(leaseMs * 1.5, PATIENT_OPEN_MS) + this.#groupSize() * OPEN_PER_MEMBER_MS : Math.max(beatMs, left);
  }

  /** The larger the group, the less often each member tries to connect while there is no trust to lose: together they are what the server has to bear. */
  #reconnectMs(failures: number): number {
    const longestMs = this.trusted() ? RECONNECT.longestMs : Math.max(RECONNECT.longestMs, this.#groupSize() * RECONNECT_PER_MEMBER_MS);
    return backoffMs(failures, { ...RECONNECT, longestMs }, this.#ports.random);
  }

  /**
   * The deadline of one beat. While there is trust, a part of what is left of it before the stop budget, so that a connection that hangs leaves time for another; but no less than a beat, and half as long
   * again as the last one took, so that a slow store is not cut off at each one. Where the end of the connection is the end of the trust, all of the trust: to end it sooner would take the stop budget
   * from the work that is being stopped.
   */
  #beatDeadlineMs(): number {
    const { leaseMs, beatMs, stopBudgetMs } = this.#options.timing;
    const left = this.trustLeftMs() - stopBudgetMs;
    const leastMs = Math.max(beatMs, Math.min(this.#latencyMs * 1.5, leaseMs));
    if (left <= 0) return Math.max(leaseMs / 2, leastMs);
    return Math.max(leastMs, this.#connection?.info.evidence.held === true ? this.trustLeftMs() : left / 2);
  }

  #call(): Call {
    const { leaseMs, beatMs } = this.#options.timing;
    const left = this.trustLeftMs();
    return { deadlineMs: left <= 0 ? leaseMs : Math.max(beatMs, left) };
  }
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}

function endOf(session: StoreSession): TribuneError {
  return toTribuneError(session.ended.reason, "STORE_SESSION_ENDED", "the connection ended");
}

/** What does not pass by itself. A name that is taken is given back only when somebody stops the other bearer. */
function needsPerson(error: TribuneError): boolean {
  return !error.retryable || error.code === "NODE_NAME_TAKEN";
}
