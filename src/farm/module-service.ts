import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { ResourceLimits } from "node:worker_threads";
import { Complaints, shown, sleep, systemClock, toTribuneError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock } from "../kernel/index.ts";
import type { Artifact, FarmHandler, HandlerContext } from "./options.ts";
import { checkPath } from "./tar-header.ts";
import type { WorkerAnswer, WorkerCall } from "./module-worker.ts";

/** How a directory of ES modules is run. */
export interface ModuleServiceOptions {
  /** The module in it that is loaded. Default "index.js". */
  readonly entry?: string;
  /** How long loading it, its `start`, its `stop` and each `health` may take, in milliseconds. Default 10000. */
  readonly startMs?: number;
  /** How long calls of a version that is replaced may go on before its worker is ended, in milliseconds. Default 30000. */
  readonly drainMs?: number;
  /** Limits of the worker, as Node has them. */
  readonly resourceLimits?: ResourceLimits;
  /** For tests. */
  readonly clock?: Clock;
}

/** How long a worker that ended by itself is left before it is started again. */
const REVIVE_MS = 1_000;

/**
 * The ready-made handler: a directory of ES modules, loaded in a worker thread of its own. Loading it is this member's vote; when it is activated its `start(config)` runs, if it has one, and new calls go to it. Calls that
 * the version before is still working on go on there; when they are done its `stop()` runs, and its worker ends. `health()` may return `false` or throw.
 *
 *     const prices = moduleService();
 *     createCluster({ …, farm: { dir, handlers: { prices } } });
 *     await prices.call("quote", "a-17");   // export function quote(article) { … }
 */
export function moduleService(options: ModuleServiceOptions = {}): ModuleService {
  return new ModuleService(options);
}

/** See {@link moduleService}. */
export class ModuleService implements FarmHandler {
  readonly #options: Required<Omit<ModuleServiceOptions, "resourceLimits">> & Pick<ModuleServiceOptions, "resourceLimits">;
  /** By folder: each release has its own. */
  readonly #workers = new Map<string, ModuleWorker>();
  #active: { readonly artifact: Artifact; readonly dir: string } | undefined;

  /** Throws `INVALID_OPTIONS`. */
  constructor(options: ModuleServiceOptions = {}) {
    const given = { entry: "index.js", startMs: 10_000, drainMs: 30_000, clock: systemClock, ...options };
    const complaints = new Complaints("moduleService");
    complaints.unknownKeys(options, ["entry", "startMs", "drainMs", "resourceLimits", "clock"]);
    complaints.check(typeof given.entry === "string" && isInside(given.entry), `entry must be a path inside of the artifact, not ${shown(given.entry)}`);
    for (const name of ["startMs", "drainMs"] as const) complaints.milliseconds(name, given[name], { min: 1, max: 24 * 3_600_000 });
    complaints.throwIfAny();
    this.#options = given;
  }

  /** The version that calls go to. */
  get version(): string | null {
    return this.#active?.artifact.version ?? null;
  }

