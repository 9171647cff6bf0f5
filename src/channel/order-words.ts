import { TribuneError } from "../kernel/index.ts";
import type { PeerIdentity } from "../transport/index.ts";
import { checkMember, isCode } from "./messages.ts";
import type { MessageWord, Outcome } from "./messages.ts";
import type { Position } from "./order-log.ts";
import type { Standing } from "./succession.ts";

/** What is said of a message whoever carries it. */
export type About = Pick<MessageWord, "view" | "token" | "election" | "enveloped" | "awaited" | "payload">;

type Failure = Extract<Outcome, { readonly status: "failed" }>;

/**
 * What keeps one order of all, as payloads of asynchronous messages on two flows of its own for each topic, of which one is for `outcome` and `missed`:
 *
 *     submit:   1 · epoch · n · about                                        sender → sequencer
 *     ordered:  2 · epoch · place · before · node · incarnation · n · about  sequencer → all
 *     fill:     3 · the same                                                 who is asked → new sequencer
 *     outcome:  4 · n · status · code · text                                 all → sender
 *     recover:  5 · epoch                                                    new sequencer → all
 *     standing: 6 · epoch · since · known · [place] · (incarnation · n)*     all → new sequencer
 *     fetch:    7 · epoch · place                                            new sequencer → who is furthest
 *     fetched:  8 · epoch
 *     begin:    9 · epoch · place · complete · n                             sequencer → all
 *     refused: 10 · epoch                                                    all → who has been succeeded
 *     missed:  11 · first · n · incarnation · code · text                    who could not give these to that member → their sender
 *
 * Places are an epoch and a number; epochs, views and tokens 8 bytes, numbers 6; names a length (1) and ASCII. `about` is flags (1), view, the token and its election where the flags say so, and the payload.
 */
export type OrderWord =
  | { readonly kind: "submit"; readonly epoch: number; readonly n: number; readonly about: About }
  | { readonly kind: "ordered" | "fill"; readonly epoch: number; readonly position: Position; readonly before: Position; readonly sender: PeerIdentity; readonly n: number; readonly about: About }
  | { readonly kind: "outcome"; readonly n: number; readonly outcome: Outcome }
  | { readonly kind: "recover" | "fetched" | "refused"; readonly epoch: number }
  | ({ readonly kind: "standing"; readonly epoch: number } & Standing)
  | { readonly kind: "fetch"; readonly epoch: number; readonly after: Position }
  | { readonly kind: "begin"; readonly epoch: number; readonly after: Position; readonly complete: boolean; readonly orderedUpTo: number }
  | { readonly kind: "missed"; readonly first: number; readonly n: number; readonly incarnation: string; readonly outcome: Failure };

const KINDS = ["submit", "ordered", "fill", "outcome", "recover", "standing", "fetch", "fetched", "begin", "refused", "missed"] as const;

const [AWAITED, TOKEN, ELECTION, ENVELOPED] = [1, 2, 4, 8];
const LONGEST_TEXT = 1_024;

/** Copies the payload. */
export function encodeOrder(word: OrderWord): Uint8Array {
  const writer = new Writer(KINDS.indexOf(word.kind) + 1);
  switch (word.kind) {
    case "submit":
      return writer.large(word.epoch).number(word.n).about(word.about);
    case "ordered":
    case "fill":
      return writer.large(word.epoch).place(word.position).place(word.before).name(word.sender.node).name(word.sender.incarnation).number(word.n).about(word.about);
    case "outcome": {
      const { outcome } = word;
      writer.number(word.n);
      return outcome.status === "delivered" ? writer.byte(0).end() : writer.byte(1).failure(outcome);
    }
    case "recover":
    case "fetched":
    case "refused":
      return writer.large(word.epoch).end();
    case "standing":
      writer.large(word.epoch).large(word.since).byte(word.last === undefined ? 0 : 1);
      if (word.last !== undefined) writer.place(word.last);
      for (const [incarnation, n] of word.ordered) writer.name(incarnation).number(n);
      return writer.end();
    case "fetch":
      return writer.large(word.epoch).place(word.after).end();
    case "begin":
      return writer.large(word.epoch).place(word.after).byte(word.complete ? 1 : 0).number(word.orderedUpTo).end();
    case "missed":
      return writer.number(word.first).number(word.n).name(word.incarnation).failure(word.outcome);
  }
}

/** The payload stays what it is. Throws `PROTOCOL_VIOLATION`. */
export function decodeOrder(bytes: Uint8Array): OrderWord {
  try {
    return read(new Reader(bytes));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TribuneError("PROTOCOL_VIOLATION", "the peer sent what is no word about the order of a topic", { about: "channel", next: "run the same version of Tribune on all members", cause: error });
  }
}

