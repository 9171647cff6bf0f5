import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { reportOf } from "../processes.ts";
import { quantile } from "../statistics.ts";
import type { CarrierName, Operation, Orders, Report } from "./protocol.ts";
import { startTribes } from "./tribes-program.ts";

/** What one round of one carrier gave. */
export interface Round {
  readonly deliveredPerSecond: number;
  /** Of all messages and receivers; 0 for who promises anything. */
  readonly lost: number;
  /** The share of what was received that came after something that was sent later; where it was counted. */
  readonly disordered?: number;
  readonly times: readonly RoundTimes[];
}

export interface RoundTimes {
  readonly operation: Operation;
  readonly lanes: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export type RoundOrders = Pick<Orders, "messages" | "echoes" | "bytes" | "ring" | "server" | "warmUpMs">;

const RECEIVERS = ["receiver-1", "receiver-2"];

/** How long a round may take, before it is given up. */
const PATIENCE_MS = 300_000;

/** One sender and two receivers, each a process of its own, from their start to their end. */
export async function round(carrier: CarrierName, given: RoundOrders): Promise<Round> {
  const children: ChildProcess[] = [];
  const start = (orders: Orders) => {
    const child = carrier.startsWith("tribes") ? startTribes(orders) : startWorker(orders);
    children.push(child);
    return child;
  };
  const late = setTimeout(() => children.forEach((child) => child.kill("SIGKILL")), PATIENCE_MS);
  try {
    const receivers = RECEIVERS.map((name) => ({ name, child: start({ ...given, carrier, name, role: "receiver", targets: [] }) }));
    const targets = await Promise.all(receivers.map(async ({ name, child }) => ({ name, address: (await reportOf<Report, "listening">(child, "listening")).address })));
    const { sent, broadcastMs, times } = await reportOf<Report, "done">(start({ ...given, carrier, name: "sender", role: "sender", targets }), "done");
    let [received, disordered]: [number, number | undefined] = [0, undefined];
    for (const { child } of receivers) {
      child.send("how many?");
      const report = await reportOf<Report, "received">(child, "received");
      received += report.messages;
      if (report.disordered !== undefined) disordered = (disordered ?? 0) + report.disordered;
    }
    return {
      deliveredPerSecond: (RECEIVERS.length * given.messages) / (broadcastMs / 1_000),
      lost: RECEIVERS.length * sent - received,
      ...(disordered === undefined ? {} : { disordered: disordered / received }),
      times: times.map(({ us, ...each }) => ({ ...each, p50Us: quantile(us, 0.5), p99Us: quantile(us, 0.99) })),
    };
  } finally {
    clearTimeout(late);
    for (const each of children) each.kill("SIGKILL");
    await Promise.all(children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map((child) => once(child, "exit")));
  }
}

function startWorker(orders: Orders): ChildProcess {
  const child = fork(join(import.meta.dirname, "worker.ts"));
  child.send(orders);
  return child;
}
