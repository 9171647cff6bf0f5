import { execFileSync, fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reportOf } from "../processes.ts";
import { quantile } from "../statistics.ts";
import { TOUCHED } from "./protocol.ts";
import type { Beginning, Keeper, KeeperName, Order, Report } from "./protocol.ts";

/** How much there is, and how often one thing is done in a round. */
export interface Size {
  readonly contexts: number;
  /** In each context. */
  readonly properties: number;
  readonly bytes: number;
  readonly flushes: number;
}

/** What one round of one keeper gave; medians where a thing was done more than once. */
export interface Round {
  readonly fillMs: number;
  readonly flushes: ReadonlyArray<{ readonly touched: number } & Figures>;
  readonly join: { readonly ms: number; readonly cpuMs: number };
  readonly rssMib: number;
}

export interface Figures {
  readonly ms: number;
  /** Of the writer's processor. */
  readonly cpuMs: number;
  readonly payloadBytes: number;
  /** By TCP of the writer, and of all processes and the server together, as the kernel counts them; NaN where there is no `ss`. */
  readonly writerBytes: number;
  readonly allBytes: number;
}

/** A round takes no longer, or is given up. */
const PATIENCE_MS = 240_000;

/** A writer, two others, and one that comes later, each a process of its own, from their start to their end. */
export async function round(keeper: Keeper & { readonly name: KeeperName }, size: Size, server: { readonly url: string; readonly pid: number } | undefined): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), "tribune-bench-contexts-"));
  const children: ChildProcess[] = [];
  const late = setTimeout(() => children.forEach((child) => child.kill("SIGKILL")), PATIENCE_MS);
  const start = async (node: string, writerAt: string) => {
    const place = keeper.kind === "ours" ? `sqlite:${join(folder, "cluster.db")}` : (server?.url ?? writerAt);
    const child = fork(join(import.meta.dirname, "worker.ts"), [JSON.stringify({ keeper: keeper.name, node, place } satisfies Beginning)]);
    children.push(child);
    return { child, report: await reportOf<Report, "started">(child, "started") };
  };
  try {
    const writer = await start("writer", "");
    await start("receiver-1", writer.report.address);
    await start("receiver-2", writer.report.address);
    const pids = () => [...children.map(({ pid }) => pid ?? 0), ...(server === undefined ? [] : [server.pid])];
    const { contexts, properties, bytes } = size;
    const filled = await tell(writer.child, { order: "fill", contexts, properties, bytes }, "done");
    const flushes = [];
    for (const touched of TOUCHED.filter((each) => each <= contexts * properties)) {
      const runs: Figures[] = [];
      for (let n = 0; n < size.flushes; n++) {
        const before = pids().map(sentBytes);
        const { ms, cpuMs, payloadBytes } = await tell(writer.child, { order: "flush", touched, contexts, bytes }, "done");
        const sent = pids().map((pid, at) => sentBytes(pid) - (before[at] ?? 0));
        runs.push({ ms, cpuMs, payloadBytes, writerBytes: sent[0] ?? Number.NaN, allBytes: sent.reduce((sum, each) => sum + each, 0) });
      }
      flushes.push({ touched, ...medians(runs) });
    }
    const { rssMib } = await tell(writer.child, { order: "count" }, "counted");
    const joiner = await start("joiner", writer.report.address);
    if (joiner.report.properties !== contexts * properties) throw new Error(`who joined began with ${joiner.report.properties} properties of ${contexts * properties}`);
    for (const child of [...children].reverse()) {
      const ended = once(child, "exit");
      child.send({ order: "stop" } satisfies Order);
      await ended;
    }
    return { fillMs: filled.ms, flushes, join: { ms: joiner.report.startMs, cpuMs: joiner.report.cpuMs }, rssMib };
  } finally {
    clearTimeout(late);
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map((child) => once(child, "exit")));
    await rm(folder, { recursive: true, force: true });
  }
}

function medians(runs: readonly Figures[]): Figures {
  const of = (name: keyof Figures) => quantile(runs.map((run) => run[name]), 0.5);
  return { ms: of("ms"), cpuMs: of("cpuMs"), payloadBytes: of("payloadBytes"), writerBytes: of("writerBytes"), allBytes: of("allBytes") };
}

/** Bytes that a process has sent by TCP so far, with everything that is sent over a connection, what was sent again included. */
function sentBytes(pid: number): number {
  try {
    const lines = execFileSync("ss", ["-tinp", "state", "established"], { encoding: "utf8", maxBuffer: 2 ** 26 }).split("\n");
    return lines.reduce((sum, line, n) => sum + (line.includes(`pid=${pid},`) ? Number(/bytes_sent:(\d+)/.exec(lines[n + 1] ?? "")?.[1] ?? 0) : 0), 0);
  } catch {
    return Number.NaN;
  }
}

async function tell<Kind extends Report["kind"]>(child: ChildProcess, order: Order, kind: Kind): Promise<Extract<Report, { readonly kind: Kind }>> {
  const said = reportOf<Report, Kind>(child, kind);
  child.send(order);
  return await said;
}
