import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import type { Order, Report } from "./runner.ts";

/** A run that came to no end: its process is gone, or did not end it in time and was ended. */
export type Trouble = { readonly kind: "crashed"; readonly message: string } | { readonly kind: "hung"; readonly afterMs: number };

/** What a seed came to. */
export type Outcome = Report | Trouble;

/** A run takes a quarter of a second; this is for one that never ends. */
const RUN_LIMIT_MS = 60_000;

/** A run that makes objects without end is to end itself, not the machine. */
const HEAP_MB = 1_024;

const RUNNER = join(import.meta.dirname, "runner.ts");

/** What plays, where it is not a simulation. */
export interface SubjectOptions {
  /** A program that says "ready", and then answers each order with what came of it; and what it is told before the mutant. Default: `runner.ts`. */
  readonly program?: readonly [file: string, ...args: readonly string[]];
  /** For Node itself, beside the bound of the heap. */
  readonly execArgv?: readonly string[];
  readonly runLimitMs?: number;
}

/** All processes that are there now. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process of its own for one mutant, or for the correct code, that plays one seed after the other. Another one takes its place when it is gone. */
export class Subject<Asked extends object = Order, Answer = Report> {
  readonly #mutant: Mutant | undefined;
  readonly #program: readonly [file: string, ...args: readonly string[]];
  readonly #execArgv: readonly string[];
  readonly #runLimitMs: number;
  #child: ChildProcess | undefined;

  constructor(mutant: Mutant | undefined, { program = [RUNNER], execArgv = [], runLimitMs = RUN_LIMIT_MS }: SubjectOptions = {}) {
    this.#mutant = mutant;
    this.#program = program;
    this.#execArgv = execArgv;
    this.#runLimitMs = runLimitMs;
  }

  /** Plays a seed. Throws if the process could not be begun, as when the mutant does not fit the source. */
  async play(order: Asked): Promise<Answer | Trouble> {
    const child = (this.#child ??= await this.#begin());
    return await new Promise((resolve) => {
      const settle = (outcome: Answer | Trouble) => {
        clearTimeout(timer);
        child.off("message", reported);
        child.off("exit", exited);
        child.off("error", failed);
        resolve(outcome);
      };
      const end = (outcome: Trouble) => {
        this.close();
        settle(outcome);
      };
      const reported = (report: unknown) => settle(report as Answer);
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
    const [file, ...args] = this.#program;
    const child = fork(file, [...args, ...(this.#mutant === undefined ? [] : [JSON.stringify(this.#mutant)])], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [`--max-old-space-size=${HEAP_MB}`, ...this.#execArgv] });
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
