import { TribuneError } from "../kernel/index.ts";
import { COORDINATOR, TOKENS_PER_GENERATION } from "../store/index.ts";
import type { GroupReading } from "../store/index.ts";

/** A group that may be started on another store. Plain data. */
export interface MoveOutcome {
  readonly group: string;
  /** The stores, without secrets. */
  readonly from: string;
  readonly to: string;
  /** Elections that are paused on the old store for good, with the highest token that each had there, in decimal. */
  readonly elections: readonly { readonly election: string; readonly token: string }[];
  /** Every token of any election on the new store is greater than this, in decimal. */
  readonly tokensAbove: string;
  readonly generation: { readonly from: number; readonly to: number };
  readonly tookMs: number;
}

/** How far a move is. */
export type MoveProgress =
  | { readonly step: "paused"; readonly election: string }
  | { readonly step: "resigned"; readonly election: string; readonly node: string; readonly token: string }
  | { readonly step: "made"; readonly generation: number };

/** The elections of people: all but the coordinator's, which is the group's own and of no consequence elsewhere. */
export function electionsToMove(reading: GroupReading): GroupReading["elections"] {
  return reading.elections.filter((row) => row.election !== COORDINATOR);
}

/** Throws where the destination has live members of the group: it is in use there already, or the same store. */
export function checkDestination(there: GroupReading | null, group: string, label: string): void {
  const alive = there?.presence.filter((row) => row.state === "alive") ?? [];
  if (alive.length === 0) return;
  const names = alive.map((row) => row.node).toSorted();
  throw new TribuneError("INVALID_OPTIONS", `group ${group} has ${alive.length} live ${alive.length === 1 ? "member" : "members"} on ${label} already: ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`, {
    about: "to",
    next: "name another store, or stop them first",
  });
}

/** Throws unless every election is paused and free: then no token can be given out on the old store any more. */
export function checkStill(reading: GroupReading): void {
  const loud = electionsToMove(reading).find((row) => row.paused === null || row.holder !== null);
  if (loud === undefined) return;
  throw new TribuneError("NOT_PAUSED", `${loud.election} ${loud.paused === null ? "was resumed, or is new," : "was taken"} while the group was being moved`, { about: loud.election, next: "move again, and ask who did that if it happens once more", retryable: true });
}

/** The generation that the group on the new store has to be later than: the old one's, or a later one if a token is of one. */
export function generationBefore(reading: GroupReading): number {
  const tokens = [...reading.elections.map((row) => row.token), ...reading.fences.map((row) => row.token)];
  return Math.max(reading.generation, Math.floor(Math.max(0, ...tokens) / TOKENS_PER_GENERATION));
}

/** Every token of a generation is greater than this. */
export function tokensAbove(generation: number): number {
  return generation * TOKENS_PER_GENERATION - 1;
}
