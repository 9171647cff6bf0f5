import type { DeclaredDead, History, HistoryEvent } from "../history.ts";
import { COORDINATOR_OFFICE } from "../reigns.ts";
import { Pairing } from "../spans.ts";
import { who } from "./check.ts";
import { doubleFaulted } from "./exception.ts";
import type { CheckConfig, Violation } from "./check.ts";

/**
 * An incarnation that was declared dead believes in nothing, is announced nothing and is granted nothing from then on. A failover that lost the death takes it back. What the store still takes of
 * its views is for another check: until somebody has claimed the office, a late statement of the dead may be heard.
 */
export function deadNeverActs(history: History): Violation[] {
  const violations: Violation[] = [];
  const excepted = doubleFaulted(history);
  const deaths = new Map<string, DeclaredDead>();
  const inOrder: DeclaredDead[] = [];
  for (const event of history.events) {
    if (event.kind === "declared-dead") {
      if (deaths.has(event.dead)) continue;
      deaths.set(event.dead, event);
      inOrder.push(event);
    } else if (event.kind === "failed-over") {
      for (let last = inOrder.at(-1); last !== undefined && last.t > event.lostSinceMs; last = inOrder.at(-1)) {
        inOrder.pop();
        if (deaths.get(last.dead) === last) deaths.delete(last.dead);
      }
    } else {
      const death = deaths.get(event.incarnation);
      const did = death === undefined ? undefined : deedOf(event);
      if (death === undefined || did === undefined || (event.kind !== "granted" && excepted.has(event.incarnation))) continue;
      violations.push({ check: "deadNeverActs", message: `${who(event)} ${did} ${(event.t - death.t).toFixed(1)} ms after it was declared dead`, atMs: event.t, evidence: [death, event] });
      deaths.delete(event.incarnation); // once is enough
    }
  }
  return violations;
}

/** What the dead do not do; `undefined` for what shows no life. */
function deedOf(event: HistoryEvent): string | undefined {
  if (event.kind === "believes") return `believed in term ${event.token} of ${event.election}`;
  if (event.kind === "announced" && event.mayAct) return `was announced term ${event.token} of ${event.election}`;
  if (event.kind === "granted") return `was granted term ${event.token} of ${event.election}`;
  return event.kind === "joined" ? "was a member" : undefined;
}

/** What is known of a process at one moment. */
class Condition {
  ended = false;
  /** Whether its own clocks had told it that its trust was over, and it is not back: whoever declares it dead is right about its beats. */
  lapsed = false;
  readonly #pauses = new Pairing();
  readonly #cuts = new Pairing();

  take(event: HistoryEvent): void {
    if (event.kind === "killed" || event.kind === "exited") this.ended = true;
    else if (event.kind === "told" && event.what === "lost") this.lapsed = true;
    else if (event.kind === "told" && event.what === "rejoined") this.lapsed = false;
    else if (event.kind === "paused") this.#pauses.begin(event.t);
    else if (event.kind === "resumed") this.#pauses.end(event.t);
    else if (event.kind === "cut-off") this.#cuts.begin(event.t);
    else if (event.kind === "mended") this.#cuts.end(event.t);
  }

