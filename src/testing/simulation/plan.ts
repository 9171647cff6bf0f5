import type { Random } from "../../kernel/index.ts";
import type { LinkOptions } from "../../transport/index.ts";
import type { Direction, Fault, FaultBetweenNodes, FaultKind, Harm, Target } from "./faults.ts";
import { CALM } from "./network.ts";
import type { StatementKind } from "./statements.ts";
import { between, pick, pickWeighted, randomStreams } from "./streams.ts";
import { drawTraffic } from "./traffic.ts";
import type { PlannedTraffic } from "./traffic.ts";

/** A node of a plan. */
export interface PlannedNode {
  readonly name: string;
  readonly startMs: number;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly rate: number;
  /** How far its wall clock is off at first. */
  readonly wallOffMs: number;
  readonly hasBootClock: boolean;
  /** Of its candidacies. Default 0. */
  readonly priority?: number;
  /** It only takes part. */
  readonly observer?: boolean;
  /** It reaches the store by way of a pooler. */
  readonly pooled?: boolean;
  /** The elections that it contends for. */
  readonly elections: readonly string[];
}

/** How the work of the terms behaves. Shares are from 0 to 1. */
export interface PlannedWork {
  /** Share of terms whose work returns early. */
  readonly returns: number;
  /** Share of terms whose work throws. */
  readonly throws: number;
  /** Share of terms whose work goes on after it was told to stop, for up to twice the stop budget. */
  readonly overstays: number;
  /** Share of terms whose work still tries to write when the term is over. */
  readonly stale: number;
  /** Fenced writes come about this often. */
  readonly writeEveryMs: number;
  /** Share of transactions that stay open for long. */
  readonly slow: number;
}

/** A run, as data: the same plan gives the same history. */
export interface Plan {
  readonly seed: number;
  readonly profile: ProfileName;
  readonly nodes: readonly PlannedNode[];
  readonly work: PlannedWork;
  /** Whether fenced transactions leave the question "may I still?" to the fence alone. */
  readonly reckless: boolean;
  /** Whether somebody reads the group's record all the time. */
  readonly reader: boolean;
  /** By what nodes tell that others are dead. Default: by silence alone. */
  readonly crashDetection?: "evidence" | "lease";
  /** What nodes say to each other. Default: nothing, they have no channels. */
  readonly traffic?: PlannedTraffic;
  /** Nodes have the channel that users have, with its suspicion, and say nothing on it; what their connections may cost. Default: they have none. */
  readonly wired?: LinkOptions;
  /** Faults happen until then. */
  readonly faultsUntilMs: number;
  readonly faults: readonly Fault[];
}

interface Profile {
  /** What happens, and how often compared with the rest. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  /** The mean time between two faults. */
  readonly paceMs: number;
  /** How far the rate of a clock may be off. */
  readonly rateError: number;
  /** Share of faults that meet a holder. */
  readonly holders: number;
  /** How often work ends by itself. */
  readonly restless: number;
  /** Each kind of fault is left out of half of the seeds, but for this one. */
  readonly swarm: boolean;
  readonly always?: FaultKind;
  /** Whether nodes have channels, and talk. */
  readonly talks?: boolean;
  /** Whether they also talk in one order of all. */
  readonly orders?: boolean;
  /** Whether nodes have the channel of `createCluster`, and suspect each other by it. */
  readonly wired?: boolean;
  /** How long faults go on. Default 250 s. */
  readonly faultsMs?: number;
}

/** Half of what two clocks may differ by, and a little less. */
const RATE_ERROR = 0.0045;

const ALL: Readonly<Record<Exclude<FaultKind, FaultBetweenNodes>, number>> = {
  "cut": 3,
  "lag": 3,
  "flap": 1,
  "storm": 1,
  "freeze": 3,
  "sleep": 2,
  "freeze-at": 3,
  "kill": 3,
  "stop": 1,
  "crowd": 1,
  "late": 3,
  "drop-connection": 1,
  "step-clock": 1,
  "clock-rate": 1,
  "step-store-clock": 1,
  "store-clock-rate": 0.5,
  "restart-store": 1,
  "lock-store": 1,
  "fail-over": 2,
  "fail-over-at": 2,
  "resign": 1,
  "ask-to-resign": 1,
  "transfer": 1,
  "pause": 0.5,
  "evict": 0.5,
  "unfit": 1,
  "metadata": 1,
};

