import type { HandlingBegan, HandlingEnded, Sent, SendOver } from "../channel-events.ts";
import type { History, HistoryEvent, Viewed } from "../history.ts";
import { Pairing, pausesByProcess, Timeline } from "../spans.ts";

/** The channel of one incarnation. */
export interface Speaker {
  readonly process: string;
  readonly openedMs: number;
  /** When it was stopped, or its process ended; `Infinity`: it is open at the end of the history. */
  closedMs: number;
  /** When its process ended. */
  goneMs: number;
  /** The views that its process was given while it was open. */
  readonly views: Viewed[];
}

/** A message, and what became of it. */
export interface Conveyed {
  readonly sent: Sent;
  over: SendOver | undefined;
  /** By the incarnation that handled it. */
  readonly began: Map<string, HandlingBegan>;
  readonly ended: Map<string, HandlingEnded>;
}

/** What a history tells of channels, in a form that can be asked. */
export class Conversation {
  readonly speakers = new Map<string, Speaker>();
  readonly messages = new Map<string, Conveyed>();
  readonly endMs: number;
  /** When all faults were over; `Infinity`: never. */
  readonly calmMs: number;
  readonly #pauses: Map<string, Timeline>;
  /** When an incarnation was last told of a gap on a topic. */
  readonly #gapsMs = new Map<string, number>();
  /** By incarnation and topic, when its handlers were at work. */
  readonly #work = new Map<string, Pairing>();
  readonly #worked = new Map<string, Timeline>();

  constructor({ events }: History) {
    this.endMs = events.at(-1)?.t ?? 0;
    this.calmMs = events.find((event) => event.kind === "faults-ended")?.t ?? Number.POSITIVE_INFINITY;
    this.#pauses = new Map([...pausesByProcess(events, this.endMs)].map(([process, spans]) => [process, new Timeline(spans)]));
    const newestView = new Map<string, Viewed>();
    for (const event of events) {
      const speaker = this.speakers.get(event.incarnation);
      if (event.kind === "view") {
        newestView.set(event.process, event);
        speaker?.views.push(event);
      } else if (event.kind === "channel-opened") {
        const view = newestView.get(event.process);
        this.speakers.set(event.incarnation, { process: event.process, openedMs: event.t, closedMs: Number.POSITIVE_INFINITY, goneMs: Number.POSITIVE_INFINITY, views: view === undefined ? [] : [view] });
      } else if (event.kind === "channel-closed" && speaker !== undefined) {
        speaker.closedMs = event.t;
      } else if (event.kind === "killed" || event.kind === "exited") {
        for (const each of this.speakers.values()) {
          if (each.process !== event.process) continue;
          each.closedMs = Math.min(each.closedMs, event.t);
          each.goneMs = event.t;
        }
      } else {
        this.#note(event);
      }
    }
  }

  #note(event: HistoryEvent): void {
    if (event.kind === "sent") this.messages.set(nameOf(event.incarnation, event), { sent: event, over: undefined, began: new Map(), ended: new Map() });
    else if (event.kind === "gap-told") this.#gapsMs.set(`${event.incarnation} ${event.topic}`, event.t);
    else if (event.kind === "send-over") {
      const message = this.messages.get(nameOf(event.incarnation, event));
      if (message !== undefined) message.over = event;
    } else if (event.kind === "handling-began") {
      const began = this.messages.get(nameOf(event.from, event))?.began;
      if (began !== undefined && !began.has(event.incarnation)) began.set(event.incarnation, event);
      this.#workOf(event).begin(event.t);
    } else if (event.kind === "handling-ended") {
      this.messages.get(nameOf(event.from, event))?.ended.set(event.incarnation, event);
      this.#workOf(event).end(event.t);
    }
  }

  #workOf({ incarnation, topic }: { readonly incarnation: string; readonly topic: string }): Pairing {
    const key = `${incarnation} ${topic}`;
    let work = this.#work.get(key);
    if (work === undefined) this.#work.set(key, (work = new Pairing()));
    return work;
  }

  /** For which share of that time the handlers of an incarnation were at work on a topic; from 0 to 1. */
  busy(incarnation: string, topic: string, fromMs: number, toMs: number): number {
    const key = `${incarnation} ${topic}`;
    let worked = this.#worked.get(key);
    if (worked === undefined) this.#worked.set(key, (worked = new Timeline(this.#work.get(key)?.close(this.endMs) ?? [])));
    return worked.coveredMs(fromMs, toMs) / (toMs - fromMs);
  }

  /** Whether a process stood still at any moment of that time. */
  paused(incarnation: string, fromMs: number, toMs: number): boolean {
    return this.#pauses.get(this.speakers.get(incarnation)?.process ?? "")?.touches(fromMs, toMs) ?? false;
  }

  /** Whether an incarnation was told of a gap on a topic after that moment. */
  missed(incarnation: string, topic: string, afterMs: number): boolean {
    return (this.#gapsMs.get(`${incarnation} ${topic}`) ?? Number.NEGATIVE_INFINITY) >= afterMs;
  }

  /** Whether the channel of an incarnation is open at the end of the history. */
  isOpen(incarnation: string): boolean {
    return this.speakers.get(incarnation)?.closedMs === Number.POSITIVE_INFINITY;
  }

  /** The view that an incarnation had at a moment. */
  viewOf(incarnation: string, atMs: number): Viewed | undefined {
    return this.speakers.get(incarnation)?.views.findLast((view) => view.t <= atMs);
  }

  /** Whether two incarnations are open, and members for each other, at the end of the history. */
  stayTogether(one: string, other: string): boolean {
    return [[one, other] as const, [other, one] as const].every(([mine, its]) => this.isOpen(mine) && this.viewOf(mine, this.endMs)?.members.some(({ incarnation }) => incarnation === its) === true);
  }
}

/** A message's name, by whoever sent it. */
export function nameOf(sender: string, { topic, message }: { readonly topic: string; readonly message: number }): string {
  return `${sender.slice(0, 8)} ${topic} ${message}`;
}

const conversations = new WeakMap<History, Conversation>();

/** What a history tells of channels; worked out once for each. */
export function conversationOf(history: History): Conversation {
  let conversation = conversations.get(history);
  if (conversation === undefined) conversations.set(history, (conversation = new Conversation(history)));
  return conversation;
}
