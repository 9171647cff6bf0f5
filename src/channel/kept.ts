import type { DeliveryResult } from "./delivery.ts";
import type { RpcLead } from "./rpc-words.ts";

/** A message on its way; the same one for all of its targets. */
export class Kept {
  readonly payload: Uint8Array;
  readonly enveloped: boolean;
  readonly view: number;
  readonly token: number | undefined;
  readonly election: string | undefined;
  /** On the clock that was handed in. */
  readonly deadlineMs: number;
  /** The sender waits for outcomes. */
  readonly awaited: boolean;
  readonly #settling: Settling;
  /** What goes before the payload, of requests and answers. */
  readonly lead: RpcLead | undefined;

  constructor(payload: Uint8Array, enveloped: boolean, about: SentWith, deadlineMs: number, awaited: boolean, settling: Settling, lead?: RpcLead) {
    this.payload = payload;
    this.enveloped = enveloped;
    this.view = about.view;
    this.token = about.token;
    this.election = about.election;
    this.deadlineMs = deadlineMs;
    this.awaited = awaited;
    this.#settling = settling;
    this.lead = lead;
  }

  /** Its result at one target came. Not called for messages that nobody awaits, unless they were given up. */
  settle(incarnation: string, result: DeliveryResult): void {
    this.#settling.settle(incarnation, result);
  }
}

/** What a message says of its sender. */
export interface SentWith {
  readonly view: number;
  readonly token: number | undefined;
  readonly election: string | undefined;
}

/** Who is told of results. */
export interface Settling {
  settle(incarnation: string, result: DeliveryResult): void;
}
