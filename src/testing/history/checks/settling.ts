import type { Announced, Ended, Exited, FaultsEnded, History, HistoryEvent, Killed, Viewed } from "../history.ts";
import { COORDINATOR_OFFICE } from "../reigns.ts";
import { who } from "./check.ts";
import type { CheckConfig, Violation } from "./check.ts";

/** How long after the end of all faults, also of many at once, everything may take to come right: `settleMs`, or four leases, four beats and 5000. */
export function settleBoundMs(config: CheckConfig): number {
  return config.settleMs ?? 4 * config.leaseMs + 4 * config.beatMs + 5_000;
}

/**
 * After the end of all faults everything comes right within {@link settleBoundMs}: each election has a holder, the coordinator's as well, and keeps having one to the end of the history, but for an instant in which it is handed over to a node that has not had it since; all nodes
 * have been given one and the same view, which has exactly them as members, one of them as coordinator; and what a holder writes is committed.
 */
export function comesRight({ events }: History, config: CheckConfig): Violation[] {
  const endMs = events.at(-1)?.t ?? 0;
  const calms = events.filter((event) => event.kind === "faults-ended");
  return calms.flatMap((calm) => {
    const boundMs = calm.t + settleBoundMs(config);
    if (endMs <= boundMs) return [violation(boundMs, `the history ends too early: ${(endMs - calm.t).toFixed(0)} ms after the last fault, where ${settleBoundMs(config)} are needed`, [calm])];
    return [...vacancies(events, calm, { boundMs, handoverMs: config.beatMs }), ...refusals(events, boundMs), ...disagreements(events, calm, boundMs)];
  });
}

function violation(atMs: number, message: string, evidence: readonly HistoryEvent[]): Violation {
  return { check: "comesRight", message, atMs, evidence };
}

/** Who had an office last, and what ended that. */
interface Seat {
  readonly holder?: Announced;
  readonly vacated?: Ended | Killed | Exited;
}

function vacancies(events: readonly HistoryEvent[], calm: FaultsEnded, { boundMs, handoverMs }: { readonly boundMs: number; readonly handoverMs: number }): Violation[] {
  const violations: Violation[] = [];
  /** Who has had which election since the faults ended. A node that came back last may be the one of the highest priority, and has it when the minimum terms of those before it are over; nobody has it twice on the way there. */
  const had = new Set<string>();
  const isHandedOver = (vacated: Seat["vacated"], by: Announced) =>
    vacated?.kind === "ended" && vacated.reason === "TERM_RESIGNED" && by.t - vacated.t <= handoverMs && !had.has(`${by.node} ${by.election}`);
  const seats = new Map<string, Seat>([...calm.elections, COORDINATOR_OFFICE].map((election) => [election, {}]));
  const judge = (election: string, { holder, vacated }: Seat, until: HistoryEvent, words: string) => {
    if (holder !== undefined && vacated === undefined) return;
    const fromMs = Math.max(boundMs, vacated?.t ?? boundMs);
    if (until.t <= fromMs) return;
    const evidence = [calm, holder, vacated, until].filter((event) => event !== undefined);
    violations.push(violation(fromMs, `${election} had no holder for ${(until.t - fromMs).toFixed(0)} ms, from ${(fromMs - calm.t).toFixed(0)} ms after the last fault${words}`, evidence));
  };
  for (const event of events) {
    if (event.kind === "announced") {
      const seat = seats.get(event.election);
      if (seat === undefined || (seat.holder !== undefined && event.token <= seat.holder.token)) continue;
      if (!isHandedOver(seat.vacated, event)) judge(event.election, seat, event, "");
      seats.set(event.election, { holder: event });
      if (event.t >= calm.t) had.add(`${event.node} ${event.election}`);
    } else if (event.kind === "ended") {
      const { holder, vacated } = seats.get(event.election) ?? {};
      if (holder?.token === event.token && holder.process === event.process && vacated === undefined) seats.set(event.election, { holder, vacated: event });
    } else if (event.kind === "killed" || event.kind === "exited") {
      for (const [election, { holder, vacated }] of seats) if (holder?.process === event.process && vacated === undefined) seats.set(election, { holder, vacated: event });
    }
  }
  const last = events.at(-1);
  if (last !== undefined) for (const [election, seat] of seats) judge(election, seat, last, " to the end");
  return violations;
}

/** Who holds an election can write: the fence stands at its token. The first refusal of each term. */
function refusals(events: readonly HistoryEvent[], boundMs: number): Violation[] {
  const violations: Violation[] = [];
  const holders = new Map<string, Announced>();
  for (const event of events) {
    if (event.kind === "announced") holders.set(event.election, event);
    else if (event.kind === "ended" && holders.get(event.election)?.token === event.token) holders.delete(event.election);
    else if (event.kind === "wrote" && event.t > boundMs && event.outcome === "refused") {
      const holder = holders.get(event.election);
      if (holder?.token !== event.token) continue;
      holders.delete(event.election);
      violations.push(violation(event.t, `${who(event)} held term ${event.token} of ${event.election}, and its write was refused with ${event.code}`, [holder, event]));
    }
  }
  return violations;
}

function disagreements(events: readonly HistoryEvent[], calm: FaultsEnded, boundMs: number): Violation[] {
  const newest = viewsAt(events, calm, boundMs);
  const blind = calm.nodes.filter((node) => newest.get(node) === undefined);
  const took = `${(boundMs - calm.t).toFixed(0)} ms after the last fault`;
  if (blind.length > 0) return [violation(boundMs, `${blind.join(", ")} had no view ${took}`, [calm])];
  const views = [...newest.values()];
  const [first] = views;
  if (first === undefined) return [];
  const other = views.find((view) => view.version !== first.version);
  if (other !== undefined) return [violation(boundMs, `${who(first)} had view ${first.version}, and ${who(other)} view ${other.version}, ${took}`, [calm, first, other])];
  const violations: Violation[] = [];
  const members = first.members.map((member) => member.node);
  if (members.toSorted().join() !== calm.nodes.toSorted().join()) {
    violations.push(violation(boundMs, `view ${first.version} had ${members.join(", ") || "nobody"} ${took}, where ${calm.nodes.join(", ")} ran`, [calm, first]));
  }
  if (!first.members.some((member) => member.incarnation === first.coordinator)) {
    violations.push(violation(boundMs, `view ${first.version} named no coordinator that is in it ${took}`, [calm, first]));
  }
  return violations;
}

/** What the latest process of each node had been given last; a process is later than another if it was heard of for the first time later. */
function viewsAt(events: readonly HistoryEvent[], calm: FaultsEnded, atMs: number): Map<string, Viewed> {
  const nodes = new Set(calm.nodes);
  const latest = new Map<string, string>();
  const seen = new Set<string>();
  const newest = new Map<string, Viewed>();
  for (const event of events) {
    if (event.t > atMs) break;
    if (event.kind !== "started" && event.kind !== "joined" && event.kind !== "view") continue;
    if (!nodes.has(event.node)) continue;
    if (!seen.has(event.process) || event.kind === "started") {
      seen.add(event.process);
      latest.set(event.node, event.process);
      newest.delete(event.node);
    }
    if (event.kind === "view" && latest.get(event.node) === event.process) newest.set(event.node, event);
  }
  return newest;
}
