import { TribuneError } from "../kernel/index.ts";
import type { Message } from "./message.ts";
import { STATE_PREFIX } from "./messages.ts";

/** What passes. */
export interface Passage {
  readonly kind: "message" | "request" | "reply";
  readonly topic: string;
}

/** What an interceptor makes of what is sent. */
export interface Passed {
  /** In place of the payload; left out: as it was. */
  readonly payload?: Uint8Array;
  /** For the interceptor of the same name at the receiver: up to 4096 bytes of UTF-8. */
  readonly note?: string;
  /** A receiver that has no interceptor of this name refuses it: what was done must be undone. Default false: it is passed over. */
  readonly mustBeKnown?: boolean;
}

/**
 * A station that payloads pass on their way. It must be quick, and does no I/O: messages wait for it. One that throws on the way out rejects the call; on the way in, the message is `PAYLOAD_INVALID`. Each of the three is optional.
 */
export interface Interceptor {
  /** Up to 32 letters, digits, `.`, `_`, `-`; each once in a pipeline. */
  readonly name: string;
  /** On the way out, once for each message, however many targets it has. `undefined`: as it was. */
  send?(payload: Uint8Array, about: Passage): Passed | undefined;
  /** On the way in, when a message is taken (not for duplicates), in the opposite order. `note` is what `send` gave at the sender. `undefined`: as it was. */
  receive?(payload: Uint8Array, about: Passage, note: string | undefined): Uint8Array | undefined;
  /** Around the handler of a message or request: has to return what `next` returns, and to throw what it throws. The first one of the pipeline is the outermost. */
  handle?(next: () => unknown, message: Message, note: string | undefined): unknown;
}

/** What senders' interceptors say to those of the same name. */
export type Notes = ReadonlyMap<string, string>;

/** A payload as it travels. */
export interface Body {
  readonly payload: Uint8Array;
  /** Notes stand before it. */
  readonly enveloped: boolean;
}

/** Where interceptors of the house stand, from the caller to the wire. Those of a user's own stand before them, in the order in which they are given. */
const PLACES = ["trace", "compress", "counters"];

/** What every message passes after the interceptors, on its way out. */
const BUILT_IN = ["total order", "order", "at most once", "acknowledge and retry", "fragment"];

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const MOST = 16;
const LONGEST_NOTE = 4_096;
const MUST_BE_KNOWN = 1;

/** All interceptors of a channel in their order. */
export class Pipeline {
  readonly #outwards: readonly Interceptor[];
  readonly #inwards: readonly Interceptor[];
  readonly #around: readonly Interceptor[];

  constructor(interceptors: readonly Interceptor[]) {
    const place = ({ name }: Interceptor) => PLACES.indexOf(name);
    this.#outwards = interceptors.toSorted((a, b) => place(a) - place(b));
    this.#inwards = this.#outwards.toReversed();
    this.#around = this.#inwards.filter((each) => each.handle !== undefined);
  }

