import { TribuneError } from "../kernel/index.ts";
import type { Body } from "./interceptors.ts";
import { checkMember, isCode, readNumber, writeNumber } from "./messages.ts";

/**
 * What a request and its answer are in, as payloads of asynchronous messages on a flow of their own:
 *
 *     request: 1 · id · payload        cancel: 2 · id
 *     reply:   3 · id · payload        failed: 4 · id · after · code · text        moved: 5 · id · version · node
 *
 * and of a stream of replies, which are counted from 1 on:
 *
 *     open:    6 · id · up to · payload        more: 9 · id · up to
 *     item:    7 · id · number · payload       end:  8 · id · number of the last
 *
 * `after`: so many replies of the stream came before it; 0 for requests, and where that does not matter. Ids and numbers are 6 bytes, versions 8, codes and nodes a length (1) and ASCII; the text is the rest, in UTF-8. Where notes of interceptors stand before the payload, the first byte is 128 more.
 */
export type RpcWord =
  | Kind<"request" | "reply", Body>
  | Kind<"open" | "item", Body & { readonly number: number }>
  | Kind<"more" | "end", { readonly number: number }>
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly after: number; readonly code: string; readonly message: string }
  | { readonly kind: "moved"; readonly id: number; readonly member: string; readonly version: number };

type Kind<Name extends string, Rest> = Name extends string ? { readonly kind: Name; readonly id: number } & Rest : never;

const KINDS = { request: 1, cancel: 2, reply: 3, failed: 4, moved: 5, open: 6, item: 7, end: 8, more: 9 } as const;

const ENVELOPED = 128;

const HEAD_BYTES = 7;
const NUMBER_BYTES = 6;

/** The longest text of a failure, in bytes. */
const LONGEST_TEXT = 1_024;

/** Those that carry a payload of a user's. */
export type RpcLead = Extract<RpcWord, Body>;

/** Whether it carries a payload: then that goes as it is, behind what `writeRpcLead` writes. All others go as `encodeRpc` gives them. */
export function isRpcLead(word: RpcWord): word is RpcLead {
  return word.kind === "request" || word.kind === "reply" || word.kind === "open" || word.kind === "item";
}

/** How long that is which goes before the payload. */
export function rpcLeadBytes({ kind }: RpcLead): number {
  return kind === "open" || kind === "item" ? HEAD_BYTES + NUMBER_BYTES : HEAD_BYTES;
}

/** Writes it; returns where the payload begins. */
export function writeRpcLead(into: Uint8Array, at: number, word: RpcLead): number {
  into[at] = KINDS[word.kind] + (word.enveloped ? ENVELOPED : 0);
  const end = writeNumber(into, at + 1, word.id);
  return word.kind === "open" || word.kind === "item" ? writeNumber(into, end, word.number) : end;
}

/** Copies the payload. */
export function encodeRpc(word: RpcWord): Uint8Array {
  const head = (length: number) => {
    const out = Buffer.allocUnsafe(HEAD_BYTES + length);
    out[0] = KINDS[word.kind];
    writeNumber(out, 1, word.id);
    return out;
  };
  switch (word.kind) {
    case "cancel":
      return head(0);
    case "request":
    case "reply":
    case "open":
    case "item": {
      const out = Buffer.allocUnsafe(rpcLeadBytes(word) + word.payload.length);
      out.set(word.payload, writeRpcLead(out, 0, word));
      return out;
    }
    case "more":
    case "end": {
      const out = head(NUMBER_BYTES);
      out.writeUIntBE(word.number, HEAD_BYTES, NUMBER_BYTES);
      return out;
    }
    case "failed": {
      const text = Buffer.from(word.message).subarray(0, LONGEST_TEXT);
      const out = head(NUMBER_BYTES + 1 + word.code.length + text.length);
      const at = writeNumber(out, HEAD_BYTES, word.after);
      out[at] = word.code.length;
      out.write(word.code, at + 1, "latin1");
      out.set(text, at + 1 + word.code.length);
      return out;
    }
    case "moved": {
      const out = head(8 + 1 + word.member.length);
      out.writeBigUInt64BE(BigInt(word.version), HEAD_BYTES);
      out[HEAD_BYTES + 8] = word.member.length;
      out.write(word.member, HEAD_BYTES + 9, "latin1");
      return out;
    }
  }
}

/** The payload stays what it is. Throws `PROTOCOL_VIOLATION`. */
export function decodeRpc(bytes: Uint8Array): RpcWord {
  if (bytes.length < HEAD_BYTES) throw violation();
  const id = readNumber(bytes, 1);
  const first = bytes[0] ?? 0;
  const enveloped = first >= ENVELOPED;
  switch (enveloped ? first - ENVELOPED : first) {
    case KINDS.request:
      return { kind: "request", id, payload: bytes.subarray(HEAD_BYTES), enveloped };
    case KINDS.reply:
      return { kind: "reply", id, payload: bytes.subarray(HEAD_BYTES), enveloped };
    case KINDS.open:
      return { kind: "open", id, number: numberIn(bytes), payload: bytes.subarray(HEAD_BYTES + NUMBER_BYTES), enveloped };
    case KINDS.item:
      return { kind: "item", id, number: numberIn(bytes), payload: bytes.subarray(HEAD_BYTES + NUMBER_BYTES), enveloped };
  }
  const rest = Buffer.from(bytes.buffer, bytes.byteOffset + HEAD_BYTES, bytes.byteLength - HEAD_BYTES);
  switch (first) {
    case KINDS.more:
    case KINDS.end:
      if (rest.length !== NUMBER_BYTES) break;
      return { kind: first === KINDS.more ? "more" : "end", id, number: numberIn(bytes) };
    case KINDS.cancel:
      if (rest.length > 0) break;
      return { kind: "cancel", id };
    case KINDS.failed: {
      const after = numberIn(bytes);
      const length = rest[NUMBER_BYTES] ?? 0;
      const textAt = NUMBER_BYTES + 1 + length;
      const code = rest.toString("latin1", NUMBER_BYTES + 1, textAt);
      if (!isCode(code) || rest.length > textAt + LONGEST_TEXT) break;
      return { kind: "failed", id, after, code, message: rest.toString("utf8", textAt) };
    }
    case KINDS.moved: {
      if (rest.length < 9 || rest.length !== 9 + (rest[8] ?? 0)) break;
      const version = Number(rest.readBigUInt64BE(0));
      const member = rest.toString("latin1", 9);
      if (!Number.isSafeInteger(version) || !checkMember(member)) break;
      return { kind: "moved", id, member, version };
    }
  }
  throw violation();
}

function numberIn(bytes: Uint8Array): number {
  if (bytes.length < HEAD_BYTES + NUMBER_BYTES) throw violation();
  return readNumber(bytes, HEAD_BYTES);
}

function violation(): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", "the peer sent what is neither a request nor an answer", { about: "channel", next: "run the same version of Tribune on all members" });
}
