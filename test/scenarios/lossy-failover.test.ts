import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Term } from "../../src/election/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { SimulatedWorld } from "../../src/testing/simulation/world.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

type Held = Term<MemoryTransaction>;

let failovers = 0;

/** Another server answers, with what `older` has or with everything. */
function failOver(world: World, older?: ReturnType<World["store"]["engine"]["snapshot"]>): void {
  if (older !== undefined) world.store.engine.restore(older);
  world.store.changeEpoch(`memory:replica:${(failovers += 1)}`);
}

/** State and incarnation of each presence row that a node has had, the oldest first. */
function rowsOf(world: World, node: string): Array<readonly [string, string]> {
  return (world.store.engine.readGroup("world")?.presence ?? []).filter((row) => row.node === node).map((row) => [row.state, row.incarnation] as const);
}

/** Leads `e` on a node, and notes its terms. */
function lead(node: Node, terms: Held[]): void {
  void node.cluster.election("e").lead(async (term) => {
    terms.push(term);
    await new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve()));
  });
}

/** The incarnations of each view that a node is told of from now on. */
function listsOf(node: Node): string[][] {
  const lists: string[][] = [];
  node.cluster.on("view", ({ view }) => lists.push(view.members.map((member) => member.incarnation)));
  return lists;
}

describe("a member whose trust is unbroken when the store fails over", () => {
  it("beats again at once in the new epoch, and goes on as the same incarnation with the same term", async () => {
    const world = new World();
    const nodes = (await world.start("a", "b")) as [Node, Node];
    const terms: Held[] = [];
    lead(nodes[1], terms);
    await world.until(() => terms.length === 1);
    const incarnations = nodes.map((node) => node.cluster.self.incarnation);
    failOver(world);
    await world.until(() => nodes.every((node) => node.log.includes("recovered")), 200, "a confirmed beat");
    await world.pass(10_000);
    assert.deepEqual(nodes.map((node) => node.cluster.self.incarnation), incarnations);
    assert.deepEqual([terms.length, terms[0]?.mayAct()], [1, true]);
  });

  it("passes the fence again, where that was lost and its claim was not, and can write", async () => {
    const world = new World();
    const [, b] = (await world.start("a", "b")) as [Node, Node];
    world.leaveFences();
    const { engine } = world.store;
    let claimed: ReturnType<typeof engine.snapshot> | undefined;
    const claim = engine.claim.bind(engine);
    engine.claim = (group, input) => {
      const result = claim(group, input);
      if (result !== null) claimed = engine.snapshot();
      return result;
    };
    const terms: Held[] = [];
    lead(b, terms);
    await world.until(() => terms.length === 1);
    failOver(world, claimed);
    assert.equal(engine.fence("world", "e"), 0);
    await world.pass(3_000);
    const [term] = terms;
    assert.deepEqual([terms.length, term?.mayAct(), engine.fence("world", "e")], [1, true, term?.token]);
    await term?.transaction(() => undefined);
  });
});

describe("a member that has no trust left when it hears of a failover", () => {
  it("leaves, and comes back as another incarnation", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const before = b.cluster.self.incarnation;
    for (const node of [a, b]) node.cut(); // so that nobody declares it dead
    await world.pass(5_000);
    failOver(world);
    b.heal();
    await world.until(() => b.log.includes("rejoined"), 10_000, "a rejoin");
    assert.notEqual(b.cluster.self.incarnation, before);
    assert.deepEqual(rowsOf(world, "b"), [["dead", before], ["alive", b.cluster.self.incarnation]]);
  });

  it("does so too if it has joined and none of its beats was confirmed yet", async () => {
    const world = new World();
    await world.start("a");
    const node = world.node("b");
    node.answerLate("join", 300);
    const starting = node.cluster.start();
    await world.pass(100);
    failOver(world); // the join is in the store, its answer on the way
    await world.resolve(starting);
    assert.deepEqual(rowsOf(world, "b").map(([state]) => state), ["dead", "alive"]);
    assert.equal(world.store.engine.readGroup("world")?.presence.find((row) => row.node === "b")?.beat, 0, "no beat of the first one counted: others would have taken it for alive");
  });
});

describe("a failover that lost a join", () => {
  it("raises the generation by one, and brings the node back", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const older = world.store.engine.snapshot();
    const [b] = (await world.start("b")) as [Node];
    failOver(world, older);
    await world.until(() => [a, b].every((node) => node.cluster.view.version > 2 ** 32 && node.cluster.view.members.length === 2), 20_000, "a view of both in the next generation");
    assert.equal(world.store.engine.readGroup("world")?.generation, 2);
  });
});

