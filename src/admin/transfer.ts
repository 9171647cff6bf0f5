import { TribuneError } from "../kernel/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { GroupReading, PresenceRow } from "../store/index.ts";
import type { Successor } from "./resign.ts";
import { unknownElection, unknownNode } from "./unknown.ts";

/** An election that has changed hands as asked. Plain data. */
export interface TransferOutcome {
  readonly election: string;
  /** Who had it, by which token. */
  readonly from: Successor;
  /** Who has it now. */
  readonly to: Successor;
  /** From the request to the reading that showed the new holder. */
  readonly tookMs: number;
  /** A candidate of a higher priority than the new holder, which asks for it when the new holder's minimum term is over; `null` if there is none. */
  readonly reclaimedBy: { readonly node: string; readonly priority: number; readonly afterMs: number } | null;
}

/** How far a hand-over is: the holder was asked, or has given it up and the row is kept for the other. */
export type TransferProgress = { readonly step: "asked"; readonly from: string; readonly waitMs: number } | { readonly step: "free" };

/** The term that is to be handed over. */
export interface Handed {
  readonly token: number;
  readonly node: string;
  readonly leaseMs: number;
}

/**
 * The term of `election` that is to be handed to `to`. Throws where that cannot be: `NOT_HELD`, `ELECTION_PAUSED`, `NODE_UNKNOWN`, `NOT_ELIGIBLE`.
 */
export function termToHand(reading: GroupReading, election: string, to: string): Handed {
  const row = reading.elections.find((each) => each.election === election);
  if (row === undefined) throw unknownElection("NOT_HELD", election, reading);
  if (row.holder === null) throw new TribuneError("NOT_HELD", `nobody holds ${election}, so nobody can hand it over`, { about: election, next: "wait until it has a holder" });
  if (row.paused !== null) throw new TribuneError("ELECTION_PAUSED", `${election} is paused (${row.paused.reason}), so nobody could take it over`, { about: election, next: "resume it first" });
  if (row.holder.node === to) throw new TribuneError("NOT_ELIGIBLE", `${to} holds ${election} already`, { about: to, next: "there is nothing to hand over" });
  checkSuccessor(reading, election, to);
  const { incarnation, node } = row.holder;
  return { token: row.token, node, leaseMs: reading.presence.find((each) => each.incarnation === incarnation)?.leaseMs ?? 0 };
}

function checkSuccessor(reading: GroupReading, election: string, to: string): void {
  const member = reading.presence.find((each) => each.node === to && each.state === "alive");
  if (member === undefined) throw unknownNode(to, reading);
  const objection = objectionTo(member);
  if (objection !== undefined) throw new TribuneError("NOT_ELIGIBLE", `${to} ${objection}`, { about: to, next: "choose another member" });
  if (election === COORDINATOR) return; // every member contends for that one
  const candidates = reading.candidates.filter((each) => each.election === election);
  const candidate = candidates.find((each) => each.incarnation === member.incarnation);
  const others = candidates.filter((each) => each.fit && each.node !== to).map((each) => each.node);
  const next = others.length === 0 ? "have it call lead or campaign" : `choose one of ${others.join(", ")}`;
  if (candidate === undefined) throw new TribuneError("NOT_ELIGIBLE", `${to} does not contend for ${election}`, { about: to, next });
  if (!candidate.fit) throw new TribuneError("NOT_ELIGIBLE", `the probe of ${to} says that it may not lead ${election}`, { about: to, next: "mend what the probe asks, or choose another candidate" });
}

/** Why a live member could lead nothing. */
function objectionTo({ observer, evicted, expired, beatAgeMs }: PresenceRow): string | undefined {
  if (observer) return "is an observer, and leads nothing";
  if (evicted) return "was evicted";
  if (expired) return `has not beaten for ${(beatAgeMs / 1_000).toFixed(1)} s`;
  return undefined;
}

/** Whether the hand-over is done, as this reading shows it; `undefined` while it is on its way. Throws `TRANSFER_FAILED` if somebody else has the election. */
export function handed(reading: GroupReading, election: string, before: number, to: string): Omit<TransferOutcome, "tookMs" | "from" | "election"> | undefined {
  const row = reading.elections.find((each) => each.election === election);
  if (row === undefined || row.holder === null || row.token <= before) return undefined;
  if (row.holder.node !== to) throw new TribuneError("TRANSFER_FAILED", `${row.holder.node} has taken ${election} before ${to} did`, { about: election, next: "try again" });
  const higher = reading.candidates.filter((each) => each.election === election && each.fit && each.node !== to && each.priority > row.priority).sort((a, b) => b.priority - a.priority)[0];
  return {
    to: { node: to, token: String(row.token) },
    reclaimedBy: higher === undefined ? null : { node: higher.node, priority: higher.priority, afterMs: row.minimumTermMs },
  };
}

/** Nobody has come to hold it in time. */
export function notHanded(reading: GroupReading, election: string, { node, token }: Handed, to: string, waitedMs: number): TribuneError {
  const row = reading.elections.find((each) => each.election === election);
  const stillHeld = row?.token === token && row.holder !== null;
  const what = stillHeld ? `${node} was asked, and still holds term ${token} of ${election} after ${waitedMs} ms` : `${node} has given ${election} up, and ${to} has not taken it within ${waitedMs} ms`;
  return new TribuneError("TRANSFER_FAILED", what, { about: election, next: stillHeld ? `look at ${node}; the request stays` : "look who holds it now; whoever is first may have it" });
}
