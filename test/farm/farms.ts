import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../src/cluster/index.ts";
import type { Artifact, FarmHandler, FarmOptions } from "../../src/farm/index.ts";
import { seededRandom, systemClock } from "../../src/kernel/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";

export type TestCluster = Cluster<MemoryTransaction>;

/** Whole nodes with farms, in one process, on one store and one network; their folders are real, so time is too. */
export class Farms {
  readonly folder = mkdtempSync(join(tmpdir(), "tribune-farm-"));
  readonly store = memory({ clock: systemClock });
  readonly network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) });
  readonly all: TestCluster[] = [];
  /** What handlers were called for, as "node method version". */
  readonly log: string[] = [];
  /** The version that runs on each node. */
  readonly running = new Map<string, string>();

  node(name: string, farm: Partial<FarmOptions> = {}, options: Partial<ClusterOptions<MemoryTransaction>> = {}): TestCluster {
    const dir = join(this.folder, name);
    const cluster = createCluster<MemoryTransaction>({
      group: "g",
      node: name,
      store: this.store,
      crashDetection: "lease",
      channel: { transport: this.network.transport() },
      farm: { dir, handlers: { "*": this.handler(name) }, pollMs: 200, ...farm },
      ...options,
    });
    this.all.push(cluster);
    return cluster;
  }

  async start(...names: string[]): Promise<TestCluster[]> {
    const nodes = names.map((name) => this.node(name));
    for (const node of nodes) await node.start();
    return nodes;
  }

  /** One that does nothing but say so, and whatever `over` does. */
  handler(node: string, over: Partial<FarmHandler> = {}): FarmHandler {
    const say = (method: keyof FarmHandler, artifact: Artifact) => void this.log.push(`${node} ${method} ${artifact.version}`);
    return {
      prepare: (artifact, dir, context) => (say("prepare", artifact), over.prepare?.(artifact, dir, context)),
      activate: async (artifact, dir, context) => {
        say("activate", artifact);
        await over.activate?.(artifact, dir, context);
        this.running.set(node, artifact.version);
      },
      health: (artifact, dir, context) => over.health?.(artifact, dir, context),
      deactivate: (artifact) => (say("deactivate", artifact), void this.running.delete(node)),
      discard: (artifact) => say("discard", artifact),
    };
  }

  versions(): (string | undefined)[] {
    return this.all.map(({ node }) => this.running.get(node));
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((node) => node.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const bytes = (words: string) => new Uint8Array(Buffer.from(words));

/** For a suite: makes worlds, and stops them afterwards. */
export function worlds(): () => Farms {
  const made: Farms[] = [];
  after(() => Promise.all(made.map((each) => each.stop())));
  return () => {
    const world = new Farms();
    made.push(world);
    return world;
  };
}

/** Resolves when it holds; for what nothing tells of. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const untilMs = systemClock.monotonicMs() + 30_000; !(await condition()); ) {
    if (systemClock.monotonicMs() > untilMs) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A door that is opened once. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
