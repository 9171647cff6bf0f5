import { abortError, Events, guardedLogger, isoTime, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock, Logger, Random } from "../kernel/index.ts";
import type { ConnectionDown, ConnectionSecurity, Endpoint, KeyRing, KnownPeer, Link, PeerIdentity, PeerUnreachable, Transport, Wait } from "../transport/index.ts";
import { Format } from "./codec.ts";
import type { TopicFormat } from "./codec.ts";
import { Delivery } from "./delivery.ts";
import type { DeliveryResult } from "./delivery.ts";
import { ReceivedMessage } from "./message.ts";
import type { Message, MessageParts } from "./message.ts";
import { checkTopic, codeOf, DELIVERED, RPC_PREFIX, STATE_PREFIX } from "./messages.ts";
import type { MessageWord, Outcome } from "./messages.ts";
import { channelSettings } from "./options.ts";
import type { ChannelOptions, ChannelSettings, SendMode } from "./options.ts";
import { PeerFlows } from "./peer.ts";
import type { Flow, Kept } from "./peer.ts";
import type { ReplyPolicy } from "./gathering.ts";
import { PendingRequest, RequestRegister } from "./requests.ts";
import type { Asking, RequestPorts, RequestReport } from "./requests.ts";
import { Responders } from "./responders.ts";
import type { RequestHandler, RespondOptions } from "./responders.ts";
import { decodeRpc, encodeRpc } from "./rpc-words.ts";
import type { RpcWord } from "./rpc-words.ts";
import type { SharedState, StateOptions, StateProgress, StateReport } from "./state.ts";
import { StateTransfer } from "./state-transfer.ts";
import { resolveTargets } from "./targets.ts";
import type { ChannelView, Targets } from "./targets.ts";

