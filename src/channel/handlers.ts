import type { Logger } from "../kernel/index.ts";
import type { Format } from "./codec.ts";
import type { Demands, Doorkeeper } from "./demands.ts";
import { checkDemands } from "./demands.ts";
import type { Notes, Pipeline } from "./interceptors.ts";
import { ReceivedMessage } from "./message.ts";
import type { Message, ReceivedParts } from "./message.ts";
import { checkTopic, codeOf, DELIVERED } from "./messages.ts";
import type { Outcome } from "./messages.ts";

/** Called with each message; the message is handled when what it returns has settled. */
export type MessageHandler = (message: Message) => unknown;

/** What the handlers of messages need of the channel. */
export interface HandlerPorts {
  readonly node: string;
  readonly logger: Logger;
  readonly pipeline: Pipeline;
  readonly doorkeeper: Doorkeeper;
  formatOf(topic: string): Format;
}

interface Listener {
  readonly handler: MessageHandler;
  readonly demands: Demands;
}

/** Who listens to what, and what they make of messages. */
export class Handlers {
  readonly #ports: HandlerPorts;
  readonly #topics = new Map<string, readonly Listener[]>();

  constructor(ports: HandlerPorts) {
    this.#ports = ports;
  }

  /** The returned function ends it. Throws `INVALID_NAME`. */
  add(topic: string, handler: MessageHandler, demands: Demands): () => void {
    checkTopic(topic);
    checkDemands(demands);
    const own: Listener = { handler, demands };
    this.#topics.set(topic, [...(this.#topics.get(topic) ?? []), own]);
    return () => void this.#topics.set(topic, (this.#topics.get(topic) ?? []).filter((each) => each !== own));
  }

  /** Runs all handlers, one after the other; the first failure is the outcome. Never rejects; a promise only if a handler gives one. */
  handle(parts: ReceivedParts): Outcome | Promise<Outcome> {
    const { topic } = parts;
    const listeners = this.#topics.get(topic);
    if (listeners === undefined || listeners.length === 0) return { status: "failed", code: "TOPIC_UNHANDLED", message: `${this.#ports.node} has no handler for ${topic}` };
    const format = this.#ports.formatOf(topic);
    let opened;
    try {
      opened = this.#ports.pipeline.in(parts, { kind: "message", topic });
    } catch (error) {
      return this.#failed(parts, error, DELIVERED);
    }
    const { notes } = opened;
    const message = new ReceivedMessage(parts, opened.payload, format);
    if (format.checks) return message.check().then(() => this.#run(message, notes, listeners), (error: unknown) => this.#failed(message, error, DELIVERED));
    return this.#run(message, notes, listeners);
  }

  #run(message: Message, notes: Notes | undefined, listeners: readonly Listener[]): Outcome | Promise<Outcome> {
    let outcome = DELIVERED;
    for (let at = 0; at < listeners.length; at++) {
      const listener = listeners[at] as Listener;
      try {
        const returned = this.#call(listener, message, notes);
        if (isThenable(returned)) return this.#runOn(message, notes, returned, listeners.slice(at + 1), outcome);
      } catch (error) {
        outcome = this.#failed(message, error, outcome);
      }
    }
    return outcome;
  }

  async #runOn(message: Message, notes: Notes | undefined, running: PromiseLike<unknown>, listeners: readonly Listener[], before: Outcome): Promise<Outcome> {
    let outcome = before;
    try {
      await running;
    } catch (error) {
      outcome = this.#failed(message, error, outcome);
    }
    for (const listener of listeners) {
      try {
        await this.#call(listener, message, notes);
      } catch (error) {
        outcome = this.#failed(message, error, outcome);
      }
    }
    return outcome;
  }

  #call({ handler, demands }: Listener, message: Message, notes: Notes | undefined): unknown {
    this.#ports.doorkeeper.admit(demands, message);
    return this.#ports.pipeline.run(handler, message, notes);
  }

  #failed(message: Pick<Message, "topic" | "from">, error: unknown, before: Outcome): Outcome {
    const code = codeOf(error);
    this.#ports.logger.warn({ code, topic: message.topic, from: message.from.node }, "a handler of a message failed");
    return before.status === "delivered" ? { status: "failed", code, message: error instanceof Error ? error.message : String(error) } : before;
  }
}

/** Whether it is something to wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
