import type { SimulatedNode } from "./node.ts";
import type { Weather } from "./network.ts";
import { CALM } from "./network.ts";
import { STORE_PLACE } from "./statements.ts";
import type { Appointment } from "./schedule.ts";
import type { StatementKind } from "./statements.ts";
import type { StoreCopy } from "./store.ts";
import type { Reset } from "./wires.ts";
import type { SimulatedWorld } from "./world.ts";

/** Whom a fault meets: whoever holds an election at that time, if one is named and held; otherwise this node. */
export interface Target {
  readonly node: string;
  readonly holderOf?: string;
}

/** Which way of a link. */
export type Direction = "both" | "requests" | "replies";

/** One thing that goes wrong, and when. */
export type Fault = { readonly atMs: number } & Harm;

/**
 * What goes wrong, as data: drawn before a run, so that a plan can be read, kept, and made smaller. Times are milliseconds of true time; whatever lasts is undone after
 * `lastsMs`, and at the latest when all faults end.
 */
export type Harm =
  | (Target & { readonly kind: "cut"; readonly direction: Direction; readonly lastsMs: number })
  /** A way that is slow by so much, and then breaks. */
  | (Target & { readonly kind: "lag"; readonly direction: Direction; readonly byMs: number; readonly lastsMs: number; readonly thenCutMs: number })
  | (Target & { readonly kind: "flap"; readonly times: number; readonly lastsMs: number })
  /** Everybody's way to the store loses and delays. */
  | { readonly kind: "storm"; readonly weather: Weather; readonly lastsMs: number }
  | (Target & { readonly kind: "freeze" | "sleep"; readonly lastsMs: number })
  /** The process freezes at a named point: as it sends such a statement, or as that takes effect, before it hears of it. */
  | (Target & { readonly kind: "freeze-at"; readonly statement: StatementKind; readonly moment: "sent" | "executed"; readonly lastsMs: number })
  /** The process is started again after `lastsMs`. */
  | (Target & { readonly kind: "kill" | "stop"; readonly lastsMs: number })
  /** Several at once. */
  | { readonly kind: "crowd"; readonly what: "kill" | "freeze" | "cut"; readonly nodes: readonly string[]; readonly lastsMs: number }
  /** The next such statement, of anybody, takes effect that much later, and what its connection sends after it waits. */
  | { readonly kind: "late"; readonly statement: StatementKind; readonly byMs: number }
  | (Target & { readonly kind: "drop-connection" })
  | (Target & { readonly kind: "step-clock"; readonly byMs: number })
  | (Target & { readonly kind: "clock-rate"; readonly rate: number })
  | { readonly kind: "step-store-clock"; readonly byMs: number }
  | { readonly kind: "store-clock-rate"; readonly rate: number }
  | { readonly kind: "restart-store"; readonly how: "refuses" | "silent"; readonly lastsMs: number }
  | { readonly kind: "lock-store"; readonly lastsMs: number }
  /** Another server takes over after `gapMs`, with what was committed `lostMs` before the old one died; 0: with everything. */
  | { readonly kind: "fail-over"; readonly lostMs: number; readonly gapMs: number; readonly told: boolean }
  /** The same, with what was committed up to the next such statement, of anybody: the old server dies `lostMs` after that. */
  | { readonly kind: "fail-over-at"; readonly statement: StatementKind; readonly lostMs: number; readonly gapMs: number; readonly told: boolean }
  | (Target & { readonly kind: "resign"; readonly election: string })
  /** An operator asks the holder to resign. */
  | { readonly kind: "ask-to-resign"; readonly election: string }
  /** Some member hands an election over, or asks its holder to. */
  | (Target & { readonly kind: "transfer"; readonly election: string; readonly to: string })
  /** An operator pauses an election, and resumes it. */
  | { readonly kind: "pause"; readonly election: string; readonly lastsMs: number }
  /** An operator asks a node to leave; it is started again after `lastsMs`. */
  | (Target & { readonly kind: "evict"; readonly lastsMs: number })
  /** What a node's probe asks is out of order. */
  | (Target & { readonly kind: "unfit"; readonly lastsMs: number })
  | (Target & { readonly kind: "metadata"; readonly value: number })
  /** The ways between two nodes: cut, one way or both. */
  | (Pair & { readonly kind: "part"; readonly direction: "both" | "there" | "back"; readonly lastsMs: number })
  /** The connections of two nodes are reset: at once, or so long after one of them has next written something. */
  | (Pair & Reset & { readonly kind: "reset"; readonly afterNextMs?: number })
  /** Something in between ends what connections two nodes have, and refuses in their names what they dial. */
  | (Pair & { readonly kind: "bar"; readonly lastsMs: number })
  /** The ways between all nodes lose and delay. */
  | { readonly kind: "squall"; readonly weather: Weather; readonly lastsMs: number };

