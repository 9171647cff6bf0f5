import type { Random } from "../../kernel/index.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import { between } from "./streams.ts";

/** How one direction of a link behaves. Times are milliseconds of true time, shares are from 0 to 1. */
export interface Weather {
  /** A message takes at least this long. */
  readonly fromMs: number;
  /** And at most this long, unless it is slow. */
  readonly toMs: number;
  /** Share of messages that take up to `slowMs` more. */
  readonly slow: number;
  readonly slowMs: number;
  /** Share of messages that are lost. A lost packet is gone; in a connection it is sent again, and what comes after it waits. */
  readonly loss: number;
  /** Share of packets that arrive twice. A connection has no such thing. */
  readonly duplicates: number;
}

/** A network in a good room. */
export const CALM: Weather = { fromMs: 0.2, toMs: 2, slow: 0, slowMs: 0, loss: 0, duplicates: 0 };

/** What the network did, for the report of a run. */
export interface NetworkCounts {
  messages: number;
  lost: number;
  slow: number;
  duplicated: number;
}

/** One direction between two places. Cuts and weather are each put on by somebody and taken off by the same. */
export class Link {
  readonly counts: NetworkCounts;
  readonly #random: Random;
  #cuts = 0;
  #weather: readonly Weather[] = [CALM];

  constructor(random: Random, counts: NetworkCounts) {
    this.#random = random;
    this.counts = counts;
  }

  get isCut(): boolean {
    return this.#cuts > 0;
  }

  get weather(): Weather {
    return this.#weather.at(-1) as Weather;
  }

  /** Lets nothing pass, until what is returned is called. */
  cut(): () => void {
    this.#cuts += 1;
    return once(() => (this.#cuts -= 1));
  }

  /** Puts other weather on, until what is returned is called. */
  worsen(weather: Weather): () => void {
    this.#weather = [...this.#weather, weather];
    return once(() => (this.#weather = this.#weather.filter((each) => each !== weather)));
  }

  /** Draws how long the next message takes; `undefined` if it does not arrive. */
  draw(): number | undefined {
    const { fromMs, toMs, slow, slowMs, loss } = this.weather;
    this.counts.messages += 1;
    if (this.isCut || (loss > 0 && this.#random.next() < loss)) {
      this.counts.lost += 1;
      return undefined;
    }
    const delayMs = between(this.#random, fromMs, toMs);
    if (slow === 0 || this.#random.next() >= slow) return delayMs;
    this.counts.slow += 1;
    return delayMs + this.#random.next() * slowMs;
  }

  isDoubled(): boolean {
    const { duplicates } = this.weather;
    if (duplicates === 0 || this.#random.next() >= duplicates) return false;
    this.counts.duplicated += 1;
    return true;
  }

  /** When a lost message of a connection is sent again, for the `attempt`th time. */
  resendMs(attempt: number): number {
    return Math.min(200 * 2 ** attempt, 3_000) * between(this.#random, 0.8, 1.2);
  }

  /** Whether what waits to be sent again is given up when the sender closes its end; a system may do either. */
  givesUp(): boolean {
    return this.#random.next() < 0.5;
  }
}

/**
 * The ways between places, each direction by itself. Two kinds of traffic: packets, which are lost, doubled and overtake each other, and connections,
 * which keep their order and stall instead.
 */
export class Network {
  readonly counts: NetworkCounts = { messages: 0, lost: 0, slow: 0, duplicated: 0 };
  readonly #schedule: Schedule;
  readonly #streams: (name: string) => Random;
  readonly #links = new Map<string, Link>();

  constructor(schedule: Schedule, streams: (name: string) => Random) {
    this.#schedule = schedule;
    this.#streams = streams;
  }

  /** The way from one place to another; the same object each time. */
  link(from: string, to: string): Link {
    const name = `${from}→${to}`;
    let link = this.#links.get(name);
    if (link === undefined) this.#links.set(name, (link = new Link(this.#streams(`net/${name}`), this.counts)));
    return link;
  }

  /** Sends one packet. `arrive` is called once, twice, or never. */
  send(from: string, to: string, arrive: () => void): void {
    const link = this.link(from, to);
    for (let copies = link.isDoubled() ? 2 : 1; copies > 0; copies--) {
      const delayMs = link.draw();
      if (delayMs !== undefined) this.#schedule.in(delayMs, arrive);
    }
  }

  /** One direction of a connection. */
  flow(from: string, to: string): Flow {
    return new Flow(this.link(from, to), this.#schedule);
  }
}

/** One direction of a connection: what is sent arrives in order, late, or not at all. */
export class Flow {
  readonly #link: Link;
  readonly #schedule: Schedule;
  #readyAtMs = 0;
  #attempts = 0;
  /** What waits behind a message that was lost. */
  #waiting: Array<() => void> | undefined;
  #resend: Appointment | undefined;
  #ended = false;

  constructor(link: Link, schedule: Schedule) {
    this.#link = link;
    this.#schedule = schedule;
  }

  send(arrive: () => void): void {
    if (this.#ended) return;
    if (this.#waiting !== undefined) {
      this.#waiting.push(arrive);
      return;
    }
    const delayMs = this.#link.draw();
    if (delayMs === undefined) {
      this.#waiting = [arrive];
      this.#resendLater();
    } else {
      this.#pass(delayMs, arrive);
    }
  }

  /** Nothing is sent any more. What is on its way arrives; what waits to be sent again may be sent yet, or be given up. */
  end(): void {
    this.#ended = true;
    if (this.#waiting !== undefined && this.#link.givesUp()) this.drop();
  }

  /** As a machine that lost its power: nothing that has not left will. */
  drop(): void {
    this.#ended = true;
    this.#waiting = undefined;
    this.#resend?.cancel();
  }

  #pass(delayMs: number, arrive: () => void): void {
    const { nowMs } = this.#schedule;
    this.#readyAtMs = Math.max(this.#readyAtMs, nowMs + delayMs);
    this.#schedule.in(this.#readyAtMs - nowMs, arrive);
  }

  #resendLater(): void {
    this.#resend = this.#schedule.in(this.#link.resendMs(this.#attempts++), () => {
      const delayMs = this.#link.draw();
      if (delayMs === undefined) return this.#resendLater();
      this.#attempts = 0;
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const arrive of waiting) this.#pass(delayMs, arrive);
    });
  }
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
