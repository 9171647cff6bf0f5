import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { abortError, backoffMs, sleep, toTribuneError, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock, ErrorCode, Logger, Random, Timer } from "../kernel/index.ts";
import type { Artifacts } from "./artifacts.ts";
import { fetchArtifact } from "./fetch.ts";
import type { FetchPorts } from "./fetch.ts";
import { isStillWanted, memberStep, wanted } from "./follow.ts";
import type { LocalApp, MemberStep } from "./follow.ts";
import type { Artifact, FarmHandler, FarmSettings, HandlerContext } from "./options.ts";
import { causeOf } from "./record.ts";
import type { AppRecord, AppReport, Change, Release } from "./record.ts";
import { verifyRelease } from "./signature.ts";
import { unpack } from "./unpack.ts";

/** How far a member has come with a change. */
export interface MemberProgress {
  readonly name: string;
  readonly version: string;
  readonly phase: "fetching" | "preparing" | "ready" | "refused" | "applied" | "failed";
  readonly bytes: number;
  readonly ofBytes: number;
}

/** What a follower needs. */
export interface FollowerPorts {
  readonly node: string;
  readonly settings: FarmSettings;
  readonly artifacts: Artifacts;
  readonly fetch: Omit<FetchPorts, "isPatient">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Stores this member's vote. */
  vote(change: Change, cause: { readonly code: ErrorCode; readonly why: string } | null): Promise<void>;
  /** What this member has is different now. */
  changed(): void;
  progress(change: Change | null, progress: MemberProgress): void;
}

const RETRY = { firstMs: 1_000, longestMs: 60_000 };
const VOTE_AGAIN_MS = 500;
const HEALTH_AGAIN_MS = 250;

