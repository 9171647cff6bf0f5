import { isTribuneError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import { CONTROL_STREAM } from "../transport/index.ts";
import type { Frame, Link } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import { FlowReceiver } from "./flow-receiver.ts";
import { decodeWord, encodeMessageHead, encodeWord } from "./messages.ts";
import type { GapWord, MessageWord, Outcome } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxLimits } from "./outbox.ts";

/** A message that is kept for one peer. */
export interface Kept {
  readonly payload: Uint8Array;
  readonly view: number;
  readonly token: number | undefined;
  /** On the clock that was handed in. */
  readonly deadlineMs: number;
  /** Its result at this peer came. Not called for messages that nobody awaits, unless they were given up. */
  readonly settle: (result: DeliveryResult) => void;
}

/** What a peer's flows need of the channel. */
export interface PeerPorts {
  readonly clock: Clock;
  readonly limits: OutboxLimits;
  /** `undefined` while the channel has no endpoint. */
  link(): Link | undefined;
  /** Runs the handlers of a topic; resolves with the outcome, and never rejects. */
  handle(word: MessageWord): Promise<Outcome>;
  /** A sender has given up a message: this is its place in the order. */
  gap(word: GapWord): void;
  /** The peer broke the protocol. */
  broken(detail: string): void;
}

/** How many messages may go without a word that they were received. */
const RECEIVED_EVERY = 64;

/** How long a received message may go without such a word, in milliseconds. */
const RECEIVED_WITHIN_MS = 20;

/** On how many topics one peer may send. */
const MOST_FLOWS = 4_096;

/** What this member sends to a peer on one topic, and what the peer sends. */
interface Flow {
  readonly topic: string;
  readonly ordered: boolean;
  readonly stream: number;
  readonly outbox: Outbox<Kept>;
  readonly receiver: FlowReceiver<Outcome>;
  /** Waits for the stream to take more. */
  waits: boolean;
  /** Messages that wait for the handlers of those before them. */
  readonly arrived: Array<{ readonly word: MessageWord | GapWord; readonly frame: Frame }>;
  handling: boolean;
  unsaid: number;
  saying: Timer | undefined;
  /** Messages of callers that wait for room, in the order of their calls. */
  readonly pending: Pending[];
}

interface Pending {
  readonly kept: Kept;
  readonly awaited: boolean;
  finish(): void;
}

/** All flows with one peer, in both directions, over whatever connection there is. */
export class PeerFlows {
  readonly #ports: PeerPorts;
  readonly #flows = new Map<string, Flow>();
  /** Words on stream 0 that wait for room. They are said anew on the next connection, so they go with this one. */
  #words: Uint8Array[] = [];
  #wordsWait = false;
  #deadline: { readonly timer: Timer; readonly atMs: number } | undefined;
  #isGone = false;

  constructor(ports: PeerPorts) {
    this.#ports = ports;
  }

