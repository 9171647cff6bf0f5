import { abortError, TribuneError } from "../kernel/index.ts";
import type { KnownPeer, PeerIdentity } from "../transport/index.ts";
import { Fifo } from "./fifo.ts";
import { codeOf } from "./messages.ts";
import { MOST_MOVES } from "./requests.ts";
import type { Answer, Asking, RequestPorts, RequestRegister, Waiting } from "./requests.ts";

/** One of the replies of a stream. */
export interface StreamReply {
  /** The node that gives them: another than was asked, if that one said `Moved`. */
  readonly by: string;
  readonly payload: Uint8Array;
  /** Decoded by the codec of the topic. Throws `PAYLOAD_INVALID`. */
  value(): unknown;
}

/** Why a stream ended before its end: the `cause` of `STREAM_BROKEN`. */
export type StreamEnd = { readonly status: "failed"; readonly code: string; readonly message: string } | { readonly status: "moved"; readonly member: string; readonly version: number } | { readonly status: "left" } | { readonly status: "timeout" };

/** A stream that is asked for. */
export interface StreamAsking extends Pick<Asking, "topic" | "token" | "election" | "body" | "deadlineMs" | "signal"> {
  readonly member: KnownPeer;
  /** How many replies may be under way or wait to be taken. */
  readonly window: number;
}

/**
 * The side of a stream that takes the replies: no more come than it has room for, none is missing, and whatever ends it is told after the last one that came.
 *
 *     open ─▶ item 1, 2, 3, … ─▶ end          taken half of the window: more, up to n
 *               │ failed, left, deadline ──▶ STREAM_BROKEN, after what has come
 *               └ no longer iterated, signal ──▶ cancel ─▶ the handler's signal aborts
 */
export class ReplyStream implements Waiting {
  readonly dueMs: number;
  readonly #ports: RequestPorts;
  readonly #asking: StreamAsking;
  readonly #register: RequestRegister;
  readonly #came = new Fifo<StreamReply>();
  readonly #asked = new Set<string>();
  #member: KnownPeer;
  #id = 0;
  #version = -1;
  #next = 1;
  #upTo: number;
  #taken = 0;
  #end: { readonly error: unknown } | "end" | undefined;
  #wake: (() => void) | undefined;
  readonly #aborted = () => this.#finish({ error: abortError(this.#asking.signal, "taking a stream of replies") }, true);

  constructor(ports: RequestPorts, asking: StreamAsking, register: RequestRegister) {
    this.#ports = ports;
    this.#asking = asking;
    this.#register = register;
    this.#member = asking.member;
    this.#upTo = asking.window;
    this.dueMs = ports.clock.monotonicMs() + asking.deadlineMs;
    asking.signal?.addEventListener("abort", this.#aborted, { once: true });
    this.#ask();
  }

  /** The next reply; `undefined` at the end. Rejects with `STREAM_BROKEN`, `ABORTED`. */
  async next(): Promise<StreamReply | undefined> {
    while (this.#came.length === 0 && this.#end === undefined) await new Promise<void>((resolve) => void (this.#wake = resolve));
    const reply = this.#came.shift();
    if (reply === undefined) {
      if (this.#end !== undefined && this.#end !== "end") throw this.#end.error;
      return undefined;
    }
    this.#taken++;
    const { window } = this.#asking;
    if (this.#end === undefined && this.#upTo - this.#taken <= window / 2) {
      this.#upTo = this.#taken + window;
      this.#say({ kind: "more", id: this.#id, number: this.#upTo });
    }
    return reply;
  }

  /** Nobody takes any more of it. */
  close(): void {
    this.#finish("end", true);
  }

  expire(): void {
    this.#break({ status: "timeout" }, true);
  }

  left(incarnation: string): void {
    if (incarnation === this.#member.incarnation) this.#break({ status: "left" }, false);
  }

  heard(from: PeerIdentity, word: Answer): void {
    if (from.incarnation !== this.#member.incarnation || word.id !== this.#id || this.#end !== undefined) return;
    switch (word.kind) {
      case "item":
        return this.#item(word);
      case "end":
        return word.number === this.#next - 1 ? this.#finish("end", false) : this.#missing(false);
      case "failed":
        return word.after < this.#next ? this.#break({ status: "failed", code: word.code, message: word.message }, false) : this.#missing(false);
      case "moved":
        return this.#follow(word.member, word.version);
      case "reply":
    }
  }

  #item(word: Extract<Answer, { readonly kind: "item" }>): void {
    if (word.number !== this.#next) return this.#missing(true);
    this.#next++;
    const { topic } = this.#asking;
    try {
      const payload = this.#ports.open(topic, word);
      this.#came.push({ by: this.#member.node, payload, value: () => this.#ports.decode(topic, payload) });
    } catch (error) {
      return this.#break({ status: "failed", code: codeOf(error), message: error instanceof Error ? error.message : String(error) }, true);
    }
    this.#wake?.();
  }

  #missing(tell: boolean): void {
    this.#break({ status: "failed", code: "PEER_UNREACHABLE", message: "a reply was given up: connections ended too often" }, tell);
  }

  #follow(node: string, version: number): void {
    const member = this.#ports.member(node);
    if (member === undefined || this.#next > 1 || this.#asked.has(member.incarnation) || version < this.#version || this.#asked.size > MOST_MOVES) return this.#break({ status: "moved", member: node, version }, false);
    this.#register.remove(this.#id);
    this.#member = member;
    this.#version = version;
    this.#ask();
  }

  #ask(): void {
    this.#id = this.#ports.nextId();
    this.#asked.add(this.#member.incarnation);
    this.#register.add(this.#id, this);
    const leftMs = Math.max(1, this.dueMs - this.#ports.clock.monotonicMs());
    const { incarnation } = this.#member;
    this.#ports.say(this.#asking, this.#member, { kind: "open", id: this.#id, number: this.#upTo, ...this.#asking.body }, leftMs, {
      settle: (_incarnation, result) => {
        // The stream's own deadline is about to come; or it had arrived, and only the word of that was lost.
        if (incarnation !== this.#member.incarnation || result.status === "timeout" || this.#next > 1) return;
        this.#break(result.status === "failed" ? result : { status: "left" }, result.status === "failed"); // it may have arrived all the same
      },
    });
  }

  #break(end: StreamEnd, tell: boolean): void {
    const { topic } = this.#asking;
    const why = end.status === "failed" ? `${end.code}, ${end.message}` : end.status === "moved" ? `it is at ${end.member}` : end.status === "left" ? "it left" : "the deadline came";
    this.#finish({ error: new TribuneError("STREAM_BROKEN", `the replies of ${this.#member.node} on ${topic} ended early, after ${this.#next - 1}: ${why}`, { about: topic, next: "ask again for what follows the last reply", cause: end }) }, tell);
  }

  #finish(end: { readonly error: unknown } | "end", tell: boolean): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#register.remove(this.#id);
    this.#asking.signal?.removeEventListener("abort", this.#aborted);
    if (tell) this.#say({ kind: "cancel", id: this.#id });
    this.#wake?.();
  }

  /** However often connections end: without the one word the giver would wait for ever, without the other one both would. */
  #say(word: { readonly kind: "cancel"; readonly id: number } | { readonly kind: "more"; readonly id: number; readonly number: number }): void {
    this.#ports.say(this.#asking, this.#member, word, Math.max(1_000, this.dueMs - this.#ports.clock.monotonicMs()), {
      settle: (_incarnation, result) => {
        if (result.status === "failed" && result.code === "PEER_UNREACHABLE" && (word.kind === "cancel" || this.#end === undefined)) this.#say(word);
      },
    });
  }
}
