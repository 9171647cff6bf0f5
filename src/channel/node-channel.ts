import { Events } from "../kernel/index.ts";
import type { Wait } from "../transport/index.ts";
import { Channel } from "./channel.ts";
import type { ChannelCounts, ChannelPorts } from "./channel.ts";
import type { RequestOptions, SendOptions, StreamOptions } from "./calls.ts";
import type { ChannelEvents, Pong, Reachability } from "./events.ts";
import type { SendReport } from "./addressed.ts";
import type { TopicFormat } from "./codec.ts";
import type { Demands } from "./demands.ts";
import type { MessageHandler } from "./handlers.ts";
import type { ChannelOptions } from "./options.ts";
import type { RequestReport } from "./requests.ts";
import type { RequestHandler, RespondOptions } from "./responders.ts";
import type { SharedState, StateOptions, StateReport } from "./state.ts";
import type { StreamReply } from "./streams.ts";
import type { ChannelView } from "./targets.ts";

/** What users, and rooms that stand on it, have of a channel: all but its life. */
export type GroupChannel = Pick<Channel, "on" | "listen" | "respond" | "define" | "state" | "obtainStates" | "send" | "request" | "stream" | "pipeline" | "reachability" | "ping" | "counts">;

/** What the channel of a node stands on; its incarnations come and go. */
export type NodeChannelPorts = Omit<ChannelPorts, "incarnation">;

const EVENTS = ["gap", "undelivered", "state", "vanished", "reachability"] as const satisfies ReadonlyArray<keyof ChannelEvents>;

/**
 * The channel of a node, over all of its incarnations: each has an endpoint and a memory of its own, and all have the same handlers, formats, states and listeners. Between two of them, and before the first, nothing can be sent: `TRANSPORT_CLOSED`.
 */
export class NodeChannel implements GroupChannel {
  readonly #ports: NodeChannelPorts;
  readonly #options: ChannelOptions;
  readonly #events: Events<ChannelEvents>;
  /** What each incarnation's channel is told at its beginning, in order; each answers how to take it back. */
  readonly #registrations = new Map<object, (channel: Channel) => () => void>();
  readonly #undo = new Map<object, () => void>();
  /** Before the first incarnation, one that is never started: it refuses what any would refuse. */
  #channel: Channel;
  #view: ChannelView | undefined;
  /** Beginnings and ends come one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #decodedBefore = 0;

  /** Throws `INVALID_OPTIONS`. */
  constructor(ports: NodeChannelPorts, options: ChannelOptions = {}) {
    this.#ports = ports;
    this.#options = options;
    this.#events = new Events((error, event) => ports.logger.error({ code: "LISTENER_FAILED", event, error: error instanceof Error ? error.message : String(error) }, "a listener of the channel threw"));
    this.#channel = new Channel({ ...ports, incarnation: "" }, options);
  }

  // ---- its life ----------------------------------------------------------------------------------------------

  /** Ends the incarnation that there was, and begins another one. Rejects as `Transport.open` does; then there is none, and it may be called again. */
  begin(incarnation: string, wait: Wait): Promise<void> {
    return this.#inTurn(() => this.#begin(incarnation, wait));
  }

  async #begin(incarnation: string, wait: Wait): Promise<void> {
    await this.#channel.stop(wait); // its port may be the one that is wanted
    this.#decodedBefore += this.#channel.counts.decoded;
    const channel = new Channel({ ...this.#ports, incarnation }, this.#options);
    for (const name of EVENTS) channel.on(name, (event) => this.#events.emit(name, event));
    this.#channel = channel;
    this.#undo.clear();
    for (const [key, register] of this.#registrations) this.#undo.set(key, register(channel));
    await channel.start(wait);
    if (this.#view !== undefined) channel.setView(this.#view);
  }

  /** Says goodbye to everybody. What is awaited is answered `left`. May be called at any time. */
  end(wait: Wait): Promise<void> {
    return this.#inTurn(() => this.#channel.stop(wait));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined); // whoever asked hears of it
    return done;
  }

  /** For the member's metadata. Throws `TRANSPORT_CLOSED` while there is no incarnation. */
  get address(): string {
    return this.#channel.address;
  }

  /** A new view came; also for incarnations to come. */
  setView(view: ChannelView): void {
    this.#view = view;
    if (this.#channel.isOpen) this.#channel.setView(view);
  }

  // ---- what it is for ----------------------------------------------------------------------------------------

  on<Name extends keyof ChannelEvents>(name: Name, listener: (event: ChannelEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener);
  }

  listen(topic: string, handler: MessageHandler, demands?: Demands): () => void {
    return this.#register((channel) => channel.listen(topic, handler, demands));
  }

  respond(topic: string, handler: RequestHandler, options?: RespondOptions): () => void {
    return this.#register((channel) => channel.respond(topic, handler, options));
  }

  define(topic: string, format: TopicFormat): void {
    this.#register((channel) => {
      channel.define(topic, format);
      return () => undefined;
    });
  }

  state(name: string, state: SharedState, options?: StateOptions): void {
    this.#register((channel) => {
      channel.state(name, state, options);
      return () => undefined;
    });
  }

  /** As `Channel.obtainStates`; when another incarnation begins meanwhile, for that one. */
  async obtainStates(wait: Wait): Promise<StateReport[]> {
    const { clock } = this.#ports;
    const dueMs = clock.monotonicMs() + wait.deadlineMs;
    for (;;) {
      const channel = this.#channel;
      try {
        return await channel.obtainStates({ ...wait, deadlineMs: dueMs - clock.monotonicMs() });
      } catch (error) {
        await this.#turn;
        if (channel === this.#channel) throw error;
      }
    }
  }

  send(topic: string, value: unknown, options?: SendOptions): Promise<SendReport> {
    return this.#channel.send(topic, value, options);
  }

  request(topic: string, value: unknown, options?: RequestOptions): Promise<RequestReport> {
    return this.#channel.request(topic, value, options);
  }

  stream(topic: string, value: unknown, options?: StreamOptions): AsyncGenerator<StreamReply, void, undefined> {
    return this.#channel.stream(topic, value, options);
  }

  get pipeline(): readonly string[] {
    return this.#channel.pipeline;
  }

  reachability(incarnation: string): Reachability | undefined {
    return this.#channel.reachability(incarnation);
  }

  ping(node: string, wait: Wait): Promise<Pong> {
    return this.#channel.ping(node, wait);
  }

  get counts(): ChannelCounts {
    return { decoded: this.#decodedBefore + this.#channel.counts.decoded };
  }

  #register(register: (channel: Channel) => () => void): () => void {
    const key = {};
    this.#undo.set(key, register(this.#channel));
    this.#registrations.set(key, register);
    return () => {
      this.#registrations.delete(key);
      this.#undo.get(key)?.();
      this.#undo.delete(key);
    };
  }
}
