import { TribuneError } from "../kernel/index.ts";
import type { GroupReading } from "../store/index.ts";
import { unknownNode } from "./unknown.ts";

/** What became of an eviction. Plain data. */
export interface EvictOutcome {
  /** `still-there`: it was asked, its beats are refused, and it has neither left nor been declared dead within the time given. */
  readonly outcome: "gone" | "still-there";
  readonly node: string;
  readonly incarnation: string;
  /** How it went: by itself, or declared dead; `null` if it has not, or nobody knows any more. */
  readonly how: "left" | "expired" | "crashed" | null;
  /** It had been evicted before. */
  readonly already: boolean;
  /** Nobody else is alive in the group: nobody leads from here on, and nobody notices if it does not go. */
  readonly last: boolean;
  /** The elections that it held when it was asked. */
  readonly held: readonly string[];
  readonly tookMs: number;
}

/** The live incarnation that is to go. */
export interface Evicted {
  readonly incarnation: string;
  readonly leaseMs: number;
  readonly already: boolean;
  readonly last: boolean;
  readonly held: readonly string[];
}

/** Whom an eviction of `node` would hit. Throws `NODE_UNKNOWN` if nobody alive has that name, and `NOT_ELIGIBLE` if it is the caller's own. */
export function memberToEvict(reading: GroupReading, node: string, self: string | undefined): Evicted {
  if (node === self) throw new TribuneError("NOT_ELIGIBLE", `${node} cannot evict itself`, { about: node, next: "stop it instead: cluster.stop(), or SIGTERM; or evict it from elsewhere" });
  const alive = reading.presence.filter((row) => row.state === "alive");
  const row = alive.find((each) => each.node === node);
  if (row === undefined) throw unknownNode(node, reading);
  const { incarnation, leaseMs, evicted } = row;
  return {
    incarnation,
    leaseMs,
    already: evicted,
    last: !alive.some((each) => each.incarnation !== incarnation && !each.evicted),
    held: reading.elections.filter((each) => each.holder?.incarnation === incarnation).map((each) => each.election),
  };
}

/** Whether it has gone. */
export function isGone(reading: GroupReading, incarnation: string): boolean {
  return reading.presence.find((row) => row.incarnation === incarnation)?.state !== "alive";
}
