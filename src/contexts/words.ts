import { TribuneError } from "../kernel/index.ts";
import { checkKey, checkPath, DEEPEST_PATH } from "./names.ts";
import { NO_REMOVALS } from "./tree.ts";
import type { ContextChange, PropertyChange, Removals, Thing } from "./tree.ts";
import { NEVER } from "./version.ts";
import type { Version } from "./version.ts";

/**
 * How changes travel, and how they are kept:
 *
 *     format (2) · floor · number of writes (so many times: time · member) · changes
 *     change:   1 · path · number of removals · each · created    for the properties that follow
 *               2 · key · write · text       3 · key · write: deleted
 *
 * Numbers are LEB128, texts a length and UTF-8; a write is its place in the list, from 1; 0: never. A batch has one write, however many properties.
 */
const FORMAT = 2;

const [CONTEXT, SET, DELETED] = [1, 2, 3];

/** Changes that came, with what their sender had forgotten. */
export interface Changes {
  /** The sender's floor. */
  readonly floor: number;
  readonly contexts: readonly ContextChange[];
}

/** Writes changes, and says how long they have become. */
export class ChangesWriter {
  readonly #floor: number;
  readonly #versions = new Map<Version, number>();
  readonly #writes = new Writer(256);
  readonly #body = new Writer(1_024);

  constructor(floor: number) {
    this.#floor = floor;
  }

  /** Bytes so far. */
  get sizeBytes(): number {
    return this.#writes.size + this.#body.size + 24;
  }

  context(path: string, base: Removals, created: Version | undefined): void {
    this.#body.byte(CONTEXT);
    this.#body.text(path);
    this.#body.number(base.length);
    for (const removal of base) this.#body.number(this.#write(removal));
    this.#body.number(this.#write(created ?? NEVER));
  }

  property(key: string, version: Version, text: string | undefined): void {
    const at = this.#write(version);
    this.#body.byte(text === undefined ? DELETED : SET);
    this.#body.text(key);
    this.#body.number(at);
    if (text !== undefined) this.#body.text(text);
  }

