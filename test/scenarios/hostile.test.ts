import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import type { Term } from "../../src/election/index.ts";
import { seededRandom, TribuneError } from "../../src/kernel/index.ts";
import type { Random } from "../../src/kernel/index.ts";
import { MemoryEngine } from "../../src/store/memory/engine.ts";
import type { EngineState } from "../../src/store/memory/engine.ts";
import type { FencedTransactions, FenceHandle, Hint, OpenContext, StoreProvider } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { hostileSession } from "../support/hostile-store.ts";
import type { Link, Weather } from "../support/hostile-store.ts";

const SEEDS = Number(process.env["TRIBUNE_TEST_SEEDS"] ?? 12);
const FIRST_SEED = Number(process.env["TRIBUNE_TEST_FIRST_SEED"] ?? Math.floor(Math.random() * 1e6));
const RUN_MS = 60_000;
const STEP_MS = 5;
const CALM: Weather = { loss: 0, slow: 0, longestMs: 0 };
const STORM: Weather = { loss: 0.03, slow: 0.06, longestMs: 6_000 };

interface Player {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly rate: number;
  readonly link: Link;
  cluster: Cluster;
  frozenMs: number | undefined;
  dead: boolean;
  /** What arrived while the process did not run. */
  inbox: Array<() => void>;
  terms: Term[];
}

/** One hostile run: faults for a minute, then none; every promise checked at every step. */
class Run {
  readonly random: Random;
  readonly storeClock = new VirtualClock();
  readonly players: Player[] = [];
  readonly sessions = new Set<ReturnType<typeof hostileSession>>();
  readonly engine: MemoryEngine;
  readonly announced: number[] = [];
  readonly committed: number[] = [];
  readonly views = new Map<number, string>();
  readonly trace: string[] = [];
  epoch = 1;
  weather: Weather = CALM;
  replica: EngineState[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.engine = new MemoryEngine({
      now: () => this.storeClock.wallMs(),
      epoch: () => `sim:${this.epoch}`,
      epochNumber: () => this.epoch,
      hint: (_, hint: Hint) => {
        for (const session of this.sessions) session.tell(hint);
      },
      fenceIsBusy: () => false,
    });
  }

  note(line: string): void {
    this.trace.push(`${this.storeClock.monotonicMs()} ${line}`);
  }

  add(name: string): Player {
    const player: Player = { name, clock: new VirtualClock(), rate: 1 + (this.random.next() - 0.5) * 0.008, link: { requests: "up", replies: "up" }, frozenMs: undefined, dead: false, inbox: [], terms: [], cluster: undefined as never };
    player.cluster = this.boot(player, name);
    this.players.push(player);
    return player;
  }

