import { createRequire } from "node:module";
import { TribuneError } from "../kernel/index.ts";
import type { Codec } from "./codec.ts";

/** What `@msgpack/msgpack` gives, by shape. */
interface MsgpackModule {
  encode(value: unknown, options?: { readonly maxDepth?: number; readonly ignoreUndefined?: boolean }): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** How deep values may be nested. */
export const DEEPEST = 64;

const PACKAGE = "@msgpack/msgpack";

/** MessagePack, by the optional package `@msgpack/msgpack`, which is loaded when a topic first says so. Throws `DRIVER_MISSING` if it is not installed. */
export function msgpackCodec(load: (name: string) => unknown = createRequire(import.meta.url)): Codec {
  const msgpack = loaded(load);
  return {
    encode(value) {
      if (value === undefined || typeof value === "function" || typeof value === "symbol") throw new TypeError(`${typeof value} has no form in MessagePack`);
      return msgpack.encode(value, { maxDepth: DEEPEST, ignoreUndefined: true });
    },
    decode(bytes) {
      checkPacked(bytes);
      return msgpack.decode(bytes);
    },
  };
}

function loaded(load: (name: string) => unknown): MsgpackModule {
  try {
    return load(PACKAGE) as MsgpackModule;
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    if ((code !== "MODULE_NOT_FOUND" && code !== "ERR_MODULE_NOT_FOUND") || !String(message).includes(PACKAGE)) throw error;
    throw new TribuneError("DRIVER_MISSING", `the codec "msgpack" needs the package ${PACKAGE}, which is not installed`, { about: PACKAGE, next: `run 'npm install ${PACKAGE}'`, cause: error });
  }
}

/**
 * Walks over what came before anything is made of it. A head of five bytes may announce billions of elements, and decoders make room for them at once: each element is a byte at least, so what is announced, over all that is open, may not be more than what follows. Nesting is bounded as that of JSON.
 */
export function checkPacked(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values that are still to come, of each list or map that is open. */
  const open: number[] = [1];
  let owed = 1;
  let at = 0;
  while (open.length > 0) {
    const left = open[open.length - 1] ?? 0;
    if (left === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1] = left - 1;
    owed--;
    const { headBytes, bodyBytes, values } = sizes(view, at);
    at += headBytes + bodyBytes;
    owed += values;
    if (at + owed > bytes.length) throw new RangeError("it announces more than has come");
    if (values === 0) continue;
    if (open.length > DEEPEST) throw new RangeError(`it is nested deeper than ${DEEPEST}`);
    open.push(values);
  }
  if (at !== bytes.length) throw new RangeError("something follows its end");
}

interface Sizes {
  readonly headBytes: number;
  readonly bodyBytes: number;
  /** In a list, or keys and values in a map. */
  readonly values: number;
}

/** By the first byte (the format's table of formats): throws `RangeError` where the head is cut off. */
function sizes(view: DataView, at: number): Sizes {
  const byte = view.getUint8(at);
  const scalar = (bodyBytes: number, headBytes = 1): Sizes => ({ headBytes, bodyBytes, values: 0 });
  const length = (width: number) => (width === 1 ? view.getUint8(at + 1) : width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1));
  if (byte <= 0x7f || byte >= 0xe0) return scalar(0);
  if (byte <= 0x8f) return { headBytes: 1, bodyBytes: 0, values: 2 * (byte & 15) };
  if (byte <= 0x9f) return { headBytes: 1, bodyBytes: 0, values: byte & 15 };
  if (byte <= 0xbf) return scalar(byte & 31);
  if (byte <= 0xc3) {
    if (byte === 0xc1) throw new RangeError("it has a byte that is never used");
    return scalar(0);
  }
  if (byte <= 0xc6) return scalar(length(1 << (byte - 0xc4)), 1 + (1 << (byte - 0xc4))); // bin
  if (byte <= 0xc9) return scalar(1 + length(1 << (byte - 0xc7)), 1 + (1 << (byte - 0xc7))); // ext
  if (byte <= 0xcb) return scalar(4 << (byte - 0xca)); // float
  if (byte <= 0xcf) return scalar(1 << (byte - 0xcc)); // uint
  if (byte <= 0xd3) return scalar(1 << (byte - 0xd0)); // int
  if (byte <= 0xd8) return scalar(1 + (1 << (byte - 0xd4))); // fixext
  if (byte <= 0xdb) return scalar(length(1 << (byte - 0xd9)), 1 + (1 << (byte - 0xd9))); // str
  const width = byte === 0xdc || byte === 0xde ? 2 : 4;
  return { headBytes: 1 + width, bodyBytes: 0, values: (byte <= 0xdd ? 1 : 2) * length(width) };
}
