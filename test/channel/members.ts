import { Channel } from "../../src/channel/index.ts";
import type { ChannelOptions, ChannelPorts, ChannelView } from "../../src/channel/index.ts";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import type { KnownPeer } from "../../src/transport/index.ts";

/** One member of a world. */
export interface TestMember {
  readonly node: string;
  readonly incarnation: string;
  readonly channel: Channel;
}

/** Members with channels on a network in memory, on virtual time. The test decides what everybody's view is. */
export class Members {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly all: TestMember[] = [];
  readonly #options: ChannelOptions;
  #version = 0;

  constructor(seed: number, options: ChannelOptions = {}) {
    this.random = seededRandom(seed);
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random });
    this.#options = options;
  }

  /** So many members, all connected. */
  async start(count: number, ports: Partial<ChannelPorts> = {}): Promise<TestMember[]> {
    for (let n = 1; n <= count; n++) await this.add(ports);
    this.publish();
    await this.clock.advanceUntil(() => this.isWhole(), 10_000, "everybody is connected");
    return this.all;
  }

  async add(ports: Partial<ChannelPorts> = {}, options = this.#options): Promise<TestMember> {
    const { clock, random } = this;
    const [node, incarnation] = [`node-${this.all.length + 1}`, random.id()];
    const channel = new Channel({ group: "g", node, incarnation, transport: this.network.transport(), clock, random, logger: silentLogger, ...ports }, options);
    await channel.start({ deadlineMs: 1_000 });
    const member = { node, incarnation, channel };
    this.all.push(member);
    return member;
  }

  /** Everybody gets the next view, at once; those who are `late` get it when the answer is called. */
  publish(members: readonly TestMember[] = this.all, late: readonly TestMember[] = []): () => void {
    const view: ChannelView = { version: ++this.#version, members: members.map((member): KnownPeer => ({ node: member.node, incarnation: member.incarnation, address: member.channel.address })), coordinator: members[0]?.incarnation ?? null };
    for (const member of members) if (!late.includes(member)) member.channel.setView(view);
    return () => late.forEach(({ channel }) => channel.setView(view));
  }

  isWhole(): boolean {
    return this.all.every((a) => this.all.every((b) => a === b || a.channel.reachability(b.incarnation)?.connected === true));
  }

  /** What the promise comes to, while time passes. */
  async outcome<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    await this.clock.advanceUntil(() => settled, withinMs, "the promise");
    return promise;
  }
}

export const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
export const bytes = (words: string) => new Uint8Array(Buffer.from(words));
