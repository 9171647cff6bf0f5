import { checkName, TribuneError } from "../kernel/index.ts";
import { checkReason, COORDINATOR } from "../store/index.ts";
import type { StoredView } from "../store/index.ts";
import { Elector } from "./elector.ts";
import type { ElectionState, ElectorEvents, ElectorPorts } from "./elector.ts";
import { checkElectionOptions } from "./options.ts";
import type { ElectionOptions } from "./options.ts";
import type { Term } from "./term.ts";
import { transfer } from "./transfer.ts";

/** One named contest, as users hold it. */
export class Election<Tx = unknown> {
  readonly name: string;
  readonly #elector: Elector<Tx>;
  readonly #ports: Pick<ElectorPorts<Tx>, "presence" | "clock">;

  constructor(elector: Elector<Tx>, ports: Pick<ElectorPorts<Tx>, "presence" | "clock">) {
    this.name = elector.name;
    this.#elector = elector;
    this.#ports = ports;
  }

  /** Who holds it and by which token, as this node last saw it; `null` before the first reply of the store. */
  get current(): ElectionState | null {
    return this.#elector.current;
  }

  /** The term that this node holds itself. */
  get term(): Term<Tx> | undefined {
    return this.#elector.term;
  }

  /**
   * Runs `callback` for each term that this node wins. When it returns or throws the term is resigned, and after a pause the node contends
   * again; the next callback never starts before the last one has settled. `term.signal` tells it to stop. Resolves when `signal` aborts or
   * the cluster stops, and not before. Rejects with `ELECTION_BUSY` if this node already contends.
   */
  lead(callback: (term: Term<Tx>) => unknown, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#contendable().lead(callback, options.signal);
  }

  /** Contends until it wins; the term is yours to resign. Rejects only if `signal` aborts, the cluster stops, or with `ELECTION_BUSY`. */
  campaign(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Term<Tx>> {
    return this.#contendable().campaign(options.signal);
  }

  /** Gives this node's term up: the work of `lead` gets its stop budget. Rejects with `NOT_HELD` if there is no term. Inside the callback of `lead` return, or call `term.resign()`: this waits for the callback. */
  resign(): Promise<void> {
    return this.#elector.resign();
  }

  /**
   * Has another member hold it: the present holder, this node or another one, is asked to stop its work, which has its stop budget, and to resign in its favour. Resolves when that
   * node holds it. Rejects with nothing done: `NODE_UNKNOWN`, `NOT_ELIGIBLE` (it does not contend, or its probe says no), `NOT_HELD`, `ELECTION_PAUSED`; and with `TRANSFER_FAILED` if somebody else has
   * it in the end. Should that node not take it within two beats, whoever is first may. Inside the callback of `lead` do not await it: it waits for the callback.
   */
  async transferTo(node: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkName("node", node);
    await transfer({ elector: this.#elector, ...this.#ports, to: node, signal: options.signal });
  }

  /** No new term begins, in the whole cluster, until it is resumed. A term that is held goes on. Rejects with `ELECTION_PAUSED` if it is paused already. */
  async pause(options: { readonly reason: string }): Promise<void> {
    const { presence } = this.#ports;
    const election = this.#pausable();
    const reason = checkReason("pause", options.reason);
    await presence.perform((session, call) => session.createElection({ election }, call));
    if (await presence.perform((session, call) => session.pause({ election, reason, by: presence.node }, call))) return presence.lookSoon();
    const paused = this.current?.paused ?? null;
    throw new TribuneError("ELECTION_PAUSED", `${election} is paused already${paused === null ? "" : `, by ${paused.by}: ${paused.reason}`}`, { about: election, next: "resume it first, if it is to be paused for another reason" });
  }

  /** Terms may begin again. Rejects with `NOT_PAUSED` if it is not paused. */
  async resume(): Promise<void> {
    const { presence } = this.#ports;
    const election = this.#pausable();
    if (await presence.perform((session, call) => session.resume({ election, by: presence.node }, call))) return presence.lookSoon();
    throw new TribuneError("NOT_PAUSED", `${election} is not paused`, { about: election });
  }

  #pausable(): string {
    if (this.name !== COORDINATOR) return this.name;
    throw new TribuneError("ELECTION_RESERVED", `${COORDINATOR} cannot be paused: nobody would notice who comes and goes`, { about: COORDINATOR, next: "pause your own elections" });
  }

  /** Listens to this election; the returned function stops that. */
  on<Name extends keyof ElectorEvents<Tx>>(name: Name, listener: (payload: ElectorEvents<Tx>[Name]) => unknown): () => void {
    return this.#elector.events.on(name, listener);
  }

  #contendable(): Elector<Tx> {
    if (this.name !== COORDINATOR) return this.#elector;
    throw new TribuneError("ELECTION_RESERVED", `every member contends for ${COORDINATOR} by itself`, { about: COORDINATOR, next: "choose another name for your own election" });
  }
}

/** What a node leads at most, and from which size of the group on. */
export interface ElectionLimits {
  /** Holds no more elections than this at a time, the coordinator's not counted. */
  readonly maxElections: number;
  /** Leads nothing while the view has fewer members than this, observers not counted. */
  readonly minimumMembers: number;
}

/** How many members of a view count: all but observers. */
export function fullMembers(view: StoredView | null): number {
  return view?.members.filter((member) => member.observer !== true).length ?? 0;
}

/** All elections of a node. */
export class Elections<Tx> {
  readonly #ports: Omit<ElectorPorts<Tx>, "hindrance">;
  readonly #limits: ElectionLimits;
  readonly #electors = new Map<string, Elector<Tx>>();
  readonly #handles = new Map<string, Election<Tx>>();
  readonly #configured = new Set<string>();
  #closed = false;
  readonly #onNew: (elector: Elector<Tx>) => void;

