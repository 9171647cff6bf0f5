import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Term } from "../../src/election/index.ts";
import { isTribuneError, TribuneError } from "../../src/kernel/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { operatorSession } from "../support/operator.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

type Held = Term<MemoryTransaction>;
const untilAborted = (term: Held) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve()));

async function two(): Promise<{ world: World; a: Node; b: Node }> {
  const world = new World();
  const [a, b] = (await world.start("a", "b")) as [Node, Node];
  return { world, a, b };
}

describe("lead", () => {
  it("resigns and contends again after a callback that returns early, with growing pauses", async () => {
    const { world, a } = await two();
    const began: number[] = [];
    void a.cluster.election("e").lead(() => void began.push(world.storeClock.monotonicMs()));
    await world.until(() => began.length === 6, 20_000);
    const pauses = began.slice(1).map((at, index) => at - (began[index] ?? 0));
    assert.ok((pauses.at(-1) ?? 0) > (pauses[0] ?? 0), pauses.join(", "));
  });

  it("reports a callback that throws, and goes on", async () => {
    const { world, a } = await two();
    const errors: string[] = [];
    a.cluster.on("error", (error) => errors.push(error.code));
    let runs = 0;
    void a.cluster.election("e").lead(() => {
      runs += 1;
      throw new Error("broken");
    });
    await world.until(() => runs === 3);
    assert.deepEqual(new Set(errors), new Set(["LEADER_FAILED"]));
  });

  it("does not report work that ended because it was told to", async () => {
    const { world, a } = await two();
    let term: Held | undefined;
    void a.cluster.election("e").lead(async (held) => {
      term = held;
      await untilAborted(held);
      held.signal.throwIfAborted();
    });
    await world.until(() => term !== undefined);
    await world.resolve(a.cluster.election("e").resign());
    assert.deepEqual(a.log.filter((event) => event === "error"), []);
  });

  it("never starts the next callback before the last has settled, also when that overruns", async () => {
    const { world, a } = await two();
    let running = 0;
    let runs = 0;
    let release: (() => void) | undefined;
    const overruns: number[] = [];
    const election = a.cluster.election("e");
    election.on("overrun", ({ budgetMs }) => overruns.push(budgetMs));
    void election.lead(async () => {
      runs += 1;
      running += 1;
      assert.equal(running, 1);
      await new Promise<void>((resolve) => (release = resolve));
      running -= 1;
    });
    await world.until(() => runs === 1);
    await world.resolve(election.resign());
    assert.deepEqual(overruns, [a.cluster.timing.stopBudgetMs]);
    await world.pass(10_000);
    assert.equal(runs, 1, "the work of the first term still runs");
    release?.();
    await world.until(() => runs === 2);
  });

  it("resolves when its signal aborts, having resigned", async () => {
    const { world, a, b } = await two();
    const stop = new AbortController();
    let term: Held | undefined;
    const leading = a.cluster.election("e").lead((held) => ((term = held), untilAborted(held)), { signal: stop.signal });
    await world.until(() => term !== undefined);
    stop.abort();
    await world.resolve(leading);
    assert.equal(term?.mayAct(), false);
    assert.ok(isTribuneError(term?.signal.reason, "TERM_RESIGNED"));
    await world.until(() => b.cluster.election("e").current?.holder === null);
  });

  it("refuses a second contender of the same node, and the reserved name", async () => {
    const { world, a } = await two();
    const first = a.cluster.election("e").campaign();
    await assert.rejects(a.cluster.election("e").campaign(), { code: "ELECTION_BUSY" });
    await world.resolve(first);
    await assert.rejects(a.cluster.election("e").campaign(), { code: "ELECTION_BUSY" });
    assert.throws(() => void a.cluster.election("coordinator").lead(() => undefined), { code: "ELECTION_RESERVED" });
    await assert.rejects(a.cluster.election("other").resign(), { code: "NOT_HELD" });
  });
});