  boot(player: Player, name: string): Cluster {
    const random = seededRandom(Math.floor(this.random.next() * 2 ** 32));
    const fenced: FencedTransactions<unknown> = {
      transaction: (fence: FenceHandle, work) => {
        // No belief is asked: the fence alone has to refuse.
        if (this.engine.fence(fence.group, fence.election) !== fence.token) return Promise.reject(new TribuneError("TERM_LOST", "fenced"));
        return Promise.resolve(work(undefined));
      },
      guard: () => Promise.resolve(),
    };
    const store: StoreProvider = {
      kind: "hostile",
      label: "hostile:",
      capabilities: { hints: true, asyncTransactions: true, boundsFrozenTransactions: true, manyHosts: true },
      fenced,
      schema: { version: 1, statements: () => [], installed: () => Promise.resolve(1), migrate: () => Promise.resolve({ from: 1, to: 1 }) },
      open: (context: OpenContext) => {
        if (player.link.requests === "cut" || player.link.replies === "cut") {
          return new Promise((_, reject) => context.clock.setTimer(context.deadlineMs, () => reject(new TribuneError("STORE_UNREACHABLE", "cut"))));
        }
        const session = hostileSession({ engine: this.engine, storeClock: this.storeClock, context, random, link: player.link, weather: () => this.weather, deliver: (arrival) => deliver(player, arrival) });
        this.sessions.add(session);
        session.ended.addEventListener("abort", () => this.sessions.delete(session));
        return Promise.resolve(session);
      },
      close: () => Promise.resolve(),
    };
    const cluster = createCluster({ group: "world", node: name, startTimeoutMs: 600_000, store, clock: player.clock, random });
    let last = 0;
    const gone = new Set<string>();
    cluster.on("view", ({ view, left }) => {
      for (const member of left) gone.add(member.incarnation);
      for (const member of view.members) assert.ok(!gone.has(member.incarnation), `${name}: ${member.node} had left and is back in view ${view.version} as the same incarnation`);
      assert.ok(view.version > last, `${name}: view ${view.version} after ${last}`);
      last = view.version;
      const list = JSON.stringify(view.members.map((member) => member.incarnation));
      assert.equal(this.views.get(view.version) ?? list, list, `view ${view.version} has two lists`);
      this.views.set(view.version, list);
    });
    for (const event of ["suspended", "lost", "rejoined", "recovered"] as const) cluster.on(event, () => this.note(`${name} ${event}`));
    cluster.start().catch(() => undefined);
    void cluster.election("work").lead(async (term) => {
      player.terms.push(term);
      this.note(`${name} term ${term.token}`);
      const before = this.announced.at(-1) ?? 0;
      assert.ok(term.token > before, `token ${term.token} announced after ${before}`);
      this.announced.push(term.token);
      await new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve()));
      if (this.random.next() < 0.3) await new Promise<void>((resolve) => player.clock.setTimer(this.random.next() * 1_500, resolve));
    });
    return cluster;
  }

  believers(): string[] {
    return this.players.filter((player) => !player.dead && player.frozenMs === undefined && player.terms.some((term) => term.mayAct())).map((player) => player.name);
  }

  async step(): Promise<void> {
    await this.storeClock.advance(STEP_MS);
    for (const player of this.players) {
      if (player.dead) continue;
      if (player.frozenMs !== undefined) {
        player.frozenMs += STEP_MS * player.rate;
        continue;
      }
      await player.clock.advance(STEP_MS * player.rate);
    }
    const believers = this.believers();
    assert.ok(believers.length <= 1, `two believers: ${believers.join(", ")}`);
    if (this.random.next() < 0.2) this.write();
    if (this.random.next() < 0.01) this.replica = [...this.replica.slice(-8), this.engine.snapshot()];
  }

  /** Anybody who ever had a term tries to write, whether it believes or not. */
  write(): void {
    const writers = this.players.filter((player) => !player.dead && player.frozenMs === undefined && player.terms.length > 0);
    const player = writers[Math.floor(this.random.next() * writers.length)];
    const term = player?.terms[Math.floor(this.random.next() * (player?.terms.length ?? 0))];
    if (term === undefined) return;
    void term.transaction(() => {
      const before = this.committed.at(-1) ?? 0;
      assert.ok(term.token >= before, `a write of ${term.token} after one of ${before}`);
      this.committed.push(term.token);
    }).catch((error: unknown) => {
      if (!(error instanceof TribuneError)) throw error;
    });
  }

  async fault(): Promise<void> {
    const live = this.players.filter((player) => !player.dead);
    const holders = live.filter((player) => this.believers().includes(player.name));
    const pool = this.random.next() < 0.6 && holders.length > 0 ? holders : live;
    const victim = pool[Math.floor(this.random.next() * pool.length)];
    if (victim === undefined) return;
    const kinds = ["cut", "cut-requests", "cut-replies", "freeze", "sleep", "kill", "storm", "wall", "store-clock", "restart", "failover", "lossy-failover", "stop"] as const;
    const kind = kinds[Math.floor(this.random.next() * kinds.length)] ?? "cut";
    const lasts = 500 + this.random.next() * 8_000;
    this.note(`fault ${kind} ${victim.name} ${Math.round(lasts)}`);
    const after = (ms: number, undo: () => void) => void this.storeClock.setTimer(ms, undo);
    switch (kind) {
      case "cut":
        victim.link.requests = victim.link.replies = "cut";
        after(lasts, () => (victim.link.requests = victim.link.replies = "up"));
        break;
      case "cut-requests":
        victim.link.requests = "cut";
        after(lasts, () => (victim.link.requests = "up"));
        break;
      case "cut-replies":
        victim.link.replies = "cut";
        after(lasts, () => (victim.link.replies = "up"));
        break;
      case "freeze":
      case "sleep":
        if (victim.frozenMs !== undefined) break;
        victim.frozenMs = 0;
        after(lasts, () => this.thaw(victim, kind === "sleep"));
        break;
      case "kill":
        victim.dead = true;
        after(lasts, () => this.reboot(victim));
        break;
      case "storm":
        this.weather = STORM;
        after(lasts, () => (this.weather = CALM));
        break;
      case "wall":
        victim.clock.stepWall((this.random.next() - 0.5) * 20_000);
        break;
      case "store-clock":
        this.storeClock.stepWall((this.random.next() - 0.5) * 40_000);
        break;
      case "restart":
        for (const session of [...this.sessions]) session.destroy(new TribuneError("STORE_SESSION_ENDED", "restart"));
        break;
      case "lossy-failover":
      case "failover": {
        const older = this.replica[Math.max(0, this.replica.length - 3)];
        if (kind === "lossy-failover" && older !== undefined) {
          this.engine.restore(older);
          this.committed.length = 0; // what was written on the lost timeline is lost with it
        }
        this.epoch += 1;
        this.replica = [];
        for (const session of [...this.sessions]) session.destroy(new TribuneError("STORE_SESSION_ENDED", "failover"));
        break;
      }
      case "stop":
        void victim.cluster.stop().then(() => {
          victim.dead = true;
          this.reboot(victim);
        });
        break;
      default:
        kind satisfies never;
    }
  }

  thaw(player: Player, asleep: boolean): void {
    const ms = player.frozenMs ?? 0;
    player.frozenMs = undefined;
    if (player.dead) return;
    // The first thing that runs after a freeze is whatever the program asks: it must not believe.
    player.clock.jump(ms, { asleep });
    assert.ok(this.believers().length <= 1, "two believers at a thaw");
    for (const arrival of player.inbox.splice(0)) arrival();
    assert.ok(this.believers().length <= 1, "two believers after what had arrived meanwhile");
  }

  reboot(player: Player): void {
    if (!player.dead) return;
    player.dead = true;
    const index = this.players.indexOf(player);
    const fresh: Player = { ...player, clock: new VirtualClock(), link: { requests: "up", replies: "up" }, frozenMs: undefined, dead: false, inbox: [], terms: [] };
    this.players[index] = fresh;
    fresh.cluster = this.boot(fresh, player.name);
  }

  async play(): Promise<void> {
    for (const name of ["a", "b", "c"]) this.add(name);
    let nextFault = 6_000;
    while (this.storeClock.monotonicMs() < RUN_MS) {
      await this.step();
      if (this.storeClock.monotonicMs() >= nextFault) {
        await this.fault();
        nextFault += 500 + this.random.next() * 6_000;
      }
    }
    // Faults off: whatever is still wrong rights itself, and then someone leads within the bound.
    const quiet = this.storeClock.monotonicMs() + 10_000;
    while (this.storeClock.monotonicMs() < quiet) await this.step();
    this.weather = CALM;
    const healed = this.storeClock.monotonicMs();
    while (this.believers().length === 0) {
      assert.ok(this.storeClock.monotonicMs() - healed < 4_000 + 2 * 1_000 + 1_000, "no leader after all faults ended");
      await this.step();
    }
    const stable = this.storeClock.monotonicMs() + 5_000;
    while (this.storeClock.monotonicMs() < stable) await this.step();
    const versions = new Set(this.players.map((player) => player.cluster.view.version));
    assert.equal(versions.size, 1, `views differ after quiet: ${[...versions].join(", ")}`);
    assert.deepEqual(this.players.map((player) => player.cluster.view.members.length), [3, 3, 3]);
    for (const player of this.players) player.dead = true;
  }
}

/** A dead process hears nothing; a frozen one when it wakes. */
function deliver(player: Player, arrival: () => void): void {
  if (player.dead) return;
  if (player.frozenMs === undefined) arrival();
  else player.inbox.push(arrival);
}

describe("three nodes under faults", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    it(`keep every promise in world ${seed}`, async () => {
      const run = new Run(seed);
      try {
        await run.play();
      } catch (error) {
        console.error(`TRIBUNE_TEST_FIRST_SEED=${seed} TRIBUNE_TEST_SEEDS=1 replays this\n${run.trace.slice(-60).join("\n")}`);
        throw error;
      }
      assert.ok(run.announced.length > 0 && run.views.size > 2);
    });
  }
});
