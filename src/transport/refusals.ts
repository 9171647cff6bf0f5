import type { RareLines } from "./rare-lines.ts";
import type { RefusalReason } from "./transport.ts";

const REASONS: readonly RefusalReason[] = ["unauthenticated", "malformed", "slow", "crowded", "wrong-group", "version", "unknown-peer", "wrong-identity", "not-here", "duplicate"];

/** What belongs to the ordinary life of a group: views differ for a moment, both sides dial. */
const ORDINARY: readonly RefusalReason[] = ["unknown-peer", "not-here", "duplicate"];

/** Counts connections of others that were not taken, and says so, at a limited rate for each reason. */
export class Refusals {
  readonly counts: Record<RefusalReason, number> = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<RefusalReason, number>;
  readonly #lines: RareLines;

  constructor(lines: RareLines) {
    this.#lines = lines;
  }

  add(reason: RefusalReason, remote: string, detail: string): void {
    this.counts[reason]++;
    this.#lines.say(reason, ORDINARY.includes(reason) ? "debug" : "warn", { code: "PEER_REFUSED", reason, remote, detail }, `a connection was refused: ${reason}`);
  }
}
