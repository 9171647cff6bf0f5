import { TribuneError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import type { PeerIdentity } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import { Fifo } from "./fifo.ts";
import type { ReceivedParts } from "./message.ts";
import type { Outcome } from "./messages.ts";
import { OrderLog, START } from "./order-log.ts";
import type { Entry, Position } from "./order-log.ts";
import { OrderSender } from "./order-sender.ts";
import type { Underway } from "./order-sender.ts";
import { encodeOrder } from "./order-words.ts";
import type { About, OrderWord } from "./order-words.ts";
import { Owed } from "./owed.ts";
import type { Kept } from "./kept.ts";
import { Succession } from "./succession.ts";
import type { Standing, Step } from "./succession.ts";
import type { ChannelView } from "./targets.ts";

/** What one order of all needs of the channel. */
export interface OrderPorts {
  readonly clock: Clock;
  readonly self: PeerIdentity;
  readonly limits: { readonly deadlineMs: number; readonly keptBytes: number; readonly awaited: number; readonly whenFull: "wait" | "reject" };
  /** Keeps a word for a member on the flow of the topic, in the order of the calls. Returns what to wait for until there is room for it. `failed`: it was given up. */
  say(to: PeerIdentity, word: Uint8Array, deadlineMs: number, failed: (result: DeliveryResult) => void): Promise<unknown> | undefined;
  /** The same on a flow for outcomes alone: on the other one they would wait until what was sent before them has its place, or was handled. */
  tell(to: PeerIdentity, word: Uint8Array, deadlineMs: number, failed: (result: DeliveryResult) => void): Promise<unknown> | undefined;
  /** Runs the handlers. Never rejects. */
  handle(parts: ReceivedParts): Outcome | Promise<Outcome>;
  /** Something before this place in the order will not be handled here; number 0: perhaps. */
  gap(from: PeerIdentity, number: number): void;
}

/** What is kept of a message: also until when its sender waits, on this member's clock, for whoever has to be given it again. */
interface Ordered extends About {
  readonly dueMs: number;
}

/** This member's office as the sequencer. */
interface Reign {
  readonly epoch: number;
  /** `undefined`: it has begun. */
  succession: Succession | undefined;
  timer: Timer | undefined;
  last: Position;
  /** Nothing of the order has come to this member: what it fetches may be for others. */
  isNew: boolean;
  /** What this member had before it fetched anything, by sender; and what it fetched. */
  readonly had: Numbers;
  readonly fetched: Array<Entry<Ordered>>;
}

/** By incarnation of the sender, the greatest number of its messages. */
type Numbers = Standing["ordered"];

/** An outcome for a sender that may be in no view of this member yet. */
interface OwedOutcome {
  readonly to: PeerIdentity;
  readonly word: OrderWord;
  readonly dueMs: number;
  /** The view in which it sent: who is not in that one either has left. */
  readonly view: number;
}

interface Waiting {
  readonly kept: Kept;
  /** Those who are still there. */
  targets: readonly string[];
  isOver: boolean;
  finish(): void;
}

/** One topic that all members handle in one order: what this member sends and handles on it, and, while it is the coordinator, the order itself. `README.md` says how. */
export class OrderedTopic {
  readonly #topic: string;
  readonly #ports: OrderPorts;
  readonly #log: OrderLog<Ordered>;
  readonly #sender: OrderSender<Kept>;
  readonly #waiting = new Fifo<Waiting>();
  readonly #owed = new Owed<OwedOutcome>();
  #view: ChannelView = { version: 0, members: [], coordinator: null };
  /** The first view that this member was in. */
  #since = 0;
  #reign: Reign | undefined;
  /** The epoch whose sequencer has said that it began. */
  #open = 0;
  #isSubmitting = false;
  #isStopped = false;
  readonly #spreading = { messages: 0, bytes: 0 };
  #handling: Promise<unknown> = Promise.resolve();
  #deadline: { readonly timer: Timer; readonly atMs: number } | undefined;

  constructor(topic: string, ports: OrderPorts) {
    this.#topic = topic;
    this.#ports = ports;
    this.#log = new OrderLog(ports.limits.keptBytes);
    this.#sender = new OrderSender(ports.limits);
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  /** Keeps a message for the targets. Returns what to wait for until it is kept, if that is not at once. Throws `BACKPRESSURE`. */
  send(kept: Kept, targets: readonly string[], signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#watch(kept.deadlineMs);
    if (this.#waiting.length === 0 && this.#hasRoom) {
      this.#keep(kept, targets);
      return undefined;
    }
    if (this.#ports.limits.whenFull === "reject") throw new TribuneError("BACKPRESSURE", `a message on ${this.#topic} was not taken`, { about: this.#topic, next: "send more slowly, or let send wait" });
    return new Promise((resolve) => {
      const over = () => waiting.finish();
      const waiting: Waiting = {
        kept,
        targets,
        isOver: false,
        finish() {
          waiting.isOver = true;
          signal?.removeEventListener("abort", over);
          resolve();
        },
      };
      signal?.addEventListener("abort", over, { once: true });
      this.#waiting.push(waiting);
    });
  }

  get #hasRoom(): boolean {
    const { keptBytes, awaited } = this.#ports.limits;
    return this.#sender.hasRoom && this.#spreading.messages < awaited && this.#spreading.bytes < keptBytes;
  }

  #keep(kept: Kept, targets: readonly string[]): void {
    this.#sender.add(kept, { bytes: kept.payload.length + 64, deadlineMs: kept.deadlineMs, awaited: kept.awaited, targets });
    this.#submit();
  }

  #keepWaiting(): void {
    for (let next = this.#waiting.first(); next !== undefined && (next.isOver || this.#hasRoom); next = this.#waiting.first()) {
      this.#waiting.shift();
      if (next.isOver) continue;
      this.#keep(next.kept, next.targets);
      next.finish();
    }
  }

  /** To the sequencer, once it has begun and the view names it too. What becomes due by that, because it makes room, comes after it. */
  #submit(): void {
    const { coordinator } = this.#view;
    const leader = this.#log.leader === coordinator && this.#log.promised === this.#open ? this.#member(coordinator) : undefined;
    if (leader === undefined || this.#isSubmitting) return;
    this.#isSubmitting = true;
    const nowMs = this.#ports.clock.monotonicMs();
    try {
      for (let due = this.#sender.due(); due.length > 0; due = this.#sender.due()) for (const message of due) this.#give(leader, message, nowMs);
    } finally {
      this.#isSubmitting = false;
    }
  }

  #give(leader: PeerIdentity, { n, content }: Underway<Kept>, nowMs: number): void {
    const { payload, view, token, election, enveloped, awaited } = content;
    const about: About = { payload, view, token, election, enveloped, awaited };
    const leftMs = Math.max(1, content.deadlineMs - nowMs);
    if (leader.incarnation === this.#ports.self.incarnation) this.#spread(payload.length, this.#sequence(this.#ports.self, n, about, leftMs));
    else this.#submitTo(leader, this.#open, n, about, leftMs);
  }

  #submitTo(leader: PeerIdentity, epoch: number, n: number, about: About, leftMs: number): void {
    void this.#say(leader, { kind: "submit", epoch, n, about }, leftMs, (result) => {
      // Once another sequencer has begun it has been given to that one, or nobody may have it.
      if (result.status !== "left" && this.#open === epoch) this.#giveUp(n, result);
    });
  }

  /** What this member puts into the order itself counts against its bounds until all members have room for it: it has its place at once. */
  #spread(bytes: number, room: Promise<unknown> | undefined): void {
    this.#spreading.messages++;
    this.#spreading.bytes += bytes;
    void Promise.resolve(room).then(() => {
      this.#spreading.messages--;
      this.#spreading.bytes -= bytes;
      this.#keepWaiting();
    });
  }

  #settle(n: number, target: string, outcome: Outcome): void {
    this.#sender.settle(n, target)?.content.settle(target, outcome);
    this.#keepWaiting();
  }

  #giveUp(n: number, result: DeliveryResult): void {
    const message = this.#sender.giveUp(n);
    for (const target of message?.targets ?? []) message?.content.settle(target, result);
    this.#keepWaiting();
  }

  /** One timer for the earliest deadline. */
  #watch(atMs: number): void {
    if (!Number.isFinite(atMs) || (this.#deadline !== undefined && this.#deadline.atMs <= atMs)) return;
    this.#deadline?.timer.cancel();
    const { clock } = this.#ports;
    const timer = clock.setTimer(atMs - clock.monotonicMs(), () => {
      this.#deadline = undefined;
      const nowMs = clock.monotonicMs();
      for (const { content, targets } of this.#sender.overdue(nowMs)) for (const target of targets) content.settle(target, { status: "timeout" });
      let earliestMs = Infinity;
      for (const waiting of this.#waiting) {
        if (waiting.isOver) continue;
        if (nowMs < waiting.kept.deadlineMs) earliestMs = Math.min(earliestMs, waiting.kept.deadlineMs);
        else {
          for (const target of waiting.targets) waiting.kept.settle(target, { status: "timeout" });
          waiting.finish();
        }
      }
      this.#keepWaiting();
      this.#watch(Math.min(earliestMs, this.#sender.earliestDeadlineMs));
    });
    this.#deadline = { timer, atMs };
  }

  // ---- members -----------------------------------------------------------------------------------------------

  setView(view: ChannelView): void {
    const before = this.#view;
    this.#view = view;
    const { incarnation: self } = this.#ports.self;
    if (this.#since === 0 && this.#member(self) !== undefined) this.#since = view.version;
    const joined = view.members.filter(({ incarnation }) => incarnation !== self && !before.members.some((member) => member.incarnation === incarnation));
    for (const { incarnation } of before.members) if (this.#member(incarnation) === undefined) this.#left(incarnation);
    for (const outcome of this.#owed.take()) this.#pay(outcome);
    // Where a view was missed, somebody else may have been the sequencer in between.
    if (view.coordinator !== self) this.#abdicate();
    else if (this.#reign === undefined || view.version > before.version + 1) this.#succeed(view.version);
    else {
      if (this.#reign.succession === undefined) for (const member of joined) this.#welcome(member, this.#reign, view.version);
      this.#advance();
    }
    this.#submit();
  }

  #left(incarnation: string): void {
    this.#log.left(incarnation);
    this.#reign?.succession?.left(incarnation);
    for (const { content } of this.#sender.left(incarnation)) content.settle(incarnation, { status: "left" });
    for (const waiting of this.#waiting) {
      if (waiting.isOver || !waiting.targets.includes(incarnation)) continue;
      waiting.targets = waiting.targets.filter((target) => target !== incarnation);
      if (waiting.kept.awaited) waiting.kept.settle(incarnation, { status: "left" });
    }
    this.#keepWaiting();
  }

  /** All that is awaited is over, and nothing is handled any more. */
  stop(): void {
    this.#isStopped = true;
    this.#abdicate();
    this.#deadline?.timer.cancel();
    for (const { content, targets } of this.#sender.overdue(Infinity)) for (const target of targets) content.settle(target, { status: "left" });
    for (const waiting of this.#waiting) {
      if (waiting.isOver) continue;
      for (const target of waiting.targets) waiting.kept.settle(target, { status: "left" });
      waiting.finish();
    }
  }

  #member(incarnation: string | null): PeerIdentity | undefined {
    return this.#view.members.find((member) => member.incarnation === incarnation);
  }

  #others(): PeerIdentity[] {
    return this.#view.members.filter(({ incarnation }) => incarnation !== this.#ports.self.incarnation);
  }

  // ---- as the sequencer --------------------------------------------------------------------------------------

  #succeed(epoch: number): void {
    this.#abdicate();
    const { self, clock, limits } = this.#ports;
    if (!this.#log.promise(epoch, self.incarnation)) return; // succeeded already: our view is old
    const succession = new Succession(this.#others().map(({ incarnation }) => incarnation));
    const reign: Reign = { epoch, succession, timer: undefined, last: START, isNew: this.#log.last === undefined, had: [...this.#log.ordered], fetched: [] };
    this.#reign = reign;
    for (const member of this.#others()) this.#insist(member, { kind: "recover", epoch });
    reign.timer = clock.setTimer(limits.deadlineMs, () => {
      succession.late();
      this.#advance();
    });
    this.#advance();
  }

  #abdicate(): void {
    this.#reign?.timer?.cancel();
    this.#reign = undefined;
  }

  #advance(): void {
    const reign = this.#reign;
    const step = reign?.succession?.next(this.#log.last);
    if (reign === undefined || step === undefined || step.kind === "wait") return;
    if (step.kind === "begin") return this.#begin(reign, step);
    const member = this.#member(step.from);
    if (member !== undefined) this.#insist(member, { kind: "fetch", epoch: reign.epoch, after: step.after });
  }

  #begin(reign: Reign, { after, complete, behind, ordered }: Extract<Step, { readonly kind: "begin" }>): void {
    reign.timer?.cancel();
    reign.succession = undefined;
    reign.last = after;
    this.#log.learn(ordered);
    const { self } = this.#ports;
    for (const [incarnation, { last, since, ordered: had }] of behind) {
      const member = this.#member(incarnation);
      if (member === undefined) continue;
      const given = this.#log.after(last ?? START, last === undefined ? since : 0);
      for (const entry of given) this.#sayAgain(member, "ordered", reign.epoch, entry);
      if (last !== undefined) this.#tellHole(member, had, given);
    }
    if (!reign.isNew) this.#tellHole(self, reign.had, reign.fetched.splice(0));
    for (const member of this.#others()) this.#sayBegun(member, reign, after, complete);
    this.#begun(self, { epoch: reign.epoch, after, complete, orderedUpTo: this.#orderedUpTo(self) });
  }

  /** Senders hear what of theirs a member has missed for good: between what it had, and the first that is still kept for it. Else they would wait for it until their deadlines. */
  #tellHole(member: PeerIdentity, had: Numbers, given: readonly Entry<Ordered>[]): void {
    const [before, firsts] = [new Map(had), new Map<string, number>()];
    for (const { sender, n } of given) if (!firsts.has(sender.incarnation)) firsts.set(sender.incarnation, n);
    const outcome: Outcome = { status: "failed", code: "ORDER_INTERRUPTED", message: `${member.node} had missed it when another sequencer began, and nobody keeps it any more` };
    for (const [incarnation, greatest] of this.#log.ordered) {
      const sender = this.#member(incarnation);
      if (sender === undefined) continue;
      const [first, n] = [(before.get(incarnation) ?? 0) + 1, (firsts.get(incarnation) ?? greatest + 1) - 1];
      if (first <= n) this.#tellMissed(sender, { kind: "missed", first, n, incarnation: member.incarnation, outcome }, Infinity);
    }
  }

  #sayBegun(member: PeerIdentity, { epoch }: Reign, after: Position, complete: boolean): void {
    this.#insist(member, { kind: "begin", epoch, after, complete, orderedUpTo: this.#orderedUpTo(member) });
  }

  #orderedUpTo({ incarnation }: PeerIdentity): number {
    return this.#log.ordered.get(incarnation) ?? 0;
  }

  /** A member is new: it gets the order from the first message on whose sender knew of it. */
  #welcome(member: PeerIdentity, reign: Reign, version: number): void {
    const from = this.#log.after({ epoch: reign.epoch, number: 0 }, version);
    this.#sayBegun(member, reign, from[0]?.before ?? reign.last, true);
    for (const entry of from) this.#sayAgain(member, "ordered", reign.epoch, entry);
  }

  /** Gives a message its place. Returns what to wait for until there is room for more. */
  #sequence(sender: PeerIdentity, n: number, about: About, deadlineMs: number): Promise<unknown> | undefined {
    const reign = this.#reign;
    if (reign === undefined || reign.succession !== undefined || n <= this.#orderedUpTo(sender)) return undefined;
    const before = reign.last;
    const position = { epoch: reign.epoch, number: before.epoch === reign.epoch ? before.number + 1 : 1 };
    reign.last = position;
    const content = { ...ownCopy(sender.incarnation === this.#ports.self.incarnation, about), dueMs: this.#dueMs(deadlineMs) };
    const entry: Entry<Ordered> = { position, before, sender, n, bytes: about.payload.length + 128, content };
    const word = encodeOrder(this.#wordOf("ordered", reign.epoch, entry));
    const rooms: Array<Promise<unknown>> = [];
    for (const member of this.#others()) {
      const room = this.#ports.say(member, word, deadlineMs, (result) => this.#missed(entry, member, result));
      if (room !== undefined) rooms.push(room);
    }
    if (this.#log.arrive(reign.epoch, this.#ports.self.incarnation, entry) !== "stale") rooms.push(this.#handle(entry, false, deadlineMs));
    return Promise.all(rooms);
  }

  // ---- what others say ---------------------------------------------------------------------------------------

  /** A word came. Returns what to wait for before the next one of that member is looked at. `deadlineMs`: what is left of it. */
  heard(from: PeerIdentity, word: OrderWord, deadlineMs: number): Promise<unknown> | undefined {
    const reign = this.#reign;
    switch (word.kind) {
      case "submit":
        return word.epoch === reign?.epoch ? this.#sequence(from, word.n, word.about, deadlineMs) : undefined;
      case "ordered": {
        const entry = entryOf(word, this.#dueMs(deadlineMs));
        const taking = this.#log.arrive(word.epoch, from.incarnation, entry);
        if (taking === "stale") return this.#refuse(from);
        return taking === "duplicate" ? undefined : this.#handle(entry, taking === "take-after-gap", deadlineMs);
      }
      case "fill": {
        if (word.epoch !== reign?.epoch || reign.succession === undefined) return undefined;
        const entry = entryOf(word, this.#dueMs(deadlineMs));
        const taking = this.#log.take(entry);
        // A new member begins with the first message whose sender knew of it, and from there on has all, as everybody has them.
        if (taking === "duplicate" || (reign.isNew && entry.content.view < this.#since)) return undefined;
        reign.isNew = false;
        reign.fetched.push(entry);
        void this.#handle(entry, taking === "take-after-gap", deadlineMs);
        return undefined;
      }
      case "outcome":
        this.#settle(word.n, from.incarnation, word.outcome);
        return undefined;
      case "missed":
        for (const { content } of this.#sender.settleRange(word.first, word.n, word.incarnation)) content.settle(word.incarnation, word.outcome);
        this.#keepWaiting();
        return undefined;
      case "recover":
        if (!this.#log.promise(word.epoch, from.incarnation)) return this.#refuse(from);
        this.#abdicate();
        this.#insist(from, { kind: "standing", epoch: word.epoch, last: this.#log.last, since: this.#since, ordered: [...this.#log.ordered] });
        return undefined;
      case "standing":
        if (word.epoch !== reign?.epoch) return undefined;
        reign.succession?.stands(from.incarnation, word);
        this.#advance();
        return undefined;
      case "fetch":
        if (word.epoch !== this.#log.promised || from.incarnation !== this.#log.leader) return undefined;
        for (const entry of this.#log.after(word.after)) this.#sayAgain(from, "fill", word.epoch, entry);
        this.#insist(from, { kind: "fetched", epoch: word.epoch });
        return undefined;
      case "fetched":
        if (word.epoch !== reign?.epoch) return undefined;
        reign.succession?.fetched(from.incarnation);
        this.#advance();
        return undefined;
      case "begin":
        this.#begun(from, word);
        return undefined;
      case "refused":
        if (reign !== undefined && word.epoch > reign.epoch) this.#abdicate();
        return undefined;
    }
  }

  #begun(from: PeerIdentity, { epoch, after, complete, orderedUpTo }: { readonly epoch: number; readonly after: Position; readonly complete: boolean; readonly orderedUpTo: number }): void {
    const wasNew = this.#log.last === undefined;
    const found = this.#log.begin(epoch, from.incarnation, after);
    if (found === "stale") return this.#refuse(from);
    if (this.#open === epoch) return;
    this.#open = epoch;
    if (found === "gap" || (!complete && (!wasNew || this.#since < epoch))) void this.#afterwards(() => this.#isStopped || this.#ports.gap(from, found === "gap" ? after.number : 0));
    for (const { content, targets } of this.#sender.begun(complete, orderedUpTo)) {
      for (const target of targets) content.settle(target, { status: "failed", code: "ORDER_INTERRUPTED", message: "another sequencer began without an answer of every member: some may have handled it" });
    }
    this.#submit();
    this.#keepWaiting();
  }

  #refuse(from: PeerIdentity): undefined {
    this.#insist(from, { kind: "refused", epoch: this.#log.promised });
    return undefined;
  }

  /** One after the other, whoever they came from. Resolves when this one was handled. */
  #handle({ position, sender, n, content }: Entry<Ordered>, afterGap: boolean, deadlineMs: number): Promise<unknown> {
    const leader = this.#member(this.#log.leader ?? null) ?? sender;
    const { dueMs, ...about } = content;
    const handled = this.#afterwards(async () => {
      if (this.#isStopped) return;
      if (afterGap) this.#ports.gap(leader, position.number);
      const outcome = await this.#ports.handle({ topic: this.#topic, from: sender, deadlineMs: Number.isFinite(deadlineMs) ? Math.ceil(deadlineMs) : 0, ...about });
      if (!content.awaited) return;
      if (sender.incarnation === this.#ports.self.incarnation) void this.heard(sender, { kind: "outcome", n, outcome }, 0);
      else this.#pay({ to: sender, word: { kind: "outcome", n, outcome }, dueMs, view: content.view });
    });
    if (sender.incarnation === this.#ports.self.incarnation) {
      this.#sender.ordered(n);
      this.#keepWaiting();
    }
    return handled;
  }

  /** An outcome is told for as long as it is waited for: also to a sender of whom this member's views, which may be late, have not told yet. */
  #pay(owed: OwedOutcome): void {
    if (this.#member(owed.to.incarnation) !== undefined || this.#view.version >= owed.view) this.#insist(owed.to, owed.word, owed.dueMs);
    else this.#owed.add(owed, this.#ports.clock.monotonicMs());
  }

  /** A message could not be given to a member: its sender would wait for that one until the deadline. With the deadline itself, and of who has left, it knows by itself. Own ones not at once: what a result makes room for would get its place while the one before it is still being said. */
  #missed({ sender, n, content }: Entry<Ordered>, { incarnation }: PeerIdentity, result: DeliveryResult): void {
    if (!content.awaited || result.status !== "failed") return;
    this.#tellMissed(sender, { kind: "missed", first: n, n, incarnation, outcome: result }, content.dueMs, content.view);
  }

  /** `view`: the one in which it was sent, if that is known; 0: the sender is a member. */
  #tellMissed(sender: PeerIdentity, word: OrderWord, dueMs: number, view = 0): void {
    if (sender.incarnation === this.#ports.self.incarnation) queueMicrotask(() => void this.heard(sender, word, 0));
    else this.#pay({ to: sender, word, dueMs, view });
  }

  #afterwards(work: () => unknown): Promise<unknown> {
    this.#handling = this.#handling.then(work);
    return this.#handling;
  }

  // ---- words -------------------------------------------------------------------------------------------------

  /** When nobody waits any more for a message of which so much is left, on this member's clock; generously, for who cannot tell better. */
  #dueMs(leftMs: number): number {
    return this.#ports.clock.monotonicMs() + Math.max(leftMs, this.#ports.limits.deadlineMs);
  }

  /** An entry for a member that has missed it, for as long as its sender may wait for what comes of it. */
  #sayAgain(to: PeerIdentity, kind: "ordered" | "fill", epoch: number, entry: Entry<Ordered>): void {
    const { clock, limits } = this.#ports;
    void this.#say(to, this.#wordOf(kind, epoch, entry), Math.max(limits.deadlineMs, entry.content.dueMs - clock.monotonicMs()), (result) => this.#missed(entry, to, result));
  }

  #wordOf(kind: "ordered" | "fill", epoch: number, { position, before, sender, n, content }: Entry<Ordered>): OrderWord {
    return { kind, epoch, position, before, sender: { node: sender.node, incarnation: sender.incarnation }, n, about: content };
  }

  #say(to: PeerIdentity, word: OrderWord, deadlineMs: number, failed: (result: DeliveryResult) => unknown = () => undefined): Promise<unknown> | undefined {
    const isOutcome = word.kind === "outcome" || word.kind === "missed";
    return isOutcome ? this.#ports.tell(to, encodeOrder(word), deadlineMs, failed) : this.#ports.say(to, encodeOrder(word), deadlineMs, failed);
  }

  /** Until it was received, or the member has left, or its time is over, however often connections end. */
  #insist(to: PeerIdentity, word: OrderWord, dueMs = Infinity): void {
    const leftMs = Math.max(1, dueMs - this.#ports.clock.monotonicMs());
    void this.#say(to, word, leftMs, (result) => result.status === "failed" && result.code === "PEER_UNREACHABLE" && this.#member(to.incarnation) !== undefined && this.#insist(to, word, dueMs));
  }
}

function entryOf({ position, before, sender, n, about }: Extract<OrderWord, { readonly kind: "ordered" | "fill" }>, dueMs: number): Entry<Ordered> {
  return { position, before, sender, n, bytes: about.payload.length + 128, content: { ...ownCopy(false, about), dueMs } };
}

/** What came is a window of what the socket read, which may be much larger, and entries are kept for long. */
function ownCopy(isOwn: boolean, about: About): About {
  return isOwn ? about : { ...about, payload: new Uint8Array(about.payload) };
}
