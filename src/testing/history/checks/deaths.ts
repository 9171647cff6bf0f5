import type { History, HistoryEvent } from "../history.ts";
import { Pairing } from "../spans.ts";
import { who } from "./check.ts";
import type { CheckConfig, Violation } from "./check.ts";

/** An incarnation that was declared dead believes in nothing and is announced nothing from then on. */
export function deadNeverActs(history: History): Violation[] {
  const violations: Violation[] = [];
  const deaths = new Map<string, HistoryEvent>();
  for (const event of history.events) {
    if (event.kind === "declared-dead") {
      if (!deaths.has(event.dead)) deaths.set(event.dead, event);
      continue;
    }
    if (event.kind !== "believes" && !(event.kind === "announced" && event.mayAct) && event.kind !== "joined") continue;
    const death = deaths.get(event.incarnation);
    if (death === undefined) continue;
    const did = event.kind === "believes" ? `believed in term ${event.token} of ${event.election}` : event.kind === "announced" ? `was announced term ${event.token} of ${event.election}` : "was a member";
    violations.push({ check: "deadNeverActs", message: `${who(event)} ${did} ${(event.t - death.t).toFixed(1)} ms after it was declared dead`, atMs: event.t, evidence: [death, event] });
    deaths.delete(event.incarnation); // once is enough
  }
  return violations;
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
