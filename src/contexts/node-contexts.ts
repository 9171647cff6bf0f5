import { abortError, Events, guardedLogger, shown, toTribuneError, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Timer } from "../kernel/index.ts";
import type { Batch } from "./batch.ts";
import { ContextHandle } from "./context.ts";
import type { ChangeReport, Context, Contexts, ContextsEvents, ContextsStats, CreateOptions, FlushOptions, FlushReport, PropertyEvent } from "./contexts.ts";
import { exclusion } from "./exclusion.ts";
import { checkKey, checkPath, parentOf } from "./names.ts";
import { contextsSettings } from "./options.ts";
import type { ContextsOptions, ContextsSettings } from "./options.ts";
import { Properties, shownVersion } from "./properties.ts";
import type { Write } from "./properties.ts";
import { NO_REMOVALS } from "./tree.ts";
import type { ContextChange, Entry, Removals } from "./tree.ts";
import { LOCAL, Trees } from "./trees.ts";
import { NEVER } from "./version.ts";
import type { Version } from "./version.ts";
import { encodeChanges } from "./words.ts";
import type { Changes } from "./words.ts";

/** What contexts ask of whatever carries them to other members. */
export interface ContextsLink {
  /** This incarnation; `undefined`: it has no place in the group at the moment. */
  readonly member: string | undefined;
  /** To all others. */
  publish(messages: readonly Uint8Array[], options: FlushOptions): Promise<ChangeReport>;
  /** Whether a write was made at the coordinator, and has come to everybody. */
  decide(write: { readonly path: string; readonly key: string; readonly text: string | undefined }, ifVersion: string | null): Promise<boolean>;
}

/** What contexts stand on. */
export interface NodeContextsPorts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A batch that is larger goes in several messages. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

/** Nobody else is there. */
const ALONE: ChangeReport = Object.freeze({ results: new Map(), ok: true });

/** The contexts of one node; alone, until a link to others is given. */
export class NodeContexts implements Contexts {
  readonly settings: ContextsSettings;
  readonly trees: Trees;
  readonly #clock: Clock;
  readonly #properties: Properties;
  readonly #events: Events<ContextsEvents>;
  readonly #listenerFailed: (error: unknown, event: string) => void;
  readonly #byPath = new Map<string, { readonly events: Events<Pick<ContextsEvents, "change">>; count: number }>();
  /** Changes that were not told yet: a listener may make others, which come after. */
  readonly #untold: Array<() => void> = [];
  #isTelling = false;
  #listeners = 0;
  #timer: Timer | undefined;
  #link: ContextsLink | undefined;

