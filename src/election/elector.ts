import { abortError, backoffMs, Events, isTribuneError, TribuneError } from "../kernel/index.ts";
import type { Clock, ListenerErrorHandler, Logger, Random, Timer } from "../kernel/index.ts";
import type { FactsChange, Observation, Presence } from "../presence/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { CandidateRow, ElectionRow, FencedTransactions, Holder, Pause } from "../store/index.ts";
import { aheadOf, deputyOf, successorAmong } from "./candidates.ts";
import type { SuccessionOrder } from "./candidates.ts";
import { EARLY_END_FIRST_MS, ELECTION_DEFAULTS, reservationMs } from "./options.ts";
import type { ElectionOptions } from "./options.ts";
import { Probe } from "./probe.ts";
import { contestStep, declareDeferMs, rankDeferMs, spreadDeferMs, termStands } from "./takeover.ts";
import type { Contest, ContestStep } from "./takeover.ts";
import { resigned, Term } from "./term.ts";

/** What an elector is handed by whoever wires it. */
export interface ElectorPorts<Tx> {
  readonly group: string;
  readonly presence: Presence;
  readonly fenced: FencedTransactions<Tx>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onListenerError: ListenerErrorHandler;
  /** Ends the process; for `onOverrun: "exit"`. */
  readonly exit: () => void;
  /** Members in the order in which they are to succeed a coordinator, the next one first. */
  readonly succession: SuccessionOrder;
  /** Why this node may not contend for this election at the moment, if so: it has too many already, the group is too small, it is an observer. */
  readonly hindrance: (election: string) => string | undefined;
}

/** What an election tells, by event name; see `Election.on`. */
export interface ElectorEvents<Tx> {
  /** This node holds a new term. */
  term: Term<Tx>;
  /** A term of this node is over. */
  ended: { readonly term: Term<Tx>; readonly reason: TribuneError };
  /** Another holder, or none, is seen. */
  change: ElectionState;
  /** The work of a term did not stop within the stop budget. */
  overrun: { readonly election: string; readonly token: number; readonly budgetMs: number };
  /** A callback of `lead`, or the probe, failed. */
  failed: TribuneError;
}

/** An election as this node last saw it. */
export interface ElectionState {
  readonly election: string;
  readonly holder: Holder | null;
  /** The token of the present term, or of the last one. */
  readonly token: number;
  /** Why nobody may claim it, if it is paused. */
  readonly paused: Pause | null;
}

/** A failed step is tried again after this, unless something is heard before. */
const RETRY_MS = 100;

/** The fence is asked again after this while older transactions hold it. */
const FENCE_POLL = { firstMs: 10, longestMs: 50 };

/** A token that is to be given back. */
interface Owed {
  readonly token: number;
  readonly incarnation: string;
  readonly reason: string;
  readonly reservation: { readonly node: string; readonly forMs: number } | undefined;
}

interface Candidacy<Tx> {
  readonly resolve: (term: Term<Tx>) => void;
  readonly reject: (error: TribuneError) => void;
}

/**
 * Contends for one election on behalf of one node, holds its terms and gives them up. It considers what to do whenever something changed
 * (`#consider`), does one thing at a time (`#step`), and is handed what to do by a pure function (`contestStep`).
 */
