import { checkName, TribuneError } from "../kernel/index.ts";

/**
 * What members say to each other, inside of frames. On the stream of its topic:
 *
 *     message: 1 · flags · topic · number · settled below · view · deadline · [token] · payload
 *     gap:     2 · flags · topic · number · settled below
 *
 * and on stream 0:
 *
 *     received: 3 · flags · topic · next
 *     missing:  4 · flags · topic · next
 *     outcome:  5 · flags · topic · next · number · status · code · text
 *
 * Topics and codes are a length (1 byte) and ASCII, texts a length (2) and UTF-8, numbers 6 bytes, views and tokens 8, milliseconds 4; all big-endian.
 */
export type Word = MessageWord | GapWord | ReceivedWord | OutcomeWord;

/** A message of a flow. */
export interface MessageWord {
  readonly kind: "message";
  readonly topic: string;
  readonly ordered: boolean;
  readonly number: number;
  readonly settledBelow: number;
  /** The sender waits for the outcome. */
  readonly awaited: boolean;
  /** Of the sender's view. */
  readonly view: number;
  /** What is left of the sender's deadline, in milliseconds; 0: there is none. */
  readonly deadlineMs: number;
  readonly token: number | undefined;
  /** A window of the frame. */
  readonly payload: Uint8Array;
}

/** In the place of a message that was given up. */
export interface GapWord {
  readonly kind: "gap";
  readonly topic: string;
  readonly ordered: boolean;
  readonly number: number;
  readonly settledBelow: number;
}

/** How far a receiver has come, or from where on it misses something. */
export interface ReceivedWord {
  readonly kind: "received" | "missing";
  readonly topic: string;
  readonly ordered: boolean;
  readonly next: number;
}

/** What became of an awaited message. */
export interface OutcomeWord {
  readonly kind: "outcome";
  readonly topic: string;
  readonly ordered: boolean;
  readonly next: number;
  readonly number: number;
  readonly outcome: Outcome;
}

/** What the handlers made of a message. */
export type Outcome = { readonly status: "delivered" } | { readonly status: "failed"; readonly code: string; readonly message: string };

const MESSAGE = 1;
const GAP = 2;
const RECEIVED = 3;
const MISSING = 4;
const OUTCOME = 5;

const AWAITED = 1;
const TOKEN = 2;
const UNORDERED = 4;

/** The longest text of an outcome, in bytes. */
const LONGEST_TEXT = 1_024;

const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** What goes before the payload. */
export function encodeMessageHead(word: Omit<MessageWord, "kind" | "payload">): Uint8Array {
  const hasToken = word.token !== undefined;
  const head = Buffer.allocUnsafe(3 + word.topic.length + 6 + 6 + 8 + 4 + (hasToken ? 8 : 0));
  head[0] = MESSAGE;
  head[1] = (word.awaited ? AWAITED : 0) | (hasToken ? TOKEN : 0) | (word.ordered ? 0 : UNORDERED);
  let at = writeName(head, 2, word.topic);
  at = head.writeUIntBE(word.number, at, 6);
  at = head.writeUIntBE(word.settledBelow, at, 6);
  at = writeLarge(head, at, word.view);
  at = head.writeUInt32BE(Math.min(word.deadlineMs, 0xffffffff), at);
  if (word.token !== undefined) writeLarge(head, at, word.token);
  return head;
}

/** Any other word, as a whole. */
export function encodeWord(word: GapWord | ReceivedWord | OutcomeWord): Uint8Array {
  if (word.kind === "gap") {
    const out = Buffer.alloc(3 + word.topic.length + 12);
    out[0] = GAP;
    out[1] = word.ordered ? 0 : UNORDERED;
    out.writeUIntBE(word.settledBelow, out.writeUIntBE(word.number, writeName(out, 2, word.topic), 6), 6);
    return out;
  }
  if (word.kind !== "outcome") {
    const out = Buffer.alloc(3 + word.topic.length + 6);
    out[0] = word.kind === "received" ? RECEIVED : MISSING;
    out[1] = word.ordered ? 0 : UNORDERED;
    out.writeUIntBE(word.next, writeName(out, 2, word.topic), 6);
    return out;
  }
  const { outcome } = word;
  const code = outcome.status === "failed" ? outcome.code : "";
  const text = outcome.status === "failed" ? Buffer.from(outcome.message).subarray(0, LONGEST_TEXT) : Buffer.alloc(0);
  const out = Buffer.alloc(3 + word.topic.length + 12 + 1 + 1 + code.length + 2 + text.length);
  out[0] = OUTCOME;
  out[1] = word.ordered ? 0 : UNORDERED;
  let at = out.writeUIntBE(word.number, out.writeUIntBE(word.next, writeName(out, 2, word.topic), 6), 6);
  at = out.writeUInt8(outcome.status === "delivered" ? 0 : 1, at);
  at = out.writeUInt16BE(text.length, writeName(out, at, code));
  text.copy(out, at);
  return out;
}

