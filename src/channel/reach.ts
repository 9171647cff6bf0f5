/**
 * Which members cannot reach which, as members write it into their store for people who look there. A document of the group, since whoever looks need not be able to reach anybody.
 */
export const REACH_DOCUMENT = "channel.reachability";

/** More are counted, not named: the document has room for reports of a thousand members. */
const MOST_NAMED = 8;

/** A member that another one has no connection with. */
export interface Unreached {
  readonly incarnation: string;
  /** By the wall clock of the one who says so. */
  readonly sinceMs: number;
}

/** What one member says of the others. */
export interface ReachReport {
  readonly node: string;
  readonly unreached: readonly Unreached[];
  /** How many there are beside those. */
  readonly more: number;
}

/** By the incarnation of the one who says so. */
export type ReachReports = ReadonlyMap<string, ReachReport>;

export function encodeReach(reports: ReachReports): string {
  return JSON.stringify(Object.fromEntries([...reports].map(([incarnation, { node, unreached, more }]) => [incarnation, { node, unreached: unreached.map((each) => [each.incarnation, each.sinceMs]), more }])));
}

/** What is not readable says nothing: this is for people, and decides nothing. */
export function decodeReach(text: string): ReachReports {
  try {
    return new Map(Object.entries(JSON.parse(text) as object).map(([incarnation, report]) => [incarnation, readReport(report)]));
  } catch {
    return new Map();
  }
}

function readReport(report: unknown): ReachReport {
  const { node, unreached, more } = report as { readonly node: unknown; readonly unreached: unknown; readonly more: unknown };
  if (typeof node !== "string" || !Number.isSafeInteger(more) || !Array.isArray(unreached)) throw new TypeError("no report");
  return {
    node,
    more: more as number,
    unreached: unreached.map((each: unknown) => {
      const [incarnation, sinceMs] = each as readonly unknown[];
      if (typeof incarnation !== "string" || typeof sinceMs !== "number" || Number.isNaN(new Date(sinceMs).getTime())) throw new TypeError("no report");
      return { incarnation, sinceMs };
    }),
  };
}

/** The reports with this member's own as it is now, and without those of and about who is no member any more. */
export function withOwnReport(before: ReachReports, own: { readonly incarnation: string; readonly node: string; readonly unreached: readonly Unreached[] }, members: ReadonlySet<string>): ReachReports {
  const after = new Map([...before].filter(([incarnation]) => members.has(incarnation) && incarnation !== own.incarnation));
  const { incarnation, node, unreached } = own;
  if (unreached.length > 0) after.set(incarnation, { node, unreached: unreached.slice(0, MOST_NAMED), more: Math.max(0, unreached.length - MOST_NAMED) });
  return after;
}
