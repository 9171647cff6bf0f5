import type { Random } from "../../kernel/index.ts";
import type { ClusterOptions } from "../../cluster/index.ts";
import { PRESETS } from "../../presence/index.ts";
import type { MemoryTransaction } from "../../store/memory/index.ts";
import type { LinkOptions } from "../../transport/index.ts";
import { checkHistory, SIMULATION_CHECKS } from "../history/index.ts";
import type { CheckConfig, CheckName, History, Violation } from "../history/index.ts";
import { fastestDrain, runEvents } from "./event-loop.ts";
import { Network } from "./network.ts";
import { SimulatedNode } from "./node.ts";
import type { Program } from "./node.ts";
import type { ChannelUse } from "./own-channels.ts";
import type { ClockTraits } from "./process.ts";
import { Recorder } from "./recorder.ts";
import { Schedule } from "./schedule.ts";
import { STORE_PLACE } from "./statements.ts";
import { SimulatedStore } from "./store.ts";
import { between, randomStreams } from "./streams.ts";
import { withTraps } from "./traps.ts";
import { SimulatedWires } from "./wires.ts";

/** What a world is made of. */
export interface WorldOptions {
  /** Everything that chance decides is decided by this. */
  readonly seed: number;
  /** Called with each line that a node logs, for reading a failure. */
  readonly log?: ((line: string) => void) | undefined;
  readonly group?: string;
  /** Whether fenced transactions ask the holder if it still may, as real providers do. Default true; without it the fence alone has to refuse. */
  readonly asksBelief?: boolean;
}

/** How a node is started. */
export interface StartOptions extends Partial<Omit<ClusterOptions<MemoryTransaction>, "store" | "node" | "group" | "clock" | "random" | "logger">> {
  /** The clocks of its machine. Default: a rate within 0.4 % of true, a wall clock that is right to a second. */
  readonly clocks?: Partial<ClockTraits>;
  /** It reaches the store by way of a pooler, so that nothing proves its death but silence. Default false. */
  readonly pooled?: boolean;
  /** It has a channel of the simulation, used like this; `channel` is that of `createCluster`. Its connections to the others run over the links between the nodes. Default: it has none. */
  readonly simulatedChannel?: ChannelUse;
  /** It has the channel of `createCluster`, as users have it, over the links between the nodes; what its connections may cost. Its suspicion of others is written down. Default: it has none. */
  readonly wired?: LinkOptions;
}

/**
 * Several nodes, a database and the network between them, in one process and in no time: production code on simulated clocks. What happens depends on the seed and on nothing
 * else, so what went wrong once goes wrong again.
 *
 *     const world = new SimulatedWorld({ seed: 1 });
 *     for (const name of ["a", "b", "c"]) world.start(name, ({ cluster }) => cluster.election("billing").lead(bill));
 *     await world.until(() => world.leader("billing") !== undefined);
 *     world.leader("billing").kill();
 *     await world.run(30_000);
 *     assert.deepEqual(world.violations(), []);
 *
 * Programs take time and chance from what they are handed; a real timer or clock that they touch throws, and fails the run.
 */