  bytes(): Uint8Array {
    const head = new Writer(32);
    head.byte(FORMAT);
    head.number(this.#floor);
    head.number(this.#versions.size);
    return Buffer.concat([head.bytes(), this.#writes.bytes(), this.#body.bytes()]);
  }

  #write(version: Version): number {
    if (version.time === 0) return 0;
    const known = this.#versions.get(version);
    if (known !== undefined) return known;
    this.#versions.set(version, this.#versions.size + 1);
    this.#writes.number(version.time);
    this.#writes.text(version.member);
    return this.#versions.size;
  }
}

/** Messages of at most about `partBytes` each; the last place in each, so that somebody can go on after it. The floor is asked for each message anew. */
export function* encodeChanges(floor: () => number, changes: Iterable<ContextChange>, partBytes: number): Iterable<{ readonly bytes: Uint8Array; readonly path: string; readonly key: string }> {
  let writer = new ChangesWriter(floor());
  let isEmpty = true;
  let place = { path: "", key: "" };
  for (const { path, base, created, properties } of changes) {
    writer.context(path, base, created);
    isEmpty = false;
    place = { path, key: "" };
    for (const { key, version, text } of properties) {
      if (writer.sizeBytes + 4 * key.length + 3 * (text?.length ?? 0) > partBytes && place.key !== "") {
        yield { bytes: writer.bytes(), ...place };
        writer = new ChangesWriter(floor());
        writer.context(path, base, undefined);
      }
      writer.property(key, version, text);
      place = { path, key };
    }
    if (writer.sizeBytes < partBytes) continue;
    yield { bytes: writer.bytes(), ...place };
    writer = new ChangesWriter(floor());
    isEmpty = true;
  }
  if (!isEmpty) yield { bytes: writer.bytes(), ...place };
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodeChanges(bytes: Uint8Array): Changes {
  const reader = new Reader(bytes);
  if (reader.byte() !== FORMAT) throw violation();
  const floor = reader.number();
  const versions: Version[] = [NEVER];
  const members = new Map<string, string>();
  const count = reader.number();
  for (let n = 0; n < count; n++) {
    const time = reader.number();
    const member = reader.text();
    if (!members.has(member)) members.set(member, member); // one string for all writes of a member
    versions.push({ time, member: members.get(member) ?? member });
  }
  const version = (): Version => {
    const found = versions[reader.number()];
    if (found === undefined) throw violation();
    return found;
  };
  const contexts: ContextChange[] = [];
  let properties: PropertyChange[] | undefined;
  while (!reader.isAtEnd) {
    const kind = reader.byte();
    if (kind === CONTEXT) {
      const path = legal(checkPath, reader.text());
      const base = removals(reader, version);
      const created = version();
      contexts.push({ path, base, created: created === NEVER ? undefined : created, properties: (properties = []) });
    } else if (properties !== undefined && (kind === SET || kind === DELETED)) {
      const key = legal(checkKey, reader.text());
      const at = version();
      if (at === NEVER) throw violation();
      properties.push({ key, version: at, text: kind === SET ? reader.text() : undefined });
    } else throw violation();
  }
  return { floor, contexts };
}

/** No more than a path is deep. */
function removals(reader: Reader, version: () => Version): Removals {
  const count = reader.number();
  if (count > DEEPEST_PATH) throw violation();
  return count === 0 ? NO_REMOVALS : Array.from({ length: count }, version);
}

function legal(check: (name: unknown) => string, name: string): string {
  try {
    return check(name);
  } catch {
    throw violation();
  }
}

/** What a member has in some buckets. */
export interface Inventory {
  readonly floor: number;
  readonly buckets: readonly number[];
  readonly things: readonly Thing[];
}

export function encodeInventory({ floor, buckets, things }: Inventory): Uint8Array {
  const writer = new Writer(4_096);
  writer.number(floor);
  writer.number(buckets.length);
  for (const bucket of buckets) writer.number(bucket);
  let path: string | undefined;
  for (const thing of things) {
    if (thing.path !== path) {
      writer.byte(CONTEXT);
      writer.text((path = thing.path));
      writer.number(thing.base.length);
      for (const removal of thing.base) writeVersion(writer, removal);
    }
    writer.byte(SET);
    writer.text(thing.key);
    writeVersion(writer, thing.version);
  }
  return writer.bytes();
}

function writeVersion(writer: Writer, { time, member }: Version): void {
  writer.number(time);
  writer.text(member);
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodeInventory(bytes: Uint8Array): Inventory {
  const reader = new Reader(bytes);
  const floor = reader.number();
  const buckets = Array.from({ length: Math.min(reader.number(), 65_536) }, () => reader.number());
  const things: Thing[] = [];
  const version = (): Version => ({ time: reader.number(), member: reader.text() });
  let path = "";
  let base = NO_REMOVALS;
  while (!reader.isAtEnd) {
    if (reader.byte() === CONTEXT) [path, base] = [reader.text(), removals(reader, version)];
    else things.push({ path, key: reader.text(), base, version: version() });
  }
  return { floor, buckets, things };
}

function violation(): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", "what came is no change of contexts", { about: "contexts", next: "run the same version of Tribune on all members" });
}

/** Numbers and texts, one after the other. */
export class Writer {
  #buffer: Buffer;
  size = 0;

  constructor(roomBytes: number) {
    this.#buffer = Buffer.allocUnsafe(roomBytes);
  }

  byte(value: number): void {
    this.#grow(1);
    this.#buffer[this.size++] = value;
  }

  /** A whole number from 0 to 2⁵³ − 1. */
  number(value: number): void {
    this.#grow(8);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#buffer[this.size++] = (rest % 128) + 128;
    this.#buffer[this.size++] = rest;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.number(length);
    this.#grow(length);
    this.size += this.#buffer.write(value, this.size, "utf8");
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }

  #grow(by: number): void {
    if (this.size + by <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.size + by));
    this.#buffer.copy(larger, 0, 0, this.size);
    this.#buffer = larger;
  }
}

/** Reads what {@link Writer} wrote; throws `PROTOCOL_VIOLATION` where it ends early. */
export class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#buffer.length;
  }

  byte(): number {
    const value = this.#buffer[this.#at++];
    if (value === undefined) throw violation();
    return value;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte % 128) * scale;
      if (value > Number.MAX_SAFE_INTEGER || scale > 2 ** 49) throw violation();
      if (byte < 128) return value;
    }
  }

  text(): string {
    const length = this.number();
    const end = this.#at + length;
    if (end > this.#buffer.length) throw violation();
    const value = this.#buffer.toString("utf8", this.#at, end);
    this.#at = end;
    return value;
  }
}
