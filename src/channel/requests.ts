import { abortError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import type { KnownPeer, PeerIdentity } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import { gather } from "./gathering.ts";
import type { ReplyPolicy } from "./gathering.ts";
import type { Body } from "./interceptors.ts";
import { codeOf } from "./messages.ts";
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
  /** Keeps a word about a request for a member. `failed` is called if it is given up. */
  say(asking: Pick<Asking, "topic" | "token" | "election">, member: KnownPeer, word: RpcWord, deadlineMs: number, failed: (result: DeliveryResult) => void): void;
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

/** One member that is asked. */
interface Slot {
  /** Who was asked first. */
  readonly node: string;
  member: KnownPeer;
  id: number;
  moves: number;
  version: number;
}

/** What answers can be to. */
export type Answer = Exclude<RpcWord, { readonly kind: "request" | "open" | "cancel" | "more" }>;

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

/** One request, until its policy is met, or cannot be, or its time is over. */
export class PendingRequest implements Waiting {
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
    const { members, missing, signal, policy } = this.#asking;
    return new Promise((resolve, reject) => {
      const aborted = () => {
        this.#stop();
        if (signal !== undefined) reject(abortError(signal, "waiting for replies"));
      };
      this.#resolve = (report) => {
        signal?.removeEventListener("abort", aborted);
        resolve(report);
      };
      signal?.addEventListener("abort", aborted, { once: true });
      if (policy === "none") {
        for (const member of members) this.#ask({ node: member.node, member, id: 0, moves: 0, version: -1 });
        return this.#finish(true);
      }
      for (const node of missing) this.#lose(node, { status: "left" });
      for (const member of members) this.#ask({ node: member.node, member, id: 0, moves: 0, version: -1 });
      this.#judge();
    });
  }

  expire(): void {
    for (const slot of this.#slots) this.#replies.set(slot.node, { status: "timeout" });
    this.#finish(false);
  }

  heard(from: PeerIdentity, word: Answer): void {
    const slot = this.#slots.find(({ id }) => id === word.id);
    if (slot === undefined || slot.member.incarnation !== from.incarnation || word.kind === "item" || word.kind === "end") return;
    if (word.kind === "moved" && this.#follow(slot, word.member, word.version)) return;
    this.#drop(slot);
    if (word.kind !== "reply") return this.#lose(slot.node, word.kind === "failed" ? { status: "failed", code: word.code, message: word.message } : { status: "moved", member: word.member, version: word.version });
    let payload: Uint8Array;
    try {
      payload = this.#ports.open(this.#asking.topic, word);
    } catch (error) {
      return this.#lose(slot.node, { status: "failed", code: codeOf(error), message: error instanceof Error ? error.message : String(error) });
    }
    this.#replies.set(slot.node, { status: "replied", by: from.node, payload, value: () => this.#ports.decode(this.#asking.topic, payload) });
    this.#replied++;
    this.#judge();
  }

  left(incarnation: string): void {
    for (const slot of [...this.#slots]) {
      if (slot.member.incarnation !== incarnation) continue;
      this.#drop(slot);
      this.#lose(slot.node, { status: "left" });
    }
  }

  /** Two slots never ask the same member: it would do the work twice, and count twice. */
  #follow(slot: Slot, node: string, version: number): boolean {
    const member = this.#ports.member(node);
    const { policy } = this.#asking;
    if (policy !== "first" && this.#count > 1) return false;
    if (member === undefined || this.#asked.includes(member.incarnation) || version < slot.version || slot.moves >= MOST_MOVES) return false;
    this.#drop(slot);
    this.#ask({ ...slot, member, moves: slot.moves + 1, version });
    return true;
  }

  #ask(slot: Slot): void {
    if (this.#isOver) return;
    slot.id = this.#ports.nextId();
    this.#asked.push(slot.member.incarnation);
    if (this.#asking.policy !== "none") {
      this.#slots.push(slot);
      this.#register.add(slot.id, this);
    }
    const leftMs = Math.max(1, this.dueMs - this.#ports.clock.monotonicMs());
    this.#ports.say(this.#asking, slot.member, { kind: "request", id: slot.id, ...this.#asking.body }, leftMs, (result) => {
      if (!this.#slots.includes(slot) || result.status === "timeout") return; // that of the request itself has come, or is about to
      this.#drop(slot);
      this.#lose(slot.node, result.status === "failed" ? result : { status: "left" });
    });
  }

  #drop(slot: Slot): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    this.#register.remove(slot.id);
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
      this.#ports.say(this.#asking, slot.member, { kind: "cancel", id: slot.id }, Math.max(1_000, this.#asking.deadlineMs), () => undefined);
    }
    this.#slots.length = 0;
  }
}

/** All requests that wait, by the ids of what they have sent; one timer for the deadlines of all. */
export class RequestRegister {
  readonly #clock: Clock;
  readonly #requests = new Map<number, Waiting>();
  #timer: { readonly timer: Timer; readonly atMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(id: number): Waiting | undefined {
    return this.#requests.get(id);
  }

  add(id: number, request: Waiting): void {
    this.#requests.set(id, request);
    this.#watch(request.dueMs);
  }

  remove(id: number): void {
    this.#requests.delete(id);
  }

  /** A member is gone. */
  left(incarnation: string): void {
    for (const request of new Set(this.#requests.values())) request.left(incarnation);
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
      for (const request of new Set(this.#requests.values())) {
        if (request.dueMs <= nowMs) request.expire();
        else earliestMs = Math.min(earliestMs, request.dueMs);
      }
      if (earliestMs < Infinity) this.#watch(earliestMs);
    });
    this.#timer = { timer, atMs };
  }
}
