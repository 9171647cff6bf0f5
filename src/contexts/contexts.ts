import type { DeliveryResult } from "../channel/index.ts";
import type { TribuneError } from "../kernel/index.ts";

/** A tree of contexts, each a bag of properties: the same on every member, or, from {@link localContexts}, on this node alone. */
export interface Contexts {
  /**
   * Makes a context, on every member: ids joined by `/`, the ones above it first. Resolves when every member has it, or, in mode `async`, when it is kept for every member.
   * Rejects with `INVALID_NAME`, `CONTEXT_EXISTS`, `CONTEXT_UNKNOWN` (there is none above it), `CONTEXTS_AWAY`.
   */
  create(path: string, options?: CreateOptions): Promise<Context>;
  /** The context of that path; makes it where it is not there. */
  open(path: string, options?: CreateOptions): Promise<Context>;
  /** The context of that path; `undefined` where it is not there. Throws `INVALID_NAME`. */
  get(path: string): Context | undefined;
  /** The paths right below one, in order; without a path those at the top. */
  list(path?: string): readonly string[];
  /**
   * Removes a context on every member, with all its properties. It wins over what others write into it without knowing of the removal. Rejects with `CONTEXT_UNKNOWN`, `CONTEXT_NOT_EMPTY` (unless `recursive`), `CONTEXTS_AWAY`.
   */
  remove(path: string, options?: { readonly recursive?: boolean }): Promise<ChangeReport>;
  /**
   * Sends every property that was touched, and only those, to every member, as one batch: all of them at once, or, where one has no form in JSON, none. Inside of `run`, those of this unit of work.
   * Rejects with `VALUE_INVALID`, `CONTEXTS_AWAY` (then nothing happened, and what was touched stays so), `ABORTED`, `BACKPRESSURE` (then it counts, and who did not get it will).
   */
  flush(options?: FlushOptions): Promise<FlushReport>;
  /** A unit of work: what is touched in it is seen in it alone, and is flushed when it ends. If it throws, it is forgotten. A unit within a unit is part of it. */
  run<T>(work: () => T | Promise<T>): Promise<T>;
  /** Calls `listener`, in order, with what changes here, by this node or another one. The returned function ends that. */
  on<Name extends keyof ContextsEvents>(name: Name, listener: (event: ContextsEvents[Name]) => unknown): () => void;
  /** What there is. */
  readonly stats: ContextsStats;
}

/** A bag of properties. A handle: it stays good when the context is removed and made again. All but `path`, `id` and `parent` throw `CONTEXT_UNKNOWN` while it is not there. */
export interface Context {
  readonly path: string;
  readonly id: string;
  /** The path above; `undefined` at the top. */
  readonly parent: string | undefined;
  /** `false`: it never leaves this node. */
  readonly replicated: boolean;
  /** The value; an object is the same one at each call until somebody writes another one, and may be changed in place: `touch` it then. */
  get(key: string): unknown;
  has(key: string): boolean;
  /** In order. */
  keys(): readonly string[];
  /** In the order of the keys. */
  entries(): ReadonlyArray<readonly [key: string, value: unknown]>;
  /** Here at once, elsewhere with the next flush. Throws `INVALID_NAME`, and `VALUE_INVALID` for what could not be sent. */
  set(key: string, value: unknown): void;
  /**
   * Only if the property still has the version that `version` answered, `null`: if it is not there. The coordinator decides: of any number of members that write so, at most one succeeds. Resolves to whether this one did, when every member has it.
   * Rejects as above, and with `WRITE_UNDECIDED` if it is not known; then it may stand. A write without `ifVersion` asks nobody, and a later one wins.
   */
  set(key: string, value: unknown, options: { readonly ifVersion: string | null }): Promise<boolean>;
  /** Whether there was one. */
  delete(key: string): boolean;
  delete(key: string, options: { readonly ifVersion: string }): Promise<boolean>;
  /** Its value was changed in place: it goes with the next flush. Throws `PROPERTY_UNKNOWN`. */
  touch(key: string): void;
  /** Names what all members have under this key; `null` if there is nothing. What is not flushed yet has no version. */
  version(key: string): string | null;
  /** What was touched in this context only. */
  flush(options?: FlushOptions): Promise<FlushReport>;
  /** As `contexts.on("change", …)`, of this context, and of one key if it is given. */
  onChange(listener: (event: PropertyEvent) => unknown, options?: { readonly key?: string }): () => void;
}

/** How a context is made. */
export interface CreateOptions {
  /** `false`: it never leaves this node, nor does what is below it. Default true. */
  readonly replicated?: boolean;
}

/** How a flush is sent. */
export interface FlushOptions {
  /** Default: that of the contexts. */
  readonly mode?: "ack" | "async";
  /** Ends the wait, not the flush. */
  readonly signal?: AbortSignal;
}

/** What became of a change at the other members. */
export interface ChangeReport {
  /** By node, in mode `ack`. Who has `timeout` gets it later, by itself. */
  readonly results: ReadonlyMap<string, DeliveryResult>;
  /** Every member has it. `false` in mode `async`, in which nobody knows. */
  readonly ok: boolean;
}

/** What became of a flush. */
export interface FlushReport extends ChangeReport {
  /** How many properties were sent. */
  readonly properties: number;
  /** Bytes that were sent to each member. */
  readonly sizeBytes: number;
  /** Touched properties whose context was removed meanwhile, as `path: key`: they are forgotten. */
  readonly dropped: readonly string[];
}

/** A property has another value now. */
export interface PropertyEvent {
  readonly path: string;
  readonly key: string;
  /** It was deleted. */
  readonly deleted: boolean;
  /** `undefined` where it was deleted. Decoded when it is asked for. */
  readonly value: unknown;
  readonly version: string;
  /** Written by this node. */
  readonly local: boolean;
}

/** Events of contexts. */
export interface ContextsEvents {
  change: PropertyEvent;
  created: { readonly path: string };
  /** With all its properties, for which there are no events. */
  removed: { readonly path: string };
  /** A flush by interval, or keeping the tree in the store, failed; it is tried again. `CONTEXTS_NOT_KEPT`: it is not, since this node stops. */
  error: { readonly error: TribuneError };
}

/** What there is. */
export interface ContextsStats {
  readonly contexts: number;
  readonly properties: number;
  /** Deletions and removals that are remembered still. */
  readonly tombstones: number;
  /** Values that were turned into JSON. */
  readonly encoded: number;
}
