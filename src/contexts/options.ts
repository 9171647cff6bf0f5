import { Complaints, shown } from "../kernel/index.ts";
import { DEFAULT_EXCLUDE } from "./exclusion.ts";
import type { Exclusion } from "./exclusion.ts";

/** When what was touched goes to the others: when you call `flush` and at the end of a unit of work; or, what was touched outside of one, every so often too. */
export type FlushMode = "explicit" | { readonly everyMs: number };

/** How contexts are replicated, and what that may cost. */
export interface ContextsOptions {
  /** Default "explicit". */
  readonly flush?: FlushMode;
  /** `ack`: `flush` resolves when every member has it. `async`: when it is kept for every member. Default: the channel's. */
  readonly mode?: "ack" | "async";
  /** Find values that were changed in place, without `touch`: at each flush every object that was handed out is encoded and compared. Default false. */
  readonly track?: boolean;
  /** Properties that stay on their node: patterns in which `*` stands for any characters, or a function. A list replaces the default. Default ["local_*"]. */
  readonly exclude?: Exclusion;
  /** The longest value, in bytes of JSON; at most 256 KiB where `durable`. Default 256 KiB. */
  readonly maxValueBytes?: number;
  /** How often this member compares what it has with another one, in milliseconds. Sooner: what a fault left is mended sooner, for 2 KiB each time. Default 10000. */
  readonly repairMs?: number;
  /** How long it is remembered at least that something was deleted, in milliseconds; must be longer than a message may be under way. Default 600000. */
  readonly tombstoneMs?: number;
  /** Keep the tree in the group's store too, so that a restart of everything finds it. Default false. */
  readonly durable?: boolean;
  /** How long the store may be behind, in milliseconds, where `durable`. Default 1000. */
  readonly durableMs?: number;
  /** How long one send, one comparison or one decision may take, in milliseconds. Default 10000. */
  readonly deadlineMs?: number;
}

/** Options with every field decided. */
export type ContextsSettings = Readonly<Required<Omit<ContextsOptions, "mode">>> & { readonly mode: "ack" | "async" | undefined };

/** The most that fits into one document of any store, with room for what is around it. */
export const LARGEST_DURABLE_VALUE = 256 * 1024;

/** What goes without being said. */
export const DEFAULT_CONTEXTS_OPTIONS: Readonly<Required<Omit<ContextsOptions, "mode">>> = Object.freeze({
  flush: "explicit",
  track: false,
  exclude: DEFAULT_EXCLUDE,
  maxValueBytes: LARGEST_DURABLE_VALUE,
  repairMs: 10_000,
  tombstoneMs: 600_000,
  durable: false,
  durableMs: 1_000,
  deadlineMs: 10_000,
});

const HOUR_MS = 3_600_000;

/** Throws `INVALID_OPTIONS` with all complaints. */
export function contextsSettings(options: ContextsOptions): ContextsSettings {
  const complaints = new Complaints("contexts");
  if (!complaints.check(typeof options === "object" && options !== null && !Array.isArray(options), `must be an object of options, not ${shown(options)}`)) complaints.throwIfAny();
  complaints.unknownKeys(options, [...Object.keys(DEFAULT_CONTEXTS_OPTIONS), "mode"]);
  const settings: ContextsSettings = { ...DEFAULT_CONTEXTS_OPTIONS, mode: undefined, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) };
  const { flush, mode, exclude, maxValueBytes, durable } = settings;
  const isMode = flush === "explicit" || (typeof flush === "object" && flush !== null);
  if (complaints.check(isMode, `flush must be "explicit" or { everyMs }, not ${shown(flush)}`) && flush !== "explicit") complaints.milliseconds("flush.everyMs", flush.everyMs, { min: 1, max: HOUR_MS });
  complaints.check(mode === undefined || mode === "ack" || mode === "async", `mode must be "ack" or "async", not ${shown(mode)}`);
  complaints.check(typeof exclude === "function" || (Array.isArray(exclude) && exclude.every((each) => typeof each === "string" && each !== "")), "exclude must be a list of patterns, or a function");
  for (const name of ["track", "durable"] as const) complaints.check(typeof settings[name] === "boolean", `${name} must be true or false, not ${shown(settings[name])}`);
  if (complaints.check(Number.isSafeInteger(maxValueBytes) && maxValueBytes >= 1 && maxValueBytes <= 8 * 1024 * 1024, `maxValueBytes must be a whole number from 1 to 8388608, not ${shown(maxValueBytes)}`)) {
    complaints.check(!durable || maxValueBytes <= LARGEST_DURABLE_VALUE, `maxValueBytes may be ${LARGEST_DURABLE_VALUE} at most where the tree is durable`);
  }
  complaints.milliseconds("repairMs", settings.repairMs, { min: 10, max: HOUR_MS });
  complaints.milliseconds("durableMs", settings.durableMs, { min: 1, max: HOUR_MS });
  if (complaints.milliseconds("deadlineMs", settings.deadlineMs, { min: 1, max: HOUR_MS }) && complaints.milliseconds("tombstoneMs", settings.tombstoneMs, { min: 1, max: 365 * 24 * HOUR_MS })) {
    complaints.check(settings.tombstoneMs >= 2 * settings.deadlineMs, `tombstoneMs (${settings.tombstoneMs}) must be at least twice deadlineMs (${settings.deadlineMs})`);
  }
  complaints.throwIfAny();
  return settings;
}
