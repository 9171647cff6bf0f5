import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import type { Order, Report } from "./runner.ts";

/** What a seed came to; `hung`: the run did not end in time, and its process was ended. */
export type Outcome = Report | { readonly kind: "hung"; readonly afterMs: number };

/** A run takes a quarter of a second; this is for one that never ends. */
const RUN_LIMIT_MS = 60_000;

/** A run that makes objects without end is to end itself, not the machine. */
const HEAP_MB = 1_024;

const RUNNER = join(import.meta.dirname, "runner.ts");

/** All processes that are there now. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process of its own for one mutant, or for the correct code, that plays one seed after the other. Another one takes its place when it is gone. */
export class Subject {
  readonly #mutant: Mutant | undefined;
  readonly #runLimitMs: number;
  #child: ChildProcess | undefined;

  constructor(mutant: Mutant | undefined, runLimitMs = RUN_LIMIT_MS) {
    this.#mutant = mutant;
    this.#runLimitMs = runLimitMs;
  }

  /** Plays a seed. Throws if the process could not be begun, as when the mutant does not fit the source. */
  async play(order: Order): Promise<Outcome> {
    const child = (this.#child ??= await this.#begin());
    return await new Promise((resolve) => {
      const settle = (outcome: Outcome) => {
        clearTimeout(timer);
        child.removeAllListeners("message");
        child.removeAllListeners("exit");
        if (outcome.kind === "hung" || child.exitCode !== null || child.signalCode !== null) this.close();
        resolve(outcome);
      };
      const timer = setTimeout(() => settle({ kind: "hung", afterMs: this.#runLimitMs }), this.#runLimitMs);
      child.once("message", (report) => settle(report as Report));
      child.once("exit", (code, signal) => settle({ kind: "crashed", message: `its process ended with ${signal ?? `code ${code}`}` }));
      child.send(order);
    });
  }

  close(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.removeAllListeners();
    child.on("error", () => undefined);
    child.kill("SIGKILL");
    running.delete(child);
  }

  #begin(): Promise<ChildProcess> {
    const child = fork(RUNNER, this.#mutant === undefined ? [] : [JSON.stringify(this.#mutant)], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [`--max-old-space-size=${HEAP_MB}`] });
    running.add(child);
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4_000)));
    return new Promise((resolve, reject) => {
      child.once("message", () => {
        child.removeAllListeners("exit");
        resolve(child);
      });
      child.once("exit", (code, signal) => {
        running.delete(child);
        reject(new Error(`${this.#mutant?.name ?? "the correct code"} could not be begun (${signal ?? `code ${code}`}): ${/^(?:\w*Error: )(.*)$/m.exec(said)?.[1] ?? said}`));
      });
      child.once("error", reject);
    });
  }
}