/** Connections that are reset, cut and slow, and members that freeze, die and come back in the middle of it. */
const TALK = {
  faults: { reset: 12, part: 5, squall: 2, kill: 4, stop: 2, freeze: 3, sleep: 1, crowd: 1, cut: 2, lag: 1, "freeze-at": 1, "fail-over": 0.5, evict: 0.5, metadata: 1, "step-clock": 1 },
  paceMs: 2_000,
  rateError: RATE_ERROR,
  holders: 0.3,
  restless: 0,
  swarm: true,
  always: "reset",
  talks: true,
  faultsMs: 100_000,
} as const satisfies Profile;

/** What a campaign goes round: each profile stresses something else. */
export const PROFILES = {
  /** The ways to the store: cut, one way, slow, flapping, lossy. */
  network: { faults: { cut: 4, lag: 5, flap: 2, storm: 2, late: 4, "drop-connection": 2, kill: 1, "freeze-at": 1 }, paceMs: 4_000, rateError: RATE_ERROR, holders: 0.6, restless: 0.05, swarm: false },
  /** Processes that freeze, sleep, die and come back. */
  processes: { faults: { freeze: 4, sleep: 3, "freeze-at": 4, kill: 4, stop: 1, crowd: 1, "step-clock": 1, late: 1 }, paceMs: 5_000, rateError: RATE_ERROR, holders: 0.6, restless: 0.05, swarm: false },
  /** A database that restarts, hangs, and fails over to a copy that lost the last commits. */
  store: { faults: { "fail-over": 4, "fail-over-at": 4, "restart-store": 2, "lock-store": 2, "drop-connection": 2, late: 3, "step-store-clock": 2, kill: 2, cut: 2, freeze: 2 }, paceMs: 7_000, rateError: RATE_ERROR, holders: 0.6, restless: 0.1, swarm: false },
  /** Clocks that run at other rates and are stepped, those of nodes and of the store. */
  clocks: { faults: { "step-clock": 3, "clock-rate": 3, "step-store-clock": 4, "store-clock-rate": 2, sleep: 4, cut: 3, freeze: 2, lag: 3 }, paceMs: 4_000, rateError: RATE_ERROR, holders: 0.7, restless: 0.05, swarm: false },
  /** Terms that end by themselves, are resigned and asked for, while statements are late and processes freeze at named points. */
  handover: { faults: { resign: 4, "ask-to-resign": 4, transfer: 6, pause: 2, evict: 1, unfit: 3, stop: 3, kill: 2, "freeze-at": 5, late: 6, cut: 1, lag: 2 }, paceMs: 2_500, rateError: RATE_ERROR, holders: 0.7, restless: 0.3, swarm: false },
  /** Nodes that come, go and change what they say about themselves, also many at once. */
  members: { faults: { kill: 4, stop: 4, crowd: 4, metadata: 5, cut: 2, freeze: 2, "fail-over": 1, late: 3, "freeze-at": 2 }, paceMs: 4_000, rateError: RATE_ERROR, holders: 0.4, restless: 0.05, swarm: false },
  /** Everything, half of the kinds in each seed. */
  swarm: { faults: ALL, paceMs: 3_500, rateError: RATE_ERROR, holders: 0.6, restless: 0.1, swarm: true },
  /** Clock rates that differ by more than is promised for: beliefs may overlap, fenced writes and views may not. */
  beyond: { faults: { ...ALL, "clock-rate": 5 }, paceMs: 3_500, rateError: 0.25, holders: 0.6, restless: 0.1, swarm: true },
  /** Messages between members. */
  channel: TALK,
  /** The same, with a topic in one order of all. */
  order: { ...TALK, orders: true },
  /** Nodes that have a channel as users have it: the group's keys from the store, addresses with the members, connections that break with a process or by themselves, and suspicion that takes the grace from evidence. */
  suspicion: {
    faults: { kill: 8, "drop-connection": 5, reset: 4, bar: 4, part: 3, freeze: 4, "freeze-at": 2, stop: 2, crowd: 2, sleep: 1, cut: 2, squall: 1, "fail-over": 1, "restart-store": 1, late: 2, evict: 0.5, metadata: 1, "step-clock": 1 },
    paceMs: 3_000,
    rateError: RATE_ERROR,
    holders: 0.7,
    restless: 0.05,
    swarm: true,
    always: "kill",
    wired: true,
    faultsMs: 200_000,
  },
} as const satisfies Record<string, Profile>;

