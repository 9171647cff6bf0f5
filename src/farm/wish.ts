import { Complaints, shown, TribuneError } from "../kernel/index.ts";
import type { Wish } from "./coordinate.ts";
import { isFarmName, LONGEST_FARM_NAME } from "./record.ts";
import type { Rolling } from "./record.ts";
import { sortedJson } from "./signature.ts";

/** Where members ask the coordinator. */
export const WISH_TOPIC = "farm.wish";

/** What is asked about which name. */
export interface NamedWish {
  readonly name: string;
  readonly wish: Wish;
}

/** The largest configuration of a release, in bytes of JSON. */
export const LARGEST_CONFIG_BYTES = 16 * 1024;

const LONGEST_MS = 24 * 3_600_000;
const ID = /^[0-9a-f]{32}$/;

/** Returns the name of something deployed; throws `INVALID_NAME`. */
export function checkFarmName(name: unknown): string {
  if (isFarmName(name)) return name;
  throw new TribuneError("INVALID_NAME", `the name of an artifact cannot be ${shown(name)}`, { about: "artifact", next: `use 1 to ${LONGEST_FARM_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit` });
}

/** Throws `INVALID_OPTIONS` with all complaints about what a change goes by. */
export function checkChange(given: { readonly version?: unknown; readonly config?: unknown; readonly prepareMs?: unknown; readonly rolling?: Rolling | null | undefined }): void {
  const complaints = new Complaints("farm");
  if (given.version !== undefined) complaints.check(isFarmName(given.version), `version must be 1 to ${LONGEST_FARM_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit, not ${shown(given.version)}`);
  complaints.check(isPlainJson(given.config, 0), "config must be JSON: null, booleans, numbers, strings, lists, and objects of these, up to 16 deep");
  if (complaints.count === 0) complaints.check(Buffer.byteLength(sortedJson(given.config ?? null)) <= LARGEST_CONFIG_BYTES, `config must have up to ${LARGEST_CONFIG_BYTES} bytes as JSON; put more into the artifact`);
  if (given.prepareMs !== undefined) complaints.milliseconds("prepareMs", given.prepareMs, { min: 1, max: LONGEST_MS });
  if (given.rolling !== undefined && given.rolling !== null && complaints.check(typeof given.rolling === "object", "rolling must be an object")) {
    const { by, waveMs } = given.rolling;
    complaints.check(by === "zone" || (Number.isSafeInteger(by) && by >= 1), `rolling.by must be a number of members from 1 on, or "zone", not ${shown(by)}`);
    complaints.milliseconds("rolling.waveMs", waveMs, { min: 1, max: LONGEST_MS });
  }
  complaints.throwIfAny();
}

/** What a member asked for, as it came. Throws `PAYLOAD_INVALID`: members check before they ask. */
export function readWish(value: unknown): NamedWish {
  const { name, wish } = (value ?? {}) as Partial<NamedWish>;
  try {
    checkFarmName(name);
    if (typeof wish !== "object" || !ID.test(wish.id) || typeof wish.by !== "string") throw new TypeError("no wish");
    if (wish.kind === "deploy") {
      const { release } = wish;
      const isRelease = ID.test(release.id) && /^[0-9a-f]{64}$/.test(release.digest) && Number.isSafeInteger(release.sizeBytes) && release.sizeBytes >= 0 && (release.kind === "file" || release.kind === "directory") && (release.signature === null || (typeof release.signature === "string" && release.signature.length < 200));
      if (!isRelease) throw new TypeError("no release");
      checkChange({ ...wish, version: release.version, config: release.config });
    } else if (wish.kind === "rollback") checkChange({ ...wish, version: wish.version ?? undefined });
    else if (wish.kind !== "undeploy" && wish.kind !== "cancel") throw new TypeError("no kind of wish");
    return { name: name as string, wish };
  } catch (error) {
    throw new TribuneError("PAYLOAD_INVALID", "what was asked of the coordinator is no wish of the farm", { about: WISH_TOPIC, cause: error });
  }
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