  /**
   * Keeps a message and sends it when it can. Returns nothing if it was taken at once; `"full"` if there is no room and it is not to wait; otherwise what resolves when it was taken, or is over: its deadline came, the peer left, the signal aborted. Messages are taken in the order of
   * the calls.
   */
  send(topic: string, ordered: boolean, kept: Kept, how: { readonly awaited: boolean; readonly waits: boolean; readonly signal: AbortSignal | undefined }): Promise<void> | "full" | undefined {
    const flow = this.#flow(topic, ordered);
    if (flow.pending.length === 0 && flow.outbox.hasRoom) {
      this.#take(flow, kept, how.awaited);
      return undefined;
    }
    if (!how.waits) return "full";
    return new Promise((resolve) => {
      const over = () => {
        const at = flow.pending.indexOf(pending);
        if (at !== -1) flow.pending.splice(at, 1);
        finish();
      };
      const finish = () => {
        timer.cancel();
        how.signal?.removeEventListener("abort", over);
        resolve();
      };
      const timer = this.#ports.clock.setTimer(kept.deadlineMs - this.#ports.clock.monotonicMs(), () => {
        kept.settle({ status: "timeout" });
        over();
      });
      const pending: Pending = { kept, awaited: how.awaited, finish };
      flow.pending.push(pending);
      how.signal?.addEventListener("abort", over, { once: true });
    });
  }

  #take(flow: Flow, kept: Kept, awaited: boolean): void {
    const number = flow.outbox.add(kept, { bytes: kept.payload.length + 64, deadlineMs: kept.deadlineMs, awaited });
    if (awaited) this.#awaited(flow).set(number, kept);
    this.#pump(flow);
    this.#watchDeadlines(kept.deadlineMs);
  }

  // ---- what the link tells -----------------------------------------------------------------------------------

  up(): void {
    this.#words = [];
    for (const flow of this.#flows.values()) {
      flow.waits = false;
      flow.receiver.connectionBegan();
      if (flow.receiver.next > 1) this.#sayReceived(flow);
      for (const [number, outcome] of flow.receiver.outcomes()) this.#sayOutcome(flow, number, outcome);
      flow.outbox.connectionBegan();
      this.#giveUp(flow);
      this.#pump(flow);
    }
  }

  frame(frame: Frame): void {
    let word;
    try {
      word = decodeWord(frame.bytes);
      if (word.kind === "message" || word.kind === "gap") return this.#arrived(frame, word);
      const flow = this.#flows.get(keyOf(word.topic, word.ordered));
      if (flow === undefined) return this.#ports.broken(`an answer about ${word.topic}, on which nothing was sent`);
      if (word.kind === "missing") flow.outbox.goBackTo(word.next);
      else flow.outbox.received(word.next);
      if (word.kind === "outcome" && flow.outbox.settle(word.number)) this.#settle(flow, word.number, word.outcome);
      this.#pump(flow);
      this.#roomFor(flow);
    } catch (error) {
      if (!isTribuneError(error, "PROTOCOL_VIOLATION")) throw error;
      this.#ports.broken(error.message);
    }
  }

  /** The peer is no member any more: all that waits for it is over. */
  leave(): void {
    this.#isGone = true;
    this.#deadline?.timer.cancel();
    for (const flow of this.#flows.values()) {
      flow.saying?.cancel();
      for (const kept of this.#awaited(flow).values()) kept.settle({ status: "left" });
      this.#awaited(flow).clear();
      for (const pending of flow.pending.splice(0)) {
        pending.kept.settle({ status: "left" });
        pending.finish();
      }
    }
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  readonly #awaitedBy = new WeakMap<Flow, Map<number, Kept>>();

  #awaited(flow: Flow): Map<number, Kept> {
    let awaited = this.#awaitedBy.get(flow);
    if (awaited === undefined) this.#awaitedBy.set(flow, (awaited = new Map()));
    return awaited;
  }

  #settle(flow: Flow, number: number, result: DeliveryResult): void {
    const awaited = this.#awaited(flow);
    const kept = awaited.get(number);
    awaited.delete(number);
    kept?.settle(result);
  }

  #pump(flow: Flow): void {
    if (this.#isGone || flow.waits) return;
    const link = this.#ports.link();
    if (link === undefined) return;
    for (let due = flow.outbox.due(); due !== undefined; due = flow.outbox.due()) {
      const about = { topic: flow.topic, ordered: flow.ordered, number: due.number, settledBelow: flow.outbox.settledBelow };
      let outcome;
      try {
        outcome = link.send(flow.stream, due.kind === "gap" ? encodeWord({ kind: "gap", ...about }) : this.#parts(due.message, { ...about, awaited: this.#awaited(flow).has(due.number) }));
      } catch (error) {
        if (!isTribuneError(error, "FRAME_TOO_LARGE")) throw error;
        const { number } = due;
        const result = { status: "failed", code: error.code, message: error.message } as const;
        const kept = flow.outbox.refuseDue();
        this.#awaited(flow).delete(number);
        kept?.settle(result);
        continue;
      }
      if (outcome === "queued") flow.outbox.sent();
      else {
        if (outcome === "full") this.#pumpWhenWritable(flow, link);
        return;
      }
    }
  }

  #parts(kept: Kept, about: { readonly topic: string; readonly ordered: boolean; readonly number: number; readonly settledBelow: number; readonly awaited: boolean }): Uint8Array[] {
    const leftMs = Number.isFinite(kept.deadlineMs) ? Math.max(1, Math.ceil(kept.deadlineMs - this.#ports.clock.monotonicMs())) : 0;
    return [encodeMessageHead({ ...about, view: kept.view, token: kept.token, deadlineMs: leftMs }), kept.payload];
  }

  #pumpWhenWritable(flow: Flow, link: Link): void {
    flow.waits = true;
    const again = () => {
      flow.waits = false;
      this.#pump(flow);
    };
    link.writable(flow.stream, { deadlineMs: 60_000 }).then(again, again);
  }

  #giveUp(flow: Flow): void {
    for (const { number, message, reason } of flow.outbox.giveUp(this.#ports.clock.monotonicMs())) {
      this.#awaited(flow).delete(number);
      message.settle(reason === "deadline" ? { status: "timeout" } : { status: "failed", code: "PEER_UNREACHABLE", message: "it was sent again as often as it may be, and each connection ended" });
    }
    // What was received and has no outcome in time is not kept any more, and is awaited all the same.
    const nowMs = this.#ports.clock.monotonicMs();
    for (const [number, kept] of this.#awaited(flow)) if (nowMs >= kept.deadlineMs && flow.outbox.settle(number)) this.#settle(flow, number, { status: "timeout" });
    this.#roomFor(flow);
  }

  /** One timer for the earliest deadline of all. `atMs`: one that has come to them. */
  #watchDeadlines(atMs: number): void {
    if (!Number.isFinite(atMs) || this.#isGone || (this.#deadline !== undefined && this.#deadline.atMs <= atMs)) return;
    this.#deadline?.timer.cancel();
    const timer = this.#ports.clock.setTimer(atMs - this.#ports.clock.monotonicMs(), () => {
      this.#deadline = undefined;
      for (const flow of this.#flows.values()) {
        this.#giveUp(flow);
        this.#pump(flow);
      }
      this.#watchDeadlines(this.#earliestDeadlineMs());
    });
    this.#deadline = { timer, atMs };
  }

  #earliestDeadlineMs(): number {
    let atMs = Infinity;
    for (const flow of this.#flows.values()) {
      atMs = Math.min(atMs, flow.outbox.earliestDeadlineMs);
      for (const kept of this.#awaited(flow).values()) atMs = Math.min(atMs, kept.deadlineMs);
    }
    return atMs;
  }

  #roomFor(flow: Flow): void {
    while (flow.pending.length > 0 && flow.outbox.hasRoom) {
      const pending = flow.pending.shift();
      if (pending === undefined) return;
      this.#take(flow, pending.kept, pending.awaited);
      pending.finish();
    }
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  #arrived(frame: Frame, word: MessageWord | GapWord): void {
    if (this.#flows.size >= MOST_FLOWS && !this.#flows.has(keyOf(word.topic, word.ordered))) return this.#ports.broken(`messages on more than ${MOST_FLOWS} topics`);
    const flow = this.#flow(word.topic, word.ordered);
    flow.receiver.settled(word.settledBelow);
    const arrival = flow.receiver.arrive(word.number);
    if (arrival === "take") {
      flow.arrived.push({ word, frame });
      if (flow.ordered) void this.#handleInOrder(flow);
      else for (const each of flow.arrived.splice(0)) void this.#handle(flow, each);
      this.#receivedSoon(flow);
      return;
    }
    frame.link.consumed(frame);
    if (arrival === "missing-before") this.#say(encodeWord({ kind: "missing", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next }));
    if (arrival !== "duplicate") return;
    const outcome = flow.receiver.outcomeOf(word.number);
    if (outcome !== undefined) this.#sayOutcome(flow, word.number, outcome);
    else this.#receivedSoon(flow);
  }

  async #handleInOrder(flow: Flow): Promise<void> {
    if (flow.handling) return;
    flow.handling = true;
    for (let next = flow.arrived.shift(); next !== undefined; next = flow.arrived.shift()) await this.#handle(flow, next);
    flow.handling = false;
  }

  async #handle(flow: Flow, { word, frame }: { readonly word: MessageWord | GapWord; readonly frame: Frame }): Promise<void> {
    if (this.#isGone) return;
    if (word.kind === "gap") this.#ports.gap(word);
    else {
      const outcome = await this.#ports.handle(word);
      if (word.awaited) {
        flow.receiver.finished(word.number, outcome);
        this.#sayOutcome(flow, word.number, outcome);
      }
    }
    frame.link.consumed(frame);
  }

  #receivedSoon(flow: Flow): void {
    if (++flow.unsaid >= RECEIVED_EVERY) return this.#sayReceived(flow);
    flow.saying ??= this.#ports.clock.setTimer(RECEIVED_WITHIN_MS, () => this.#sayReceived(flow));
  }

  #sayReceived(flow: Flow): void {
    this.#said(flow);
    this.#say(encodeWord({ kind: "received", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next }));
  }

  #sayOutcome(flow: Flow, number: number, outcome: Outcome): void {
    this.#said(flow);
    this.#say(encodeWord({ kind: "outcome", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next, number, outcome }));
  }

  #said(flow: Flow): void {
    flow.saying?.cancel();
    flow.saying = undefined;
    flow.unsaid = 0;
  }

  #say(word: Uint8Array): void {
    if (this.#isGone) return;
    const link = this.#ports.link();
    if (link === undefined || (!this.#wordsWait && link.send(CONTROL_STREAM, word) !== "full")) return; // what is `down` is said anew on the next connection
    this.#words.push(word);
    if (this.#wordsWait) return;
    this.#wordsWait = true;
    const again = () => {
      this.#wordsWait = false;
      for (const each of this.#words.splice(0)) this.#say(each);
    };
    link.writable(CONTROL_STREAM, { deadlineMs: 60_000 }).then(again, again);
  }

  #flow(topic: string, ordered: boolean): Flow {
    let flow = this.#flows.get(keyOf(topic, ordered));
    if (flow === undefined) {
      flow = { topic, ordered, stream: streamOf(topic), outbox: new Outbox(this.#ports.limits), receiver: new FlowReceiver({ ordered }), waits: false, arrived: [], handling: false, unsaid: 0, saying: undefined, pending: [] };
      this.#flows.set(keyOf(topic, ordered), flow);
    }
    return flow;
  }
}

/** A topic with order and one without are two flows, whatever the other side calls it. */
function keyOf(topic: string, ordered: boolean): string {
  return ordered ? topic : `${topic} unordered`;
}

/** The streams of messages are those from 1 to 239. */
const MESSAGE_STREAMS = 239;

/** A topic's stream, the same on both sides (FNV-1a). */
export function streamOf(topic: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < topic.length; at++) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
  return 1 + ((hash >>> 0) % MESSAGE_STREAMS);
}
