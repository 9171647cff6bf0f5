import { backoffMs, Events, TribuneError } from "../kernel/index.ts";
import type { Clock, ListenerErrorHandler, Logger, Random } from "../kernel/index.ts";
import type { Elector, SuccessionOrder, Term } from "../election/index.ts";
import type { Observation, Presence } from "../presence/index.ts";
import { asSeenAfter, attendance, buildView, diffViews, mustWait, planDeaths, planView, presentView, viewSpacingMs } from "./view.ts";
import type { Member, View, ViewChange } from "./view.ts";

/** What membership is handed by whoever wires it. */
export interface MembershipPorts {
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onListenerError: ListenerErrorHandler;
  /** Members in the order in which they are to succeed a coordinator, the next one first. */
  readonly succession: SuccessionOrder;
}

/** What membership tells, by event name. */
export interface MembershipEvents {
  view: ViewChange;
  coordinator: { readonly coordinator: Member | null; readonly previous: Member | null };
}

/** What the coordinator's work needs of its term. */
type CoordinatorTerm = Pick<Term, "token" | "node" | "incarnation" | "signal">;

/** Dead presence rows are kept this long, for people who ask why a node is gone. */
const FORGET_DEAD_AFTER_MS = 600_000;

/** A publication that failed is tried again after these pauses, unless something is heard before. */
const RETRY = { firstMs: 50, longestMs: 1_000 };

/** Delivers views to this node, and, while it is the coordinator, makes them. */
export class Membership {
  readonly events: Events<MembershipEvents>;
  readonly #ports: MembershipPorts;
  #view: View | undefined;
  /** Whether a reply came since the coordinator last looked at the facts. */
  #news = false;
  #wake: (() => void) | undefined;
  /** Whose evidence is waited for here, and how to end that. */
  #attended: ReadonlyMap<string, () => void> = new Map();

  constructor(ports: MembershipPorts) {
    this.#ports = ports;
    this.events = new Events(ports.onListenerError);
    ports.presence.events.on("facts", (change) => {
      if (change.viewChanged) this.#deliver();
      if (change.viewChanged || change.elections.size > 0 || change.deaths) this.#attend();
      this.#news = true;
      this.#wake?.();
    });
  }

  /** The newest view that was delivered. */
  get view(): View | undefined {
    return this.#view;
  }

  /** This node in the newest view. */
  get self(): Member | undefined {
    return this.#view?.members.find((member) => member.incarnation === this.#ports.presence.incarnation);
  }

