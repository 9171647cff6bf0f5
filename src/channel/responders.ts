import { TribuneError } from "../kernel/index.ts";
import type { Clock, Timer } from "../kernel/index.ts";
import type { PeerIdentity } from "../transport/index.ts";
import type { Format } from "./codec.ts";
import type { DeliveryResult } from "./delivery.ts";
import { checkDemands } from "./demands.ts";
import type { Demands, Doorkeeper } from "./demands.ts";
import type { Body, Notes, Pipeline } from "./interceptors.ts";
import { ReceivedMessage } from "./message.ts";
import type { Message, ReceivedParts } from "./message.ts";
import { isThenable } from "./handlers.ts";
import type { Settling } from "./kept.ts";
import { checkMember, codeOf } from "./messages.ts";
import { Moved } from "./moved.ts";
import { NumberMap } from "./number-map.ts";
import type { RpcWord } from "./rpc-words.ts";

/** A request as its handler gets it. */
export interface Request extends Message {
  /** Aborts when the requester gives up, leaves, or its deadline comes. */
  readonly signal: AbortSignal;
  /** What is left of the requester's deadline, in milliseconds, by this member's clock from when the request came. For requests of the handler's own. */
  remainingMs(): number;
}

/** Answers requests: with a value, by throwing, or with `Moved`, which it throws or returns. */
export type RequestHandler = (request: Request) => unknown;

/** How a topic is answered. */
export interface RespondOptions extends Demands {
  /** How many requests may be worked on at once; more are answered `BUSY`. Larger: more is taken on, and all of it gets slower. Default 64. */
  readonly concurrency?: number;
}

/** What responders need of the channel. */
export interface ResponderPorts {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly pipeline: Pipeline;
  readonly doorkeeper: Doorkeeper;
  formatOf(topic: string): Format;
  /** Sends an answer; it may wait, it may be lost with its requester. `deadlineMs`: what is left; 0 or `Infinity`: there is no deadline. `failed` is called if it is given up. */
  answer(topic: string, to: PeerIdentity, word: RpcWord, deadlineMs: number, settling?: Settling): void;
  /** A handler failed: for the log. */
  failed(topic: string, from: PeerIdentity, code: string): void;
}

const DEFAULT_CONCURRENCY = 64;

interface Responder {
  readonly handler: RequestHandler;
  readonly concurrency: number;
  readonly demands: Demands;
  running: number;
}

/** A request that is worked on. Makes a signal and a timer only if its handler asks. */
class RunningRequest extends ReceivedMessage implements Request {
  readonly #clock: Clock;
  readonly #dueMs: number;
  #abort: AbortController | undefined;
  #timer: Timer | undefined;
  /** Nobody waits for the answer. */
  isGivenUp = false;
  /** How many replies of a stream were sent. */
  given = 0;
  /** Why one of them will not arrive. */
  lost: TribuneError | undefined;

  /** How many replies of a stream the requester takes so far; `undefined`: it wants one reply. */
  readonly #credit: Credit | undefined;

