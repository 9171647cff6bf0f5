import type { CoordinatorTold, Granted, History, HistoryEvent, Published, Viewed } from "../history.ts";
import { COORDINATOR_OFFICE } from "../reigns.ts";
import { who } from "./check.ts";
import type { Violation } from "./check.ts";
import { sameJson } from "./json.ts";

/** A view's number stands for one list of members, in all processes and in the store, also if a failover has lost it: somebody may have seen it. */
export function viewsAgree(history: History): Violation[] {
  const violations: Violation[] = [];
  const lists = new Map<number, Viewed | Published>();
  const delivered = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view" && event.kind !== "published") continue;
    const first = lists.get(event.version);
    if (first === undefined) lists.set(event.version, event);
    let other = first !== undefined && sameList(first, event) ? undefined : first;
    if (event.kind === "view" && other === undefined) {
      // What only a delivered view tells is compared with the first one that was delivered.
      const seen = delivered.get(event.version);
      if (seen === undefined) delivered.set(event.version, event);
      else if (!sameContent(seen, event)) other = seen;
    }
    if (other === undefined) continue;
    violations.push({ check: "viewsAgree", message: `view ${event.version} is one thing to ${seenBy(other)} and another to ${seenBy(event)}`, atMs: event.t, evidence: [other, event] });
  }
  return violations;
}

function seenBy(event: Viewed | Published): string {
  return event.kind === "view" ? who(event) : `${who(event)}, who published it,`;
}

function sameList(a: Viewed | Published, b: Viewed | Published): boolean {
  if (a.members === b.members) return true;
  return a.members.length === b.members.length && a.members.every((_, index) => incarnationAt(a, index) === incarnationAt(b, index));
}

function incarnationAt(event: Viewed | Published, index: number): string | undefined {
  return event.kind === "view" ? event.members[index]?.incarnation : event.members[index];
}

/** Whether two views with the same incarnations are the same in all else. */
function sameContent(a: Viewed, b: Viewed): boolean {
  if (a.coordinator !== b.coordinator) return false;
  if (a.members === b.members) return true;
  return a.members.every((member, index) => {
    const other = b.members[index];
    return other !== undefined && member.node === other.node && sameJson(member.metadata, other.metadata);
  });
}

/** In each process view numbers strictly increase, `skipped` tells whether any were missed, and an incarnation that has left a view is in no later one. */
export function viewsGrow(history: History): Violation[] {
  const violations: Violation[] = [];
  const last = new Map<string, Viewed>();
  const all = new Map<number, Viewed>();
  for (const event of history.events) {
    if (event.kind !== "view") continue;
    if (!all.has(event.version)) all.set(event.version, event);
    const before = last.get(event.process);
    last.set(event.process, event);
    if (before === undefined) continue;
    if (event.version <= before.version) {
      violations.push({ check: "viewsGrow", message: `${who(event)} was given view ${event.version} after view ${before.version}`, atMs: event.t, evidence: [before, event] });
    } else if (event.skipped !== event.version > before.version + 1) {
      const words = event.skipped ? "is marked as skipping" : "is not marked as skipping";
      violations.push({ check: "viewsGrow", message: `view ${event.version} after view ${before.version} ${words} in ${who(event)}`, atMs: event.t, evidence: [before, event] });
    }
  }
  const gone = new Map<string, Viewed>();
  let present = new Set<string>();
  for (const [, view] of [...all].sort(([a], [b]) => a - b)) {
    const now = new Set(view.members.map((member) => member.incarnation));
    for (const incarnation of present) if (!now.has(incarnation)) gone.set(incarnation, view);
    for (const incarnation of now) {
      const left = gone.get(incarnation);
      if (left === undefined) continue;
      gone.delete(incarnation); // once is enough
      violations.push({ check: "viewsGrow", message: `incarnation ${incarnation} left with view ${left.version} and is back in view ${view.version}`, atMs: view.t, evidence: [left, view] });
    }
    present = now;
  }
  return violations;
}

/**
 * The store takes views in the order of their numbers and of their publishers' tokens, also over failovers, and each from the incarnation that the token was granted to, as long as no later one has been granted
 * (and not lost).
 */
export function viewsPublishedInOrder(history: History): Violation[] {
  const violations: Violation[] = [];
  const grants = new Map<number, Granted>();
  /** Those that no failover has taken away, in the order of time. */
  const standing: Granted[] = [];
  const knowsGrants = history.events.some((event) => event.kind === "granted" && event.election === COORDINATOR_OFFICE);
  let newest: Published | undefined;
  let latest: Published | undefined;
  const complain = (event: Published, message: string, ...evidence: readonly HistoryEvent[]) => {
    violations.push({ check: "viewsPublishedInOrder", message: `${who(event)} published view ${event.version} ${message}`, atMs: event.t, evidence: [...evidence, event] });
  };
  for (const event of history.events) {
    if (event.kind === "granted" && event.election === COORDINATOR_OFFICE) {
      grants.set(event.token, event);
      standing.push(event);
    } else if (event.kind === "failed-over") {
      while ((standing.at(-1)?.t ?? 0) > event.lostSinceMs) standing.pop();
    }
    if (event.kind !== "published") continue;
    if (newest !== undefined && event.version <= newest.version) complain(event, `after view ${newest.version}`, newest);
    else newest = event;
    if (latest !== undefined && event.token < latest.token) complain(event, `with token ${event.token} after token ${latest.token} had been used`, latest);
    else latest = event;
    if (!knowsGrants) continue;
    const grant = grants.get(event.token);
    if (grant === undefined) complain(event, `with token ${event.token}, which nobody had been granted`);
    else if (grant.incarnation !== event.incarnation) complain(event, `with token ${event.token}, which was granted to ${who(grant)}`, grant);
    const inOffice = standing.at(-1);
    if (inOffice !== undefined && inOffice.token > event.token) complain(event, `with token ${event.token} after token ${inOffice.token} had been granted to ${who(inOffice)}`, inOffice);
  }
  return violations;
}