describe("a term", () => {
  it("survives an outage that is shorter than its trust", async () => {
    const { world, a } = await two();
    const term = await world.resolve(a.cluster.election("e").campaign());
    a.cut();
    await world.pass(1_500);
    assert.equal(term.mayAct(), true);
    a.heal();
    await world.until(() => a.log.includes("recovered"));
    await world.pass(5_000);
    assert.equal(term.mayAct(), true);
    assert.deepEqual(a.log, ["suspended", "recovered"]);
  });

  it("is told to stop one stop budget before its trust ends, and ends with it", async () => {
    const { world, a } = await two();
    const term = await world.resolve(a.cluster.election("e").campaign());
    a.cut();
    await world.until(() => term.signal.aborted, 10_000);
    assert.equal(term.mayAct(), true, "there is a stop budget to use");
    assert.ok(term.trustLeftMs() > a.cluster.timing.stopBudgetMs - 50 && term.trustLeftMs() <= a.cluster.timing.stopBudgetMs);
    await world.until(() => !term.mayAct(), 2_000);
    assert.ok(a.log.includes("lost"));
    a.heal();
    await world.until(() => a.log.includes("rejoined"), 10_000);
    assert.equal(term.mayAct(), false, "a lapsed term never comes back");
  });

  it("of a node that is cut off goes to another one after the trust, never before", async () => {
    const { world, a, b } = await two();
    const first = await world.resolve(a.cluster.election("e").campaign());
    a.cut();
    const next = b.cluster.election("e").campaign();
    let second: Held | undefined;
    void next.then((term) => (second = term));
    await world.until(() => {
      assert.ok(second === undefined || !first.mayAct(), "two believers");
      return second !== undefined;
    }, 10_000);
    assert.ok((second as Held).token > first.token);
  });

  it("ends when a machine that slept wakes, although the monotonic clock stood still", async () => {
    const { world, a } = await two();
    const term = await world.resolve(a.cluster.election("e").campaign());
    a.clock.jump(6_000, { asleep: true });
    assert.equal(term.mayAct(), false);
  });

  it("is resigned at an operator's wish", async () => {
    const { world, a, b } = await two();
    const terms: Held[] = [];
    void a.cluster.election("e").lead((term) => (terms.push(term), untilAborted(term)));
    await world.until(() => terms.length === 1);
    void b.cluster.election("e").lead((term) => (terms.push(term), untilAborted(term)));
    await world.pass(1_500);
    const session = await operatorSession(world.store, b.clock);
    assert.equal(await session.requestResign({ election: "e", token: (terms[0] as Held).token }, { deadlineMs: 1_000 }), true);
    assert.ok((await world.until(() => terms.length === 2, 1_000, "a hand-over")) <= 50, "the holder hears of it by a hint");
    assert.equal(terms[1]?.node, "b");
    assert.deepEqual(a.log, []);
  });

  it("lives through a failover that kept it, and passes the fence again", async () => {
    const { world, a } = await two();
    const term = await world.resolve(a.cluster.election("e").campaign());
    world.store.changeEpoch("memory:other:2");
    await world.until(() => a.log.includes("recovered"));
    await world.pass(2_000);
    assert.equal(term.mayAct(), true);
    let committed = false;
    await world.resolve(term.transaction((tx) => tx.onCommit(() => (committed = true))));
    assert.equal(committed, true);
  });

  it("ends with the first reply after a failover that lost it; the next token is greater all the same", async () => {
    const { world, a, b } = await two();
    const before = world.store.engine.snapshot();
    const term = await world.resolve(a.cluster.election("e").campaign());
    world.store.engine.restore(before);
    world.store.changeEpoch("memory:other:2");
    await world.until(() => !term.mayAct(), 2_000);
    const next = await world.resolve(b.cluster.election("e").campaign(), 20_000);
    assert.ok(next.token > term.token, `${next.token} after ${term.token}`);
  });
});

describe("a contender", () => {
  it("begins nothing when only the stop budget is left of its trust", async () => {
    const { world, a, b } = await two();
    const first = await world.resolve(a.cluster.election("e").campaign());
    let second: Held | undefined;
    void b.cluster.election("e").campaign().then((term) => (second = term));
    await world.pass(2_000);
    b.cut();
    await world.pass(3_000);
    await world.resolve(first.resign());
    await world.pass(5_000);
    assert.equal(second, undefined);
    b.heal();
    await world.until(() => second !== undefined, 5_000);
  });
});

