import type { Clock, Logger, Random } from "../../kernel/index.ts";
import { createCluster } from "../../cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../cluster/index.ts";
import type { FenceHandle, StoreProvider } from "../../store/index.ts";
import { DEFAULT_LINK_OPTIONS } from "../../transport/index.ts";
import type { LinkOptions } from "../../transport/index.ts";
import type { MemoryTransaction } from "../../store/memory/index.ts";
import type { HistoryEntry } from "../history/index.ts";
import type { Client } from "./connection.ts";
import { OwnChannels } from "./own-channels.ts";
import type { ChannelUse, OwnChannel } from "./own-channels.ts";
import { SimulatedProcess } from "./process.ts";
import type { ClockTraits } from "./process.ts";
import { SimulatedProvider } from "./provider.ts";
import { simulationLogger } from "./recorder.ts";
import type { Recorder, Watched } from "./recorder.ts";
import type { Schedule } from "./schedule.ts";
import type { SimulatedStore } from "./store.ts";
import type { SimulatedWires } from "./wires.ts";

/** What a program is handed: everything that it may ask for time, chance and the cluster. */
export interface ProgramContext {
  /** Joined when the program begins. */
  readonly cluster: Cluster<MemoryTransaction>;
  readonly clock: Clock;
  readonly random: Random;
  /** The store as this process reaches it, for whatever else uses it: an admin, for one. */
  readonly store: StoreProvider<MemoryTransaction>;
}

/** The code under test: runs in each process of a node, once it has joined. */
export type Program = (context: ProgramContext) => unknown;

interface NodeOptions {
  /** Of this process. */
  readonly name: string;
  readonly node: string;
  readonly group: string;
  readonly traits: ClockTraits;
  readonly cluster: Partial<Omit<ClusterOptions<MemoryTransaction>, "store" | "node" | "group" | "clock" | "random" | "logger">>;
  readonly random: Random;
  readonly store: SimulatedStore;
  readonly recorder: Recorder;
  readonly schedule: Schedule;
  readonly log: ((line: string) => void) | undefined;
  /** Whether fenced transactions ask the holder if it still may, beside the fence. */
  readonly asksBelief: boolean;
  /** It reaches the store by way of a pooler. */
  readonly isPooled: boolean;
  /** The channel of `createCluster` itself, over the simulated wires. */
  readonly wired: { readonly links: LinkOptions; readonly wires: SimulatedWires } | undefined;
  /** How it uses a channel, if it has one. */
  readonly channel: { readonly use: ChannelUse; readonly wires: SimulatedWires; readonly random: Random } | undefined;
}

/** Why a process is gone: it was killed, it ended in good order, or it could not start. */
export type EndCause = "killed" | "stopped" | "failed";

/** What a process that goes on is given until it has to have noticed; after a sleep beyond the quarter of a beat in which it looks at its clocks. */
const WAKING_MS = 5;

/** More than there are in the longest lease. */
const ANSWERS_KEPT = 1_000;

/** One process of a node: its machine, its cluster, and what can be done to it. */
export class SimulatedNode implements Client, Watched {
  /** "a#2": the second process of node "a". */
  readonly name: string;
  readonly node: string;
  readonly isPooled: boolean;
  readonly process: SimulatedProcess;
  readonly cluster: Cluster<MemoryTransaction>;
  /** For probes of the program: a fault says that what they ask is out of order. */
  isUnfit = false;
  /** What it says about itself, beside what is said with a metadata fault. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly #channel: OwnChannels | undefined;
  readonly #wires: SimulatedWires | undefined;
  readonly #recorder: Recorder;
  readonly #provider: SimulatedProvider;
  /** When beats and looks were answered, on its own clock; the latest. */
  readonly #answersMs: number[] = [];
  #ended: ((cause: EndCause) => void) | undefined;

