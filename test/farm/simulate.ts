import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import type { AppRecord, Artifact, FarmHandler, HandlerContext } from "../../src/farm/index.ts";
import { isTribuneError, seededRandom, silentLogger, sleep, TribuneError } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import { MemoryProvider } from "../../src/store/memory/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import type { OpenContext, StoreProvider, StoreSession, WriteDocumentInput } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import { Checker } from "./checker.ts";
import { documentsLeft, filesLeft } from "./leftovers.ts";
import { ProcessClock } from "./process-clock.ts";
import { quickenDisk } from "./quick-disk.ts";

/** What happened, and what was wrong with it. */
export interface Story {
  readonly complaints: readonly string[];
  /** SHA-256 of everything that came into the store, and when. */
  readonly digest: string;
  readonly changes: number;
  readonly committed: number;
  readonly rolledBack: number;
  readonly waves: number;
  /** Decisions that came to the store under a term that was over, or on a record that had changed. */
  readonly lateDecisions: number;
  readonly overtakenDecisions: number;
  /** Votes that said no. */
  readonly refusals: number;
  readonly faults: number;
  readonly deaths: number;
  /** Coordinators that were killed with a decision in their hands: before it was stored, or after. */
  readonly deathsAtDecision: number;
  /** Those that froze with one, and wrote it late. */
  readonly freezesAtDecision: number;
  /** Votes that came to the store long after they were sent. */
  readonly slowVotes: number;
  readonly newcomers: number;
  readonly activations: number;
}

/** How long a story is, in virtual milliseconds; how soon after it all has come to rest, and a deployment after that to its end. */
const STORY_MS = 45_000;
const QUIET_MS = 90_000;
const LAST_MS = 30_000;
/** At so many looks in a row there is nothing left to be done: more is likely to stay as it is. */
const RESTED = 3;
const GROUP = "g";
const FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const NAMES = ["app", "web"] as const;
const FIRST = ["a", "b", "c"] as const;

/** How a release behaves on one node. */
interface Temper {
  /** "hangs": the first time, until faults are over; "sticks": the first time, for ever. */
  prepare: "well" | "refuses" | "hangs" | "sticks" | "slowly";
  /** So many times activating fails first, and health says no. */
  failures: number;
  sick: number;
}

/** One run of one node. */
export class Process {
  readonly node: string;
  readonly clock: ProcessClock;
  readonly cluster: Cluster<MemoryTransaction>;
  readonly #world: FarmWorld;
  readonly #sessions = new Set<StoreSession>();
  /** To the store. */
  link: "up" | "cut" = "up";
  /** Its start has resolved. */
  isUp = false;
  /** How this run reaches the folder of its node, until it is killed: what a promise of it still does then comes to nothing. */
  readonly #dir: string;

