import { BUCKETS, DIGEST_BYTES } from "./digest.ts";
import { TribuneError } from "../kernel/index.ts";
import { Reader, Writer } from "./words.ts";

/** What requests between members, and their replies, have as payloads. All `decode…` throw `PROTOCOL_VIOLATION`. */

/** Asked: floor · digests. */
export function encodeDigests(floor: number, digests: Uint8Array): Uint8Array {
  const writer = new Writer(16);
  writer.number(floor);
  return Buffer.concat([writer.bytes(), digests]);
}

export function decodeDigests(bytes: Uint8Array): { readonly floor: number; readonly digests: Uint8Array } {
  const digests = bytes.subarray(Math.max(0, bytes.length - DIGEST_BYTES));
  const reader = new Reader(bytes.subarray(0, bytes.length - digests.length));
  return { floor: reader.number(), digests };
}

/** Answered: floor · buckets that differ. */
export function encodeDiffering(floor: number, buckets: readonly number[]): Uint8Array {
  const writer = new Writer(16 + buckets.length * 2);
  writer.number(floor);
  for (const bucket of buckets) writer.number(bucket);
  return writer.bytes();
}

export function decodeDiffering(bytes: Uint8Array): { readonly floor: number; readonly buckets: readonly number[] } {
  const reader = new Reader(bytes);
  const floor = reader.number();
  const buckets: number[] = [];
  while (!reader.isAtEnd && buckets.length < BUCKETS) buckets.push(reader.number());
  return { floor, buckets };
}

/** Answered to an inventory: how many are wanted · their places · changes, to the end. */
export function encodeMending(wanted: readonly number[], changes: Uint8Array): Uint8Array {
  const writer = new Writer(16 + wanted.length * 3);
  writer.number(wanted.length);
  for (const at of wanted) writer.number(at);
  writer.number(changes.length);
  return Buffer.concat([writer.bytes(), changes]);
}

export function decodeMending(bytes: Uint8Array): { readonly wanted: readonly number[]; readonly changes: Uint8Array } {
  const reader = new Reader(bytes);
  const count = reader.number();
  const wanted: number[] = [];
  for (let n = 0; n < count; n++) wanted.push(reader.number());
  const length = reader.number();
  return { wanted, changes: bytes.subarray(bytes.length - length) };
}

/** A write that the coordinator decides: path · key · version or none · text or none. */
export interface ConditionalWrite {
  readonly path: string;
  readonly key: string;
  readonly ifVersion: string | null;
  readonly text: string | undefined;
}

export function encodeConditionalWrite({ path, key, ifVersion, text }: ConditionalWrite): Uint8Array {
  const writer = new Writer(256);
  writer.text(path);
  writer.text(key);
  writer.byte((ifVersion === null ? 0 : 1) + (text === undefined ? 0 : 2));
  if (ifVersion !== null) writer.text(ifVersion);
  if (text !== undefined) writer.text(text);
  return writer.bytes();
}

export function decodeConditionalWrite(bytes: Uint8Array): ConditionalWrite {
  const reader = new Reader(bytes);
  const [path, key, flags] = [reader.text(), reader.text(), reader.byte()];
  if (flags > 3) throw new TribuneError("PROTOCOL_VIOLATION", "what came is no conditional write", { about: "contexts", next: "run the same version of Tribune on all members" });
  return { path, key, ifVersion: flags % 2 === 0 ? null : reader.text(), text: flags < 2 ? undefined : reader.text() };
}

/** Whether everybody has the same tombstones: view · time · their name · 1 where who asks keeps the tree in the store. */
export interface FloorQuestion {
  readonly view: number;
  readonly floor: number;
  readonly name: string;
  readonly isDurable: boolean;
}

export function encodeFloorQuestion({ view, floor, name, isDurable }: FloorQuestion): Uint8Array {
  const writer = new Writer(64);
  writer.number(view);
  writer.number(floor);
  writer.text(name);
  writer.byte(isDurable ? 1 : 0);
  return writer.bytes();
}

export function decodeFloorQuestion(bytes: Uint8Array): FloorQuestion {
  const reader = new Reader(bytes);
  return { view: reader.number(), floor: reader.number(), name: reader.text(), isDurable: reader.byte() === 1 };
}
