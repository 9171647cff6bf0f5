import { isoTime, TribuneError } from "../kernel/index.ts";
import type { GroupReading } from "../store/index.ts";
import type { KeyDescription } from "../transport/index.ts";

/** A key that members prove themselves with, without its secret. Plain data. */
export interface KeyStatus {
  readonly id: string;
  /** `accepted`: from others. `active`: also used for what is dialled; exactly one is. `retired`: refused. */
  readonly state: "accepted" | "active" | "retired";
  /** ISO 8601, by the clock of whoever made it. */
  readonly createdAt: string;
}

/** The group's keys. Plain data. */
export interface KeysStatus {
  /** The oldest first. */
  readonly keys: readonly KeyStatus[];
}

/** How far a rotation is. */
export interface RotationProgress {
  readonly step: "introduced" | "activated" | "retired";
  readonly key: string;
  /** How long is waited now, until all members have read it; 0 after the last step. */
  readonly settleMs: number;
}

/** A rotation that is done. Plain data. */
export interface RotationOutcome {
  /** The key that is used from now on. */
  readonly active: string;
  /** Those that are refused since. */
  readonly retired: readonly string[];
  /** It went on with what another one, which did not come to its end, had begun. */
  readonly resumed: boolean;
  readonly tookMs: number;
}

/** Members read the keys at every tenth beat at least, and a beat is half a lease at most. Hints come sooner, and may be lost. */
const SETTLE_LEASES = 5.5;

/** For the reading itself. */
const SETTLE_MS = 1_000;

export function keyStatus({ id, state, createdAtMs }: KeyDescription): KeyStatus {
  return { id, state, createdAt: isoTime(createdAtMs) };
}

/** The key of a rotation that has begun and is not used yet. */
export function keyUnderWay(keys: readonly KeyDescription[]): string | undefined {
  const active = keys.findIndex(({ state }) => state === "active");
  return keys.findLast(({ state }, index) => state === "accepted" && index > active)?.id;
}

/** How long all members need until they have read a change, if nobody tells them. */
export function settleMs(reading: GroupReading): number {
  const leases = reading.presence.filter(({ state }) => state === "alive").map(({ leaseMs }) => leaseMs);
  return SETTLE_LEASES * Math.max(0, ...leases) + SETTLE_MS;
}

export function noKeys(group: string): TribuneError {
  return new TribuneError("KEYS_MISSING", `group ${group} has no keys: no member has had a channel that needs them`, { about: group, next: "start a member with channel: true first" });
}