export class SimulatedWorld {
  readonly seed: number;
  readonly group: string;
  readonly schedule = new Schedule();
  readonly network: Network;
  readonly store: SimulatedStore;
  /** The connections of the nodes with each other. */
  readonly wires: SimulatedWires;
  readonly recorder: Recorder;
  /** A stream of chance by name, for whatever the caller adds to this world. */
  readonly chance: (name: string) => Random;
  readonly #asksBelief: boolean;
  readonly #log: ((line: string) => void) | undefined;
  readonly #nodes = new Map<string, SimulatedNode>();
  readonly #runs = new Map<string, number>();
  #leaseMs = 0;
  #beatMs = 0;
  #failure: Error | undefined;

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.group = options.group ?? "world";
    this.#asksBelief = options.asksBelief ?? true;
    this.#log = options.log;
    this.chance = randomStreams(options.seed);
    this.network = new Network(this.schedule, this.chance);
    this.wires = new SimulatedWires(this.schedule, this.network, this.chance("wires"));
    this.recorder = new Recorder(this.schedule);
    this.store = new SimulatedStore({ schedule: this.schedule, network: this.network, note: (subject, entry) => this.recorder.note(subject, entry) });
  }

  /** Milliseconds of true time since the world began. */
  get nowMs(): number {
    return this.schedule.nowMs;
  }

  /** The newest process of each node, by the node's name. */
  get nodes(): ReadonlyMap<string, SimulatedNode> {
    return this.#nodes;
  }

  /** Starts a process of the node `name`: a cluster is made and started, and then `program` runs. Throws if one of that name runs. */
  start(name: string, program: Program = () => undefined, options: StartOptions = {}): SimulatedNode {
    const before = this.#nodes.get(name);
    if (before !== undefined && before.state !== "dead") throw new Error(`a process of node ${name} runs already: kill or stop it first`);
    const run = (this.#runs.get(name) ?? 0) + 1;
    this.#runs.set(name, run);
    const { clocks, pooled = false, simulatedChannel: channel, wired, ...cluster } = options;
    const random = this.chance(`node/${name}#${run}`);
    const traits: ClockTraits = before?.process.traits ?? { rate: between(random, 0.998, 1.002), wallMs: Date.UTC(2026, 0, 1) + between(random, -1_000, 1_000), hasBootClock: true };
    const node = new SimulatedNode({ name: `${name}#${run}`, node: name, group: this.group, traits: { ...traits, ...clocks }, cluster, random, store: this.store, recorder: this.recorder, schedule: this.schedule, log: this.#log, asksBelief: this.#asksBelief, isPooled: pooled, wired: wired && { links: wired, wires: this.wires }, channel: channel && { use: channel, wires: this.wires, random: this.chance(`channel/${name}#${run}`) } }, program);
    this.#nodes.set(name, node);
    this.#leaseMs = Math.max(this.#leaseMs, node.cluster.timing.leaseMs);
    this.#beatMs = Math.max(this.#beatMs, node.cluster.timing.beatMs);
    return node;
  }

  /** The node that holds an election now, as far as it believes itself, if any does and runs. */
  leader(election: string): SimulatedNode | undefined {
    return [...this.#nodes.values()].find((node) => node.state === "running" && node.cluster.election(election).term?.mayAct() === true);
  }

  /** Cuts the way between a node and the store, in one direction or both, until what is returned is called. */
  cut(name: string, direction: "both" | "requests" | "replies" = "both"): () => void {
    const heals: Array<() => void> = [];
    if (direction !== "replies") heals.push(this.network.link(name, STORE_PLACE).cut());
    if (direction !== "requests") heals.push(this.network.link(STORE_PLACE, name).cut());
    return () => {
      for (const heal of heals) heal();
    };
  }

  /** Cuts the way from one node to another, and the way back, for all connections between them, until what is returned is called. */
  part(one: string, other: string, direction: "both" | "there" | "back" = "both"): () => void {
    const heals: Array<() => void> = [];
    if (direction !== "back") heals.push(this.network.link(one, other).cut());
    if (direction !== "there") heals.push(this.network.link(other, one).cut());
    return () => {
      for (const heal of heals) heal();
    };
  }

  /** Lets `ms` of true time pass. */
  async run(ms: number): Promise<void> {
    const untilMs = this.schedule.nowMs + ms;
    await this.#play(() => this.schedule.next(untilMs));
  }

  /** Lets time pass until `condition` holds. Throws if it does not within `withinMs`. */
  async until(condition: () => boolean, withinMs = 60_000, what = "the condition"): Promise<void> {
    const untilMs = this.schedule.nowMs + withinMs;
    let holds = false;
    await this.#play(() => {
      holds ||= condition();
      return !holds && this.schedule.next(untilMs);
    });
    if (!holds && !condition()) throw new Error(`${what} did not come about within ${withinMs} ms of simulated time (seed ${this.seed})`);
  }

  /** What happened so far. */
  history(): History {
    return this.recorder.history(this.store.rows);
  }

  /** The promises that were broken so far; all that a simulation can see, or the named ones. */
  violations(checks: readonly CheckName[] = SIMULATION_CHECKS, config: Partial<CheckConfig> = {}): Violation[] {
    return checkHistory(this.history(), { leaseMs: this.#leaseMs || PRESETS.default.leaseMs, beatMs: this.#beatMs || PRESETS.default.beatMs, ...config }, checks);
  }

  async #play(next: () => boolean): Promise<void> {
    const drain = await fastestDrain();
    const rejected = (reason: unknown) => this.recorder.note({ process: "", node: "", incarnation: "" }, { kind: "told", what: "error", code: "INTERNAL", detail: `nobody handled a rejection: ${String(reason)}` });
    const { stackTraceLimit } = Error;
    // Errors are daily bread here, and where each was made costs more than everything else about it.
    if (this.#log === undefined) Error.stackTraceLimit = 0;
    // Whoever else listens, as test runners do, is not told of what happens in here.
    const others = process.rawListeners("unhandledRejection") as NodeJS.UnhandledRejectionListener[];
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", rejected);
    try {
      await runEvents(next, drain, (work) => withTraps((error) => (this.#failure ??= error), work));
    } finally {
      process.off("unhandledRejection", rejected);
      for (const other of others) process.on("unhandledRejection", other);
      Error.stackTraceLimit = stackTraceLimit;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
