import { shown, TribuneError } from "../kernel/index.ts";
import { ANNEX, LARGEST_ANNEX_BYTES } from "../membership/index.ts";
import { LARGEST_METADATA_BYTES } from "../store/index.ts";

/** What users may take of the room for metadata. */
const LARGEST_BYTES = LARGEST_METADATA_BYTES - LARGEST_ANNEX_BYTES;

/** Levels of nesting that metadata may have. */
const DEEPEST = 16;

/** Metadata as JSON text. Throws `INVALID_METADATA` naming the path of what cannot travel. */
export function encodeMetadata(metadata: unknown): string {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) throw invalid("metadata", "must be an object of JSON values");
  if (Object.hasOwn(metadata, ANNEX)) throw invalid(`metadata.${ANNEX}`, "is what the rooms of a member tell each other");
  check(metadata, "metadata", []);
  const text = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > LARGEST_BYTES) throw invalid("metadata", `takes ${bytes} bytes, more than ${LARGEST_BYTES}`);
  return text;
}

function check(value: unknown, path: string, above: readonly unknown[]): void {
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw invalid(path, `is ${value}, which JSON does not have`);
    return;
  }
  if (typeof value !== "object") throw invalid(path, `is ${shown(value)}, which JSON does not have`);
  if (above.includes(value)) throw invalid(path, "contains itself");
  if (above.length >= DEEPEST) throw invalid(path, `is nested deeper than ${DEEPEST} levels`);
  const inside = [...above, value];
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) check(value[index], `${path}[${index}]`, inside);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw invalid(path, "is not a plain object");
  for (const [key, inner] of Object.entries(value)) {
    if (key === "__proto__") throw invalid(path, "has a key that could set a prototype");
    check(inner, `${path}.${key.slice(0, 64)}`, inside);
  }
}

function invalid(path: string, what: string): TribuneError {
  return new TribuneError("INVALID_METADATA", `${path} ${what}`, { about: "metadata", next: "use strings, finite numbers, booleans, null, arrays and plain objects" });
}
