import { sleep } from "../../kernel/index.ts";
import { openAdmin } from "../../admin/index.ts";
import type { Term } from "../../election/index.ts";
import type { MemoryTransaction } from "../../store/memory/index.ts";
import { checkHistory, FENCING_CHECKS, settleBoundMs, SIMULATION_CHECKS } from "../history/index.ts";
import type { History, Violation } from "../history/index.ts";
import { inflict } from "./faults.ts";
import type { Fault, FaultKind, Undo } from "./faults.ts";
import type { Program, ProgramContext } from "./node.ts";
import type { Plan, PlannedNode } from "./plan.ts";
import type { StoreCopy } from "./store.ts";
import { trafficOf } from "./traffic.ts";
import type { ChannelUse } from "./own-channels.ts";
import { between } from "./streams.ts";
import { SimulatedWorld } from "./world.ts";

/** What a run came to. */
export interface RunResult {
  readonly plan: Plan;
  readonly history: History;
  readonly violations: readonly Violation[];
  /** Milliseconds of simulated time. */
  readonly simulatedMs: number;
  /** Faults that met somebody, by kind; and what the network and the store did of themselves. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  readonly counts: RunCounts;
}

/** What happened in a run, in numbers. */
export interface RunCounts {
  readonly events: number;
  readonly terms: number;
  readonly views: number;
  readonly deaths: number;
  readonly writes: number;
  /** How often a holder was asked whether it believes. */
  readonly asked: number;
  readonly messages: number;
  readonly lostMessages: number;
  readonly lateStatements: number;
  readonly droppedStatements: number;
  /** Messages of channels that were sent, and handlers that were called with one; and connections between nodes that were reset. */
  readonly sent: number;
  readonly handled: number;
  readonly resets: number;
}

/** After the time in which everything has to come right: watched for stability, and then for idleness. */
const STABLE_MS = 8_000;
const QUIET_MS = 10_000;

/** A process that could not start is begun again after this long. */
const RESTART = { fromMs: 500, toMs: 2_000 };

/** A node that goes on for long after its faults ended is stopped by the harness, as an operator would. */
const OPERATOR = { process: "", node: "", incarnation: "" } as const;

/** How candidates of these runs behave. */
const MINIMUM_TERM_MS = 4_000;
const PROBE_EVERY_MS = 700;

/** How a run is watched. */
export interface RunOptions {
  /** Called with each line that a node logs. */
  readonly log?: ((line: string) => void) | undefined;
  /** Whether the history is judged. Default true. */
  readonly judge?: boolean;
  /** Runs in each process instead of the ordinary work: has to contend for all elections of its plan without end. */
  readonly program?: Program;
}

/** Plays a plan: faults for a while, then none, and then quiet; and judges what happened. */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(plan, options);
  await run.play();
  return run.result(options.judge ?? true);
}