export class Elector<Tx> {
  readonly name: string;
  readonly events: Events<ElectorEvents<Tx>>;
  readonly #ports: ElectorPorts<Tx>;
  #options: ElectionOptions = {};
  #candidacy: Candidacy<Tx> | undefined;
  #term: Term<Tx> | undefined;
  /** A token that the store may still show as ours although no term lives: to be resigned until the store says that it is free. */
  #owed: Owed | undefined;
  readonly #whenFree: Array<() => void> = [];
  /** The token that the store has confirmed to be free of us; a row that is older news still names us. */
  #freed: { readonly token: number; readonly epoch: string } | undefined;
  /** For whom the present term is given up. */
  #successor: string | undefined;
  #probe: Probe | undefined;
  /** What the store was told of this node's candidacy, and in which epoch: in another one that may be lost. */
  #told: { readonly incarnation: string; readonly epoch: string; readonly fit: boolean } | undefined;
  /** Telling failed so often in a row, and is not tried again before then. */
  #untold = 0;
  #tellAtMs = 0;
  /** How many better candidates there are, as was read when this row came to be free. */
  #ranking: { readonly row: ElectionRow; readonly ahead: number } | undefined;
  /** Since when the present row, and its token, are known (monotonic). */
  #rowSinceMs = 0;
  #tokenSinceMs = 0;
  #knownToken = -1;
  /** Whether `lead` was called and has not resolved. */
  #leader = false;
  /** Whether a callback of `lead` runs for the present term. */
  #leading = false;
  /** A term that survived into another epoch has to pass the fence there. */
  #passFenceAgain = false;
  #claiming = false;
  #endOfTakeover: (() => void) | undefined;
  /** Which holder could be declared dead, by its incarnation and beat, and when this candidate does so. */
  #declarable: { readonly which: string; readonly atMs: number } | undefined;
  #busy = false;
  #again = false;
  #notBeforeMs = 0;
  /** Claims in a row that came to no term. */
  #unannounced = 0;
  /** What was known when the last deed came to nothing: until something else is known, it is repeated only after a pause. */
  #stalled: { readonly row: ElectionRow | undefined; readonly holder: Observation | undefined; readonly untilMs: number } | undefined;
  #claimableSinceMs: number | undefined;
  #chance: number;
  #timer: Timer | undefined;
  #stopTimer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  #unheed: (() => void) | undefined;
  #unwatchClocks: (() => void) | undefined;
  #watching = "";
  #shown: ElectionState | undefined;
  #closed = false;

  constructor(name: string, ports: ElectorPorts<Tx>) {
    this.name = name;
    this.#ports = ports;
    this.#chance = ports.random.next();
    this.events = new Events(ports.onListenerError);
    this.#noteRow(); // may be known for long: how long is not, so it counts from now
  }

  /** Sets the options, before this node contends. */
  configure(options: ElectionOptions): void {
    this.#options = options;
    const { eligible, eligibleEveryMs: everyMs = ELECTION_DEFAULTS.eligibleEveryMs, eligibleTimeoutMs: timeoutMs = ELECTION_DEFAULTS.eligibleTimeoutMs } = options;
    if (eligible === undefined) return;
    const { clock } = this.#ports;
    this.#probe = new Probe({ election: this.name, eligible, everyMs, timeoutMs, clock, onVerdict: (fit) => void this.#judged(fit), onTrouble: (error) => this.#failed(error) });
  }

  // ---- what users ask

  get current(): ElectionState | null {
    const row = this.#row();
    return row === undefined ? null : { election: this.name, holder: row.holder, token: row.token, paused: row.paused };
  }

  /** Whether this node contends, or holds a term. */
  get contends(): boolean {
    return this.#leader || this.#candidacy !== undefined || this.#term !== undefined;
  }

  /** Whether this node holds a term, or has claimed one. */
  get holds(): boolean {
    return this.#term !== undefined || this.#owed !== undefined || this.#claiming;
  }

  /** The term that this node holds. */
  get term(): Term<Tx> | undefined {
    return this.#term;
  }

  /** Contends until it wins, and resolves with the term. Rejects only when `signal` aborts or the cluster stops. */
  async campaign(signal?: AbortSignal): Promise<Term<Tx>> {
    if (this.#closed) throw stopped(this.name);
    const hindrance = this.#ports.presence.isObserver ? "an observer leads nothing" : undefined;
    if (hindrance !== undefined) throw new TribuneError("NOT_ELIGIBLE", `${this.#ports.presence.node} cannot contend for ${this.name}: ${hindrance}`, { about: this.name, next: "start it without observer: true" });
    if (signal?.aborted === true) throw abortError(signal, `campaign for ${this.name}`);
    if (this.#candidacy !== undefined || this.#term !== undefined) {
      throw new TribuneError("ELECTION_BUSY", `this node already ${this.#term === undefined ? "contends for" : "holds"} ${this.name}`, {
        about: this.name,
        next: "use the term that is there, or resign it first",
      });
    }
    let aborted: (() => void) | undefined;
    try {
      return await new Promise<Term<Tx>>((resolve, reject) => {
        this.#candidacy = { resolve, reject };
        aborted = () => this.#withdraw(abortError(signal, `campaign for ${this.name}`));
        signal?.addEventListener("abort", aborted, { once: true });
        this.#heed();
        this.consider();
      });
    } finally {
      if (aborted !== undefined) signal?.removeEventListener("abort", aborted);
      this.#heed();
      this.consider();
    }
  }

  /** Ends the candidacy at this very moment: no term may be announced to nobody. */
  #withdraw(error: TribuneError): void {
    const candidacy = this.#candidacy;
    this.#candidacy = undefined;
    candidacy?.reject(error);
  }