  /** Throws `INVALID_OPTIONS`. */
  constructor({ clock, logger }: NodeContextsPorts, options: ContextsOptions = {}) {
    this.settings = contextsSettings(options);
    this.#clock = clock;
    const guarded = guardedLogger(logger);
    this.#listenerFailed = (error, event) => guarded.error({ code: "LISTENER_FAILED", event, error: error instanceof Error ? error.message : String(error) }, "a listener of contexts threw");
    this.#events = new Events(this.#listenerFailed);
    this.trees = new Trees(
      {
        created: (path) => this.#tell(() => this.#events.emit("created", { path })),
        removed: (path) => {
          this.#properties.removed(path);
          this.#tell(() => this.#events.emit("removed", { path }));
        },
        changed: (path, key, entry, version) => {
          if (this.#listeners > 0) this.#tell(() => this.#changed(path, key, entry, version));
        },
      },
      exclusion(this.settings.exclude),
      () => clock.wallMs(),
    );
    this.#properties = new Properties(this.trees, this.settings);
    this.#scheduleFlush();
  }

  /** From now on, changes go to others too. */
  connect(link: ContextsLink): void {
    this.#link = link;
  }

  // ---- contexts ----------------------------------------------------------------------------------------------

  async create(path: string, { replicated = true }: CreateOptions = {}): Promise<Context> {
    const parent = parentOf(checkPath(path));
    if (this.trees.has(path)) throw new TribuneError("CONTEXT_EXISTS", `there is a context ${path} already`, { about: path, next: "use open, which takes the one that is there" });
    if (parent !== undefined) this.assertThere(parent);
    const isLocal = !replicated || (parent !== undefined && this.trees.isLocal(parent));
    const version = this.#version(isLocal);
    const change = { path, base: isLocal ? NO_REMOVALS : this.trees.shared.removalsOf(path), created: version, properties: [] };
    if (isLocal) this.#mergeLocal(change);
    else await this.#publish([change], {});
    return this.#handle(path);
  }

  async open(path: string, options: CreateOptions = {}): Promise<Context> {
    return this.get(path) ?? (await this.create(path, options));
  }

  get(path: string): Context | undefined {
    return this.trees.has(checkPath(path)) ? this.#handle(path) : undefined;
  }

  list(path?: string): readonly string[] {
    if (path !== undefined) this.assertThere(checkPath(path));
    return this.trees.children(path);
  }

  async remove(path: string, { recursive = false }: { readonly recursive?: boolean } = {}): Promise<ChangeReport> {
    this.assertThere(checkPath(path));
    const below = this.trees.children(path);
    if (below.length > 0 && !recursive) throw new TribuneError("CONTEXT_NOT_EMPTY", `${path} has ${below.length} contexts below it`, { about: path, next: "remove those first, or say recursive: true" });
    const isLocal = this.trees.isLocal(path);
    const change = (isLocal ? this.trees.local : this.trees.shared).removal(path, this.#version(isLocal));
    if (!isLocal) return await this.#publish([change], {});
    this.#mergeLocal(change);
    return ALONE;
  }

  /** Throws `CONTEXT_UNKNOWN`. */
  assertThere(path: string): void {
    if (!this.trees.has(path)) throw new TribuneError("CONTEXT_UNKNOWN", `there is no context ${shown(path)}`, { about: path, next: "create it, and those above it first" });
  }

  isReplicated(path: string): boolean {
    return !this.trees.isLocal(path);
  }

  get stats(): ContextsStats {
    return { ...this.trees.shared.size, encoded: this.#properties.encoded };
  }

  // ---- properties --------------------------------------------------------------------------------------------

  versionOf(path: string, key: string): string | null {
    const entry = this.trees.of(path, key).entry(path, key);
    return entry === undefined ? null : shownVersion(entry.version);
  }

  async writeIf(write: Write, ifVersion: string | null): Promise<boolean> {
    const { path, key, text } = write;
    checkKey(key);
    const isLocal = this.trees.of(path, key) === this.trees.local;
    let done: boolean;
    if (isLocal || this.#link === undefined) {
      done = this.versionOf(path, key) === ifVersion;
      const version = this.#version(isLocal);
      if (done) this.#write([write], version);
    } else {
      this.#version(false); // throws while it is away
      done = await this.#link.decide({ path, key, text }, ifVersion);
    }
    if (!done) return false;
    this.#properties.batch.forgetKey(path, key);
    return true;
  }

  async flush(options: FlushOptions = {}, only?: string): Promise<FlushReport> {
    if (options.signal?.aborted === true) throw abortError(options.signal, "flushing");
    const { batch } = this.#properties;
    return await this.#flush(batch, options, only);
  }

  async run<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.#properties.isInUnit) return await work();
    return await this.#properties.runInUnit(async () => {
      const { batch } = this.#properties;
      let result: T;
      try {
        result = await work();
      } catch (error) {
        this.#properties.forgetUnit(batch);
        throw error;
      }
      await this.#flush(batch, {});
      return result;
    });
  }

