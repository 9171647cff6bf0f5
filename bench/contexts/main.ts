import { execFileSync, fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Order, Report } from "./protocol.ts";

const { values } = parseArgs({ options: { contexts: { type: "string", default: "1000" }, properties: { type: "string", default: "100" }, bytes: { type: "string", default: "32" }, rounds: { type: "string", default: "5" }, security: { type: "string", default: "keys" } } });
const [contexts, properties, bytes, rounds] = [Number(values.contexts), Number(values.properties), Number(values.bytes), Number(values.rounds)];

/** Bytes that a process has sent over TCP so far, with everything that the transport adds, as the kernel counts them; NaN where there is no `ss`. */
function sentBytes(pid: number | undefined): number {
  try {
    const lines = execFileSync("ss", ["-tinp", "state", "established"], { encoding: "utf8" }).split("\n");
    let sum = 0;
    for (const [n, line] of lines.entries()) if (line.includes(`pid=${pid},`)) sum += Number(/bytes_sent:(\d+)/.exec(lines[n + 1] ?? "")?.[1] ?? 0);
    return sum;
  } catch {
    return Number.NaN;
  }
}

const folder = mkdtempSync(join(tmpdir(), "tribune-bench-contexts-"));
const processes: ChildProcess[] = [];
try {
  const writer = await start("writer");
  await start("receiver-1");
  await start("receiver-2");
  const filled = await tell(writer.process, { order: "fill", contexts, properties, bytes });
  console.log(`${contexts * properties} properties of ${bytes} characters in ${contexts} contexts, three processes, TCP with ${values.security}. Filled context by context in ${seconds(filled)}. Medians of ${rounds} rounds, acknowledged by both others.\n`);
  console.log("| touched | payload, bytes | sent to two members, bytes | ms until both have it | CPU of the writer, ms |\n| --- | --- | --- | --- | --- |");
  for (const touched of [1, 100, 10_000]) {
    const runs: Array<{ readonly ms: number; readonly cpuMs: number; readonly sizeBytes: number; readonly sent: number }> = [];
    for (let round = 0; round < rounds; round++) {
      const before = sentBytes(writer.process.pid);
      const report = await tell(writer.process, { order: "flush", touched, bytes });
      if (report.kind !== "done" || !report.ok) throw new Error("a flush was not acknowledged");
      runs.push({ ...report, sent: sentBytes(writer.process.pid) - before });
    }
    const of = (name: "ms" | "cpuMs" | "sizeBytes" | "sent") => median(runs.map((run) => run[name]));
    console.log(`| ${touched} | ${of("sizeBytes")} | ${of("sent")} | ${of("ms").toFixed(1)} | ${of("cpuMs").toFixed(1)} |`);
  }
  const joins: Array<{ readonly startMs: number; readonly cpuMs: number }> = [];
  for (let round = 0; round < rounds; round++) {
    const joiner = await start(`joiner-${round}`);
    if (joiner.report.properties !== contexts * properties) throw new Error(`a joiner began with ${joiner.report.properties} properties`);
    joins.push(joiner.report);
    const ended = new Promise((resolve) => joiner.process.once("exit", resolve));
    joiner.process.send({ order: "stop" } satisfies Order);
    await ended;
  }
  console.log(`\nA joiner has all of it when start() resolves: ${median(joins.map(({ startMs }) => startMs)).toFixed(0)} ms from its call, ${median(joins.map(({ cpuMs }) => cpuMs)).toFixed(0)} ms of CPU.`);
  const counted = await tell(writer.process, { order: "count" });
  if (counted.kind === "counted") console.log(`The writer's process has ${counted.rssMb.toFixed(0)} MB.`);
  console.log(`Load average of the machine afterwards: ${loadavg().map((each) => each.toFixed(1)).join(", ")}.`);
} finally {
  for (const each of processes) each.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

async function start(node: string): Promise<{ readonly process: ChildProcess; readonly report: Extract<Report, { kind: "started" }> }> {
  const child = fork(join(import.meta.dirname, "worker.ts"), [node, `sqlite:${join(folder, "cluster.db")}`, values.security]);
  processes.push(child);
  const report = await answer(child);
  if (report.kind !== "started") throw new Error(`${node} did not start`);
  return { process: child, report };
}

function tell(child: ChildProcess, order: Order): Promise<Report> {
  const said = answer(child);
  child.send(order);
  return said;
}

function answer(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    const exited = (code: number | null) => reject(new Error(`a process ended with ${code}`));
    child.once("exit", exited);
    child.once("message", (message) => {
      child.off("exit", exited);
      resolve(message as Report);
    });
  });
}

function seconds(report: Report): string {
  return report.kind === "done" ? `${(report.ms / 1_000).toFixed(1)} s (${report.cpuMs.toFixed(0)} ms of CPU, ${report.sizeBytes} bytes of payload)` : "?";
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
