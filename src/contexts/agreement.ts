import { createHash } from "node:crypto";
import { contextsSettings, DEFAULT_CONTEXTS_OPTIONS } from "./options.ts";
import type { ContextsOptions } from "./options.ts";

/** What all members should have alike, as short as it travels with each of them: a field that is not there has its default. */
export interface AgreedSettings {
  readonly durable?: boolean;
  /** A print of the patterns, or that it is a function: two of those are not told apart. */
  readonly exclude?: string;
  readonly maxValueBytes?: number;
  readonly tombstoneMs?: number;
}

/** One of them that another member has otherwise. */
export interface Disagreement {
  readonly setting: keyof AgreedSettings;
  /** "durable: false, and true here", and what comes of it. */
  readonly what: string;
  /** It is the coordinator's that counts. */
  readonly coordinators: boolean;
}

/** Throws `INVALID_OPTIONS`. */
export function agreedSettings(options: ContextsOptions): AgreedSettings {
  const { durable, exclude, maxValueBytes, tombstoneMs } = contextsSettings(options);
  const settings = { durable, exclude: printOf(exclude), maxValueBytes, tombstoneMs };
  return Object.fromEntries(Object.entries(settings).filter(([name, value]) => value !== DEFAULTS[name as keyof AgreedSettings]));
}

/** In what another member differs; `there` is as it came. */
export function disagreements(here: AgreedSettings, there: unknown): Disagreement[] {
  const [own, other] = [{ ...DEFAULTS, ...here }, { ...DEFAULTS, ...(typeof there === "object" ? there : {}) }];
  const found: Disagreement[] = [];
  const add = (setting: keyof AgreedSettings, what: string): void => void (own[setting] === other[setting] ? undefined : found.push({ setting, what, coordinators: COORDINATORS.includes(setting) }));
  const values = (setting: keyof AgreedSettings): string => `${setting}: ${String(other[setting])}, and ${String(own[setting])} here`;
  add("durable", `${values("durable")}: while a coordinator has false, contexts are kept only by members that stop, and no deletion is forgotten`);
  add("exclude", "another exclude: what only one of both excludes is seen by one of both");
  add("maxValueBytes", `${values("maxValueBytes")}: values come to all members that only some of them may set, and a long one may not be one that a store keeps`);
  add("tombstoneMs", `${values("tombstoneMs")}: whoever is the coordinator says how long deletions are remembered`);
  return found;
}

const COORDINATORS: readonly (keyof AgreedSettings)[] = ["durable", "tombstoneMs"];

function printOf(exclude: ReturnType<typeof contextsSettings>["exclude"]): string {
  if (typeof exclude === "function") return "function";
  return createHash("sha256").update([...new Set(exclude)].toSorted().join("\n")).digest("hex").slice(0, 16);
}

const DEFAULTS: Required<AgreedSettings> = {
  durable: DEFAULT_CONTEXTS_OPTIONS.durable,
  exclude: printOf(DEFAULT_CONTEXTS_OPTIONS.exclude),
  maxValueBytes: DEFAULT_CONTEXTS_OPTIONS.maxValueBytes,
  tombstoneMs: DEFAULT_CONTEXTS_OPTIONS.tombstoneMs,
};