/** Two nodes. */
export interface Pair {
  readonly node: string;
  readonly other: string;
}

/** What can go wrong, by name. */
export type FaultKind = Fault["kind"];

/** All of them. */
export const FAULT_KINDS = [
  "cut",
  "lag",
  "flap",
  "storm",
  "freeze",
  "sleep",
  "freeze-at",
  "kill",
  "stop",
  "crowd",
  "late",
  "drop-connection",
  "step-clock",
  "clock-rate",
  "step-store-clock",
  "store-clock-rate",
  "restart-store",
  "lock-store",
  "fail-over",
  "fail-over-at",
  "resign",
  "ask-to-resign",
  "transfer",
  "pause",
  "evict",
  "unfit",
  "metadata",
  "part",
  "reset",
  "squall",
  "bar",
] as const satisfies readonly FaultKind[];

/** What can go wrong between nodes; the others can go wrong in any world. */
export type FaultBetweenNodes = "part" | "reset" | "squall" | "bar";

/** What a fault can be done to. */
export interface Stage {
  readonly world: SimulatedWorld;
  /** Starts a process of the node, if none runs. */
  boot(node: string): void;
  /** The copies that were taken for failovers, by the time at which each is needed. */
  readonly copies: ReadonlyMap<number, StoreCopy>;
}

/** What is undone later: `afterMs` from now, or when all faults end. */
export interface Undo {
  readonly afterMs: number;
  readonly undo: () => void;
}

