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
        child.off("message", reported);
        child.off("exit", exited);
        child.off("error", failed);
        resolve(outcome);
      };
      const end = (outcome: Outcome) => {
        this.close();
        settle(outcome);
      };
      const reported = (report: unknown) => settle(report as Report);
      const exited = (code: number | null, signal: string | null) => end({ kind: "crashed", message: `its process ended with ${signal ?? `code ${code}`}` });
      const failed = (error: Error) => end({ kind: "crashed", message: error.message });
      const timer = setTimeout(() => end({ kind: "hung", afterMs: this.#runLimitMs }), this.#runLimitMs);
      child.on("message", reported);
      child.on("exit", exited);
      child.on("error", failed);
      child.send(order);
    });
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  #begin(): Promise<ChildProcess> {
    const child = fork(RUNNER, this.#mutant === undefined ? [] : [JSON.stringify(this.#mutant)], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [`--max-old-space-size=${HEAP_MB}`] });
    running.add(child);
    child.once("exit", () => running.delete(child));
    child.on("error", () => undefined); // whoever waits for it listens as well
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4_000)));
    return new Promise((resolve, reject) => {
      const ready = () => {
        child.off("exit", gone);
        resolve(child);
      };
      const gone = (code: number | null, signal: string | null) => {
        child.off("message", ready);
        reject(new Error(`${this.#mutant?.name ?? "the correct code"} could not be begun (${signal ?? `code ${code}`}): ${/^\w*Error: (.*)$/m.exec(said)?.[1] ?? said}`));
      };
      child.once("message", ready);
      child.once("exit", gone);
    });
  }
}
