import { join } from "./ours.ts";
import type { Beginning, Change, Copy, Order, Report } from "./protocol.ts";

/** One process with a copy of all properties; see protocol.ts. */
const beginning = JSON.parse(process.argv[2] ?? "{}") as Beginning;

process.once("disconnect", () => process.exit(0));
run().catch(failed);

async function run(): Promise<void> {
  const begin = beginning.keeper.startsWith("contexts") ? join : ((await import(`../peers/${beginning.keeper}.mjs`)) as { readonly join: typeof join }).join;
  const [copy, { ms, cpuMs }] = await timed(async () => await begin(beginning));
  let rounds = 0;
  process.on("message", (order: Order) => void obey(copy, order, rounds++).catch(failed));
  say({ kind: "started", startMs: ms, cpuMs, properties: copy.count(), address: copy.address });
}

async function obey(copy: Copy, order: Order, round: number): Promise<void> {
  switch (order.order) {
    case "fill": {
      const value = (p: number) => `${p}`.padEnd(order.bytes, "x");
      const [payloadBytes, times] = await timed(async () => {
        let sum = 0;
        for (let c = 0; c < order.contexts; c++) sum += await copy.set(Array.from({ length: order.properties }, (_, p) => ({ c, p, value: value(p) })));
        return sum;
      });
      return say({ kind: "done", payloadBytes, ...times });
    }
    case "flush": {
      const changes = Array.from({ length: order.touched }, (_, n): Change => ({ c: n % order.contexts, p: Math.floor(n / order.contexts), value: `${round}/${n}`.padEnd(order.bytes, "y") }));
      const [payloadBytes, times] = await timed(async () => await copy.set(changes));
      return say({ kind: "done", payloadBytes, ...times });
    }
    case "count":
      return say({ kind: "counted", properties: copy.count(), rssMib: process.memoryUsage.rss() / 2 ** 20 });
    case "stop":
      await copy.stop();
      process.disconnect();
  }
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [T, { readonly ms: number; readonly cpuMs: number }]> {
  const [fromMs, cpu] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  return [result, { ms: performance.now() - fromMs, cpuMs: (user + system) / 1_000 }];
}

function say(report: Report): void {
  process.send?.(report);
}

function failed(error: unknown): void {
  say({ kind: "failed", message: String(error instanceof Error ? error.stack : error) });
}
