import { createCluster } from "../../src/cluster/index.ts";
import type { Beginning, Change, Copy } from "./protocol.ts";

/** A member of a group with replicated contexts. */
export async function join({ keeper, node, place }: Beginning): Promise<Copy> {
  const cluster = createCluster({ group: "bench", node, store: place, preset: "calm", crashDetection: "lease", channel: { host: "127.0.0.1", ...(keeper === "contexts-plaintext" ? { security: "plaintext" } : {}) }, contexts: true });
  await cluster.start();
  const { contexts } = cluster;
  const pathOf = (c: number) => `root/context-${c}`;
  const there = async (c: number) => {
    if (contexts.get("root") === undefined) await contexts.create("root");
    return contexts.get(pathOf(c)) ?? (await contexts.create(pathOf(c)));
  };
  return {
    address: "",
    count: () => contexts.stats.properties,
    async set(changes: readonly Change[]) {
      for (const { c, p, value } of changes) (contexts.get(pathOf(c)) ?? (await there(c))).set(`property-${p}`, value);
      const { sizeBytes, ok, results } = await contexts.flush();
      if (!ok) throw new Error(`a flush was not acknowledged: ${[...results].map(([name, result]) => `${name}: ${JSON.stringify(result)}`).join(", ")}`);
      return sizeBytes;
    },
    stop: async () => await cluster.stop(),
  };
}
