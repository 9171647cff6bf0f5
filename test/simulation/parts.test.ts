import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { CALM, drawPlan, FAULT_KINDS, Network, NondeterminismError, PROFILE_NAMES, PROFILES, shrinkPlan, SimulatedProcess, SimulatedWorld } from "../../src/testing/simulation/index.ts";
import type { Fault, Plan, Weather } from "../../src/testing/simulation/index.ts";
import { Schedule } from "../../src/testing/simulation/schedule.ts";
import { randomStreams } from "../../src/testing/simulation/streams.ts";

function all(schedule: Schedule, untilMs = 1e9): void {
  while (schedule.next(untilMs));
}

describe("true time", () => {
  it("lets things happen in the order of their times, and of two at once the one that was asked for first", () => {
    const schedule = new Schedule();
    const seen: string[] = [];
    for (const [ms, name] of [[5, "d"], [1, "a"], [3, "b"], [3, "c"]] as const) schedule.in(ms, () => seen.push(`${name}${schedule.nowMs}`));
    schedule.in(2, () => seen.push("never")).cancel();
    all(schedule, 10);
    assert.deepEqual(seen, ["a1", "b3", "c3", "d5"]);
    assert.equal(schedule.nowMs, 10);
  });

  it("keeps its order with thousands of things", () => {
    const schedule = new Schedule();
    const random = randomStreams(3)("x");
    const seen: number[] = [];
    for (let i = 0; i < 3_000; i++) schedule.in(random.next() * 1_000, () => seen.push(schedule.nowMs));
    all(schedule);
    assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
    assert.equal(seen.length, 3_000);
  });

  it("notices a loop that takes no time", () => {
    const schedule = new Schedule();
    const again = () => void schedule.in(0, again);
    again();
    assert.throws(() => all(schedule), /time stands still at 0 ms/);
  });
});

describe("a simulated network", () => {
  const network = (weather: Partial<Weather> = {}) => {
    const schedule = new Schedule();
    const made = new Network(schedule, randomStreams(1));
    made.link("a", "b").worsen({ ...CALM, ...weather });
    return { schedule, made };
  };

  it("delivers packets late, not at all, twice, and out of order", () => {
    const { schedule, made } = network({ fromMs: 1, toMs: 100, loss: 0.2, duplicates: 0.2 });
    const arrived: number[] = [];
    for (let i = 0; i < 1_000; i++) made.send("a", "b", () => arrived.push(i));
    all(schedule);
    assert.ok(arrived.length > 850 && arrived.length < 1_100, `${arrived.length}`);
    assert.ok(new Set(arrived).size < 900 && arrived.length > new Set(arrived).size);
    assert.notDeepEqual(arrived, [...arrived].sort((x, y) => x - y));
    assert.ok(made.counts.lost > 150 && made.counts.duplicated > 150);
  });

  it("keeps the order of a connection, and stalls it instead of losing from it", () => {
    const { schedule, made } = network({ fromMs: 1, toMs: 100, loss: 0.3 });
    const flow = made.flow("a", "b");
    const arrived: number[] = [];
    for (let i = 0; i < 200; i++) schedule.in(i * 10, () => flow.send(() => arrived.push(i)));
    all(schedule);
    assert.deepEqual(arrived, Array.from({ length: 200 }, (_, index) => index));
  });

  it("is cut in one direction, and what a connection sent meanwhile arrives once it is mended", () => {
    const { schedule, made } = network();
    const [there, back] = [made.flow("a", "b"), made.flow("b", "a")];
    const heal = made.link("a", "b").cut();
    const arrived: string[] = [];
    there.send(() => arrived.push(`there ${schedule.nowMs > 5_000}`));
    back.send(() => arrived.push("back"));
    made.send("a", "b", () => arrived.push("packet"));
    all(schedule, 5_000);
    assert.deepEqual(arrived, ["back"]);
    heal();
    heal(); // twice is once
    all(schedule);
    assert.deepEqual(arrived, ["back", "there true"]);
  });

  it("is cut as long as anybody cuts it", () => {
    const { made } = network();
    const link = made.link("a", "b");
    const [one, other] = [link.cut(), link.cut()];
    one();
    assert.ok(link.isCut);
    other();
    assert.ok(!link.isCut);
  });
});

