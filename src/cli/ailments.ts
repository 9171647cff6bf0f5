import type { Ailment } from "../cluster/index.ts";
import { duration } from "./duration.ts";

/** What ails a node, for people. */
export function ailmentsInWords(ailments: readonly Ailment[]): string {
  return ailments.map((ailment) => (ailment.what === "too-few-members" ? `${ailment.members} of at least ${ailment.minimumMembers} members` : `${ailment.what} ${duration(ailment.ms)}`)).join(", ");
}