/** What a channel stands on. */
export interface ChannelPorts {
  readonly group: string;
  readonly node: string;
  readonly incarnation: string;
  readonly transport: Transport;
  readonly keys?: KeyRing | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Called with each message; the message is handled when what it returns has settled. */
export type MessageHandler = (message: Message) => unknown;

/** What a message is sent with. */
export interface SendOptions {
  /** Default "others". */
  readonly to?: Targets;
  /** Default: the channel's. */
  readonly mode?: SendMode;
  /** How long it is tried, in milliseconds. Default: the channel's. */
  readonly deadlineMs?: number;
  /** Ends the wait, not the message. */
  readonly signal?: AbortSignal;
  readonly token?: number;
}

/** What is asked with. */
export interface RequestOptions {
  /** Default "any". */
  readonly to?: Targets;
  /** How many replies are waited for: the first, more than half of those who were asked, all, or none. Default "first". */
  readonly policy?: ReplyPolicy;
  /** How long is waited, in milliseconds; those who are asked are told what is left of it. Default: the channel's. */
  readonly deadlineMs?: number;
  /** Ends the wait, and tells those who are asked to stop. */
  readonly signal?: AbortSignal;
  readonly token?: number;
}

/** What became of a message: one result per target. In mode `async` there are none but for targets that do not exist. */
export interface SendReport {
  /** By node, in order of joining. */
  readonly results: ReadonlyMap<string, DeliveryResult>;
  /** Every target has handled it. `false` in mode `async`, in which nobody knows, and where there is no coordinator, or no oldest member, to send it to. */
  readonly ok: boolean;
}

/** Events of a channel. */
export interface ChannelEvents {
  /** A sender has given up a message to this member: it will not come. In its place in the order. */
  gap: { readonly topic: string; readonly from: PeerIdentity; readonly number: number };
  /** A message of this member that nobody awaited was given up. */
  undelivered: { readonly topic: string; readonly to: PeerIdentity; readonly result: DeliveryResult };
  /** A page of a state came and was applied. */
  state: StateProgress;
  /** A connection with a member began or ended, or another attempt to make one failed. Says nothing about whether the member lives. `since`: how long it has been so; ISO 8601, by this process's clock. */
  reachability: { readonly peer: PeerIdentity; readonly connected: boolean; readonly since: string; readonly detail: string };
}

/** What went through a channel. */
export interface ChannelCounts {
  /** Payloads that were decoded. What nobody asked for, duplicates, and what is for others is not. */
  readonly decoded: number;
}

/** Whether a member can be talked to now. */
export interface Reachability {
  readonly connected: boolean;
  /** Since when it is so; ISO 8601, by this process's clock. */
  readonly since: string;
  /** How the connection is protected; `undefined` while there is none. */
  readonly security: ConnectionSecurity | undefined;
}

/** What a ping found. */
export interface Pong extends PeerIdentity {
  /** There and back, in milliseconds. */
  readonly roundTripMs: number;
  readonly security: ConnectionSecurity | undefined;
}

/** One member that a message is for. */
interface Target {
  readonly member: KnownPeer;
  /** `undefined`: this member itself. */
  readonly way: { readonly peer: PeerFlows; readonly flow: Flow } | undefined;
}

/** Whom messages of one topic go to, worked out once for each view. */
interface Routes {
  readonly topic: string;
  readonly ordered: boolean;
  readonly byTargets: Map<string, readonly Target[]>;
}

/** What asynchronous messages resolve to that were taken at once. */
const TAKEN: SendReport = Object.freeze({ results: new Map(), ok: false });
const TAKEN_AT_ONCE = Promise.resolve(TAKEN);

/** Messages between the members of one group, as one of them. */
export class Channel {
  readonly #ports: ChannelPorts;
  readonly #settings: ChannelSettings;
  readonly #logger: Logger;
  readonly #events: Events<ChannelEvents>;
  readonly #peers = new Map<string, PeerFlows>();
  readonly #topics = new Map<string, readonly MessageHandler[]>();
  readonly #unordered: ReadonlySet<string>;
  #routes = new Map<string, Routes>();
  readonly #formats = new Map<string, Format>();
  #decoded = 0;
  readonly #responders: Responders;
  readonly #requests: RequestRegister;
  readonly #requestPorts: RequestPorts;
  #lastRequest = 0;
  readonly #states = new Map<string, StateTransfer>();
  /** The last message to this member itself, by topic. */
  readonly #own = new Map<string, Promise<void>>();
  #view: ChannelView = { version: 0, members: [], coordinator: null };
  #known = new Map<string, KnownPeer>();
  /** Of the connections that there are, by incarnation. */
  readonly #security = new Map<string, ConnectionSecurity>();
  #endpoint: Endpoint | undefined;
  #isStopped = false;
  /** Ends what this member waits for of its own accord. */
  readonly #ending = new AbortController();

