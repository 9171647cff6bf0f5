import { NumberMap } from "./number-map.ts";
import { SequenceWindow } from "./window.ts";

/** What is to be done with a message or a gap that came. */
export type Arrival =
  /** Hand it to the handlers; or, of a gap, tell of it. This is said once for each number. */
  | "take"
  /** Drop it undecoded. If its outcome is known, it is to be told again. */
  | "duplicate"
  /** Drop it: something before it is missing. Say `next` to the sender, which goes back to it. */
  | "missing-before"
  /** Drop it: the sender has been told already. */
  | "still-missing";

/**
 * The receiver's side of one flow: decides what is taken, once each and in order, or (`unordered`) once each in any order; and keeps outcomes until the sender has them. Lives as long as the sender's incarnation is a member: that one never comes back, so nothing
 * of it has to be remembered longer.
 */
export class FlowReceiver<Outcome> {
  readonly #window: SequenceWindow | undefined;
  #next = 1;
  /** The number that the sender was last asked to go back to; 0: none. */
  #asked = 0;
  readonly #outcomes = new NumberMap<Outcome>();
  #settledBelow = 1;

  constructor(options: { readonly ordered: boolean }) {
    this.#window = options.ordered ? undefined : new SequenceWindow();
  }

  /** The first number that has not come. The sender may forget everything below. */
  get next(): number {
    return this.#window?.next ?? this.#next;
  }

  /** How many outcomes are kept. */
  get keptOutcomes(): number {
    return this.#outcomes.size;
  }

  /** A message, or a gap in the place of one, came. */
  arrive(number: number): Arrival {
    if (this.#window !== undefined) {
      const seen = this.#window.see(number);
      return seen === "new" ? "take" : seen === "duplicate" ? "duplicate" : this.#ask();
    }
    if (number < this.#next) return "duplicate";
    if (number > this.#next) return this.#ask();
    this.#next++;
    this.#asked = 0;
    return "take";
  }

  /** A connection began: what the sender was asked on the one before, it may not have heard. */
  connectionBegan(): void {
    this.#asked = 0;
  }

  #ask(): Arrival {
    if (this.#asked === this.next) return "still-missing";
    this.#asked = this.next;
    return "missing-before";
  }

  /** The handlers have finished with a message whose outcome the sender awaits. */
  finished(number: number, outcome: Outcome): void {
    if (number >= this.#settledBelow) this.#outcomes.set(number, outcome);
  }

  /** The outcome of a message, if it is there and the sender may not have it. */
  outcomeOf(number: number): Outcome | undefined {
    return this.#outcomes.get(number);
  }

  /** The outcomes that are kept, for a connection that began, by growing numbers. */
  outcomes(): ReadonlyArray<readonly [number: number, outcome: Outcome]> {
    return this.#outcomes.entries();
  }

  /** The sender has all outcomes below, or does not await them. */
  settled(below: number): void {
    if (below <= this.#settledBelow) return;
    if (below === this.#settledBelow + 1) this.#outcomes.delete(this.#settledBelow);
    else if (this.#outcomes.size > 0) this.#outcomes.take(this.#settledBelow, below - 1);
    this.#settledBelow = below;
  }
}
