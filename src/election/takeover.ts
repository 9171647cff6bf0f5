import { deathStep, observedWaitMs } from "../presence/index.ts";
import type { EvidenceRule, Grounds, Observation } from "../presence/index.ts";
import type { ElectionRow } from "../store/index.ts";

/** Everything that the decision of a contender depends on. */
export interface Contest {
  /** The row as last seen; `undefined` if the election is not in the store. */
  readonly row: ElectionRow | undefined;
  /** What is known of the row's holder; `undefined` until a reply has shown it. */
  readonly holder: Observation | undefined;
  readonly incarnation: string;
  readonly node: string;
  /** Of this candidate. */
  readonly priority: number;
  /** When this very row, and when its token, was seen first (monotonic). */
  readonly rowSinceMs: number;
  readonly tokenSinceMs: number;
  /** How evidence of death is used, if it is. */
  readonly evidence: EvidenceRule | undefined;
  /** The epoch of the last reply, and when the first reply of it came (monotonic). */
  readonly epoch: string;
  readonly epochSinceMs: number;
  /** The longest lease that anybody in the group ever joined with. */
  readonly longestLeaseMs: number;
  /** How long to let better candidates go first. */
  readonly deferMs: number;
  /** Since when the row could be claimed, as this function found; `undefined` if it could not. */
  readonly claimableSinceMs: number | undefined;
}

/** The one thing that a contender does next. */
export type ContestStep =
  /** The election is not in the store yet. */
  | { readonly kind: "create" }
  /** The row names this incarnation with a token that it does not hold: free it. */
  | { readonly kind: "resign"; readonly token: number }
  /** Nothing is known of the holder yet: the next reply shows it. */
  | { readonly kind: "look" }
  /** `claimable`: the row is free for the taking, but others go first. */
  | { readonly kind: "wait"; readonly untilMs: number; readonly claimable: boolean }
  /** Nothing, before the row is another one. */
  | { readonly kind: "idle" }
  | { readonly kind: "declare"; readonly holder: Observation; readonly grounds: Grounds }
  /** The holder has led for its minimum term, and is of a lower priority: ask it to hand over. */
  | { readonly kind: "ask"; readonly token: number }
  | { readonly kind: "claim"; readonly expectedToken: number; readonly overReservation: boolean };

/** What a contender that is trusted and holds no term of this election does at `nowMs`. */
export function contestStep(contest: Contest, nowMs: number): ContestStep {
  const { row, holder, incarnation } = contest;
  if (row === undefined) return { kind: "create" };
  if (row.holder?.incarnation === incarnation) return { kind: "resign", token: row.token };
  if (row.paused !== null) return { kind: "idle" };
  if (row.holder === null) return claimStep(contest, row, nowMs, contest.epochSinceMs);
  if (holder === undefined || holder.incarnation !== row.holder.incarnation) return { kind: "look" };
  if (holder.state === "dead") return claimStep(contest, row, nowMs, contest.epochSinceMs);
  if (holder.state === "absent") return afterFullWait(contest, row, nowMs, Math.max(holder.sinceMs, contest.epochSinceMs));
  const step = deathStep(holder, nowMs, { evidence: contest.evidence });
  if (step.kind === "declare") return { kind: "declare", holder, grounds: step.grounds };
  const askAtMs = mayAskAtMs(contest, row);
  return nowMs >= askAtMs ? { kind: "ask", token: row.token } : { kind: "wait", untilMs: Math.min(step.untilMs, askAtMs), claimable: false };
}

/** When this candidate may ask the holder to hand over to it; never, if it is not of a higher priority, or the holder was asked already. */
function mayAskAtMs({ priority, tokenSinceMs }: Contest, row: ElectionRow): number {
  if (priority <= row.priority || row.resignRequested === row.token) return Number.POSITIVE_INFINITY;
  return tokenSinceMs + row.minimumTermMs;
}

/** A row that is free, or whose holder is dead. In the epoch in which it was last claimed that is the whole story. */
function claimStep(contest: Contest, row: ElectionRow, nowMs: number, sinceMs: number): ContestStep {
  const keptUntilMs = keptForOthersMs(contest, row);
  if (nowMs < keptUntilMs) return { kind: "wait", untilMs: keptUntilMs, claimable: false };
  if (row.epoch !== contest.epoch) return afterFullWait(contest, row, nowMs, sinceMs);
  const claimAtMs = (contest.claimableSinceMs ?? nowMs) + contest.deferMs;
  return nowMs >= claimAtMs ? claim(row) : { kind: "wait", untilMs: claimAtMs, claimable: true };
}

/** Until when the row is kept for another node. By this process's own clock: a reservation is a courtesy, and a clock of the store that is stepped shall not make it last. */
function keptForOthersMs({ node, rowSinceMs }: Contest, { reservation }: ElectionRow): number {
  return reservation === null || reservation.node === node ? 0 : rowSinceMs + reservation.forMs;
}

/** Only called when a reservation for somebody else has been waited out. */
function claim(row: ElectionRow): ContestStep {
  return { kind: "claim", expectedToken: row.token, overReservation: row.reservation !== null };
}

/** In another epoch a later holder may have been lost with the commits that were lost: its trust has to run out first. */
function afterFullWait(contest: Contest, row: ElectionRow, nowMs: number, sinceMs: number): ContestStep {
  const untilMs = sinceMs + observedWaitMs(contest.longestLeaseMs);
  return nowMs >= untilMs ? claim(row) : { kind: "wait", untilMs, claimable: false };
}

/** Whether a term that this process holds is contradicted by the row that a reply showed. */
export function termStands(row: ElectionRow | undefined, token: number, incarnation: string, epochChanged: boolean): boolean {
  if (row === undefined) return false;
  if (row.token === token) return row.holder?.incarnation === incarnation;
  // Within one epoch an older row is only a reply that left before the claim was written.
  return !epochChanged && row.token < token;
}

/** How long a candidate lets better ones go first. `rank` is 0 for the best: the oldest, when the coordinator is to be succeeded. Beyond the first few they are many, and spread by `chance`. */
export function rankDeferMs(rank: number, chance: number): number {
  const ordered = Math.min(rank, RANKS_IN_ORDER);
  return ordered * 40 + Math.min(rank - ordered, 500) * 4 * chance;
}

/** So many candidates wait their turn; who comes after them will hardly be needed. */
const RANKS_IN_ORDER = 8;

/** How long one of many waits who could declare a holder dead, all having waited for the same: the first of them does it for all. A few need no spreading. */
export function declareDeferMs(members: number, chance: number): number {
  return members <= RANKS_IN_ORDER ? 0 : chance * Math.min(members * 2, 1_000);
}

/** A short spread for elections without an order, so that a large group does not claim in one instant. Less than a timer's grain is not waited for. */
export function spreadDeferMs(members: number, chance: number): number {
  const deferMs = chance * Math.min(members * 0.25, 100);
  return deferMs < 1 ? 0 : deferMs;
}