/** What one process has been told. */
class Audience {
  view: Viewed | undefined;
  members: ReadonlySet<string> = new Set();
  readonly joined = new Set<string>();
  readonly left = new Set<string>();
  told: CoordinatorTold | undefined;
  /** The view delivered last, where it has another coordinator than the one before, and this was not told yet. */
  untold: Viewed | undefined;
}

/**
 * Each process is told each join, each leave and each change of the coordinator once: with every view exactly what is different from the view before, and after it the new coordinator. Judged
 * where the writer noted what was told.
 */
export function changesToldOnce(history: History): Violation[] {
  const violations: Violation[] = [];
  const audiences = new Map<string, Audience>();
  const tellsCoordinators = history.events.some((event) => event.kind === "coordinator-told");
  for (const event of history.events) {
    if (event.kind === "started") audiences.delete(event.process); // another run under the same name
    if (event.kind !== "view" && event.kind !== "coordinator-told") continue;
    let audience = audiences.get(event.process);
    if (audience === undefined) audiences.set(event.process, (audience = new Audience()));
    if (event.kind === "coordinator-told") {
      violations.push(...hearCoordinator(audience, event));
      continue;
    }
    if (audience.untold !== undefined) violations.push(neverTold(audience.untold, event));
    violations.push(...hearView(audience, event, tellsCoordinators));
  }
  return [...violations, ...neverToldAtTheEnd(history.events, audiences)];
}

function hearView(audience: Audience, event: Viewed, tellsCoordinators: boolean): Violation[] {
  const violations: Violation[] = [];
  const before = audience.view;
  const were = audience.members;
  const are = before !== undefined && sameList(before, event) ? were : new Set(event.members.map((member) => member.incarnation));
  const complain = (message: string) => {
    violations.push({ check: "changesToldOnce", message: `${who(event)} was told with view ${event.version} ${message}`, atMs: event.t, evidence: before === undefined ? [event] : [before, event] });
  };
  const judge = (what: "joined" | "left", from: ReadonlySet<string>, to: ReadonlySet<string>) => {
    const named = event[what];
    if (named === undefined) return;
    const wrong = firstWrong(named, from, to);
    const twice = named.find((incarnation) => audience[what].has(incarnation));
    if (wrong !== undefined) complain(`that ${named.join(", ") || "nobody"} had ${what}; ${wrong}`);
    else if (twice !== undefined) complain(`for the second time that ${twice} had ${what}`);
    for (const incarnation of named) audience[what].add(incarnation);
  };
  judge("joined", were, are);
  judge("left", are, were);
  const changed = (before?.coordinator ?? null) !== event.coordinator;
  audience.untold = tellsCoordinators && changed ? event : undefined;
  audience.view = event;
  audience.members = are;
  return violations;
}

/** Why the named are not exactly those that are in `to` and not in `from`, each once; `undefined` if they are. */
function firstWrong(named: readonly string[], from: ReadonlySet<string>, to: ReadonlySet<string>): string | undefined {
  if (from === to && named.length === 0) return undefined; // most views bring news of somebody, not somebody new
  const once = new Set(named);
  if (once.size < named.length) return "one is named twice";
  for (const incarnation of once) if (from.has(incarnation) || !to.has(incarnation)) return `${incarnation} had not`;
  for (const incarnation of to) if (!from.has(incarnation) && !once.has(incarnation)) return `${incarnation} is not named`;
  return undefined;
}

function hearCoordinator(audience: Audience, event: CoordinatorTold): Violation[] {
  const { view, untold, told } = audience;
  const expected = told?.coordinator ?? null;
  audience.untold = undefined;
  audience.told = event;
  const violation = (message: string): Violation[] => [
    { check: "changesToldOnce", message: `${who(event)} was told of coordinator ${event.coordinator} ${message}`, atMs: event.t, evidence: [told, view, event].filter((each) => each !== undefined) },
  ];
  if (view === undefined) return violation("before any view");
  if (view.coordinator !== event.coordinator) return violation(`where view ${view.version} has ${view.coordinator}`);
  if (untold === undefined) return violation(`by view ${view.version}, which changed nothing about it or was told of already`);
  if (event.previous !== expected) return violation(`after ${event.previous}, where ${expected} was told before`);
  return [];
}

function neverTold(view: Viewed, next: HistoryEvent): Violation {
  return { check: "changesToldOnce", message: `${who(view)} was never told that view ${view.version} has another coordinator, ${view.coordinator}`, atMs: view.t, evidence: [view, next] };
}

/** What a process is told with a view it is told at once; but it may have been stopped in between. */
const AT_ONCE_MS = 1;

/** Events of a process that do not show that it ran. */
const DONE_TO_IT: ReadonlySet<HistoryEvent["kind"]> = new Set(["paused", "resumed", "cut-off", "mended", "killed", "exited"]);

function neverToldAtTheEnd(events: readonly HistoryEvent[], audiences: ReadonlyMap<string, Audience>): Violation[] {
  const waiting = new Map<string, { readonly view: Viewed; last?: HistoryEvent }>();
  for (const [process, { untold }] of audiences) if (untold !== undefined) waiting.set(process, { view: untold });
  if (waiting.size === 0) return [];
  for (const event of events) {
    const wait = DONE_TO_IT.has(event.kind) ? undefined : waiting.get(event.process);
    if (wait !== undefined) wait.last = event;
  }
  return [...waiting.values()].flatMap(({ view, last }) => (last !== undefined && last.t > view.t + AT_ONCE_MS ? [neverTold(view, last)] : []));
}
