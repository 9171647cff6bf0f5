import { Kept } from "../../src/channel/kept.ts";
import { OrderedTopic } from "../../src/channel/ordered-topic.ts";
import { decodeOrder } from "../../src/channel/order-words.ts";
import type { DeliveryResult } from "../../src/channel/index.ts";
import { seededRandom } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import type { PeerIdentity } from "../../src/transport/index.ts";

/** What the network between the members of a world does. */
export interface Weather {
  /** Of all words, those that are given up (whoever said them is told), come twice, and overtake others. */
  readonly lost: number;
  readonly twice: number;
  readonly overtaking: number;
  /** How often, of all steps, a member can be reached by nobody, and reaches nobody, for up to five seconds; then everything that was said arrives. */
  readonly cut: number;
}

/** Words arrive, each once, in the order in which they were said: what flows promise between two members that live. */
export const FLOWS: Weather = { lost: 0, twice: 0, overtaking: 0, cut: 0 };

/** One member of a world. */
export interface Participant {
  readonly identity: PeerIdentity;
  readonly topic: OrderedTopic;
  /** "message" as it was handled, or "gap". */
  readonly seen: string[];
  readonly results: Map<string, Map<string, DeliveryResult>>;
  /** The view that it was given last. */
  view: number;
  isAlive: boolean;
  cutUntilMs: number;
}

interface UnderWay {
  readonly from: Participant;
  readonly to: Participant;
  readonly word: Uint8Array;
  readonly atMs: number;
}

/** Members with one topic in total order, a network of words between them, and views that reach each at a time of its own. */
export class OrderWorld {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly all: Participant[] = [];
  weather: Weather;
  /** Views, by number from 1 on: who is in it, and who of them is the coordinator. */
  readonly views: Array<{ readonly members: readonly Participant[]; readonly coordinator: Participant | undefined }> = [];
  readonly #underWay = new Map<string, UnderWay[]>();
  #sent = 0;

  constructor(seed: number, weather: Weather) {
    this.random = seededRandom(seed);
    this.weather = weather;
  }

  add(): Participant {
    const identity = { node: `n${this.all.length + 1}`, incarnation: `i${this.all.length + 1}` };
    const seen: string[] = [];
    const participant: Participant = {
      identity,
      seen,
      results: new Map(),
      view: 0,
      isAlive: true,
      cutUntilMs: 0,
      topic: new OrderedTopic("t", {
        clock: this.clock,
        self: identity,
        limits: { deadlineMs: 2_000, keptBytes: 1_000_000, awaited: 1_000, whenFull: "wait" },
        say: (to, word, _deadlineMs, failed) => this.#say("order", participant, to, word, failed),
        tell: (to, word, _deadlineMs, failed) => this.#say("outcomes", participant, to, word, failed),
        handle: ({ payload }) => {
          const handled = () => {
            seen.push(Buffer.from(payload).toString());
            return { status: "delivered" as const };
          };
          return this.random.next() < 0.7 ? handled() : new Promise<void>((resolve) => void this.clock.setTimer(this.random.next() * 20, resolve)).then(handled);
        },
        gap: () => void seen.push("gap"),
      }),
    };
    this.all.push(participant);
    return participant;
  }

  /** The next view; who gets it when is up to `give`. */
  publish(members: readonly Participant[], coordinator: Participant | undefined): void {
    this.views.push({ members, coordinator });
  }

  /** A member gets its next view, or, with `newest`, leaves some out. */
  give(to: Participant, newest: boolean): void {
    const version = newest ? this.views.length : to.view + 1;
    const view = this.views[version - 1];
    if (view === undefined || version <= to.view || !view.members.includes(to)) return;
    to.view = version;
    to.topic.setView({ version, members: view.members.map(({ identity }) => identity), coordinator: view.coordinator?.identity.incarnation ?? null });
  }

  /** Sends a message of a name of its own to all that are in the sender's view. */
  send(from: Participant, awaited: boolean, deadlineMs = 1e9): string {
    const name = `${from.identity.node}-${++this.#sent}`;
    const results = new Map<string, DeliveryResult>();
    from.results.set(name, results);
    const targets = this.views[from.view - 1]?.members.map(({ identity }) => identity.incarnation) ?? [];
    const kept = new Kept(Buffer.from(name), false, { view: from.view, token: undefined, election: undefined }, this.clock.monotonicMs() + deadlineMs, awaited, { settle: (incarnation, result) => void results.set(incarnation, result) });
    void from.topic.send(kept, targets, undefined);
    return name;
  }

  /** Lets a little time pass, and what is due arrive. */
  async step(): Promise<void> {
    await this.clock.advance(1 + this.random.next() * 3);
    if (this.random.next() < this.weather.cut) (this.all[Math.floor(this.random.next() * this.all.length)] as Participant).cutUntilMs = this.clock.monotonicMs() + this.random.next() * 5_000;
    for (const queue of this.#underWay.values()) {
      if (queue.some(({ from, to }) => Math.max(from.cutUntilMs, to.cutUntilMs) > this.clock.monotonicMs())) continue;
      for (let at = 0; at < queue.length; ) {
        const next = queue[at] as UnderWay;
        if (next.atMs > this.clock.monotonicMs()) {
          if (this.weather.overtaking === 0) break;
          at++;
          continue;
        }
        queue.splice(at, 1);
        if (next.to.isAlive) void next.to.topic.heard(next.from.identity, decodeOrder(next.word), 5_000);
        if (this.random.next() < this.weather.twice) queue.push({ ...next, atMs: this.clock.monotonicMs() + this.random.next() * 50 });
      }
    }
  }

  #say(flow: string, from: Participant, to: PeerIdentity, word: Uint8Array, failed: (result: DeliveryResult) => void): undefined {
    const target = this.all.find(({ identity }) => identity.incarnation === to.incarnation);
    if (target === undefined || !from.isAlive) return undefined;
    if (this.random.next() < this.weather.lost) {
      this.clock.setTimer(30, () => failed({ status: "failed", code: "PEER_UNREACHABLE", message: "lost" }));
      return undefined;
    }
    const key = `${flow} ${from.identity.node} ${to.node}`;
    const queue = this.#underWay.get(key) ?? [];
    this.#underWay.set(key, queue);
    const soonMs = this.clock.monotonicMs() + this.random.next() * 5;
    const atMs = this.random.next() < this.weather.overtaking ? soonMs + 40 : Math.max(soonMs, this.weather.overtaking === 0 ? (queue.at(-1)?.atMs ?? 0) : 0);
    queue.push({ from, to: target, word, atMs });
    return undefined;
  }
}

/** What two members have both handled, in the order of the first, and of the second. */
export function common(a: Participant, b: Participant): [string[], string[]] {
  const [ofA, ofB] = [new Set(a.seen), new Set(b.seen)];
  return [a.seen.filter((each) => each !== "gap" && ofB.has(each)), b.seen.filter((each) => each !== "gap" && ofA.has(each))];
}
