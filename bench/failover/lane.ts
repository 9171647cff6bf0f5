import { setTimeout as pause } from "node:timers/promises";
import { Contender } from "./contender.ts";
import type { ContenderConfig, TraceLine } from "./protocol.ts";

/** Who contends in a lane: a module, where, with what. */
export interface Line {
  /** The program of a contender's process. */
  readonly file: string;
  readonly contender: string;
  /** A fresh place in the store, for one lane. */
  readonly fresh: () => Promise<string>;
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether contenders tell of a group with a coordinator. */
  readonly tellsViews: boolean;
  /** `latest`: nobody leads for long; who was announced last counts as the leader. */
  readonly leads: "one" | "latest";
  readonly trace: boolean;
}

/** A leader and two candidates. */
const CONTENDERS = 3;

/** Nothing but what is measured takes longer than this unless something is broken. */
const PATIENCE_MS = 60_000;

/** Three processes that contend with each other. The ones that were killed are replaced by others with names of their own. */
export class Lane {
  readonly #line: Line;
  readonly #group: string;
  #contenders: Contender[] = [];
  #started = 0;
  #url: string | undefined;
  #wake: () => void = () => undefined;

  constructor(line: Line, group: string) {
    this.#line = line;
    this.#group = group;
  }

  get contenders(): readonly Contender[] {
    return this.#contenders;
  }

  get holder(): Contender | undefined {
    return this.#contenders.find((each) => each.gone === undefined && each.holds !== undefined);
  }

  /** Brings the lane to three contenders, one of whom leads, and all of whom see the same group. */
  async complete(patienceMs?: number): Promise<Contender> {
    this.#contenders = this.#contenders.filter((each) => each.gone === undefined);
    this.#url ??= await this.#line.fresh();
    while (this.#contenders.length < CONTENDERS) this.#start(this.#url);
    await this.until("all contend", () => this.#contenders.every((each) => each.ready !== undefined));
    await this.until("one of three leads, and all see the same group", () => this.#isSettled(), patienceMs);
    return this.holder as Contender;
  }

  #start(url: string): void {
    const { file, contender, options, trace } = this.#line;
    const config: ContenderConfig = { contender, node: `${this.#group}-n${++this.#started}`, group: this.#group, url, options, trace };
    const started = new Contender(file, config, () => {
      if (this.#line.leads === "latest") this.#keepLatest();
      this.#wake();
    });
    this.#contenders.push(started);
  }

  #keepLatest(): void {
    const latestMs = Math.max(...this.#contenders.map(({ holds }) => holds?.t ?? 0));
    for (const each of this.#contenders) if (each.holds !== undefined && each.holds.t < latestMs) each.holds = undefined;
  }

  #isSettled(): boolean {
    if (this.#contenders.filter((each) => each.holds !== undefined).length !== 1) return false;
    if (!this.#line.tellsViews) return true;
    const names = this.#contenders.map(({ name }) => name).sort().join();
    const [first] = this.#contenders;
    return this.#contenders.every(({ members, coordinator }) => [...members].sort().join() === names && coordinator !== null && coordinator === first?.coordinator);
  }

  /** Has a contender lead that is the coordinator of the group, or one that is not. */
  async arrange(role: "coordinator" | "other"): Promise<Contender> {
    const holder = await this.complete();
    const fits = (contender: Contender) => (contender.name === contender.coordinator) === (role === "coordinator");
    if (fits(holder)) return holder;
    const wanted = this.#contenders.find(fits) as Contender;
    holder.order({ order: "transfer", to: wanted.name });
    await this.until(`${wanted.name} leads`, () => wanted.holds !== undefined && holder.holds === undefined);
    return wanted;
  }

  /** Waits until it is so; rejects when a contender that should run has ended, or when it takes too long. */
  async until(what: string, isSo: () => boolean, patienceMs: number = PATIENCE_MS): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs);
    for (;;) {
      if (isSo()) return;
      const lost = this.#contenders.find((each) => each.gone !== undefined && each.gone !== "SIGKILL");
      if (lost !== undefined) throw new Error(`${lost.name} ended with ${lost.gone} while waiting until ${what}: ${lost.failures.join("; ")}`);
      if (signal.aborted) throw new TooLong(`not within ${patienceMs} ms: ${what}${this.#troubles()}`);
      const changed = new Promise<void>((resolve) => (this.#wake = resolve));
      const ending = new AbortController();
      await Promise.race([changed, pause(patienceMs, undefined, { signal: AbortSignal.any([signal, ending.signal]) }).catch(() => undefined)]);
      ending.abort();
    }
  }

  #troubles(): string {
    return this.#contenders.flatMap(({ name, failures }) => failures.map((failure) => `\n${name}: ${failure}`)).join("");
  }

  /** What happened in all processes that are left, but for those who cannot tell, by time. */
  async trace(except: readonly Contender[]): Promise<ReadonlyArray<TraceLine & { readonly node: string }>> {
    const asked = this.#contenders.filter((each) => each.gone === undefined && !except.includes(each));
    for (const each of asked) {
      each.trace = undefined;
      each.order({ order: "tell-trace" });
    }
    await this.until("traces are told", () => asked.every((each) => each.trace !== undefined));
    return asked.flatMap(({ name, trace }) => (trace ?? []).map((line) => ({ node: name, ...line }))).sort((a, b) => a.t - b.t);
  }

  async close(): Promise<void> {
    await Promise.all(this.#contenders.map((each) => each.end()));
  }
}

/** What was waited for has not come. */
export class TooLong extends Error {}
