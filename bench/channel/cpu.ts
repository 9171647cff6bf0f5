/**
 * What an operation costs the processor, by the kernel's count, for the sender and for both receivers together: on a machine that others use at the same time it says more than how long it took.
 *
 *     node bench/channel/cpu.ts [CARRIER …]       default: raw TCP and TLS, batched by hand, and the channel over each
 *     node --cpu-prof bench/channel/cpu.ts channel-plaintext
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import { table } from "../markdown.ts";
import { spread } from "../statistics.ts";
import { OPERATIONS } from "./protocol.ts";
import type { CarrierName, Orders, Report } from "./protocol.ts";
import { wayOf } from "./ways.ts";

const ROUNDS = 3;
const BROADCASTS = 150_000;
const OTHERS = 40_000;
const LANES = 64;
/** The kernel counts in these, in microseconds. */
const TICK_US = 10_000;

interface Cost {
  readonly senderUs: number;
  readonly receiversUs: number;
}

/** One round of one carrier: microseconds per operation. */
async function costs(carrier: CarrierName, ring: string): Promise<Map<string, Cost>> {
  const orders: Omit<Orders, "role" | "name" | "targets"> = { carrier, ring, server: "", messages: 0, warmUpMs: 0, echoes: 0, bytes: 1_024 };
  const receivers: ChildProcess[] = [];
  try {
    const targets: Array<{ readonly name: string; readonly address: string }> = [];
    for (const name of ["receiver-1", "receiver-2"]) {
      const child = fork(join(import.meta.dirname, "worker.ts"));
      receivers.push(child);
      child.send({ ...orders, name, role: "receiver", targets: [] });
      const [report] = (await once(child, "message")) as [Report];
      if (report.kind !== "listening") throw new Error(`${name} of ${carrier} does not listen`);
      targets.push({ name, address: report.address });
    }
    const lines = await (await wayOf(carrier)).dial({ ...orders, name: "sender", role: "sender", targets });
    const found = new Map<string, Cost>();
    const measure = async (what: string, count: number, work: (count: number) => Promise<void>) => {
      await work(count / 3);
      const [own, others] = [process.cpuUsage(), cpuUs(receivers)];
      await work(count);
      const { user, system } = process.cpuUsage(own);
      found.set(what, { senderUs: (user + system) / count, receiversUs: (cpuUs(receivers) - others) / count });
    };
    await measure("broadcast", BROADCASTS, async (count) => {
      for (let n = 0; n < count; n++) await lines.broadcast();
      await lines.operations.acknowledged?.();
    });
    for (const operation of OPERATIONS) {
      const work = lines.operations[operation];
      if (work === undefined) continue;
      await measure(operation, OTHERS, async (count) => {
        let begun = 0;
        const lane = async () => {
          while (begun++ < count) await work();
        };
        await Promise.all(Array.from({ length: LANES }, lane));
      });
    }
    return found;
  } finally {
    for (const each of receivers) each.kill("SIGKILL");
  }
}

function cpuUs(processes: readonly ChildProcess[]): number {
  let ticks = 0;
  for (const { pid } of processes) {
    const [user, system] = (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "").split(" ").slice(11, 13);
    ticks += Number(user) + Number(system);
  }
  return ticks * TICK_US;
}

const ring = encodeRing(newRing(systemRandom, 0));
const wanted = (process.argv.length > 2 ? process.argv.slice(2) : ["raw-tcp", "channel-plaintext", "raw-tls", "channel-keys"]) as CarrierName[];
const measured = new Map<string, { readonly carrier: CarrierName; readonly what: string; readonly costs: Cost[] }>();
for (let round = 0; round < ROUNDS; round++) {
  for (const carrier of wanted) {
    for (const [what, cost] of await costs(carrier, ring)) {
      const key = `${what} ${carrier}`;
      const row = measured.get(key) ?? { carrier, what, costs: [] };
      row.costs.push(cost);
      measured.set(key, row);
    }
  }
}
const shown = (values: readonly number[]) => {
  const { p50, min, max } = spread(values);
  return `${p50.toFixed(1)} [${min.toFixed(1)}–${max.toFixed(1)}]`;
};
const rows = [...measured.values()].map((row) => [row.what, row.carrier, shown(row.costs.map(({ senderUs }) => senderUs)), shown(row.costs.map(({ receiversUs }) => receiversUs)), shown(row.costs.map(({ senderUs, receiversUs }) => senderUs + receiversUs))]);
console.log(table(["", "carrier", "sender, µs", "both receivers, µs", "together"], rows));
process.exit();
