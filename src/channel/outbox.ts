import { TribuneError } from "../kernel/index.ts";
import { KeptRing } from "./kept-ring.ts";
import { NumberMap } from "./number-map.ts";

/** What bounds an outbox. */
export interface OutboxLimits {
  /** Messages, and places of messages that were given up, that are kept until they were received, in bytes. One is always taken when nothing is kept. */
  readonly keptBytes: number;
  /** Messages whose outcome is awaited. */
  readonly awaited: number;
  /** How often a message may be sent again after its connection ended. */
  readonly maxRetries: number;
}

/** Why a message was given up before it was known to be received. */
export type GiveUpReason = "deadline" | "retries";

/** A message that was given up. */
export interface GivenUp<Message> {
  readonly number: number;
  readonly message: Message;
  readonly reason: GiveUpReason;
}

interface Awaited<Message> {
  readonly message: Message;
  readonly deadlineMs: number;
}

/**
 * The sender's side of one flow: numbers what is sent, keeps it until it was received, says what goes (again) and in which order, and what was given up. Knows no clock and no connection: it is told.
 *
 *     add ─▶ due ──sent──▶ under way ──received──▶ (awaited) ──outcome──▶ settled
 *              ▲               │ the connection ended
 *              └───────────────┤
 *                              └─ deadline, retries ──▶ given up: a gap, at its place, until that was received
 */
export class Outbox<Message> {
  readonly #limits: OutboxLimits;
  /** What is not known to be received, and the places of what was given up. */
  readonly #kept = new KeptRing<Message>();
  #keptBytes = 0;
  /** Those below are sent on the present connection. */
  #nextToSend = 1;
  /** Those below were sent at some time. */
  #everSentBelow = 1;
  /** Messages whose outcome is awaited. */
  readonly #awaited = new NumberMap<Awaited<Message>>();
  #settledBelow = 1;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** Whether another message would be taken. */
  get hasRoom(): boolean {
    return this.#awaited.size < this.#limits.awaited && (this.#keptBytes === 0 || this.#keptBytes < this.#limits.keptBytes);
  }

  /** Bytes of messages that are kept, and of the places of those that were given up. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** The number that the last message got; 0 if there was none. */
  get lastNumber(): number {
    return this.#kept.end - 1;
  }

  /** All below are known to be received, or to be gaps that were. */
  get receivedBelow(): number {
    return this.#kept.first;
  }