  constructor(world: FarmWorld, node: string) {
    this.#world = world;
    this.node = node;
    this.clock = new ProcessClock(world.clock);
    this.#dir = join(world.folder, `${node}.${world.processes.length}`);
    mkdirSync(world.folderOf(node), { recursive: true });
    symlinkSync(world.folderOf(node), this.#dir, "junction");
    const { kind, label, capabilities, fenced, schema } = world.store;
    const store: StoreProvider<MemoryTransaction> = { kind, label, capabilities, fenced, schema, open: (context) => this.#open(context), close: () => Promise.resolve() };
    this.cluster = createCluster<MemoryTransaction>({
      group: GROUP,
      node,
      store,
      preset: "fast",
      crashDetection: "lease",
      logger: { ...silentLogger, warn: (fields) => world.checker.warned(this, fields) },
      clock: this.clock,
      random: seededRandom(Math.floor(world.random.next() * 2 ** 31)),
      channel: { transport: world.network.transport() },
      farm: { dir: this.#dir, handlers: { "*": world.handler(this) }, pollMs: 700, pieceBytes: 4_096, prepareMs: 8_000, activateMs: 3_000, catchUpMs: 20_000 },
    });
  }

  get isAlive(): boolean {
    return this.clock.state !== "killed";
  }

  die(): void {
    this.clock.state = "killed";
    rmSync(this.#dir);
  }

  cut(): void {
    this.link = "cut";
    for (const session of this.#sessions) session.destroy(new TribuneError("STORE_SESSION_ENDED", "the link was cut"));
    this.#sessions.clear();
  }

  async #open(context: OpenContext): Promise<StoreSession> {
    await this.#travel();
    if (this.link === "cut") throw new TribuneError("STORE_UNREACHABLE", "the link is cut");
    const session = await this.#world.store.open(context);
    this.#sessions.add(session);
    return new Proxy(session, { get: (target, name) => this.#over(target, name) });
  }

  /** A property of a session at the end of a wire: what is asked takes its time, and so does the answer; it may be that nobody is there any more to hear it. */
  #over(target: StoreSession, name: string | symbol): unknown {
    const value: unknown = Reflect.get(target, name, target);
    if (typeof value !== "function") return value;
    const method = (value as (...args: unknown[]) => unknown).bind(target);
    if (name === "onHint") return (listener: (hint: unknown) => void) => method((hint: unknown) => (this.clock.state === "running" ? listener(hint) : undefined));
    if (name === "destroy" || name === "attend" || name === "close") return method;
    return async (...args: unknown[]) => {
      if (name === "listDocuments") this.#world.checker.asked(this, (args[0] as { readonly prefix: string }).prefix);
      await this.#travel();
      const before = name === "writeDocument" ? await this.#world.beforeWrite(this, args[0] as WriteDocumentInput) : "done";
      if (before === "never") return await new Promise(() => undefined);
      const answer = await method(...args);
      if (name === "writeDocument") this.#world.checker[answer === true ? "written" : "refused"](this, args[0] as WriteDocumentInput);
      if (before === "last") this.#world.kill(this);
      await this.#travel();
      return answer;
    };
  }

  #travel(): Promise<void> {
    return sleep(this.clock, 0.5 + this.#world.random.next() * 6);
  }
}

/** Nodes with farms on one store and one network, on virtual time. */
export class FarmWorld {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly store: MemoryProvider;
  readonly network: MemoryNetwork;
  readonly folder = mkdtempSync(join(FOLDER, "tribune-farm-story-"));
  readonly checker: Checker;
  readonly processes: Process[] = [];
  readonly count = { changes: 0, faults: 0, deaths: 0, deathsAtDecision: 0, freezesAtDecision: 0, slowVotes: 0, newcomers: 0 };
  /** By name, version and node. */
  readonly #tempers = new Map<string, Temper>();
  readonly #reverts = new Set<() => void>();
  /** Opened when faults are over. */
  readonly #over = Promise.withResolvers<void>();
  /** How likely a coordinator is killed at a decision, or frozen. */
  deadlyDecisions = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.store = new MemoryProvider({ clock: this.clock });
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random });
    this.checker = new Checker(() => this.store.engine.fence(GROUP, "coordinator"));
  }

  /** What is on the disk of a node, whichever run of it wrote it. */
  folderOf(node: string): string {
    return join(this.folder, node);
  }

  get alive(): Process[] {
    return this.processes.filter(({ isAlive }) => isAlive);
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random.next() * from.length)] as T;
  }

  start(node: string): Process {
    const process = new Process(this, node);
    this.processes.push(process);
    const fromMs = this.clock.monotonicMs();
    process.cluster.start().then(
      () => {
        process.isUp = true;
        if (process.isAlive && this.clock.monotonicMs() - fromMs < 15_000) this.checker.started(process, fromMs);
      },
      (error: unknown) => {
        // It may be that its name is still taken by its run before: then it ends, and is started again.
        if (process.isAlive) process.die();
        if (!isTribuneError(error, "NODE_NAME_TAKEN")) this.checker.complain(`${node} could not start: ${String(error)}`);
      },
    );
    return process;
  }

