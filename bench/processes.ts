import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CONFIG_VARIABLE } from "./node.ts";
import type { NodeConfig, Order, Report } from "./node.ts";

const NODE = fileURLToPath(new URL("node.ts", import.meta.url));

/** No report takes longer than this unless something is broken. */
const PATIENCE_MS = 60_000;

/** A node of a benchmark, seen from outside. */
export class BenchNode {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #reports: Report[] = [];
  #wake: (() => void) | undefined;
  #gone: string | undefined;

  constructor(config: NodeConfig) {
    this.name = config.node;
    this.#child = fork(NODE, [], { env: { ...process.env, [CONFIG_VARIABLE]: JSON.stringify(config) }, stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] });
    this.#child.on("message", (report: Report) => {
      this.#reports.push(report);
      this.#wake?.();
    });
    this.#child.once("exit", (code, signal) => {
      this.#gone = signal ?? `code ${code}`;
      this.#wake?.();
    });
    process.once("exit", () => this.#child.kill("SIGKILL"));
  }

  order(order: Order): void {
    this.#child.send(order);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The next report of a kind; reports of other kinds that came before it are dropped. */
  async next<Kind extends Report["report"]>(kind: Kind): Promise<Extract<Report, { readonly report: Kind }>> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      for (let report = this.#reports.shift(); report !== undefined; report = this.#reports.shift()) {
        if (report.report === kind) return report as Extract<Report, { readonly report: Kind }>;
      }
      if (this.#gone !== undefined) throw new Error(`${this.name} ended with ${this.#gone} instead of reporting '${kind}'`);
      if (performance.now() > endMs) throw new Error(`${this.name} did not report '${kind}' within ${PATIENCE_MS} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, endMs - performance.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async end(): Promise<void> {
    if (this.#gone !== undefined) return;
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.kill("SIGKILL");
    await gone;
  }
}
