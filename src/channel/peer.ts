import { isTribuneError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import { CONTROL_STREAM, FIRST_BULK_STREAM, LAST_STREAM } from "../transport/index.ts";
import type { Frame, Link } from "../transport/index.ts";
import { Fifo } from "./fifo.ts";
import { FlowReceiver } from "./flow-receiver.ts";
import type { Kept } from "./kept.ts";
import { decodeWord, DELIVERED, encodeWord, messageHeadBytes, ORDER_PREFIX, OUTCOMES_PREFIX, RPC_PREFIX, STATE_PREFIX, writeMessageHead } from "./messages.ts";
import type { GapWord, MessageWord, Outcome, Word } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxLimits } from "./outbox.ts";
import { rpcLeadBytes, writeRpcLead } from "./rpc-words.ts";

/** What a peer's flows need of the channel. */
export interface PeerPorts {
  readonly clock: Clock;
  readonly limits: OutboxLimits;
  /** `undefined` while the channel has no endpoint. */
  link(): Link | undefined;
  /** Runs the handlers of a topic: the outcome, or a promise of it that never rejects. */
  handle(flow: Flow, word: MessageWord): Outcome | Promise<Outcome>;
  /** A sender has given up a message: this is its place in the order. */
  gap(word: GapWord): void;
  /** The peer broke the protocol. */
  broken(detail: string): void;
}

/** How many messages may go without a word that they were received; and how many bytes, a quarter of what may be kept: the sender has room again long before it must wait. */
const RECEIVED_EVERY = 512;
const RECEIVED_SHARE = 1 / 4;

/** How long a received message may go without such a word, in milliseconds. */
const RECEIVED_WITHIN_MS = 20;

/** On how many topics one peer may send. */
const MOST_FLOWS = 4_096;

/** What this member sends to a peer on one topic, and what the peer sends. */
export interface Flow {
  /** As it is called on the wire. */
  readonly topic: string;
  /** What its messages are, and of which topic. */
  readonly carries: "messages" | "requests" | "order";
  readonly name: string;
  readonly ordered: boolean;
  readonly stream: number;
  /** What went before the last message; written over for the next one. */
  head: Uint8Array;
  readonly outbox: Outbox<Kept>;
  readonly receiver: FlowReceiver<Outcome>;
  /** Waits for the stream to take more. */
  waits: boolean;
  /** Messages that wait for the handlers of those before them. */
  readonly arrived: Fifo<Arrived>;
  handling: boolean;
  unsaid: number;
  unsaidBytes: number;
  saying: Timer | undefined;
  /** Messages that were handled, and of which the sender is told in one word when the current piece of work is done; 0: none. */
  firstHandled: number;
  lastHandled: number;
  /** Messages of callers that wait for room, in the order of their calls. */
  readonly pending: Fifo<Pending>;
}

interface Arrived {
  readonly word: MessageWord | GapWord;
  readonly frame: Frame;
}

interface Pending {
  readonly kept: Kept;
  /** Its deadline came, or its caller gave it up. */
  isOver: boolean;
  finish(): void;
}

/** All flows with one peer, in both directions, over whatever connection there is. */
export class PeerFlows {
  readonly #incarnation: string;
  readonly #ports: PeerPorts;
  readonly #flows = new Map<string, Flow>();
  readonly #unordered = new Map<string, Flow>();
  /** Those of requests and answers, by the names of their topics. */
  readonly #requests = new Map<string, Flow>();
  #link: Link | undefined;
  /** Words on stream 0 that wait for room. They are said anew on the next connection, so they go with this one. */
  #words: Uint8Array[] = [];
  #wordsWait = false;
  /** Flows with something handled that the peer is to be told. */
  #handled: Flow[] = [];
  #deadline: { readonly timer: Timer; readonly atMs: number } | undefined;
  #isGone = false;

  constructor(incarnation: string, ports: PeerPorts) {
    this.#incarnation = incarnation;
    this.#ports = ports;
  }

  /**
   * Keeps a message and sends it when it can. Returns nothing if it was taken at once; `"full"` if there is no room and it is not to wait; otherwise what resolves when it was taken, or is over: its deadline came, the peer left, the signal aborted. Messages are taken in the order of
   * the calls.
   */
  send(flow: Flow, kept: Kept, nowMs: number, waits: boolean, signal: AbortSignal | undefined): Promise<void> | "full" | undefined {
    if (flow.pending.length === 0 && flow.outbox.hasRoom) {
      this.#take(flow, kept, nowMs);
      return undefined;
    }
    if (!waits) return "full";
    this.#watchDeadlines(kept.deadlineMs);
    return new Promise((resolve) => {
      const finish = () => {
        signal?.removeEventListener("abort", over);
        resolve();
      };
      const pending: Pending = { kept, isOver: false, finish };
      const over = () => {
        pending.isOver = true;
        finish();
      };
      flow.pending.push(pending);
      signal?.addEventListener("abort", over, { once: true });
    });
  }

