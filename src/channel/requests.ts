import { abortError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import type { KnownPeer, PeerIdentity } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import { gather } from "./gathering.ts";
import type { ReplyPolicy } from "./gathering.ts";
import type { Body } from "./interceptors.ts";
import type { Settling } from "./kept.ts";
import { codeOf } from "./messages.ts";
import { NumberMap } from "./number-map.ts";
import type { RpcWord } from "./rpc-words.ts";

/** What became of a request at one of those who were asked. */
export type Reply =
  | {
      readonly status: "replied";
      /** The node that replied: another than was asked, if that one said `Moved`. */
      readonly by: string;
      readonly payload: Uint8Array;
      /** Decoded by the codec of the topic. Throws `PAYLOAD_INVALID`. */
      value(): unknown;
    }
  /** The handler threw; or `BUSY`, `TOPIC_UNHANDLED`, `BACKPRESSURE`, `PEER_UNREACHABLE`. */
  | { readonly status: "failed"; readonly code: string; readonly message: string }
  /** Not there: at that member, which is not known here, was asked already, or is not asked because more than one reply was wanted. */
  | { readonly status: "moved"; readonly member: string; readonly version: number }
  | { readonly status: "left" }
  | { readonly status: "timeout" };

/** What a request has come to. */
export interface RequestReport {
  /** By the node that was asked first. Of whom nothing is here, nothing was heard before the policy was met; it was told to stop. */
  readonly replies: ReadonlyMap<string, Reply>;
  /** The policy is met. */
  readonly ok: boolean;
}

/** What requests need of the channel. */
export interface RequestPorts {
  readonly clock: Clock;
  /** The member of that name. */
  member(node: string): KnownPeer | undefined;
  /** Keeps a word about a request for a member. `settling` is told if it is given up. */
  say(asking: Pick<Asking, "topic" | "token" | "election">, member: KnownPeer, word: RpcWord, deadlineMs: number, settling: Settling): void;
  /** What the interceptors leave of a reply. Throws `PAYLOAD_INVALID`. */
  open(topic: string, body: Body): Uint8Array;
  decode(topic: string, payload: Uint8Array): unknown;
  /** The numbers of requests, over all topics. */
  nextId(): number;
}

/** A request of one caller. */
export interface Asking {
  readonly topic: string;
  readonly token: number | undefined;
  readonly election: string | undefined;
  readonly members: readonly KnownPeer[];
  /** Names that were asked for, and are no members. */
  readonly missing: readonly string[];
  readonly body: Body;
  readonly policy: ReplyPolicy;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** How often one request goes on to another member. */
export const MOST_MOVES = 5;

/** What answers can be to. */
export type Answer = Exclude<RpcWord, { readonly kind: "request" | "open" | "cancel" | "more" }>;

/** Whom a word can be said for that nobody asks about again. */
export const NOBODY_WAITS: Settling = { settle() {} };

/** What waits for answers. */
export interface Waiting {
  /** On the clock that was handed in. */
  readonly dueMs: number;
  /** Its deadline has come. */
  expire(): void;
  /** A word about what was asked with that id came. */
  heard(from: PeerIdentity, word: Answer): void;
  /** A member is gone. */
  left(incarnation: string): void;
}

/** One member that is asked. */
class Slot implements Waiting, Settling {
  /** Who was asked first. */
  readonly node: string;
  readonly member: KnownPeer;
  readonly id: number;
  readonly moves: number;
  readonly version: number;
  readonly #request: PendingRequest;

  constructor(request: PendingRequest, node: string, member: KnownPeer, id: number, moves: number, version: number) {
    this.#request = request;
    this.node = node;
    this.member = member;
    this.id = id;
    this.moves = moves;
    this.version = version;
  }

  get dueMs(): number {
    return this.#request.dueMs;
  }

  expire(): void {
    this.#request.expire();
  }

  heard(from: PeerIdentity, word: Answer): void {
    if (this.member.incarnation === from.incarnation) this.#request.heard(this, from, word);
  }

  left(incarnation: string): void {
    if (this.member.incarnation === incarnation) this.#request.lost(this, { status: "left" });
  }

  /** The request was given up before it was received. */
  settle(_incarnation: string, result: DeliveryResult): void {
    if (result.status === "timeout") return; // that of the request itself has come, or is about to
    this.#request.lost(this, result.status === "failed" ? result : { status: "left" });
  }
}

/** A reply that came. */
class CameReply {
  readonly status = "replied";
  readonly by: string;
  readonly payload: Uint8Array;
  readonly #topic: string;
  readonly #ports: RequestPorts;

  constructor(by: string, payload: Uint8Array, topic: string, ports: RequestPorts) {
    this.by = by;
    this.payload = payload;
    this.#topic = topic;
    this.#ports = ports;
  }

  value(): unknown {
    return this.#ports.decode(this.#topic, this.payload);
  }
}

/** One request, until its policy is met, or cannot be, or its time is over. */
export class PendingRequest {
  readonly #ports: RequestPorts;
  readonly #asking: Asking;
  readonly #register: RequestRegister;
  /** Those that are not answered. Few: lists cost less than maps. */
  readonly #slots: Slot[] = [];
  /** Incarnations. */
  readonly #asked: string[] = [];
  readonly #replies = new Map<string, Reply>();
  readonly #count: number;
  readonly dueMs: number;
  #replied = 0;
  #lost = 0;
  #resolve: (report: RequestReport) => void = () => {};
  #isOver = false;

  constructor(ports: RequestPorts, asking: Asking, register: RequestRegister) {
    this.#ports = ports;
    this.#asking = asking;
    this.#register = register;
    this.#count = asking.members.length + asking.missing.length;
    this.dueMs = ports.clock.monotonicMs() + asking.deadlineMs;
  }

  /** Rejects with `ABORTED`; the members that were asked are told. */
  run(): Promise<RequestReport> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      const { signal } = this.#asking;
      if (signal !== undefined) this.#endWith(signal, reject);
      this.#begin();
    });
  }

  #endWith(signal: AbortSignal, reject: (error: Error) => void): void {
    const aborted = () => {
      this.#stop();
      reject(abortError(signal, "waiting for replies"));
    };
    const resolve = this.#resolve;
    this.#resolve = (report) => {
      signal.removeEventListener("abort", aborted);
      resolve(report);
    };
    signal.addEventListener("abort", aborted, { once: true });
  }

  #begin(): void {
    const { members, missing, policy } = this.#asking;
    if (policy !== "none") for (const node of missing) this.#lose(node, { status: "left" });
    for (const member of members) this.#ask(member.node, member, 0, -1);
    if (policy === "none") this.#finish(true);
    else this.#judge();
  }

  expire(): void {
    for (const slot of this.#slots) this.#replies.set(slot.node, { status: "timeout" });
    this.#finish(false);
  }

  /** A word from whom a slot asks. */
  heard(slot: Slot, from: PeerIdentity, word: Answer): void {
    if (word.kind === "item" || word.kind === "end" || (word.kind === "moved" && this.#follow(slot, word.member, word.version))) return;
    if (word.kind === "failed") return this.lost(slot, { status: "failed", code: word.code, message: word.message });
    if (word.kind === "moved") return this.lost(slot, { status: "moved", member: word.member, version: word.version });
    let payload: Uint8Array;
    try {
      payload = this.#ports.open(this.#asking.topic, word);
    } catch (error) {
      return this.lost(slot, { status: "failed", code: codeOf(error), message: error instanceof Error ? error.message : String(error) });
    }
    this.#drop(slot);
    this.#replies.set(slot.node, new CameReply(from.node, payload, this.#asking.topic, this.#ports));
    this.#replied++;
    this.#judge();
  }

  /** No reply will come from whom a slot asks. */
  lost(slot: Slot, reply: Reply): void {
    if (this.#drop(slot)) this.#lose(slot.node, reply);
  }

  /** Two slots never ask the same member: it would do the work twice, and count twice. */
  #follow(slot: Slot, node: string, version: number): boolean {
    const member = this.#ports.member(node);
    const { policy } = this.#asking;
    if (policy !== "first" && this.#count > 1) return false;
    if (member === undefined || this.#asked.includes(member.incarnation) || version < slot.version || slot.moves >= MOST_MOVES) return false;
    this.#drop(slot);
    this.#ask(slot.node, member, slot.moves + 1, version);
    return true;
  }

  #ask(node: string, member: KnownPeer, moves: number, version: number): void {
    if (this.#isOver) return;
    const slot = new Slot(this, node, member, this.#ports.nextId(), moves, version);
    this.#asked.push(member.incarnation);
    if (this.#asking.policy !== "none") {
      this.#slots.push(slot);
      this.#register.add(slot.id, slot);
    }
    const leftMs = Math.max(1, moves === 0 ? this.#asking.deadlineMs : this.dueMs - this.#ports.clock.monotonicMs());
    const { payload, enveloped } = this.#asking.body;
    this.#ports.say(this.#asking, member, { kind: "request", id: slot.id, payload, enveloped }, leftMs, slot);
  }

  /** Returns whether it waited. */
  #drop(slot: Slot): boolean {
    const at = this.#slots.indexOf(slot);
    if (at === -1) return false;
    this.#slots.splice(at, 1);
    this.#register.remove(slot.id);
    return true;
  }

  #lose(node: string, reply: Reply): void {
    this.#replies.set(node, reply);
    this.#lost++;
    this.#judge();
  }

  #judge(): void {
    if (this.#isOver) return;
    const verdict = gather(this.#asking.policy, { asked: this.#count, replied: this.#replied, lost: this.#lost });
    if (verdict !== "wait") this.#finish(verdict === "enough");
  }

  #finish(ok: boolean): void {
    if (this.#isOver) return;
    this.#stop();
    this.#resolve({ replies: this.#replies, ok });
  }

  /** Who has not answered need not go on. */
  #stop(): void {
    this.#isOver = true;
    for (const slot of this.#slots) {
      this.#register.remove(slot.id);
      this.#ports.say(this.#asking, slot.member, { kind: "cancel", id: slot.id }, Math.max(1_000, this.#asking.deadlineMs), NOBODY_WAITS);
    }
    this.#slots.length = 0;
  }
}

/** All requests that wait, by the ids of what they have sent; one timer for the deadlines of all. */
export class RequestRegister {
  readonly #clock: Clock;
  readonly #waiting = new NumberMap<Waiting>();
  #timer: { readonly timer: Timer; readonly atMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(id: number): Waiting | undefined {
    return this.#waiting.get(id);
  }

  add(id: number, waiting: Waiting): void {
    this.#waiting.set(id, waiting);
    this.#watch(waiting.dueMs);
  }

  remove(id: number): void {
    this.#waiting.delete(id);
  }

  /** A member is gone. */
  left(incarnation: string): void {
    for (const [, waiting] of this.#waiting.entries()) waiting.left(incarnation);
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#timer?.timer.cancel();
    this.#timer = undefined;
  }

  /** Rings early rather than often: what was answered in time does not move it. */
  #watch(atMs: number): void {
    if (atMs === Infinity || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return;
    this.#timer?.timer.cancel();
    const timer = this.#clock.setTimer(atMs - this.#clock.monotonicMs(), () => {
      this.#timer = undefined;
      const nowMs = this.#clock.monotonicMs();
      let earliestMs = Infinity;
      for (const [, waiting] of this.#waiting.entries()) {
        if (waiting.dueMs <= nowMs) waiting.expire();
        else earliestMs = Math.min(earliestMs, waiting.dueMs);
      }
      if (earliestMs < Infinity) this.#watch(earliestMs);
    });
    this.#timer = { timer, atMs };
  }
}
