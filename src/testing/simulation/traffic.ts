import { isTribuneError, sleep } from "../../kernel/index.ts";
import type { Random } from "../../kernel/index.ts";
import { Moved, resolveTargets } from "../../channel/index.ts";
import type { ChannelOptions, Message, Reply, ReplyPolicy, Request, StatePage, StreamEnd, Targets } from "../../channel/index.ts";
import type { LinkOptions } from "../../transport/index.ts";
import type { HistoryEntry, TargetResult } from "../history/index.ts";
import type { ChannelUse, OwnChannel } from "./own-channels.ts";
import { between, pick } from "./streams.ts";

/** What nodes say to each other in a run. Shares are from 0 to 1, times in milliseconds. */
export interface PlannedTraffic {
  /** Topics with order. */
  readonly topics: number;
  /** A node says something this often. */
  readonly everyMs: number;
  /** Share of times at which it says a lot at once. */
  readonly bursts: number;
  /** Share of messages whose outcome is awaited. */
  readonly acked: number;
  /** Share of messages on a topic without order. */
  readonly unordered: number;
  /** Share of times at which it asks instead. */
  readonly requests: number;
  /** Share of messages on a topic that all members handle in one order. */
  readonly total: number;
  /** Share of times at which it asks for a stream of replies. */
  readonly streams: number;
  /** Share of messages of some ten kilobytes. */
  readonly large: number;
  /** Share of messages with a short deadline. */
  readonly hasty: number;
  /** Share of messages whose handler throws; and takes its time. */
  readonly throws: number;
  readonly slow: number;
  /** Entries of the state that a joiner is given. */
  readonly entries: number;
  readonly channel: ChannelOptions;
  readonly links: LinkOptions;
}

/** What traffic needs of a run. */
export interface TrafficPorts {
  /** A stream of chance by name. */
  chance(name: string): Random;
  note(own: OwnChannel, entry: HistoryEntry): void;
  /** Whether anything more is to be said. */
  goesOn(): boolean;
  /** Whether all faults are over: then nothing has to wait for long. */
  isCalm(): boolean;
}

/** What messages and requests carry. */
interface Payload {
  readonly n: number;
  readonly pad: string;
}

/** A reply of a stream. */
interface Item {
  readonly number: number;
  readonly by: string;
}

const UNORDERED = "loose";
const IN_ONE_ORDER = "board";
const ASKED = "asked";
const STREAMED = "feed";
const STATE = "ledger";

/** A member that does not get the state in this time begins anew. */
const STATE_MS = 20_000;

/** What nobody needs to wait for longer than, where there are no faults. */
const CALM_DEADLINE_MS = 8_000;

/** Draws what a run's traffic is like; `orders`: with messages in one order of all. */
export function drawTraffic(random: Random, orders: boolean): PlannedTraffic {
  const share = (often: number, from: number, to: number) => (random.next() < often ? between(random, from, to) : 0);
  const tight = random.next() < 0.25;
  return {
    topics: 1 + Math.floor(random.next() * 3),
    everyMs: Math.round(between(random, 150, 800)),
    bursts: share(0.7, 0.02, 0.15),
    acked: between(random, 0.2, 0.8),
    unordered: share(0.6, 0.1, 0.4),
    requests: share(0.6, 0.05, 0.3),
    total: share(orders ? 0.7 : 0, 0.1, 0.6),
    streams: share(0.5, 0.02, 0.15),
    large: share(0.5, 0.01, 0.1),
    hasty: between(random, 0.1, 0.6),
    throws: share(0.5, 0.01, 0.1),
    slow: share(0.7, 0.02, 0.3),
    entries: 10 + Math.floor(random.next() * 60),
    channel: { unordered: [UNORDERED], totalOrder: [IN_ONE_ORDER], ...(random.next() < 0.4 ? { deadlineMs: Math.round(between(random, 1_500, 8_000)) } : {}), ...(tight ? { awaited: 8, keptBytes: 40_000 } : {}), ...(random.next() < 0.2 ? { maxRetries: Math.floor(random.next() * 3) } : {}) },
    links: { ...(random.next() < 0.3 ? { beatMs: 300, silenceMs: 1_200, connectMs: 1_500 } : {}), ...(random.next() < 0.3 ? { windowBytes: 8_192, streamQueueBytes: 16_384, queueBytes: 65_536 } : {}), ...(random.next() < 0.5 ? { longestPauseMs: 1_000 } : {}) },
  };
}

