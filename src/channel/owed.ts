import { Fifo } from "./fifo.ts";

/** Outcomes for senders that are in no view of this member yet, in the order in which they came: kept until the next view, but for those that nobody waits for any more. Else who joins, sends with short deadlines, and is not heard of for long would fill the memory of all others. */
export class Owed<Outcome extends { readonly dueMs: number }> {
  #outcomes = new Fifo<Outcome>();

  get size(): number {
    return this.#outcomes.length;
  }

  /** `nowMs` and `dueMs` are on the caller's clock. */
  add(outcome: Outcome, nowMs: number): void {
    // Those behind one with a later end stay with it: nothing is looked for.
    for (let first = this.#outcomes.first(); first !== undefined && nowMs >= first.dueMs; first = this.#outcomes.first()) this.#outcomes.shift();
    if (nowMs < outcome.dueMs) this.#outcomes.push(outcome);
  }

  /** All of them; none is owed any more. */
  take(): Iterable<Outcome> {
    const outcomes = this.#outcomes;
    this.#outcomes = new Fifo();
    return outcomes;
  }
}