class Run {
  readonly #plan: Plan;
  readonly #world: SimulatedWorld;
  readonly #faults: Partial<Record<FaultKind, number>> = {};
  readonly #undos = new Set<() => void>();
  readonly #copies = new Map<number, StoreCopy>();
  readonly #readers = new AbortController();
  readonly #planned: ReadonlyMap<string, PlannedNode>;
  readonly #program: Program | undefined;
  /** Whether candidates have probes: where nothing makes them say no they show nothing, and cost time. */
  readonly #probes: boolean;
  readonly #channel: ChannelUse | undefined;
  #calm = false;
  #isQuiet = false;

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan;
    this.#program = options.program;
    this.#probes = plan.faults.some((fault) => fault.kind === "unfit");
    this.#planned = new Map(plan.nodes.map((node) => [node.name, node]));
    this.#world = new SimulatedWorld({ seed: plan.seed, log: options.log, asksBelief: !plan.reckless });
    this.#channel = plan.traffic && trafficOf(plan.traffic, { chance: this.#world.chance, note: ({ node, incarnation }, entry) => this.#world.recorder.note({ process: node.name, node: node.node, incarnation }, entry), goesOn: () => !this.#isQuiet, isCalm: () => this.#calm });
  }

  async play(): Promise<void> {
    const { faults, nodes, faultsUntilMs } = this.#plan;
    const { schedule } = this.#world;
    for (const node of nodes) schedule.in(node.startMs, () => this.#boot(node.name));
    for (const fault of faults) {
      if (fault.kind === "fail-over" && fault.lostMs > 0) schedule.in(fault.atMs - fault.lostMs, () => this.#copies.set(fault.atMs, this.#world.store.copy()));
      schedule.in(fault.atMs, () => this.#inflict(fault));
    }
    await this.#world.run(faultsUntilMs);
    this.#endFaults();
    await this.#world.run(this.#settleMs() + STABLE_MS);
    await this.#beQuiet();
  }

  result(judge: boolean): RunResult {
    const world = this.#world;
    const history = world.history();
    const { leaseMs, beatMs } = this.#timing();
    const checks = this.#plan.profile === "beyond" ? FENCING_CHECKS : SIMULATION_CHECKS;
    const count = (kind: string) => history.events.reduce((sum, event) => sum + (event.kind === kind ? 1 : 0), 0);
    return {
      plan: this.#plan,
      history,
      violations: judge ? checkHistory(history, { leaseMs, beatMs, settleMs: this.#settleMs() }, checks) : [],
      simulatedMs: world.nowMs,
      faults: this.#faults,
      counts: {
        events: world.schedule.happened,
        terms: count("announced"),
        views: count("published"),
        deaths: count("declared-dead"),
        writes: world.store.rows.length,
        asked: world.recorder.asked,
        messages: world.network.counts.messages,
        lostMessages: world.network.counts.lost,
        lateStatements: world.store.counts.late,
        droppedStatements: world.store.counts.dropped,
        sent: count("sent"),
        handled: count("handling-began"),
        resets: world.wires.resets,
      },
    };
  }

  /** The longest of the group: what a bound has to be counted with. */
  #timing(): { readonly leaseMs: number; readonly beatMs: number } {
    const { nodes } = this.#plan;
    return { leaseMs: Math.max(...nodes.map((node) => node.leaseMs)), beatMs: Math.max(...nodes.map((node) => node.beatMs)) };
  }

  #settleMs(): number {
    return settleBoundMs(this.#timing());
  }

  // ---- faults

  #inflict(fault: Fault): void {
    const undos = inflict(fault, { world: this.#world, boot: (node) => this.#boot(node), copies: this.#copies });
    if (undos === undefined) return;
    this.#faults[fault.kind] = (this.#faults[fault.kind] ?? 0) + 1;
    this.#world.recorder.note(OPERATOR, { kind: "fault", name: fault.kind, targets: "node" in fault ? [fault.node] : [] });
    for (const undo of undos) this.#undoLater(undo);
  }

  #undoLater({ afterMs, undo }: Undo): void {
    const run = () => {
      if (this.#undos.delete(run)) undo();
    };
    this.#undos.add(run);
    if (Number.isFinite(afterMs)) this.#world.schedule.in(afterMs, run);
  }

  #endFaults(): void {
    this.#calm = true;
    this.#readers.abort();
    for (const undo of this.#undos) undo();
    for (const name of this.#planned.keys()) this.#boot(name);
    const elections = [...new Set(this.#plan.nodes.flatMap((node) => node.elections))];
    // A failover may have taken back that somebody resumed one: as an operator would, who sees that it is paused.
    const { store, group } = this.#world;
    for (const election of elections) if (store.engine.readGroup(group)?.elections.some((row) => row.election === election)) store.engine.resume(group, { election, by: "operator" });
    this.#world.recorder.note(OPERATOR, { kind: "faults-ended", nodes: [...this.#planned.keys()], elections });
  }

  async #beQuiet(): Promise<void> {
    this.#isQuiet = true;
    const { store, recorder, group, nowMs: fromMs } = this.#world;
    const reading = () => {
      const { electionsVersion, viewVersion } = store.engine.look(group, { cursor: { epoch: store.epoch, electionsVersion: Number.MAX_SAFE_INTEGER, viewVersion: 0 }, watch: [] });
      return { elections: electionsVersion, view: viewVersion, events: store.engine.readEvents(group, { after: 0, limit: 0 }).newest };
    };
    const before = reading();
    const executed = new Map(store.executed);
    const { hints } = store;
    await this.#world.run(QUIET_MS);
    const after = reading();
    const operations: Record<string, number> = {};
    for (const [operation, times] of store.executed) {
      const more = times - (executed.get(operation) ?? 0) - (operation === "readDocument" ? this.#looksAtKeys() : 0);
      if (more > 0 && !OF_TRANSACTIONS.has(operation)) operations[operation] = more;
    }
    const grew = (Object.keys(before) as (keyof typeof before)[]).filter((name) => after[name] !== before[name]);
    recorder.note(OPERATOR, { kind: "quiet", fromMs, operations, grew, hints: store.hints - hints });
  }

  /** Nodes with a channel look at the group's keys at every tenth beat. */
  #looksAtKeys(): number {
    if (this.#plan.wired === undefined) return 0;
    return this.#plan.nodes.reduce((sum, { beatMs }) => sum + Math.ceil(QUIET_MS / (10 * beatMs)) + 1, 0);
  }

  // ---- nodes

  #boot(name: string): void {
    const planned = this.#planned.get(name);
    const running = this.#world.nodes.get(name);
    if (planned === undefined || (running !== undefined && running.state !== "dead")) return;
    const { leaseMs, beatMs, rate, wallOffMs, hasBootClock, pooled = false, observer = false } = planned;
    const first = running === undefined;
    const node = this.#world.start(name, this.#program ?? this.#workOf(planned), {
      leaseMs,
      beatMs,
      pooled,
      observer,
      crashDetection: this.#plan.crashDetection ?? "lease",
      ...(this.#channel === undefined ? {} : { simulatedChannel: this.#channel }),
      ...(this.#plan.wired === undefined ? {} : { wired: this.#plan.wired }),
      ...(first ? { clocks: { rate, wallMs: Date.UTC(2026, 0, 1) + wallOffMs, hasBootClock } } : {}),
    });
    // Before anybody else names them.
    const ranks = planned.priority === undefined ? {} : { priority: planned.priority, minimumTermMs: MINIMUM_TERM_MS };
    const probe = this.#probes ? { eligible: () => !node.isUnfit, eligibleEveryMs: PROBE_EVERY_MS } : {};
    for (const election of planned.elections) node.cluster.election(election, { ...ranks, ...probe });
    const restart = this.#world.chance(`restart/${node.name}`);
    // Whoever ended by itself is begun again; whoever was killed or stopped is by the fault that did it.
    node.onEnd((cause) => {
      if (cause === "failed") this.#world.schedule.in(between(restart, RESTART.fromMs, RESTART.toMs), () => this.#boot(name));
    });
  }

  #workOf(planned: PlannedNode): Program {
    return (context) => {
      if (planned.observer !== true) for (const name of planned.elections) void context.cluster.election(name).lead((term) => this.#work(term, context));
      if (this.#plan.reader && planned === this.#plan.nodes[0]) void this.#read(context);
    };
  }

  async #work(term: Term<MemoryTransaction>, { clock, random, cluster }: ProgramContext): Promise<void> {
    const { returns, throws, overstays, stale, writeEveryMs } = this.#plan.work;
    const mood = this.#calm ? 1 : random.next();
    if (mood < returns + throws) {
      await sleep(clock, random.next() * 1_000, term.signal);
      if (mood < throws) throw new Error("the work failed");
      return;
    }
    while (!term.signal.aborted) {
      await this.#write(term, clock, random);
      await sleep(clock, writeEveryMs * between(random, 0.5, 1.5), term.signal);
    }
    if (random.next() < overstays) await sleep(clock, random.next() * 2 * cluster.timing.stopBudgetMs);
    if (random.next() < stale) void this.#writeOn(term, clock, random);
  }

  async #write(term: Term<MemoryTransaction>, clock: ProgramContext["clock"], random: ProgramContext["random"]): Promise<void> {
    const openMs = random.next() < this.#plan.work.slow && !this.#calm ? random.next() * 3_000 : random.next() * 10;
    await term.transaction(async () => await sleep(clock, openMs)).catch(() => undefined); // how it was answered is in the history
  }

  /** Somebody who did not hear that the term is over. */
  async #writeOn(term: Term<MemoryTransaction>, clock: ProgramContext["clock"], random: ProgramContext["random"]): Promise<void> {
    for (let times = Math.floor(random.next() * 5); times > 0; times--) {
      await this.#write(term, clock, random);
      await sleep(clock, random.next() * 3_000);
    }
  }

  /** Follows the group's record, as `tribune events --follow` does. */
  async #read({ clock, random, store }: ProgramContext): Promise<void> {
    const node = [...this.#world.nodes.values()].find((each) => each.process === clock);
    const admin = openAdmin({ store, group: this.#world.group, clock, random });
    let after: number | undefined;
    for await (const followed of admin.followEvents({ after: 0, signal: this.#readers.signal })) {
      if (followed.kind !== "news" || node === undefined) continue;
      const { events, skipped, cursor, restarted } = followed.news;
      if (!restarted) this.#world.recorder.noteOf(node, { kind: "record-read", after: after ?? 0, sequences: events.map((event) => event.sequence), skipped });
      after = cursor;
    }
    await admin.close();
  }
}

/** Steps of connections and fenced transactions: no part of what a beat is promised to cost. */
const OF_TRANSACTIONS: ReadonlySet<string> = new Set(["open", "close", "guard", "commit"]);