/** The name of a profile. */
export type ProfileName = keyof typeof PROFILES;

/** The names of {@link PROFILES}. */
export const PROFILE_NAMES = Object.keys(PROFILES) as ProfileName[];

/** Those that a campaign goes round, in its order: whose nodes have no channel. Runs in which they do take longer, and are asked for by name. */
export const ROUND: readonly ProfileName[] = PROFILE_NAMES.filter((name) => name !== "channel" && name !== "order" && name !== "suspicion");

/** The profile that a campaign gives a seed: it goes round. */
export function profileOf(seed: number): ProfileName {
  return ROUND[seed % ROUND.length] as ProfileName;
}

/** What can be asked of a plan beside its seed. */
export interface PlanOptions {
  /** Default: by the seed. */
  readonly nodes?: number | undefined;
  /** How long faults go on. Default 250 s, and 100 s in the profile `channel`. */
  readonly faultsMs?: number | undefined;
  /** The elections that every node contends for, and whose holders faults look for. Default: two to four, drawn. */
  readonly elections?: readonly string[] | undefined;
}

/** By then all nodes have started. Who makes a group anew that was lost with its creation, and never knew it, cannot know better; that is not promised. */
const GROUP_MADE_MS = 4_000;

/** Timings that fit together, and how often each is drawn. */
const TIMINGS = { "4000/1000": 6, "2000/500": 3, "1000/250": 1, "6000/2000": 1 } as const;

const LATE: Readonly<Partial<Record<StatementKind, number>>> = { beat: 4, join: 1, look: 1, declareDead: 3, claim: 4, passFence: 3, resign: 3, publishView: 3, createElection: 1, leave: 1, updateMetadata: 1, guard: 2, commit: 3 };

/** What a failover takes the copy after. Not `join`: a group whose creation is lost is another matter. */
const FAILS_OVER_AT: Readonly<Partial<Record<StatementKind, number>>> = { beat: 2, claim: 4, passFence: 3, publishView: 4, resign: 2, declareDead: 3, leave: 1, commit: 1 };

const FREEZES_AT: Readonly<Partial<Record<StatementKind, number>>> = { beat: 3, claim: 4, passFence: 4, publishView: 3, resign: 1, declareDead: 1, join: 1, commit: 3, guard: 1 };

/** Draws everything that is to go wrong, before anything does. */
export function drawPlan(seed: number, profileName: ProfileName, options: PlanOptions = {}): Plan {
  const profile: Profile = PROFILES[profileName];
  const random = randomStreams(seed)("plan");
  const count = options.nodes ?? 3 + Math.floor(random.next() ** 2 * 7); // 3 to 9, most of them small
  const drawn = Array.from({ length: 2 + Math.floor(random.next() * 3) }, (_, index) => `work-${index + 1}`);
  const elections = options.elections ?? drawn;
  const [leaseMs = 4_000, beatMs = 1_000] = pickWeighted(random, TIMINGS).split("/").map(Number);
  const mixed = random.next() < 0.25;
  const nodes = Array.from({ length: count }, (_, index) => drawNode(random, `n${index + 1}`, { elections, leaseMs, beatMs, mixed, rateError: profile.rateError, forAll: index === 0 || options.elections !== undefined }));
  const work: PlannedWork = {
    returns: profile.restless / 2,
    throws: profile.restless / 2,
    overstays: 0.3,
    stale: 0.5,
    writeEveryMs: between(random, 2_000, 10_000),
    slow: 0.05,
  };
  const faultsUntilMs = options.faultsMs ?? profile.faultsMs ?? 250_000;
  const faults = drawFaults(random, profile, { names: nodes.map((node) => node.name), elections, leaseMs, faultsUntilMs });
  const plan = { seed, profile: profileName, nodes, work, reckless: random.next() < 0.5, reader: random.next() < 0.25, faultsUntilMs, faults };
  const crashDetection = random.next() < 0.75 ? "evidence" : "lease";
  const pooled = random.next() < 0.2;
  const ranked = random.next() < 0.3;
  const traits = nodes.map((node, index) => ({
    ...node,
    ...(pooled && random.next() < 0.5 ? { pooled: true } : {}),
    ...(ranked ? { priority: Math.floor(random.next() * 3) } : {}),
    ...(index > 1 && random.next() < 0.05 ? { observer: true } : {}),
  }));
  return { ...plan, crashDetection, nodes: traits, ...(profile.wired === true ? { wired: drawLinks(randomStreams(seed)("links")) } : {}), ...(profile.talks === true ? { traffic: drawTraffic(randomStreams(seed)("traffic"), profile.orders === true) } : {}) };
}