  /** Names in the order in which a message that is sent passes them; one that comes passes them backwards. */
  get stations(): readonly string[] {
    return [...this.#outwards.map(({ name }) => name), ...BUILT_IN];
  }

  /** Throws what an interceptor throws. */
  out(payload: Uint8Array, about: Passage): Body {
    if (this.#passesBy(about)) return { payload, enveloped: false };
    let notes: Array<{ name: string; note: string; must: boolean }> | undefined;
    for (const interceptor of this.#outwards) {
      const passed = interceptor.send?.(payload, about);
      if (passed === undefined) continue;
      payload = passed.payload ?? payload;
      if (passed.note !== undefined || passed.mustBeKnown === true) (notes ??= []).push({ name: interceptor.name, note: passed.note ?? "", must: passed.mustBeKnown === true });
    }
    return notes === undefined ? { payload, enveloped: false } : { payload: envelop(payload, notes), enveloped: true };
  }

  /** Throws `PAYLOAD_INVALID`. */
  in({ payload, enveloped }: Body, about: Passage): { readonly payload: Uint8Array; readonly notes: Notes | undefined } {
    if (!enveloped && this.#passesBy(about)) return { payload, notes: undefined };
    try {
      const opened = enveloped ? open(payload) : { payload, notes: undefined, required: [] };
      const unknown = opened.required.find((name) => !this.#inwards.some((each) => each.name === name));
      if (unknown !== undefined) throw new TypeError(`it has passed the interceptor ${unknown}, which this member does not have`);
      let inner = opened.payload;
      for (const interceptor of this.#inwards) inner = interceptor.receive?.(inner, about, opened.notes?.get(interceptor.name)) ?? inner;
      return { payload: inner, notes: opened.notes };
    } catch (error) {
      throw new TribuneError("PAYLOAD_INVALID", `on ${about.topic}, what came did not pass the interceptors: ${error instanceof Error ? error.message : String(error)}`, { about: about.topic, next: "give all members the same interceptors", cause: error });
    }
  }

  /** States are no payloads of a user's: they go as they are. */
  #passesBy({ topic }: Passage): boolean {
    return this.#outwards.length === 0 || topic.startsWith(STATE_PREFIX);
  }

  /** Calls a handler with everything around it that wants to be. */
  run<M extends Message>(handler: (message: M) => unknown, message: M, notes: Notes | undefined): unknown {
    if (this.#around.length === 0) return handler(message);
    let call = () => handler(message);
    for (const interceptor of this.#around) {
      const next = call;
      call = () => interceptor.handle?.(next, message, notes?.get(interceptor.name));
    }
    return call();
  }
}

/** What is wrong with a list of interceptors, as clauses; empty if it is good. */
export function complaintsAboutInterceptors(interceptors: readonly Interceptor[]): string[] {
  const complaints: string[] = [];
  if (interceptors.length > MOST) complaints.push(`there are ${interceptors.length} interceptors, more than ${MOST}`);
  const names = interceptors.map((each) => each?.name);
  for (const [at, name] of names.entries()) {
    if (typeof name !== "string" || !NAME.test(name)) complaints.push(`the name of interceptor ${at + 1} is not 1 to 32 letters, digits, '.', '_' or '-'`);
    else if (names.indexOf(name) !== at) complaints.push(`two interceptors are called ${name}`);
  }
  return complaints;
}

/** Notes go before the payload: their number (1 byte), and for each its name (length, ASCII), flags (1), text (length in 2 bytes, UTF-8). */
function envelop(payload: Uint8Array, notes: ReadonlyArray<{ readonly name: string; readonly note: string; readonly must: boolean }>): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(notes.length)];
  for (const { name, note, must } of notes) {
    const text = Buffer.from(note);
    if (text.length > LONGEST_NOTE) throw new TribuneError("PAYLOAD_INVALID", `the interceptor ${name} has a note of ${text.length} bytes, more than ${LONGEST_NOTE}`, { about: name, next: "say less, or put it into the payload" });
    parts.push(Uint8Array.of(name.length), Buffer.from(name, "latin1"), Uint8Array.of(must ? MUST_BE_KNOWN : 0, text.length >> 8, text.length & 255), text);
  }
  return Buffer.concat([...parts, payload]);
}

function open(bytes: Uint8Array): { readonly payload: Uint8Array; readonly notes: Notes; readonly required: readonly string[] } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const notes = new Map<string, string>();
  const required: string[] = [];
  const count = buffer.readUInt8(0);
  if (count > MOST) throw new RangeError(`it has ${count} notes`);
  let at = 1;
  for (let n = 0; n < count; n++) {
    const nameEnd = at + 1 + buffer.readUInt8(at);
    const name = buffer.toString("latin1", at + 1, nameEnd);
    const flags = buffer.readUInt8(nameEnd);
    const length = buffer.readUInt16BE(nameEnd + 1);
    at = nameEnd + 3 + length;
    if (!NAME.test(name) || notes.has(name) || (flags & ~MUST_BE_KNOWN) !== 0 || length > LONGEST_NOTE || at > buffer.length) throw new RangeError("its notes cannot be read");
    notes.set(name, buffer.toString("utf8", nameEnd + 3, at));
    if (flags === MUST_BE_KNOWN) required.push(name);
  }
  return { payload: bytes.subarray(at), notes, required };
}
