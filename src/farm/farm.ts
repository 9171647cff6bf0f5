import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { GroupChannel, Message, Request } from "../channel/index.ts";
import { abortError, Events, guardedLogger, Lifecycle, sleep, TribuneError } from "../kernel/index.ts";
import type { Clock, ListenerErrorHandler, Logger, Random } from "../kernel/index.ts";
import type { Member, View } from "../membership/index.ts";
import type { DocumentFence } from "../store/index.ts";
import { Artifacts } from "./artifacts.ts";
import { ask, rolledBackError, VERSION_NEXT } from "./asking.ts";
import type { ChangeOptions, ChangeReport, DeployOptions, RollbackOptions, UndeployOptions } from "./change.ts";
import { checkDeploy, checkRollback, checkUndeploy } from "./checks.ts";
import { FarmCoordinator, membersOf } from "./coordinator.ts";
import type { Records } from "./coordinator.ts";
import type { Wish } from "./coordinate.ts";
import { DocumentCache } from "./document-cache.ts";
import type { FarmDocuments } from "./document-cache.ts";
import { PIECE_TOPIC } from "./fetch.ts";
import type { PieceWanted } from "./fetch.ts";
import { digestsOf } from "./follow.ts";
import { Follower, RELEASES } from "./follower.ts";
import type { MemberProgress } from "./follower.ts";
import { farmSettings } from "./options.ts";
import type { FarmOptions, FarmSettings } from "./options.ts";
import { APP_PREFIX, appDocument, decodeApp, decodeReport, NODE_PREFIX } from "./record.ts";
import type { AppRecord, NodeReport, Outcome, Release, Rolling } from "./record.ts";
import { PROGRESS_TOPIC, Reporting } from "./reporting.ts";
import { Rounds } from "./rounds.ts";
import { privateKey, signRelease, verifyRelease } from "./signature.ts";
import { statusOf } from "./status.ts";
import type { FarmStatus } from "./status.ts";
import { readWish, WISH_TOPIC } from "./wish.ts";

/** What a farm stands on. */
export interface FarmPorts {
  readonly node: string;
  /** The present incarnation. */
  incarnation(): string;
  /** Takes part only by giving artifacts and asking. */
  readonly observer: boolean;
  readonly channel: Pick<GroupChannel, "request" | "respond" | "send" | "listen">;
  readonly documents: FarmDocuments;
  view(): View | undefined;
  onView(listener: () => void): () => void;
  /** The coordinator's term, where this member holds it and may act on it. */
  fence(): DocumentFence | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onListenerError: ListenerErrorHandler;
}

/** What a farm tells. */
export interface FarmEvents {
  /** A member has come further with a change that was asked for here. */
  progress: MemberProgress & { readonly node: string };
  /** A change has ended, as this member has read it. */
  decided: Outcome & { readonly name: string };
}

/** What went through a farm. */
export interface FarmCounts {
  /** Bytes of artifacts that came from other members. */
  readonly bytesFetched: number;
  /** Bytes of artifacts that were given to others. */
  readonly bytesGiven: number;
}

const STOP_MS = 5_000;

/** Deploys artifacts on all members, as one of them. */
export class Farm {
  readonly #ports: FarmPorts;
  readonly #settings: FarmSettings;
  readonly #logger: Logger;
  readonly #events: Events<FarmEvents>;
  readonly #lifecycle: Lifecycle;
  readonly #artifacts: Artifacts;
  readonly #rounds: Rounds;
  readonly #reporting: Reporting;
  readonly #coordinator: FarmCoordinator;
  readonly #appCache: DocumentCache<AppRecord>;
  readonly #reportCache: DocumentCache<NodeReport>;
  readonly #followers = new Map<string, Follower>();
  readonly #outcomes = new Map<string, string>();
  readonly #offs: (() => void)[] = [];
  #records: Records = new Map();
  /** Those are all there are: none was left out because it could not be understood. */
  #areRecordsWhole = false;
  #incarnation = "";
  /** The documents were read once, and all names in them have their followers. */
  #isFollowing = false;
  #counts: FarmCounts = { bytesFetched: 0, bytesGiven: 0 };