  /** Calls a function that the module exports, in the version that runs now. Arguments and result are copied, as between threads. Rejects with `FARM_NOT_DEPLOYED` while none runs, `FARM_UNHEALTHY` where its worker ended, `PAYLOAD_INVALID` where an argument cannot be copied, `HANDLER_FAILED` with the message of what it threw, or where its result cannot be copied. */
  async call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    const worker = this.#active === undefined ? undefined : this.#workers.get(this.#active.dir);
    if (worker === undefined) throw new TribuneError("FARM_NOT_DEPLOYED", `nothing runs that ${method} could be called in`, { about: method, next: "deploy it, or wait until this member has started" });
    return await worker.call(method, args);
  }

  async prepare(artifact: Artifact, dir: string, { signal }: HandlerContext): Promise<void> {
    if (artifact.kind !== "directory") throw new TribuneError("FARM_ARTIFACT_INVALID", `${artifact.name} is no directory of modules`, { about: artifact.name, next: "deploy it as { directory: path }" });
    await this.#workers.get(dir)?.end(0, signal);
    const worker = new ModuleWorker(join(dir, this.#options.entry), this.#options, () => void this.#revive(artifact, dir));
    this.#workers.set(dir, worker);
    try {
      await this.#inTime(worker.loaded, `loading ${artifact.name} ${artifact.version}`, signal);
    } catch (error) {
      this.#workers.delete(dir);
      await worker.terminate();
      throw error;
    }
  }

  async activate(artifact: Artifact, dir: string, { signal }: HandlerContext): Promise<void> {
    if (this.#workers.get(dir)?.isAlive !== true) await this.prepare(artifact, dir, { signal, previous: null });
    const worker = this.#workers.get(dir);
    if (worker === undefined) return;
    if (!worker.isStarted && worker.has("start")) await this.#inTime(worker.call("start", [artifact.config]), `start of ${artifact.name} ${artifact.version}`, signal);
    worker.isStarted = true;
    if (!signal.aborted) this.#active = { artifact, dir };
  }

  async health(artifact: Artifact, dir: string, { signal }: HandlerContext): Promise<boolean> {
    const worker = this.#workers.get(dir);
    if (worker?.isAlive !== true) return false;
    return !worker.has("health") || (await this.#inTime(worker.call("health", []), `health of ${artifact.name}`, signal)) !== false;
  }

  async deactivate(_artifact: Artifact, dir: string, context: HandlerContext): Promise<void> {
    if (this.#active?.dir === dir) this.#active = undefined;
    await this.discard(_artifact, dir, context);
  }

  /** Ends its worker when its calls are done. */
  async discard(_artifact: Artifact, dir: string, { signal }: HandlerContext): Promise<void> {
    const worker = this.#workers.get(dir);
    this.#workers.delete(dir);
    await worker?.end(this.#options.drainMs, signal);
  }

  /** The worker of what runs has ended by itself: another one is started in its place. */
  async #revive(artifact: Artifact, dir: string): Promise<void> {
    const signal = new AbortController().signal;
    while (this.#active?.dir === dir && this.#workers.get(dir)?.isAlive !== true) {
      await sleep(this.#options.clock, REVIVE_MS);
      if (this.#active?.dir === dir) await this.activate(artifact, dir, { signal, previous: null }).catch(() => undefined);
    }
  }

  #inTime<T>(work: Promise<T>, operation: string, signal: AbortSignal): Promise<T> {
    return withDeadline(work, { clock: this.#options.clock, ms: this.#options.startMs, operation, code: "FARM_TIMEOUT", next: "see what the module waits for", signal });
  }
}

/** One worker thread with a module in it. */
class ModuleWorker {
  /** Resolves with the module in place; rejects with what it threw. */
  readonly loaded: Promise<void>;
  isStarted = false;
  readonly #worker: Worker;
  readonly #options: Pick<Required<ModuleServiceOptions>, "startMs" | "clock">;
  readonly #pending = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  #methods: readonly string[] = [];
  #lastId = 0;
  #isAlive = true;
  #drained: (() => void) | undefined;

  constructor(entry: string, options: Pick<Required<ModuleServiceOptions>, "startMs" | "clock"> & Pick<ModuleServiceOptions, "resourceLimits">, ended: () => void) {
    this.#options = options;
    this.#worker = new Worker(new URL(`./module-worker${extname(import.meta.url)}`, import.meta.url), { workerData: { entry }, ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }) });
    let failure: unknown;
    this.loaded = new Promise((resolve, reject) => {
      this.#worker.on("message", (answer: WorkerAnswer) => {
        if (answer.kind !== "loaded") return this.#answered(answer);
        this.#methods = answer.methods;
        resolve();
      });
      this.#worker.on("error", (error) => (failure = error));
      this.#worker.on("exit", () => {
        const why = failure instanceof Error ? failure.message : "it ended by itself";
        const error = new TribuneError("FARM_UNHEALTHY", `the worker of the module ended: ${why}`, { about: entry, cause: failure });
        this.#isAlive = false;
        reject(new TribuneError("FARM_PREPARE_FAILED", `the module could not be loaded: ${why}`, { about: entry, cause: failure }));
        for (const { reject: fail } of this.#pending.values()) fail(error);
        this.#pending.clear();
        this.#drained?.();
        ended();
      });
    });
    this.loaded.catch(() => undefined); // it may end long after anybody waits for that
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  has(method: string): boolean {
    return this.#methods.includes(method);
  }

  call(method: string, args: readonly unknown[]): Promise<unknown> {
    if (!this.#isAlive) return Promise.reject(new TribuneError("FARM_UNHEALTHY", `the worker that ${method} was to be called in has ended`, { about: method, next: "it is started again" }));
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      try {
        this.#worker.postMessage({ id, method, args } satisfies WorkerCall, []);
      } catch (error) {
        return reject(toTribuneError(error, "PAYLOAD_INVALID", `the arguments of ${method} cannot be copied into its worker`, { about: method, next: "give values that structuredClone can copy: no functions, symbols or promises" }));
      }
      this.#pending.set(id, { resolve, reject });
    });
  }

  /** Waits for the calls that are under way, runs `stop`, and ends the thread. */
  async end(drainMs: number, signal: AbortSignal): Promise<void> {
    const { clock, startMs } = this.#options;
    if (this.#pending.size > 0 && drainMs > 0) {
      const drained = new Promise<void>((resolve) => (this.#drained = resolve));
      await withDeadline(drained, { clock, ms: drainMs, operation: "the last calls", signal }).catch(() => undefined);
    }
    if (this.#isAlive && this.isStarted && this.has("stop")) await withDeadline(this.call("stop", []), { clock, ms: startMs, operation: "stop", signal }).catch(() => undefined);
    await this.terminate();
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(answer: Exclude<WorkerAnswer, { readonly kind: "loaded" }>): void {
    const waiting = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (answer.kind === "value") waiting?.resolve(answer.value);
    else waiting?.reject(new TribuneError("HANDLER_FAILED", answer.message, { about: "module" }));
    if (this.#pending.size === 0) this.#drained?.();
  }
}

function isInside(path: string): boolean {
  try {
    checkPath(path);
    return path !== ".";
  } catch {
    return false;
  }
}