describe("a simulated process", () => {
  const processAt = (rate = 1, hasBootClock = true) => {
    const schedule = new Schedule();
    return { schedule, machine: new SimulatedProcess("a#1", { rate, wallMs: 1_000_000, hasBootClock }, schedule, randomStreams(1)("a")) };
  };

  it("has clocks of its own rate, which its timers go by; none fires early", () => {
    const { schedule, machine } = processAt(1.25);
    const beganMs = machine.monotonicMs();
    let firedMs = 0;
    machine.setTimer(1_000, () => (firedMs = machine.monotonicMs() - beganMs));
    all(schedule, 800.1);
    assert.ok(firedMs >= 1_000 && firedMs < 1_000.1, `${firedMs}`);
    machine.setRate(1);
    machine.setTimer(1_000, () => (firedMs = schedule.nowMs));
    all(schedule);
    assert.ok(firedMs >= 1_800 && firedMs < 1_801, `${firedMs}`);
  });

  it("goes on with its clocks while it is frozen, and does what was due and what arrived afterwards", () => {
    const { schedule, machine } = processAt();
    const seen: string[] = [];
    const beganMs = machine.monotonicMs();
    machine.setTimer(100, () => seen.push("timer"));
    machine.freeze();
    schedule.in(50, () => machine.deliver(() => seen.push("arrival")));
    all(schedule, 10_000);
    assert.equal(seen.length, 0);
    machine.resume(() => seen.push(`first at ${machine.monotonicMs() - beganMs}`));
    all(schedule, 10_001);
    assert.equal(seen[0], "first at 10000");
    assert.deepEqual(seen.slice(1).sort(), ["arrival", "timer"]);
  });

  it("stands still on its monotonic clock while its machine sleeps; the others count that", () => {
    const { schedule, machine } = processAt();
    const [monotonicMs, wallMs, bootMs] = [machine.monotonicMs(), machine.wallMs(), machine.bootMs?.() ?? 0];
    let fired = false;
    machine.setTimer(1_000, () => (fired = true));
    machine.sleep();
    all(schedule, 60_000);
    machine.resume();
    assert.deepEqual([machine.monotonicMs() - monotonicMs, machine.wallMs() - wallMs, (machine.bootMs?.() ?? 0) - bootMs].map(Math.round), [0, 60_000, 60_000]);
    all(schedule, 60_900);
    assert.ok(!fired);
    all(schedule, 61_001);
    assert.ok(fired);
    assert.equal(processAt(1, false).machine.bootMs, undefined);
  });

  it("never sleeps for just as long as its wall clock was stepped back since that was read, in which case nobody could notice without asking a third clock each time", () => {
    for (const when of ["before", "during"]) {
      const { schedule, machine } = processAt();
      const gapMs = machine.wallMs() - machine.monotonicMs();
      if (when === "before") machine.stepWall(-60_000);
      machine.sleep();
      all(schedule, 60_000);
      if (when === "during") machine.stepWall(-60_000);
      machine.resume();
      assert.ok(Math.abs(machine.wallMs() - machine.monotonicMs() - gapMs) > 25, when);
    }
  });

  it("does nothing any more once it is killed", () => {
    const { schedule, machine } = processAt();
    machine.setTimer(10, () => assert.fail());
    machine.freeze();
    machine.deliver(() => assert.fail());
    machine.kill();
    machine.resume();
    machine.deliver(() => assert.fail());
    all(schedule);
    assert.equal(machine.state, "dead");
  });
});