/** Brings one name on this member to where the documents say, one step at a time. */
export class Follower {
  readonly #name: string;
  readonly #ports: FollowerPorts;
  readonly #prepared = new Map<string, Release>();
  #record: AppRecord;
  #active: Release | null = null;
  #voted: string | null = null;
  #failed: (NonNullable<LocalApp["failed"]> & { readonly code: ErrorCode; readonly why: string; readonly attempts: number }) | null = null;
  #busy: { readonly step: MemberStep; readonly abort: AbortController; readonly done: Promise<void> } | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(name: string, record: AppRecord, ports: FollowerPorts) {
    this.#name = name;
    this.#record = record;
    this.#ports = ports;
  }

  /** What this member has of the name. */
  get report(): AppReport {
    const failed = this.#failed;
    return { release: this.#active?.id ?? null, version: this.#active?.version ?? null, failed: failed === null ? null : { release: failed.release, code: failed.code, why: failed.why } };
  }

  /** What is desired here is applied, or could not be. */
  get isSettled(): boolean {
    return wanted(this.#record, this.#ports.node)?.id === this.#active?.id || this.#failed !== null;
  }

  /** The document has changed, or nothing may have. */
  update(record: AppRecord): void {
    this.#record = record;
    if (this.#busy !== undefined && !isStillWanted(this.#busy.step, record, this.#ports.node)) this.#busy.abort.abort(new TribuneError("ABORTED", `what was done for ${this.#name} is not wanted any more`, { about: this.#name }));
    this.#next();
  }

  /** A new incarnation votes anew. */
  revote(): void {
    this.#voted = null;
    this.#next();
  }

  /** Stops what goes on, and what runs. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#busy?.abort.abort(new TribuneError("ABORTED", "the farm stops", { about: this.#name }));
    await this.#busy?.done;
    if (this.#active !== null) await this.#call("deactivate", this.#active, new AbortController().signal).catch((error: unknown) => this.#warn(error, "could not be deactivated"));
    this.#active = null;
  }

  #next(): void {
    if (this.#busy !== undefined || this.#isStopped) return;
    this.#timer?.cancel();
    this.#forgetOldFailure();
    const local = { active: this.#active, voted: this.#voted, prepared: this.#prepared, failed: this.#failed };
    const step = memberStep(this.#record, this.#ports.node, local, this.#ports.clock.monotonicMs());
    if (step.kind === "rest") return;
    if (step.kind === "wait") return void (this.#timer = this.#ports.clock.setTimer(step.ms, () => this.#next()));
    const abort = new AbortController();
    const done = this.#take(step, abort.signal).then(() => {
      this.#busy = undefined;
      this.#ports.changed();
      this.#next();
    });
    this.#busy = { step, abort, done };
  }

  /** What could not be applied is not wanted any more. */
  #forgetOldFailure(): void {
    const active = this.#active?.id ?? null;
    if (this.#failed === null || this.#failed.release === active || (wanted(this.#record, this.#ports.node)?.id ?? null) !== active) return;
    this.#failed = null;
    this.#ports.changed();
  }

  /** Never rejects. */
  async #take(step: Exclude<MemberStep, { readonly kind: "rest" | "wait" }>, signal: AbortSignal): Promise<void> {
    switch (step.kind) {
      case "vote":
        return await this.#vote(step.change, signal);
      case "activate":
        return await this.#apply(step.release, () => this.#activate(step.release, signal), signal);
      case "deactivate":
        return await this.#apply(null, async () => {
          await this.#call("deactivate", step.release, signal);
          this.#active = null;
        }, signal);
      case "discard":
        this.#prepared.delete(step.release.id);
        await this.#call("discard", step.release, signal).catch((error: unknown) => this.#warn(error, "could not be discarded"));
        await rm(this.#dir(step.release), { recursive: true, force: true }).catch(() => undefined);
    }
  }

  async #vote(change: Change, signal: AbortSignal): Promise<void> {
    let cause: { readonly code: ErrorCode; readonly why: string } | null = null;
    try {
      await this.#prepare(change.release, change, signal, undefined); // the coordinator counts the time
    } catch (error) {
      if (signal.aborted) return;
      cause = causeOf(error, "FARM_PREPARE_FAILED");
      this.#warn(error, "is refused here");
    }
    this.#tell(change, change.release, cause === null ? "ready" : "refused");
    while (!signal.aborted) {
      try {
        await this.#ports.vote(change, cause);
        this.#voted = change.id;
        return;
      } catch (error) {
        this.#warn(error, "could not be voted on yet");
        await sleep(this.#ports.clock, VOTE_AGAIN_MS, signal);
      }
    }
  }

  /** Everything that comes before the vote: who stands for it, its bytes, its files, and the handler's word, which has `limitMs`. */
  async #prepare(release: Release, change: Change | null, signal: AbortSignal, limitMs: number | undefined): Promise<void> {
    if (this.#prepared.has(release.id) || this.#active?.id === release.id) return;
    const { settings, artifacts, fetch } = this.#ports;
    this.#handler();
    verifyRelease(this.#name, release, settings.trustedKeys);
    if (release.sizeBytes > settings.maxArtifactBytes) throw new TribuneError("FARM_ARTIFACT_INVALID", `${this.#name} ${release.version} has ${release.sizeBytes} bytes, more than the ${settings.maxArtifactBytes} that are taken here`, { about: this.#name, next: "raise maxArtifactBytes of the farm on all members" });
    const tell = (bytes: number) => this.#ports.progress(change, { name: this.#name, version: release.version, phase: "fetching", bytes, ofBytes: release.sizeBytes });
    await fetchArtifact(release, { ...fetch, isPatient: change !== null }, ({ bytes }) => tell(bytes), signal);
    this.#tell(change, release, "preparing");
    const dir = this.#dir(release);
    try {
      if (release.kind === "directory") await unpack(artifacts.path(release.digest), dir, settings, signal);
      else {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await artifacts.place(release.digest, join(dir, FILE));
      }
      await this.#inTime("prepare", release, signal, limitMs, (within) => this.#call("prepare", release, within));
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
    this.#prepared.set(release.id, release);
  }

  async #activate(release: Release, signal: AbortSignal): Promise<void> {
    const { prepareMs, activateMs } = this.#ports.settings;
    await this.#prepare(release, this.#changeOf(release), signal, prepareMs);
    const previous = this.#active;
    await this.#inTime("activate", release, signal, activateMs, (within) => this.#call("activate", release, within, previous));
    this.#active = release;
    this.#failed = null;
    if (previous !== null) this.#prepared.set(previous.id, previous);
    await this.#inTime("health", release, signal, activateMs, (within) => this.#healthy(release, within)).catch((error: unknown) => {
      throw new TribuneError("FARM_UNHEALTHY", `${this.#name} ${release.version} is not healthy: ${error instanceof Error ? error.message : String(error)}`, { about: this.#name, cause: error });
    });
  }

  /** Within `ms`, if that is given: then it is called off, and what it still does is ignored. */
  async #inTime(what: string, release: Release, signal: AbortSignal, ms: number | undefined, work: (within: AbortSignal) => Promise<unknown>): Promise<void> {
    if (ms === undefined) return void (await work(signal));
    const ending = new AbortController();
    await withDeadline(work(AbortSignal.any([signal, ending.signal])), { clock: this.#ports.clock, ms, operation: `${what} of ${this.#name} ${release.version}`, code: "FARM_TIMEOUT", next: "see what its handler waits for", onExpire: (reason) => ending.abort(reason) });
  }

  async #healthy(release: Release, signal: AbortSignal): Promise<void> {
    for (;;) {
      const answer = await this.#call("health", release, signal).catch((error: unknown) => (signal.aborted ? Promise.reject(toTribuneError(error, "FARM_UNHEALTHY", "health failed")) : false));
      if (answer !== false) return;
      await sleep(this.#ports.clock, HEALTH_AGAIN_MS, signal);
      if (signal.aborted) throw abortError(signal, "waiting for health");
    }
  }

  /** Does what was decided; what goes wrong is kept and told, and tried again. */
  async #apply(release: Release | null, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    const id = release?.id ?? null;
    try {
      await work();
      this.#failed = null;
      if (release !== null) this.#tell(this.#changeOf(release), release, "applied");
    } catch (error) {
      if (signal.aborted) return;
      const attempts = this.#failed?.release === id ? this.#failed.attempts + 1 : 1;
      this.#failed = { release: id, retryAtMs: clock.monotonicMs() + backoffMs(attempts - 1, RETRY, random), attempts, ...causeOf(error, "FARM_ACTIVATE_FAILED") };
      this.#warn(error, "could not be applied");
      if (release !== null) this.#tell(this.#changeOf(release), release, "failed");
    }
  }

  /** Calls a handler's method, where it has one, and waits no longer than it is wanted. */
  async #call(method: keyof FarmHandler, release: Release, signal: AbortSignal, previous: Release | null = null): Promise<unknown> {
    const handler = this.#handler();
    const context: HandlerContext = { signal, previous: previous === null ? null : this.#artifact(previous) };
    if (signal.aborted) throw abortError(signal, method);
    return await unlessAborted(async () => await handler[method]?.(this.#artifact(release), this.#dir(release), context), signal, `${method} of ${this.#name}`);
  }

  #handler(): FarmHandler {
    const { handlers } = this.#ports.settings;
    const handler = Object.hasOwn(handlers, this.#name) ? handlers[this.#name] : handlers["*"];
    if (handler !== undefined) return handler;
    throw new TribuneError("FARM_UNHANDLED", `${this.#ports.node} has no handler for ${this.#name}`, { about: this.#name, next: 'give one in the options of the farm there, or one for "*"' });
  }

  #artifact({ version, digest, sizeBytes, kind, config, id }: Release): Artifact {
    const dir = this.#dir({ id });
    return { name: this.#name, version, digest, sizeBytes, kind, config, path: kind === "directory" ? dir : join(dir, FILE) };
  }

  #dir({ id }: Pick<Release, "id">): string {
    return join(this.#ports.settings.dir, RELEASES, this.#name, id);
  }

  #changeOf(release: Release): Change | null {
    return this.#record.change?.release.id === release.id ? this.#record.change : null;
  }

  #tell(change: Change | null, { version, sizeBytes }: Release, phase: MemberProgress["phase"]): void {
    this.#ports.progress(change, { name: this.#name, version, phase, bytes: sizeBytes, ofBytes: sizeBytes });
  }

  #warn(error: unknown, what: string): void {
    const { code, message } = toTribuneError(error, "INTERNAL", "it failed");
    this.#ports.logger.warn({ node: this.#ports.node, name: this.#name, code }, `${this.#name} ${what}: ${message}`);
  }
}

/** Where releases are unpacked, below the farm's folder. */
export const RELEASES = "releases";

/** What an artifact that is a file is called in its folder. */
const FILE = "artifact";

/** A handler that hangs is left alone. */
function unlessAborted<T>(work: () => Promise<T>, signal: AbortSignal, operation: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(abortError(signal, operation));
    signal.addEventListener("abort", aborted, { once: true });
    work().then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}