  /** As SIGKILL: nothing of it runs any more, and its kernel resets its connections. */
  kill(process: Process): void {
    if (!process.isAlive) return;
    process.die();
    this.network.crash(process.node);
    this.checker.ended(process);
    this.count.deaths++;
  }

  /** Nothing of it runs for a while, and what it is sent lies about; then all that fell due happens late. */
  freeze(process: Process, ms: number): void {
    if (process.clock.state !== "running") return;
    process.clock.state = "frozen";
    for (const each of this.others(process)) this.network.cut(each, process.node);
    this.later(ms, () => {
      process.clock.thaw();
      for (const each of this.others(process)) this.network.heal(each, process.node);
    });
  }

  others(process: Process): string[] {
    return [...new Set(this.processes.map(({ node }) => node))].filter((node) => node !== process.node);
  }

  /** Undoes a fault in so many milliseconds, or when faults are over. */
  later(ms: number, undo: () => void): void {
    const once = () => {
      if (this.#reverts.delete(once)) undo();
    };
    this.#reverts.add(once);
    this.clock.setTimer(ms, once);
  }

  /** Whether a write of this process comes about: with a decision in its hands it may die before it or after it, or freeze and write it late. A vote may be long under way. */
  async beforeWrite(process: Process, { name, text }: WriteDocumentInput): Promise<"done" | "never" | "last"> {
    if (this.deadlyDecisions > 0 && name.startsWith("farm.vote.") && this.chance(0.05)) {
      this.count.slowVotes++;
      await sleep(process.clock, this.random.next() * 15_000);
    }
    if (this.deadlyDecisions === 0 || !name.startsWith("farm.app.") || !this.checker.isDecision(JSON.parse(text) as AppRecord) || !this.chance(this.deadlyDecisions)) return "done";
    if (this.chance(0.4)) {
      this.count.freezesAtDecision++;
      this.freeze(process, 1_000 + this.random.next() * 6_000);
      await sleep(process.clock, 1); // until it runs again
      return "done";
    }
    this.count.deathsAtDecision++;
    if (this.chance(0.5)) return "last";
    this.kill(process);
    return "never";
  }

  /** Before a release is asked for: how it will behave where. */
  temper(name: string, version: string): void {
    for (const node of new Set(this.processes.map((each) => each.node))) {
      const prepare = this.chance(0.05) ? "refuses" : this.chance(0.05) ? (this.chance(0.5) ? "hangs" : "sticks") : this.chance(0.2) ? "slowly" : "well";
      this.#tempers.set(`${name} ${version} ${node}`, { prepare, failures: this.chance(0.07) ? 1 : 0, sick: this.chance(0.1) ? 1 + Math.floor(this.random.next() * 3) : 0 });
    }
  }

  handler(process: Process): FarmHandler {
    const { checker } = this;
    const temperOf = ({ name, version }: Artifact): Temper => this.#tempers.get(`${name} ${version} ${process.node}`) ?? { prepare: "well", failures: 0, sick: 0 };
    // Nothing of a process that was killed goes on.
    const inLife = async (work: () => unknown): Promise<unknown> => (process.isAlive ? await work() : await new Promise(() => undefined));
    const slowly = (signal: AbortSignal) => sleep(process.clock, this.random.next() * 5_000, signal);
    return {
      prepare: (artifact: Artifact, _dir: string, { signal }: HandlerContext) =>
        inLife(async () => {
          const temper = temperOf(artifact);
          const { prepare } = temper;
          checker.preparing(process, artifact, readFileSync(artifact.path, "utf8") === content(artifact.version));
          if (prepare === "hangs" || prepare === "sticks") temper.prepare = "well";
          if (prepare === "sticks") return await new Promise(() => undefined);
          if (prepare === "hangs") await this.#over.promise;
          if (prepare === "slowly") await slowly(signal);
          if (prepare === "refuses" && this.deadlyDecisions > 0) throw new Error("it cannot run here");
          if (process.isAlive && !signal.aborted) checker.prepared(process, artifact);
        }),
      activate: (artifact: Artifact) =>
        inLife(() => {
          checker.activating(process, artifact);
          const temper = temperOf(artifact);
          if (temper.failures-- > 0) throw new Error("the port is taken");
          checker.activated(process, artifact);
        }),
      health: (artifact: Artifact) => inLife(() => temperOf(artifact).sick-- <= 0),
      deactivate: (artifact: Artifact) => inLife(() => checker.deactivated(process, artifact)),
      discard: (artifact: Artifact) => inLife(() => checker.discarded(process, artifact)),
    };
  }

  /** Faults are over: whatever hung hangs no more, and whoever refused refuses no more. */
  mend(): void {
    for (const each of [...this.#reverts]) each();
    this.deadlyDecisions = 0;
    this.#over.resolve();
  }

  end(): void {
    for (const process of this.alive) process.clock.state = "killed";
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What is in the artifact of a version, in one piece or several. Two versions have the same: of both names at once, or the second try of one that came to nothing. */
export function content(version: string): string {
  const build = Math.ceil(Number(version) / 2);
  return `build ${build} `.repeat(1 + (build * 397) % 2_500);
}

/**
 * Three members, and later more, that deploy, go back and undeploy, all at once and in waves, while preparing is refused or hangs, activating fails, links to each other and to the store are cut, and members freeze, die, with a decision in their hands too, and come back. Of one seed always the same story; files are real ones, and take no time.
 *
 * Judged while it happens by a {@link Checker}; and after quiet all members have what is desired, nothing is under way, nothing is kept prepared, nothing is left over in the store and on disks, and one more deployment comes to everybody.
 */
export async function simulate(seed: number): Promise<Story> {
  const slow = quickenDisk();
  const world = new FarmWorld(seed);
  try {
    return await play(world);
  } finally {
    world.end();
    slow();
  }
}

async function play(world: FarmWorld): Promise<Story> {
  const { clock, random, network, count, checker, pick, chance } = bound(world);
  let versions = 0;
  const change = (): void => {
    const from = pick(world.alive.filter(({ isUp }) => isUp));
    if ((from as Process | undefined) === undefined) return;
    count.changes++;
    const { farm } = from.cluster;
    const name = chance(0.8) ? NAMES[0] : NAMES[1];
    const dice = random.next();
    const calledOff = new AbortController();
    if (chance(0.1)) clock.setTimer(random.next() * 4_000, () => calledOff.abort());
    const options = { signal: calledOff.signal, ...(chance(0.3) ? { rolling: { by: 1, waveMs: 4_000 } } : {}) };
    if (dice < 0.8) {
      const version = String(++versions);
      world.temper(name, version);
      checker.judge(from, `${name} ${version}`, farm.deploy({ name, version, artifact: new Uint8Array(Buffer.from(content(version))), ...options }), { name, version });
    } else if (dice < 0.93) checker.judge(from, `going back, change ${count.changes} of ${name}`, farm.rollback(name, options), undefined);
    else checker.judge(from, `undeploying, change ${count.changes} of ${name}`, farm.undeploy(name, { signal: calledOff.signal }), undefined);
  };

  const fault = (): void => {
    const process = pick(world.alive);
    if ((process as Process | undefined) === undefined) return;
    count.faults++;
    const other = pick(world.others(process));
    const ms = random.next() * 5_000;
    const dice = random.next();
    if (dice < 0.2) {
      process.cut();
      world.later(ms, () => (process.link = "up"));
    } else if (dice < 0.4) {
      world.freeze(process, ms);
    } else if (dice < 0.55) network.break(process.node, other, chance(0.5) ? "lost" : "arrive");
    else if (dice < 0.7) {
      network.cut(process.node, other);
      world.later(ms, () => network.heal(process.node, other));
    } else if (dice < 0.85) {
      network.delay(process.node, other, random.next() * 1_000);
      world.later(ms, () => network.heal(process.node, other));
    } else {
      network.bar(process.node, other);
      world.later(ms, () => network.unbar(process.node, other));
    }
  };

  /** Those who are dead come back, sooner or later; newcomers who are dead at the end stay away. */
  const comeBack = (share: number, nodes: readonly string[] = world.processes.map((each) => each.node)): void => {
    for (const node of new Set(nodes)) if (!world.alive.some((each) => each.node === node) && chance(share)) world.start(node);
  };
  const death = (): void => {
    if (world.alive.length < 2) return;
    world.kill(pick(world.alive));
  };

  for (const node of FIRST) {
    world.start(node);
    await clock.advance(2_500);
  }
  world.deadlyDecisions = 0.1;
  let known = world.processes.length;
  for (const endMs = clock.monotonicMs() + STORY_MS; clock.monotonicMs() < endMs; ) {
    await clock.advance(random.next() * 1_400);
    const dice = random.next();
    if (dice < 0.45) change();
    else if (dice < 0.75) fault();
    else if (dice < 0.8) death();
    else if (dice < 0.83 && known < 5) {
      count.newcomers++;
      world.start("abcdefgh"[known++] ?? "h");
    }
    comeBack(0.12);
  }

  world.mend();
  await comeToRest(world, () => comeBack(1, FIRST));
  const first = world.alive[0];
  if (first !== undefined && first.isUp) {
    const answers: unknown[] = [];
    const last = String(++versions);
    first.cluster.farm.deploy({ name: NAMES[0], version: last, artifact: new Uint8Array(Buffer.from(content(last))) }).then(
      ({ ok, members }) => answers.push(ok && members.length === world.alive.length ? "ok" : members),
      (error: unknown) => answers.push(String(error)),
    );
    for (const endMs = clock.monotonicMs() + LAST_MS; clock.monotonicMs() < endMs && answers.length === 0; ) await clock.advance(1_000);
    if (answers[0] !== "ok") checker.complain(`a deployment after quiet came to ${JSON.stringify(answers[0] ?? "no answer")}`);
    await comeToRest(world, () => undefined);
  } else checker.complain("a member has not started after quiet");
  const { complaints, committed, rolledBack, waves, lateDecisions, overtakenDecisions, refusals, activations } = checker;
  return { complaints, digest: checker.history.digest("hex"), ...count, committed, rolledBack, waves, lateDecisions, overtakenDecisions, refusals, activations };
}

function bound(world: FarmWorld) {
  const { clock, random, network, count, checker } = world;
  return { clock, random, network, count, checker, pick: <T>(from: readonly T[]) => world.pick(from), chance: (share: number) => world.chance(share) };
}

/** Within {@link QUIET_MS} nothing is left to be done, and that stays so; complains of what is. */
async function comeToRest(world: FarmWorld, between: () => void): Promise<void> {
  const { clock, checker } = world;
  let unrest: readonly string[] = ["nobody has looked"];
  for (let endMs = clock.monotonicMs() + QUIET_MS, rested = 0; clock.monotonicMs() < endMs && rested < RESTED; rested = unrest.length === 0 ? rested + 1 : 0) {
    between();
    await clock.advance(2_500);
    unrest = [...unrestOf(world)];
  }
  for (const each of unrest) checker.complain(each);
}

function* unrestOf(world: FarmWorld): Generator<string> {
  const { alive, checker, store } = world;
  const nodes = alive.map(({ node }) => node);
  const documents = store.engine.listDocuments(GROUP, { prefix: "farm." }).map(({ name }) => name);
  yield* documentsLeft(documents, checker.records, nodes);
  if (new Set(nodes).size !== nodes.length) yield `two processes of one node: ${nodes.join()}`;
  for (const process of alive) {
    if (!process.isUp) yield `${process.node} has not started`;
    else if (process.cluster.view.members.length !== nodes.length) yield `${process.node} sees ${process.cluster.view.members.length} members of ${nodes.length}`;
    yield* checker.unrest(process);
    for (const what of filesLeft(world.folderOf(process.node), checker.records)) yield `at ${process.node} ${what}`;
  }
}
