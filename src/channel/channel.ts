import { abortError, Events, guardedLogger, TribuneError } from "../kernel/index.ts";
import type { Logger } from "../kernel/index.ts";
import type { PeerIdentity, Wait } from "../transport/index.ts";
import { Acknowledgement, Addressed, leftAlready } from "./addressed.ts";
import type { SendReport, Undelivered } from "./addressed.ts";
import { checkDeadline } from "./calls.ts";
import type { RequestOptions, SendOptions, StreamOptions } from "./calls.ts";
import { Format } from "./codec.ts";
import type { TopicFormat } from "./codec.ts";
import { Connections } from "./connections.ts";
import type { MemberPorts } from "./connections.ts";
import type { DeliveryResult } from "./delivery.ts";
import { Doorkeeper, splitToken } from "./demands.ts";
import type { Demands } from "./demands.ts";
import { checkPolicy } from "./gathering.ts";
import type { ChannelEvents, Pong, Reachability } from "./events.ts";
import { Handlers } from "./handlers.ts";
import type { MessageHandler } from "./handlers.ts";
import { Kept } from "./kept.ts";
import type { SentWith, Settling } from "./kept.ts";
import { Pipeline } from "./interceptors.ts";
import type { Body } from "./interceptors.ts";
import { OrderedTopics } from "./ordered-topics.ts";
import { OwnHandlers } from "./own-handlers.ts";
import { checkTopic, DELIVERED, ORDER_PREFIX, RPC_PREFIX, STATE_PREFIX } from "./messages.ts";
import type { MessageWord, Outcome } from "./messages.ts";
import { channelSettings, checkMode } from "./options.ts";
import type { ChannelOptions, ChannelSettings } from "./options.ts";
import { PeerFlows } from "./peer.ts";
import type { Flow } from "./peer.ts";
import { NOBODY_WAITS, PendingRequest, RequestRegister } from "./requests.ts";
import type { Asking, RequestPorts, RequestReport } from "./requests.ts";
import { Responders } from "./responders.ts";
import type { RequestHandler, RespondOptions } from "./responders.ts";
import { decodeRpc, encodeRpc, isRpcLead } from "./rpc-words.ts";
import type { RpcWord } from "./rpc-words.ts";
import type { SharedState, StateOptions, StateReport } from "./state.ts";
import { StateTransfer } from "./state-transfer.ts";
import { ReplyStream } from "./streams.ts";
import type { StreamEnd, StreamReply } from "./streams.ts";
import { resolveTargets } from "./targets.ts";
import type { ChannelView, Targets } from "./targets.ts";

/** What a channel stands on. */
export interface ChannelPorts extends MemberPorts {
  /** The present token of an election as far as this member knows, for handlers that demand it. Without it, the greatest that has come is what counts. */
  readonly tokenOf?: ((election: string) => number | undefined) | undefined;
}

/** What went through a channel. */
export interface ChannelCounts {
  /** Payloads that were decoded. What nobody asked for, duplicates, and what is for others is not. */
  readonly decoded: number;
}

/** Whom messages of one topic go to, worked out once for each view. */
interface Routes {
  readonly topic: string;
  readonly ordered: boolean;
  readonly byTargets: Map<string, Addressed>;
  readonly byNode: Map<string, Addressed>;
}

/** What asynchronous messages resolve to that were taken at once. */
const TAKEN: SendReport = Object.freeze({ results: new Map(), ok: false });
const TAKEN_AT_ONCE = Promise.resolve(TAKEN);

const NOBODY: readonly string[] = [];

