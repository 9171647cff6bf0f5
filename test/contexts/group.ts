import assert from "node:assert/strict";
import { NodeChannel } from "../../src/channel/index.ts";
import type { ChannelView } from "../../src/channel/index.ts";
import { replicatedContexts } from "../../src/contexts/index.ts";
import type { ContextDocuments, Contexts, ContextsChannel, ContextsOptions, ReplicatedContexts } from "../../src/contexts/index.ts";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import type { Clock, Random } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import type { KnownPeer, LinkOptions } from "../../src/transport/index.ts";

/** Documents of a store in memory, which a test may make fail, slow, or wait. */
export class Documents implements ContextDocuments {
  readonly all = new Map<string, { version: number; text: string }>();
  writes = 0;
  /** Calls that were made, and how many there were at once at most. */
  trips = 0;
  mostAtOnce = 0;
  fails = false;
  /** What each call waits for before it takes effect: the way to the store. */
  wire: (operation: "list" | "read" | "write" | "remove", name: string) => Promise<void> | undefined = () => undefined;
  /** Sees each writing and removal, after it. */
  onChange: () => void = () => undefined;
  #atOnce = 0;
  #versions = 0;

  list(prefix: string): Promise<Array<{ name: string; version: number }>> {
    return this.#call("list", prefix, () => [...this.all].filter(([name]) => name.startsWith(prefix)).map(([name, { version }]) => ({ name, version })));
  }

  read(name: string): Promise<{ version: number; text: string } | null> {
    return this.#call("read", name, () => this.all.get(name) ?? null);
  }

  write({ name, expectedVersion, text }: { name: string; expectedVersion: number; text: string }): Promise<boolean> {
    return this.#call("write", name, () => {
      assert.ok(Buffer.byteLength(text) <= 512 * 1024, `${name} is too large for a store`);
      if ((this.all.get(name)?.version ?? 0) !== expectedVersion) return false;
      this.writes++;
      this.all.set(name, { version: ++this.#versions, text });
      this.onChange();
      return true;
    });
  }

  remove({ name, expectedVersion }: { name: string; expectedVersion: number }): Promise<boolean> {
    return this.#call("remove", name, () => {
      const isDone = this.all.get(name)?.version === expectedVersion && this.all.delete(name);
      if (isDone) this.onChange();
      return isDone;
    });
  }

  async #call<T>(operation: "list" | "read" | "write" | "remove", name: string, effect: () => T): Promise<T> {
    this.trips++;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
    try {
      await this.wire(operation, name);
      if (this.fails) throw new Error("the store is away");
      return effect();
    } finally {
      this.#atOnce--;
    }
  }
}

/** One member of a group. */
export interface GroupNode {
  readonly node: string;
  incarnation: string;
  readonly channel: NodeChannel;
  readonly replicated: ReplicatedContexts;
  readonly contexts: Contexts;
}

/** Members that share contexts, on a network in memory and virtual time. The test decides who is a member. */
export class Group {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly documents = new Documents();
  nodes: GroupNode[] = [];
  /** How much later each member hears of a view, at most. */
  viewDelayMs = 0;
  /** How much later this one does: by chance, unless a test says so. */
  viewDelayOf = (_node: string): number => this.random.next() * this.viewDelayMs;
  /** Sees every message that a member's contexts hand to its channel, before it goes: to all others, or to some. */
  onSend: (node: string, topic: string, payload: Uint8Array, isToAll: boolean) => void = () => undefined;
  readonly #options: ContextsOptions;
  readonly #link: LinkOptions;
  #version = 0;
  #count = 0;

