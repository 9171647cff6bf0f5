import { TribuneError } from "../kernel/index.ts";
import { presentMember } from "../membership/index.ts";
import type { Member } from "../membership/index.ts";
import type { StoredMember } from "../store/index.ts";

/** The user's order of succession, or that of the view. An order that fails, or that is not of the same members, is told of and not used. */
export function successionOf(order: ((members: readonly Member[]) => readonly Member[]) | undefined, failed: (error: unknown) => void): (members: readonly StoredMember[]) => readonly StoredMember[] {
  if (order === undefined) return (members) => members;
  return (members) => {
    try {
      const byIncarnation = new Map(members.map((member) => [member.incarnation, member]));
      const ordered = order(members.map(presentMember)).map((member) => byIncarnation.get(member.incarnation));
      const known = ordered.filter((member) => member !== undefined);
      if (new Set(known).size !== members.length || ordered.length !== members.length) throw new TribuneError("INVALID_OPTIONS", "succession must answer the members that it is given, each once", { about: "succession" });
      return known;
    } catch (error) {
      failed(error);
      return members;
    }
  };
}