/** Messages between the members of one group, as one of them. */
export class Channel {
  readonly #ports: ChannelPorts;
  readonly #settings: ChannelSettings;
  readonly #logger: Logger;
  readonly #events: Events<ChannelEvents>;
  readonly #peers = new Map<string, PeerFlows>();
  readonly #pipeline: Pipeline;
  readonly #handlers: Handlers;
  readonly #unordered: ReadonlySet<string>;
  readonly #inOneOrder: OrderedTopics;
  readonly #undelivered = (event: Undelivered) => this.#events.emit("undelivered", event);
  #routes = new Map<string, Routes>();
  /** What messages without a token say of this member. */
  #sentWith: SentWith = { view: 0, token: undefined, election: undefined };
  readonly #formats = new Map<string, Format>();
  #decoded = 0;
  readonly #responders: Responders;
  readonly #requests: RequestRegister;
  readonly #requestPorts: RequestPorts;
  #lastRequest = 0;
  readonly #states = new Map<string, StateTransfer>();
  readonly #own: OwnHandlers;
  #view: ChannelView = { version: 0, members: [], coordinator: null };
  readonly #connections: Connections;
  /** Ends what this member waits for of its own accord. */
  readonly #ending = new AbortController();

  /** Throws `INVALID_OPTIONS`. */
  constructor(ports: ChannelPorts, options: ChannelOptions = {}) {
    this.#ports = ports;
    this.#settings = channelSettings(options);
    this.#unordered = new Set(this.#settings.unordered);
    this.#logger = guardedLogger(ports.logger);
    this.#events = new Events<ChannelEvents>((error, event) => this.#logger.error({ code: "LISTENER_FAILED", event, error: error instanceof Error ? error.message : String(error) }, "a listener of the channel threw"));
    this.#connections = new Connections({
      ...ports,
      logger: this.#logger,
      events: this.#events,
      up: (link) => this.#peer(link.peer).up(link),
      frame: (frame) => this.#peer(frame.link.peer).frame(frame),
    });
    const pipeline = new Pipeline(this.#settings.interceptors);
    const doorkeeper = new Doorkeeper(() => this.#view.version, ports.tokenOf);
    this.#pipeline = pipeline;
    this.#handlers = new Handlers({ node: ports.node, logger: this.#logger, pipeline, doorkeeper, formatOf: (topic) => this.#formatOf(topic) });
    this.#own = new OwnHandlers({ clock: ports.clock, handle: (parts) => this.#handlers.handle(parts) });
    this.#inOneOrder = new OrderedTopics({
      clock: ports.clock,
      self: { node: ports.node, incarnation: ports.incarnation },
      settings: this.#settings,
      logger: this.#logger,
      say: (flow, to, payload, deadlineMs, failed) => this.#sayOfOrder(flow, to, payload, deadlineMs, failed),
      handle: (parts) => this.#handlers.handle(parts),
      gap: (topic, from, number) => this.#events.emit("gap", { topic, from, number }),
      broken: (from, detail) => this.#connections.broken(from, detail),
    });
    this.#requests = new RequestRegister(ports.clock);
    this.#requestPorts = {
      clock: ports.clock,
      member: (node) => this.#view.members.find((member) => member.node === node),
      say: (asking, member, word, deadlineMs, settling) => this.#say(asking.topic, member, word, deadlineMs, asking, settling),
      open: (topic, body) => pipeline.in(body, { kind: "reply", topic }).payload,
      decode: (topic, payload) => this.#formatOf(topic).decode(payload),
      nextId: () => ++this.#lastRequest,
    };
    this.#responders = new Responders({
      clock: ports.clock,
      maxMessageBytes: this.#settings.maxMessageBytes,
      pipeline,
      doorkeeper,
      formatOf: (topic) => this.#formatOf(topic),
      answer: (topic, to, word, deadlineMs, settling = NOBODY_WAITS) => this.#say(topic, to, word, deadlineMs === 0 ? Infinity : deadlineMs, this.#sentWith, settling),
      failed: (topic, from, code) => this.#logger.warn({ code, topic, from: from.node }, "a handler of a request failed"),
    });
  }

  /** Begins to listen. Rejects as `Transport.open` does. Afterwards `address` is what others dial. */
  start(wait: Wait): Promise<void> {
    return this.#connections.start(wait);
  }

  get isOpen(): boolean {
    return this.#connections.isOpen;
  }

  /** For the member's metadata. */
  get address(): string {
    return this.#connections.address;
  }

  on<Name extends keyof ChannelEvents>(name: Name, listener: (event: ChannelEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener);
  }

  /** A new view came. Who is in it no more is not waited for; who is new is dialled. */
  setView(view: ChannelView): void {
    this.#view = view;
    this.#sentWith = { view: view.version, token: undefined, election: undefined };
    this.#routes = new Map();
    this.#connections.know(view.members.filter(({ incarnation }) => incarnation !== this.#ports.incarnation));
    for (const [incarnation, peer] of this.#peers) {
      if (this.#connections.knows(incarnation)) continue;
      this.#peers.delete(incarnation);
      this.#left(incarnation, peer);
    }
    this.#connections.review();
    this.#inOneOrder.setView(view);
  }

  /** Whether a member can be talked to now; `undefined` for who is no member. */
  reachability(incarnation: string): Reachability | undefined {
    return this.#connections.reachability(incarnation);
  }

  /** Measures the way to a member and back, once there is a connection. Rejects with `NODE_UNKNOWN`, `PEER_UNREACHABLE`, `TRANSPORT_TIMEOUT`, `ABORTED`, `TRANSPORT_CLOSED`. */
  ping(node: string, wait: Wait): Promise<Pong> {
    return this.#connections.ping(node, wait);
  }

  /** Says how values of a topic travel; before anything is sent on it or listened to. Throws `INVALID_NAME`, `DRIVER_MISSING`. */
  define(topic: string, format: TopicFormat): void {
    this.#formats.set(checkTopic(topic), new Format(topic, format, () => void this.#decoded++));
  }

  get counts(): ChannelCounts {
    return { decoded: this.#decoded };
  }

  /** What a message that is sent passes, in order: the interceptors, then what the channel does with each. */
  get pipeline(): readonly string[] {
    return this.#pipeline.stations;
  }

  /** Calls `handler` with each message of the topic that has what it demands; several handlers of one run one after the other. The returned function ends that. Throws `INVALID_NAME`. */
  listen(topic: string, handler: MessageHandler, demands: Demands = {}): () => void {
    return this.#handlers.add(topic, handler, demands);
  }

  /**
   * Sends bytes as they are, which must not be changed afterwards, and any other value by the codec of the topic. In mode `ack` it resolves when every target has a result; in mode `async` when it is kept for every target.
   * Rejects with `INVALID_NAME`, `INVALID_OPTIONS`, `PAYLOAD_INVALID`, `FRAME_TOO_LARGE`, `BACKPRESSURE` (those targets that had room get it all the same), `ABORTED` (likewise), `TRANSPORT_CLOSED`. What a target's handler throws is a result, not a rejection.
   */
  send(topic: string, value: unknown, options: SendOptions = {}): Promise<SendReport> {
    // Not an async function: a broadcast that is taken at once makes no promise of its own.
    try {
      return this.#send(topic, value, options);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * Answers requests on a topic, several at once up to a limit; more are answered `BUSY`. What `handler` returns is the reply, what it throws the failure; `Moved` sends the requester elsewhere. An async generator's replies go one by one to who asked by `stream`. The returned function ends it. Throws `INVALID_NAME`, `INVALID_OPTIONS`.
   */
  respond(topic: string, handler: RequestHandler, options: RespondOptions = {}): () => void {
    return this.#responders.add(checkTopic(topic), handler, options);
  }

  /**
   * Asks members, and waits for as many replies as the policy says, or until it cannot be met any more, or the deadline. Who left, failed or refused still counts among those who were asked. Each is asked at most once.
   * Rejects with `INVALID_NAME`, `INVALID_OPTIONS`, `PAYLOAD_INVALID`, `FRAME_TOO_LARGE`, `ABORTED`, `TRANSPORT_CLOSED`. What a handler throws is a reply, not a rejection.
   */
  request(topic: string, value: unknown, options: RequestOptions = {}): Promise<RequestReport> {
    try {
      this.#routesOf(topic);
      this.#connections.checkOpen();
      const { to = "any", policy = "first", deadlineMs = this.#settings.deadlineMs, signal } = options;
      checkPolicy(policy);
      checkDeadline(deadlineMs);
      if (signal?.aborted === true) throw abortError(signal, "asking");
      const body = this.#bodyOf("request", topic, value);
      const { members, missing } = resolveTargets(to, this.#view, this.#ports.incarnation, this.#ports.random);
      const { token, election } = splitToken(options.token);
      return this.#ask({ topic, token, election, members, missing, body, policy, deadlineMs, signal });
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * Asks one member for a stream of replies: begins when it is iterated, and ends with the last reply of the handler's generator, or when the iteration is left, which tells the handler to stop. No more replies come than are taken.
   * Iterating throws `INVALID_NAME`, `INVALID_OPTIONS`, `PAYLOAD_INVALID`, `FRAME_TOO_LARGE`, `ABORTED`, `TRANSPORT_CLOSED`; and `STREAM_BROKEN` after the last reply that came, with a `StreamEnd` as its cause.
   */
  async *stream(topic: string, value: unknown, options: StreamOptions = {}): AsyncGenerator<StreamReply, void, undefined> {
    checkTopic(topic);
    this.#connections.checkOpen();
    const { to = "any", deadlineMs = Infinity, signal, window = 16 } = options;
    checkDeadline(deadlineMs);
    if (signal?.aborted === true) throw abortError(signal, "asking");
    if (!Number.isSafeInteger(window) || window < 1) throw new TribuneError("INVALID_OPTIONS", `the window of a stream on ${topic} must be a whole number from 1 on`, { about: topic, next: "leave it out, or say how many replies may wait to be taken" });
    const body = this.#bodyOf("request", topic, value);
    const { members, missing } = resolveTargets(to, this.#view, this.#ports.incarnation, this.#ports.random);
    const [member] = members;
    if (members.length + missing.length > 1) throw new TribuneError("INVALID_OPTIONS", `a stream on ${topic} was asked of ${members.length + missing.length} members`, { about: topic, next: "ask one" });
    if (member === undefined) throw new TribuneError("STREAM_BROKEN", `there is nobody to ask for a stream on ${topic}`, { about: topic, next: "ask one that is a member", cause: { status: "left" } satisfies StreamEnd });
    const stream = new ReplyStream(this.#requestPorts, { topic, ...splitToken(options.token), member, body, deadlineMs, signal, window }, this.#requests);
    try {
      for (let reply = await stream.next(); reply !== undefined; reply = await stream.next()) yield reply;
    } finally {
      stream.close();
    }
  }

  /**
   * Names a state that members give to each other: this member obtains it when `obtainStates` is called, and gives it to others from then on. Throws `INVALID_NAME`, `INVALID_OPTIONS`.
   */
  state(name: string, state: SharedState, options: StateOptions = {}): void {
    const topic = STATE_PREFIX + checkTopic(name);
    const { clock, random, incarnation } = this.#ports;
    const transfer = new StateTransfer(name, state, options, {
      clock,
      random,
      incarnation,
      members: () => this.#view.members,
      ask: (member, payload, { deadlineMs, signal }) => this.#ask({ topic, ...splitToken(undefined), members: [member], missing: [], body: { payload, enveloped: false }, policy: "first", deadlineMs, signal }),
      progress: (progress) => this.#events.emit("state", progress),
    });
    this.#formats.set(topic, new Format(topic, { codec: "bytes" }, () => undefined));
    this.#responders.add(topic, (request) => transfer.give(request), {});
    this.#states.set(name, transfer);
  }

  /** Obtains all states that are not there yet, one after the other: when the first view is there, before the member begins its work. Rejects with `STATE_UNAVAILABLE`, `ABORTED`, and what a state's `apply` throws. */
  async obtainStates(wait: Wait): Promise<StateReport[]> {
    const dueMs = this.#ports.clock.monotonicMs() + wait.deadlineMs;
    const signal = wait.signal === undefined ? this.#ending.signal : AbortSignal.any([wait.signal, this.#ending.signal]);
    const reports: StateReport[] = [];
    for (const transfer of this.#states.values()) reports.push(await transfer.obtain({ deadlineMs: dueMs - this.#ports.clock.monotonicMs(), signal }));
    return reports;
  }

  /** Takes no more and calls no handler any more, says goodbye to everybody, and closes. What is awaited is answered `left`. May be called twice. */
  async stop(wait: Wait): Promise<void> {
    this.#connections.end();
    this.#own.stop();
    this.#ending.abort(new TribuneError("TRANSPORT_CLOSED", `the channel of ${this.#ports.node} was closed`, { about: this.#ports.node }));
    // First, so that no handler is called any more while the last bytes are written.
    for (const [incarnation, peer] of this.#peers) this.#left(incarnation, peer);
    this.#left(this.#ports.incarnation);
    this.#own.leave();
    this.#inOneOrder.stop();
    this.#requests.stop();
    await this.#connections.close(wait);
    this.#peers.clear();
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  #send(topic: string, value: unknown, options: SendOptions): Promise<SendReport> {
    this.#connections.checkOpen();
    const inOneOrder = this.#inOneOrder.get(topic);
    const { signal, to = inOneOrder === undefined ? "others" : "all", mode = this.#settings.mode, deadlineMs = this.#settings.deadlineMs } = options;
    checkMode(mode);
    checkDeadline(deadlineMs);
    if (signal?.aborted === true) throw abortError(signal, "sending");
    const routes = this.#routesOf(topic);
    const { payload, enveloped } = this.#bodyOf("message", topic, value);
    if (inOneOrder !== undefined && to !== "all") throw new TribuneError("INVALID_OPTIONS", `a message on ${topic} was to be sent to some, and all handle it in one order`, { about: topic, next: "send it to all, or on a topic that is not in totalOrder" });
    const addressed = inOneOrder === undefined ? this.#targets(routes, to) : new Addressed(topic, this.#view.members.map((member) => ({ member, way: undefined })), this.#undelivered);
    const missing = typeof to === "string" || addressed.targets.length === to.length ? NOBODY : to.filter((node) => !this.#view.members.some((member) => member.node === node));
    const nowMs = this.#ports.clock.monotonicMs();
    const about = options.token === undefined ? this.#sentWith : { view: this.#view.version, ...splitToken(options.token) };
    if (mode === "async") {
      const kept = new Kept(payload, enveloped, about, nowMs + deadlineMs, false, addressed);
      const taking = inOneOrder === undefined ? this.#hand(routes, addressed, kept, nowMs, signal) : inOneOrder.send(kept, addressed.incarnations, signal);
      if (taking === undefined && missing.length === 0) return TAKEN_AT_ONCE;
      return unlessAborted(Promise.resolve(taking), signal).then(() => ({ results: leftAlready(missing), ok: false }));
    }
    const acknowledged = new Promise<SendReport>((resolve) => {
      const kept = new Kept(payload, enveloped, about, nowMs + deadlineMs, true, new Acknowledgement(addressed, missing, isMany(to), resolve));
      void (inOneOrder === undefined ? this.#hand(routes, addressed, kept, nowMs, signal) : inOneOrder.send(kept, addressed.incarnations, signal));
    });
    return unlessAborted(acknowledged, signal);
  }

  /** Nothing is waited for before all targets have it or wait for room, each in the order of the calls. Returns what to wait for until all have it. */
  #hand({ topic, ordered }: Routes, { targets }: Addressed, kept: Kept, nowMs: number, signal: AbortSignal | undefined): Promise<unknown> | undefined {
    const waits = this.#settings.whenFull === "wait";
    let waiting: Array<Promise<void>> | undefined;
    let full = false;
    for (const { member, way } of targets) {
      if (way === undefined) {
        this.#own.give(topic, ordered, member, kept);
        continue;
      }
      const taking = way.peer.send(way.flow, kept, nowMs, waits, signal);
      if (taking === "full") full = true;
      else if (taking !== undefined) (waiting ??= []).push(taking);
    }
    if (full) throw new TribuneError("BACKPRESSURE", `a message on ${topic} was not taken for every target`, { about: topic, next: "send more slowly, or let send wait" });
    return waiting === undefined ? undefined : Promise.all(waiting);
  }

  #formatOf(topic: string): Format {
    const format = this.#formats.get(topic);
    if (format !== undefined) return format;
    this.define(topic, {});
    return this.#formatOf(topic);
  }

  /** Encoded, and passed by the interceptors. */
  #bodyOf(kind: "message" | "request", topic: string, value: unknown): Body {
    const body = this.#pipeline.out(value instanceof Uint8Array ? value : this.#formatOf(topic).encode(value), { kind, topic });
    const { maxMessageBytes } = this.#settings;
    if (body.payload.length > maxMessageBytes) throw new TribuneError("FRAME_TOO_LARGE", `a message of ${body.payload.length} bytes was to be sent on ${topic}`, { about: topic, next: `send at most ${maxMessageBytes} bytes, or raise maxMessageBytes` });
    return body;
  }

  #routesOf(topic: string): Routes {
    let routes = this.#routes.get(topic);
    if (routes === undefined) this.#routes.set(checkTopic(topic), (routes = { topic, ordered: !this.#unordered.has(topic), byTargets: new Map(), byNode: new Map() }));
    return routes;
  }

  #targets(routes: Routes, to: Targets): Addressed {
    const name = typeof to === "string" ? to : Array.isArray(to) && to.length === 1 ? (to[0] as string) : undefined;
    const kept = typeof to === "string" ? routes.byTargets : routes.byNode;
    const known = name === undefined ? undefined : kept.get(name);
    if (known !== undefined) return known;
    const { incarnation, random } = this.#ports;
    const targets = resolveTargets(to, this.#view, incarnation, random).members.map((member) => {
      if (member.incarnation === incarnation) return { member, way: undefined };
      const peer = this.#peer(member);
      return { member, way: { peer, flow: peer.flow(routes.topic, routes.ordered) } };
    });
    const addressed = new Addressed(routes.topic, targets, this.#undelivered);
    if (name !== undefined && to !== "any" && targets.length > 0) kept.set(name, addressed);
    return addressed;
  }

  #ask(asking: Asking): Promise<RequestReport> {
    return new PendingRequest(this.#requestPorts, asking, this.#requests).run();
  }

  /** A word about the one order of a topic, on one of its flows. Returns what to wait for until there is room for it. */
  #sayOfOrder(flow: string, to: PeerIdentity, payload: Uint8Array, deadlineMs: number, failed: (result: DeliveryResult) => void): Promise<void> | undefined {
    if (!this.#connections.knows(to.incarnation)) {
      failed({ status: "left" });
      return undefined;
    }
    const peer = this.#peer(to);
    const nowMs = this.#ports.clock.monotonicMs();
    const kept = new Kept(payload, false, this.#sentWith, nowMs + deadlineMs, false, { settle: (_incarnation, result) => failed(result) });
    const taking = peer.send(peer.flow(flow, true), kept, nowMs, true, undefined);
    return taking === "full" ? undefined : taking;
  }

  /** A request or an answer, on the flow that is theirs. To who has left, nothing is said. `settling` is told if it was given up. */
  #say(topic: string, to: PeerIdentity, word: RpcWord, deadlineMs: number, { token, election }: Omit<SentWith, "view">, settling: Settling): void {
    const view = this.#view.version;
    if (to.incarnation === this.#ports.incarnation) return queueMicrotask(() => this.#hear(to, topic, { payload: encodeRpc(word), view, token, election, deadlineMs: Number.isFinite(deadlineMs) ? Math.ceil(deadlineMs) : 0 }));
    if (!this.#connections.knows(to.incarnation)) return settling.settle(to.incarnation, { status: "left" });
    const peer = this.#peer(to);
    const nowMs = this.#ports.clock.monotonicMs();
    const lead = isRpcLead(word) ? word : undefined;
    const kept = new Kept(lead?.payload ?? encodeRpc(word), false, token === undefined ? this.#sentWith : { view, token, election }, nowMs + deadlineMs, false, settling, lead);
    const waits = (word.kind !== "request" && word.kind !== "open") || this.#settings.whenFull === "wait";
    const taking = peer.send(peer.requestFlow(topic), kept, nowMs, waits, undefined);
    if (taking === "full") settling.settle(to.incarnation, { status: "failed", code: "BACKPRESSURE", message: `${to.node} does not keep up with requests on ${topic}` });
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  #receive(from: PeerIdentity, { carries, name }: Flow, word: MessageWord): Outcome | Promise<Outcome> {
    const { topic, payload, enveloped, view, token, election, deadlineMs } = word;
    if (carries === "order") return this.#inOneOrder.heard(from, name, payload, deadlineMs);
    if (carries === "messages") return this.#inOneOrder.refuses(from, topic) ?? this.#handlers.handle({ topic, from, payload, enveloped, view, token, election, deadlineMs });
    this.#hear(from, name, word);
    return DELIVERED;
  }

  #hear(from: PeerIdentity, topic: string, { payload, view, token, election, deadlineMs }: Pick<MessageWord, "payload" | "view" | "token" | "election" | "deadlineMs">): void {
    let word;
    try {
      word = decodeRpc(payload);
    } catch (error) {
      return this.#connections.broken(from, error instanceof Error ? error.message : String(error));
    }
    if (word.kind === "request" || word.kind === "open") this.#responders.request(word.id, { topic, from, payload: word.payload, enveloped: word.enveloped, view, token, election, deadlineMs }, word.kind === "open" ? word.number : undefined);
    else if (word.kind === "more") this.#responders.more(from, word.id, word.number);
    else if (word.kind === "cancel") this.#responders.cancel(from, word.id);
    else this.#requests.get(word.id)?.heard(from, word);
  }

  // ---- members -----------------------------------------------------------------------------------------------

  #peer(identity: PeerIdentity): PeerFlows {
    let peer = this.#peers.get(identity.incarnation);
    if (peer === undefined) {
      peer = new PeerFlows(identity.incarnation, {
        clock: this.#ports.clock,
        limits: this.#settings,
        link: () => this.#connections.link(identity),
        handle: (flow, word) => this.#receive(identity, flow, word),
        gap: ({ topic, number }) => {
          // Who asked knows that it asked in vain; an order of all is looked at by its own numbers.
          if (!topic.startsWith(RPC_PREFIX) && !topic.startsWith(ORDER_PREFIX)) this.#events.emit("gap", { topic, from: identity, number });
        },
        broken: (detail) => this.#connections.broken(identity, detail),
      });
      this.#peers.set(identity.incarnation, peer);
    }
    return peer;
  }

  #left(incarnation: string, peer?: PeerFlows): void {
    peer?.leave();
    this.#responders.left(incarnation);
    for (const transfer of this.#states.values()) transfer.left(incarnation);
    this.#requests.left(incarnation);
  }

}

/** Whether a message to them may find nobody, and be delivered all the same. */
function isMany(to: Targets): boolean {
  return to === "all" || to === "others" || typeof to !== "string";
}

/** The wait is over when the signal aborts; what was waited for goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const aborted = () => reject(abortError(signal, "sending"));
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}
