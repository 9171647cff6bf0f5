import { Complaints, shown, TribuneError } from "../kernel/index.ts";
import { isArtifactSource } from "./artifact-source.ts";
import type { ChangeOptions, DeployOptions, RollbackOptions, UndeployOptions } from "./change.ts";
import { isFarmName, LONGEST_FARM_NAME } from "./record.ts";
import { sortedJson } from "./signature.ts";

/** The largest configuration of a release, in bytes of JSON. */
export const LARGEST_CONFIG_BYTES = 16 * 1024;

const LONGEST_MS = 24 * 3_600_000;
const CHANGE = ["prepareMs", "rolling", "signal"] as const satisfies readonly (keyof ChangeOptions)[];

/** Returns the name of something deployed; throws `INVALID_NAME`. */
export function checkFarmName(name: unknown): string {
  if (isFarmName(name)) return name;
  throw new TribuneError("INVALID_NAME", `the name of an artifact cannot be ${shown(name)}`, { about: "artifact", next: `use 1 to ${LONGEST_FARM_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit` });
}

/** Throws `INVALID_NAME`, and `INVALID_OPTIONS` with all complaints about what `deploy` was given. */
export function checkDeploy(options: DeployOptions): void {
  const complaints = complaintsOf("deploy", options, ["name", "version", "artifact", "config", "signWith", ...CHANGE], "deploy({ name, version, artifact })");
  checkFarmName(options.name);
  checkVersion(complaints, options.version);
  complaints.check(isArtifactSource(options.artifact), `artifact must be bytes (a Uint8Array), { file }, { directory } or { tar } with one path, not ${shown(options.artifact)}`);
  checkConfig(complaints, options.config);
  checkPace(complaints, options);
  complaints.throwIfAny();
}

/** Throws `INVALID_NAME`, and `INVALID_OPTIONS` with all complaints about what `rollback` was given. */
export function checkRollback(name: string, options: RollbackOptions): void {
  checkFarmName(name);
  const complaints = complaintsOf("rollback", options, ["version", ...CHANGE], "rollback(name, { version })");
  checkVersionIfAny(complaints, options.version);
  checkPace(complaints, options);
  complaints.throwIfAny();
}

/** Throws `INVALID_NAME`, and `INVALID_OPTIONS` with all complaints about what `undeploy` was given. */
export function checkUndeploy(name: string, options: UndeployOptions): void {
  checkFarmName(name);
  complaintsOf("undeploy", options, ["signal"], "undeploy(name, { signal })").throwIfAny();
}

/** Complains unless it is a version. */
export function checkVersion(complaints: Complaints, version: unknown): void {
  complaints.check(isFarmName(version), `version must be 1 to ${LONGEST_FARM_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit, not ${shown(version)}`);
}

/** Complains unless it is a version, or none is named. */
export function checkVersionIfAny(complaints: Complaints, version: unknown): void {
  if (version !== undefined && version !== null) checkVersion(complaints, version);
}

/** Complains unless it is JSON that is not too long. */
export function checkConfig(complaints: Complaints, config: unknown): void {
  if (complaints.check(isPlainJson(config, 0), "config must be JSON: null, booleans, numbers, strings, lists, and objects of these, up to 16 deep")) {
    complaints.check(Buffer.byteLength(sortedJson(config ?? null)) <= LARGEST_CONFIG_BYTES, `config must have up to ${LARGEST_CONFIG_BYTES} bytes as JSON; put more into the artifact`);
  }
}

/** Complains of how long a change may take, and in which waves, where that is said. */
export function checkPace(complaints: Complaints, { prepareMs, rolling }: { readonly prepareMs?: unknown; readonly rolling?: unknown }): void {
  if (prepareMs !== undefined) complaints.milliseconds("prepareMs", prepareMs, { min: 1, max: LONGEST_MS });
  if (rolling === undefined || !complaints.check(isPlainObject(rolling), `rolling must be an object, { by, waveMs }, not ${shown(rolling)}`)) return;
  const { by, waveMs } = rolling as { readonly by?: unknown; readonly waveMs?: unknown };
  complaints.unknownKeys(rolling as object, ["by", "waveMs"]);
  complaints.check(by === "zone" || (Number.isSafeInteger(by) && (by as number) >= 1), `rolling.by must be a number of members from 1 on, or "zone", not ${shown(by)}`);
  if (waveMs !== undefined) complaints.milliseconds("rolling.waveMs", waveMs, { min: 1, max: LONGEST_MS });
}

/** What there is to complain of in any options: begins with what is none of them. Throws `INVALID_OPTIONS` with `example` if they are no object. */
function complaintsOf(call: string, options: { readonly signal?: AbortSignal }, known: readonly string[], example: string): Complaints {
  if (!isPlainObject(options)) throw new TribuneError("INVALID_OPTIONS", `farm: the options of ${call} must be an object, not ${shown(options)}`, { about: "farm", next: `call ${example}` });
  const complaints = new Complaints("farm");
  complaints.unknownKeys(options, known);
  const { signal } = options as { readonly signal?: unknown };
  complaints.check(signal === undefined || signal instanceof AbortSignal, `signal must be an AbortSignal, not ${shown(signal)}`);
  return complaints;
}

function isPlainObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPlainJson(value: unknown, depth: number): boolean {
  if (value === null || value === undefined) return value === null || depth === 0;
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || depth >= 16) return false;
  if (Array.isArray(value)) return value.every((each) => isPlainJson(each, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.entries(value).every(([name, each]) => name !== "__proto__" && isPlainJson(each, depth + 1));
}