  constructor(ports: Omit<ElectorPorts<Tx>, "hindrance">, limits: ElectionLimits, onNew: (elector: Elector<Tx>) => void = () => undefined) {
    this.#ports = ports;
    this.#limits = limits;
    this.#onNew = onNew;
    const { events } = ports.presence;
    events.on("facts", (change) => {
      this.#each((elector) => elector.factsChanged(change));
      if (change.viewChanged) this.#stepDownIfTooFew();
    });
    events.on("trusted", () => this.#each((elector) => elector.consider()));
    events.on("ended", ({ reason }) => this.#each((elector) => elector.trustEnded(reason)));
    events.on("fading", ({ trustLeftMs }) =>
      this.#each((elector) => {
        const { name, term } = elector;
        if (term === undefined) return;
        elector.askToStop(new TribuneError("TERM_LOST", `the trust in term ${term.token} of ${name} is about to run out`, { about: name, next: "stop what must not outlive the term" }), trustLeftMs);
      }),
    );
  }

  /** The same object for the same name. Options are given once, before this node contends; later they are an error. */
  get(name: string, options?: ElectionOptions): Election<Tx> {
    checkName("election", name);
    let handle = this.#handles.get(name);
    if (handle === undefined) this.#handles.set(name, (handle = new Election(this.elector(name), this.#ports)));
    if (options !== undefined) this.#configure(name, options);
    return handle;
  }

  /** Whoever only looked at the election first has set nothing. */
  #configure(name: string, options: ElectionOptions): void {
    checkElectionOptions(name, options);
    const elector = this.elector(name);
    if (this.#configured.has(name) || elector.contends) {
      const when = this.#configured.has(name) ? "were set before" : "come too late: this node contends for it already";
      throw new TribuneError("INVALID_OPTIONS", `options of election ${name} ${when}`, { about: name, next: "give them once, before lead or campaign" });
    }
    this.#configured.add(name);
    elector.configure(options);
  }

  elector(name: string): Elector<Tx> {
    let elector = this.#electors.get(name);
    if (elector === undefined) {
      const created = (elector = new Elector<Tx>(name, { ...this.#ports, hindrance: (election) => this.#hindrance(election) }));
      this.#electors.set(name, created);
      // What one gives up another may have room for.
      created.events.on("ended", () => this.#each((other) => other !== created && other.consider()));
      if (this.#closed) elector.dispose();
      this.#onNew(elector);
    }
    return elector;
  }

  /** Asks all work to stop, and resigns what is held: user elections first, the coordinator last. Side by side within each. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#electors.values()];
    await Promise.all(all.filter((elector) => elector.name !== COORDINATOR).map((elector) => elector.close()));
    await Promise.all(all.filter((elector) => elector.name === COORDINATOR).map((elector) => elector.close()));
  }

  /** Why this node may not contend for a user's election now, if so. */
  #hindrance(election: string): string | undefined {
    if (election === COORDINATOR) return undefined;
    const { maxElections } = this.#limits;
    const held = [...this.#electors.values()].filter((elector) => elector.name !== COORDINATOR && elector.name !== election && elector.holds).length;
    if (held >= maxElections) return `this node holds ${held} elections already`;
    return this.#tooFew();
  }

  #tooFew(): string | undefined {
    const { minimumMembers } = this.#limits;
    const members = fullMembers(this.#ports.presence.facts.view);
    return members < minimumMembers ? `the group has ${members} members, and at least ${minimumMembers} are asked for` : undefined;
  }

  /** A group that has become too small works on nothing; its coordinator goes on, or nobody would notice that it grows again. */
  #stepDownIfTooFew(): void {
    const why = this.#tooFew();
    if (why !== undefined) this.#each((elector) => elector.name !== COORDINATOR && elector.stepDown(why));
  }

  dispose(): void {
    this.#each((elector) => elector.dispose());
  }

  #each(action: (elector: Elector<Tx>) => unknown): void {
    for (const elector of this.#electors.values()) action(elector);
  }
}