  constructor(seed: number, options: ContextsOptions = {}, link: LinkOptions = {}) {
    this.random = seededRandom(seed);
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random });
    this.#options = options;
    this.#link = link;
  }

  async start(count: number): Promise<GroupNode[]> {
    for (let n = 0; n < count; n++) await this.during(this.add());
    return this.nodes;
  }

  /** A member that joins, and has its state when it resolves. */
  async add(options: ContextsOptions = {}, skewMs = 0): Promise<GroupNode> {
    const { random } = this;
    const clock = skewed(this.clock, skewMs);
    const [node, incarnation] = [`node-${++this.#count}`, random.id()];
    const channel = new NodeChannel({ group: "g", node, transport: this.network.transport(this.#link), clock: this.clock, random, logger: silentLogger });
    const replicated = replicatedContexts({ channel: this.#watched(node, channel), documents: this.documents, clock, random, logger: silentLogger }, { ...this.#options, ...options });
    const member: GroupNode = { node, incarnation, channel, replicated, contexts: replicated.contexts };
    await this.#enter(member);
    return member;
  }

  #watched(node: string, channel: NodeChannel): ContextsChannel {
    return {
      on: channel.on.bind(channel),
      listen: channel.listen.bind(channel),
      respond: channel.respond.bind(channel),
      define: channel.define.bind(channel),
      state: channel.state.bind(channel),
      request: channel.request.bind(channel),
      send: (topic, payload, options) => {
        this.onSend(node, topic, payload as Uint8Array, options?.to === undefined);
        return channel.send(topic, payload, options);
      },
    };
  }

  /** It loses its membership, and comes back as another incarnation. */
  async rejoin(member: GroupNode, awayMs: number): Promise<void> {
    this.nodes = this.nodes.filter((each) => each !== member);
    this.publish();
    member.replicated.leave();
    await member.channel.end({ deadlineMs: 1_000 });
    await new Promise<void>((resolve) => void this.clock.setTimer(awayMs, resolve));
    member.incarnation = this.random.id();
    await this.#enter(member);
  }

  async #enter(member: GroupNode): Promise<void> {
    const { incarnation, channel, replicated } = member;
    replicated.join(incarnation);
    await channel.begin(incarnation, { deadlineMs: 5_000 });
    this.nodes = [...this.nodes, member];
    this.publish();
    try {
      await replicated.begin(await channel.obtainStates({ deadlineMs: 120_000 }));
    } catch (error) {
      if (this.nodes.includes(member)) await this.leave(member); // as a node does whose start fails
      throw error;
    }
  }

  /** It is dead, and nobody says so but the view. */
  async kill(member: GroupNode): Promise<void> {
    this.network.vanish(member.node);
    member.replicated.leave();
    this.nodes = this.nodes.filter((each) => each !== member);
    this.publish();
    await member.replicated.stop();
    void member.channel.end({ deadlineMs: 1 });
  }

  async leave(member: GroupNode): Promise<void> {
    await member.replicated.stop();
    this.nodes = this.nodes.filter((each) => each !== member);
    await member.channel.end({ deadlineMs: 1_000 });
    this.publish();
  }

  publish(): void {
    const { nodes } = this;
    const view: ChannelView = { version: ++this.#version, members: nodes.map(({ node, incarnation, channel }): KnownPeer => ({ node, incarnation, address: channel.address })), coordinator: nodes[0]?.incarnation ?? null };
    for (const member of nodes) this.#tell(member, view);
  }

  #tell(member: GroupNode, view: ChannelView): void {
    const tell = () => {
      if (!this.nodes.includes(member) || view.version < this.#told(member)) return;
      this.#toldVersions.set(member, view.version);
      member.channel.setView(view);
      member.replicated.setView(view);
    };
    const delayMs = this.viewDelayOf(member.node);
    if (delayMs === 0) tell();
    else this.clock.setTimer(delayMs, tell);
  }

  readonly #toldVersions = new Map<GroupNode, number>();

  #told(member: GroupNode): number {
    return this.#toldVersions.get(member) ?? 0;
  }

  /** What the promise comes to, while time passes. */
  async during<T>(promise: Promise<T>, withinMs = 200_000): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    await this.clock.advanceUntil(() => settled, withinMs, "the promise");
    return promise;
  }

  async connected(): Promise<void> {
    await this.clock.advanceUntil(() => this.nodes.every((a) => this.nodes.every((b) => a === b || a.channel.reachability(b.incarnation)?.connected === true)), 60_000, "everybody is connected");
  }

  /** Bytes that went over the network so far. */
  bytes(): number {
    return this.nodes.reduce((sum, a) => sum + this.nodes.reduce((each, b) => each + (a === b ? 0 : this.network.bytes(a.node, b.node)), 0), 0);
  }
}

/** Everything that a member's code can see. */
export function content(contexts: Contexts): Record<string, Record<string, unknown>> {
  const all: Record<string, Record<string, unknown>> = {};
  const visit = (paths: readonly string[]): void => {
    for (const path of paths) {
      all[path] = Object.fromEntries(contexts.get(path)?.entries() ?? []);
      visit(contexts.list(path));
    }
  };
  visit(contexts.list());
  return all;
}

function skewed(clock: Clock, skewMs: number): Clock {
  return { monotonicMs: () => clock.monotonicMs(), wallMs: () => clock.wallMs() + skewMs, setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback) };
}