/** Uses the channel as a plan says, and writes down what comes of it. */
export function trafficOf(plan: PlannedTraffic, ports: TrafficPorts): ChannelUse {
  const members = new WeakMap<OwnChannel, Member>();
  return {
    options: plan.channel,
    links: plan.links,
    prepare: (own) => void members.set(own, new Member(plan, ports, own)),
    ready: (own) => members.get(own)?.run(),
  };
}

/** One incarnation, as it sends, handles, asks and answers. */
class Member {
  readonly #plan: PlannedTraffic;
  readonly #ports: TrafficPorts;
  readonly #own: OwnChannel;
  readonly #random: Random;
  readonly #handling: Random;
  readonly #sent = new Map<string, number>();
  readonly #entries: readonly string[];
  #got: string[] = [];

  constructor(plan: PlannedTraffic, ports: TrafficPorts, own: OwnChannel) {
    this.#plan = plan;
    this.#ports = ports;
    this.#own = own;
    this.#random = ports.chance(`traffic/${own.node.name}/${own.incarnation}`);
    this.#handling = ports.chance(`handling/${own.node.name}/${own.incarnation}`);
    this.#entries = Array.from({ length: plan.entries }, (_, index) => `k${String(index).padStart(4, "0")}`);
    const { channel } = own;
    for (const topic of [...this.#topics(), UNORDERED, IN_ONE_ORDER]) channel.listen(topic, (message) => this.#handle(message));
    channel.respond(ASKED, (request) => this.#answer(request), { concurrency: 8 });
    channel.respond(STREAMED, (request) => this.#give(request), { concurrency: 8 });
    channel.on("gap", ({ topic, from, number }) => this.#note({ kind: "gap-told", topic, from: from.incarnation, number }));
    channel.on("undelivered", ({ topic, to, result }) => this.#note({ kind: "undelivered", topic, to: to.incarnation, status: result.status }));
    channel.state(STATE, { snapshot: (after) => this.#snapshot(after), apply: (page) => this.#apply(page) }, { pageMs: 2_000, pauseMs: 300 });
  }

  async run(): Promise<void> {
    await this.#obtain();
    const { over } = this.#own;
    while (!over.aborted) {
      await sleep(this.#clock, -Math.log(1 - this.#random.next()) * this.#plan.everyMs, over);
      if (over.aborted || !this.#ports.goesOn()) continue;
      const times = this.#random.next() < this.#plan.bursts ? 2 + Math.floor(this.#random.next() * 40) : 1;
      for (let time = 0; time < times; time++) {
        if (this.#random.next() < this.#plan.streams) void this.#take();
        else if (this.#random.next() < this.#plan.requests) void this.#ask();
        else void this.#send();
      }
    }
  }

  get #clock() {
    return this.#own.node.process;
  }

  #topics(): string[] {
    return Array.from({ length: this.#plan.topics }, (_, index) => `topic-${index + 1}`);
  }

  #note(entry: HistoryEntry): void {
    this.#ports.note(this.#own, entry);
  }

  // ---- sending and handling

  async #send(): Promise<void> {
    const random = this.#random;
    const inOneOrder = random.next() < this.#plan.total;
    const ordered = inOneOrder || random.next() >= this.#plan.unordered;
    const topic = inOneOrder ? IN_ONE_ORDER : ordered ? pick(random, this.#topics()) : UNORDERED;
    const mode = random.next() < this.#plan.acked ? "ack" : "async";
    const to = inOneOrder ? "all" : this.#drawTargets();
    const deadlineMs = this.#drawDeadline();
    const { members, missing } = resolveTargets(to, this.#own.view, this.#own.incarnation, random);
    const message = this.#count(topic);
    this.#note({ kind: "sent", topic, message, mode, ordered, ...(inOneOrder ? { inOneOrder } : {}), roomy: this.#plan.channel.keptBytes === undefined, to: members.map(({ incarnation }) => incarnation), missing, deadlineMs });
    const targetOf = targetsByNode(members);
    try {
      const { results, ok } = await this.#own.channel.send(topic, this.#payload(message), { to, mode, deadlineMs });
      this.#note({ kind: "send-over", topic, message, ok, code: "", results: [...results].map(([node, result]): TargetResult => ({ target: targetOf(node), status: result.status, code: result.status === "failed" ? result.code : "" })) });
    } catch (error) {
      this.#note({ kind: "send-over", topic, message, ok: false, code: codeOf(error), results: [] });
    }
  }

  async #handle(message: Message): Promise<void> {
    const { topic, from } = message;
    const { n } = this.#read(message);
    const about = { topic, from: from.incarnation, message: n };
    this.#note({ kind: "handling-began", ...about });
    const mood = this.#handling.next();
    const { throws, slow } = this.#plan;
    if (mood >= throws && mood < throws + slow) await sleep(this.#clock, 200 * this.#handling.next() ** 3 * (this.#handling.next() < 0.05 ? 20 : 1));
    this.#note({ kind: "handling-ended", ...about, code: mood < throws ? "OUT_OF_ORDER" : "" });
    if (mood < throws) throw Object.assign(new Error("the handler failed"), { code: "OUT_OF_ORDER" });
  }

  #payload(n: number): Payload {
    const pad = this.#random.next() < this.#plan.large ? Math.floor(this.#random.next() * 30_000) : 0;
    return { n, pad: String(n % 10).repeat(pad) };
  }

  /** What came has to be what somebody sent. */
  #read(message: Message): Payload {
    const { n, pad } = message.value() as Payload;
    if (pad !== String(n % 10).repeat(pad.length)) this.#note({ kind: "told", what: "error", code: "INTERNAL", detail: `message ${n} on ${message.topic} came garbled` });
    return { n, pad };
  }

  #count(topic: string): number {
    const number = (this.#sent.get(topic) ?? 0) + 1;
    this.#sent.set(topic, number);
    return number;
  }

  #drawTargets(): Exclude<Targets, "any"> {
    const mood = this.#random.next();
    if (mood < 0.4) return "others";
    if (mood < 0.55) return "all";
    if (mood < 0.6) return "oldest";
    if (mood < 0.65) return "coordinator";
    const names = this.#own.view.members.map(({ node }) => node).filter(() => this.#random.next() < 0.4);
    return names.length > 0 ? names : [pick(this.#random, this.#own.view.members)?.node ?? "nobody"];
  }

  #drawDeadline(): number {
    const hasty = this.#random.next() < this.#plan.hasty;
    const deadlineMs = hasty ? between(this.#random, 50, 3_000) : between(this.#random, 5_000, 60_000);
    return Math.round(this.#ports.isCalm() ? Math.min(deadlineMs, CALM_DEADLINE_MS) : deadlineMs);
  }

  // ---- asking and answering

  async #ask(): Promise<void> {
    const policy = pick(this.#random, ["first", "majority", "all"] as const satisfies readonly ReplyPolicy[]);
    const to = this.#drawTargets();
    const deadlineMs = this.#drawDeadline();
    const { members } = resolveTargets(to, this.#own.view, this.#own.incarnation, this.#random);
    const message = this.#count(ASKED);
    this.#note({ kind: "asked", topic: ASKED, message, policy, to: members.map(({ incarnation }) => incarnation), deadlineMs });
    const targetOf = targetsByNode(members);
    try {
      const { replies, ok } = await this.#own.channel.request(ASKED, this.#payload(message), { to, policy, deadlineMs });
      this.#note({ kind: "ask-over", topic: ASKED, message, ok, code: "", replies: [...replies].map(([node, reply]) => ({ target: targetOf(node), status: reply.status, code: reply.status === "failed" ? reply.code : "", ...answerIn(reply) })) });
    } catch (error) {
      this.#note({ kind: "ask-over", topic: ASKED, message, ok: false, code: codeOf(error), replies: [] });
    }
  }

  async #answer(request: Request): Promise<unknown> {
    const { n } = this.#read(request);
    const about = { topic: request.topic, from: request.from.incarnation, message: n };
    this.#note({ kind: "answering-began", ...about });
    const mood = this.#handling.next();
    if (mood < 0.3) await sleep(this.#clock, 300 * this.#handling.next() ** 2);
    const fails = mood > 0.97;
    const other = !fails && mood > 0.93 ? pick(this.#handling, this.#own.view.members)?.node : undefined;
    this.#note({ kind: "answering-ended", ...about, code: fails ? "OUT_OF_ORDER" : other === undefined ? "" : "MOVED" });
    if (fails) throw Object.assign(new Error("the handler failed"), { code: "OUT_OF_ORDER" });
    if (other !== undefined) throw new Moved({ member: other, version: n });
    return { message: n, by: this.#own.incarnation };
  }

  // ---- streams of replies

  async #take(): Promise<void> {
    const random = this.#random;
    const member = pick(random, this.#own.view.members);
    if (member === undefined) return;
    const window = 1 + Math.floor(random.next() ** 2 * 24);
    const deadlineMs = this.#drawDeadline();
    const most = random.next() < 0.3 ? Math.floor(random.next() * 20) : Number.POSITIVE_INFINITY; // whoever has seen enough
    const message = this.#count(STREAMED);
    const about = { topic: STREAMED, message };
    this.#note({ kind: "stream-asked", ...about, to: member.incarnation, window, deadlineMs });
    let taken = 0;
    try {
      for await (const reply of this.#own.channel.stream(STREAMED, this.#payload(message), { to: [member.node], window, deadlineMs })) {
        const { number, by } = reply.value() as Item;
        this.#note({ kind: "stream-item", ...about, number, by });
        if (++taken >= most) break;
        if (random.next() < 0.1) await sleep(this.#clock, 30 * random.next());
      }
      this.#note({ kind: "stream-over", ...about, how: taken >= most ? "left-off" : "end", status: "", code: "" });
    } catch (error) {
      const end = isTribuneError(error, "STREAM_BROKEN") ? (error.cause as StreamEnd) : undefined;
      this.#note({ kind: "stream-over", ...about, how: "broken", status: end?.status ?? codeOf(error), code: end?.status === "failed" ? end.code : "" });
    }
  }

  async *#give(request: Request): AsyncGenerator<Item, void, undefined> {
    const { n } = this.#read(request);
    const about = { topic: request.topic, from: request.from.incarnation, message: n };
    this.#note({ kind: "giving-began", ...about });
    const mood = this.#handling.next();
    const count = Math.floor(60 * this.#handling.next() ** 2);
    let given = 0;
    let end: { readonly how: "all" | "ended" | "threw"; readonly code: string } = { how: "ended", code: "" };
    try {
      const other = mood > 0.95 ? pick(this.#handling, this.#own.view.members)?.node : undefined;
      if (other !== undefined) {
        end = { how: "threw", code: "MOVED" };
        throw new Moved({ member: other, version: n });
      }
      while (given < count) {
        if (this.#handling.next() < 0.1) await sleep(this.#clock, 100 * this.#handling.next() ** 2);
        given++;
        yield { number: given, by: this.#own.incarnation };
      }
      end = mood < 0.1 ? { how: "threw", code: "OUT_OF_ORDER" } : { how: "all", code: "" };
      if (mood < 0.1) throw Object.assign(new Error("the handler failed"), { code: "OUT_OF_ORDER" });
    } finally {
      this.#note({ kind: "giving-ended", ...about, given, ...end });
    }
  }

  // ---- the state

  async #obtain(): Promise<void> {
    const { channel, over } = this.#own;
    while (!over.aborted) {
      this.#got = [];
      this.#note({ kind: "state-began" });
      try {
        const [report] = await channel.obtainStates({ deadlineMs: STATE_MS, signal: over });
        const from = report?.from ?? [];
        const kinds = new Set(this.#got);
        this.#note({ kind: "state-obtained", from, entries: this.#entries.length, missing: from.length === 0 ? 0 : this.#entries.length - kinds.size, repeated: this.#got.length - kinds.size, code: "" });
        return;
      } catch (error) {
        if (over.aborted) return;
        this.#note({ kind: "state-obtained", from: [], entries: this.#entries.length, missing: 0, repeated: 0, code: codeOf(error) });
        await sleep(this.#clock, 500, over);
      }
    }
  }

  /** In pages of another length each time, some of which take long. */
  async *#snapshot(after: string): AsyncGenerator<StatePage, void, undefined> {
    const rest = this.#entries.filter((entry) => entry > after);
    const length = 1 + Math.floor(this.#handling.next() * 6);
    for (let at = 0; at < rest.length; at += length) {
      if (this.#handling.next() < 0.5) await sleep(this.#clock, 400 * this.#handling.next() ** 2, this.#own.over);
      const page = rest.slice(at, at + length);
      yield { bytes: Buffer.from(page.join(" ")), cursor: page.at(-1) ?? "" };
    }
  }

  async #apply({ bytes }: StatePage): Promise<void> {
    if (this.#handling.next() < 0.2) await sleep(this.#clock, 20, this.#own.over);
    this.#got.push(...Buffer.from(bytes).toString().split(" "));
  }
}

function targetsByNode(members: readonly { readonly node: string; readonly incarnation: string }[]): (node: string) => string {
  const targets = new Map(members.map(({ node, incarnation }) => [node, incarnation]));
  return (node) => targets.get(node) ?? node;
}

function answerIn(reply: Reply): { readonly answered?: { readonly message: number; readonly by: string } } {
  return reply.status === "replied" ? { answered: reply.value() as { message: number; by: string } } : {};
}

function codeOf(error: unknown): string {
  return isTribuneError(error) ? error.code : String(error);
}
