import { createCluster } from "../../src/cluster/cluster.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import type { ClusterOptions } from "../../src/cluster/index.ts";
import { seededRandom, sleep, TribuneError } from "../../src/kernel/index.ts";
import { MemoryProvider } from "../../src/store/memory/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import type { OpenContext, StoreProvider, StoreSession } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

/**
 * A small world: some nodes, each with a clock and a link to one store that can be cut. Everything on virtual time. Nodes go by leases alone unless they are told otherwise: here the store
 * is in the same process, so to it a link that is cut, or a node that is killed, is a session that goes on.
 */
export class World {
  readonly storeClock = new VirtualClock();
  readonly store: MemoryProvider;
  readonly nodes: Node[] = [];

  constructor() {
    this.store = new MemoryProvider({ clock: this.storeClock });
  }

  /** From now on this is a store whose claims leave the fence to `passFence`, as they do while a transaction of the term before is open. */
  leaveFences(): void {
    const { engine } = this.store;
    const claim = engine.claim.bind(engine);
    engine.claim = (group, input) => claim(group, { ...input, andPass: false });
  }

  node(name: string, options: Partial<ClusterOptions<MemoryTransaction>> = {}): Node {
    const node = new Node(this, name, this.nodes.length + 1, options);
    this.nodes.push(node);
    return node;
  }

  /** Starts nodes one after the other. */
  async start(...names: string[]): Promise<Node[]> {
    const nodes: Node[] = [];
    for (const name of names) {
      const node = this.node(name);
      nodes.push(node);
      await this.resolve(node.cluster.start(), 20_000);
    }
    return nodes;
  }

  /** Lets time pass everywhere until `promise` settles. */
  async resolve<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    await this.until(() => settled, withinMs, "a promise");
    return await promise;
  }

  async until(condition: () => boolean, withinMs = 60_000, what = "the condition"): Promise<number> {
    const begin = this.storeClock.monotonicMs();
    await this.pass(0);
    while (!condition()) {
      if (this.storeClock.monotonicMs() - begin > withinMs) throw new Error(`${what} did not come about within ${withinMs} ms`);
      await this.pass(10);
    }
    return this.storeClock.monotonicMs() - begin;
  }

  /** Lets time pass everywhere, in steps of 10 ms, so that no clock runs far ahead of another. Frozen nodes stand still. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms || passed === 0; passed += 10) {
      const step = Math.min(10, ms - passed);
      await this.storeClock.advance(step);
      for (const node of this.nodes) await node.pass(step);
      if (ms === 0) break;
    }
  }
}

export class Node {
  readonly clock = new VirtualClock();
  readonly cluster: Cluster<MemoryTransaction>;
  readonly log: string[] = [];
  /** What was asked of the store, in order. */
  readonly asked: (keyof StoreSession)[] = [];
  link: "up" | "cut" = "up";
  #frozenMs: number | undefined;
  readonly #sessions = new Set<StoreSession>();
  readonly #refused = new Map<keyof StoreSession, Error | "hang">();
  readonly #late = new Map<keyof StoreSession, number>();
  readonly #last = new Set<keyof StoreSession>();
  #deaf = false;

  constructor(world: World, name: string, seed: number, options: Partial<ClusterOptions<MemoryTransaction>>) {
    const random = seededRandom(seed);
    const open = async (context: OpenContext) => {
      if (this.link === "cut") throw new TribuneError("STORE_UNREACHABLE", "the link is cut");
      const session = this.#spoiled(await world.store.open(context));
      this.#sessions.add(session);
      return session;
    };
    const { kind, label, capabilities, fenced, schema } = world.store;
    const store: StoreProvider<MemoryTransaction> = { kind, label, capabilities, fenced, schema, open, close: () => Promise.resolve() };
    this.cluster = createCluster<MemoryTransaction>({ group: "world", node: name, clock: this.clock, random, crashDetection: "lease", ...options, store });
    for (const event of ["suspended", "lost", "rejoined", "recovered", "overrun", "error", "degraded"] as const) this.cluster.on(event, () => this.log.push(event));
  }

  /** Makes one kind of operation of this node fail with an error, or hang, from now on. */
  refuse(operation: keyof StoreSession, how: Error | "hang"): void {
    this.#refused.set(operation, how);
  }

  /** Ends what `refuse` began. */
  accept(operation: keyof StoreSession): void {
    this.#refused.delete(operation);
  }

  /** The next operation of that kind is done at once, and its answer arrives after `ms`. */
  answerLate(operation: keyof StoreSession, ms: number): void {
    this.#late.set(operation, ms);
  }

  /** The next operation of that kind is the session's last: its end is heard in the turn in which the answer arrives. */
  endWithAnswer(operation: keyof StoreSession): void {
    this.#last.add(operation);
  }

  /** Hears no hints, from its next session on. */
  deafen(): void {
    this.#deaf = true;
  }

  #spoiled(session: StoreSession): StoreSession {
    return new Proxy(session, {
      get: (target, name) => {
        if (typeof Reflect.get(target, name) === "function") this.asked.push(name as keyof StoreSession);
        if (name === "onHint" && this.#deaf) return () => () => undefined;
        const lateMs = this.#late.get(name as keyof StoreSession);
        if (lateMs !== undefined) {
          this.#late.delete(name as keyof StoreSession);
          return async (...args: unknown[]) => {
            const answer = await (Reflect.get(target, name) as (...args: unknown[]) => unknown).apply(target, args);
            await sleep(this.clock, lateMs);
            return answer;
          };
        }
        if (this.#last.delete(name as keyof StoreSession)) {
          return async (...args: unknown[]) => {
            const answer = await (Reflect.get(target, name) as (...args: unknown[]) => unknown).apply(target, args);
            target.destroy(new TribuneError("STORE_SESSION_ENDED", "the server ended the session"));
            return answer;
          };
        }
        const how = this.#refused.get(name as keyof StoreSession);
        if (how !== undefined) return () => (how === "hang" ? new Promise((_, reject) => target.ended.addEventListener("abort", () => reject(target.ended.reason as Error))) : Promise.reject(how));
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      },
    });
  }

  /** Cuts the link to the store, both ways: what is open breaks, and nothing opens. */
  cut(): void {
    this.link = "cut";
    for (const session of this.#sessions) session.destroy(new TribuneError("STORE_SESSION_ENDED", "the link was cut"));
    this.#sessions.clear();
  }

  heal(): void {
    this.link = "up";
  }

  /** The process does not run any more, while time passes for everybody else. */
  freeze(): void {
    this.#frozenMs = 0;
  }

  async thaw(): Promise<void> {
    const ms = this.#frozenMs ?? 0;
    this.#frozenMs = undefined;
    await this.clock.freeze(ms);
  }

  /** As SIGKILL: nothing of it ever runs again, and nobody is told. */
  kill(): void {
    this.#frozenMs = Number.NEGATIVE_INFINITY;
  }

  async pass(ms: number): Promise<void> {
    if (this.#frozenMs === undefined) await this.clock.advance(ms);
    else this.#frozenMs += ms;
  }
}