function drawLinks(random: Random): LinkOptions {
  return { ...(random.next() < 0.3 ? { beatMs: 300, silenceMs: 1_200, connectMs: 1_500 } : {}), ...(random.next() < 0.5 ? { longestPauseMs: 1_000 } : {}) };
}

function drawNode(random: Random, name: string, of: { readonly elections: readonly string[]; readonly leaseMs: number; readonly beatMs: number; readonly mixed: boolean; readonly rateError: number; readonly forAll: boolean }): PlannedNode {
  const factor = of.mixed ? between(random, 1, 2.5) : 1;
  const all = random.next() < 0.8 || of.forAll;
  return {
    name,
    startMs: Math.round(random.next() * 3_000),
    leaseMs: Math.round(of.leaseMs * factor),
    beatMs: Math.round(of.beatMs * (of.mixed ? between(random, 1, factor) : 1)),
    rate: 1 + between(random, -of.rateError, of.rateError),
    wallOffMs: Math.round(random.next() < 0.5 ? between(random, -500, 500) : between(random, -3_600_000, 3_600_000)),
    hasBootClock: random.next() < 0.7,
    elections: all ? of.elections : of.elections.filter(() => random.next() < 0.5),
  };
}

interface Scenery {
  readonly names: readonly string[];
  readonly elections: readonly string[];
  readonly leaseMs: number;
  readonly faultsUntilMs: number;
}

function drawFaults(random: Random, profile: Profile, scenery: Scenery): Fault[] {
  const kinds = profile.swarm ? Object.fromEntries(Object.entries(profile.faults).filter(([kind]) => random.next() < 0.5 || kind === profile.always)) : profile.faults;
  if (Object.keys(kinds).length === 0) return [];
  const faults: Fault[] = [];
  const paceMs = profile.paceMs * (scenery.leaseMs / 4_000);
  for (let atMs = 3_000; ; ) {
    atMs += Math.round(-Math.log(1 - random.next()) * paceMs);
    if (atMs >= scenery.faultsUntilMs) return faults;
    const harm = drawHarm(random, pickWeighted(random, kinds), profile, scenery);
    if (harm.kind === "fail-over-at") faults.push({ atMs: Math.max(atMs, GROUP_MADE_MS), ...harm });
    else faults.push({ atMs, ...(harm.kind === "fail-over" ? { ...harm, lostMs: Math.max(0, Math.min(harm.lostMs, atMs - GROUP_MADE_MS)) } : harm) });
  }
}