describe("a failover that lost a join, and another one that brings it back", () => {
  it("lets whom others saw leave in between into no later view", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const without = world.store.engine.snapshot();
    const [c] = (await world.start("c")) as [Node];
    await world.until(() => [a, b].every((node) => node.cluster.view.members.length === 3), 15_000, "a view of all");
    const joined = c.cluster.self.incarnation;
    const withIt = world.store.engine.snapshot();
    c.cut();
    failOver(world, without);
    await world.until(() => [a, b].every((node) => node.cluster.view.members.length === 2), 2_000, "a view without it, while it is trusted");
    const lists = [listsOf(a), listsOf(b)];
    assert.ok(c.cluster.health().trustLeftMs > 0);
    failOver(world, withIt);
    c.heal();
    await world.until(() => lists.every((each) => each.at(-1)?.length === 3), 20_000, "a view of all");
    assert.notEqual(c.cluster.self.incarnation, joined);
    assert.ok(!lists.flat(2).includes(joined));
  });
});

describe("a failover that lost a death", () => {
  for (const [how, afterwards] of [["does not run any more", "kill"], ["runs on", "cut"]] as const) {
    it(`lets the dead into no later view where its process ${how}`, async () => {
      const world = new World();
      const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
      const dead = c.cluster.self.incarnation;
      await world.pass(1_500);
      const older = world.store.engine.snapshot();
      c[afterwards]();
      await world.until(() => [a, b].every((node) => node.cluster.view.members.length === 2), 15_000, "a view without it");
      const lists = [listsOf(a), listsOf(b)];
      failOver(world, older);
      c.heal();
      const members = afterwards === "kill" ? 2 : 3;
      await world.until(() => lists.every((each) => each.at(-1)?.length === members), 20_000, `a view of the ${members} that are alive`);
      await world.pass(10_000);
      assert.ok(!lists.flat(2).includes(dead), "it is seen in no view any more");
    });
  }

  it("does not hold up the first view for ever where nodes come and crash all the time", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    await world.pass(1_500);
    const lists = listsOf(a);
    a.deafen(); // it sees others only when it beats, when they have beaten themselves
    failOver(world, world.store.engine.snapshot());
    for (let n = 0; n < 30 && lists.length === 0; n++) {
      const node = world.node(`crashes-${n}`);
      void node.cluster.start().catch(() => undefined);
      await world.pass(700);
      node.kill();
    }
    assert.ok(lists.length > 0, "a view");
  });
});

describe("a group that the store has lost as a whole", () => {
  for (const [how, epochChanges] of [["its tables were emptied", false], ["a failover went back behind its creation", true]] as const) {
    it(`is made anew by a member, and nobody has a term of it while a former holder still believes: ${how}`, async () => {
      const world = new World();
      const [a, b] = (await world.start("a", "b")) as [Node, Node];
      const terms: Held[] = [];
      lead(a, terms);
      await world.until(() => terms.length === 1);
      const first = terms[0] as Held;
      const { version } = b.cluster.view;
      a.cut();
      lead(b, terms);
      world.store.engine.restore(new Map());
      if (epochChanges) failOver(world);
      await world.until(() => terms.length === 2, 30_000, "a term of the other one");
      assert.equal(first.mayAct(), false);
      assert.ok((terms[1] as Held).token > first.token);
      a.heal();
      await world.until(() => [a, b].every((node) => node.cluster.view.version > version && node.cluster.view.members.length === 2), 30_000, "a newer view of both");
    });
  }
});

describe("a join that is answered too late", () => {
  it("is not taken: the node leaves, and joins as another incarnation", async () => {
    const world = new World();
    await world.start("a");
    const node = world.node("late");
    node.answerLate("join", 3_900); // trust would have ended after 3.81 s, and somebody may have declared it dead since
    await world.resolve(node.cluster.start(), 30_000);
    const rows = rowsOf(world, "late");
    assert.deepEqual(rows.map(([state]) => state), ["dead", "alive"]);
    assert.equal(rows[1]?.[1], node.cluster.self.incarnation);
  });
});

describe("a holder whose machine sleeps", () => {
  it("has no term at its first step; its signal aborts within a quarter of a beat, not only with the next one", async () => {
    const world = new SimulatedWorld({ seed: 7 });
    const held: Held[] = [];
    const node = world.start("a", ({ cluster }) =>
      cluster.election("e").lead(async (each) => {
        held.push(each);
        await new Promise((resolve) => each.signal.addEventListener("abort", resolve));
      }),
    );
    await world.until(() => held.length === 1);
    const term = held[0] as Held;
    const beats = () => world.store.executed.get("beat") ?? 0;
    const before = beats();
    await world.until(() => beats() > before);
    await world.run(100); // a beat is almost a whole second away
    node.sleep();
    await world.run(60_000);
    node.resume();
    assert.equal(term.mayAct(), false);
    await world.run(node.cluster.timing.beatMs / 4 + 10);
    assert.equal(term.signal.aborted, true);
    assert.deepEqual(world.violations(), []);
  });
});