  /** All below have their outcome, or nobody awaits it: the receiver may forget theirs. */
  get settledBelow(): number {
    if (this.#awaited.size === 0) this.#settledBelow = this.#kept.end;
    else while (!this.#awaited.has(this.#settledBelow)) this.#settledBelow++;
    return this.#settledBelow;
  }

  /** Takes a message; ask `hasRoom` first. `bytes`: what it counts for. `deadlineMs` is on the caller's clock. Returns its number. */
  add(message: Message, bytes: number, deadlineMs: number, awaited: boolean): number {
    const number = this.#kept.push(message, bytes, deadlineMs);
    this.#keptBytes += bytes;
    if (awaited) this.#awaited.set(number, { message, deadlineMs });
    return number;
  }

  /** The number of what is to be sent next on the present connection; 0: nothing. Say `sent` when the transport has taken it. */
  get due(): number {
    const number = this.#next;
    return number < this.#kept.end ? number : 0;
  }

  /** A message that is kept. `undefined`, of what is due: it was given up, the receiver is to be told of a gap, and to go on. */
  message(number: number): Message | undefined {
    return this.#kept.message(number);
  }

  /** The transport has taken what was due. */
  sent(): void {
    const number = this.#next;
    if (number >= this.#kept.end) return;
    this.#kept.sent(number);
    this.#nextToSend = number + 1;
    this.#everSentBelow = Math.max(this.#everSentBelow, this.#nextToSend);
  }

  get #next(): number {
    return Math.max(this.#nextToSend, this.#kept.first);
  }

  /** A connection began: what is not known to be received is due again, from the first on. */
  connectionBegan(): void {
    this.#nextToSend = this.receivedBelow;
  }

  /** The receiver has everything below `next`. Throws `PROTOCOL_VIOLATION` for what was never sent. */
  received(next: number): void {
    if (!Number.isSafeInteger(next) || next < 1 || next > this.#everSentBelow) throw violation(`that it received below ${next}, where ${this.#everSentBelow - 1} was the last that was sent`);
    while (this.#kept.first < next) this.#keptBytes -= this.#kept.shift();
  }

  /** The receiver misses what comes from `next` on: it is due again. */
  goBackTo(next: number): void {
    this.received(next);
    this.#nextToSend = Math.min(this.#nextToSend, Math.max(next, this.receivedBelow));
  }

  /** Whether the outcome of a message is awaited. */
  awaits(number: number): boolean {
    return this.#awaited.has(number);
  }

  /** The outcome of a message came. Returns the message if it was awaited: what comes twice, or too late, is not. Throws `PROTOCOL_VIOLATION` for a number that was never given. */
  settle(number: number): Message | undefined {
    if (!Number.isSafeInteger(number) || number < 1 || number >= this.#kept.end) throw violation(`an outcome of message ${number}, which does not exist`);
    return this.#awaited.delete(number)?.message;
  }

  /** One outcome came for all from `first` to `last`. Returns those of them that were awaited. Throws as `settle` does. */
  settleRange(first: number, last: number): Message[] {
    if (first === last) return [this.settle(first)].filter((message) => message !== undefined);
    if (first < 1 || first > last || last >= this.#kept.end) throw violation(`an outcome of messages ${first} to ${last}, where ${this.lastNumber} is the last`);
    return this.#awaited.take(first, last).map(([, { message }]) => message);
  }

  /** Nobody waits any longer. Returns the messages whose outcome was awaited. */
  abandon(): Message[] {
    const abandoned = this.#awaited.entries().map(([, { message }]) => message);
    this.#awaited.clear();
    return abandoned;
  }

  /** Messages that were received, or are under way, and whose outcome did not come in time: it is awaited no more. Ask `giveUp` first. */
  overdue(nowMs: number): Message[] {
    const overdue: Message[] = [];
    for (const [number, { message, deadlineMs }] of this.#awaited.entries()) {
      if (nowMs < deadlineMs) continue;
      this.#awaited.delete(number);
      overdue.push(message);
    }
    return overdue;
  }

  /**
   * Gives up what is past its deadline, or was sent too often, and is not known to be received; its place becomes a gap. An awaited outcome is awaited no more. To be called when a connection began, and when the earliest deadline has come.
   */
  giveUp(nowMs: number): Array<GivenUp<Message>> {
    const givenUp: Array<GivenUp<Message>> = [];
    for (let number = this.#kept.first; number < this.#kept.end; number++) {
      const message = this.#kept.message(number);
      if (message === undefined) continue;
      const underWay = number < this.#nextToSend;
      const reason = nowMs >= this.#kept.deadlineMs(number) ? "deadline" : !underWay && this.#kept.sends(number) > this.#limits.maxRetries ? "retries" : undefined;
      if (reason === undefined) continue;
      givenUp.push({ number, message, reason });
      // What is under way on this connection arrives, or the connection ends: then the gap goes in its place on the next one.
      this.#makeGap(number);
    }
    return givenUp;
  }

  /** The transport will never take what is due: its place becomes a gap. Returns the message. */
  refuseDue(): Message | undefined {
    const number = this.due;
    const message = this.#kept.message(number);
    if (message !== undefined) this.#makeGap(number);
    return message;
  }

  #makeGap(number: number): void {
    // Its place is kept, so it counts: otherwise who gives up soon could fill the memory with the gaps of a peer that is away for long.
    this.#keptBytes -= this.#kept.giveUp(number, GAP_BYTES);
    this.#awaited.delete(number);
  }

  /** When `giveUp` or `overdue` has something to do at the latest, on the caller's clock; `Infinity`: never. */
  get earliestDeadlineMs(): number {
    let earliest = Infinity;
    for (let number = this.#kept.first; number < this.#kept.end; number++) {
      if (this.#kept.message(number) !== undefined && this.#kept.deadlineMs(number) < earliest) earliest = this.#kept.deadlineMs(number);
    }
    for (const [, { deadlineMs }] of this.#awaited.entries()) if (deadlineMs < earliest) earliest = deadlineMs;
    return earliest;
  }
}

/** What a gap counts for until it was received. */
const GAP_BYTES = 64;

function violation(found: string): TribuneError {
  return new TribuneError("PROTOCOL_VIOLATION", `the peer said ${found}`, { about: "flow", next: "run the same version of Tribune on all members" });
}
