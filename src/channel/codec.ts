import { TribuneError } from "../kernel/index.ts";
import { DEEPEST, msgpackCodec } from "./msgpack.ts";

/** How values of a topic become bytes, and bytes values. Both throw for what they cannot take. Bytes come from other members: decode without executing, and within bounds. */
export interface Codec {
  encode(value: unknown): Uint8Array;
  /** `bytes` are a window of what came; copy what you keep for long. */
  decode(bytes: Uint8Array): unknown;
}

/** Bytes are values. Only bytes can be sent. */
export const bytesCodec: Codec = {
  encode(value) {
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`${typeof value} is no Uint8Array`);
  },
  decode: (bytes) => bytes,
};

/** How deep JSON may be nested. */
export const DEEPEST_JSON = DEEPEST;

/**
 * JSON in UTF-8. Refuses what is nested deeper than `DEEPEST_JSON` before it is parsed, bytes that are no UTF-8, and a member named `__proto__`, which code that copies objects would take for a prototype.
 */
export const jsonCodec: Codec = {
  encode(value) {
    const text: unknown = JSON.stringify(value);
    if (typeof text !== "string") throw new TypeError(`${typeof value} has no form in JSON`);
    return Buffer.from(text);
  },
  decode(bytes) {
    checkNesting(bytes);
    const text = utf8.decode(bytes);
    // A reviver for all would make each decoding several times as slow; an escape could spell the name as well.
    return MAY_NAME_PROTOTYPE.test(text) ? JSON.parse(text, refusePrototype) : JSON.parse(text);
  },
};

const utf8 = new TextDecoder("utf-8", { fatal: true });

const MAY_NAME_PROTOTYPE = /__proto__|\\u/;

function refusePrototype(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new TypeError("it has a member named __proto__");
  return value;
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [34, 92, 91, 93, 123, 125];

function checkNesting(bytes: Uint8Array): void {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > DEEPEST_JSON) throw new RangeError(`it is nested deeper than ${DEEPEST_JSON}`);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
}

/** What a schema library gives that follows Standard Schema (standardschema.dev), by shape. */
export interface Schema {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): SchemaResult | Promise<SchemaResult>;
  };
}

/** What such a schema says of a value. */
export type SchemaResult = { readonly value: unknown; readonly issues?: undefined } | { readonly issues: ReadonlyArray<{ readonly message: string }> };

/** How the values of one topic travel on this member. All members that send on it and handle it must agree. */
export interface TopicFormat {
  /** Default "json". "msgpack" needs the package `@msgpack/msgpack`. Bytes are sent as they are whatever the codec. */
  readonly codec?: "bytes" | "json" | "msgpack" | Codec;
  /** Checked before the handlers are called: they get its output. What does not fit is answered `PAYLOAD_INVALID`. */
  readonly schema?: Schema;
}

/** Turns values of a topic into bytes and back. Counts what it decodes. */
export class Format {
  readonly #topic: string;
  readonly #codec: Codec;
  readonly #schema: Schema | undefined;
  readonly #count: () => void;

  /** Throws `DRIVER_MISSING`. */
  constructor(topic: string, { codec = "json", schema }: TopicFormat, count: () => void) {
    this.#topic = topic;
    this.#codec = codec === "json" ? jsonCodec : codec === "bytes" ? bytesCodec : codec === "msgpack" ? msgpackCodec() : codec;
    this.#schema = schema;
    this.#count = count;
  }

  /** Values are checked before handlers get them. */
  get checks(): boolean {
    return this.#schema !== undefined;
  }

  /** Throws `PAYLOAD_INVALID`. */
  encode(value: unknown): Uint8Array {
    if (value instanceof Uint8Array) return value;
    try {
      return this.#codec.encode(value);
    } catch (error) {
      throw invalid(this.#topic, "a value cannot be sent", error);
    }
  }

  /** A handler that returns nothing replies `null`, or no bytes. Throws `PAYLOAD_INVALID`. */
  encodeReply(value: unknown): Uint8Array {
    return value === undefined && this.#codec === bytesCodec ? new Uint8Array() : this.encode(value ?? null);
  }

  /** Throws `PAYLOAD_INVALID`. */
  decode(payload: Uint8Array): unknown {
    this.#count();
    try {
      return this.#codec.decode(payload);
    } catch (error) {
      throw invalid(this.#topic, "what came cannot be read", error);
    }
  }

  /** Decodes, and checks by the schema. Rejects with `PAYLOAD_INVALID`. */
  async checked(payload: Uint8Array): Promise<unknown> {
    const value = this.decode(payload);
    const result = await this.#schema?.["~standard"].validate(value);
    if (result === undefined) return value;
    if (result.issues === undefined) return result.value;
    throw invalid(this.#topic, "what came does not fit the schema", new Error(result.issues.map(({ message }) => message).slice(0, 3).join("; ")));
  }
}

function invalid(topic: string, what: string, cause: unknown): TribuneError {
  return new TribuneError("PAYLOAD_INVALID", `on ${topic}, ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { about: topic, next: "use the same codec and schema on all members", cause });
}