  constructor(options: NodeOptions, program: Program) {
    const { name, node, group, traits, cluster, random, store, recorder, schedule, log, asksBelief, isPooled, channel, wired } = options;
    this.isPooled = isPooled;
    this.name = name;
    this.node = node;
    this.#recorder = recorder;
    this.process = new SimulatedProcess(name, traits, schedule, random);
    this.#provider = new SimulatedProvider(store, this, {
      asksBelief,
      incarnationOf: (fence) => recorder.ownerOf(fence.election, fence.token),
      wrote: (fence, write, outcome, code) => this.#wrote(fence, write, outcome, code),
    });
    const logger = simulationLogger(this, schedule, log);
    this.metadata = channel === undefined ? (cluster.metadata ?? {}) : { ...cluster.metadata, address: name };
    const ownWay = wired === undefined ? {} : { channel: { transport: wired.wires.transport({ node, process: this.process }, { ...DEFAULT_LINK_OPTIONS, ...wired.links }) } };
    this.cluster = createCluster<MemoryTransaction>({ ...cluster, ...ownWay, metadata: this.metadata, group, node, store: this.#provider, clock: this.process, random, logger });
    recorder.watch(this, this.cluster);
    if (wired !== undefined) this.#watchSuspicion();
    this.#wires = channel?.wires ?? wired?.wires;
    this.#channel = channel && this.#channelOf(channel, group, logger);
    this.cluster.on("error", (error) => error.code === "EVICTED" && void this.stop());
    this.#note({ kind: "started" });
    void this.#run(program, random);
  }

  get state(): SimulatedProcess["state"] {
    return this.process.state;
  }

  /** The channel of its present incarnation, where it was started with one. */
  get own(): OwnChannel | undefined {
    return this.#channel?.own;
  }

  incarnation(): string {
    return this.cluster.self.incarnation;
  }

  hasRun(): boolean {
    return this.process.ranMs > WAKING_MS && this.process.awakeMs() > this.cluster.timing.beatMs / 4 + WAKING_MS;
  }

  /** Whether its clocks can be asked: those of a machine that sleeps stand still, until its first line runs. */
  canBeAsked(): boolean {
    return this.process.state === "running" || this.process.state === "frozen";
  }

  heard(): void {
    this.#recorder.askDoubtful(this);
  }

  answered(): void {
    if (this.#answersMs.push(this.process.monotonicMs()) > 2 * ANSWERS_KEPT) this.#answersMs.splice(0, ANSWERS_KEPT);
  }

  answersMs(): readonly number[] {
    return [...this.#answersMs];
  }

  // ---- what can be done to it

  /** As SIGKILL, or a machine without power. */
  kill(): void {
    if (this.process.state === "dead") return;
    this.#note({ kind: "killed" });
    this.#gone("killed");
  }

  /** As SIGSTOP, or an event loop that is blocked. */
  freeze(): void {
    if (this.process.state !== "running") return;
    this.#note({ kind: "paused", cause: "frozen" });
    this.process.freeze();
  }

  /** The machine sleeps, or the virtual machine is suspended: its monotonic clock stands still. */
  sleep(): void {
    if (this.process.state !== "running") return;
    this.#note({ kind: "paused", cause: "asleep" });
    this.process.sleep();
  }

  /** Lets it go on after either. */
  resume(): void {
    if (this.process.state !== "frozen" && this.process.state !== "asleep") return;
    const { state } = this.process;
    this.#note({ kind: "resumed", cause: state });
    this.process.resume(() => this.#recorder.askAll(this));
  }

  /** Stops it in good order. Resolves when the process has ended; never, if it is killed meanwhile. */
  async stop(): Promise<void> {
    await this.#channel?.stop();
    await this.cluster.stop();
    if (this.process.state === "dead") return;
    this.#note({ kind: "exited", code: 0, signal: null, expected: true });
    this.#gone("stopped");
  }

  /** Calls `listener` when the process is gone. */
  onEnd(listener: (cause: EndCause) => void): void {
    this.#ended = listener;
  }

  async #run(program: Program, random: Random): Promise<void> {
    const { cluster } = this;
    try {
      await cluster.start();
    } catch {
      // Whoever runs a process that could not start begins another one.
      if (this.process.state === "dead") return;
      this.#note({ kind: "exited", code: 1, signal: null, expected: true });
      this.#gone("failed");
      return;
    }
    this.#note({ kind: "joined" });
    await program({ cluster, clock: this.process, random, store: this.#provider });
  }

  #gone(cause: EndCause): void {
    this.process.kill();
    this.#wires?.gone(this.process);
    this.#provider.abandon();
    this.#recorder.forget(this);
    this.#ended?.(cause);
  }

  #watchSuspicion(): void {
    const { channel } = this.cluster;
    channel.on("vanished", ({ peer }) => this.#note({ kind: "suspected", suspect: peer.incarnation }));
    channel.on("reachability", ({ peer, connected }) => connected && this.#note({ kind: "absolved", suspect: peer.incarnation }));
  }

  #channelOf({ use, wires, random }: { readonly use: ChannelUse; readonly wires: SimulatedWires; readonly random: Random }, group: string, logger: Logger): OwnChannels {
    const note = (incarnation: string, entry: HistoryEntry) => this.#recorder.note({ process: this.name, node: this.node, incarnation }, entry);
    const trouble = (detail: string) => this.#note({ kind: "told", what: "error", code: "INTERNAL", detail });
    return new OwnChannels({ node: this, group, wires, random, logger, use, note, trouble });
  }

  #wrote(fence: FenceHandle, write: string, outcome: "committed" | "refused" | "unknown", code: string): void {
    if (this.process.state === "dead") return;
    const { election, token } = fence;
    this.#recorder.note({ process: this.name, node: this.node, incarnation: this.#recorder.ownerOf(election, token) }, { kind: "wrote", election, token, write, outcome, code });
  }

  #note(entry: HistoryEntry): void {
    this.#recorder.noteOf(this, entry);
  }
}
