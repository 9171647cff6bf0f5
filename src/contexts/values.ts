import { TribuneError } from "../kernel/index.ts";

/** How deep a value may be nested. */
export const DEEPEST_VALUE = 64;

/**
 * The JSON of a value. Throws `VALUE_INVALID`, naming the place in the value, for whatever would not come out the same at the other end (functions, symbols, big integers, `undefined`, `NaN`, dates, maps, classes, cycles, members named `__proto__`),
 * for what is nested deeper than {@link DEEPEST_VALUE}, and for more than `maxBytes`.
 */
export function encodeValue(value: unknown, where: string, maxBytes: number): string {
  check(value, { where, maxBytes, seen: [], size: 0 });
  const text = JSON.stringify(value);
  if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes) throw tooLarge(where, maxBytes);
  return text;
}

/** The value of a JSON text that came from another member. Throws `PAYLOAD_INVALID`. */
export function decodeValue(text: string, where: string): unknown {
  try {
    return /__proto__|\\u/.test(text) ? JSON.parse(text, refusePrototype) : JSON.parse(text);
  } catch (cause) {
    throw new TribuneError("PAYLOAD_INVALID", `the value of ${where} cannot be read`, { about: where, next: "run the same version of Tribune on all members", cause });
  }
}

function refusePrototype(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new TypeError("it has a member named __proto__");
  return value;
}

interface Walk {
  readonly where: string;
  readonly maxBytes: number;
  /** The objects around the one that is looked at. */
  readonly seen: object[];
  /** At least so many bytes. */
  size: number;
}

function check(value: unknown, walk: Walk, place = ""): void {
  switch (typeof value) {
    case "string":
      walk.size += value.length;
      if (walk.size > walk.maxBytes) throw tooLarge(walk.where + place, walk.maxBytes);
      return;
    case "boolean":
      return;
    case "number":
      if (Number.isFinite(value)) return;
      throw invalid(walk, place, String(value));
    case "object":
      if (value !== null) checkObject(value, walk, place);
      return;
    case "bigint":
      throw invalid(walk, place, "a bigint");
    case "undefined":
      throw invalid(walk, place, "undefined");
    case "symbol":
    case "function":
      throw invalid(walk, place, `a ${typeof value}`);
  }
}

function checkObject(value: object, walk: Walk, place: string): void {
  if (walk.seen.includes(value)) throw invalid(walk, place, "an object that contains itself");
  if (walk.seen.length >= DEEPEST_VALUE) throw invalid(walk, place, `nested deeper than ${DEEPEST_VALUE}`);
  walk.seen.push(value);
  if (Array.isArray(value)) for (let at = 0; at < value.length; at++) check(value[at], walk, `${place}[${at}]`);
  else checkMembers(value, walk, place);
  walk.seen.pop();
}

function checkMembers(value: object, walk: Walk, place: string): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw invalid(walk, place, `a ${(value as { constructor?: { name?: string } }).constructor?.name ?? "class of your own"}`);
  if (Object.getOwnPropertySymbols(value).length > 0) throw invalid(walk, place, "an object with a symbol for a name");
  for (const [name, member] of Object.entries(value)) {
    walk.size += name.length + 4;
    if (name === "__proto__") throw invalid(walk, place, "an object with a member named __proto__");
    check(member, walk, /^[A-Za-z_$][\w$]*$/.test(name) ? `${place}.${name}` : `${place}[${JSON.stringify(name.slice(0, 40))}]`);
  }
}

function invalid(walk: Walk, place: string, what: string): TribuneError {
  return new TribuneError("VALUE_INVALID", `${walk.where}${place} is ${what}, which has no form in JSON; nothing was changed`, { about: walk.where + place, next: "use texts, finite numbers, true, false, null, and arrays and plain objects of them" });
}

function tooLarge(about: string, maxBytes: number): TribuneError {
  return new TribuneError("VALUE_INVALID", `${about} has more than ${maxBytes} bytes; nothing was changed`, { about, next: "divide it into several properties, keep it elsewhere, or raise maxValueBytes on all members" });
}
