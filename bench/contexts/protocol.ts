/** What keeps one map of properties in several processes. */
export interface Keeper {
  readonly name: string;
  readonly title: string;
  readonly kind: "ours" | "peer";
  /** The package of a peer. */
  readonly package?: string;
}

export const KEEPERS = [
  { name: "contexts-keys", title: "**contexts, keys** (the default)", kind: "ours" },
  { name: "contexts-plaintext", title: "**contexts, plaintext**", kind: "ours" },
  { name: "redis", title: "Redis: a hash for each context, changes by pub/sub, plaintext", kind: "peer", package: "redis" },
  { name: "yjs", title: "Yjs: a map for each context, updates over plain TCP", kind: "peer", package: "yjs" },
] as const satisfies readonly Keeper[];
export type KeeperName = (typeof KEEPERS)[number]["name"];

/** How many properties are changed at once, spread over all contexts. */
export const TOUCHED = [1, 100, 10_000] as const;

/** What one process is told when it begins. */
export interface Beginning {
  readonly keeper: KeeperName;
  readonly node: string;
  /** A database of ours; the URL of a server; or, for who needs none, where the writer listens: empty for the writer itself. */
  readonly place: string;
}

/** The property `p` of the context `c` becomes `value`. */
export interface Change {
  readonly c: number;
  readonly p: number;
  readonly value: string;
}

/** A process's copy. */
export interface Copy {
  /** Where others find it, if they have to. */
  readonly address: string;
  count(): number;
  /** Resolves with the bytes of payload, when both other processes have applied all of it. */
  set(changes: readonly Change[]): Promise<number>;
  stop(): Promise<void>;
}

/** What a process is told later. `fill` and `flush`: by the writer alone. */
export type Order =
  | { readonly order: "fill"; readonly contexts: number; readonly properties: number; readonly bytes: number }
  | { readonly order: "flush"; readonly touched: number; readonly contexts: number; readonly bytes: number }
  | { readonly order: "count" }
  | { readonly order: "stop" };

/** What a process says. */
export type Report =
  | { readonly kind: "started"; readonly startMs: number; readonly cpuMs: number; readonly properties: number; readonly address: string }
  | { readonly kind: "done"; readonly ms: number; readonly cpuMs: number; readonly payloadBytes: number }
  | { readonly kind: "counted"; readonly properties: number; readonly rssMib: number }
  | { readonly kind: "failed"; readonly message: string };
