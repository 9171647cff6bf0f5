import type { TestContext } from "node:test";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../src/cluster/index.ts";
import type { ElectionOptions } from "../../src/election/index.ts";
import { atEnd } from "./run.ts";
import type { Place } from "./run.ts";

/** A small group in this process, on the file that the commands look at. */
export function group(t: TestContext, where: Place, ...nodes: string[]): Promise<Cluster[]> {
  return groupWith(t, where, {}, ...nodes);
}

/** The same, with options of the test's own. */
export async function groupWith(t: TestContext, where: Place, options: Partial<ClusterOptions>, ...nodes: string[]): Promise<Cluster[]> {
  const clusters: Cluster[] = [];
  for (const node of nodes) {
    const cluster = createCluster({ group: "billing", node, store: where.store, leaseMs: 20_000, beatMs: 200, metadata: { of: node, evil: "\u001b[2J\u202e" }, ...options });
    await cluster.start();
    atEnd(t, () => cluster.stop());
    clusters.push(cluster);
  }
  return clusters;
}

/** Leads an election in this process; resolves with the first term. */
export function lead(cluster: Cluster, election: string, options?: ElectionOptions): Promise<string> {
  return new Promise((resolve) => {
    void cluster.election(election, options).lead(async (term) => {
      resolve(String(term.token));
      await new Promise<void>((done) => term.signal.addEventListener("abort", () => done(), { once: true }));
    });
  });
}