  /** Whether it was stopped, blocked or cut off since then. */
  wasAwaySince(sinceMs: number): boolean {
    return [this.#pauses, this.#cuts].some((spans) => spans.isOpen || (spans.endedMs !== undefined && spans.endedMs >= sinceMs));
  }
}

/**
 * A process that ran is not declared dead: slow is not dead, and an outage removes nobody. Whoever was stopped, blocked or cut off within the last two leases is excepted; it may
 * deserve it. So is whoever ended, or knew that its own trust had lapsed.
 */
export function runningIsNotDeclaredDead(history: History, config: CheckConfig): Violation[] {
  const { events } = history;
  const deaths = events.filter((event) => event.kind === "declared-dead");
  if (deaths.length === 0) return [];
  const processes = processesOf(events, new Set(deaths.map((death) => death.dead)));
  const conditions = new Map<string, Condition>();
  for (const process of processes.values()) conditions.set(process, new Condition());
  const violations: Violation[] = [];
  let next = 0;
  for (const death of deaths) {
    // What stands at the same time counts as before: the excuse may have been written down by another.
    for (let event = events[next]; event !== undefined && event.t <= death.t; event = events[++next]) conditions.get(event.process)?.take(event);
    const process = processes.get(death.dead);
    const condition = process === undefined ? undefined : conditions.get(process);
    if (condition === undefined || condition.ended || condition.lapsed || condition.wasAwaySince(death.t - 2 * config.leaseMs)) continue;
    violations.push({ check: "runningIsNotDeclaredDead", message: `${who(death)} declared incarnation ${death.dead} of ${process} dead, which was running`, atMs: death.t, evidence: [death] });
  }
  return violations;
}

/** Which process each of these incarnations is of. */
function processesOf(events: readonly HistoryEvent[], incarnations: ReadonlySet<string>): Map<string, string> {
  const processes = new Map<string, string>();
  for (const event of events) if (event.incarnation !== "" && event.kind !== "declared-dead" && incarnations.has(event.incarnation)) processes.set(event.incarnation, event.process);
  return processes;
}

/** By how much clock rates may differ, and the grain of a simulated clock. As promised, not as the code under test has it. */
const RATE_ERROR = 0.01;
const GRAIN_MS = 1;

/** Nobody is declared dead whose last beat the store took less than a lease ago, in true time and as far as clock rates allow to know it. */
export function deathNeedsSilence(history: History): Violation[] {
  const violations: Violation[] = [];
  for (const event of history.events) {
    if (event.kind !== "declared-dead" || event.silentMs === undefined || event.leaseMs === undefined || event.proof !== undefined) continue;
    if (event.silentMs >= event.leaseMs * (1 - RATE_ERROR) - GRAIN_MS) continue;
    violations.push({
      check: "deathNeedsSilence",
      message: `${who(event)} declared incarnation ${event.dead} dead after ${event.silentMs.toFixed(1)} ms of silence: its lease of ${event.leaseMs} ms was taken away early`,
      atMs: event.t,
      evidence: [event],
    });
  }
  return violations;
}

/** For how long evidence has to have been free, in true time and as far as clock rates allow to know it. */
const GRACE_MS = 100;

/** Suspicion and evidence that is lost speak of the same event if they come within this, on the clock of who declares. */
const AGREEMENT_MS = 1_000;

/**
 * Whoever is declared dead on evidence has lost the session that held it, at least a grace ago, and alone: not with all others when the server went away, which proves nothing, and not by a pooler, which
 * proves less. Suspicion takes the grace, never the proof: of who declares the death, that very incarnation, and within a second of the end of that session.
 */
export function deathNeedsProof(history: History): Violation[] {
  const violations: Violation[] = [];
  const suspectedMs = new Map<string, number>();
  for (const event of history.events) {
    if (event.kind === "suspected") suspectedMs.set(`${event.process} ${event.suspect}`, event.t);
    if (event.kind === "absolved") suspectedMs.delete(`${event.process} ${event.suspect}`);
    if (event.kind !== "declared-dead" || event.proof === undefined) continue;
    const { freeMs, endedBy } = event.proof;
    const suspicionMs = suspectedMs.get(`${event.process} ${event.dead}`);
    // It saw that the evidence is free at some time between then and now.
    const agrees = suspicionMs !== undefined && Math.abs(suspicionMs - (event.t - freeMs)) <= AGREEMENT_MS * (1 + RATE_ERROR) + freeMs + GRAIN_MS;
    const complain = (what: string) => violations.push({ check: "deathNeedsProof", message: `${who(event)} declared incarnation ${event.dead} dead on evidence ${what}`, atMs: event.t, evidence: [event] });
    if (endedBy === "server" || endedBy === "pooler") complain(endedBy === "server" ? "that went with the server" : "that a pooler had freed");
    else if (!agrees && freeMs < GRACE_MS * (1 - RATE_ERROR) - GRAIN_MS) complain(`that had been free for ${freeMs.toFixed(1)} ms only`);
  }
  return violations;
}

/**
 * Whoever declares another dead on its silence has been looking: within the lease of the dead one it never went for longer without an answer of the store than half of that lease, or one and a half of its own beats. Otherwise
 * an outage would remove those who could not beat. A successor that wants the name of a dead predecessor looks as often as it can; nor is anybody accused where the history does not tell the dead one's name.
 */
export function deathNeedsWatching(history: History, config: CheckConfig): Violation[] {
  const violations: Violation[] = [];
  const nodes = new Map<string, string>();
  for (const event of history.events) {
    if (event.incarnation !== "") nodes.set(event.incarnation, event.node);
    if (event.kind === "view") for (const member of event.members) nodes.set(member.incarnation, member.node);
    if (event.kind !== "declared-dead" || event.blindMs === undefined || event.leaseMs === undefined || event.proof !== undefined) continue;
    const mostMs = Math.max(event.leaseMs / 2, config.beatMs * 1.5) + GRAIN_MS;
    const node = nodes.get(event.dead);
    if (event.blindMs <= mostMs || node === undefined || node === event.node) continue;
    violations.push({
      check: "deathNeedsWatching",
      message: `${who(event)} declared incarnation ${event.dead} dead, and had heard nothing from the store for ${event.blindMs.toFixed(1)} ms of the lease of ${event.leaseMs} ms before`,
      atMs: event.t,
      evidence: [event],
    });
  }
  return violations;
}

/** A lease of waiting and one more of suspicion, less what of the silence may have passed before the coordinator could see it. */
const SUSPICIOUS_LEASES = 1.75;

/** Deaths that one coordinator declares within this share of a lease are one decision, or the same one taken again. */
const BURST_LEASES = 0.5;

/** Deaths that follow each other, and how many of the dead had been silent for as long as the first. */
interface Burst {
  readonly first: DeclaredDead;
  /** When the store had last heard of the first. */
  readonly heardMs: number;
  readonly deaths: DeclaredDead[];
}

/**
 * Where more than half of the members, and at least two, are silent, the coordinator suspects the store or itself first: it waits one more lease. Whoever fell silent no later than the first one that is
 * declared dead is silent to the coordinator as well, if that has watched for a while. Whoever wants a dead holder's office, or the name of a dead predecessor, waits the ordinary time; nor is anybody accused
 * where the history does not tell the dead one's name.
 */
export function massDeathWaits(history: History): Violation[] {
  const violations: Violation[] = [];
  const nodes = new Map<string, string>();
  const inOffice = new Map<string, number>();
  const bursts = new Map<string, Burst>();
  for (const event of history.events) {
    if (event.incarnation !== "") nodes.set(event.incarnation, event.node);
    if (event.kind === "view") for (const member of event.members) nodes.set(member.incarnation, member.node);
    if (event.kind === "announced" && event.election === COORDINATOR_OFFICE) inOffice.set(event.process, event.t);
    else if (event.kind === "killed" || event.kind === "exited" || (event.kind === "ended" && event.election === COORDINATOR_OFFICE)) inOffice.delete(event.process);
    if (event.kind !== "declared-dead" || !isOfItself(event, nodes.get(event.dead))) continue;
    const burst = burstOf(event, bursts.get(event.process), inOffice.get(event.process));
    if (burst === undefined) continue;
    bursts.set(event.process, burst);
    const { first, deaths } = burst;
    const { leaseMs = 0, silentMs = 0, alive = 0 } = first;
    // Told when there is one too many, and not again for each one more.
    if (deaths.at(-1) !== event || deaths.length !== Math.max(2, Math.floor(alive / 2) + 1)) continue;
    violations.push({
      check: "massDeathWaits",
      message: `${who(event)} declared ${deaths.length} of ${alive} members dead, the first after ${silentMs.toFixed(1)} ms of silence: with so many silent at once, a lease of ${leaseMs} ms is to be waited for twice`,
      atMs: event.t,
      evidence: [...deaths],
    });
  }
  return violations;
}

/** Whether the coordinator has no other reason than silence. */
function isOfItself(death: DeclaredDead, node: string | undefined): boolean {
  return death.silentMs !== undefined && death.leaseMs !== undefined && death.alive !== undefined && death.proof === undefined && death.held?.length === 0 && node !== undefined && node !== death.node;
}

/** The burst that a death belongs to; `undefined` if it is in none that could be too early. */
function burstOf(death: DeclaredDead, before: Burst | undefined, inOfficeMs: number | undefined): Burst | undefined {
  const { leaseMs = 0, silentMs = 0 } = death;
  if (before !== undefined && death.t - before.first.t <= BURST_LEASES * leaseMs) {
    if (before.first.leaseMs === leaseMs && death.t - silentMs <= before.heardMs) before.deaths.push(death);
    return before;
  }
  const isHasty = silentMs < SUSPICIOUS_LEASES * leaseMs;
  const hasWatched = inOfficeMs !== undefined && inOfficeMs <= death.t - 2 * leaseMs;
  return isHasty && hasWatched ? { first: death, heardMs: death.t - silentMs, deaths: [death] } : undefined;
}
