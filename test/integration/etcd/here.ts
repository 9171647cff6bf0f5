import { after, describe, it } from "node:test";
import { createCluster } from "../../../src/cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../../src/cluster/index.ts";
import type { Term } from "../../../src/election/index.ts";
import { systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { StoreProvider } from "../../../src/store/index.ts";
import { Scene } from "../../../src/testing/conformance/scene.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import type { EtcdCluster, EtcdClusterOptions } from "../../support/etcd-server.ts";
import { skipReason } from "../../support/required.ts";

type Ending = { after(end: () => Promise<void>): void };

/** A group of tests with an etcd cluster of their own; skipped in plain sight where there is none to be had. */
export async function describeWithEtcd(title: string, options: EtcdClusterOptions, body: (cluster: EtcdCluster) => void | Promise<void>): Promise<void> {
  const programs = await findEtcd();
  if ("missing" in programs) {
    void it.skip(`${title}: ${skipReason("etcd", programs.missing)}`);
    return;
  }
  const cluster = await startEtcd({ ...options, programs });
  await describe(title, { timeout: 180_000 }, async () => {
    after(async () => await cluster.stop());
    await body(cluster);
  });
}

/** The cast of a test: members with sessions of their own on `provider`, which end with the test. */
export function sceneOn(t: Ending, provider: StoreProvider): Scene {
  const scene = new Scene({ place: { provider }, clock: systemClock, random: systemRandom });
  t.after(async () => {
    await scene.end();
    await provider.close();
  });
  return scene;
}

/** When somebody believed to lead, on one clock. `until` is the instant at which its signal was aborted. */
export interface Belief {
  readonly node: string;
  readonly token: number;
  readonly fromMs: number;
  untilMs: number;
}

/** A node that contends for `scheduler` for as long as the test lasts, and notes what it believes. */
export async function contender(t: Ending, beliefs: Belief[], options: Partial<ClusterOptions> & { readonly node: string; readonly store: StoreProvider }): Promise<Cluster> {
  const cluster = createCluster({ group: "billing", leaseMs: 3_000, beatMs: 500, ...options });
  t.after(async () => {
    await cluster.stop();
    await options.store.close();
  });
  await cluster.start();
  cluster.election("scheduler").lead(async (term: Term) => {
    const belief: Belief = { node: options.node, token: term.token, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY };
    beliefs.push(belief);
    await new Promise<void>((resolve) => {
      const over = () => {
        belief.untilMs = performance.now();
        resolve();
      };
      if (term.signal.aborted) over();
      else term.signal.addEventListener("abort", over, { once: true });
    });
  }).catch(() => undefined); // ends with the node
  return cluster;
}

/** Resolves when `condition` holds, which is asked all the time; rejects with `what` if it never does. */
export async function until<T>(what: string, condition: () => T | undefined | false, withinMs = 60_000): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = condition();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Two beliefs of different nodes that hold at one instant, if there are any; and tokens that do not grow. */
export function contradictions(beliefs: readonly Belief[]): readonly string[] {
  const inOrder = beliefs.toSorted((a, b) => a.fromMs - b.fromMs);
  return inOrder.flatMap((later, n) => {
    const earlier = inOrder[n - 1];
    if (earlier === undefined) return [];
    return [
      ...(earlier.untilMs > later.fromMs ? [`${later.node} believed to lead ${earlier.untilMs - later.fromMs} ms before ${earlier.node} stopped`] : []),
      ...(later.token <= earlier.token ? [`token ${later.token} came after ${earlier.token}`] : []),
    ];
  });
}
