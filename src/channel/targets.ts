import { shown, TribuneError } from "../kernel/index.ts";
import type { Random } from "../kernel/index.ts";
import type { KnownPeer } from "../transport/index.ts";

/** Whom a message is for: everybody with this member, everybody else, the coordinator, the oldest member, any one (but this one, if there is another), or nodes by name. */
export type Targets = "all" | "others" | "coordinator" | "oldest" | "any" | readonly string[];

/** Who is there, as the channel is told. */
export interface ChannelView {
  /** Of the view. */
  readonly version: number;
  /** In order of joining, the oldest first; this member too. */
  readonly members: readonly KnownPeer[];
  /** The incarnation of the coordinator. */
  readonly coordinator: string | null;
}

/** The members that are meant. Names of nodes that are no members are left out: `missing` has them. Throws `INVALID_OPTIONS`. */
export function resolveTargets(to: Targets, view: ChannelView, self: string, random: Pick<Random, "next">): { readonly members: readonly KnownPeer[]; readonly missing: readonly string[] } {
  const { members } = view;
  if (typeof to !== "string") {
    if (!Array.isArray(to)) throw noTargets(to);
    const [only] = to;
    if (only !== undefined && to.length === 1) {
      const member = members.find(({ node }) => node === only); // most requests
      return member === undefined ? { members: [], missing: to } : { members: [member], missing: [] };
    }
    const wanted = new Set(to);
    const found = members.filter(({ node }) => wanted.has(node));
    return { members: found, missing: [...wanted].filter((node) => !found.some((member) => member.node === node)) };
  }
  const others = members.filter(({ incarnation }) => incarnation !== self);
  switch (to) {
    case "all":
      return { members, missing: [] };
    case "others":
      return { members: others, missing: [] };
    case "coordinator":
      return { members: members.filter(({ incarnation }) => incarnation === view.coordinator), missing: [] };
    case "oldest":
      return { members: members.slice(0, 1), missing: [] };
    case "any": {
      const chosen = others[Math.floor(random.next() * others.length)] ?? members[0];
      return { members: chosen === undefined ? [] : [chosen], missing: [] };
    }
    default:
      throw noTargets(to);
  }
}

function noTargets(to: unknown): TribuneError {
  return new TribuneError("INVALID_OPTIONS", `a message cannot be sent to ${shown(to)}`, { about: "to", next: 'say "all", "others", "coordinator", "oldest", "any", or give a list of nodes' });
}