  /** What is sent on a topic, and what comes. A topic with order and one without are two flows, whatever the other side calls it. */
  flow(topic: string, ordered: boolean): Flow {
    const flows = ordered ? this.#flows : this.#unordered;
    let flow = flows.get(topic);
    if (flow === undefined) {
      const carries = topic.startsWith(RPC_PREFIX) ? "requests" : topic.startsWith(ORDER_PREFIX) ? "order" : "messages";
      flow = {
        topic,
        carries,
        name: carries === "messages" ? topic : topic.slice(topic.startsWith(OUTCOMES_PREFIX) ? OUTCOMES_PREFIX.length : 1),
        ordered,
        stream: streamOf(topic),
        head: new Uint8Array(0),
        outbox: new Outbox(this.#ports.limits),
        receiver: new FlowReceiver({ ordered }),
        waits: false,
        arrived: new Fifo(),
        handling: false,
        unsaid: 0,
        unsaidBytes: 0,
        saying: undefined,
        firstHandled: 0,
        lastHandled: 0,
        pending: new Fifo(),
      };
      flows.set(topic, flow);
    }
    return flow;
  }

  /** Requests on a topic, and answers. */
  requestFlow(topic: string): Flow {
    let flow = this.#requests.get(topic);
    if (flow === undefined) this.#requests.set(topic, (flow = this.flow(RPC_PREFIX + topic, true)));
    return flow;
  }

  #take(flow: Flow, kept: Kept, nowMs: number): void {
    flow.outbox.add(kept, kept.payload.length + 64, kept.deadlineMs, kept.awaited);
    this.#pump(flow, nowMs);
    this.#watchDeadlines(kept.deadlineMs);
  }

  // ---- what the link tells -----------------------------------------------------------------------------------

