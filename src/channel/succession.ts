import { comparePositions, START } from "./order-log.ts";
import type { Position } from "./order-log.ts";

/** What a member said when a new sequencer asked it. */
export interface Standing {
  /** Where it is; `undefined`: nothing of the order has come to it. */
  readonly last: Position | undefined;
  /** The first view that it was in: what was sent in that one or a later one is for it. */
  readonly since: number;
  /** By sender, the greatest number that has a place, as far as it knows. */
  readonly ordered: ReadonlyArray<readonly [incarnation: string, n: number]>;
}

/** What a new sequencer does next. */
export type Step =
  | { readonly kind: "wait" }
  /** Ask that member for what it has after a place. */
  | { readonly kind: "fetch"; readonly from: string; readonly after: Position }
  | {
      readonly kind: "begin";
      /** The greatest place that anybody has. */
      readonly after: Position;
      /** Every member has answered: what nobody has, nobody has handled. */
      readonly complete: boolean;
      /** Members that are behind: they get what follows. */
      readonly behind: ReadonlyArray<readonly [incarnation: string, standing: Standing]>;
      readonly ordered: Standing["ordered"];
    };

/**
 * A new sequencer's way into its office: asks every member where it is, after which none of them hears an earlier sequencer; gets from the one that is furthest what it lacks itself; then begins, and gives the others what they lack.
 *
 *     asked ──all have answered or left, or the time is over──▶ (fetching ◀─▶ the one it was fetched from left) ──▶ begun
 */
export class Succession {
  /** Others, who have not answered yet. */
  readonly #unheard: Set<string>;
  readonly #standings = new Map<string, Standing>();
  readonly #fetched = new Set<string>();
  #fetching: string | undefined;
  #isLate = false;

  constructor(others: Iterable<string>) {
    this.#unheard = new Set(others);
  }

  /** A member answered. */
  stands(incarnation: string, standing: Standing): void {
    if (this.#unheard.delete(incarnation)) this.#standings.set(incarnation, standing);
  }

  /** A member is no member any more. */
  left(incarnation: string): void {
    this.#unheard.delete(incarnation);
    this.#standings.delete(incarnation);
    this.#whoWasFetched(incarnation);
  }

  /** A member has given everything that it was asked for. */
  fetched(incarnation: string): void {
    this.#fetched.add(incarnation);
    this.#whoWasFetched(incarnation);
  }

  /** Who has not answered is not waited for any longer. */
  late(): void {
    this.#isLate = true;
    this.#fetching = undefined;
  }

  /** To be asked after each of these. `own`: where this member is now. */
  next(own: Position | undefined): Step {
    if (this.#fetching !== undefined || (this.#unheard.size > 0 && !this.#isLate)) return { kind: "wait" };
    let [best, furthest]: [string | undefined, Position | undefined] = [undefined, own];
    for (const [incarnation, { last }] of this.#standings) {
      if (last === undefined) continue;
      if (this.#fetched.has(incarnation) || (furthest !== undefined && comparePositions(last, furthest) <= 0)) continue;
      [best, furthest] = [incarnation, last];
    }
    if (best !== undefined && !this.#isLate) {
      this.#fetching = best;
      return { kind: "fetch", from: best, after: own ?? START };
    }
    let after = own ?? START;
    const behind: Array<readonly [string, Standing]> = [];
    const ordered: Array<readonly [string, number]> = [];
    for (const [incarnation, standing] of this.#standings) {
      ordered.push(...standing.ordered);
      if (standing.last !== undefined && comparePositions(standing.last, after) > 0) after = standing.last;
      if (own !== undefined && comparePositions(standing.last ?? START, own) < 0) behind.push([incarnation, standing]);
    }
    return { kind: "begin", after, complete: this.#unheard.size === 0, behind, ordered };
  }

  #whoWasFetched(incarnation: string): void {
    if (this.#fetching === incarnation) this.#fetching = undefined;
  }
}
