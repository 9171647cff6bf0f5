import type { Clock, Logger } from "../kernel/index.ts";
import type { PeerIdentity } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import type { ReceivedParts } from "./message.ts";
import { DELIVERED, ORDER_PREFIX, OUTCOMES_PREFIX } from "./messages.ts";
import type { Outcome } from "./messages.ts";
import type { ChannelSettings } from "./options.ts";
import { OrderedTopic } from "./ordered-topic.ts";
import { decodeOrder, encodeOrder } from "./order-words.ts";
import type { OrderWord } from "./order-words.ts";
import type { ChannelView } from "./targets.ts";

/** What topics in one order need of the channel. */
export interface OrderedTopicsPorts {
  readonly clock: Clock;
  readonly self: PeerIdentity;
  readonly settings: ChannelSettings;
  readonly logger: Logger;
  /** A word on a flow, to be kept until it was received. Returns what to wait for until there is room for it. */
  say(flow: string, to: PeerIdentity, payload: Uint8Array, deadlineMs: number, failed: (result: DeliveryResult) => void): Promise<void> | undefined;
  handle(parts: ReceivedParts): Outcome | Promise<Outcome>;
  gap(topic: string, from: PeerIdentity, number: number): void;
  /** The peer broke the protocol. */
  broken(from: PeerIdentity, detail: string): void;
}

/** All topics with one order of all senders; and what is said where others have another list of them. */
export class OrderedTopics {
  readonly #ports: OrderedTopicsPorts;
  readonly #topics: ReadonlyMap<string, OrderedTopic>;
  /** Topics that others have in one order and this member has not, or the other way round: told once. */
  readonly #misordered = new Set<string>();

  constructor(ports: OrderedTopicsPorts) {
    this.#ports = ports;
    this.#topics = new Map(ports.settings.totalOrder.map((topic) => [topic, this.#make(topic)]));
  }

  get(topic: string): OrderedTopic | undefined {
    return this.#topics.get(topic);
  }

  setView(view: ChannelView): void {
    for (const topic of this.#topics.values()) topic.setView(view);
  }

  stop(): void {
    for (const topic of this.#topics.values()) topic.stop();
  }

  /** A word about the order of a topic. */
  heard(from: PeerIdentity, name: string, payload: Uint8Array, deadlineMs: number): Outcome | Promise<Outcome> {
    const topic = this.#topics.get(name);
    try {
      if (topic === undefined) return this.#heardOfOthers(from, name, decodeOrder(payload));
      return topic.heard(from, decodeOrder(payload), deadlineMs === 0 ? Infinity : deadlineMs)?.then(() => DELIVERED) ?? DELIVERED;
    } catch (error) {
      this.#ports.broken(from, error instanceof Error ? error.message : String(error));
      return DELIVERED;
    }
  }

  /** What becomes of a message that has no place, and came on a topic in which all have one: to handle it would break the order that handlers were promised. `undefined`: it needs none. */
  refuses(from: PeerIdentity, topic: string): Outcome | undefined {
    if (this.#topics.size === 0 || !this.#topics.has(topic)) return undefined;
    this.#misorders(from, topic, "a topic has one order of all senders here, and not there; what came on it was refused: give all members the same totalOrder");
    return this.#mismatch(topic);
  }

  #make(topic: string): OrderedTopic {
    const ports = this.#ports;
    return new OrderedTopic(topic, {
      clock: ports.clock,
      self: ports.self,
      limits: ports.settings,
      say: (to, payload, deadlineMs, failed) => ports.say(ORDER_PREFIX + topic, to, payload, deadlineMs, failed),
      tell: (to, payload, deadlineMs, failed) => ports.say(OUTCOMES_PREFIX + topic, to, payload, deadlineMs, failed),
      handle: (parts) => ports.handle(parts),
      gap: (from, number) => ports.gap(topic, from, number),
    });
  }

  /** Others have a topic in one order that this member has not: it says that it handles nothing of it, so that nobody waits for it. */
  #heardOfOthers(from: PeerIdentity, topic: string, word: OrderWord): Outcome {
    const ports = this.#ports;
    this.#misorders(from, topic, "a topic has one order of all senders there, and not here: give all members the same totalOrder");
    if (word.kind === "recover") void ports.say(ORDER_PREFIX + topic, from, encodeOrder({ kind: "standing", epoch: word.epoch, since: Number.MAX_SAFE_INTEGER, last: undefined, ordered: [] }), Infinity, () => undefined);
    if (word.kind === "ordered" && word.about.awaited) void ports.say(OUTCOMES_PREFIX + topic, word.sender, encodeOrder({ kind: "outcome", n: word.n, outcome: this.#mismatch(topic) }), ports.settings.deadlineMs, () => undefined);
    return DELIVERED;
  }

  #mismatch(topic: string): Outcome & { readonly status: "failed" } {
    return { status: "failed", code: "SETTINGS_MISMATCH", message: `${this.#ports.self.node} has another totalOrder: ${topic} is only in one of both` };
  }

  #misorders(from: PeerIdentity, topic: string, what: string): void {
    if (!this.#misordered.has(topic)) this.#ports.logger.warn({ code: "SETTINGS_MISMATCH", topic, node: from.node }, what);
    if (this.#misordered.size < 100) this.#misordered.add(topic);
  }
}