  async #flush(batch: Batch, options: FlushOptions, only?: string): Promise<FlushReport> {
    const writes = this.#properties.collect(batch, only);
    const there = writes.filter(({ path }) => this.trees.has(path));
    const isShared = there.some(({ path, key }) => this.trees.of(path, key) === this.trees.shared);
    const version = isShared ? this.#version(false) : undefined; // throws while it is away, before anything is changed
    for (const path of batch.paths(only)) batch.forget(path);
    const changes = this.#write(there, version ?? NEVER);
    const dropped = [...batch.takeDropped(only), ...writes.filter((write) => !there.includes(write))].map(({ path, key }) => `${path}: ${key}`);
    const properties = changes.reduce((sum, change) => sum + change.properties.length, 0);
    if (properties === 0) return { ...ALONE, properties, sizeBytes: 0, dropped };
    const messages = this.#encode(changes);
    const report = await this.#send(messages, options);
    return { ...report, properties, sizeBytes: messages.reduce((sum, { length }) => sum + length, 0), dropped };
  }

  /** Writes into both trees; what others are to be told. */
  #write(writes: readonly Write[], version: Version): ContextChange[] {
    const shared = new Map<string, { readonly path: string; readonly base: Removals; readonly created: undefined; readonly properties: Array<ContextChange["properties"][number]> }>();
    for (const { path, key, text } of writes) {
      if (this.trees.of(path, key) === this.trees.local) {
        this.trees.mergeLocal({ path, base: NO_REMOVALS, created: undefined, properties: [{ key, version: this.trees.version(LOCAL), text }] });
        continue;
      }
      let change = shared.get(path);
      if (change === undefined) shared.set(path, (change = { path, base: this.trees.shared.removalsOf(path), created: undefined, properties: [] }));
      change.properties.push({ key, version, text });
    }
    const changes = [...shared.values()];
    for (const change of changes) this.trees.shared.merge(change);
    for (const write of writes) this.#properties.flushed(write);
    this.forgetIfAlone();
    this.tell();
    return changes;
  }

  // ---- others ------------------------------------------------------------------------------------------------

  async #publish(changes: readonly ContextChange[], options: FlushOptions): Promise<ChangeReport> {
    for (const change of changes) this.trees.shared.merge(change);
    this.forgetIfAlone();
    this.tell();
    return await this.#send(this.#encode(changes), options);
  }

  #encode(changes: readonly ContextChange[]): Uint8Array[] {
    if (this.#link === undefined) return [];
    return [...encodeChanges(() => this.trees.shared.floor, changes, MESSAGE_BYTES)].map(({ bytes }) => bytes);
  }

  async #send(messages: readonly Uint8Array[], options: FlushOptions): Promise<ChangeReport> {
    return this.#link === undefined ? ALONE : await this.#link.publish(messages, options);
  }

  /** Merges what the store has; its floor counts for all of it. */
  take({ floor, contexts }: Changes): void {
    this.trees.shared.raiseFloor(floor);
    for (const change of contexts) this.trees.shared.merge(change);
    this.trees.versions.saw(this.trees.shared.newest);
    this.tell();
  }

  #mergeLocal(change: ContextChange): void {
    this.trees.mergeLocal(change);
    this.tell();
  }

  /** Nobody else could bring back what was deleted. */
  forgetIfAlone(): void {
    if (this.#link === undefined) this.trees.shared.raiseFloor(this.trees.shared.newest);
  }

  /** Of a write by this node, made now. Throws `CONTEXTS_AWAY`. */
  #version(isLocal: boolean): Version {
    if (isLocal || this.#link === undefined) return this.trees.version(LOCAL);
    const { member } = this.#link;
    if (member === undefined) throw new TribuneError("CONTEXTS_AWAY", "this node has no place in the group, so its contexts cannot be changed", { about: "contexts", next: "start the cluster, or wait until it has rejoined" });
    return this.trees.version(member);
  }

  // ---- telling -----------------------------------------------------------------------------------------------

  on<Name extends keyof ContextsEvents>(name: Name, listener: (event: ContextsEvents[Name]) => unknown): () => void {
    const own = (event: ContextsEvents[Name]) => listener(event); // the same function may be given twice
    const off = this.#events.on(name, own);
    if (name !== "change") return off;
    return this.#counted(off);
  }

  onChange(path: string, listener: (event: PropertyEvent) => unknown): () => void {
    const own = (event: PropertyEvent) => listener(event);
    let there = this.#byPath.get(path);
    if (there === undefined) this.#byPath.set(path, (there = { events: new Events(this.#listenerFailed), count: 0 }));
    there.count++;
    const off = there.events.on("change", own);
    return this.#counted(() => {
      off();
      if (--there.count === 0) this.#byPath.delete(path);
    });
  }

  #counted(off: () => void): () => void {
    let isOn = true;
    this.#listeners++;
    return () => {
      if (!isOn) return;
      isOn = false;
      this.#listeners--;
      off();
    };
  }

  /** Tells of what was merged. After each merging; a listener's own changes are told when everybody has heard of the ones before. */
  tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    for (let at = 0; at < this.#untold.length; at++) this.#untold[at]?.();
    this.#untold.length = 0;
    this.#isTelling = false;
  }

  /** For the event `error`. */
  failed(error: unknown, what: string): void {
    this.#events.emit("error", { error: toTribuneError(error, "INTERNAL", what) });
  }

  #tell(tell: () => void): void {
    this.#untold.push(tell);
  }

  #changed(path: string, key: string, entry: Entry | undefined, version: Version): void {
    if (!this.trees.has(path)) return;
    const value = () => (entry === undefined ? undefined : this.#properties.valueOf(path, key, entry));
    const event: PropertyEvent = {
      path,
      key,
      deleted: entry === undefined,
      get value() {
        return value();
      },
      version: shownVersion(version),
      local: version.member === LOCAL || version.member === this.#link?.member,
    };
    this.#byPath.get(path)?.events.emit("change", event);
    this.#events.emit("change", event);
  }

  #handle(path: string): Context {
    return new ContextHandle(path, this, this.#properties);
  }

  // ---- by itself ---------------------------------------------------------------------------------------------

  #scheduleFlush(): void {
    const { flush } = this.settings;
    if (flush === "explicit") return;
    this.#timer = this.#clock.setTimer(flush.everyMs, () => {
      void this.#flush(this.#properties.commonBatch, {})
        .catch((error: unknown) => this.failed(error, "a flush failed"))
        .finally(() => {
          if (this.#timer !== undefined) this.#scheduleFlush();
        });
    });
  }

  /** No flush by interval any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
