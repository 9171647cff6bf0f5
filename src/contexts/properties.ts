import { AsyncLocalStorage } from "node:async_hooks";
import { TribuneError } from "../kernel/index.ts";
import { Batch } from "./batch.ts";
import type { Pending, Place } from "./batch.ts";
import { checkKey } from "./names.ts";
import type { ContextsSettings } from "./options.ts";
import type { Entry } from "./tree.ts";
import type { Trees } from "./trees.ts";
import { decodeValue, encodeValue } from "./values.ts";
import type { Version } from "./version.ts";

/** What is ready to be written. */
export interface Write extends Place {
  readonly text: string | undefined;
  /** Becomes the value that is handed out. */
  readonly value: unknown;
}

/** Properties as this node's code sees them: what all members have, and over it what was touched and not flushed. */
export class Properties {
  readonly #trees: Trees;
  readonly #settings: ContextsSettings;
  /** What was touched outside of units of work. */
  readonly #common = new Batch();
  readonly #units = new AsyncLocalStorage<Batch>();
  /** With those of the units of work that go on. */
  readonly #batches = new Set([this.#common]);
  /** Objects that may have been changed in place, where they are tracked. */
  readonly #handedOut = new Map<string, Map<string, Entry>>();
  #encoded = 0;

  constructor(trees: Trees, settings: ContextsSettings) {
    this.#trees = trees;
    this.#settings = settings;
  }

  get encoded(): number {
    return this.#encoded;
  }

  /** What is touched here and now goes into this one. */
  get batch(): Batch {
    return this.#units.getStore() ?? this.#common;
  }

  get commonBatch(): Batch {
    return this.#common;
  }

  get isInUnit(): boolean {
    return this.#units.getStore() !== undefined;
  }

  async runInUnit<T>(work: () => Promise<T>): Promise<T> {
    const batch = new Batch();
    this.#batches.add(batch);
    try {
      return await this.#units.run(batch, work);
    } finally {
      this.#batches.delete(batch);
    }
  }

  /** A context was removed, by whomever. */
  removed(path: string): void {
    for (const batch of this.#batches) batch.drop(path);
  }

  get(path: string, key: string): unknown {
    const pending = this.#pending(path, key);
    if (pending !== undefined) return pending.kind === "set" ? pending.value : undefined;
    const entry = this.#trees.of(path, key).entry(path, key);
    return entry === undefined ? undefined : this.valueOf(path, key, entry);
  }

  has(path: string, key: string): boolean {
    const pending = this.#pending(path, key);
    return pending === undefined ? this.#trees.of(path, key).entry(path, key) !== undefined : pending.kind === "set";
  }

  keys(path: string): string[] {
    const keys = new Set<string>();
    for (const tree of [this.#trees.local, this.#trees.shared]) for (const [key] of tree.entries(path)) if (this.#trees.of(path, key) === tree) keys.add(key);
    for (const batch of new Set([this.#common, this.batch])) {
      for (const [key, { kind }] of batch.of(path) ?? []) {
        if (kind === "set") keys.add(key);
        else keys.delete(key);
      }
    }
    return [...keys].toSorted();
  }

  set(path: string, key: string, value: unknown): void {
    this.batch.put(path, checkKey(key), { kind: "set", value, text: this.encode({ path, key }, value) });
  }

  delete(path: string, key: string): boolean {
    const isThere = this.has(path, checkKey(key));
    if (isThere) this.batch.put(path, key, { kind: "delete" });
    return isThere;
  }

  touch(path: string, key: string): void {
    if (!this.has(path, checkKey(key))) throw new TribuneError("PROPERTY_UNKNOWN", `${path} has no property ${key} to be touched`, { about: `${path}: ${key}`, next: "set it" });
    this.batch.put(path, key, { kind: "set", value: this.get(path, key), text: undefined });
  }

  /** The object that is handed out for an entry: always the same one. */
  valueOf(path: string, key: string, entry: Entry): unknown {
    entry.cached ??= { value: decodeValue(entry.text ?? "null", `${path}: ${key}`) };
    const { value } = entry.cached;
    if (this.#settings.track && typeof value === "object" && value !== null) this.#handOut(path, key, entry);
    return value;
  }

  /** What a flush is to write, of one batch, and of what is tracked. Nothing is changed. Throws `VALUE_INVALID`. */
  collect(batch: Batch, only?: string): Write[] {
    const writes: Write[] = [];
    for (const path of batch.paths(only)) for (const [key, pending] of batch.of(path) ?? []) writes.push(this.#writeOf(path, key, pending));
    for (const [path, entries] of this.#handedOut) {
      if (only !== undefined && path !== only) continue;
      for (const [key, entry] of entries) this.#collectTracked(batch, { path, key }, entry, writes);
    }
    return writes;
  }

  /** The value that was flushed is the one that is handed out from now on. */
  flushed({ path, key, value }: Write): void {
    const entry = this.#trees.of(path, key).entry(path, key);
    if (entry === undefined) return;
    entry.cached = { value };
    if (this.#settings.track && typeof value === "object" && value !== null) this.#handOut(path, key, entry);
  }

  /** Objects that were changed in place in a unit that threw may be anywhere: the next `get` makes new ones. */
  forgetUnit(batch: Batch): void {
    for (const path of batch.paths()) {
      for (const key of batch.of(path)?.keys() ?? []) {
        const entry = this.#trees.of(path, key).entry(path, key);
        if (entry !== undefined) delete entry.cached;
        this.#handedOut.get(path)?.delete(key);
      }
    }
  }

  encode({ path, key }: Place, value: unknown): string {
    this.#encoded++;
    return encodeValue(value, `${path}: ${key}`, this.#settings.maxValueBytes);
  }

  #pending(path: string, key: string): Pending | undefined {
    return this.#units.getStore()?.get(path, key) ?? this.#common.get(path, key);
  }

  #writeOf(path: string, key: string, pending: Pending): Write {
    if (pending.kind === "delete") return { path, key, text: undefined, value: undefined };
    return { path, key, text: pending.text ?? this.encode({ path, key }, pending.value), value: pending.value };
  }

  #collectTracked(batch: Batch, { path, key }: Place, entry: Entry, writes: Write[]): void {
    if (this.#trees.of(path, key).entry(path, key) !== entry || entry.cached === undefined) return void this.#handedOut.get(path)?.delete(key); // somebody wrote another one
    if (batch.get(path, key) !== undefined) return;
    const { value } = entry.cached;
    const text = this.encode({ path, key }, value);
    if (text !== entry.text) writes.push({ path, key, text, value });
  }

  #handOut(path: string, key: string, entry: Entry): void {
    let entries = this.#handedOut.get(path);
    if (entries === undefined) this.#handedOut.set(path, (entries = new Map()));
    entries.set(key, entry);
  }
}

/** A version as users see it. */
export function shownVersion({ time, member }: Version): string {
  return `${time.toString(36)}.${member}`;
}
