import { hostname } from "node:os";
import { checkName, Complaints, guardedLogger, isTribuneError, nodeNameFrom, silentLogger, systemClock, systemRandom, TribuneError } from "../kernel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import { checkTiming, defaultStopBudgetMs, PRESETS } from "../presence/index.ts";
import type { Preset, Timing } from "../presence/index.ts";
import type { Member } from "../membership/index.ts";
import { farmSettings } from "../farm/index.ts";
import type { FarmOptions } from "../farm/index.ts";
import type { StoreProvider } from "../store/index.ts";
import { checkChannelOptions } from "./channel-options.ts";
import type { CheckedChannelOptions, ClusterChannelOptions } from "./channel-options.ts";
import { checkContextsOptions } from "./contexts-options.ts";
import type { CheckedContextsOptions, ClusterContextsOptions } from "./contexts-options.ts";
import { encodeMetadata } from "./metadata.ts";
import { storeFromUrl } from "./store-url.ts";

/** What `createCluster` takes. Only `group` and `store` are required; everything wrong is told at once. */
export interface ClusterOptions<Tx = unknown> {
  /** The nodes that coordinate with each other: one name, one keyspace in one store. */
  readonly group: string;
  /** This node's name, which no other running node of the group may have. Default: host name and process id. */
  readonly node?: string;
  /** Where coordination state lives: a provider (`postgres({ pool })`, `sqlite({ path })`, …), or a store URL. */
  readonly store: StoreProvider<Tx> | string;
  /** What this node says about itself to the others: JSON, up to 15.5 KiB. Default: `{}`. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Lease and beat as a pair: `fast` 2 s / 0.5 s, `default` 4 s / 1 s, `calm` 15 s / 5 s. */
  readonly preset?: Preset;
  /** For how long the store holds this node alive without a beat. Default 4000. Longer: slower failover, more patience. */
  readonly leaseMs?: number;
  /** How often this node beats, ± 10 %. Default 1000. At most half the lease. */
  readonly beatMs?: number;
  /** How long before its trust ends a term's signal aborts, and how long a resignation waits for the work. Default: a quarter of the lease. */
  readonly stopBudgetMs?: number;
  /** `evidence` (default) uses the store's proof that a process is gone where there is one; `lease` never does. */
  readonly crashDetection?: "evidence" | "lease";
  /** Take part, see and be seen, but lead nothing: never the coordinator, and `lead` and `campaign` are refused. Does not count towards `minimumMembers`. Default false. */
  readonly observer?: boolean;
  /** Lead nothing while the group has fewer members than this: a part that was cut off, or that has lost most of the others, deactivates itself. Default 1. */
  readonly minimumMembers?: number;
  /** Hold no more elections than this at a time, so that they spread over the members; the coordinator's does not count. Default: no limit. */
  readonly maxElections?: number;
  /** In which order members succeed a coordinator, the next one first; all members must agree on it. Default: the oldest first, as `view.members` are. */
  readonly succession?: (members: readonly Member[]) => readonly Member[];
  /** Messages between members: `true`, or where to listen and how. It opens a port, for encrypted connections of members only, so it has to be asked for. Default false. */
  readonly channel?: boolean | ClusterChannelOptions;
  /** Properties that all members share: `true`, or how. Needs `channel`, unless they are not `replicated`. Default false. */
  readonly contexts?: boolean | ClusterContextsOptions;
  /** Deploying artifacts on all members: where this one keeps them, and what is done with them. Needs a channel. Default: this node takes no part, and nothing can be deployed, unless it is an observer. */
  readonly farm?: FarmOptions;
  /** Make the schema at start, or bring it up to date, if the role may. Default true. */
  readonly createSchema?: boolean;
  /** How long `start` goes on trying to reach a store that does not answer. Default 15000. */
  readonly startTimeoutMs?: number;
  /** Stop on SIGTERM and SIGINT. Default false. */
  readonly handleSignals?: boolean;
  /** Four methods, pino's argument order. Default: silent. */
  readonly logger?: Logger;
  /** For tests and simulations. */
  readonly clock?: Clock;
  /** For tests and simulations. */
  readonly random?: Random;
}

/** The defaults of {@link ClusterOptions}; the stop budget is a quarter of the lease. */
export const CLUSTER_DEFAULTS = {
  preset: "default",
  crashDetection: "evidence",
  observer: false,
  minimumMembers: 1,
  channel: false,
  contexts: false,
  createSchema: true,
  startTimeoutMs: 15_000,
  handleSignals: false,
} as const;