  /** Throws `INVALID_OPTIONS`. */
  constructor(ports: FarmPorts, options: FarmOptions) {
    this.#ports = ports;
    this.#settings = farmSettings(options);
    this.#logger = guardedLogger(ports.logger);
    this.#events = new Events<FarmEvents>(ports.onListenerError);
    this.#lifecycle = new Lifecycle(`the farm of ${ports.node}`);
    this.#artifacts = new Artifacts(join(options.dir, "artifacts"), ports.random, this.#settings.maxArtifactBytes);
    this.#coordinator = new FarmCoordinator({ documents: ports.documents, clock: ports.clock, logger: this.#logger });
    const { signal } = this.#lifecycle;
    this.#rounds = new Rounds({ clock: ports.clock, pollMs: this.#settings.pollMs, signal, round: () => this.#round(), failed: (error) => this.#logger.debug({ node: ports.node, error: String(error) }, "the farm will look again") });
    this.#reporting = new Reporting({
      node: ports.node,
      incarnation: () => ports.incarnation(),
      viewVersion: () => ports.view()?.version ?? 0,
      apps: () => Object.fromEntries([...this.#followers].map(([name, follower]) => [name, follower.report])),
      documents: ports.documents,
      channel: ports.channel,
      clock: ports.clock,
      logger: this.#logger,
      signal,
      written: () => (ports.fence() === undefined ? undefined : this.#rounds.look()),
    });
    const unreadable = (name: string, error: unknown) => this.#logger.warn({ document: name, error: String(error) }, "a document of the farm cannot be read");
    this.#appCache = new DocumentCache(ports.documents, decodeApp, unreadable);
    this.#reportCache = new DocumentCache(ports.documents, decodeReport, unreadable);
  }

  on<Name extends keyof FarmEvents>(name: Name, listener: (event: FarmEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener);
  }

  get counts(): FarmCounts {
    return this.#counts;
  }

  /** Once this node is a member: resolves when everything that is desired is applied here, or could not be, or after `catchUpMs`. Rejects with what the file system says about `dir`, and `ABORTED`. */
  start(signal?: AbortSignal): Promise<void> {
    return this.#lifecycle.start(async (stopping) => {
      const { channel, documents, clock } = this.#ports;
      await this.#artifacts.open();
      await rm(join(this.#settings.dir, RELEASES), { recursive: true, force: true }); // what was unpacked for an earlier run
      this.#offs.push(
        channel.respond(PIECE_TOPIC, (request) => this.#give(request)),
        channel.respond(WISH_TOPIC, (request) => this.#granted(request)),
        channel.listen(PROGRESS_TOPIC, (message) => this.#heard(message)),
        this.#ports.onView(() => this.#rounds.look()),
        documents.onHint?.((name) => (name.startsWith(APP_PREFIX) || (name.startsWith("farm.") && (this.#rounds.isWatched || this.#ports.fence() !== undefined)) ? this.#rounds.look() : undefined)) ?? (() => undefined),
      );
      const ends = signal === undefined ? stopping : AbortSignal.any([stopping, signal]);
      const dueMs = clock.monotonicMs() + this.#settings.catchUpMs;
      this.#rounds.look();
      await this.#rounds.until(() => (this.#isFollowing && [...this.#followers.values()].every((each) => each.isSettled)) || clock.monotonicMs() >= dueMs, ends);
      if (ends.aborted) throw abortError(ends, "starting the farm");
    });
  }

  /** Stops what runs here, and gives no artifacts any more. May be called at any time, and twice. */
  stop(): Promise<void> {
    return this.#lifecycle.stop(async () => {
      for (const off of this.#offs) off();
      this.#rounds.end();
      const { clock } = this.#ports;
      const enough = new AbortController();
      const stopped = Promise.all([...this.#followers.values()].map((each) => each.stop()));
      await Promise.race([stopped, sleep(clock, STOP_MS, enough.signal)]);
      enough.abort();
    });
  }

  // ---- what users ask ----------------------------------------------------------------------------------------

  /**
   * Deploys an artifact on all members: resolves when it is committed and every member has applied it or failed, with a row for each.
   * Rejects, with all members unchanged, with `INVALID_NAME`, `INVALID_OPTIONS`, `FARM_ARTIFACT_INVALID`, `FARM_VERSION_EXISTS`, `FARM_BUSY`, `FARM_NO_COORDINATOR`, `INVALID_DOCUMENT`; with the code of the first member that said no: `FARM_PREPARE_FAILED`, `FARM_UNHANDLED`, `FARM_UNSIGNED`, `FARM_SIGNATURE_INVALID`,
   * `FARM_DIGEST_MISMATCH`, …; with `FARM_TIMEOUT` if not all voted in time; when a wave was reverted with why: `FARM_UNHEALTHY`, `FARM_ACTIVATE_FAILED`, `FARM_MEMBER_LEFT`; with `ABORTED`.
   */
  async deploy(options: DeployOptions): Promise<ChangeReport> {
    checkDeploy(options);
    const { name, version, artifact, config = null, signal } = options;
    const key = options.signWith === undefined ? undefined : privateKey(options.signWith);
    this.#assertRunning();
    if ([this.#record(name)?.current, ...(this.#record(name)?.history ?? [])].some((release) => release?.version === version)) throw new TribuneError("FARM_VERSION_EXISTS", `${name} has had a version ${version}`, { about: name, next: VERSION_NEXT });
    const { digest, sizeBytes, kind } = await this.#artifacts.take(artifact, signal);
    try {
      const id = this.#ports.random.id();
      const parts = { version, digest, sizeBytes, kind, config: JSON.parse(JSON.stringify(config)) as unknown };
      const release: Release = { id, ...parts, signature: key === undefined ? null : signRelease(name, parts, key) };
      verifyRelease(name, release, this.#settings.trustedKeys);
      return await this.#change(name, { id, by: this.#ports.node, kind: "deploy", release, ...this.#pace(options) }, signal);
    } finally {
      this.#artifacts.letGo(digest);
      this.#rounds.look();
    }
  }

  /** Removes it from all members. Needs no votes. Rejects with `INVALID_NAME`, `INVALID_OPTIONS`, `FARM_NOT_DEPLOYED`, `FARM_BUSY`, `FARM_NO_COORDINATOR`, `ABORTED`. */
  async undeploy(name: string, options: UndeployOptions = {}): Promise<ChangeReport> {
    checkUndeploy(name, options);
    this.#assertRunning();
    return await this.#change(name, { id: this.#ports.random.id(), by: this.#ports.node, kind: "undeploy" }, options.signal);
  }

  /** Goes back to the release before this one, or to `version`, if it is one of the last five; after an undeployment to what was there. As a deployment: voted on, and committed or not. Rejects as `deploy` and `undeploy` do. */
  async rollback(name: string, options: RollbackOptions = {}): Promise<ChangeReport> {
    checkRollback(name, options);
    this.#assertRunning();
    return await this.#change(name, { id: this.#ports.random.id(), by: this.#ports.node, kind: "rollback", version: options.version ?? null, ...this.#pace(options) }, options.signal);
  }

  /** What is desired and what each member has, read from the store now. */
  async status(): Promise<readonly FarmStatus[]> {
    this.#assertRunning();
    await this.#rounds.inTurn(() => this.#read());
    const reports = await this.#reportCache.refresh(NODE_PREFIX);
    return [...this.#records.values()].map(({ value }) => statusOf(value, this.#members(), reports));
  }

  // ---- asking for a change, and seeing it through ------------------------------------------------------------

  async #change(name: string, wish: Wish, signal: AbortSignal | undefined): Promise<ChangeReport> {
    const ends = signal === undefined ? this.#lifecycle.signal : AbortSignal.any([signal, this.#lifecycle.signal]);
    if (ends.aborted) throw abortError(ends, wish.kind);
    try {
      await ask({ name, wish }, this.#ports, ends);
      this.#rounds.look();
      const outcome = await this.#outcome(name, wish.id, ends);
      if (outcome.result === "rolled-back") throw rolledBackError(name, outcome);
      return await this.#applied(name, outcome, ends);
    } catch (error) {
      if (ends.aborted) {
        await ask({ name, wish: { id: wish.id, by: this.#ports.node, kind: "cancel" } }, this.#ports, this.#lifecycle.signal).then(
          () => this.#rounds.look(),
          () => undefined,
        );
        throw abortError(ends, wish.kind);
      }
      throw error;
    }
  }

  async #outcome(name: string, id: string, signal: AbortSignal): Promise<Outcome> {
    const find = () => this.#record(name)?.outcomes.find((outcome) => outcome.id === id);
    await this.#rounds.until(() => find() !== undefined, signal);
    return find() ?? this.#throwAborted(signal, name);
  }

  /** Waits until every member has what is desired now, or says why not. */
  async #applied(name: string, { version, kind }: Outcome, signal: AbortSignal): Promise<ChangeReport> {
    const { clock } = this.#ports;
    const dueMs = clock.monotonicMs() + 2 * this.#settings.activateMs;
    for (;;) {
      const record = this.#record(name);
      const members = record === undefined ? [] : statusOf(record, this.#members(), await this.#reportCache.refresh(NODE_PREFIX)).members;
      const isOver = members.every(({ state }) => state !== "pending") || clock.monotonicMs() >= dueMs;
      if (isOver) return { name, version, ok: members.every(({ state }) => state === "applied"), members };
      if (signal.aborted) throw abortError(signal, kind);
      await this.#rounds.next(signal);
    }
  }

  #pace({ prepareMs, rolling }: ChangeOptions): { readonly prepareMs: number; readonly rolling: Rolling | null } {
    return { prepareMs: prepareMs ?? this.#settings.prepareMs, rolling: rolling === undefined ? null : { by: rolling.by, waveMs: rolling.waveMs ?? this.#settings.activateMs } };
  }

  // ---- one round: read, follow, coordinate -------------------------------------------------------------------

  /** Answers when to look again. */
  async #round(): Promise<number> {
    await this.#read();
    this.#follow();
    const fence = this.#ports.fence();
    const view = this.#ports.view();
    if (fence === undefined || view === undefined) return Number.POSITIVE_INFINITY;
    const { wrote, waitMs } = await this.#coordinator.round(fence, this.#records, this.#areRecordsWhole, view);
    return wrote ? 0 : (waitMs ?? Number.POSITIVE_INFINITY);
  }

  async #read(): Promise<void> {
    this.#records = await this.#appCache.refresh(APP_PREFIX);
    this.#areRecordsWhole = this.#appCache.isWhole;
    for (const { value } of this.#records.values()) {
      const [newest] = value.outcomes;
      if (newest === undefined || this.#outcomes.get(value.name) === newest.id) continue;
      this.#outcomes.set(value.name, newest.id);
      if (this.#isFollowing) this.#events.emit("decided", { ...newest, name: value.name });
    }
  }

  /** Hands each name's record to its follower, and lets go of artifacts that nobody needs any more. */
  #follow(): void {
    const isNeeded = (digest: string) => !this.#areRecordsWhole || [...this.#records.values()].some(({ value }) => digestsOf(value).includes(digest));
    void this.#artifacts.keepOnly(isNeeded).catch((error: unknown) => this.#logger.debug({ error: String(error) }, "old artifacts could not be removed"));
    this.#isFollowing = true;
    if (this.#ports.observer || this.#lifecycle.signal.aborted) return;
    const incarnation = this.#ports.incarnation();
    const isNew = incarnation !== this.#incarnation;
    this.#incarnation = incarnation;
    for (const { value } of this.#records.values()) {
      let follower = this.#followers.get(value.name);
      if (follower === undefined) this.#followers.set(value.name, (follower = this.#newFollower(value)));
      if (isNew) follower.revote();
      follower.update(value);
    }
    this.#reporting.lookAgain(isNew);
  }

  #newFollower(record: AppRecord): Follower {
    const { node, clock, random, channel } = this.#ports;
    return new Follower(record.name, record, {
      node,
      settings: this.#settings,
      artifacts: this.#artifacts,
      fetch: {
        artifacts: this.#artifacts,
        channel,
        clock,
        random,
        pieceBytes: this.#settings.pieceBytes,
        givers: () => (this.#ports.view()?.members ?? []).map((member) => member.node).filter((each) => each !== node),
        received: (bytes) => (this.#counts = { ...this.#counts, bytesFetched: this.#counts.bytesFetched + bytes }),
      },
      clock,
      random,
      logger: this.#logger,
      vote: (change, cause) => this.#reporting.vote(change, cause),
      changed: () => {
        void this.#reporting.report();
        this.#rounds.wakeAll();
      },
      progress: (change, progress) => this.#reporting.tell(change, progress),
    });
  }

  // ---- what others ask ---------------------------------------------------------------------------------------

  async #give(request: Request): Promise<Uint8Array> {
    const { digest, offset, length } = request.value() as PieceWanted;
    if (typeof digest !== "string" || !Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 1 || length > 2 ** 26) throw new TribuneError("PAYLOAD_INVALID", "no piece of an artifact was asked for", { about: PIECE_TOPIC });
    const bytes = await this.#artifacts.read(digest, offset, length);
    this.#counts = { ...this.#counts, bytesGiven: this.#counts.bytesGiven + bytes.length };
    return bytes;
  }

  async #granted(request: Request): Promise<{ readonly taken: true }> {
    const { name, wish } = readWish(request.value());
    await this.#rounds.inTurn(async () => {
      const fence = this.#ports.fence();
      if (fence === undefined) throw new TribuneError("FARM_NO_COORDINATOR", `${this.#ports.node} is not the coordinator`, { about: this.#ports.node });
      await this.#read();
      await this.#coordinator.wish(fence, this.#records, name, wish);
    });
    this.#rounds.look();
    return { taken: true };
  }

  #heard(message: Message): void {
    const { name, version, phase, bytes, ofBytes } = message.value() as MemberProgress;
    this.#events.emit("progress", { node: message.from.node, name, version, phase, bytes, ofBytes });
  }

  #record(name: string): AppRecord | undefined {
    return this.#records.get(appDocument(name))?.value;
  }

  #members(): readonly Pick<Member, "node" | "incarnation">[] {
    const view = this.#ports.view();
    return view === undefined ? [] : membersOf(view);
  }

  #assertRunning(): void {
    if (this.#lifecycle.state === "running") return;
    const never = this.#lifecycle.state === "new" || this.#lifecycle.state === "starting";
    throw new TribuneError(never ? "CLUSTER_NOT_STARTED" : "CLUSTER_STOPPED", `the farm of ${this.#ports.node} ${never ? "has not started yet" : "was stopped"}`, { about: this.#ports.node });
  }

  #throwAborted(signal: AbortSignal, name: string): never {
    throw abortError(signal, `a change of ${name}`);
  }
}
