import { checkName, TribuneError } from "../kernel/index.ts";

/**
 * What members say to each other, inside of frames. On the stream of its topic:
 *
 *     message: 1 · flags · topic · number · settled below · view · deadline · [token · [election]] · payload
 *     gap:     2 · flags · topic · number · settled below
 *
 * and on stream 0:
 *
 *     received: 3 · flags · topic · next
 *     missing:  4 · flags · topic · next
 *     outcome:  5 · flags · topic · next · number · status · code · text
 *     handled:  6 · flags · topic · next · first · last
 *
 * Requests and answers (`rpc-words.ts`) are payloads of messages whose topic has `~` before it, or `~=` where it is a state's; what keeps one order of all (`order-words.ts`) of those that have `!`, or `!<` where it is an outcome. Topics, elections and codes are a length (1 byte) and ASCII, texts a length (2) and UTF-8, numbers 6 bytes, views and tokens 8, milliseconds 4; all big-endian.
 */
export type Word = MessageWord | GapWord | ReceivedWord | OutcomeWord | HandledWord;

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
  /** Whose token it is, if the sender said so. */
  readonly election: string | undefined;
  /** The payload has headers of interceptors before it. */
  readonly enveloped: boolean;
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

/** All awaited messages from `first` to `last` were handled, and no handler failed. */
export interface HandledWord {
  readonly kind: "handled";
  readonly topic: string;
  readonly ordered: boolean;
  readonly next: number;
  readonly first: number;
  readonly last: number;
}

/** What the handlers made of a message. */
export type Outcome = { readonly status: "delivered" } | { readonly status: "failed"; readonly code: string; readonly message: string };

const MESSAGE = 1;
const GAP = 2;
const RECEIVED = 3;
const MISSING = 4;
const OUTCOME = 5;
const HANDLED = 6;

const AWAITED = 1;
const TOKEN = 2;
const UNORDERED = 4;
const ELECTION = 8;
const ENVELOPED = 16;

/** The outcome of most messages. */
export const DELIVERED: Outcome = { status: "delivered" };

/** The longest text of an outcome, in bytes. */
const LONGEST_TEXT = 1_024;

const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** How long the head of a message is. */
export function messageHeadBytes(topic: string, { token, election }: Pick<MessageWord, "token" | "election">): number {
  return 3 + topic.length + 6 + 6 + 8 + 4 + (token === undefined ? 0 : 8) + (election === undefined ? 0 : 1 + election.length);
}

/** Writes what goes before the payload; returns where it ends. Takes its values one by one: this is done for each target of each message. */
export function writeMessageHead(head: Uint8Array, { topic, ordered }: Pick<MessageWord, "topic" | "ordered">, number: number, settledBelow: number, awaited: boolean, about: Pick<MessageWord, "token" | "election" | "enveloped" | "view">, deadlineMs: number): number {
  const { token, election } = about;
  head[0] = MESSAGE;
  head[1] = (awaited ? AWAITED : 0) | (token === undefined ? 0 : TOKEN) | (ordered ? 0 : UNORDERED) | (election === undefined ? 0 : ELECTION) | (about.enveloped ? ENVELOPED : 0);
  let at = writeName(head, 2, topic);
  at = writeNumber(head, at, number);
  at = writeNumber(head, at, settledBelow);
  at = writeLarge(head, at, about.view);
  at = writeUint32(head, at, Math.min(deadlineMs, 0xffffffff));
  if (token !== undefined) at = writeLarge(head, at, token);
  return election === undefined ? at : writeName(head, at, election);
}

