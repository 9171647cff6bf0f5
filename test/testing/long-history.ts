import { seededRandom } from "../../src/kernel/index.ts";
import { COORDINATOR_OFFICE } from "../../src/testing/history/index.ts";
import type { FencedRow, History, HistoryEvent } from "../../src/testing/history/index.ts";

const LEASE_MS = 1_000;
const WORK = "work";
/** As the store has it: each generation of a group opens a fresh range of tokens and of views. */
const RANGE = 2 ** 32;

/** A node's present run, as far as a history tells of it. */
interface Run {
  readonly node: string;
  readonly process: string;
  readonly incarnation: string;
  metadata: unknown;
  /** The view that was delivered last. */
  seen: { readonly version: number; readonly members: readonly string[]; readonly coordinator: string | null } | undefined;
}

/** Who holds an election, and since when. */
interface Seat {
  readonly run: Run;
  readonly token: number;
  nextBeliefMs: number;
}

/**
 * The history of a group that keeps every promise, with all that only a simulation sees: leaders and coordinators that are killed, succeeded and restarted, metadata that changes, failovers that lose
 * commits, and quiet at the end. It is made up, not simulated: for questions about the checks themselves, and for measuring them.
 */
export function longHistory(options: { readonly nodes: number; readonly durationMs: number; readonly believesEveryMs: number; readonly writesEveryMs: number; readonly seed?: number }): History {
  const world = new World(options);
  return world.run();
}

class World {
  readonly #events: HistoryEvent[] = [];
  #rows: FencedRow[] = [];
  readonly #options: Parameters<typeof longHistory>[0];
  readonly #random;
  #runs: Run[] = [];
  readonly #seats = new Map<string, Seat>();
  #nowMs = 0;
  #born = 0;
  #generation = 1;
  #token = 0;
  #version = 0;
  #sequence = 0;
  #readUpTo = 0;