  constructor(parts: ReceivedParts, payload: Uint8Array, format: Format, clock: Clock, credit: Credit | undefined) {
    super(parts, payload, format);
    this.#credit = credit;
    this.#clock = clock;
    this.#dueMs = parts.deadlineMs === 0 ? Infinity : clock.monotonicMs() + parts.deadlineMs;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.isGivenUp) this.#cancel("the requester gave it up");
      else if (Number.isFinite(this.#dueMs)) this.#timer ??= this.#clock.setTimer(this.remainingMs(), () => this.#cancel("the requester's deadline has come"));
    }
    return this.#abort.signal;
  }

  remainingMs(): number {
    return Math.max(0, this.#dueMs - this.#clock.monotonicMs());
  }

  /** A stream ends with its deadline, also where its handler does not look at the signal: it may wait for room that nobody makes. */
  endInTime(): void {
    if (Number.isFinite(this.#dueMs)) this.#timer ??= this.#clock.setTimer(this.remainingMs(), () => this.giveUp("the requester's deadline has come"));
  }

  /** A reply was given up: those after it are of no use. */
  lose(result: DeliveryResult): void {
    if (result.status !== "failed" || this.lost !== undefined) return;
    this.lost = new TribuneError(result.code === "FRAME_TOO_LARGE" ? result.code : "PEER_UNREACHABLE", `a reply of the stream on ${this.topic} was given up: ${result.message}`, { about: this.topic });
    this.#credit?.end();
  }

  giveUp(why: string): void {
    this.isGivenUp = true;
    this.#credit?.end();
    this.#cancel(why);
  }

  get credit(): Credit | undefined {
    return this.#credit;
  }

  finished(): void {
    this.#timer?.cancel();
  }

  #cancel(why: string): void {
    this.#timer?.cancel();
    this.#abort?.abort(new TribuneError("ABORTED", `a request on ${this.topic} was cancelled: ${why}`, { about: this.topic }));
  }
}

/** The side of requests that answers them. */
export class Responders {
  readonly #ports: ResponderPorts;
  readonly #responders = new Map<string, Responder>();
  /** By incarnation of the requester, then by its id. */
  readonly #running = new Map<string, NumberMap<RunningRequest>>();

  constructor(ports: ResponderPorts) {
    this.#ports = ports;
  }

  /** One for each topic. The returned function ends it. Throws `INVALID_OPTIONS`. */
  add(topic: string, handler: RequestHandler, { concurrency = DEFAULT_CONCURRENCY, ...demands }: RespondOptions): () => void {
    checkDemands(demands);
    if (this.#responders.has(topic)) throw new TribuneError("INVALID_OPTIONS", `${topic} has a responder already`, { about: topic, next: "end the first one, or use another topic" });
    if (!Number.isSafeInteger(concurrency) || concurrency < 1) throw new TribuneError("INVALID_OPTIONS", `concurrency of ${topic} must be a whole number from 1 on`, { about: topic, next: "leave it out, or say how many requests are worked on at once" });
    const responder = { handler, concurrency, demands, running: 0 };
    this.#responders.set(topic, responder);
    return () => void (this.#responders.get(topic) === responder && this.#responders.delete(topic));
  }

  /** `upTo`: how many replies of a stream are taken at first; `undefined`: one reply is wanted. */
  request(id: number, parts: ReceivedParts, upTo: number | undefined): void {
    const { topic, from } = parts;
    const responder = this.#responders.get(topic);
    const refuse = (code: string, message: string) => this.#ports.answer(topic, from, { kind: "failed", id, after: 0, code, message }, parts.deadlineMs);
    if (responder === undefined) return refuse("TOPIC_UNHANDLED", `nobody responds to ${topic} there`);
    if (responder.running >= responder.concurrency) return refuse("BUSY", `${responder.running} requests on ${topic} are worked on there`);
    let opened;
    try {
      opened = this.#ports.pipeline.in(parts, { kind: "request", topic });
    } catch (error) {
      return refuse(codeOf(error), error instanceof Error ? error.message : String(error));
    }
    const request = new RunningRequest(parts, opened.payload, this.#ports.formatOf(topic), this.#ports.clock, upTo === undefined ? undefined : new Credit(upTo));
    const answer = this.#work(responder, request, id, opened.notes);
    if (answer instanceof Promise) this.#answerLater(responder, request, id, answer);
    else this.#answer(request, id, answer);
  }

  /** Until it is answered it can be given up, and counts. */
  #answerLater(responder: Responder, request: RunningRequest, id: number, answer: Promise<Unnumbered>): void {
    const { incarnation } = request.from;
    let running = this.#running.get(incarnation);
    if (running === undefined) this.#running.set(incarnation, (running = new NumberMap()));
    running.set(id, request);
    if (request.credit !== undefined) request.endInTime();
    responder.running++;
    void answer.then((answered) => {
      responder.running--;
      running.delete(id);
      if (running.size === 0 && this.#running.get(incarnation) === running) this.#running.delete(incarnation);
      this.#answer(request, id, answered);
    });
  }

  #answer(request: RunningRequest, id: number, answered: Unnumbered): void {
    request.finished();
    this.#tell(request, { ...answered, id });
  }

  /** The end of a stream is told however often connections end: without it the requester would wait. */
  #tell(request: RunningRequest, word: RpcWord): void {
    const remainingMs = request.remainingMs();
    if (request.isGivenUp || remainingMs <= 0) return;
    const again: Settling = { settle: (_incarnation, result) => void (result.status === "failed" && result.code === "PEER_UNREACHABLE" && this.#tell(request, word)) };
    this.#ports.answer(request.topic, request.from, word, remainingMs, request.credit === undefined ? undefined : again);
  }

  cancel(from: PeerIdentity, id: number): void {
    this.#running.get(from.incarnation)?.get(id)?.giveUp("the requester gave it up");
  }

  /** The requester takes more replies of a stream. */
  more(from: PeerIdentity, id: number, upTo: number): void {
    this.#running.get(from.incarnation)?.get(id)?.credit?.raise(upTo);
  }

  /** A requester is no member any more. */
  left(incarnation: string): void {
    for (const [, request] of this.#running.get(incarnation)?.entries() ?? []) request.giveUp("the requester left");
    this.#running.delete(incarnation);
  }

  /** A promise only if the handler gives one, or has to wait for the schema; it never rejects. */
  #work(responder: Responder, request: RunningRequest, id: number, notes: Notes | undefined): Unnumbered | Promise<Unnumbered> {
    try {
      if (this.#ports.formatOf(request.topic).checks) return request.check().then(() => this.#run(responder, request, id, notes)).catch((error: unknown) => this.#failed(request, error));
      const answer = this.#run(responder, request, id, notes);
      return answer instanceof Promise ? answer.catch((error: unknown) => this.#failed(request, error)) : answer;
    } catch (error) {
      return this.#failed(request, error);
    }
  }

  #run({ demands, handler }: Responder, request: RunningRequest, id: number, notes: Notes | undefined): Unnumbered | Promise<Unnumbered> {
    this.#ports.doorkeeper.admit(demands, request);
    const value = this.#ports.pipeline.run(handler, request, notes);
    return isThenable(value) || request.credit !== undefined ? Promise.resolve(value).then((each) => this.#replyTo(request, id, each)) : this.#replyTo(request, id, value);
  }

  #replyTo(request: RunningRequest, id: number, value: unknown): Unnumbered | Promise<Unnumbered> {
    if (value instanceof Moved) throw value; // returned or thrown, it is never a reply
    const { topic, credit } = request;
    if (credit !== undefined) return this.#stream(request, credit, id, value).then((number) => ({ kind: "end", number }));
    if (isAsyncIterable(value)) {
      void Promise.resolve(value[Symbol.asyncIterator]().return?.()).catch(() => undefined); // it has not begun
      throw new TribuneError("PAYLOAD_INVALID", `the responder to ${topic} gives a stream of replies, and one reply was asked for`, { about: topic, next: "ask by channel.stream" });
    }
    const { payload, enveloped } = this.#encode(topic, value);
    return { kind: "reply", payload, enveloped };
  }

  #failed({ topic, from, isGivenUp, given, lost }: RunningRequest, error: unknown): Unnumbered {
    if (error instanceof Moved && checkMember(error.member) && Number.isSafeInteger(error.version) && error.version >= 0) return { kind: "moved", member: error.member, version: error.version };
    const code = codeOf(error);
    if (!isGivenUp) this.#ports.failed(topic, from, code);
    // Who asked for a stream finds by the number that a reply is missing, unless that is what it is told.
    return { kind: "failed", after: error === lost ? 0 : given, code, message: error instanceof Error ? error.message : String(error) };
  }

  /** Sends what the handler gives, one by one, no faster than it is taken. A generator that nobody wants any more is ended at its `yield`. Resolves to how many there were. */
  async #stream(request: RunningRequest, credit: Credit, id: number, value: unknown): Promise<number> {
    const { topic, from } = request;
    const replies = isAsyncIterable(value) ? value : [value];
    if (!(await credit.allows(1))) return 0;
    for await (const each of replies) {
      if (request.isGivenUp || request.lost !== undefined || request.remainingMs() <= 0) break;
      if (each instanceof Moved) throw each;
      const body = this.#encode(topic, each);
      this.#ports.answer(topic, from, { kind: "item", id, number: ++request.given, ...body }, request.remainingMs(), { settle: (_incarnation, result) => request.lose(result) });
      if (!(await credit.allows(request.given + 1))) break;
    }
    if (request.lost !== undefined) throw request.lost;
    return request.given;
  }

  #encode(topic: string, value: unknown): Body {
    const body = this.#ports.pipeline.out(this.#ports.formatOf(topic).encodeReply(value), { kind: "reply", topic });
    if (body.payload.length > this.#ports.maxMessageBytes) throw new TribuneError("FRAME_TOO_LARGE", `the reply on ${topic} has ${body.payload.length} bytes, more than ${this.#ports.maxMessageBytes}`, { about: topic });
    return body;
  }
}

/** How far the requester of a stream takes replies. */
class Credit {
  #upTo: number;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(upTo: number) {
    this.#upTo = upTo;
  }

  raise(upTo: number): void {
    this.#upTo = Math.max(this.#upTo, upTo);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  /** Resolves to whether that reply may go: `false`, as soon as nobody wants it. */
  async allows(number: number): Promise<boolean> {
    while (!this.#isOver && number > this.#upTo) await new Promise<void>((resolve) => void (this.#wake = resolve));
    return !this.#isOver;
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

type Unnumbered = RpcWord extends infer Word ? (Word extends RpcWord ? Omit<Word, "id"> : never) : never;
