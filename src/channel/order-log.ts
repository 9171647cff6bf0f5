import type { PeerIdentity } from "../transport/index.ts";

/** A place in the one order of a topic: which sequencer gave it, and its number there. Places are compared by epoch first. */
export interface Position {
  /** The number of the view with which the sequencer began. */
  readonly epoch: number;
  /** From 1 on, without holes. */
  readonly number: number;
}

/** Before everything. */
export const START: Position = { epoch: 0, number: 0 };

/** Negative: `a` is before `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.number - b.number;
}

/** A message with its place. */
export interface Entry<Content> {
  readonly position: Position;
  /** The place before it. */
  readonly before: Position;
  readonly sender: PeerIdentity;
  /** The sender's own number of it; grows. */
  readonly n: number;
  readonly bytes: number;
  readonly content: Content;
}

/** What is to be done with an entry that came. */
export type Taking =
  /** Hand it to the handlers. */
  | "take"
  /** The same; and something before it will never be handled here. */
  | "take-after-gap"
  /** It, or this message at another place, was taken before. */
  | "duplicate"
  /** From a sequencer that has been succeeded: tell it. */
  | "stale";

/** Of how many senders that are gone it is known what they had sent. */
const MOST_DEPARTED = 1_000;

/**
 * What one member has of the one order of a topic. Takes places only upwards, so two members never see two messages in opposite orders, whatever comes, and however often; and keeps the newest entries for those who missed them.
 */
export class OrderLog<Content extends { readonly view: number }> {
  readonly #keptBytes: number;
  #promised = 0;
  #leader: string | undefined;
  #last: Position | undefined;
  #entries: Array<Entry<Content>> = [];
  #bytes = 0;
  readonly #ordered = new Map<string, number>();
  readonly #departed = new Set<string>();

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  /** Nothing of a smaller epoch is taken any more. */
  get promised(): number {
    return this.#promised;
  }

  /** The incarnation of the sequencer of that epoch. */
  get leader(): string | undefined {
    return this.#leader;
  }

  /** The place that was taken last; `undefined`: this member is new to the order. */
  get last(): Position | undefined {
    return this.#last;
  }

  /** By incarnation of the sender, the greatest number of its messages that has a place. */
  get ordered(): ReadonlyMap<string, number> {
    return this.#ordered;
  }

  /** Whether this sequencer is heard: there has been no later one, and no other one of the same epoch. */
  promise(epoch: number, leader: string): boolean {
    if (epoch < this.#promised || (epoch === this.#promised && leader !== this.#leader)) return false;
    this.#promised = epoch;
    this.#leader = leader;
    return true;
  }

  /** An entry came from the sequencer of an epoch. It may be of an earlier one, which the sequencer fills in. */
  arrive(epoch: number, leader: string, entry: Entry<Content>): Taking {
    return this.promise(epoch, leader) ? this.take(entry) : "stale";
  }

  /** The same, from who is known to be heard. */
  take(entry: Entry<Content>): Taking {
    const last = this.#last;
    if (last !== undefined && comparePositions(entry.position, last) <= 0) return "duplicate";
    this.#last = entry.position;
    const { sender, n } = entry;
    if (n <= (this.#ordered.get(sender.incarnation) ?? 0)) return "duplicate";
    this.#ordered.set(sender.incarnation, n);
    this.#keep(entry);
    return last !== undefined && comparePositions(entry.before, last) > 0 ? "take-after-gap" : "take";
  }

  /** A sequencer begins after a place. Returns whether this member has everything before it, or has not and never will, or does not hear that sequencer. */
  begin(epoch: number, leader: string, after: Position): "whole" | "gap" | "stale" {
    if (!this.promise(epoch, leader)) return "stale";
    const last = this.#last;
    if (last !== undefined && comparePositions(after, last) <= 0) return "whole";
    this.#last = after;
    return last === undefined ? "whole" : "gap";
  }

  /** Others know of messages that have a place. */
  learn(ordered: Iterable<readonly [incarnation: string, n: number]>): void {
    for (const [incarnation, n] of ordered) this.#ordered.set(incarnation, Math.max(n, this.#ordered.get(incarnation) ?? 0));
  }

  /** What is kept after a place, in order; from the first on that was sent in that view or a later one. What is no longer kept is missing at the beginning. */
  after(position: Position, sentIn = 0): ReadonlyArray<Entry<Content>> {
    const from = this.#entries.findIndex((entry) => comparePositions(entry.position, position) > 0 && entry.content.view >= sentIn);
    return from === -1 ? [] : this.#entries.slice(from);
  }

  /** A sender is gone. Its numbers are remembered for long all the same: other members may not know that it is gone, and order what it sends again. */
  left(incarnation: string): void {
    if (this.#ordered.has(incarnation)) this.#departed.add(incarnation);
    for (const first of this.#departed) {
      if (this.#departed.size <= MOST_DEPARTED) return;
      this.#departed.delete(first);
      this.#ordered.delete(first);
    }
  }

  #keep(entry: Entry<Content>): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    if (this.#bytes <= this.#keptBytes) return;
    // Down to a half, so that it is not done for each message.
    let from = 0;
    for (; from < this.#entries.length - 1 && this.#bytes > this.#keptBytes / 2; from++) this.#bytes -= this.#entries[from]?.bytes ?? 0;
    this.#entries = this.#entries.slice(from);
  }
}
