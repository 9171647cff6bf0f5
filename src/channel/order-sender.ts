/** A message on its way into the one order of its topic, or awaited from those who handle it. */
export interface Underway<Content> {
  readonly n: number;
  readonly content: Content;
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly awaited: boolean;
  /** Incarnations whose outcome is not known. */
  readonly targets: Set<string>;
  /** It was given to the present sequencer, or one before it. */
  submitted: boolean;
  /** It has its place, as far as is known here. */
  ordered: boolean;
}

/** What bounds it. */
export interface OrderSenderLimits {
  readonly keptBytes: number;
  readonly awaited: number;
}

/**
 * What one member sends in the one order of a topic: numbers it, keeps it until it has its place, and, if it is awaited, until every target has an outcome. Knows no clock and no sequencer: it is told.
 *
 *     add ─▶ due ──submitted──▶ under way ──ordered──▶ (awaited: every outcome) ─▶ gone
 *              ▲                  │ another sequencer began, and everybody had answered it
 *              └──────────────────┤
 *                                 ├ it began without an answer of everybody ──▶ interrupted
 *                                 └ deadline ──▶ overdue
 */
export class OrderSender<Content> {
  readonly #limits: OrderSenderLimits;
  readonly #underway = new Map<number, Underway<Content>>();
  #lastN = 0;
  #bytes = 0;

  constructor(limits: OrderSenderLimits) {
    this.#limits = limits;
  }

  /** Whether another message would be taken. */
  get hasRoom(): boolean {
    return this.#underway.size < this.#limits.awaited && (this.#bytes === 0 || this.#bytes < this.#limits.keptBytes);
  }

  /** When `overdue` has something to do at the latest, on the caller's clock; `Infinity`: never. */
  get earliestDeadlineMs(): number {
    let earliest = Infinity;
    for (const { deadlineMs } of this.#underway.values()) if (deadlineMs < earliest) earliest = deadlineMs;
    return earliest;
  }

  /** Takes a message; ask `hasRoom` first. */
  add(content: Content, about: { readonly bytes: number; readonly deadlineMs: number; readonly awaited: boolean; readonly targets: Iterable<string> }): void {
    const n = ++this.#lastN;
    this.#underway.set(n, { n, content, bytes: about.bytes, deadlineMs: about.deadlineMs, awaited: about.awaited, targets: new Set(about.targets), submitted: false, ordered: false });
    this.#bytes += about.bytes;
  }

  /** What is to be given to the sequencer, in order; it counts as given. */
  due(): Array<Underway<Content>> {
    const due = [...this.#underway.values()].filter(({ submitted, ordered }) => !submitted && !ordered);
    for (const message of due) message.submitted = true;
    return due;
  }

  /** A message was seen in its place. */
  ordered(n: number): void {
    const message = this.#underway.get(n);
    if (message === undefined) return;
    message.ordered = true;
    if (!message.awaited || message.targets.size === 0) this.#remove(message);
  }

  /**
   * Another sequencer began. Everything up to `orderedUpTo` has its place. What was given to one before it and has none is due again if everybody had answered (`complete`): then nobody has handled it. Otherwise somebody may have, and it must not get another place: these are returned, and gone.
   */
  begun(complete: boolean, orderedUpTo: number): Array<Underway<Content>> {
    const interrupted: Array<Underway<Content>> = [];
    for (const message of this.#underway.values()) {
      if (message.n <= orderedUpTo) this.ordered(message.n);
      else if (complete || !message.submitted) message.submitted = message.ordered = false; // who had handled it has left
      else if (!message.ordered) {
        interrupted.push(message);
        this.#remove(message);
      }
    }
    return interrupted;
  }

  /** One target's outcome came. Returns the message if it was waited for. */
  settle(n: number, target: string): Underway<Content> | undefined {
    const message = this.#underway.get(n);
    if (message === undefined || !message.awaited || !message.targets.delete(target)) return undefined;
    // Not that it has its place: who handled it may be gone by now, and be the only one who had it.
    if (message.targets.size === 0) this.#remove(message);
    return message;
  }

  /** The same of all from `first` to `last`. */
  settleRange(first: number, last: number, target: string): Array<Underway<Content>> {
    return [...this.#underway.keys()].filter((n) => n >= first && n <= last).flatMap((n) => this.settle(n, target) ?? []);
  }

  /** A member is gone. Returns the messages whose outcome there was waited for. */
  left(target: string): Array<Underway<Content>> {
    const waited: Array<Underway<Content>> = [];
    for (const message of this.#underway.values()) {
      if (!message.targets.delete(target)) continue;
      if (message.awaited) waited.push(message);
      if (message.targets.size === 0 && message.awaited) this.#remove(message);
    }
    return waited;
  }

  /** It could not be given to the sequencer: returned with the targets that it is still waited for, and gone. Not if it was seen in its place: then it had arrived, and what became of it is told by those who handle it. */
  giveUp(n: number): Underway<Content> | undefined {
    const message = this.#underway.get(n);
    if (message === undefined || message.ordered) return undefined;
    this.#remove(message);
    return message;
  }

  /** What did not come to its end in time; gone. */
  overdue(nowMs: number): Array<Underway<Content>> {
    const overdue = [...this.#underway.values()].filter(({ deadlineMs }) => nowMs >= deadlineMs);
    for (const message of overdue) this.#remove(message);
    return overdue;
  }

  #remove(message: Underway<Content>): void {
    if (this.#underway.delete(message.n)) this.#bytes -= message.bytes;
  }
}
