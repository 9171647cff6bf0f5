import { checkName } from "../kernel/index.ts";
import { FORMAT_VERSION, HEADER_BYTES, PIECE, readUint32, violation, writeHeader, writeUint32 } from "./frames.ts";
import { LEAST_TAKEN, LONGEST_MS } from "./options.ts";
import type { RefusalReason } from "./transport.ts";

/**
 * The handshake: who dials says who it is, whom it looks for and which versions it speaks; who is dialled answers with who it is, or why not. Inside of TLS where there is TLS.
 *
 *     dialler:  "TRBN" · newest version (1 byte) · oldest version (1) · piece `hello`
 *     acceptor: piece `welcome`, or piece `refuse` and the end
 *
 * The preamble and the form of `refuse` stay as they are in all versions.
 */
const MAGIC = [0x54, 0x52, 0x42, 0x4e] as const;

/** Of the preamble. */
export const PREAMBLE_BYTES = 6;

/** The most that a hello, a welcome or a refusal may take: names and an address. */
export const LONGEST_HELLO = 1024;

/** What both sides say about themselves. */
export interface Introduction {
  readonly group: string;
  readonly node: string;
  readonly incarnation: string;
  /** What it listens on, as its metadata says. */
  readonly address: string;
  readonly limits: PeerLimits;
}

/** What a side takes, for the other one to keep to. */
export interface PeerLimits {
  readonly maxFrameBytes: number;
  readonly windowBytes: number;
  readonly assemblyBytes: number;
  /** How often it says something at least. */
  readonly beatMs: number;
}

/** The first words of who dials. */
export interface Hello extends Introduction {
  readonly newestVersion: number;
  readonly oldestVersion: number;
  /** The incarnation that it looks for. */
  readonly to: string;
  /** Names this connection for both sides; random. */
  readonly connectionId: string;
  /** The last connection between the two that the dialler saw end; `""` if none. */
  readonly lostId: string;
}

/** The answer. */
export interface Welcome extends Introduction {
  /** That the connection speaks. */
  readonly version: number;
}

/** What came of reading the beginning of a connection: `more` bytes are needed, or a value, and how many bytes it took. */
export type Reading<T> = "more" | { readonly value: T; readonly bytes: number };

/** Reasons that travel: the others are not told to strangers. */
const REFUSALS = ["version", "wrong-group", "unknown-peer", "wrong-identity", "not-here", "duplicate"] as const satisfies readonly RefusalReason[];

/** Why a member was not let in, as it is told. */
export type ToldRefusal = (typeof REFUSALS)[number];

/** The bytes that a dialler begins with. */
export function encodeHello(hello: Hello): Uint8Array {
  const fields = new FieldWriter();
  introduce(fields, hello);
  fields.text(hello.to);
  fields.text(hello.connectionId);
  fields.text(hello.lostId);
  const piece = fields.piece(PIECE.hello);
  const out = new Uint8Array(PREAMBLE_BYTES + piece.length);
  out.set(MAGIC);
  out[4] = hello.newestVersion;
  out[5] = hello.oldestVersion;
  out.set(piece, PREAMBLE_BYTES);
  return out;
}

/** What an acceptor answers to let a dialler in. */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const fields = new FieldWriter();
  fields.number(welcome.version);
  introduce(fields, welcome);
  return fields.piece(PIECE.welcome);
}

/** What an acceptor answers before it closes. */
export function encodeRefusal(reason: ToldRefusal): Uint8Array {
  const fields = new FieldWriter();
  fields.text(reason);
  return fields.piece(PIECE.refuse);
}

/** Reads the beginning of a connection. Throws `PROTOCOL_VIOLATION` as soon as it can be nothing else. */
export function readHello(bytes: Uint8Array): Reading<Hello> {
  for (let at = 0; at < Math.min(MAGIC.length, bytes.length); at++) if (bytes[at] !== MAGIC[at]) throw violation("something that does not begin as a connection does");
  if (bytes.length < PREAMBLE_BYTES) return "more";
  const newestVersion = bytes[4] ?? 0;
  const oldestVersion = bytes[5] ?? 0;
  if (oldestVersion === 0 || newestVersion < oldestVersion) throw violation(`versions ${oldestVersion} to ${newestVersion}`);
  const fields = readFields(bytes.subarray(PREAMBLE_BYTES), [PIECE.hello]);
  if (fields === undefined) return "more";
  // A dialler of a later version may say more, or other things. Its oldest version tells whether this can be read.
  const common = oldestVersion > FORMAT_VERSION ? undefined : { ...introduction(fields), to: fields.text(), connectionId: fields.text(), lostId: fields.text() };
  if (common !== undefined && newestVersion === FORMAT_VERSION) fields.end();
  return { value: { ...(common ?? NOBODY), newestVersion, oldestVersion }, bytes: PREAMBLE_BYTES + fields.pieceBytes };
}

