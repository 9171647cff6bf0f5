import type { CandidateRow, StoredMember, StoredView } from "../store/index.ts";

/** Members in the order in which they are to succeed a coordinator, the next one first. */
export type SuccessionOrder = (members: readonly StoredMember[]) => readonly StoredMember[];

/** Who succeeds the coordinator, and attends its evidence of death: the first in succession of the others that may. */
export function deputyOf(view: StoredView, succession: SuccessionOrder): StoredMember | undefined {
  return succession(view.members.filter((member) => member.observer !== true && member.incarnation !== view.coordinator?.incarnation))[0];
}

/** How many candidates are to be let first: those that are fit and of a higher priority. */
export function aheadOf(candidates: readonly CandidateRow[], own: { readonly incarnation: string; readonly priority: number }): number {
  return candidates.filter((each) => each.fit && each.incarnation !== own.incarnation && each.priority > own.priority).length;
}

/** For whom a holder that has to go gives its term up: of the other fit candidates the one of the highest priority, and of these the oldest. */
export function successorAmong(candidates: readonly CandidateRow[], own: string): string | undefined {
  const fit = candidates.filter((each) => each.fit && each.node !== own);
  return fit.toSorted((a, b) => b.priority - a.priority || a.joinOrder - b.joinOrder)[0]?.node;
}