/** Reads a frame. The payload stays what it is: bytes. Throws `PROTOCOL_VIOLATION`. */
export function decodeWord(frame: Uint8Array): Word {
  const reader = new WordReader(frame);
  const kind = reader.byte();
  const flags = reader.byte();
  const topic = reader.topic();
  const ordered = (flags & UNORDERED) === 0;
  if ((flags & ~(kind === MESSAGE ? AWAITED | TOKEN | UNORDERED : UNORDERED)) !== 0) throw violation();
  switch (kind) {
    case MESSAGE: {
      const [number, settledBelow, view, deadlineMs] = [reader.number(), reader.number(), reader.large(), reader.milliseconds()];
      const token = (flags & TOKEN) === 0 ? undefined : reader.large();
      if (number === 0) break;
      return { kind: "message", topic, ordered, number, settledBelow, awaited: (flags & AWAITED) !== 0, view, deadlineMs, token, payload: reader.rest() };
    }
    case GAP: {
      const [number, settledBelow] = [reader.number(), reader.number()];
      if (number === 0) break;
      return reader.last({ kind: "gap", topic, ordered, number, settledBelow });
    }
    case RECEIVED:
    case MISSING:
      return reader.last({ kind: kind === RECEIVED ? "received" : "missing", topic, ordered, next: reader.number() });
    case OUTCOME: {
      const [next, number, status, code, message] = [reader.number(), reader.number(), reader.byte(), reader.ascii(), reader.text()];
      if (status === 0) return reader.last({ kind: "outcome", topic, ordered, next, number, outcome: { status: "delivered" } });
      if (status !== 1 || !CODE.test(code)) break;
      return reader.last({ kind: "outcome", topic, ordered, next, number, outcome: { status: "failed", code, message } });
    }
  }
  throw violation();
}

/** Returns `name` if a topic may be called so: as groups and nodes are. Throws `INVALID_NAME`. */
export function checkTopic(name: string): string {
  return checkName("topic", name);
}

/** A code of an error as it can travel; what is none becomes `HANDLER_FAILED`. */
export function codeOf(error: unknown): string {
  const code: unknown = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && CODE.test(code) ? code : "HANDLER_FAILED";
}

class WordReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(frame: Uint8Array) {
    this.#bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  number(): number {
    return this.#take(6).readUIntBE(0, 6);
  }

  milliseconds(): number {
    return this.#take(4).readUInt32BE();
  }

  large(): number {
    const bytes = this.#take(8);
    const value = bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4);
    if (!Number.isSafeInteger(value)) throw violation();
    return value;
  }

  ascii(): string {
    return this.#take(this.byte()).toString("latin1");
  }

  topic(): string {
    try {
      return checkTopic(this.ascii());
    } catch {
      throw violation();
    }
  }

  text(): string {
    const length = this.#take(2).readUInt16BE();
    if (length > LONGEST_TEXT) throw violation();
    return this.#take(length).toString("utf8");
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  last<T>(word: T): T {
    if (this.#at < this.#bytes.length) throw violation();
    return word;
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw violation();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

function writeName(into: Buffer, at: number, name: string): number {
  into[at] = name.length;
  into.write(name, at + 1, "latin1");
  return at + 1 + name.length;
}

function writeLarge(into: Buffer, at: number, value: number): number {
  into.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  return into.writeUInt32BE(value % 2 ** 32, at + 4);
}

function violation(): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", "the peer sent a frame that is no word of the channel", { about: "channel", next: "run the same version of Tribune on all members" });
}