const NOBODY: Omit<Hello, "newestVersion" | "oldestVersion"> = {
  group: "",
  node: "",
  incarnation: "",
  address: "",
  limits: { maxFrameBytes: 0, windowBytes: 0, assemblyBytes: 0, beatMs: 0 },
  to: "",
  connectionId: "",
  lostId: "",
};

/** Reads the answer to a hello. Throws `PROTOCOL_VIOLATION`. */
export function readAnswer(bytes: Uint8Array): Reading<Welcome | { readonly refused: ToldRefusal }> {
  const fields = readFields(bytes, [PIECE.welcome, PIECE.refuse]);
  if (fields === undefined) return "more";
  if (fields.type === PIECE.refuse) {
    const reason = fields.text();
    const refused = REFUSALS.find((each) => each === reason);
    if (refused === undefined) throw violation("a refusal for no known reason");
    return { value: { refused }, bytes: fields.pieceBytes };
  }
  const version = fields.number();
  const value = { version, ...introduction(fields) };
  fields.end();
  return { value, bytes: fields.pieceBytes };
}

function introduce(fields: FieldWriter, said: Introduction): void {
  fields.text(said.group);
  fields.text(said.node);
  fields.text(said.incarnation);
  fields.text(said.address);
  fields.number(said.limits.maxFrameBytes);
  fields.number(said.limits.windowBytes);
  fields.number(said.limits.assemblyBytes);
  fields.number(said.limits.beatMs);
}

function introduction(fields: FieldReader): Introduction {
  const said = {
    group: fields.name("group"),
    node: fields.name("node"),
    incarnation: fields.name("node"),
    address: fields.text(),
    limits: { maxFrameBytes: fields.number(), windowBytes: fields.number(), assemblyBytes: fields.number(), beatMs: fields.number() },
  };
  const { maxFrameBytes, windowBytes, assemblyBytes, beatMs } = said.limits;
  // What options do not allow, an honest peer does not say; and whoever sends may count on it.
  const isAllowed = maxFrameBytes >= LEAST_TAKEN.maxFrameBytes && windowBytes >= LEAST_TAKEN.windowBytes && assemblyBytes >= maxFrameBytes && beatMs > 0 && beatMs <= LONGEST_MS;
  if (!isAllowed) throw violation("a handshake with limits that nobody can keep");
  return said;
}

/** The fields of the one piece that `bytes` begin with; `undefined` while it is not there as a whole. */
function readFields(bytes: Uint8Array, types: readonly number[]): FieldReader | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const length = readUint32(bytes, 0);
  const type = bytes[4] ?? 0;
  if (!types.includes(type) || bytes[5] !== 0 || length > LONGEST_HELLO) throw violation("something else than a handshake");
  if (bytes.length < HEADER_BYTES + length) return undefined;
  return new FieldReader(type, bytes.subarray(HEADER_BYTES, HEADER_BYTES + length));
}

/** Texts as a length (1 byte) and UTF-8, numbers as 4 bytes. */
class FieldWriter {
  readonly #bytes: number[] = [];

  text(text: string): void {
    const encoded = new TextEncoder().encode(text);
    if (encoded.length > 255) throw violation("a name or an address that is too long"); // names and addresses were checked long before
    this.#bytes.push(encoded.length, ...encoded);
  }

  number(value: number): void {
    const four = new Uint8Array(4);
    writeUint32(four, 0, value);
    this.#bytes.push(...four);
  }

  piece(type: number): Uint8Array {
    const out = new Uint8Array(HEADER_BYTES + this.#bytes.length);
    out.set(this.#bytes, writeHeader(out, 0, type, 0, this.#bytes.length));
    return out;
  }
}

class FieldReader {
  readonly type: number;
  readonly pieceBytes: number;
  readonly #payload: Uint8Array;
  #at = 0;

  constructor(type: number, payload: Uint8Array) {
    this.type = type;
    this.#payload = payload;
    this.pieceBytes = HEADER_BYTES + payload.length;
  }

  text(): string {
    const bytes = this.#take(this.#take(1)[0] ?? 0);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw violation("a handshake with a text that is not UTF-8");
    }
  }

  name(kind: "group" | "node"): string {
    try {
      return checkName(kind, this.text());
    } catch {
      throw violation("a handshake with a name that is none");
    }
  }

  number(): number {
    return readUint32(this.#take(4), 0);
  }

  end(): void {
    if (this.#at < this.#payload.length) throw violation("a handshake with something at its end");
  }

  #take(bytes: number): Uint8Array {
    if (this.#at + bytes > this.#payload.length) throw violation("a handshake that ends too early");
    this.#at += bytes;
    return this.#payload.subarray(this.#at - bytes, this.#at);
  }
}
