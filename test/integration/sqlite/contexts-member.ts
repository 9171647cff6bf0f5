import { createCluster } from "../../../src/cluster/index.ts";
import type { Context } from "../../../src/contexts/index.ts";

/** A member with contexts, as a process of its own. It is told by messages what to do, and answers each with what it came to. */
const [, , node = "", store = "", durable = ""] = process.argv;
const cluster = createCluster({ group: "g", node, store, preset: "default", channel: { host: "127.0.0.1" }, contexts: { durable: durable === "durable", repairMs: 1_000, durableMs: 200 } });
await cluster.start();

const there = (path: string): Context => {
  const context = cluster.contexts.get(path);
  if (context === undefined) throw new Error(`${node} has no ${path}`);
  return context;
};

const orders: Readonly<Record<string, (...args: readonly never[]) => unknown>> = {
  set: async (path: string, values: Record<string, unknown>) => {
    const context = await cluster.contexts.open(path);
    for (const [key, value] of Object.entries(values)) context.set(key, value);
    const { ok, properties } = await cluster.contexts.flush();
    return { ok, properties };
  },
  get: (path: string) => Object.fromEntries(there(path).entries()),
  setIf: (path: string, key: string, value: unknown, ifVersion: string | null) => there(path).set(key, value, { ifVersion }),
  remove: async (path: string) => (await cluster.contexts.remove(path, { recursive: true })).ok,
  /** Waits until it is in a view of so many, and can talk to all of them. */
  members: (count: number) =>
    new Promise<void>((resolve) => {
      const look = () => {
        const others = cluster.view.members.filter(({ incarnation }) => incarnation !== cluster.self.incarnation);
        if (others.length === count - 1 && others.every(({ incarnation }) => cluster.channel.reachability(incarnation)?.connected === true)) resolve();
      };
      cluster.on("view", look);
      cluster.channel.on("reachability", look);
      look();
    }),
  stop: () => cluster.stop(),
};

process.on("message", ({ id, order, args }: { id: number; order: string; args: never[] }) => {
  void (async () => {
    try {
      process.send?.({ id, value: (await orders[order]?.(...args)) ?? null });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? `${(error as { code?: string }).code} ${error.message}` : String(error) });
    }
    if (order === "stop") process.disconnect();
  })();
});
process.send?.({ id: 0, value: "started" });