  /** Throws `INVALID_OPTIONS`. */
  constructor(ports: ChannelPorts, options: ChannelOptions = {}) {
    this.#ports = ports;
    this.#settings = channelSettings(options);
    this.#unordered = new Set(this.#settings.unordered);
    this.#logger = guardedLogger(ports.logger);
    this.#requests = new RequestRegister(ports.clock);
    this.#requestPorts = {
      clock: ports.clock,
      member: (node) => this.#view.members.find((member) => member.node === node),
      say: ({ topic, token }, member, word, deadlineMs, failed) => this.#say(topic, member, word, { deadlineMs, token }, failed),
      decode: (topic, payload) => this.#formatOf(topic).decode(payload),
      nextId: () => ++this.#lastRequest,
    };
    this.#responders = new Responders({
      clock: ports.clock,
      maxMessageBytes: this.#settings.maxMessageBytes,
      formatOf: (topic) => this.#formatOf(topic),
      answer: (topic, to, word, deadlineMs) => this.#say(topic, to, word, { deadlineMs: deadlineMs === 0 ? this.#settings.deadlineMs : deadlineMs, token: undefined }, () => undefined),
      failed: (topic, from, code) => this.#logger.warn({ code, topic, from: from.node }, "a handler of a request failed"),
    });
    this.#events = new Events<ChannelEvents>((error, event) => this.#logger.error({ code: "LISTENER_FAILED", event, error: error instanceof Error ? error.message : String(error) }, "a listener of the channel threw"));
  }

  /** Begins to listen. Rejects as `Transport.open` does. Afterwards `address` is what others dial. */
  async start(wait: Wait): Promise<void> {
    const { group, node, incarnation, keys, clock, random } = this.#ports;
    this.#endpoint = await this.#ports.transport.open({
      group,
      node,
      incarnation,
      known: (each) => this.#known.get(each),
      handlers: {
        up: ({ link, security }) => {
          this.#security.set(link.peer.incarnation, security);
          this.#peer(link.peer).up(link);
          this.#events.emit("reachability", { peer: link.peer, connected: true, since: this.#since(link), detail: "a connection began" });
        },
        down: (event) => this.#down(event),
        unreachable: (event) => this.#down(event),
        frame: (frame) => this.#peer(frame.link.peer).frame(frame),
      },
      keys,
      clock,
      random,
      logger: this.#logger,
      ...wait,
    });
  }

  get isOpen(): boolean {
    return this.#endpoint !== undefined && !this.#isStopped;
  }

  /** For the member's metadata. */
  get address(): string {
    return this.#started().address;
  }

  on<Name extends keyof ChannelEvents>(name: Name, listener: (event: ChannelEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener);
  }

  /** A new view came. Who is in it no more is not waited for; who is new is dialled. */
  setView(view: ChannelView): void {
    this.#view = view;
    this.#routes = new Map();
    this.#known = new Map(view.members.filter(({ incarnation }) => incarnation !== this.#ports.incarnation).map((member) => [member.incarnation, member]));
    for (const [incarnation, peer] of this.#peers) {
      if (this.#known.has(incarnation)) continue;
      this.#peers.delete(incarnation);
      this.#left(incarnation, peer);
    }
    const endpoint = this.#started();
    endpoint.review();
    for (const member of this.#known.values()) endpoint.link(member);
  }

  /** Whether a member can be talked to now; `undefined` for who is no member. */
  reachability(incarnation: string): Reachability | undefined {
    const link = this.#endpoint?.links.find((each) => each.peer.incarnation === incarnation);
    return link === undefined ? undefined : { connected: link.state === "up", since: this.#since(link), security: this.#security.get(incarnation) };
  }

  /** Measures the way to a member and back, once there is a connection. Rejects with `NODE_UNKNOWN`, `PEER_UNREACHABLE`, `TRANSPORT_TIMEOUT`, `ABORTED`, `TRANSPORT_CLOSED`. */
  async ping(node: string, wait: Wait): Promise<Pong> {
    const { clock } = this.#ports;
    const endpoint = this.#started();
    const member = [...this.#known.values()].find((each) => each.node === node);
    if (member === undefined) throw new TribuneError("NODE_UNKNOWN", `${node} is no other member with a channel`, { about: node, next: "see tribune members" });
    const dueMs = clock.monotonicMs() + wait.deadlineMs;
    const link = endpoint.link(member);
    if (link.state !== "up") await this.#connected(member, wait);
    const roundTripMs = await link.ping({ ...wait, deadlineMs: Math.max(1, dueMs - clock.monotonicMs()) });
    return { node, incarnation: member.incarnation, roundTripMs, security: this.#security.get(member.incarnation) };
  }

  /** Resolves with the next connection to that member. */
  async #connected({ node, incarnation }: PeerIdentity, wait: Wait): Promise<void> {
    let off: (() => void) | undefined;
    let detail = "no connection was made";
    const connected = new Promise<void>((resolve) => {
      off = this.#events.on("reachability", (event) => {
        if (event.peer.incarnation !== incarnation) return;
        if (event.connected) resolve();
        else ({ detail } = event);
      });
    });
    try {
      await withDeadline(connected, { clock: this.#ports.clock, ms: wait.deadlineMs, operation: `connecting to ${node}`, signal: wait.signal });
    } catch (error) {
      if (wait.signal?.aborted === true) throw abortError(wait.signal, "pinging");
      throw new TribuneError("PEER_UNREACHABLE", `${node} could not be reached within ${wait.deadlineMs} ms: ${detail}`, { about: node, next: "see whether the network lets members talk to each other, and what address it advertises", retryable: true, cause: error });
    } finally {
      off?.();
    }
  }

  /** The moment at which a link's state began, for people. */
  #since({ sinceMs }: Link): string {
    const { clock } = this.#ports;
    return isoTime(clock.wallMs() - (clock.monotonicMs() - sinceMs));
  }

  /** Says how values of a topic travel; before anything is sent on it or listened to. Throws `INVALID_NAME`. */
  define(topic: string, format: TopicFormat): void {
    this.#formats.set(checkTopic(topic), new Format(topic, format, () => void this.#decoded++));
  }

  get counts(): ChannelCounts {
    return { decoded: this.#decoded };
  }

  /** Calls `handler` with each message of the topic; several handlers of one run one after the other. The returned function ends that. Throws `INVALID_NAME`. */
  listen(topic: string, handler: MessageHandler): () => void {
    checkTopic(topic);
    const own: MessageHandler = (message) => handler(message); // the same function may be given twice
    this.#topics.set(topic, [...(this.#topics.get(topic) ?? []), own]);
    return () => void this.#topics.set(topic, (this.#topics.get(topic) ?? []).filter((each) => each !== own));
  }

  /**
   * Sends bytes as they are, which must not be changed afterwards, and any other value by the codec of the topic. In mode `ack` it resolves when every target has a result; in mode `async` when it is kept for every target.
   * Rejects with `INVALID_NAME`, `PAYLOAD_INVALID`, `FRAME_TOO_LARGE`, `BACKPRESSURE` (those targets that had room get it all the same), `ABORTED` (likewise), `TRANSPORT_CLOSED`. What a target's handler throws is a result, not a rejection.
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
   * Answers requests on a topic, several at once up to a limit; more are answered `BUSY`. What `handler` returns is the reply, what it throws the failure; `Moved` sends the requester elsewhere. The returned function ends it. Throws `INVALID_NAME`, `INVALID_OPTIONS`.
   */
  respond(topic: string, handler: RequestHandler, options: RespondOptions = {}): () => void {
    return this.#responders.add(checkTopic(topic), handler, options);
  }

  /**
   * Asks members, and waits for as many replies as the policy says, or until it cannot be met any more, or the deadline. Who left, failed or refused still counts among those who were asked. Each is asked at most once.
   * Rejects with `INVALID_NAME`, `PAYLOAD_INVALID`, `FRAME_TOO_LARGE`, `ABORTED`, `TRANSPORT_CLOSED`. What a handler throws is a reply, not a rejection.
   */
  async request(topic: string, value: unknown, options: RequestOptions = {}): Promise<RequestReport> {
    checkTopic(topic);
    this.#started();
    const { to = "any", policy = "first", deadlineMs = this.#settings.deadlineMs, signal, token } = options;
    if (signal?.aborted === true) throw abortError(signal, "asking");
    const format = this.#formatOf(topic);
    const payload = format.encode(value);
    this.#checkLength(topic, payload);
    const { members, missing } = resolveTargets(to, this.#view, this.#ports.incarnation, this.#ports.random);
    return this.#ask({ topic, token, members, missing, payload, policy, deadlineMs, signal });
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
      ask: (member, payload, { deadlineMs, signal }) => this.#ask({ topic, token: undefined, members: [member], missing: [], payload, policy: "first", deadlineMs, signal }),
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

  /** Takes no more, says goodbye to everybody, and closes. What is awaited is answered `left`. May be called twice. */
  async stop(wait: Wait): Promise<void> {
    this.#isStopped = true;
    this.#ending.abort(new TribuneError("TRANSPORT_CLOSED", `the channel of ${this.#ports.node} was closed`, { about: this.#ports.node }));
    await this.#endpoint?.close(wait);
    for (const [incarnation, peer] of this.#peers) this.#left(incarnation, peer);
    this.#left(this.#ports.incarnation);
    this.#requests.stop();
    this.#peers.clear();
  }

  // ---- sending -----------------------------------------------------------------------------------------------

  #send(topic: string, value: unknown, options: SendOptions): Promise<SendReport> {
    this.#started();
    const { signal, to = "others", mode = this.#settings.mode, deadlineMs = this.#settings.deadlineMs, token } = options;
    if (signal?.aborted === true) throw abortError(signal, "sending");
    const routes = this.#routesOf(topic);
    const payload = value instanceof Uint8Array ? value : this.#formatOf(topic).encode(value);
    this.#checkLength(topic, payload);
    const targets = this.#targets(routes, to);
    const missing = typeof to === "string" ? [] : to.filter((node) => !this.#view.members.some((member) => member.node === node));
    const nowMs = this.#ports.clock.monotonicMs();
    const about = { payload, view: this.#view.version, token, deadlineMs: nowMs + deadlineMs };
    if (mode === "async") {
      const taking = this.#hand(routes, targets, { ...about, awaited: false, settle: (incarnation, result) => this.#undelivered(topic, targets, incarnation, result) }, nowMs, signal);
      if (taking === undefined && missing.length === 0) return TAKEN_AT_ONCE;
      return unlessAborted(Promise.resolve(taking), signal).then(() => ({ results: leftAlready(missing), ok: false }));
    }
    const delivery = new Delivery(targets.map(({ member }) => member.incarnation));
    const done = new Promise<void>((resolve) => {
      if (delivery.done) resolve();
      const settle = (incarnation: string, result: DeliveryResult) => void (delivery.settle(incarnation, result) && delivery.done && resolve());
      void this.#hand(routes, targets, { ...about, awaited: true, settle }, nowMs, signal);
    });
    return unlessAborted(done, signal).then(() => {
      const results = leftAlready(missing);
      const found = delivery.results();
      for (const { member } of targets) {
        const result = found.get(member.incarnation);
        if (result !== undefined) results.set(member.node, result);
      }
      return { results, ok: (isMany(to) || results.size > 0) && [...results.values()].every(({ status }) => status === "delivered") };
    });
  }

  /** Nothing is waited for before all targets have it or wait for room, each in the order of the calls. Returns what to wait for until all have it. */
  #hand({ topic, ordered }: Routes, targets: readonly Target[], kept: Kept, nowMs: number, signal: AbortSignal | undefined): Promise<unknown> | undefined {
    const waits = this.#settings.whenFull === "wait";
    let waiting: Array<Promise<void>> | undefined;
    let full = false;
    for (const { member, way } of targets) {
      if (way === undefined) {
        this.#handToSelf(topic, ordered, member, kept);
        continue;
      }
      const taking = way.peer.send(way.flow, kept, nowMs, waits, signal);
      if (taking === "full") full = true;
      else if (taking !== undefined) (waiting ??= []).push(taking);
    }
    if (full) throw new TribuneError("BACKPRESSURE", `a message on ${topic} was not taken for every target`, { about: topic, next: "send more slowly, or let send wait" });
    return waiting === undefined ? undefined : Promise.all(waiting);
  }

  #handToSelf(topic: string, ordered: boolean, member: KnownPeer, kept: Kept): void {
    const message = { topic, from: member, payload: kept.payload, view: kept.view, token: kept.token, deadlineMs: 0 };
    const before = ordered ? (this.#own.get(topic) ?? Promise.resolve()) : Promise.resolve();
    const handled = before.then(() => this.#handle(message)).then((outcome) => void (kept.awaited && kept.settle(member.incarnation, outcome)));
    if (ordered) this.#own.set(topic, handled);
  }

  #undelivered(topic: string, targets: readonly Target[], incarnation: string, result: DeliveryResult): void {
    const to = targets.find(({ member }) => member.incarnation === incarnation)?.member;
    if (to !== undefined) this.#events.emit("undelivered", { topic, to: { node: to.node, incarnation }, result });
  }

  #formatOf(topic: string): Format {
    const format = this.#formats.get(topic);
    if (format !== undefined) return format;
    this.define(topic, {});
    return this.#formatOf(topic);
  }

  #checkLength(topic: string, payload: Uint8Array): void {
    const { maxMessageBytes } = this.#settings;
    if (payload.length > maxMessageBytes) throw new TribuneError("FRAME_TOO_LARGE", `a message of ${payload.length} bytes was to be sent on ${topic}`, { about: topic, next: `send at most ${maxMessageBytes} bytes, or raise maxMessageBytes` });
  }

  #routesOf(topic: string): Routes {
    let routes = this.#routes.get(topic);
    if (routes === undefined) this.#routes.set(checkTopic(topic), (routes = { topic, ordered: !this.#unordered.has(topic), byTargets: new Map() }));
    return routes;
  }

  #targets(routes: Routes, to: Targets): readonly Target[] {
    const name = typeof to === "string" ? to : to.length === 1 ? `node ${to[0]}` : undefined;
    const known = name === undefined ? undefined : routes.byTargets.get(name);
    if (known !== undefined) return known;
    const { incarnation, random } = this.#ports;
    const targets = resolveTargets(to, this.#view, incarnation, random).members.map((member): Target => {
      if (member.incarnation === incarnation) return { member, way: undefined };
      const peer = this.#peer(member);
      return { member, way: { peer, flow: peer.flow(routes.topic, routes.ordered) } };
    });
    if (name !== undefined && name !== "any" && targets.length > 0) routes.byTargets.set(name, targets);
    return targets;
  }

  #ask(asking: Asking): Promise<RequestReport> {
    return new PendingRequest(this.#requestPorts, asking, this.#requests).run();
  }

  /** A request or an answer, on the flow that is theirs. To who has left, nothing is said. */
  #say(topic: string, to: PeerIdentity, word: RpcWord, { deadlineMs, token }: { readonly deadlineMs: number; readonly token: number | undefined }, failed: (result: DeliveryResult) => void): void {
    const payload = encodeRpc(word);
    const view = this.#view.version;
    if (to.incarnation === this.#ports.incarnation) return queueMicrotask(() => this.#hear(to, topic, { payload, view, token, deadlineMs: Math.ceil(deadlineMs) }));
    if (!this.#known.has(to.incarnation)) return failed({ status: "left" });
    const peer = this.#peer(to);
    const nowMs = this.#ports.clock.monotonicMs();
    const waits = word.kind !== "request" || this.#settings.whenFull === "wait";
    const taking = peer.send(peer.flow(RPC_PREFIX + topic, true), { payload, view, token, deadlineMs: nowMs + deadlineMs, awaited: false, settle: (_incarnation, result) => failed(result) }, nowMs, waits, undefined);
    if (taking === "full") failed({ status: "failed", code: "BACKPRESSURE", message: `${to.node} does not keep up with requests on ${topic}` });
  }

  // ---- receiving ---------------------------------------------------------------------------------------------

  #receive(from: PeerIdentity, word: MessageWord): Outcome | Promise<Outcome> {
    const { topic, payload, view, token, deadlineMs } = word;
    if (!topic.startsWith(RPC_PREFIX)) return this.#handle({ topic, from, payload, view, token, deadlineMs });
    this.#hear(from, topic.slice(RPC_PREFIX.length), word);
    return DELIVERED;
  }

  #hear(from: PeerIdentity, topic: string, { payload, view, token, deadlineMs }: Pick<MessageWord, "payload" | "view" | "token" | "deadlineMs">): void {
    let word;
    try {
      word = decodeRpc(payload);
    } catch (error) {
      return this.#broken(from, error instanceof Error ? error.message : String(error));
    }
    if (word.kind === "request") this.#responders.request(word.id, { topic, from, payload: word.payload, view, token, deadlineMs });
    else if (word.kind === "cancel") this.#responders.cancel(from, word.id);
    else this.#requests.get(word.id)?.heard(from, word);
  }

  /** Runs all handlers, one after the other; the first failure is the outcome. Never rejects; a promise only if a handler gives one. */
  #handle(parts: MessageParts): Outcome | Promise<Outcome> {
    const handlers = this.#topics.get(parts.topic);
    if (handlers === undefined || handlers.length === 0) return { status: "failed", code: "TOPIC_UNHANDLED", message: `${this.#ports.node} has no handler for ${parts.topic}` };
    const format = this.#formatOf(parts.topic);
    const message = new ReceivedMessage(parts, format);
    if (format.checks) return message.check().then(() => this.#run(message, handlers), (error: unknown) => this.#failed(message, error, DELIVERED));
    return this.#run(message, handlers);
  }

  #run(message: Message, handlers: readonly MessageHandler[]): Outcome | Promise<Outcome> {
    let outcome = DELIVERED;
    for (const [at, handler] of handlers.entries()) {
      try {
        const returned = handler(message);
        if (isThenable(returned)) return this.#handleOn(message, returned, handlers.slice(at + 1), outcome);
      } catch (error) {
        outcome = this.#failed(message, error, outcome);
      }
    }
    return outcome;
  }

  async #handleOn(message: Message, running: PromiseLike<unknown>, handlers: readonly MessageHandler[], before: Outcome): Promise<Outcome> {
    let outcome = before;
    for (const handle of [() => running, ...handlers]) {
      try {
        await handle(message);
      } catch (error) {
        outcome = this.#failed(message, error, outcome);
      }
    }
    return outcome;
  }

  #failed(message: Message, error: unknown, before: Outcome): Outcome {
    const code = codeOf(error);
    this.#logger.warn({ code, topic: message.topic, from: message.from.node }, "a handler of a message failed");
    return before.status === "delivered" ? { status: "failed", code, message: error instanceof Error ? error.message : String(error) } : before;
  }

  // ---- members -----------------------------------------------------------------------------------------------

  #peer(identity: PeerIdentity): PeerFlows {
    let peer = this.#peers.get(identity.incarnation);
    if (peer === undefined) {
      peer = new PeerFlows(identity.incarnation, {
        clock: this.#ports.clock,
        limits: this.#settings,
        link: () => (this.#isStopped || this.#endpoint?.ended.aborted === true ? undefined : this.#endpoint?.link(identity)),
        handle: (word) => this.#receive(identity, word),
        gap: ({ topic, number }) => {
          if (!topic.startsWith(RPC_PREFIX)) this.#events.emit("gap", { topic, from: identity, number }); // who asked knows that it asked in vain
        },
        broken: (detail) => this.#broken(identity, detail),
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

  #down({ link, detail }: ConnectionDown | PeerUnreachable): void {
    this.#security.delete(link.peer.incarnation);
    this.#events.emit("reachability", { peer: link.peer, connected: false, since: this.#since(link), detail });
  }

  /** Its connection ends; it may come again, with the next thing that is sent to it. */
  #broken(peer: PeerIdentity, detail: string): void {
    this.#logger.warn({ code: "PROTOCOL_VIOLATION", node: peer.node, detail }, "a connection was ended: the peer broke the protocol of the channel");
    if (this.#known.has(peer.incarnation)) this.#endpoint?.link(peer).close();
  }

  #started(): Endpoint {
    if (this.#endpoint !== undefined && !this.#isStopped) return this.#endpoint;
    throw new TribuneError("TRANSPORT_CLOSED", `the channel of ${this.#ports.node} is not open`, { about: this.#ports.node, next: this.#isStopped ? "begin again as a new incarnation" : "start it first" });
  }
}

/** Whether a message to them may find nobody, and be delivered all the same. */
function isMany(to: Targets): boolean {
  return to === "all" || to === "others" || typeof to !== "string";
}

function leftAlready(missing: readonly string[]): Map<string, DeliveryResult> {
  return new Map(missing.map((node) => [node, { status: "left" }]));
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
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
