import type { PeerIdentity } from "../transport/index.ts";
import type { Format } from "./codec.ts";

/** A message as its handlers get it. */
export interface Message {
  readonly topic: string;
  readonly from: PeerIdentity;
  /** The receiver's to keep; a window of what came. */
  readonly payload: Uint8Array;
  /** Of the sender's view when it was sent. */
  readonly view: number;
  /** The sender's fencing token, if it gave one. */
  readonly token: number | undefined;
  /** Whose token it is, if the sender said so. */
  readonly election: string | undefined;
  /** What was left of the sender's deadline when it was sent again or first, in milliseconds; 0: it has none. */
  readonly deadlineMs: number;
  /** The payload, decoded by the codec of the topic, once, when it is first asked for. Throws `PAYLOAD_INVALID`. Where the topic has a schema, its output. */
  value(): unknown;
}

/** A message as it came: its payload may have headers of interceptors before it. */
export interface ReceivedParts extends Omit<Message, "value"> {
  readonly enveloped: boolean;
}

/** A message whose payload is decoded when somebody asks. */
export class ReceivedMessage implements Message {
  readonly topic: string;
  readonly from: PeerIdentity;
  readonly payload: Uint8Array;
  readonly view: number;
  readonly token: number | undefined;
  readonly election: string | undefined;
  readonly deadlineMs: number;
  readonly #format: Format;
  #isDecoded = false;
  #value: unknown;

  /** `payload`: as the interceptors have left it. */
  constructor(parts: ReceivedParts, payload: Uint8Array, format: Format) {
    this.topic = parts.topic;
    this.from = parts.from;
    this.payload = payload;
    this.view = parts.view;
    this.token = parts.token;
    this.election = parts.election;
    this.deadlineMs = parts.deadlineMs;
    this.#format = format;
  }

  value(): unknown {
    if (!this.#isDecoded) {
      this.#value = this.#format.decode(this.payload);
      this.#isDecoded = true;
    }
    return this.#value;
  }

  /** Decodes now, and checks by the schema. Rejects with `PAYLOAD_INVALID`. */
  async check(): Promise<void> {
    this.#value = await this.#format.checked(this.payload);
    this.#isDecoded = true;
  }
}
