import type { GroupReading } from "../store/index.ts";

/** Who holds an election after the term that was asked about. */
export interface Successor {
  readonly node: string;
  /** In decimal. */
  readonly token: string;
}

/** How a request to resign ended. All are ordinary outcomes. */
export type ResignOutcome =
  | {
      readonly outcome: "resigned";
      readonly election: string;
      /** The token of the term that ended, in decimal. */
      readonly token: string;
      readonly node: string;
      /** From the request to the reading that showed the end. */
      readonly tookMs: number;
      readonly reason: string;
      /** Who held it a moment later; `null` if nobody did yet. */
      readonly successor: Successor | null;
    }
  /** Nobody holds it. */
  | { readonly outcome: "not-held"; readonly election: string; readonly token: string }
  /** The group has no such election. */
  | { readonly outcome: "unknown"; readonly election: string; readonly known: readonly string[] }
  /** The term ended by itself before it could be asked. */
  | { readonly outcome: "superseded"; readonly election: string; readonly token: string; readonly node: string }
  /** The holder was asked, and has not stopped within the time given. The wish stays. */
  | { readonly outcome: "still-held"; readonly election: string; readonly token: string; readonly node: string; readonly waitedMs: number };

/** The term that would be asked to end, or why there is none. */
export function termToEnd(
  reading: GroupReading,
  election: string,
): { readonly kind: "held"; readonly token: number; readonly node: string; readonly leaseMs: number } | { readonly kind: "done"; readonly outcome: ResignOutcome } {
  const row = reading.elections.find((row) => row.election === election);
  if (row === undefined) return { kind: "done", outcome: { outcome: "unknown", election, known: reading.elections.map((row) => row.election) } };
  if (row.holder === null) return { kind: "done", outcome: { outcome: "not-held", election, token: String(row.token) } };
  const { incarnation, node } = row.holder;
  const leaseMs = reading.presence.find((row) => row.incarnation === incarnation)?.leaseMs ?? 0;
  return { kind: "held", token: row.token, node, leaseMs };
}

/** Whether the term has ended, as this reading shows it; `undefined` while it stands. */
export function termEnd(
  reading: GroupReading,
  election: string,
  token: number,
): { readonly reason: string; readonly successor: Successor | null } | undefined {
  const row = reading.elections.find((row) => row.election === election);
  if (row !== undefined && row.token === token && row.holder !== null) return undefined;
  const term = reading.terms.find((term) => term.election === election && term.token === token);
  const successor = row === undefined || row.holder === null ? null : { node: row.holder.node, token: String(row.token) };
  return { reason: term?.endReason ?? "", successor };
}

/** How long a holder may take: it sees the wish with its next beat, and its work has the stop budget. Both are less than a lease. */
export function resignPatienceMs(leaseMs: number): number {
  return Math.max(10_000, 2 * leaseMs);
}
