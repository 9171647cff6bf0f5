import { checkName, TribuneError } from "../kernel/index.ts";
import { COORDINATOR } from "../store/index.ts";
import { Elector } from "./elector.ts";
import type { ElectionState, ElectorEvents, ElectorPorts } from "./elector.ts";
import { checkElectionOptions } from "./options.ts";
import type { ElectionOptions } from "./options.ts";
import type { Term } from "./term.ts";

/** One named contest, as users hold it. */
export class Election<Tx = unknown> {
  readonly name: string;
  readonly #elector: Elector<Tx>;

  constructor(elector: Elector<Tx>) {
    this.name = elector.name;
    this.#elector = elector;
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

  /** Gives this node's term up: the work of `lead` gets its stop budget. Rejects with `NOT_HELD` if there is no term. */
  resign(): Promise<void> {
    return this.#elector.resign();
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

/** All elections of a node. */
export class Elections<Tx> {
  readonly #ports: ElectorPorts<Tx>;
  readonly #electors = new Map<string, Elector<Tx>>();
  readonly #handles = new Map<string, Election<Tx>>();
  #closed = false;
  readonly #onNew: (elector: Elector<Tx>) => void;

  constructor(ports: ElectorPorts<Tx>, onNew: (elector: Elector<Tx>) => void = () => undefined) {
    this.#ports = ports;
    this.#onNew = onNew;
    const { events } = ports.presence;
    events.on("facts", (change) => this.#each((elector) => elector.factsChanged(change)));
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

  /** The same object for the same name. Options count the first time; giving other ones later is an error. */
  get(name: string, options?: ElectionOptions): Election<Tx> {
    checkName("election", name);
    let handle = this.#handles.get(name);
    if (handle === undefined) {
      handle = new Election(this.elector(name, options ?? {}));
      this.#handles.set(name, handle);
    } else if (options !== undefined) {
      throw new TribuneError("INVALID_OPTIONS", `options of election ${name} were set before`, { about: name, next: "give options where the election is first named" });
    }
    return handle;
  }

  elector(name: string, options: ElectionOptions = {}): Elector<Tx> {
    let elector = this.#electors.get(name);
    if (elector === undefined) {
      checkElectionOptions(name, options);
      elector = new Elector<Tx>(name, options, this.#ports);
      this.#electors.set(name, elector);
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

  dispose(): void {
    this.#each((elector) => elector.dispose());
  }

  #each(action: (elector: Elector<Tx>) => void): void {
    for (const elector of this.#electors.values()) action(elector);
  }
}
