import type { GroupChannel } from "../channel/index.ts";
import type { Contexts } from "../contexts/index.ts";
import { abortError, Events, Lifecycle, measureLoopDelay, systemClock, TribuneError, toTribuneError, withDeadline } from "../kernel/index.ts";
import type { ErrorCode, LoopDelay } from "../kernel/index.ts";
import { Elections, fullMembers } from "../election/index.ts";
import type { Election, ElectionOptions, ElectorEvents } from "../election/index.ts";
import { Membership } from "../membership/index.ts";
import type { Member, MembershipEvents, View, ViewChange } from "../membership/index.ts";
import { Presence, worstFailoverMs } from "../presence/index.ts";
import type { Timing } from "../presence/index.ts";
import { COORDINATOR } from "../store/index.ts";
import type { Farm } from "../farm/index.ts";
import { newFarm } from "./farming.ts";
import { ailments } from "./health.ts";
import type { Ailment } from "./health.ts";
import { Messaging } from "./messaging.ts";
import { encodeMetadata } from "./metadata.ts";
import { checkOptions } from "./options.ts";
import type { CheckedOptions, ClusterOptions } from "./options.ts";
import { successionOf } from "./succession.ts";
import { wireContexts } from "./wire-contexts.ts";

/** What a node tells, by event name; see `Cluster.on`. */
export interface ClusterEvents extends MembershipEvents {
  /** The store does not answer. Terms stand until the trust runs out, in `trustLeftMs`. */
  suspended: { readonly reason: TribuneError; readonly trustLeftMs: number };
  /** Trust is over, and every term of this node with it. `dead`: its incarnation is, too. The node comes back by itself. */
  lost: { readonly cause: "lapsed" | "dead"; readonly incarnation: string; readonly reason: TribuneError };
  /** A member again after `lost`. */
  rejoined: { readonly incarnation: string; readonly sameIncarnation: boolean };
  /** This node is slower than its timings allow for. */
  degraded: { readonly ailments: readonly Ailment[] };
  /** No longer suspended, or no longer degraded. */
  recovered: { readonly from: "suspended" | "degraded"; readonly afterMs: number };
  /** The work of a term did not stop within the stop budget. */
  overrun: ElectorEvents<unknown>["overrun"];
  /** Trouble that is not an answer to a call. Nothing stops because of it. */
  error: TribuneError;
}

/** How a node is, from its own memory; see `Cluster.health`. */
export interface ClusterHealth {
  readonly state: "new" | "joining" | "member" | "suspended" | "lost" | "stopped";
  /** Milliseconds for which this node may act without another confirmed beat. */
  readonly trustLeftMs: number;
  /** Round trip of the last beat. */
  readonly storeLatencyMs: number;
  /** The store's wall clock less this process's, when the last reply came. */
  readonly storeClockOffsetMs: number;
  /** 99.9 % of the event loop's delays are under this. */
  readonly eventLoopDelayMs: number;
  /** Whether others may take the end of this node's connection as proof of its death, or only a lease of silence; and why. */
  readonly crashDetection: { readonly inForce: "evidence" | "lease"; readonly why: string };
}

/** What must agree among the members of a group; grows with the rooms that need agreement. */
const SETTINGS = "protocol=1";

/** How long leaving the store, or the members, may take at a stop. */
const LEAVE_DEADLINE_MS = 1_000;

/** How long what was deployed may take to stop. */
const FARM_STOP_MS = 6_000;

/** How long what stands on the channel may take: contexts that are to be in the store take up to five seconds. */
const ROOMS_STOP_MS = 6_000;

/** Between two readings of the group's keys, in beats: hints say sooner when they change, and a change is made in steps that wait for everybody. */
const KEYS_POLL_BEATS = 10;

/**
 * A node of a group: joins it, keeps its place, contends in elections and tells what happens. Made by {@link createCluster}. This is the only
 * place where the rooms are wired together.
 */
