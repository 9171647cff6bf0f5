import assert from "node:assert/strict";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../src/cluster/index.ts";
import { seededRandom, silentLogger } from "../../src/kernel/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryProvider, MemoryTransaction } from "../../src/store/memory/index.ts";
import type { StoreSession } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";

/** Nodes of one group with channels, in one process: one store, one network and one clock, all in the test's hands. */
export class Messengers {
  readonly clock = new VirtualClock();
  readonly store: MemoryProvider = memory({ clock: this.clock });
  readonly network: MemoryNetwork;
  readonly all: Cluster<MemoryTransaction>[] = [];
  readonly #seed: number;

  constructor(seed = 1) {
    this.#seed = seed;
    this.network = new MemoryNetwork({ clock: this.clock, random: seededRandom(seed) });
  }

  /** A node that has not started yet. */
  node(name: string, options: Partial<ClusterOptions<MemoryTransaction>> = {}): Cluster<MemoryTransaction> {
    const random = seededRandom(this.#seed * 1_000 + this.all.length);
    const cluster = createCluster<MemoryTransaction>({ group: "g", node: name, clock: this.clock, random, store: this.store, crashDetection: "lease", channel: { transport: this.network.transport() }, ...options });
    this.all.push(cluster);
    return cluster;
  }

  /** Nodes that start one after the other, until all of them can talk to each other. */
  async start(...names: string[]): Promise<Cluster<MemoryTransaction>[]> {
    const nodes = names.map((name) => this.node(name));
    for (const node of nodes) await this.during(node.start());
    await this.connected(...nodes);
    return nodes;
  }

  async connected(...nodes: readonly Cluster<MemoryTransaction>[]): Promise<void> {
    const reach = (from: Cluster<MemoryTransaction>, to: Cluster<MemoryTransaction>) => from === to || from.channel.reachability(to.self.incarnation)?.connected === true;
    await this.clock.advanceUntil(() => nodes.every((from) => nodes.every((to) => reach(from, to))), 60_000, "everybody is connected");
  }

  /** As a member that is wrong about it would. */
  async declareDead(incarnation: string): Promise<void> {
    const call = { deadlineMs: 1_000 };
    const session = await this.#open();
    const { epoch, presence } = await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [incarnation] }, call);
    const beat = presence[0]?.beat ?? 0;
    assert.ok(await session.declareDead({ incarnation, beat, epoch, requireExpired: false, requireFree: false, by: "nobody", reason: "expired" }, call));
    await session.close();
  }

  /** The text of a document of the group. */
  async document(name: string): Promise<string | undefined> {
    const session = await this.#open();
    const found = await session.readDocument({ name }, { deadlineMs: 1_000 });
    await session.close();
    return found?.text;
  }

  async #open(): Promise<StoreSession> {
    return await this.store.open({ group: "g", node: "nobody", clock: this.clock, random: seededRandom(0), logger: silentLogger, createSchema: false, deadlineMs: 1_000, statementLimitMs: 1_000 });
  }

  /** What the promise comes to, while time passes. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => void (settled = true);
    promise.then(done, done);
    await this.clock.advanceUntil(() => settled, 200_000, "the promise");
    return await promise;
  }

  async stop(): Promise<void> {
    for (const node of this.all) await this.during(node.stop());
    assert.ok(this.all.every((node) => node.health().state === "stopped"));
  }
}
