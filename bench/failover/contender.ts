import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { CONFIG_VARIABLE } from "./protocol.ts";
import type { ContenderConfig, Order, Report, TraceLine } from "./protocol.ts";
import { hostMonotonicMs } from "../../src/testing/history/index.ts";

/** A term as it was announced. */
export interface Announced {
  readonly t: number;
  readonly token: number | string | null;
}

/** A contender's process, seen from outside: what it said last. */
export class Contender {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #onChange: () => void;
  #gone: string | undefined;
  ready: string | undefined;
  /** The term that it holds, as far as it has said. */
  holds: Announced | undefined;
  announced = 0;
  lastEnded: { readonly t: number; readonly trustEndMs: number | null } | undefined;
  handingOverMs: number | undefined;
  watching = false;
  /** Inside of a transaction that waits to be told to go on; and what became of it. */
  isWriting = false;
  outcome: string | undefined;
  members: readonly string[] = [];
  coordinator: string | null = null;
  trace: readonly TraceLine[] | undefined;
  readonly failures: string[] = [];

  constructor(file: string, config: ContenderConfig, onChange: () => void) {
    this.name = config.node;
    this.#onChange = onChange;
    this.#child = fork(file, [], { env: { ...process.env, [CONFIG_VARIABLE]: JSON.stringify(config) }, stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    this.#child.stderr?.on("data", (data: Buffer) => {
      this.failures.push(String(data).slice(0, 2_000));
      if (this.failures.length > 20) this.failures.shift();
    });
    this.#child.on("message", (report: Report) => {
      this.#take(report);
      onChange();
    });
    this.#child.once("exit", (code, signal) => {
      this.#gone = signal ?? `code ${code}`;
      onChange();
    });
    this.#child.on("error", (error) => this.failures.push(String(error)));
    running.add(this.#child);
    this.#child.once("exit", () => running.delete(this.#child));
  }

  get gone(): string | undefined {
    return this.#gone;
  }

  #take(report: Report): void {
    switch (report.report) {
      case "ready":
        this.ready = report.detail;
        return;
      case "resting":
        this.ready = undefined;
        return;
      case "announced":
        this.holds = report;
        this.announced += 1;
        return;
      case "ended":
        this.holds = undefined;
        this.lastEnded = report;
        return;
      case "handing-over":
        this.handingOverMs = report.t;
        return;
      case "watching":
        this.watching = true;
        return;
      case "inside":
        this.isWriting = true;
        return;
      case "outcome":
        this.outcome = report.outcome;
        return;
      case "view":
        this.members = report.members;
        this.coordinator = report.coordinator;
        return;
      case "trace":
        this.trace = report.lines;
        return;
      case "failed":
        this.failures.push(report.message);
        return;
      default:
        report satisfies never;
    }
  }

  order(order: Order): void {
    if (this.#child.connected) this.#child.send(order);
  }

  /** Sends a signal, and answers when. */
  signal(signal: NodeJS.Signals): number {
    const t = hostMonotonicMs();
    this.#child.kill(signal);
    return t;
  }

  async end(): Promise<void> {
    if (this.#gone !== undefined) return;
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.kill("SIGKILL");
    await gone;
    this.#onChange();
  }
}

/** None may outlive the benchmark, stopped ones least of all. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