export interface CheckedOptions<Tx> {
  readonly group: string;
  readonly node: string;
  readonly store: StoreProvider<Tx>;
  readonly metadata: string;
  readonly timing: Timing;
  readonly crashDetection: "evidence" | "lease";
  readonly observer: boolean;
  readonly minimumMembers: number;
  readonly maxElections: number;
  readonly succession: ((members: readonly Member[]) => readonly Member[]) | undefined;
  /** `undefined`: this node has none. */
  readonly channel: CheckedChannelOptions | undefined;
  /** `undefined`: this node has none. */
  readonly contexts: CheckedContextsOptions | undefined;
  readonly farm: FarmOptions | undefined;
  readonly createSchema: boolean;
  readonly startTimeoutMs: number;
  readonly handleSignals: boolean;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

const KNOWN: readonly (keyof ClusterOptions)[] = [
  "group",
  "node",
  "store",
  "metadata",
  "preset",
  "leaseMs",
  "beatMs",
  "stopBudgetMs",
  "crashDetection",
  "observer",
  "minimumMembers",
  "maxElections",
  "succession",
  "channel",
  "contexts",
  "farm",
  "createSchema",
  "startTimeoutMs",
  "handleSignals",
  "logger",
  "clock",
  "random",
];

/** Checks everything, fills in the defaults, and throws one `INVALID_OPTIONS` that names every complaint. A single complaint with a code of its own keeps it. */
export function checkOptions<Tx>(options: ClusterOptions<Tx>): CheckedOptions<Tx> {
  const complaints = new Complaints("cluster options");
  const codes: TribuneError[] = [];
  const attempt = <T>(check: () => T): T | undefined => {
    try {
      return check();
    } catch (error) {
      if (isTribuneError(error)) codes.push(error);
      complaints.add(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
  if (typeof options !== "object" || options === null) throw new TribuneError("INVALID_OPTIONS", "createCluster needs an object of options", { about: "options", next: "give at least group and store" });
  complaints.unknownKeys(options, KNOWN);
  const group = attempt(() => checkName("group", options.group));
  const node = attempt(() => checkName("node", options.node ?? nodeNameFrom(hostname(), String(process.pid))));
  const store = attempt(() => checkStore<Tx>(options.store));
  const metadata = attempt(() => encodeMetadata(options.metadata ?? {}));
  const preset = options.preset ?? CLUSTER_DEFAULTS.preset;
  const named = complaints.check(Object.hasOwn(PRESETS, preset), `preset must be one of ${Object.keys(PRESETS).join(", ")}`) ? PRESETS[preset] : PRESETS.default;
  const leaseMs = options.leaseMs ?? named.leaseMs;
  const timing: Timing = { leaseMs, beatMs: options.beatMs ?? named.beatMs, stopBudgetMs: options.stopBudgetMs ?? defaultStopBudgetMs(leaseMs) };
  checkTiming(timing, complaints);
  const crashDetection = options.crashDetection ?? CLUSTER_DEFAULTS.crashDetection;
  complaints.check(crashDetection === "evidence" || crashDetection === "lease", `crashDetection must be "evidence" or "lease"`);
  const minimumMembers = options.minimumMembers ?? CLUSTER_DEFAULTS.minimumMembers;
  complaints.check(Number.isInteger(minimumMembers) && minimumMembers >= 1 && minimumMembers <= 10_000, "minimumMembers must be a whole number from 1 to 10000");
  const { maxElections = Number.POSITIVE_INFINITY, succession } = options;
  complaints.check(options.maxElections === undefined || (Number.isInteger(maxElections) && maxElections >= 0), "maxElections must be a whole number, 0 or more");
  complaints.check(succession === undefined || typeof succession === "function", "succession must be a function that orders members");
  const channel = attempt(() => checkChannelOptions(options.channel ?? CLUSTER_DEFAULTS.channel));
  const contexts = attempt(() => checkContextsOptions(options.contexts ?? CLUSTER_DEFAULTS.contexts, (options.channel ?? CLUSTER_DEFAULTS.channel) !== false));
  if (options.farm !== undefined && attempt(() => farmSettings(options.farm as FarmOptions)) !== undefined) complaints.check(channel !== undefined, "farm needs a channel: give channel: true, or its options");
  const startTimeoutMs = options.startTimeoutMs ?? CLUSTER_DEFAULTS.startTimeoutMs;
  complaints.milliseconds("startTimeoutMs", startTimeoutMs, { min: 0, max: 86_400_000 });
  for (const name of ["createSchema", "handleSignals", "observer"] as const) complaints.check(options[name] === undefined || typeof options[name] === "boolean", `${name} must be true or false`);
  complaints.check(options.logger === undefined || isLogger(options.logger), "logger must have the methods debug, info, warn and error");
  if (codes.length === 1 && codes[0] !== undefined && complaints.count === 1) throw codes[0];
  complaints.throwIfAny();
  return {
    group: group as string,
    node: node as string,
    store: store as StoreProvider<Tx>,
    metadata: metadata as string,
    timing,
    crashDetection,
    observer: options.observer ?? CLUSTER_DEFAULTS.observer,
    minimumMembers,
    maxElections,
    succession,
    channel,
    contexts,
    farm: options.farm,
    createSchema: options.createSchema ?? CLUSTER_DEFAULTS.createSchema,
    startTimeoutMs,
    handleSignals: options.handleSignals ?? CLUSTER_DEFAULTS.handleSignals,
    logger: guardedLogger(options.logger ?? silentLogger),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

function checkStore<Tx>(store: StoreProvider<Tx> | string): StoreProvider<Tx> {
  if (typeof store === "string") return storeFromUrl(store) as StoreProvider<Tx>;
  if (typeof store === "object" && store !== null && typeof (store as Partial<StoreProvider>).open === "function") return store;
  throw new TribuneError("INVALID_OPTIONS", "store must be a provider, such as sqlite({ path }), or a store URL", { about: "store" });
}

function isLogger(logger: unknown): boolean {
  return typeof logger === "object" && logger !== null && (["debug", "info", "warn", "error"] as const).every((name) => typeof (logger as Partial<Logger>)[name] === "function");
}
