import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import { CARRIERS } from "./protocol.ts";
import type { Carrier, Orders, Report } from "./protocol.ts";

/** What one run of one carrier gave. */
interface Run {
  readonly deliveredPerSecond: number;
  readonly echoP50Us: number;
  readonly inFlightPerSecond: number;
  readonly inFlightP50Us: number;
  /** NaN where it does not exist. */
  readonly ackP50Us: number;
  readonly ackInFlightP50Us: number;
  readonly rpcP50Us: number;
  readonly rpcInFlightP50Us: number;
}

const { values } = parseArgs({
  options: { messages: { type: "string", default: "300000" }, echoes: { type: "string", default: "5000" }, rounds: { type: "string", default: "3" }, bytes: { type: "string", default: "1024" }, only: { type: "string" } },
});

const orders = { messages: Number(values.messages), echoes: Number(values.echoes), inFlight: 64, bytes: Number(values.bytes), ring: encodeRing(newRing(systemRandom, 0)) };
const carriers = CARRIERS.filter((carrier) => values.only === undefined || values.only.split(",").includes(carrier));
const runs = new Map<Carrier, Run[]>(carriers.map((carrier) => [carrier, []]));

// By turns, so that what else happens on the machine meets all of them.
for (let round = 0; round < Number(values.rounds); round++) for (const carrier of carriers) runs.get(carrier)?.push(await measure(carrier));

const best = (carrier: Carrier, of: keyof Run) => median((runs.get(carrier) ?? []).map((run) => run[of]));
console.log(`Broadcast of ${orders.bytes} bytes from one process to two others; echo with one of them. Medians of ${values.rounds} rounds, ranges in brackets.\n`);
console.log("| | delivered/s | of raw | echo p50 µs | × raw | 64 in flight: echoes/s | p50 µs | × raw | acknowledged broadcast p50 µs | × raw echo | 64 in flight | × raw | request p50 µs | × raw echo | 64 in flight | × raw |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
for (const carrier of carriers) {
  const raw = carrier.endsWith("keys") || carrier === "raw-tls" ? "raw-tls" : "raw-tcp";
  const all = (runs.get(carrier) ?? []).map((run) => Math.round(run.deliveredPerSecond)).sort((a, b) => a - b);
  const share = (of: keyof Run, than: keyof Run = of) => (best(carrier, of) / best(raw, than)).toFixed(2);
  const us = (of: keyof Run, than: keyof Run = of) => (Number.isNaN(best(carrier, of)) ? "– | –" : `${best(carrier, of).toFixed(0)} | ${share(of, than)}`);
  console.log(`| ${carrier} | ${Math.round(best(carrier, "deliveredPerSecond"))} [${all.at(0)}–${all.at(-1)}] | ${share("deliveredPerSecond")} | ${us("echoP50Us")} | ${Math.round(best(carrier, "inFlightPerSecond"))} | ${us("inFlightP50Us")} | ${us("ackP50Us", "echoP50Us")} | ${us("ackInFlightP50Us", "inFlightP50Us")} | ${us("rpcP50Us", "echoP50Us")} | ${us("rpcInFlightP50Us", "inFlightP50Us")} |`);
}
console.log(`\nLoad average of the machine afterwards: ${loadavg().map((each) => each.toFixed(1)).join(", ")}.`);

async function measure(carrier: Carrier): Promise<Run> {
  const processes: ChildProcess[] = [];
  try {
    const targets = [];
    for (const name of ["receiver-1", "receiver-2"]) {
      const report = await order(processes, { ...orders, carrier, name, role: "receiver", targets: [] });
      if (report.kind === "listening") targets.push({ name, address: report.address });
    }
    const report = await order(processes, { ...orders, carrier, name: "sender", role: "sender", targets });
    if (report.kind !== "done") throw new Error("the sender said something else than that it is done");
    return { deliveredPerSecond: (2 * orders.messages) / (report.broadcastMs / 1_000), echoP50Us: median(report.echoUs), inFlightPerSecond: report.inFlightPerSecond, inFlightP50Us: median(report.inFlightUs), ackP50Us: median(report.ackUs), ackInFlightP50Us: median(report.ackInFlightUs), rpcP50Us: median(report.rpcUs), rpcInFlightP50Us: median(report.rpcInFlightUs) };
  } finally {
    for (const each of processes) each.kill("SIGKILL");
  }
}

function order(processes: ChildProcess[], given: Orders): Promise<Report> {
  const child = fork(join(import.meta.dirname, "worker.ts"));
  processes.push(child);
  child.send(given);
  return new Promise((resolve, reject) => {
    child.once("message", (message) => resolve(message as Report));
    child.once("exit", (code) => reject(new Error(`${given.name} ended with ${code}`)));
  });
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