describe("a simulated world", () => {
  it("catches real timers, clocks and chance where a program touches them, also where the program swallows that", async () => {
    const touches: Readonly<Record<string, () => unknown>> = {
      "setTimeout": () => setTimeout(() => undefined, 1),
      "setInterval": () => setInterval(() => undefined, 1),
      "setImmediate": () => setImmediate(() => undefined),
      "Date.now": () => Date.now(),
      "new Date()": () => new Date(),
      "performance.now": () => performance.now(),
      "process.hrtime.bigint": () => process.hrtime.bigint(),
      "Math.random": () => Math.random(),
      "AbortSignal.timeout": () => AbortSignal.timeout(1),
      "crypto.randomUUID": () => randomUUID(),
    };
    for (const [name, touch] of Object.entries(touches)) {
      const world = new SimulatedWorld({ seed: 1 });
      world.start("a", async () => {
        try {
          touch();
        } catch {
          // as a program might
        }
      });
      await assert.rejects(world.run(10_000), (error: Error) => error instanceof NondeterminismError && error.message.startsWith(name), name);
    }
    assert.ok(Date.now() > 0 && new Date().getTime() > 0 && Math.random() >= 0, "they are there again afterwards");
  });

  it("lets a program use dates that say which", async () => {
    const world = new SimulatedWorld({ seed: 1 });
    let text = "";
    world.start("a", ({ clock }) => (text = new Date(clock.wallMs()).toISOString()));
    await world.run(5_000);
    assert.match(text, /^202[56]-/);
  });

  it("reports a rejection that nobody handles", async () => {
    const world = new SimulatedWorld({ seed: 1 });
    world.start("a", () => void Promise.reject(new Error("forgotten")));
    await world.run(5_000);
    assert.match(world.violations(["noInternalError"]).map((violation) => violation.message).join(), /forgotten/);
  });

  it("says so when what is waited for does not come about", async () => {
    const world = new SimulatedWorld({ seed: 9 });
    world.start("a");
    await assert.rejects(world.until(() => false, 5_000, "a miracle"), /a miracle did not come about within 5000 ms of simulated time \(seed 9\)/);
  });

  it("starts a node once at a time", async () => {
    const world = new SimulatedWorld({ seed: 1 });
    const node = world.start("a");
    assert.throws(() => world.start("a"), /a process of node a runs already/);
    node.kill();
    assert.equal(world.start("a").name, "a#2");
  });

  it("fails over to what was committed when the copy was taken", async () => {
    const world = new SimulatedWorld({ seed: 1 });
    const committed: string[] = [];
    let write: ((what: string) => Promise<void>) | undefined;
    world.start("a", ({ cluster }) =>
      cluster.election("work").lead(async (term) => {
        write = async (what) => await term.transaction((tx) => tx.onCommit(() => committed.push(what)));
        await new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true }));
      }),
    );
    await world.until(() => write !== undefined);
    await world.run(2_000);
    void write?.("kept");
    await world.run(1_000);
    const copy = world.store.copy();
    void write?.("lost");
    await world.run(1_000);
    world.store.failOver({ copy, told: true })();
    await world.run(20_000);
    assert.deepEqual(committed, ["kept", "lost"]);
    assert.deepEqual(world.store.rows.map((row) => row.lostMs !== undefined), [false, true]);
    assert.ok(world.leader("work") !== undefined);
    assert.deepEqual(world.violations(), []);
  });
});

describe("plans", () => {
  it("are the same for the same seed, and plain data", () => {
    for (const profile of PROFILE_NAMES) {
      const plan = drawPlan(5, profile);
      assert.deepEqual(plan, drawPlan(5, profile));
      assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
      assert.notDeepEqual(plan.faults, drawPlan(6, profile).faults);
      assert.ok(plan.faults.length > 5 && plan.faults.every(({ atMs }, index) => atMs >= (plan.faults[index - 1]?.atMs ?? 0)));
    }
  });

  it("hold every kind of fault that their profile is made of", () => {
    for (const profile of PROFILE_NAMES) {
      const drawn = new Set(Array.from({ length: 60 }, (_, seed) => drawPlan(seed, profile).faults.map(({ kind }) => kind)).flat());
      assert.deepEqual([...drawn].sort(), Object.keys(PROFILES[profile].faults).sort(), profile);
    }
    assert.deepEqual([...FAULT_KINDS].sort(), [...new Set([...Object.keys(PROFILES.swarm.faults), ...Object.keys(PROFILES.channel.faults), ...Object.keys(PROFILES.suspicion.faults)])].sort());
  });

  it("are of three to nine nodes, with two elections at the least", () => {
    const sizes = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const { nodes } = drawPlan(seed, "swarm");
      sizes.add(nodes.length);
      assert.ok((nodes[0]?.elections.length ?? 0) >= 2);
    }
    assert.deepEqual([...sizes].toSorted((a, b) => a - b), [3, 4, 5, 6, 7, 8, 9]);
  });
});

describe("shrinking", () => {
  const plan = drawPlan(11, "swarm");
  const has = (faults: readonly Fault[], kind: Fault["kind"]) => faults.some((fault) => fault.kind === kind);

  it("leaves what the failure needs, and nothing else", async () => {
    const [one, other] = [plan.faults[3], plan.faults.at(-2)].map((fault) => fault?.kind) as [Fault["kind"], Fault["kind"]];
    let asked = 0;
    const fails = async ({ faults, nodes }: Plan) => {
      asked += 1;
      return has(faults, one) && has(faults, other) && nodes.length >= 2;
    };
    const smallest = await shrinkPlan(plan, { fails, enough: () => false });
    assert.deepEqual([smallest.faults.length, smallest.nodes.length], [one === other ? 1 : 2, 2]);
    assert.deepEqual([smallest.work.returns, smallest.work.overstays, smallest.reader], [0, 0, false]);
    assert.ok(smallest.faultsUntilMs <= plan.faultsUntilMs && asked < 500, `${asked}`);
  });

  it("answers a plan that fails when it is told that it is enough", async () => {
    let left = 5;
    const smallest = await shrinkPlan(plan, { fails: async () => true, enough: () => left-- <= 0 });
    assert.ok(smallest.faults.length < plan.faults.length);
  });
});
