import { TribuneError } from "../kernel/index.ts";
import { TOKENS_PER_GENERATION } from "./limits.ts";
import type { ClaimInput, ElectionRow } from "./provider.ts";

/**
 * What the contract says of a row of an election, as plain code for the stores that decide outside of a database: the memory store, which the simulator runs, and the quorum services. The SQL stores say the
 * same in their statements.
 */

/** A row as `createElection` makes it. Free for the taking only in the epoch in which the group was born. */
export function newElectionRow(election: string, { epoch, birthEpoch, atMs }: { readonly epoch: string; readonly birthEpoch: string; readonly atMs: number }): Omit<ElectionRow, "version"> {
  return {
    election,
    token: 0,
    holder: null,
    epoch: epoch === birthEpoch ? epoch : "",
    resignRequested: null,
    resignRequestedFor: null,
    reservation: null,
    paused: null,
    priority: 0,
    minimumTermMs: 0,
    ranked: false,
    changedAtMs: atMs,
  };
}

/** Whether the row itself lets the claimant have it. Who is alive, and in which epoch, is asked beside. */
export function isClaimable(row: Omit<ElectionRow, "version">, { expectedToken, node, overReservation = false }: ClaimInput): boolean {
  if (row.token !== expectedToken || row.paused !== null) return false;
  return row.reservation === null || row.reservation.node === node || overReservation;
}

/** The token of a new term: greater than any that was given out, that stands in the fence, that the claimant has seen, or that is of an earlier generation. Throws `TOKEN_EXHAUSTED`. */
export function nextToken(row: Pick<ElectionRow, "token">, { election, tokenSeen }: ClaimInput, { fence, generation }: { readonly fence: number; readonly generation: number }): number {
  const token = Math.max(row.token, fence, tokenSeen, generation * TOKENS_PER_GENERATION - 1) + 1;
  if (Number.isSafeInteger(token)) return token;
  throw new TribuneError("TOKEN_EXHAUSTED", `tokens of ${election} are used up`, { about: election, next: "use an election of another name" });
}

/** What a claim changes in the row. */
export function claimed({ incarnation, node, epoch, priority = 0, minimumTermMs = 0 }: ClaimInput, { token, atMs }: { readonly token: number; readonly atMs: number }) {
  return {
    token,
    holder: { incarnation, node },
    epoch,
    resignRequested: null,
    resignRequestedFor: null,
    reservation: null,
    priority,
    minimumTermMs: Math.ceil(minimumTermMs),
    changedAtMs: atMs,
  };
}
