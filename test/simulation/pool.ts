import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { PlanOptions, ProfileName, RunCounts, RunResult, Violation } from "../../src/testing/index.ts";

/** One seed to run. */
export interface Job extends PlanOptions {
  readonly seed: number;
  readonly profile: ProfileName;
  /** Whether the digest of the history is wanted. */
  readonly digest: boolean;
}

/** What one seed came to. */
export interface Report {
  readonly seed: number;
  readonly profile: ProfileName;
  readonly simulatedMs: number;
  readonly faults: RunResult["faults"];
  /** `undefined` if the run came to no end. */
  readonly counts: RunCounts | undefined;
  readonly violations: readonly Pick<Violation, "check" | "message" | "atMs">[];
  /** What the run cost, with everything that the process did beside: compiling, collecting garbage. */
  readonly cpuMs: number;
  readonly digest?: string;
}

/** How seeds are run. */
export interface PoolOptions {
  readonly workers: number;
  /** The Node to run them with. Default: this one. */
  readonly execPath?: string | undefined;
  readonly onReport: (report: Report) => void;
  readonly signal?: AbortSignal | undefined;
}

/** No run takes a hundredth of it; one that does hangs. */
const LONGEST_RUN_MS = 120_000;

/** Runs jobs in processes side by side, each in the order in which they come. Resolves when all are done, or the signal aborts. */
export async function runJobs(jobs: Iterable<Job>, options: PoolOptions): Promise<void> {
  const waiting = jobs[Symbol.iterator]();
  await Promise.all(Array.from({ length: options.workers }, () => new Worker(options).workOff(waiting)));
}

class Worker {
  readonly #options: PoolOptions;
  #child: ChildProcess | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async workOff(jobs: Iterator<Job>): Promise<void> {
    for (let job = jobs.next(); job.done !== true; job = jobs.next()) {
      const report = await this.#run(job.value);
      if (report === undefined) break;
      this.#options.onReport(report);
    }
    this.#child?.kill();
  }

  /** Resolves with `undefined` if the signal aborted meanwhile. */
  #run(job: Job): Promise<Report | undefined> {
    const { signal } = this.#options;
    if (signal?.aborted === true) return Promise.resolve(undefined);
    const child = (this.#child ??= this.#spawn());
    return new Promise((resolve) => {
      const done = (report: Report | undefined) => {
        clearTimeout(timer);
        child.off("message", heard);
        child.off("exit", gone);
        signal?.removeEventListener("abort", aborted);
        resolve(report);
      };
      const end = (report: Report | undefined) => {
        this.#child = undefined;
        child.kill("SIGKILL");
        done(report);
      };
      const heard = (report: Report) => done(report);
      const gone = (code: number | null, how: string | null) => end(crashed(job, `the process that ran it ended with ${how ?? `code ${code}`}`));
      const aborted = () => end(undefined);
      const timer = setTimeout(() => end(crashed(job, `came to no end within ${LONGEST_RUN_MS / 1_000} s`)), LONGEST_RUN_MS);
      child.on("message", heard);
      child.on("exit", gone);
      signal?.addEventListener("abort", aborted, { once: true });
      child.send(job);
    });
  }

  #spawn(): ChildProcess {
    const { execPath } = this.#options;
    return fork(join(import.meta.dirname, "worker.ts"), { execArgv: [], ...(execPath === undefined ? {} : { execPath }), stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }
}

function crashed({ seed, profile }: Job, message: string): Report {
  return { seed, profile, simulatedMs: 0, faults: {}, counts: undefined, violations: [{ check: "crash", message, atMs: 0 }], cpuMs: 0 };
}
