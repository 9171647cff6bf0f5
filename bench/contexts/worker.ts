import { createCluster } from "../../src/cluster/index.ts";
import type { Order, Report } from "./protocol.ts";

/** A member as a process of its own. */
const [, , node = "", store = "", security = ""] = process.argv;

const cluster = createCluster({ group: "bench", node, store, preset: "calm", crashDetection: "lease", channel: { host: "127.0.0.1", ...(security === "plaintext" ? { security: "plaintext" } : {}) }, contexts: true });
const [beganMs, cpu] = [performance.now(), process.cpuUsage()];
await cluster.start();
say({ kind: "started", startMs: performance.now() - beganMs, cpuMs: since(cpu), properties: cluster.contexts.stats.properties });

process.on("message", (order: Order) => void obey(order));

async function obey(order: Order): Promise<void> {
  if (order.order === "stop") {
    await cluster.stop();
    process.disconnect();
  } else if (order.order === "count") say({ kind: "counted", properties: cluster.contexts.stats.properties, rssMb: process.memoryUsage().rss / 2 ** 20 });
  else if (order.order === "fill") await fill(order);
  else await flush(order);
}

async function fill({ contexts, properties, bytes }: Extract<Order, { order: "fill" }>): Promise<void> {
  const [fromMs, cpu] = [performance.now(), process.cpuUsage()];
  await cluster.contexts.create("root");
  let sizeBytes = 0;
  let ok = true;
  for (let c = 0; c < contexts; c++) {
    const context = await cluster.contexts.create(`root/context-${c}`);
    for (let p = 0; p < properties; p++) context.set(`property-${p}`, value(bytes, p));
    const report = await context.flush();
    sizeBytes += report.sizeBytes;
    ok &&= report.ok;
  }
  say({ kind: "done", ms: performance.now() - fromMs, cpuMs: since(cpu), sizeBytes, ok });
}

/** Touches properties all over the tree, and flushes. */
async function flush({ touched, bytes }: Extract<Order, { order: "flush" }>): Promise<void> {
  const all = cluster.contexts.list("root");
  const chosen = Array.from({ length: touched }, (_, n) => ({ path: all[n % all.length] ?? "", key: `property-${Math.floor(n / all.length)}` }));
  for (const { path, key } of chosen) cluster.contexts.get(path)?.set(key, value(bytes, ++changes));
  const [fromMs, cpu] = [performance.now(), process.cpuUsage()];
  const { sizeBytes, ok, results } = await cluster.contexts.flush();
  if (!ok) console.error([...results].map(([name, result]) => `${name}: ${JSON.stringify(result)}`).join(", "));
  say({ kind: "done", ms: performance.now() - fromMs, cpuMs: since(cpu), sizeBytes, ok });
}

let changes = 0;

function value(bytes: number, n: number): string {
  return `${n}`.padEnd(bytes, "x");
}

function since(cpu: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 1_000;
}

function say(report: Report): void {
  process.send?.(report);
}