/** Does it. Answers what has to be undone, and `undefined` if there was nothing to do it to. */
export function inflict(fault: Fault, stage: Stage): readonly Undo[] | undefined {
  const { world } = stage;
  const victim = "node" in fault ? targetOf(fault, world) : undefined;
  const later = (afterMs: number, undo: () => void): readonly Undo[] => [{ afterMs, undo }];
  switch (fault.kind) {
    case "cut":
      return victim && later(fault.lastsMs, world.cut(victim.node, fault.direction));
    case "lag":
      return victim && lag(world, victim.node, fault);
    case "flap":
      return victim && Array.from({ length: fault.times }, (_, index) => flap(world, victim.node, (fault.lastsMs / fault.times) * index, fault.lastsMs / fault.times)).flat();
    case "storm": {
      const undos = [...world.nodes.keys()].flatMap((name) => [world.network.link(name, STORE_PLACE).worsen(fault.weather), world.network.link(STORE_PLACE, name).worsen(fault.weather)]);
      return later(fault.lastsMs, () => {
        for (const undo of undos) undo();
      });
    }
    case "freeze":
    case "sleep":
      if (victim?.state !== "running") return undefined;
      // What kernel/elapsed.ts says that it misses, once more: nothing need have read the clocks since the step.
      if (fault.kind === "sleep" && victim.process.bootMs === undefined && victim.process.sinceSteppedBackMs < victim.cluster.timing.beatMs) return undefined;
      victim[fault.kind]();
      return later(fault.lastsMs, () => victim.resume());
    case "freeze-at":
      return victim && freezeAt(world, victim.node, fault);
    case "kill":
      if (victim === undefined || victim.state === "dead") return undefined;
      victim.kill();
      return later(fault.lastsMs, () => stage.boot(victim.node));
    case "stop":
      if (victim?.state !== "running") return undefined;
      void victim.stop();
      return later(fault.lastsMs, () => {
        victim.kill(); // it may be stuck in stopping
        stage.boot(victim.node);
      });
    case "crowd":
      return fault.nodes.flatMap((node) => inflict({ atMs: fault.atMs, kind: fault.what, node, direction: "both" as const, lastsMs: fault.lastsMs } as Fault, stage) ?? []);
    case "late":
      return [{ afterMs: Number.POSITIVE_INFINITY, undo: world.store.trap({ kind: fault.statement, node: "", moment: "arrives", spring: (connection) => void world.schedule.in(fault.byMs, connection.stall()) }) }];
    case "drop-connection":
      if (victim === undefined) return undefined;
      world.store.endConnections(victim.name);
      return [];
    case "step-clock":
      // Asleep, without a clock that counts sleep, and the wall clock stepped back meanwhile: what kernel/elapsed.ts says that it misses.
      if (victim === undefined || (victim.state === "asleep" && victim.process.bootMs === undefined && fault.byMs < 0)) return undefined;
      victim.process.stepWall(fault.byMs);
      return [];
    case "clock-rate":
      if (victim === undefined || victim.state === "asleep") return undefined;
      victim.process.setRate(fault.rate);
      return [];
    case "step-store-clock":
      world.store.stepClock(fault.byMs);
      return [];
    case "store-clock-rate":
      world.store.setClockRate(fault.rate);
      return [];
    case "restart-store":
      return later(fault.lastsMs, world.store.stop(fault.how));
    case "lock-store":
      return later(fault.lastsMs, world.store.hold());
    case "fail-over":
      return later(fault.gapMs, world.store.failOver({ copy: fault.lostMs === 0 ? undefined : stage.copies.get(fault.atMs), told: fault.told }));
    case "fail-over-at":
      return failOverAt(world, fault);
    case "resign":
      if (victim?.state !== "running" || victim.cluster.election(fault.election).term === undefined) return undefined;
      void victim.cluster.election(fault.election).resign();
      return [];
    case "ask-to-resign":
      return askToResign(world, fault.election) ? [] : undefined;
    case "transfer":
      if (victim?.state !== "running") return undefined;
      victim.cluster.election(fault.election).transferTo(fault.to).catch(() => undefined); // whoever cannot have it does not get it
      return [];
    case "pause":
      if (!world.store.engine.pause(world.group, { election: fault.election, reason: "a fault", by: "operator" })) return undefined;
      return later(fault.lastsMs, () => world.store.engine.resume(world.group, { election: fault.election, by: "operator" }));
    case "evict":
      if (victim === undefined || !world.store.engine.evict(world.group, { node: victim.node, by: "operator", reason: "a fault" })) return undefined;
      return later(fault.lastsMs, () => {
        world.nodes.get(victim.node)?.kill(); // it may be stuck, or not have heard of it
        stage.boot(victim.node);
      });
    case "unfit":
      if (victim === undefined) return undefined;
      victim.isUnfit = true;
      return later(fault.lastsMs, () => (victim.isUnfit = false));
    case "metadata":
      if (victim?.state !== "running") return undefined;
      victim.cluster.updateMetadata({ ...victim.metadata, value: fault.value }).catch(() => undefined); // an expected answer while the store is away
      return [];
    case "part":
      return later(fault.lastsMs, world.part(fault.node, fault.other, fault.direction));
    case "bar":
      return later(fault.lastsMs, world.wires.bar(fault.node, fault.other));
    case "reset":
      if (fault.afterNextMs === undefined) world.wires.reset(fault.node, fault.other, fault);
      return fault.afterNextMs === undefined ? [] : later(Number.POSITIVE_INFINITY, world.wires.trap(fault.node, fault.other, fault.afterNextMs, () => world.wires.reset(fault.node, fault.other, fault)));
    case "squall": {
      const names = [...world.nodes.keys()];
      const undos = names.flatMap((from) => names.filter((to) => to !== from).map((to) => world.network.link(from, to).worsen(fault.weather)));
      return later(fault.lastsMs, () => {
        for (const undo of undos) undo();
      });
    }
    default:
      return fault satisfies never;
  }
}

