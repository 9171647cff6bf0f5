import type { KeyObject } from "node:crypto";
import { Complaints, isTribuneError, shown } from "../kernel/index.ts";
import { isFarmName } from "./record.ts";
import { publicKey } from "./signature.ts";

/** An artifact as handlers get it. */
export interface Artifact {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly kind: "file" | "directory";
  /** What the deployer gave along. */
  readonly config: unknown;
  /** The file; of a directory that directory. */
  readonly path: string;
}

/** What handlers are called with besides. */
export interface HandlerContext {
  /** Aborts when what the handler does is not wanted any more. */
  readonly signal: AbortSignal;
  /** What ran before, to be replaced. Only for `activate`. */
  readonly previous: Artifact | null;
}

/**
 * What a service does with its artifacts. `dir` is a folder of this release's own, which goes when the release is discarded. Each is called once at a time for a name:
 *
 *     prepare ─▶ activate ─▶ (health …) ─▶ deactivate, or the next one's activate ─▶ discard
 */
export interface FarmHandler {
  /** This member's vote: throws, if this artifact cannot run here. Changes nothing that runs. */
  prepare?(artifact: Artifact, dir: string, context: HandlerContext): unknown;
  /** Lets it run instead of what runs. Where it throws, what ran before must still run. */
  activate(artifact: Artifact, dir: string, context: HandlerContext): unknown;
  /** Asked after `activate`, again and again until it is not `false` and does not throw: then it is healthy. */
  health?(artifact: Artifact, dir: string, context: HandlerContext): unknown;
  /** It is undeployed, or the member stops. */
  deactivate?(artifact: Artifact, dir: string, context: HandlerContext): unknown;
  /** It does not run, and is not needed any more: replaced, undeployed, or rolled back after `prepare`. */
  discard?(artifact: Artifact, dir: string, context: HandlerContext): unknown;
}

/** How a member farms. */
export interface FarmOptions {
  /** A folder of this node's own, for artifacts and what is unpacked of them. Kept over restarts: parts of transfers are in it. */
  readonly dir: string;
  /** What is done with artifacts, by name; `"*"` for all others. A member without a handler for a name votes no. Default: none. */
  readonly handlers?: Readonly<Record<string, FarmHandler>>;
  /** Public Ed25519 keys: only artifacts that one of them has signed are taken. Default: none, and all are taken. */
  readonly trustedKeys?: readonly (string | KeyObject)[];
  /** The largest artifact, in bytes. Default 4 GiB. */
  readonly maxArtifactBytes?: number;
  /** The most files and folders in an archive. Default 100000. */
  readonly maxFiles?: number;
  /** How much of an artifact goes in one message, in bytes; less than the channel's `maxMessageBytes`. Default 512 KiB. Larger: fewer round trips, more memory, and messages wait longer behind it. */
  readonly pieceBytes?: number;
  /** How long all members have to fetch, prepare and vote where `deploy` says nothing else, and `prepare` by itself where a member catches up, in milliseconds. Default 300000. */
  readonly prepareMs?: number;
  /** How long `activate`, and then `health`, may take, in milliseconds. Default 60000. */
  readonly activateMs?: number;
  /** How long starting waits until everything that is desired is applied here, in milliseconds. It goes on afterwards. Default 60000. */
  readonly catchUpMs?: number;
  /** Between two looks at what is desired, where no hint comes, in milliseconds. Default 1000. */
  readonly pollMs?: number;
}

/** Farm options with every field decided. */
export interface FarmSettings extends Required<Omit<FarmOptions, "trustedKeys">> {
  readonly trustedKeys: readonly KeyObject[];
}

/** What goes without being said. */
export const DEFAULT_FARM_OPTIONS = {
  handlers: {},
  trustedKeys: [],
  maxArtifactBytes: 4 * 2 ** 30,
  maxFiles: 100_000,
  pieceBytes: 512 * 1024,
  prepareMs: 300_000,
  activateMs: 60_000,
  catchUpMs: 60_000,
  pollMs: 1_000,
} as const;

const LONGEST_MS = 24 * 3_600_000;

/** Throws `INVALID_OPTIONS` with all complaints. */
export function farmSettings(options: FarmOptions): FarmSettings {
  const complaints = new Complaints("farm");
  complaints.unknownKeys(options, ["dir", ...Object.keys(DEFAULT_FARM_OPTIONS)]);
  const given = { dir: options.dir, ...DEFAULT_FARM_OPTIONS, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) } as Required<FarmOptions>;
  complaints.check(typeof given.dir === "string" && given.dir !== "", `dir must be a folder of this node's own, not ${shown(given.dir)}`);
  for (const name of ["prepareMs", "activateMs", "catchUpMs", "pollMs"] as const) complaints.milliseconds(name, given[name], { min: 1, max: LONGEST_MS });
  const whole = (name: "maxArtifactBytes" | "maxFiles" | "pieceBytes", max: number) => complaints.check(Number.isSafeInteger(given[name]) && given[name] >= 1 && given[name] <= max, `${name} must be a whole number from 1 to ${max}, not ${shown(given[name])}`);
  whole("maxArtifactBytes", 2 ** 47);
  whole("maxFiles", 10_000_000);
  whole("pieceBytes", 2 ** 26);
  if (complaints.check(typeof given.handlers === "object" && given.handlers !== null, "handlers must be an object of handlers by name")) {
    for (const [name, handler] of Object.entries(given.handlers as Record<string, Partial<FarmHandler> | null>)) {
      complaints.check(name === "*" || isFarmName(name), `handlers has ${shown(name)}, which is no name of something deployed`);
      complaints.check(typeof handler?.activate === "function", `the handler of ${shown(name)} has no method activate`);
    }
  }
  const keys: KeyObject[] = [];
  if (complaints.check(Array.isArray(given.trustedKeys), "trustedKeys must be a list of public Ed25519 keys")) {
    for (const key of given.trustedKeys) {
      try {
        keys.push(publicKey(key));
      } catch (error) {
        complaints.add(isTribuneError(error) ? error.message : "trustedKeys has what is no key");
      }
    }
  }
  complaints.throwIfAny();
  return { ...given, trustedKeys: keys };
}