function read(reader: Reader): OrderWord {
  const kind = KINDS[reader.byte() - 1];
  switch (kind) {
    case "submit":
      return { kind, epoch: reader.large(), n: reader.count(), about: reader.about() };
    case "ordered":
    case "fill":
      return { kind, epoch: reader.large(), position: reader.place(), before: reader.place(), sender: { node: reader.member(), incarnation: reader.name() }, n: reader.count(), about: reader.about() };
    case "outcome": {
      const [n, failed] = [reader.count(), reader.flag()];
      return reader.last({ kind, n, outcome: failed ? reader.failure() : { status: "delivered" } });
    }
    case "recover":
    case "fetched":
    case "refused":
      return reader.last({ kind, epoch: reader.large() });
    case "standing": {
      const [epoch, since, known] = [reader.large(), reader.large(), reader.flag()];
      const last = known ? reader.place() : undefined;
      const ordered: Array<readonly [string, number]> = [];
      while (!reader.isAtEnd) ordered.push([reader.name(), reader.count()]);
      return { kind, epoch, since, last, ordered };
    }
    case "fetch":
      return reader.last({ kind, epoch: reader.large(), after: reader.place() });
    case "begin":
      return reader.last({ kind, epoch: reader.large(), after: reader.place(), complete: reader.flag(), orderedUpTo: reader.number() });
    case "missed":
      return reader.last({ kind, ...reader.range(), incarnation: reader.name(), outcome: reader.failure() });
    case undefined:
  }
  throw new RangeError("unknown kind");
}

class Writer {
  #out = Buffer.allocUnsafe(256);
  #at = 0;

  constructor(kind: number) {
    this.byte(kind);
  }

  byte(value: number): this {
    this.#at = this.#room(1).writeUInt8(value, this.#at);
    return this;
  }

  number(value: number): this {
    this.#at = this.#room(6).writeUIntBE(value, this.#at, 6);
    return this;
  }

  large(value: number): this {
    this.#at = this.#room(8).writeBigUInt64BE(BigInt(value), this.#at);
    return this;
  }

  place({ epoch, number }: Position): this {
    return this.large(epoch).number(number);
  }

  name(text: string): this {
    this.byte(text.length);
    this.#at += this.#room(text.length).write(text, this.#at, "latin1");
    return this;
  }

  failure({ code, message }: Failure): Uint8Array {
    return this.name(code).end(Buffer.from(message).subarray(0, LONGEST_TEXT));
  }

  about({ awaited, view, token, election, enveloped, payload }: About): Uint8Array {
    this.byte((awaited ? AWAITED : 0) | (token === undefined ? 0 : TOKEN) | (election === undefined ? 0 : ELECTION) | (enveloped ? ENVELOPED : 0)).large(view);
    if (token !== undefined) this.large(token);
    if (election !== undefined) this.name(election);
    return this.end(payload);
  }

  end(rest?: Uint8Array): Uint8Array {
    const head = this.#out.subarray(0, this.#at);
    return rest === undefined ? head : Buffer.concat([head, rest]);
  }

  #room(length: number): Buffer {
    if (this.#at + length > this.#out.length) this.#out = Buffer.concat([this.#out, Buffer.allocUnsafe(this.#out.length)]);
    return this.#out;
  }
}

/** Throws `RangeError` for what cannot be. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#pass(1));
  }

  flag(): boolean {
    const byte = this.byte();
    if (byte > 1) throw new RangeError("neither yes nor no");
    return byte === 1;
  }

  number(): number {
    return this.#bytes.readUIntBE(this.#pass(6), 6);
  }

  count(): number {
    const number = this.number();
    if (number === 0) throw new RangeError("numbers begin with 1");
    return number;
  }

  range(): { readonly first: number; readonly n: number } {
    const [first, n] = [this.count(), this.count()];
    if (first > n) throw new RangeError("it ends before it begins");
    return { first, n };
  }

  large(): number {
    const value = Number(this.#bytes.readBigUInt64BE(this.#pass(8)));
    if (!Number.isSafeInteger(value)) throw new RangeError("too large");
    return value;
  }

  place(): Position {
    return { epoch: this.large(), number: this.number() };
  }

  name(): string {
    const length = this.byte();
    if (length === 0) throw new RangeError("a name is empty");
    const at = this.#pass(length);
    return this.#bytes.toString("latin1", at, at + length);
  }

  member(): string {
    const name = this.name();
    if (!checkMember(name)) throw new RangeError("no name of a node");
    return name;
  }

  code(): string {
    const code = this.name();
    if (!isCode(code)) throw new RangeError("no code");
    return code;
  }

  text(): string {
    const length = this.#bytes.length - this.#at;
    if (length > LONGEST_TEXT) throw new RangeError("too long");
    return this.#bytes.toString("utf8", this.#pass(length));
  }

  failure(): Failure {
    return { status: "failed", code: this.code(), message: this.text() };
  }

  about(): About {
    const flags = this.byte();
    if (flags > 15 || ((flags & ELECTION) !== 0 && (flags & TOKEN) === 0)) throw new RangeError("unknown flags");
    const view = this.large();
    const token = (flags & TOKEN) === 0 ? undefined : this.large();
    const election = (flags & ELECTION) === 0 ? undefined : this.member(); // elections are called as nodes are
    return { awaited: (flags & AWAITED) !== 0, enveloped: (flags & ENVELOPED) !== 0, view, token, election, payload: this.#bytes.subarray(this.#at) };
  }

  last<Word>(word: Word): Word {
    if (!this.isAtEnd) throw new RangeError("too long");
    return word;
  }

  #pass(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new RangeError("too short");
    this.#at = at + length;
    return at;
  }
}