function targetOf(target: Target, world: SimulatedWorld): SimulatedNode | undefined {
  const holder = target.holderOf === undefined ? undefined : [...world.nodes.values()].find((node) => node.state !== "dead" && node.cluster.election(target.holderOf as string).term !== undefined);
  return holder ?? world.nodes.get(target.node);
}

function lag(world: SimulatedWorld, node: string, fault: Extract<Fault, { kind: "lag" }>): readonly Undo[] {
  const weather: Weather = { ...CALM, fromMs: fault.byMs, toMs: fault.byMs + 2 };
  const undos = directed(world, node, fault.direction).map((link) => link.worsen(weather));
  const end = () => {
    for (const undo of undos) undo();
  };
  if (fault.thenCutMs === 0) return [{ afterMs: fault.lastsMs, undo: end }];
  let heal: (() => void) | undefined;
  let isOver = false;
  const cut = world.schedule.in(fault.lastsMs, () => {
    end();
    if (!isOver) heal = world.cut(node);
  });
  return [
    {
      afterMs: fault.lastsMs + fault.thenCutMs,
      undo: () => {
        isOver = true;
        cut.cancel();
        end();
        heal?.();
      },
    },
  ];
}

function directed(world: SimulatedWorld, node: string, direction: Direction) {
  return [...(direction === "replies" ? [] : [world.network.link(node, STORE_PLACE)]), ...(direction === "requests" ? [] : [world.network.link(STORE_PLACE, node)])];
}

/** Down for the first half of each period. */
function flap(world: SimulatedWorld, node: string, beginsMs: number, periodMs: number): readonly Undo[] {
  let heal: (() => void) | undefined;
  const down = world.schedule.in(beginsMs, () => (heal = world.cut(node)));
  return [
    {
      afterMs: beginsMs + periodMs / 2,
      undo: () => {
        down.cancel();
        heal?.();
      },
    },
  ];
}

function freezeAt(world: SimulatedWorld, node: string, fault: Extract<Fault, { kind: "freeze-at" }>): readonly Undo[] {
  let frozen: SimulatedNode | undefined;
  const wake = () => frozen?.resume();
  const untrap = world.store.trap({
    kind: fault.statement,
    node,
    moment: fault.moment,
    spring: () => {
      frozen = world.nodes.get(node);
      if (frozen?.state !== "running") frozen = undefined;
      frozen?.freeze();
      world.schedule.in(fault.lastsMs, wake);
    },
  });
  return [
    {
      afterMs: Number.POSITIVE_INFINITY,
      undo: () => {
        untrap();
        wake();
      },
    },
  ];
}

function failOverAt(world: SimulatedWorld, fault: Extract<Fault, { kind: "fail-over-at" }>): readonly Undo[] {
  let takeOver: (() => void) | undefined;
  let death: Appointment | undefined;
  const finish = () => {
    death?.cancel();
    takeOver?.();
    takeOver = undefined;
  };
  const untrap = world.store.trap({
    kind: fault.statement,
    node: "",
    moment: "executed",
    spring: () => {
      const copy = world.store.copy();
      death = world.schedule.in(fault.lostMs, () => {
        takeOver = world.store.failOver({ copy, told: fault.told });
        world.schedule.in(fault.gapMs, finish);
      });
    },
  });
  return [
    {
      afterMs: Number.POSITIVE_INFINITY,
      undo: () => {
        untrap();
        finish();
      },
    },
  ];
}

/** As `tribune resign` does, but for the connection. */
function askToResign(world: SimulatedWorld, election: string): boolean {
  const row = world.store.engine.readGroup(world.group)?.elections.find((each) => each.election === election);
  if (row?.holder == null) return false;
  return world.store.engine.requestResign(world.group, { election, token: row.token });
}
