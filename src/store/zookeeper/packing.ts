import { deflateRawSync, inflateRawSync } from "node:zlib";
import { TribuneError } from "../../kernel/index.ts";

/** What is shorter is stored as it is, and can be read with any tool. */
const LONGEST_PLAIN_BYTES = 8 * 1024;
/** Stands before what was compressed; no JSON text begins with it. */
const COMPRESSED = 1;
/** Nothing that Tribune writes has more, and who reads must not be made to hold more. */
const LONGEST_TEXT_BYTES = 64 * 1024 * 1024;

/** A value as the data of a znode: JSON, compressed where it is long, since a znode takes 1 MB. */
export function packed(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  if (text.length <= LONGEST_PLAIN_BYTES) return text;
  return Buffer.concat([Buffer.of(COMPRESSED), deflateRawSync(text, { level: 1 })]);
}

/** The value in the data of a znode. Throws `STORE_FAILED` where it is not one of ours; `path` says where it was. */
export function unpacked(data: Buffer, path: string): unknown {
  try {
    const text = data[0] === COMPRESSED ? inflateRawSync(data.subarray(1), { maxOutputLength: LONGEST_TEXT_BYTES }) : data;
    return JSON.parse(text.toString("utf8")) as unknown;
  } catch (cause) {
    throw new TribuneError("STORE_FAILED", `the znode ${path} holds something that is not Tribune's`, { about: path, next: "look at who else writes below this root, or choose another root", retryable: false, cause });
  }
}