/** Any other word, as a whole. */
export function encodeWord(word: GapWord | ReceivedWord | OutcomeWord | HandledWord): Uint8Array {
  if (word.kind === "gap") {
    const out = Buffer.alloc(3 + word.topic.length + 12);
    out[0] = GAP;
    out[1] = word.ordered ? 0 : UNORDERED;
    writeNumber(out, writeNumber(out, writeName(out, 2, word.topic), word.number), word.settledBelow);
    return out;
  }
  if (word.kind === "handled") {
    const out = Buffer.alloc(3 + word.topic.length + 18);
    out[0] = HANDLED;
    out[1] = word.ordered ? 0 : UNORDERED;
    writeNumber(out, writeNumber(out, writeNumber(out, writeName(out, 2, word.topic), word.next), word.first), word.last);
    return out;
  }
  if (word.kind !== "outcome") {
    const out = Buffer.alloc(3 + word.topic.length + 6);
    out[0] = word.kind === "received" ? RECEIVED : MISSING;
    out[1] = word.ordered ? 0 : UNORDERED;
    writeNumber(out, writeName(out, 2, word.topic), word.next);
    return out;
  }
  const { outcome } = word;
  const code = outcome.status === "failed" ? outcome.code : "";
  const text = outcome.status === "failed" ? Buffer.from(outcome.message).subarray(0, LONGEST_TEXT) : Buffer.alloc(0);
  const out = Buffer.alloc(3 + word.topic.length + 12 + 1 + 1 + code.length + 2 + text.length);
  out[0] = OUTCOME;
  out[1] = word.ordered ? 0 : UNORDERED;
  let at = writeNumber(out, writeNumber(out, writeName(out, 2, word.topic), word.next), word.number);
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
  if ((flags & ~(kind === MESSAGE ? AWAITED | TOKEN | UNORDERED | ELECTION | ENVELOPED : UNORDERED)) !== 0) throw violation();
  switch (kind) {
    case MESSAGE: {
      const number = reader.number();
      const settledBelow = reader.number();
      const view = reader.large();
      const deadlineMs = reader.milliseconds();
      const token = (flags & TOKEN) === 0 ? undefined : reader.large();
      const election = (flags & ELECTION) === 0 ? undefined : reader.election();
      if (number === 0) break;
      return { kind: "message", topic, ordered, number, settledBelow, awaited: (flags & AWAITED) !== 0, view, deadlineMs, token, election, enveloped: (flags & ENVELOPED) !== 0, payload: reader.rest() };
    }
    case GAP: {
      const [number, settledBelow] = [reader.number(), reader.number()];
      if (number === 0) break;
      return reader.last({ kind: "gap", topic, ordered, number, settledBelow });
    }
    case RECEIVED:
    case MISSING:
      return reader.last({ kind: kind === RECEIVED ? "received" : "missing", topic, ordered, next: reader.number() });
    case HANDLED: {
      const [next, first, last] = [reader.number(), reader.number(), reader.number()];
      if (first === 0 || first > last) break;
      return reader.last({ kind: "handled", topic, ordered, next, first, last });
    }
    case OUTCOME: {
      const [next, number, status, code, message] = [reader.number(), reader.number(), reader.byte(), reader.ascii(), reader.text()];
      if (status === 0) return reader.last({ kind: "outcome", topic, ordered, next, number, outcome: DELIVERED });
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

/** What goes before the name of a topic whose flow carries requests and answers: no topic of a user's can be called so. */
export const RPC_PREFIX = "~";

/** What goes before the name of a topic whose flow keeps one order of all senders: no topic of a user's can be called so either. */
export const ORDER_PREFIX = "!";

/** The same, of the flow that carries the outcomes of what has its place in that order. */
export const OUTCOMES_PREFIX = "!<";

/** What goes before the name of a state, as a topic of requests for it. */
export const STATE_PREFIX = "=";

/** Whether a node may be called so. */
export function checkMember(name: string): boolean {
  try {
    return checkName("node", name) === name;
  } catch {
    return false;
  }
}

/** Whether it can travel as the code of an error. */
export function isCode(code: string): boolean {
  return CODE.test(code);
}

/** A code of an error as it can travel; what is none becomes `HANDLER_FAILED`. */
export function codeOf(error: unknown): string {
  const code: unknown = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && CODE.test(code) ? code : "HANDLER_FAILED";
}

const PREFIXED = new RegExp(`^(?:${RPC_PREFIX}${STATE_PREFIX}?|${OUTCOMES_PREFIX}|${ORDER_PREFIX})(.*)$`, "s");

class WordReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(frame: Uint8Array) {
    this.#bytes = frame;
  }

  byte(): number {
    return this.#bytes[this.#pass(1)] ?? 0;
  }

  number(): number {
    return readNumber(this.#bytes, this.#pass(6));
  }

  milliseconds(): number {
    return readUint32(this.#bytes, this.#pass(4));
  }

  large(): number {
    const at = this.#pass(8);
    const value = readUint32(this.#bytes, at) * 2 ** 32 + readUint32(this.#bytes, at + 4);
    if (!Number.isSafeInteger(value)) throw violation();
    return value;
  }

  ascii(): string {
    const length = this.byte();
    const at = this.#pass(length);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + at, length).toString("latin1");
  }

  topic(): string {
    const length = this.byte();
    const at = this.#pass(length);
    return topicNames.read(this.#bytes, at, length);
  }

  election(): string {
    const name = this.ascii();
    try {
      return checkName("election", name);
    } catch {
      throw violation();
    }
  }

  text(): string {
    const at = this.#pass(2);
    const length = (this.#bytes[at] ?? 0) * 256 + (this.#bytes[at + 1] ?? 0);
    if (length > LONGEST_TEXT) throw violation();
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#pass(length), length).toString("utf8");
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  last<T>(word: T): T {
    if (this.#at < this.#bytes.length) throw violation();
    return word;
  }

  #pass(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw violation();
    this.#at = at + length;
    return at;
  }
}

/** Remembers names that were read lately, so that a name which comes with each message is checked once. A fixed number of places. */
class TopicNames {
  readonly #names: Array<string | undefined> = Array.from({ length: 256 });

  read(bytes: Uint8Array, at: number, length: number): string {
    const place = (length * 31 + (bytes[at] ?? 0) * 7 + (bytes[at + length - 1] ?? 0)) & 255;
    const known = this.#names[place];
    if (known !== undefined && known.length === length && isSame(known, bytes, at)) return known;
    const name = Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString("latin1");
    try {
      checkTopic(PREFIXED.exec(name)?.[1] ?? name);
    } catch {
      throw violation();
    }
    this.#names[place] = name;
    return name;
  }
}

const topicNames = new TopicNames();

function isSame(name: string, bytes: Uint8Array, at: number): boolean {
  for (let n = 0; n < name.length; n++) if (name.charCodeAt(n) !== bytes[at + n]) return false;
  return true;
}

function writeName(into: Uint8Array, at: number, name: string): number {
  into[at] = name.length;
  for (let n = 0; n < name.length; n++) into[at + 1 + n] = name.charCodeAt(n);
  return at + 1 + name.length;
}

function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return at + 4;
}

/** Six bytes, big-endian; returns where the next begins. */
export function writeNumber(into: Uint8Array, at: number, value: number): number {
  const high = Math.floor(value / 2 ** 32);
  into[at] = high >>> 8;
  into[at + 1] = high;
  return writeUint32(into, at + 2, value % 2 ** 32);
}

function writeLarge(into: Uint8Array, at: number, value: number): number {
  return writeUint32(into, writeUint32(into, at, Math.floor(value / 2 ** 32)), value % 2 ** 32);
}

/** Six bytes, big-endian. */
export function readNumber(from: Uint8Array, at: number): number {
  return ((from[at] ?? 0) * 256 + (from[at + 1] ?? 0)) * 2 ** 32 + readUint32(from, at + 2);
}

function readUint32(from: Uint8Array, at: number): number {
  return (from[at] ?? 0) * 0x1000000 + ((from[at + 1] ?? 0) << 16) + ((from[at + 2] ?? 0) << 8) + (from[at + 3] ?? 0);
}

function violation(): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", "the peer sent a frame that is no word of the channel", { about: "channel", next: "run the same version of Tribune on all members" });
}
