/** One member with a channel, as a process: does what it is told on standard input, tells on standard output, and ends by itself when nothing of it is left. */
import { createInterface } from "node:readline";
import { createCluster } from "../../../src/cluster/index.ts";
import type { ClusterChannelOptions } from "../../../src/cluster/index.ts";
import { isTribuneError } from "../../../src/kernel/index.ts";

export interface MemberConfig {
  readonly node: string;
  readonly store: string;
  readonly channel: ClusterChannelOptions;
  /** What this member knows when nobody gives it more. */
  readonly notes: readonly string[];
}

export type MemberOrder = { readonly do: "send"; readonly value: unknown; readonly to: readonly string[] | "others" | "all"; readonly deadlineMs?: number } | { readonly do: "stop" };

const config = JSON.parse(process.argv[2] ?? "") as MemberConfig;
const tell = (event: string, detail: Readonly<Record<string, unknown>> = {}) => process.stdout.write(`${JSON.stringify({ event, ...detail })}\n`);
const cluster = createCluster({ group: "g", leaseMs: 8_000, beatMs: 500, node: config.node, store: config.store, channel: config.channel });
const notes = new Set(config.notes);

cluster.channel.listen("news", (message) => {
  tell("heard", { from: message.from.node, value: message.value() });
});
cluster.channel.state("notes", {
  snapshot: (after) => [...notes].filter((note) => note > after).sort().map((note) => ({ bytes: Buffer.from(note), cursor: note })),
  apply: ({ bytes }) => void notes.add(Buffer.from(bytes).toString()),
});
cluster.channel.on("reachability", ({ peer, connected }) => tell("reachability", { peer: peer.node, connected }));
cluster.on("view", ({ view }) => tell("view", { members: view.members.map(({ node }) => node) }));
cluster.on("error", (error) => tell("error", { code: error.code }));

try {
  await cluster.start();
} catch (error) {
  tell("failed", { code: isTribuneError(error) ? error.code : String(error) });
  process.exit();
}
tell("started", { incarnation: cluster.self.incarnation, notes: [...notes].sort() });

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as MemberOrder;
  if (order.do === "stop") break;
  const { results } = await cluster.channel.send("news", order.value, { to: order.to, deadlineMs: order.deadlineMs ?? 20_000 });
  tell("sent", { results: Object.fromEntries([...results].map(([node, { status }]) => [node, status])) });
}
await cluster.stop();
process.stdin.destroy();
process.once("beforeExit", () => tell("ended")); // told only when no socket, timer or server keeps the process
