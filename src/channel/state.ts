/** A part of a state. */
export interface StatePage {
  /** At most the channel's `maxMessageBytes` less 1 KiB; some hundred KiB are a good size. */
  readonly bytes: Uint8Array;
  /** Where this page ends, in an order that is the same at all members: the last key in it, say. Up to 512 characters. Another member goes on after it. */
  readonly cursor: string;
}

/** A state that members give to each other. */
export interface SharedState {
  /**
   * This member's state in pages, after `after`: a cursor of this member's or of another one's; `""`: from the beginning. What changes meanwhile may be in it or not. The signal aborts when nobody wants more of it.
   */
  snapshot(after: string, signal: AbortSignal): Iterable<StatePage> | AsyncIterable<StatePage>;
  /** Takes a page, in order. When it throws, the transfer fails with that. */
  apply(page: StatePage): unknown;
}

/** What a member does when nobody gives it the state: ask again until the deadline, and fail then; fail at once; or begin without it. */
export type WhenNobody = "retry" | "fail" | "empty";

/** How a state is obtained. */
export interface StateOptions {
  /** Default "retry". "empty" is for caches: what was there before may be missing. */
  readonly whenNobody?: WhenNobody;
  /** How long one page may take before another member is asked, in milliseconds. Default 10000. */
  readonly pageMs?: number;
  /** How long to wait before all are asked again, in milliseconds. Default 500. */
  readonly pauseMs?: number;
}

/** How far a state has come. */
export interface StateProgress {
  readonly state: string;
  /** The node that gives it. */
  readonly from: string;
  readonly pages: number;
  readonly bytes: number;
}

/** How a state was obtained. */
export interface StateReport {
  readonly state: string;
  /** The nodes that gave it, in order; more than one if one stopped half-way. None: there was nobody to give it. */
  readonly from: readonly string[];
  readonly pages: number;
  readonly bytes: number;
}

/** How a member answered who asked it for a state. */
export type GiverAnswer = "gave-nothing" | "not-ready";

/**
 * What follows when everybody was asked and nobody gave the state. Members that begin together have nothing to give to each other: the oldest of them begins without, and gives it to the others.
 */
export function afterRound(whenNobody: WhenNobody, round: { readonly answers: readonly GiverAnswer[]; readonly isOldest: boolean }): "empty" | "again" | "fail" {
  if (round.isOldest && round.answers.every((answer) => answer === "not-ready")) return "empty";
  return whenNobody === "retry" ? "again" : whenNobody;
}

/** Whom to ask, in order: the longest-living member first, then the others by chance, so that joiners do not all ask the same one. */
export function giverOrder<Member extends { readonly incarnation: string }>(members: readonly Member[], self: string, random: { next(): number }): Member[] {
  const [oldest, ...others] = members.filter(({ incarnation }) => incarnation !== self);
  for (let at = others.length - 1; at > 0; at--) {
    const other = Math.floor(random.next() * (at + 1));
    [others[at], others[other]] = [others[other] as Member, others[at] as Member];
  }
  return oldest === undefined ? [] : [oldest, ...others];
}