  up(link: Link): void {
    if (this.#isGone) return;
    this.#link = link;
    this.#words = [];
    for (const flow of this.#all()) {
      flow.waits = false;
      flow.receiver.connectionBegan();
      if (flow.receiver.next > 1) this.#sayReceived(flow);
      flow.firstHandled = 0;
      for (const [number, outcome] of flow.receiver.outcomes()) this.#sayOutcome(flow, number, outcome);
      flow.outbox.connectionBegan();
      this.#giveUp(flow);
      this.#pump(flow, this.#ports.clock.monotonicMs());
    }
  }

  frame(frame: Frame): void {
    if (this.#isGone) return;
    try {
      const word = decodeWord(frame.bytes);
      if (word.kind === "message" || word.kind === "gap") this.#arrived(frame, word);
      else this.#answered(word);
    } catch (error) {
      if (!isTribuneError(error, "PROTOCOL_VIOLATION")) throw error;
      this.#ports.broken(error.message);
    }
  }

  #answered(word: Exclude<Word, MessageWord | GapWord>): void {
    const flow = (word.ordered ? this.#flows : this.#unordered).get(word.topic);
    if (flow === undefined) return this.#ports.broken(`an answer about ${word.topic}, on which nothing was sent`);
    const { outbox } = flow;
    if (word.kind === "missing") outbox.goBackTo(word.next);
    else outbox.received(word.next);
    if (word.kind === "outcome") outbox.settle(word.number)?.settle(this.#incarnation, word.outcome);
    if (word.kind === "handled") for (const kept of outbox.settleRange(word.first, word.last)) kept.settle(this.#incarnation, DELIVERED);
    this.#pump(flow);
    this.#roomFor(flow);
  }

  /** The peer is no member any more: all that waits for it is over. */
  leave(): void {
    this.#isGone = true;
    this.#deadline?.timer.cancel();
    for (const flow of this.#all()) {
      flow.saying?.cancel();
      for (const kept of flow.outbox.abandon()) kept.settle(this.#incarnation, { status: "left" });
      for (let pending = flow.pending.shift(); pending !== undefined; pending = flow.pending.shift()) {
        if (pending.isOver) continue;
        pending.kept.settle(this.#incarnation, { status: "left" });
        pending.finish();
      }
    }
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  #pump(flow: Flow, atMs?: number): void {
    const { outbox } = flow;
    if (this.#isGone || flow.waits || outbox.due === 0) return;
    const link = this.#link?.state === "up" ? this.#link : this.#ports.link();
    if (link === undefined) return;
    const nowMs = atMs ?? this.#ports.clock.monotonicMs();
    for (let { due } = outbox; due > 0; { due } = outbox) {
      const kept = outbox.message(due);
      let outcome;
      try {
        outcome = kept === undefined ? link.send(flow.stream, encodeWord({ kind: "gap", topic: flow.topic, ordered: flow.ordered, number: due, settledBelow: outbox.settledBelow })) : link.send(flow.stream, kept.payload, headOf(flow, due, kept, nowMs));
      } catch (error) {
        if (!isTribuneError(error, "FRAME_TOO_LARGE")) throw error;
        // What is a gap already cannot be made smaller, and would be due again for ever.
        if (kept === undefined) return this.#ports.broken(`a peer that takes no frame of the size of a gap on ${flow.topic}`);
        outbox.refuseDue()?.settle(this.#incarnation, { status: "failed", code: error.code, message: error.message });
        continue;
      }
      if (outcome === "queued") outbox.sent();
      else {
        if (outcome === "full") this.#pumpWhenWritable(flow, link);
        return;
      }
    }
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
    const nowMs = this.#ports.clock.monotonicMs();
    for (const { message, reason } of flow.outbox.giveUp(nowMs)) {
      message.settle(this.#incarnation, reason === "deadline" ? { status: "timeout" } : { status: "failed", code: "PEER_UNREACHABLE", message: "it was sent again as often as it may be, and each connection ended" });
    }
    for (const kept of flow.outbox.overdue(nowMs)) kept.settle(this.#incarnation, { status: "timeout" });
    for (const pending of flow.pending) {
      if (pending.isOver || nowMs < pending.kept.deadlineMs) continue;
      pending.isOver = true;
      pending.kept.settle(this.#incarnation, { status: "timeout" });
      pending.finish();
    }
    this.#roomFor(flow);
  }

  /** One timer for the earliest deadline of all. `atMs`: one that has come to them. */
  #watchDeadlines(atMs: number): void {
    if ((this.#deadline !== undefined && this.#deadline.atMs <= atMs) || !Number.isFinite(atMs) || this.#isGone) return;
    this.#deadline?.timer.cancel();
    const timer = this.#ports.clock.setTimer(atMs - this.#ports.clock.monotonicMs(), () => {
      this.#deadline = undefined;
      for (const flow of this.#all()) {
        this.#giveUp(flow);
        this.#pump(flow);
      }
      this.#watchDeadlines(this.#earliestDeadlineMs());
    });
    this.#deadline = { timer, atMs };
  }

  #earliestDeadlineMs(): number {
    let atMs = Infinity;
    for (const flow of this.#all()) {
      atMs = Math.min(atMs, flow.outbox.earliestDeadlineMs);
      for (const { isOver, kept } of flow.pending) if (!isOver) atMs = Math.min(atMs, kept.deadlineMs);
    }
    return atMs;
  }

  #roomFor(flow: Flow): void {
    for (let pending = flow.pending.first(); pending !== undefined; pending = flow.pending.first()) {
      if (!pending.isOver && !flow.outbox.hasRoom) return;
      flow.pending.shift();
      if (pending.isOver) continue;
      this.#take(flow, pending.kept, this.#ports.clock.monotonicMs());
      pending.finish();
    }
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  #arrived(frame: Frame, word: MessageWord | GapWord): void {
    if (this.#flows.size + this.#unordered.size >= MOST_FLOWS && !(word.ordered ? this.#flows : this.#unordered).has(word.topic)) return this.#ports.broken(`messages on more than ${MOST_FLOWS} topics`);
    const flow = this.flow(word.topic, word.ordered);
    flow.receiver.settled(word.settledBelow);
    const arrival = flow.receiver.arrive(word.number);
    if (arrival === "take") {
      if (!flow.ordered) void this.#handle(flow, word, frame);
      else if (flow.handling) flow.arrived.push({ word, frame });
      else this.#handleInOrder(flow, word, frame);
      this.#receivedSoon(flow, frame.bytes.length);
      return;
    }
    frame.link.consumed(frame);
    if (arrival === "missing-before") this.#say(encodeWord({ kind: "missing", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next }));
    if (arrival !== "duplicate") return;
    const outcome = flow.receiver.outcomeOf(word.number);
    if (outcome !== undefined) this.#sayOutcome(flow, word.number, outcome);
    else this.#receivedSoon(flow, frame.bytes.length);
  }

  /** One after the other; without a promise as long as handlers finish at once. */
  #handleInOrder(flow: Flow, word: MessageWord | GapWord, frame: Frame): void {
    flow.handling = true;
    let handling = this.#handle(flow, word, frame);
    while (handling === undefined) {
      const next = flow.arrived.shift();
      if (next === undefined) {
        flow.handling = false;
        return;
      }
      handling = this.#handle(flow, next.word, next.frame);
    }
    void handling.then(() => {
      const next = flow.arrived.shift();
      if (next === undefined) flow.handling = false;
      else this.#handleInOrder(flow, next.word, next.frame);
    });
  }

  #handle(flow: Flow, word: MessageWord | GapWord, frame: Frame): Promise<void> | undefined {
    if (this.#isGone) return undefined;
    if (word.kind === "gap") this.#ports.gap(word);
    else {
      const outcome = this.#ports.handle(flow, word);
      if (outcome instanceof Promise) return outcome.then((late) => this.#finished(flow, word, frame, late));
      if (word.awaited) this.#outcome(flow, word.number, outcome);
    }
    frame.link.consumed(frame);
    return undefined;
  }

  #finished(flow: Flow, word: MessageWord, frame: Frame, outcome: Outcome): void {
    if (word.awaited) this.#outcome(flow, word.number, outcome);
    frame.link.consumed(frame);
  }

  /** Outcomes of messages that were handled are told together, when the current piece of work is done. */
  #outcome(flow: Flow, number: number, outcome: Outcome): void {
    flow.receiver.finished(number, outcome);
    if (outcome.status === "failed") {
      this.#sayHandled(flow);
      return this.#sayOutcome(flow, number, outcome);
    }
    // With order, nothing between the two is awaited and unhandled: what failed was told of in between.
    if (flow.firstHandled !== 0 && !flow.ordered && number !== flow.lastHandled + 1) this.#sayHandled(flow);
    flow.lastHandled = number;
    if (flow.firstHandled !== 0) return;
    flow.firstHandled = number;
    if (this.#handled.push(flow) === 1) {
      queueMicrotask(() => {
        const flows = this.#handled;
        this.#handled = [];
        for (const each of flows) this.#sayHandled(each);
      });
    }
  }

  #sayHandled(flow: Flow): void {
    const first = flow.firstHandled;
    if (first === 0) return;
    flow.firstHandled = 0;
    flow.unsaid = flow.unsaidBytes = 0;
    this.#say(encodeWord({ kind: "handled", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next, first, last: flow.lastHandled }));
  }

  /** `bytes` of a message came. */
  #receivedSoon(flow: Flow, bytes: number): void {
    flow.unsaidBytes += bytes;
    if (++flow.unsaid >= RECEIVED_EVERY || flow.unsaidBytes >= this.#ports.limits.keptBytes * RECEIVED_SHARE) return this.#sayReceived(flow);
    flow.saying ??= this.#ports.clock.setTimer(RECEIVED_WITHIN_MS, () => {
      flow.saying = undefined;
      if (flow.unsaid > 0) this.#sayReceived(flow);
    });
  }

  #sayReceived(flow: Flow): void {
    flow.unsaid = flow.unsaidBytes = 0;
    this.#say(encodeWord({ kind: "received", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next }));
  }

  #sayOutcome(flow: Flow, number: number, outcome: Outcome): void {
    flow.unsaid = flow.unsaidBytes = 0;
    this.#say(encodeWord({ kind: "outcome", topic: flow.topic, ordered: flow.ordered, next: flow.receiver.next, number, outcome }));
  }

  #say(word: Uint8Array): void {
    if (this.#isGone) return;
    const link = this.#link?.state === "up" ? this.#link : this.#ports.link();
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

  *#all(): Iterable<Flow> {
    yield* this.#flows.values();
    yield* this.#unordered.values();
  }
}

/** What goes before the payload. The transport copies it, so messages of one flow share the bytes. */
function headOf(flow: Flow, number: number, kept: Kept, nowMs: number): Uint8Array {
  const { topic, outbox } = flow;
  const length = messageHeadBytes(topic, kept) + (kept.lead === undefined ? 0 : rpcLeadBytes(kept.lead));
  if (flow.head.length !== length) flow.head = new Uint8Array(length);
  const deadlineMs = kept.deadlineMs === Infinity ? 0 : Math.max(1, Math.ceil(kept.deadlineMs - nowMs));
  const at = writeMessageHead(flow.head, flow, number, outbox.settledBelow, kept.awaited && outbox.awaits(number), kept, deadlineMs);
  if (kept.lead !== undefined) writeRpcLead(flow.head, at, kept.lead);
  return flow.head;
}

/** The streams of messages are those before the bulk streams, which are for states. */
const MESSAGE_STREAMS = FIRST_BULK_STREAM - 1;
const BULK_STREAMS = LAST_STREAM - FIRST_BULK_STREAM + 1;

/** A topic's stream, the same on both sides (FNV-1a). */
export function streamOf(topic: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < topic.length; at++) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
  return topic.startsWith(RPC_PREFIX + STATE_PREFIX) ? FIRST_BULK_STREAM + ((hash >>> 0) % BULK_STREAMS) : 1 + ((hash >>> 0) % MESSAGE_STREAMS);
}
