/**
 * How long a handover takes: from the moment a leader calls `term.resign()` until the successor's term is announced in another process.
 *
 *     node bench/handover.ts --store postgres|sqlite [--rounds 50] [--json]
 */
import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { spread, spreadText } from "./numbers.ts";
import { openPlace } from "./place.ts";
import { BenchNode } from "./processes.ts";

const { values } = parseArgs({ options: { store: { type: "string", default: "sqlite" }, rounds: { type: "string", default: "50" }, json: { type: "boolean", default: false } } });
const rounds = Math.max(1, Math.round(Number(values.rounds)));
/** The defaults of the library. */
const timing = { leaseMs: 4_000, beatMs: 1_000 };

const place = await openPlace(values.store);
const nodes = ["a", "b"].map((node) => new BenchNode({ node, store: place.store, ...timing }));
try {
  for (const node of nodes) await node.next("joined");
  let [leader, other] = nodes as [BenchNode, BenchNode];
  leader.order("contend");
  await leader.next("announced");
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    other.order("contend");
    await other.next("contending");
    // Anywhere in the beat: a handover that waits for a beat must show.
    await pause(100 + Math.random() * timing.beatMs);
    leader.order("resign");
    const [resigning, announced] = await Promise.all([leader.next("resigning"), other.next("announced")]);
    tookMs.push(announced.t - resigning.t);
    [leader, other] = [other, leader];
  }
  const result = { benchmark: "handover", store: place.label, ...timing, ...spread(tookMs) };
  console.log(values.json ? JSON.stringify(result) : `handover on ${place.label}: ${spreadText(result)}`);
} finally {
  await Promise.all(nodes.map((node) => node.end()));
  await place.close();
}