export class Cluster<Tx = unknown> implements AsyncDisposable {
  readonly group: string;
  readonly node: string;
  readonly timing: Timing;
  readonly #options: CheckedOptions<Tx>;
  readonly #events: Events<ClusterEvents>;
  readonly #lifecycle: Lifecycle;
  readonly #presence: Presence;
  readonly #membership: Membership;
  readonly #elections: Elections<Tx>;
  readonly #messaging: Messaging | undefined;
  readonly #contexts: ReturnType<typeof wireContexts> | undefined;
  readonly #farm: Farm | undefined;
  #ailingSince: number | undefined;
  #loopDelay: LoopDelay | undefined;
  #lostIncarnation: string | undefined;
  #lastTrouble: ErrorCode | undefined;
  #suspended = false;
  #unhandleSignals: (() => void) | undefined;

  constructor(options: CheckedOptions<Tx>) {
    this.#options = options;
    this.group = options.group;
    this.node = options.node;
    this.timing = options.timing;
    this.#lifecycle = new Lifecycle(`cluster node ${options.node}`);
    const { clock, random, logger } = options;
    const onListenerError = (error: unknown, event: string) => this.#listenerFailed(error, event);
    this.#events = new Events<ClusterEvents>(onListenerError);
    if (options.channel !== undefined) {
      const { group, node, channel, timing, startTimeoutMs } = options;
      this.#messaging = new Messaging({ group, node, options: channel, startTimeoutMs, pollMs: timing.beatMs * KEYS_POLL_BEATS, clock, random, logger, stopping: this.#lifecycle.signal, trouble: (error) => this.#trouble(error), differs: (error) => this.#tell(error) });
    }
    this.#presence = new Presence({ ...options, settings: SETTINGS, evidence: options.crashDetection === "evidence" }, { clock, random, logger, onListenerError, store: options.store, annex: this.#messaging?.annex });
    const succession = successionOf(options.succession, (error) => this.#listenerFailed(error, "succession"));
    this.#membership = new Membership({ presence: this.#presence, clock, random, logger, onListenerError, succession });
    this.#elections = new Elections<Tx>(
      { group: options.group, presence: this.#presence, fenced: options.store.fenced, clock, random, logger, onListenerError, succession, exit: () => process.exit(1) },
      options,
      (elector) => {
        elector.events.on("overrun", (overrun) => this.#events.emit("overrun", overrun));
        elector.events.on("failed", (error) => this.#events.emit("error", error));
      },
    );
    if (options.contexts !== undefined) {
      this.#contexts = wireContexts({ options: options.contexts, observer: options.observer, messaging: this.#messaging, presence: () => this.#presence, clock, random, logger });
      this.#contexts.contexts.on("error", ({ error }) => this.#trouble(error));
    }
    this.#messaging?.connect(this.#presence, this.#membership);
    if (options.farm !== undefined && this.#messaging !== undefined) {
      this.#farm = newFarm(options.farm, { presence: this.#presence, membership: this.#membership, coordinator: this.#elections.elector(COORDINATOR), channel: this.#messaging.channel, clock, random, logger, onListenerError });
    }
    this.#relay();
  }

  /** Messages between members. Handlers and states may be registered before `start`, and stay for all incarnations. Throws `CHANNEL_OFF` where `createCluster` was not asked for it. */
  get channel(): GroupChannel {
    if (this.#messaging !== undefined) return this.#messaging.channel;
    throw new TribuneError("CHANNEL_OFF", `${this.node} has no channel`, { about: this.node, next: "give createCluster channel: true" });
  }

  /** Properties that all members share, or this node's own. Read and set at any time; created, removed and flushed between `start` and `stop`. Throws `CONTEXTS_OFF` where `createCluster` was not asked for them. */
  get contexts(): Contexts {
    if (this.#contexts !== undefined) return this.#contexts.contexts;
    throw new TribuneError("CONTEXTS_OFF", `${this.node} has no contexts`, { about: this.node, next: "give createCluster contexts: true" });
  }

  /** Deploys artifacts on all members. Throws `FARM_OFF` where `createCluster` was not asked for it. */
  get farm(): Farm {
    if (this.#farm !== undefined) return this.#farm;
    throw new TribuneError("FARM_OFF", `${this.node} has no farm`, { about: this.node, next: "give createCluster farm: { dir, handlers }, and channel: true" });
  }

  /** This node as a member: as the newest view shows it, or as `joining`. */
  get self(): Member {
    return this.#membership.self ?? Object.freeze({ node: this.node, incarnation: this.#presence.incarnation, metadata: Object.freeze({}), state: "joining" as const, joinedAt: "", observer: this.#options.observer });
  }

  /** The newest view. Throws `CLUSTER_NOT_STARTED` before `start` has resolved for the first time. */
  get view(): View {
    const view = this.#membership.view;
    if (view !== undefined) return view;
    throw new TribuneError("CLUSTER_NOT_STARTED", `${this.node} has not seen a view yet`, { about: this.node, next: "await start() first" });
  }

  /** The worst time from a leader's death to its successor's term with these timings and a healthy store. */
  get worstFailoverMs(): number {
    return worstFailoverMs(this.timing);
  }

  /**
   * Joins the group; resolves when a view has this node, the states that were registered with its channel are there, and what is deployed is applied here. Rejects, and stops, on what a person has to mend (`STORE_AUTH_FAILED`, `SCHEMA_TOO_NEW`,
   * `NODE_NAME_TAKEN`, `ADDRESS_IN_USE`, `STATE_UNAVAILABLE`, …), and if the store could not be reached within `startTimeoutMs`. Later outages never end it.
   */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    if (signal?.aborted === true) throw abortError(signal, "start");
    const abort = () => void this.stop();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await this.#lifecycle.start((stopping) => this.#join(stopping));
    } catch (error) {
      await this.stop();
      throw signal !== undefined && isAborted(signal) ? abortError(signal, "start") : error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #join(stopping: AbortSignal): Promise<void> {
    const { clock, handleSignals, logger } = this.#options;
    if (handleSignals) this.#unhandleSignals = handleStopSignals(() => this.stop());
    if (clock === systemClock) this.#loopDelay = measureLoopDelay();
    logger.info({ group: this.group, node: this.node, store: this.#options.store.label, ...this.timing, worstFailoverMs: this.worstFailoverMs }, "starting");
    const coordinator = this.#elections.elector(COORDINATOR);
    if (!this.#options.observer) void this.#membership.coordinate(coordinator).catch((error: unknown) => this.#trouble(toTribuneError(error, "INTERNAL", "the coordinator's loop ended")));
    await this.#presence.start(stopping);
    await Promise.all([this.#messaging?.start(), this.#joinedOrTrouble(stopping)]);
    await this.#messaging?.obtainStates();
    await this.#farm?.start(stopping);
  }

  /** Someone else may be the one who has to publish the view, so there is no time limit; but what a person has to mend here ends the start. */
  async #joinedOrTrouble(stopping: AbortSignal): Promise<void> {
    let off: (() => void) | undefined;
    const trouble = new Promise<never>((_, reject) => (off = this.#presence.events.on("trouble", reject)));
    try {
      await Promise.race([this.#membership.joined(stopping), trouble]);
    } finally {
      off?.();
    }
  }

  /**
   * Stops in good order: asks all work to stop and waits up to the stop budget, resigns, leaves the group, closes the connection. Each step has a
   * deadline, so it ends also without a store. May be called at any time, and twice.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop(async () => {
      const { clock, store, logger } = this.#options;
      const steps: ReadonlyArray<readonly [operation: string, ms: number, work: () => unknown]> = [
        ["stop the work and resign", this.timing.stopBudgetMs + LEAVE_DEADLINE_MS, () => this.#elections.close()],
        ["end what contends", LEAVE_DEADLINE_MS, () => this.#elections.dispose()],
        ["stop what was deployed", FARM_STOP_MS, () => this.#farm?.stop()],
        ["end what stands on the channel", ROOMS_STOP_MS, () => this.#messaging?.stopRooms()],
        ["say goodbye to the members", 2 * LEAVE_DEADLINE_MS, () => this.#messaging?.stop(LEAVE_DEADLINE_MS)],
        ["leave the group", 2 * LEAVE_DEADLINE_MS, () => this.#presence.stop(LEAVE_DEADLINE_MS)],
        ["close the store", LEAVE_DEADLINE_MS, () => store.close()],
      ];
      for (const [operation, ms, work] of steps) {
        await withDeadline((async () => await work())(), { clock, ms, operation }).catch((error: unknown) => logger.warn({ node: this.node, error: String(error) }, "a step of stopping did not end well"));
      }
      this.#contexts?.stop();
      this.#loopDelay?.stop();
      this.#unhandleSignals?.();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** The election of that name; the same object each time. Nothing contends until `lead` or `campaign` is called. */
  election(name: string, options?: ElectionOptions): Election<Tx> {
    return this.#elections.get(name, options);
  }

  /** Replaces this node's metadata. Resolves when the store has it; the next view brings it to the others. */
  async updateMetadata(metadata: Readonly<Record<string, unknown>>): Promise<void> {
    const text = encodeMetadata(metadata);
    this.#assertRunning("updateMetadata");
    await this.#presence.updateMetadata(text);
  }

  /** Listens; the returned function stops that. Listeners run one after the other; one that throws hurts nobody else. */
  on<Name extends keyof ClusterEvents>(name: Name, listener: (payload: ClusterEvents[Name]) => unknown): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * The views as they come, beginning with the present one (all of its members as joined). Who reads slowly gets what happened in between as one change to
   * the newest view, marked `skipped`: states are never lost. Ends when `signal` aborts or the cluster stops.
   */
  async *changes(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncGenerator<ViewChange, void, undefined> {
    const ends = AbortSignal.any([this.#lifecycle.signal, ...(options.signal === undefined ? [] : [options.signal])]);
    let last: View | undefined;
    let wake: (() => void) | undefined;
    const rouse = () => wake?.();
    const off = this.#events.on("view", rouse);
    ends.addEventListener("abort", rouse, { once: true });
    try {
      while (!ends.aborted) {
        const view = this.#membership.view;
        if (view !== undefined && view.version !== last?.version) {
          yield this.#membership.changeFrom(last);
          last = view;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      off();
      ends.removeEventListener("abort", rouse);
    }
  }

  /** How this node is, from memory: asks nobody, and answers also while the store is away. */
  health(): ClusterHealth {
    return {
      state: this.#state(),
      trustLeftMs: Math.round(this.#presence.trustLeftMs()),
      storeLatencyMs: Math.round(this.#presence.latencyMs * 10) / 10,
      storeClockOffsetMs: Math.round(this.#presence.facts.storeOffsetMs),
      eventLoopDelayMs: Math.round((this.#loopDelay?.p999Ms() ?? 0) * 10) / 10,
      crashDetection: this.#crashDetection(),
    };
  }

  #crashDetection(): ClusterHealth["crashDetection"] {
    const { held, why } = this.#presence.evidence;
    return { inForce: held ? "evidence" : "lease", why };
  }

  #state(): ClusterHealth["state"] {
    if (this.#lifecycle.state === "new") return "new";
    if (this.#lifecycle.state === "stopping" || this.#lifecycle.state === "stopped") return "stopped";
    if (this.#presence.trusted()) return this.#membership.self === undefined ? "joining" : this.#suspended ? "suspended" : "member";
    return this.#lostIncarnation === undefined ? "joining" : "lost";
  }

  // ---- what the rooms tell

  #relay(): void {
    const { events } = this.#presence;
    events.on("facts", () => this.#lookAtHealth());
    events.on("trusted", () => (this.#lastTrouble = undefined));
    events.on("recovered", () => (this.#lastTrouble = undefined));
    events.on("suspended", (suspended) => {
      this.#suspended = true;
      this.#events.emit("suspended", suspended);
    });
    events.on("recovered", ({ afterMs }) => {
      this.#suspended = false;
      this.#events.emit("recovered", { from: "suspended", afterMs });
    });
    events.on("ended", ({ cause, incarnation, reason }) => {
      if (this.#lifecycle.signal.aborted) return;
      this.#lostIncarnation = incarnation;
      this.#suspended = false;
      this.#events.emit("lost", { cause, incarnation, reason });
    });
    events.on("trusted", () => {
      if (this.#lostIncarnation !== undefined) void this.#rejoin(this.#lostIncarnation);
    });
    events.on("trouble", (error) => this.#trouble(error));
    events.on("evicted", (error) => {
      this.#trouble(error);
      void this.stop();
    });
    this.#membership.events.on("view", (change) => this.#events.emit("view", change));
    this.#membership.events.on("coordinator", (change) => this.#events.emit("coordinator", change));
  }

  async #rejoin(lost: string): Promise<void> {
    try {
      await this.#membership.joined(this.#lifecycle.signal);
    } catch {
      return; // the cluster stops
    }
    if (this.#lostIncarnation !== lost) return;
    this.#lostIncarnation = undefined;
    this.#lastTrouble = undefined;
    this.#events.emit("rejoined", { incarnation: this.#presence.incarnation, sameIncarnation: this.#presence.incarnation === lost });
  }

  #lookAtHealth(): void {
    const { view } = this.#presence.facts;
    const members = view === null ? Number.POSITIVE_INFINITY : fullMembers(view); // nobody is missed before the first view
    const found = ailments({ members, minimumMembers: this.#options.minimumMembers, latencyMs: this.#presence.latencyMs, loopP999Ms: this.#loopDelay?.p999Ms() ?? 0 }, this.timing);
    const nowMs = this.#options.clock.monotonicMs();
    if (found.length > 0 && this.#ailingSince === undefined) {
      this.#ailingSince = nowMs;
      this.#events.emit("degraded", { ailments: found });
    } else if (found.length === 0 && this.#ailingSince !== undefined) {
      const afterMs = nowMs - this.#ailingSince;
      this.#ailingSince = undefined;
      this.#events.emit("recovered", { from: "degraded", afterMs });
    }
  }

  /** The same trouble at each attempt is told once. */
  #trouble(error: TribuneError): void {
    if (this.#lastTrouble === error.code) return;
    this.#lastTrouble = error.code;
    this.#tell(error);
  }

  #tell(error: TribuneError): void {
    this.#options.logger.error({ node: this.node, code: error.code }, error.message);
    this.#events.emit("error", error);
  }

  #listenerFailed(error: unknown, event: string): void {
    const failure = new TribuneError("LISTENER_FAILED", `a listener of ${event} failed: ${error instanceof Error ? error.message : String(error)}`, { about: event, cause: error });
    this.#options.logger.error({ node: this.node, event }, failure.message);
    if (event !== "error") this.#events.emit("error", failure);
  }

  #assertRunning(operation: string): void {
    if (this.#lifecycle.state === "running") return;
    const never = this.#lifecycle.state === "new" || this.#lifecycle.state === "starting";
    throw new TribuneError(never ? "CLUSTER_NOT_STARTED" : "CLUSTER_STOPPED", `${operation}: ${this.node} ${never ? "has not started yet" : "was stopped"}`, { about: this.node });
  }
}

/** Checks the options, with every complaint at once, and makes a node. Does no I/O: that begins with `start`. */
export function createCluster<Tx = unknown>(options: ClusterOptions<Tx>): Cluster<Tx> {
  return new Cluster(checkOptions(options));
}

/** Asked again after a wait, which the type checker does not know of. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Stops on SIGTERM and SIGINT; then, if nobody else listens, lets the signal have its ordinary effect. */
function handleStopSignals(stop: () => Promise<void>): () => void {
  const signals = ["SIGTERM", "SIGINT"] as const;
  const handler = (signal: NodeJS.Signals) => {
    void stop().finally(() => {
      off();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  };
  const off = () => {
    for (const signal of signals) process.off(signal, handler);
  };
  for (const signal of signals) process.on(signal, handler);
  return off;
}