  /** Runs `callback` for each term that this node wins, until `signal` aborts or the cluster stops. See `Election.lead`. */
  async lead(callback: (term: Term<Tx>) => unknown, signal?: AbortSignal): Promise<void> {
    if (this.#leader) throw new TribuneError("ELECTION_BUSY", `this node already leads or contends for ${this.name}`, { about: this.name, next: "call lead once; it goes on by itself" });
    this.#leader = true;
    try {
      await this.#leadOn(callback, signal);
    } finally {
      this.#leader = false;
      this.#heed();
      this.consider();
    }
  }

  async #leadOn(callback: (term: Term<Tx>) => unknown, signal: AbortSignal | undefined): Promise<void> {
    let early = 0;
    for (;;) {
      let term: Term<Tx>;
      try {
        term = await this.campaign(signal);
      } catch (error) {
        if (signal?.aborted === true || this.#closed) return;
        throw error;
      }
      const beganMs = this.#ports.clock.monotonicMs();
      const stop = () => this.askToStop(resigned(this.name, "its signal aborted"));
      signal?.addEventListener("abort", stop, { once: true });
      if (signal?.aborted === true) stop();
      if (!term.signal.aborted) await this.#run(callback, term);
      signal?.removeEventListener("abort", stop);
      const endedEarly = !term.signal.aborted;
      await this.#giveUp(term, "the work ended");
      if (signal?.aborted === true || this.#closed) return;
      // What ran for a lease was not a failure to start.
      const { leaseMs, beatMs } = this.#ports.presence.timing;
      early = endedEarly && this.#ports.clock.monotonicMs() - beganMs < leaseMs ? early + 1 : 0;
      // Who has resigned lets the others go first, also those who hear of it only with their next beat.
      const letOthersMs = isTribuneError(term.signal.reason, "TERM_RESIGNED") ? beatMs * 1.5 : EARLY_END_FIRST_MS;
      const pauseMs = endedEarly ? backoffMs(early, { firstMs: EARLY_END_FIRST_MS, longestMs: leaseMs }, this.#ports.random) : letOthersMs;
      this.#notBeforeMs = this.#ports.clock.monotonicMs() + pauseMs;
    }
  }

  async #run(callback: (term: Term<Tx>) => unknown, term: Term<Tx>): Promise<void> {
    this.#leading = true;
    try {
      await callback(term);
    } catch (error) {
      // The work was told to stop by the signal's reason: throwing that on is the ordinary way out.
      if (term.signal.aborted && (error === term.signal.reason || isTribuneError(error, "TERM_LOST") || isTribuneError(error, "TERM_RESIGNED") || isAbort(error))) return;
      const failure = new TribuneError("LEADER_FAILED", `the work of term ${term.token} of ${this.name} failed: ${error instanceof Error ? error.message : String(error)}`, {
        about: this.name,
        next: "the term is resigned, and this node contends again after a pause",
        cause: error,
      });
      this.#ports.logger.error({ election: this.name, token: term.token }, failure.message);
      this.#failed(failure);
    } finally {
      this.#leading = false;
    }
  }

  #failed(error: TribuneError): void {
    this.events.emit("failed", error);
  }

  /** The probe has another verdict. A holder that is not fit any more goes, in favour of one that is. */
  async #judged(fit: boolean): Promise<void> {
    const { logger, presence } = this.#ports;
    logger.info({ election: this.name, node: presence.node, fit }, fit ? "is fit to lead" : "is not fit to lead");
    const term = this.#term;
    if (!fit && term !== undefined) {
      const candidates = await this.readCandidates().catch((): readonly CandidateRow[] => []); // without a store an open race will do
      if (this.#term === term) this.stepDown("its probe says that this node may not lead", successorAmong(candidates, presence.node));
    }
    this.consider();
  }

  /** Asks the work of the present term to stop, and gives the term up, in favour of `successor` if there is one. Does not wait for it. */
  stepDown(why: string, successor?: string): void {
    const term = this.#term;
    if (term === undefined) return;
    this.#successor = successor ?? this.#successor;
    if (this.#leading) this.askToStop(resigned(this.name, why));
    else void this.#giveUp(term, why);
  }

  /** Who contends for this election, as the store has it; the oldest first. */
  async readCandidates(): Promise<readonly CandidateRow[]> {
    return await this.#ports.presence.perform((session, call) => session.readCandidates({ election: this.name }, call));
  }

  /** Gives the present term up: its work is asked to stop and has the stop budget for it. Throws `NOT_HELD` if there is none. */
  async resign(why = "resigned", successor?: string): Promise<void> {
    const term = this.#term;
    if (term === undefined) throw new TribuneError("NOT_HELD", `this node does not hold ${this.name}`, { about: this.name, next: "ask the holder, or use 'tribune resign'" });
    this.#successor = successor ?? this.#successor; // it may have been asked for in somebody's favour
    // Work that was handed in gets its budget to stop; a term that was handed out is its owner's to finish before.
    if (!this.#leading) return await this.#giveUp(term, why);
    const free = new Promise<void>((resolve) => this.#whenFree.push(resolve));
    this.askToStop(resigned(this.name, why));
    await free;
  }

  /** Ends everything here in good order. After it, nothing contends any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#withdraw(stopped(this.name));
    if (this.#term !== undefined) await this.resign("the node stops");
    else if (this.#owed !== undefined) await new Promise<void>((resolve) => this.#whenFree.push(resolve));
    this.dispose();
  }

  /** Stops timers and watching, without a word to the store. */
  dispose(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#stopTimer?.cancel();
    this.#probe?.stop();
    this.#watch("");
    this.#settleWaiters();
  }

  // ---- what happens to a term

  /** Asks the work to stop, and ends the term when its budget is over, whatever the work does. */
  askToStop(reason: TribuneError, budgetMs: number = this.#ports.presence.timing.stopBudgetMs): void {
    const term = this.#term;
    if (term === undefined || term.signal.aborted) return;
    term.askToStop(reason);
    this.#stopTimer?.cancel();
    this.#stopTimer = this.#ports.clock.setTimer(budgetMs, () => {
      if (this.#term !== term || term.isOver) return;
      if (this.#leading) this.#reportOverrun(term, budgetMs);
      void this.#giveUp(term, "its work did not stop in time");
    });
  }

  /** Trust is over: so is the term, with no word to the store needed. */
  trustEnded(reason: TribuneError): void {
    const term = this.#term;
    if (term === undefined) {
      this.consider();
      return;
    }
    const overran = term.signal.aborted && this.#leading;
    this.#over(term, reason, "trust ended");
    if (overran) this.#reportOverrun(term, this.#ports.presence.timing.stopBudgetMs);
    this.consider();
  }

  #reportOverrun(term: Term<Tx>, budgetMs: number): void {
    this.#ports.logger.error({ election: this.name, token: term.token, budgetMs }, "the work of a term did not stop within its budget");
    this.events.emit("overrun", { election: this.name, token: term.token, budgetMs });
    if (this.#options.onOverrun === "exit") this.#ports.exit();
  }

  /** Ends the term here, and frees it in the store. Resolves when the store knows, or need not. */
  async #giveUp(term: Term<Tx>, why: string): Promise<void> {
    if (!term.isOver) this.#over(term, resigned(this.name, why), "resigned");
    if (this.#owed === undefined || !this.#ports.presence.trusted()) return;
    const free = new Promise<void>((resolve) => this.#whenFree.push(resolve));
    this.consider();
    await free;
  }

  #over(term: Term<Tx>, reason: TribuneError, why: string): void {
    this.#stopTimer?.cancel();
    this.#unwatchClocks?.();
    if (this.#term === term) this.#term = undefined;
    this.#heed();
    this.#passFenceAgain = false;
    const isHandedOver = this.#successor !== undefined && isTribuneError(reason, "TERM_RESIGNED");
    const reservation = isHandedOver ? { node: this.#successor as string, forMs: reservationMs(this.#ports.presence.timing.beatMs) } : undefined;
    this.#successor = undefined;
    this.#owed = { token: term.token, incarnation: term.incarnation, reason: why, reservation };
    term.end(reason);
    this.events.emit("ended", { term, reason });
  }

  #settleWaiters(): void {
    for (const resolve of this.#whenFree.splice(0)) resolve();
  }

  // ---- what is heard

  /** A reply was taken in. */
  factsChanged(change: FactsChange): void {
    const concerns = change.epochChanged || change.elections.has(this.name);
    if (concerns) this.#noteRow();
    if (concerns) this.#checkTerm(change.epochChanged);
    if (concerns || change.deaths || this.#candidacy !== undefined || this.#owed !== undefined) this.consider();
    if (concerns) this.#show();
  }

  #checkTerm(epochChanged: boolean): void {
    const term = this.#term;
    if (term === undefined) return;
    const row = this.#row();
    if (!termStands(row, term.token, term.incarnation, epochChanged)) {
      this.#over(term, new TribuneError("TERM_LOST", `the store shows another state of ${this.name} than term ${term.token}`, { about: this.name }), "contradicted");
      return;
    }
    if (epochChanged) this.#passFenceAgain = true;
    if (row?.resignRequested !== term.token || term.signal.aborted) return;
    // By an operator, or a candidate of a higher priority. A term that was handed out is its owner's to finish, within the stop budget.
    this.#successor = row.resignRequestedFor ?? undefined;
    this.askToStop(resigned(this.name, this.#successor === undefined ? "it was asked for" : `${this.#successor} is to have it`));
  }

  #noteRow(): void {
    const nowMs = this.#ports.clock.monotonicMs();
    const row = this.#row();
    this.#rowSinceMs = nowMs;
    if (row?.token === this.#knownToken) return;
    this.#knownToken = row?.token ?? -1;
    this.#tokenSinceMs = nowMs;
  }

  #show(): void {
    const state = this.current;
    if (state === null || (this.#shown?.token === state.token && this.#shown.holder?.incarnation === state.holder?.incarnation && this.#shown.paused?.atMs === state.paused?.atMs)) return;
    this.#shown = state;
    this.events.emit("change", state);
  }

  // ---- the decision loop

  /** Looks at what is to be done now. Cheap; call it whenever anything may have changed. */
  consider(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#busy = true;
    void this.#work();
  }

  async #work(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#step();
      } while (this.#again);
    } catch (error) {
      this.#ports.logger.debug({ election: this.name, error: String(error) }, "a step of an election failed and will be tried again");
      this.#ports.presence.report(error);
      this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#ports.clock.monotonicMs() + RETRY_MS);
      this.#wakeIn(RETRY_MS);
    } finally {
      this.#tookOver();
      this.#busy = false;
    }
  }

  async #step(): Promise<void> {
    const { presence, clock } = this.#ports;
    if (this.#owed !== undefined) {
      // Without trust nothing is sent, and nobody need wait. What a dead incarnation owes is free for the taking.
      if (!presence.trusted()) return this.#settleWaiters();
      if (this.#owed.incarnation !== presence.incarnation) {
        this.#owed = undefined;
        this.#again = true;
        return this.#settleWaiters();
      }
      await this.#resignOwed(this.#owed);
      return;
    }
    if (presence.trusted() && this.#mustTell()) {
      const waitMs = this.#tellAtMs - clock.monotonicMs();
      if (waitMs > 0) this.#wakeIn(waitMs);
      else await this.#tell();
    }
    if (this.#term !== undefined) {
      if (this.#passFenceAgain) await this.#refence(this.#term);
      return;
    }
    const row = this.#row();
    const named = row?.holder?.incarnation === presence.incarnation;
    if (named && this.#freed?.token === row?.token && this.#freed?.epoch === presence.facts.epoch) return this.#wakeIn(RETRY_MS); // older news: a look is on its way
    if (this.#closed || !presence.trusted() || (this.#candidacy === undefined && !named)) {
      this.#watch("");
      return;
    }
    this.#watch(this.#candidacy === undefined || named ? "" : (row?.holder?.incarnation ?? ""));
    // With only the stop budget left a term would have to end as it begins. The next confirmed beat brings facts, and this here again.
    if (!named && !presence.mayBegin()) return;
    // Whoever watches goes on watching: what hinders may pass at any time. But the election is made, so that others can see who contends, and that nobody may.
    if (!named && row !== undefined && !this.#mayLead()) return;
    const nowMs = clock.monotonicMs();
    // Whoever it is kept for is meant to take it, and is not to let others go first.
    const isKeptForUs = row?.holder === null && row.reservation?.node === presence.node;
    if (this.#candidacy !== undefined && !named && !isKeptForUs && nowMs < this.#notBeforeMs) return this.#wakeIn(this.#notBeforeMs - nowMs);
    if (row?.ranked === true && this.#mayBeFree(row) && this.#ranking?.row !== row) return await this.#rank(row);
    const contest = this.#contest(row);
    const stalled = this.#stalled;
    if (stalled !== undefined && stalled.row === row && stalled.holder === contest.holder && nowMs < stalled.untilMs) return this.#wakeIn(stalled.untilMs - nowMs);
    const step = contestStep(contest, nowMs);
    const claimable = step.kind === "claim" || (step.kind === "wait" && step.claimable);
    this.#claimableSinceMs = claimable ? (this.#claimableSinceMs ?? nowMs) : undefined;
    if (step.kind === "idle") return;
    if (step.kind === "wait") return this.#wakeIn(step.untilMs - nowMs);
    if (step.kind === "declare") {
      const waitMs = this.#declareAtMs(step.holder, nowMs) - nowMs;
      if (waitMs > 0) return this.#wakeIn(waitMs);
    }
    this.#stalled = { row, holder: contest.holder, untilMs: nowMs + RETRY_MS };
    if (await this.#take(step)) this.#stalled = undefined;
    else presence.lookSoon();
    this.#again = true;
  }

  /** Does one thing; answers whether it came to something that is known here already. If not, a look has to show what happened. */
  async #take(step: Exclude<ContestStep, { readonly kind: "wait" | "idle" }>): Promise<boolean> {
    const { presence } = this.#ports;
    switch (step.kind) {
      case "create":
        await presence.perform((session, call) => session.createElection({ election: this.name }, call));
        return false;
      case "resign":
        this.#owed = { token: step.token, incarnation: presence.incarnation, reason: "not adopted", reservation: undefined };
        return true;
      case "look":
        return false;
      case "declare":
        this.#takeOver();
        return await presence.declareDead(step.holder, step.grounds);
      case "ask":
        await presence.perform((session, call) => session.requestResign({ election: this.name, token: step.token, for: presence.node }, call));
        return false;
      case "claim":
        this.#claiming = true;
        this.#takeOver();
        try {
          return await this.#claim(step.expectedToken, step.overReservation);
        } finally {
          this.#claiming = false;
        }
      default:
        return step satisfies never;
    }
  }

  async #claim(expectedToken: number, overReservation: boolean): Promise<boolean> {
    const { presence } = this.#ports;
    const { incarnation, trustPeriod, facts } = presence;
    const epoch = facts.epoch;
    const unbroken = () => presence.mayBegin() && presence.trustPeriod === trustPeriod && facts.epoch === epoch;
    const { priority = ELECTION_DEFAULTS.priority, minimumTermMs = ELECTION_DEFAULTS.minimumTermMs } = this.#options;
    const input = { election: this.name, incarnation, node: presence.node, expectedToken, epoch, tokenSeen: facts.tokenSeen(this.name), priority, minimumTermMs, overReservation, andPass: true };
    const claimed = await presence.perform((session, call) => session.claim(input, call));
    if (claimed === null) return false;
    facts.noteToken(this.name, claimed.token);
    // From here on the row may name us: until the term is announced the token is owed back.
    this.#owed = { token: claimed.token, incarnation, reason: "not announced", reservation: undefined };
    // Should this come to nothing, the node's own claims and resignations must not drive it on: each is news to itself.
    this.#notBeforeMs = this.#ports.clock.monotonicMs() + backoffMs(this.#unannounced++, { firstMs: EARLY_END_FIRST_MS, longestMs: presence.timing.leaseMs }, this.#ports.random);
    const stillMay = () => unbroken() && this.#candidacy !== undefined && this.#mayLead();
    const passing = claimed.passed ? "passed" : this.#passFence({ election: this.name, incarnation, token: claimed.token, epoch }, stillMay);
    presence.lookSoon();
    const fence = await passing;
    if (fence === "passed" && stillMay()) {
      this.#owed = undefined;
      this.#announce(claimed.token, incarnation, trustPeriod);
    }
    return true;
  }

  #announce(token: number, incarnation: string, trustPeriod: number): void {
    const { presence, group, clock, fenced, logger } = this.#ports;
    const term: Term<Tx> = new Term<Tx>(
      { election: this.name, token, node: presence.node, incarnation },
      {
        group,
        clock,
        fenced,
        leaseMs: presence.timing.leaseMs,
        trusted: () => presence.trustPeriod === trustPeriod && presence.trusted(),
        trustLeftMs: () => (presence.trustPeriod === trustPeriod ? presence.trustLeftMs() : 0),
        resign: () => this.#giveUp(term, "resigned by its holder"),
      },
    );
    const candidacy = this.#candidacy;
    this.#candidacy = undefined;
    this.#term = term;
    this.#unwatchClocks = presence.watchClocks();
    this.#chance = this.#ports.random.next();
    this.#claimableSinceMs = undefined;
    this.#unannounced = 0;
    this.#watch("");
    logger.info({ election: this.name, token, node: presence.node }, "holds a new term");
    candidacy?.resolve(term);
    this.events.emit("term", term);
    this.#checkTerm(false); // it may have been asked for while its fence was being passed
  }

  async #passFence(input: { readonly election: string; readonly incarnation: string; readonly token: number; readonly epoch: string }, go: () => boolean): Promise<"passed" | "superseded" | "given up"> {
    const { presence, clock, random } = this.#ports;
    for (let attempt = 0; go(); attempt++) {
      const outcome = await presence.perform((session, call) => session.passFence(input, call));
      if (outcome !== "busy") return outcome;
      this.#tookOver(); // older transactions are waited out, which may take a lease
      await new Promise<void>((resolve) => clock.setTimer(backoffMs(attempt, FENCE_POLL, random), resolve));
    }
    return "given up";
  }

  /** The term lived through a change of epoch: its fence may have gone back. */
  async #refence(term: Term<Tx>): Promise<void> {
    const { presence } = this.#ports;
    const epoch = presence.facts.epoch;
    const outcome = await this.#passFence({ election: this.name, incarnation: term.incarnation, token: term.token, epoch }, () => this.#term === term && presence.facts.epoch === epoch && presence.trusted());
    if (this.#term !== term || presence.facts.epoch !== epoch) return;
    if (outcome === "passed") this.#passFenceAgain = false;
    else if (outcome === "superseded") {
      this.#over(term, new TribuneError("TERM_LOST", `a later term of ${this.name} has passed the fence`, { about: this.name }), "superseded");
      this.#again = true;
    }
  }

  async #resignOwed(owed: Owed): Promise<void> {
    const { presence } = this.#ports;
    const input = { election: this.name, incarnation: owed.incarnation, token: owed.token, reason: owed.reason, reservation: owed.reservation };
    const epoch = presence.facts.epoch;
    await presence.perform((session, call) => session.resign(input, call));
    // Freed, or not ours any more: either way the store does not name us with this token.
    this.#owed = undefined;
    this.#freed = { token: owed.token, epoch };
    this.#settleWaiters();
    presence.lookSoon();
    this.#again = true;
  }

  // ---- candidacy

  /** Whether nothing hinders this node, here, from beginning a term. */
  #mayLead(): boolean {
    return this.#isFit() && this.#ports.hindrance(this.name) === undefined;
  }

  #isFit(): boolean {
    return this.#probe === undefined || this.#probe.fit;
  }

  /** Whether the store has to hear of this node's candidacy. That of the coordinator is everybody's. */
  #mustTell(): boolean {
    if (this.name === COORDINATOR || this.#row() === undefined) return false;
    const { incarnation, facts } = this.#ports.presence;
    const told = this.#told?.incarnation === incarnation ? this.#told : undefined;
    return this.contends && !this.#closed ? told?.epoch !== facts.epoch || told.fit !== this.#isFit() : told !== undefined;
  }

  /** Tells the store. That it cannot be told hides this node from others who look for a candidate; it keeps it from nothing, and is tried ever less often. */
  async #tell(): Promise<void> {
    const { presence, clock, random } = this.#ports;
    const { incarnation, facts } = presence;
    const told = this.contends && !this.#closed ? { incarnation, epoch: facts.epoch, fit: this.#isFit() } : undefined;
    const candidacy = told === undefined ? null : { priority: this.#options.priority ?? ELECTION_DEFAULTS.priority, fit: told.fit };
    try {
      await presence.perform((session, call) => session.setCandidacy({ election: this.name, incarnation, candidacy }, call));
      this.#told = told;
      this.#untold = 0;
    } catch (error) {
      presence.report(error);
      const pauseMs = backoffMs(this.#untold++, { firstMs: RETRY_MS, longestMs: presence.timing.leaseMs }, random);
      this.#tellAtMs = clock.monotonicMs() + pauseMs;
      this.#wakeIn(pauseMs);
    }
  }

  /** From a declaration or a claim until the decision loop rests, or has to wait for the fence. */
  #takeOver(): void {
    this.#endOfTakeover ??= this.#ports.presence.takeOver();
  }

  #tookOver(): void {
    this.#endOfTakeover?.();
    this.#endOfTakeover = undefined;
  }

  #mayBeFree(row: ElectionRow): boolean {
    return row.holder === null || this.#ports.presence.facts.observation(row.holder.incarnation)?.state === "dead";
  }

  async #rank(row: ElectionRow): Promise<void> {
    const { presence } = this.#ports;
    const candidates = await this.readCandidates().catch((error: unknown): readonly CandidateRow[] => {
      presence.report(error); // an open race will do
      return [];
    });
    const ahead = aheadOf(candidates, { incarnation: presence.incarnation, priority: this.#options.priority ?? ELECTION_DEFAULTS.priority });
    this.#ranking = { row, ahead };
    this.#again = true;
  }

  #contest(row: ElectionRow | undefined): Contest {
    const { facts, incarnation, node } = this.#ports.presence;
    return {
      row,
      holder: row?.holder == null ? undefined : facts.observation(row.holder.incarnation),
      node,
      priority: this.#options.priority ?? ELECTION_DEFAULTS.priority,
      rowSinceMs: this.#rowSinceMs,
      tokenSinceMs: this.#tokenSinceMs,
      evidence: this.#ports.presence.evidenceRule(),
      incarnation,
      epoch: facts.epoch,
      epochSinceMs: facts.epochSinceMs,
      longestLeaseMs: Math.max(facts.longestLeaseMs, this.#ports.presence.timing.leaseMs),
      deferMs: row !== undefined && this.#mayBeFree(row) ? this.#deferMs(row) : 0, // else nobody wants to know, and a user's order of succession need not be asked
      claimableSinceMs: this.#claimableSinceMs,
    };
  }

  #deferMs(row: ElectionRow): number {
    const { presence, succession } = this.#ports;
    const { facts, incarnation } = presence;
    const members = facts.view?.members ?? [];
    if (row.reservation?.node === presence.node) return 0;
    if (this.name !== COORDINATOR) return spreadDeferMs(members.length, this.#chance) + (this.#ranking?.row === row ? rankDeferMs(this.#ranking?.ahead ?? 0, this.#chance) : 0);
    const eligible = members.filter((member) => member.observer !== true && facts.observation(member.incarnation)?.state !== "dead" && member.incarnation !== row.holder?.incarnation);
    const rank = succession(eligible).findIndex((member) => member.incarnation === incarnation);
    return rankDeferMs(rank === -1 ? eligible.length : rank, this.#chance);
  }

  /** At once for the coordinator and its deputy, who attend the holder's evidence and so know first. */
  #declareAtMs(holder: Observation, nowMs: number): number {
    const { presence, succession } = this.#ports;
    const { view } = presence.facts;
    const which = `${holder.incarnation} ${holder.beat}`;
    if (this.#declarable?.which === which) return this.#declarable.atMs;
    const deferMs = view === null ? 0 : declareDeferMs(view.members.length, this.#chance);
    const isFirst = () => view?.coordinator?.incarnation === presence.incarnation || (view !== null && deputyOf(view, succession)?.incarnation === presence.incarnation);
    const atMs = nowMs + (deferMs === 0 || isFirst() ? 0 : deferMs);
    this.#declarable = { which, atMs };
    return atMs;
  }

  #row(): ElectionRow | undefined {
    return this.#ports.presence.facts.elections.get(this.name);
  }

  /** Hints of this election are heeded at once while the node contends, and while it holds: then somebody may ask it to resign. */
  #heed(): void {
    const wanted = this.#candidacy !== undefined || this.#term !== undefined;
    if (this.contends) this.#probe?.start();
    else this.#probe?.stop();
    if (wanted) this.#unheed ??= this.#ports.presence.prompt(this.name);
    else {
      this.#unheed?.();
      this.#unheed = undefined;
    }
  }

  #watch(incarnation: string): void {
    if (this.#watching === incarnation) return;
    this.#unwatch?.();
    this.#watching = incarnation;
    this.#unwatch = incarnation === "" ? undefined : this.#ports.presence.watch(incarnation);
  }

  #wakeIn(ms: number): void {
    this.#timer?.cancel();
    if (!this.#closed || this.#owed !== undefined) this.#timer = this.#ports.clock.setTimer(Math.max(0, ms), () => this.consider());
  }
}

function stopped(election: string): TribuneError {
  return new TribuneError("CLUSTER_STOPPED", `the cluster was stopped; nothing contends for ${election}`, { about: election });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

