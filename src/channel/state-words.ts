import { shown, TribuneError } from "../kernel/index.ts";
import type { StatePage } from "./state.ts";

/**
 * What a request for a page, and its reply, have as payloads:
 *
 *     wanted: transfer (16 bytes, of the one who asks) · cursor
 *     page:   1 · length of the cursor (2) · cursor · bytes          end: 0
 */
export interface WantedPage {
  readonly transfer: string;
  readonly after: string;
}

const TRANSFER_BYTES = 16;

/** The longest cursor, in bytes. */
export const LONGEST_CURSOR = 2_048;

/** A transfer is 32 hexadecimal digits. */
export function encodeWanted({ transfer, after }: WantedPage): Uint8Array {
  return Buffer.concat([Buffer.from(transfer, "hex"), Buffer.from(after)]);
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodeWanted(bytes: Uint8Array): WantedPage {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < TRANSFER_BYTES || all.length > TRANSFER_BYTES + LONGEST_CURSOR) throw violation();
  return { transfer: all.toString("hex", 0, TRANSFER_BYTES), after: all.toString("utf8", TRANSFER_BYTES) };
}

/** `undefined`: there is no more. Throws `INVALID_OPTIONS` for what is no page, or has a cursor that is empty or too long. */
export function encodePage(page: StatePage | undefined): Uint8Array {
  if (page === undefined) return Uint8Array.of(0);
  if (typeof page.cursor !== "string" || !(page.bytes instanceof Uint8Array)) throw new TribuneError("INVALID_OPTIONS", `a page of a state has the cursor ${shown(page.cursor)}, and ${page.bytes instanceof Uint8Array ? "bytes" : "no bytes"}`, { about: "state", next: "give each page { bytes, cursor }: a Uint8Array, and a text that says where it ends" });
  const cursor = Buffer.from(page.cursor);
  if (cursor.length === 0 || cursor.length > LONGEST_CURSOR) throw new TribuneError("INVALID_OPTIONS", `a page of a state has a cursor of ${cursor.length} bytes`, { about: "state", next: `give each page a cursor of 1 to ${LONGEST_CURSOR} bytes` });
  const out = Buffer.allocUnsafe(3 + cursor.length + page.bytes.length);
  out[0] = 1;
  out.writeUInt16BE(cursor.length, 1);
  out.set(cursor, 3);
  out.set(page.bytes, 3 + cursor.length);
  return out;
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodePage(bytes: Uint8Array): StatePage | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length === 1 && all[0] === 0) return undefined;
  const length = all.length < 3 ? 0 : all.readUInt16BE(1);
  if (all[0] !== 1 || length === 0 || length > LONGEST_CURSOR || all.length < 3 + length) throw violation();
  return { cursor: all.toString("utf8", 3, 3 + length), bytes: all.subarray(3 + length) };
}

function violation(): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", "the peer sent what is no page of a state", { about: "state", next: "run the same version of Tribune on all members" });
}