  /** The change from a view that a reader had before, or from nothing, to the newest one. */
  changeFrom(before: View | undefined): ViewChange {
    if (this.#view === undefined) throw new TribuneError("INTERNAL", "there is no view yet");
    return diffViews(before, asSeenAfter(this.#view, before));
  }

  /** Resolves when a view has this node's present incarnation, and that is trusted: who was frozen meanwhile may be dead. */
  joined(signal: AbortSignal): Promise<void> {
    const { presence } = this.#ports;
    const isMember = () => this.self !== undefined && presence.trusted();
    if (isMember()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const aborted = () => {
        off();
        reject(signal.reason as Error);
      };
      const look = () => {
        if (!isMember()) return;
        off();
        signal.removeEventListener("abort", aborted);
        resolve();
      };
      const offs = [this.events.on("view", look), presence.events.on("trusted", look)];
      const off = () => {
        for (const each of offs) each();
      };
      if (signal.aborted) aborted();
      else signal.addEventListener("abort", aborted, { once: true });
    });
  }

  #deliver(): void {
    const stored = this.#ports.presence.facts.view;
    if (stored === null) return;
    const before = this.#view;
    const view = presentView(stored, before);
    this.#view = view;
    this.events.emit("view", diffViews(before, view));
    if (before?.coordinator?.incarnation !== view.coordinator?.incarnation) {
      this.events.emit("coordinator", { coordinator: view.coordinator, previous: before?.coordinator ?? null });
    }
  }

  /** Contends for the election of the coordinator for ever; the next in succession goes first. Resolves when the elector is closed. */
  coordinate<Tx>(elector: Elector<Tx>): Promise<void> {
    return elector.lead((term) => this.#govern(term));
  }

  /** The next in succession waits for the coordinator's evidence of death to become free, and the coordinator for that of whoever leads something: a connection more for each of the two. */
  #attend(): void {
    const { presence, succession } = this.#ports;
    const wanted = attendance({ view: presence.facts.view, own: presence.incarnation, leaders: this.#leaders(), succession }).filter((incarnation) => presence.facts.observation(incarnation)?.state !== "dead");
    for (const [incarnation, end] of this.#attended) if (!wanted.includes(incarnation)) end();
    this.#attended = new Map(wanted.map((incarnation) => [incarnation, this.#attended.get(incarnation) ?? presence.attend(incarnation)]));
  }

  /** Who holds any election, as far as is known. */
  #leaders(): ReadonlySet<string> {
    return new Set([...this.#ports.presence.facts.elections.values()].flatMap((row) => row.holder?.incarnation ?? []));
  }

  // ---- the coordinator's work

  async #govern(term: CoordinatorTerm): Promise<void> {
    const { presence, clock, random, logger } = this.#ports;
    const { facts } = presence;
    const unwatch = presence.watchEverybody();
    let mustPublish = true;
    let notBeforeMs = Number.NEGATIVE_INFINITY;
    let failures = 0;
    try {
      while (!term.signal.aborted) {
        let waitMs: number | undefined;
        this.#news = false;
        try {
          waitMs = await this.#bury();
          await presence.undisturbing();
          const pauseMs = notBeforeMs - clock.monotonicMs();
          if (pauseMs > 0) waitMs = Math.min(waitMs ?? pauseMs, pauseMs);
          else {
            const outcome = await this.#publish(term, mustPublish);
            if (outcome !== "not yet") mustPublish = false;
            if (outcome === "published") notBeforeMs = clock.monotonicMs() + viewSpacingMs(facts.view?.members.length ?? 0);
          }
          failures = 0;
        } catch (error) {
          waitMs = backoffMs(failures++, RETRY, random);
          logger.debug({ error: String(error) }, "the coordinator will try again");
          presence.report(error);
          this.#news = false; // its own attempts shall not cut the pause
        }
        await this.#nextReply(term.signal, waitMs);
      }
    } finally {
      unwatch();
    }
  }

  /** Declares silent members dead; answers when to look again. */
  async #bury(): Promise<number | undefined> {
    const { presence, clock, logger } = this.#ports;
    const { facts } = presence;
    const others = facts.everybody.map((row) => facts.observation(row.incarnation)).filter((seen): seen is Observation => seen !== undefined && seen.incarnation !== presence.incarnation);
    const rule = presence.evidenceRule();
    const plan = planDeaths(others, clock.monotonicMs(), rule && { rule, leaders: this.#leaders(), idleGraceMs: presence.timing.beatMs * 1.5 });
    if (plan.suspicious && plan.nextMs !== undefined) logger.warn({ members: others.length + 1 }, "more than half of the members are silent; the store or this node is suspected first");
    for (const { observation, grounds } of plan.declare) await presence.declareDead(observation, grounds);
    if (plan.declare.length > 0) presence.lookSoon();
    return plan.nextMs === undefined ? undefined : Math.max(0, plan.nextMs - clock.monotonicMs());
  }

  /** Brings the view in the store up to date, if that can be done now. */
  async #publish(term: CoordinatorTerm, mustPublish: boolean): Promise<"published" | "as it should be" | "not yet"> {
    const { presence, logger } = this.#ports;
    const { facts } = presence;
    // View and presence are taken from one reading, here. One without this node itself does not show everybody: the next look does.
    const { everybody } = facts;
    if (!everybody.some((row) => row.incarnation === term.incarnation)) return "not yet";
    const hasBeaten = (incarnation: string) => facts.observation(incarnation)?.moved === true;
    if (mustWait({ generation: facts.generation, viewSeen: facts.viewSeen, presence: everybody, own: term.incarnation, hasBeaten })) return "not yet";
    const coordinator = { incarnation: term.incarnation, node: term.node };
    // A store that went back shows an older view than this node knows; what counts is who is alive, so the newer one is built upon.
    const { view: known, storedViewVersion: expectedVersion, epoch } = facts;
    const wentBack = expectedVersion < facts.viewSeen;
    const plan = planView({ stored: known, presence: everybody, coordinator, viewSeen: facts.viewSeen, generation: facts.generation, mustPublish: mustPublish || wentBack });
    if (plan === undefined) return "as it should be";
    const incarnations = [...plan.toRead, ...plan.gone.map((member) => member.incarnation)];
    const rows = incarnations.length === 0 ? [] : await presence.perform((session, call) => session.readMembers({ incarnations }, call));
    const { view, events } = buildView(plan, known, rows, coordinator);
    const published = await presence.perform((session, call) =>
      session.publishView({ token: term.token, incarnation: term.incarnation, epoch, expectedVersion, view, events, forgetDeadAfterMs: FORGET_DEAD_AFTER_MS }, call),
    );
    logger.debug({ version: view.version, members: view.members.length, published }, "published a view");
    presence.lookSoon();
    return published ? "published" : "not yet";
  }

  #nextReply(signal: AbortSignal, waitMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#wake = undefined;
        timer?.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = waitMs === undefined ? undefined : this.#ports.clock.setTimer(waitMs, done);
      this.#wake = done;
      if (signal.aborted || this.#news) done();
      else signal.addEventListener("abort", done, { once: true });
    });
  }
}