describe("what a cold review found", () => {
  it("a node that was declared dead contends again for what it held, without hurry", async () => {
    const { world, b } = await two();
    const terms: Held[] = [];
    void b.cluster.election("e").lead((term) => (terms.push(term), untilAborted(term)));
    await world.until(() => terms.length === 1);
    b.freeze();
    await world.pass(10_000);
    await b.thaw();
    await world.until(() => terms.length === 2, 20_000, "a second term");
  });

  it("no term is announced to a candidate that has gone in the same instant", async () => {
    const { world, a } = await two();
    for (let hops = 0; hops < 12; hops++) {
      const election = a.cluster.election(`e${hops}`);
      const abort = new AbortController();
      let work = 0;
      election.on("term", async () => {
        for (let hop = 0; hop < hops; hop++) await Promise.resolve();
        abort.abort();
      });
      const leading = election.lead((term) => ((work += 1), term.signal.aborted ? undefined : untilAborted(term)), { signal: abort.signal });
      await world.resolve(leading, 20_000);
      assert.equal(election.term, undefined);
      assert.ok(work <= 1);
    }
  });

  it("a fence that cannot be passed is tried ever less often, and is told", async () => {
    const world = new World();
    await world.start("a");
    const node = world.node("b");
    await world.resolve(node.cluster.start(), 20_000);
    const errors: string[] = [];
    node.cluster.on("error", (error) => errors.push(error.code));
    world.leaveFences();
    node.refuse("passFence", new TribuneError("STORE_PERMISSION_DENIED", "no privilege"));
    node.cut();
    node.heal();
    await world.until(() => node.log.includes("recovered"), 10_000);
    const before = world.store.engine.readGroup("world")?.terms.length ?? 0;
    void node.cluster.election("e").lead(() => undefined);
    await world.pass(20_000);
    const claims = (world.store.engine.readGroup("world")?.terms.length ?? 0) - before;
    assert.ok(claims > 1 && claims < 30, `${claims} claims in 20 s`);
    assert.deepEqual(errors, ["STORE_PERMISSION_DENIED"]);
  });

  it("a second lead of one node is refused also while the work of the first overruns", async () => {
    const { world, a } = await two();
    const election = a.cluster.election("e");
    let runs = 0;
    void election.lead(() => ((runs += 1), new Promise(() => undefined)));
    await world.until(() => runs === 1);
    await world.resolve(election.resign());
    await assert.rejects(election.lead(() => undefined), { code: "ELECTION_BUSY" });
  });

  it("a logger that throws stops nothing", async () => {
    const world = new World();
    const broken = () => {
      throw new Error("logger");
    };
    const node = world.node("a", { logger: { debug: broken, info: broken, warn: broken, error: broken } });
    await world.resolve(node.cluster.start());
    node.cut();
    await world.pass(1_000);
    node.heal();
    await world.until(() => node.log.includes("recovered"), 10_000);
  });

  it("an election that is named after the stop rejects at once", async () => {
    const { world, a } = await two();
    await world.resolve(a.cluster.stop());
    await assert.rejects(a.cluster.election("late").campaign(), { code: "CLUSTER_STOPPED" });
  });

  it("a stop right after a blip still resigns and leaves", async () => {
    const { world, a, b } = await two();
    await world.resolve(a.cluster.election("e").campaign());
    a.cut();
    a.heal();
    await world.pass(10);
    void a.cluster.stop();
    const tookMs = await world.until(() => b.cluster.election("e").current?.holder === null, 5_000);
    assert.ok(tookMs <= 1_500, `${tookMs} ms`);
  });

  it("a lease of two beats fails over within the promised time", async () => {
    for (let seed = 0; seed < 5; seed++) {
      const world = new World();
      const timing = { leaseMs: 4_000, beatMs: 2_000, stopBudgetMs: 500 };
      const a = world.node(`a${seed}`, timing);
      await world.resolve(a.cluster.start());
      const b = world.node(`b${seed}`, timing);
      await world.resolve(b.cluster.start());
      await world.resolve(a.cluster.election("e").campaign());
      let won = false;
      void b.cluster.election("e").campaign().then(() => (won = true));
      await world.pass(3_000 + seed * 371);
      a.kill();
      assert.ok((await world.until(() => won, 30_000)) <= a.cluster.worstFailoverMs + 50);
    }
  });
});

describe("a group that is deleted under its members", () => {
  it("is made again, every term has ended, and tokens go on growing", async () => {
    const { world, a, b } = await two();
    const term = await world.resolve(a.cluster.election("e").campaign());
    world.store.engine.restore(new Map());
    await world.until(() => !term.mayAct(), 3_000);
    await world.until(() => a.log.includes("rejoined") && b.log.includes("rejoined"), 20_000);
    const next = await world.resolve(b.cluster.election("e").campaign());
    assert.ok(next.token > term.token);
  });
});
