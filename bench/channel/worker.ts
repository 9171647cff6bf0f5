import type { Lines } from "./lines.ts";
import { LANES, OPERATIONS } from "./protocol.ts";
import type { Orders, Report, Times } from "./protocol.ts";
import { wayOf } from "./ways.ts";

/** The first of all, by which it warms up, are not counted. */
const WARM_UP = 0.2;

process.once("message", (message) => {
  run(message as Orders).catch((error: unknown) => report({ kind: "failed", message: String(error instanceof Error ? error.stack : error) }));
});
process.once("disconnect", () => process.exit(0));

async function run(orders: Orders): Promise<void> {
  const way = await wayOf(orders.carrier);
  if (orders.role === "receiver") {
    let messages = 0;
    const address = await way.listen(orders, () => void messages++);
    process.on("message", () => report({ kind: "received", messages }));
    report({ kind: "listening", address });
    return;
  }
  const lines = await way.dial(orders);
  const warmUp = Math.ceil(orders.messages * WARM_UP);
  await broadcast(lines, warmUp);
  const broadcastMs = await broadcast(lines, orders.messages);
  const times: Times[] = [];
  for (const operation of OPERATIONS) {
    const work = lines.operations[operation];
    if (work === undefined) continue;
    for (const lanes of LANES) times.push({ operation, lanes, ...(await repeat(work, lanes, lanes === 1 ? orders.echoes : 4 * orders.echoes)) });
  }
  report({ kind: "done", sent: warmUp + orders.messages, broadcastMs, times });
}

/** From the first message until every receiver has said that it has handled one that was sent after the last. */
async function broadcast(lines: Lines, messages: number): Promise<number> {
  const beganMs = performance.now();
  for (let n = 0; n < messages; n++) await lines.broadcast();
  await lines.operations.acknowledged?.();
  return performance.now() - beganMs;
}

/** The same work again and again, so many at a time. */
async function repeat(work: () => Promise<unknown>, lanes: number, count: number): Promise<{ readonly perSecond: number; readonly us: readonly number[] }> {
  const warmUp = Math.floor(count * WARM_UP);
  const us: number[] = [];
  let begun = 0;
  let beganMs = performance.now();
  const lane = async () => {
    while (begun < count + warmUp) {
      if (begun++ === warmUp) beganMs = performance.now();
      const sentMs = performance.now();
      await work();
      us.push((performance.now() - sentMs) * 1_000);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { perSecond: count / ((performance.now() - beganMs) / 1_000), us: us.slice(warmUp) };
}

function report(what: Report): void {
  process.send?.(what);
}