  constructor(options: Parameters<typeof longHistory>[0]) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
  }

  run(): History {
    const { nodes, durationMs } = this.#options;
    for (let node = 1; node <= nodes; node++) this.#start(`n${node}`);
    this.#elect(COORDINATOR_OFFICE);
    this.#elect(WORK);
    while (this.#nowMs < durationMs) {
      this.#live(1_000 + this.#random.next() * 3_000);
      const chance = this.#random.next();
      if (chance < 0.3) this.#succession(WORK);
      else if (chance < 0.45) this.#succession(COORDINATOR_OFFICE);
      else if (chance < 0.55) this.#failOver();
      else this.#changeMetadata();
    }
    this.#note(undefined, { kind: "faults-ended", nodes: this.#runs.map((run) => run.node), elections: [WORK] });
    this.#publish();
    this.#live(15_000);
    this.#note(undefined, { kind: "quiet", fromMs: this.#nowMs - 5_000, operations: { beat: 25, look: 0 }, grew: [], hints: 0 });
    return { events: this.#events, rows: this.#rows };
  }

  #note(run: Run | undefined, entry: object): void {
    const { process = "", node = "", incarnation = "" } = run ?? {};
    this.#events.push({ t: this.#nowMs, process, node, incarnation, ...entry } as unknown as HistoryEvent);
  }

  #start(node: string): void {
    const run: Run = { node, process: `${node}#${++this.#born}`, incarnation: this.#random.id(), metadata: { n: 0 }, seen: undefined };
    this.#runs.push(run);
    this.#note({ ...run, incarnation: "" }, { kind: "started" });
    if (this.#seats.size > 0) this.#publish();
    this.#note(run, { kind: "joined" });
  }

  #elect(election: string): void {
    const candidates = this.#runs.filter((run) => run !== this.#seats.get(COORDINATOR_OFFICE)?.run);
    const run = candidates[Math.floor(this.#random.next() * candidates.length)] as Run;
    const token = (this.#token = Math.max(this.#token, this.#generation * RANGE - 1) + 1);
    this.#note(run, { kind: "granted", election, token });
    this.#nowMs += 2;
    this.#note(run, { kind: "announced", election, token, mayAct: true });
    if (election === WORK) this.#note(run, { kind: "work-began", election, token });
    this.#seats.set(election, { run, token, nextBeliefMs: this.#nowMs });
    if (election === COORDINATOR_OFFICE) this.#publish();
  }

  #publish(): void {
    const coordinator = this.#seats.get(COORDINATOR_OFFICE);
    if (coordinator === undefined) return;
    const version = (this.#version = Math.max(this.#version, (this.#generation - 1) * RANGE) + 1);
    const members = this.#runs.map(({ node, incarnation, metadata }) => ({ node, incarnation, metadata }));
    const incarnations = members.map((member) => member.incarnation);
    this.#note(coordinator.run, { kind: "published", version, token: coordinator.token, members: incarnations });
    for (const run of this.#runs) {
      this.#nowMs += 1;
      const before = run.seen;
      const joined = incarnations.filter((incarnation) => before?.members.includes(incarnation) !== true);
      const left = before?.members.filter((incarnation) => !incarnations.includes(incarnation)) ?? [];
      const skipped = before !== undefined && version !== before.version + 1;
      run.seen = { version, members: incarnations, coordinator: coordinator.run.incarnation };
      this.#note(run, { kind: "view", version, members: structuredClone(members), coordinator: coordinator.run.incarnation, skipped, joined, left });
      const previous = before?.coordinator ?? null;
      if (previous !== coordinator.run.incarnation) this.#note(run, { kind: "coordinator-told", coordinator: coordinator.run.incarnation, previous });
    }
  }

  /** Nothing but beliefs, writes, and a reader of the record. */
  #live(forMs: number): void {
    const { writesEveryMs, believesEveryMs } = this.#options;
    const untilMs = this.#nowMs + forMs;
    let readMs = this.#nowMs + 1_000;
    for (let writeMs = this.#nowMs + writesEveryMs; this.#nowMs < untilMs; this.#nowMs += 10) {
      for (const [election, seat] of this.#seats) {
        if (seat.nextBeliefMs > this.#nowMs) continue;
        seat.nextBeliefMs = this.#nowMs + believesEveryMs;
        this.#note(seat.run, { kind: "believes", election, token: seat.token });
      }
      if (writeMs <= this.#nowMs) {
        writeMs += writesEveryMs;
        this.#write();
      }
      if (readMs > this.#nowMs) continue;
      readMs += 1_000;
      const sequences = [1, 2, 3].map((step) => this.#readUpTo + step);
      this.#note({ process: "reader", node: "", incarnation: "" } as Run, { kind: "record-read", after: this.#readUpTo, sequences, skipped: 0 });
      this.#readUpTo += 3;
    }
  }

  #write(): void {
    const seat = this.#seats.get(WORK);
    if (seat === undefined) return;
    const { node, process, incarnation } = seat.run;
    const write = `${process}/${++this.#sequence}`;
    this.#rows.push({ sequence: this.#sequence, election: WORK, token: seat.token, node, incarnation, write, t: this.#nowMs - 5, committedMs: this.#nowMs });
    this.#note(seat.run, { kind: "wrote", election: WORK, token: seat.token, write, outcome: "committed", code: "" });
  }

  /** The holder is killed, declared dead, succeeded, and started again. */
  #succession(election: string): void {
    const seat = this.#seats.get(election);
    if (seat === undefined) return;
    this.#note(seat.run, { kind: "fault", name: "kill", targets: [seat.run.node] });
    this.#note(seat.run, { kind: "killed" });
    this.#runs = this.#runs.filter((run) => run !== seat.run);
    const lost = [...this.#seats].filter(([, other]) => other.run === seat.run).map(([name]) => name);
    for (const name of lost) this.#seats.delete(name);
    this.#live(LEASE_MS + 200);
    this.#note(this.#runs[0], { kind: "declared-dead", dead: seat.run.incarnation, silentMs: LEASE_MS + 200, leaseMs: LEASE_MS, alive: this.#runs.length + 1, silent: 1, held: lost });
    for (const name of lost) this.#elect(name);
    if (!lost.includes(COORDINATOR_OFFICE)) this.#publish();
    this.#live(300);
    this.#start(seat.run.node);
  }

  /** Another server answers, which has not the last 200 ms. The holders keep their terms; the next one is of a fresh range. */
  #failOver(): void {
    const sinceMs = this.#nowMs - 200;
    this.#note(undefined, { kind: "failed-over", lostSinceMs: sinceMs });
    this.#rows = this.#rows.map((row) => ((row.committedMs ?? 0) > sinceMs && row.lostMs === undefined ? { ...row, lostMs: this.#nowMs } : row));
    this.#generation += 1;
    this.#readUpTo = Math.max(0, this.#readUpTo - 2);
    this.#publish();
  }

  #changeMetadata(): void {
    const run = this.#runs[Math.floor(this.#random.next() * this.#runs.length)] as Run;
    run.metadata = { n: Math.floor(this.#random.next() * 1_000), zone: "b" };
    this.#publish();
  }
}
