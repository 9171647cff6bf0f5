import type { Observation } from "../../src/presence/index.ts";
import type { ElectionRow, PresenceRow } from "../../src/store/index.ts";

/** A presence row as an ordinary member has it. */
export function presenceRow(over: Partial<PresenceRow> = {}): PresenceRow {
  return { incarnation: "i", node: "n", state: "alive", beat: 1, leaseMs: 4_000, expired: false, beatAgeMs: 0, joinOrder: 1, viewSeen: 0, metadataVersion: 1, observer: false, evicted: false, evidence: "none", ...over };
}

/** An election that nobody holds. */
export function electionRow(over: Partial<ElectionRow> = {}): ElectionRow {
  return {
    election: "e",
    token: 0,
    holder: null,
    epoch: "e1",
    version: 1,
    resignRequested: null,
    resignRequestedFor: null,
    reservation: null,
    paused: null,
    priority: 0,
    minimumTermMs: 0,
    ranked: false,
    changedAtMs: 0,
    ...over,
  };
}

/** What is known of an incarnation that lives and has no evidence. */
export function observation(over: Partial<Observation> = {}): Observation {
  return { incarnation: "i", node: "n", state: "alive", beat: 1, leaseMs: 4_000, sinceMs: 0, moved: false, askedStore: false, evidence: "none", heldOn: 0, freeSinceMs: undefined, ...over };
}