function drawHarm(random: Random, kind: FaultKind, profile: Profile, { names, elections, leaseMs }: Scenery): Harm {
  const election = pick(random, elections);
  const holderOf = random.next() < 0.4 ? "coordinator" : election;
  const target: Target = { node: pick(random, names), ...(random.next() < profile.holders ? { holderOf } : {}) };
  // Short against a lease, about one, or several: each meets something else.
  const lastsMs = Math.round(leaseMs * between(random, 0.05, random.next() < 0.5 ? 1.2 : 3));
  const direction = pick(random, ["both", "requests", "replies"] as const satisfies readonly Direction[]);
  switch (kind) {
    case "cut":
      return { kind, ...target, direction, lastsMs };
    case "lag":
      return { kind, ...target, direction, byMs: Math.round(leaseMs * between(random, 0.02, 0.5)), lastsMs, thenCutMs: random.next() < 0.7 ? Math.round(leaseMs * between(random, 0.5, 2.5)) : 0 };
    case "flap":
      return { kind, ...target, times: 2 + Math.floor(random.next() * 6), lastsMs: lastsMs * 2 };
    case "storm":
      return { kind, weather: { ...CALM, slow: between(random, 0, 0.3), slowMs: Math.round(leaseMs * between(random, 0.1, 2)), loss: between(random, 0, 0.15) }, lastsMs: lastsMs * 2 };
    case "freeze":
    case "sleep":
      return { kind, ...target, lastsMs };
    case "freeze-at":
      return { kind, ...target, statement: pickWeighted(random, FREEZES_AT as Record<StatementKind, number>), moment: random.next() < 0.5 ? "sent" : "executed", lastsMs };
    case "kill":
    case "stop":
      return { kind, ...target, lastsMs };
    case "crowd":
      return { kind, what: pick(random, ["kill", "freeze", "cut"] as const), nodes: names.filter(() => random.next() < 0.6), lastsMs: lastsMs * 2 };
    case "late":
      return { kind, statement: pickWeighted(random, LATE as Record<StatementKind, number>), byMs: Math.round(leaseMs * between(random, 0.05, random.next() < 0.5 ? 0.5 : 3)) };
    case "drop-connection":
      return { kind, ...target };
    case "step-clock":
      return { kind, ...target, byMs: drawStep(random, leaseMs) };
    case "clock-rate":
      return { kind, ...target, rate: 1 + between(random, -profile.rateError, profile.rateError) };
    case "step-store-clock":
      return { kind, byMs: drawStep(random, leaseMs) };
    case "store-clock-rate":
      return { kind, rate: between(random, 0.5, 2) };
    case "restart-store":
      return { kind, how: random.next() < 0.5 ? "refuses" : "silent", lastsMs };
    case "lock-store":
      return { kind, lastsMs };
    case "fail-over":
      return { kind, lostMs: random.next() < 0.7 ? Math.round(leaseMs * between(random, 0.005, random.next() < 0.5 ? 0.5 : 3)) : 0, gapMs: Math.round(leaseMs * between(random, 0.02, 1)), told: random.next() < 0.5 };
    case "fail-over-at":
      return { kind, statement: pickWeighted(random, FAILS_OVER_AT as Record<StatementKind, number>), lostMs: Math.round(leaseMs * random.next() ** 2), gapMs: Math.round(leaseMs * between(random, 0.02, 1)), told: random.next() < 0.5 };
    case "resign":
      return { kind, node: target.node, holderOf: election, election };
    case "ask-to-resign":
      return { kind, election: holderOf };
    case "transfer":
      return { kind, ...target, election: holderOf, to: pick(random, names) };
    case "pause":
      return { kind, election, lastsMs };
    case "evict":
    case "unfit":
      return { kind, ...target, lastsMs: lastsMs * 2 };
    case "metadata":
      return { kind, node: target.node, value: Math.floor(random.next() * 1_000) };
    case "part":
      return { kind, ...drawPair(random, names), direction: pick(random, ["both", "there", "back"] as const), lastsMs };
    case "bar":
      return { kind, ...drawPair(random, names), lastsMs: lastsMs * 3 };
    case "reset":
      return { kind, ...drawPair(random, names), told: pick(random, ["both", "both", "one", "other"] as const), onTheirWay: random.next() < 0.5 ? "lost" : "arrive", ...(random.next() < 0.7 ? { afterNextMs: between(random, 0, 3) } : {}) };
    case "squall":
      return { kind, weather: { ...CALM, toMs: between(random, 2, 200), slow: between(random, 0, 0.2), slowMs: Math.round(leaseMs * between(random, 0.05, 0.5)), loss: between(random, 0, 0.1) }, lastsMs: lastsMs * 2 };
    default:
      return kind satisfies never;
  }
}

function drawPair(random: Random, names: readonly string[]): { readonly node: string; readonly other: string } {
  const node = pick(random, names);
  return { node, other: pick(random, names.filter((name) => name !== node)) ?? node };
}

/** Steps about as long as a lease do the most harm; now and then one of an hour. */
function drawStep(random: Random, leaseMs: number): number {
  return Math.round(between(random, -1, 1) * (random.next() < 0.8 ? leaseMs * 3 : 3_600_000));
}
