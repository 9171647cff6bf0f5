import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ElectionOptions, Term } from "../../src/election/index.ts";
import { TribuneError } from "../../src/kernel/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { operatorSession } from "../support/operator.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

type Held = Term<MemoryTransaction>;

const DEADLINE = { deadlineMs: 1_000 };

/** Leads `e` on a node for as long as it may. */
function lead(node: Node, options?: ElectionOptions): void {
  void node.cluster.election("e", options).lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve())));
}

const rowOf = (world: World) => world.store.engine.readGroup("world")?.elections.find((row) => row.election === "e");
const holderOf = (world: World) => rowOf(world)?.holder?.node;

describe("a candidate", () => {
  it("contends also where the store neither takes its candidacy nor shows those of others, and says so", async () => {
    const world = new World();
    const [a, b] = [world.node("a"), world.node("b")];
    for (const operation of ["setCandidacy", "readCandidates"] as const) a.refuse(operation, new TribuneError("STORE_PERMISSION_DENIED", "no privilege on that table"));
    for (const node of [a, b]) await world.resolve(node.cluster.start(), 20_000);
    lead(b, { priority: 1 });
    await world.until(() => holderOf(world) === "b", 3_000);
    const codes: string[] = [];
    a.cluster.on("error", (error) => codes.push(error.code));
    lead(a);
    await world.pass(5_000);
    await world.resolve(b.cluster.stop());
    await world.until(() => holderOf(world) === "a", 3_000);
    await world.pass(10_000);
    assert.deepEqual(codes, ["STORE_PERMISSION_DENIED"]);
  });

  it("is told to the store again after a failover that has lost it", async () => {
    const world = new World();
    const [a] = (await world.start("a", "b")) as [Node, Node];
    lead(a);
    await world.until(() => holderOf(world) === "a", 3_000);
    await world.pass(2_000);
    const before = world.store.engine.snapshot();
    lead(world.nodes[1] as Node);
    await world.pass(2_000);
    world.store.engine.restore(before);
    world.store.changeEpoch("another");
    await world.pass(5_000);
    const session = await operatorSession(world.store, world.storeClock);
    assert.deepEqual((await session.readCandidates({ election: "e" }, DEADLINE)).map((each) => each.node), ["a", "b"]);
    await session.close();
  });

  it("of a higher priority leaves a term alone for its minimum, also where it has run for longer than that itself", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await world.pass(20_000);
    lead(a, { priority: 1, minimumTermMs: 8_000 });
    await world.until(() => holderOf(world) === "a", 3_000);
    await world.pass(3_000);
    lead(b, { priority: 5 });
    await world.pass(4_000);
    assert.equal(holderOf(world), "a");
    await world.until(() => holderOf(world) === "b", 6_000);
  });

  it("that comes while the row is kept for another one lets that one have it", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    await world.pass(5_000);
    lead(a);
    await world.until(() => holderOf(world) === "a", 3_000);
    lead(b);
    await world.pass(1_500);
    b.cut();
    const handingOver = a.cluster.election("e").transferTo("b").catch(() => undefined);
    await world.until(() => rowOf(world)?.reservation?.node === "b", 1_000);
    await world.pass(300);
    lead(c);
    await world.pass(1_000);
    assert.equal(holderOf(world), undefined, "kept for b, for two beats");
    await world.until(() => holderOf(world) !== undefined, 3_000);
    await world.resolve(handingOver);
  });

  it("goes on heeding hints after it has handed over", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    lead(a);
    await world.until(() => holderOf(world) === "a", 3_000);
    lead(b);
    await world.pass(1_500);
    for (let round = 0; round < 5; round += 1) {
      await world.resolve(a.cluster.election("e").transferTo("b"));
      await world.pass(5_130);
      await world.resolve(b.cluster.election("e").resign());
      const tookMs = await world.until(() => holderOf(world) === "a", 3_000);
      assert.ok(tookMs < 100, `${tookMs} ms`);
      await world.pass(2_000);
    }
  });
});

/** A term of `e` whose claim is written on node `a`, but not announced yet: an old fenced transaction holds the fence. `release` ends that. */
async function claimedNotAnnounced(world: World, a: Node, former: Node, contend: () => void): Promise<{ readonly release: () => void }> {
  const term: Held = await world.resolve(former.cluster.election("e").campaign());
  let release: () => void = () => undefined;
  term.transaction(() => new Promise<void>((resolve) => (release = resolve))).catch(() => undefined);
  await world.pass(100);
  contend();
  await world.pass(1_500);
  await world.resolve(term.resign());
  await world.until(() => holderOf(world) === a.cluster.node, 3_000);
  await world.pass(300);
  assert.equal(a.cluster.election("e").term, undefined, "claimed, and not announced");
  return { release };
}

describe("what is asked of a term between its claim and its beginning", () => {
  it("counts when it begins: it is resigned, for whoever is to have it", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const { release } = await claimedNotAnnounced(world, b, a, () => lead(b));
    lead(c);
    await world.pass(1_000);
    const handingOver = a.cluster.election("e").transferTo("c");
    await world.pass(500);
    release();
    await world.resolve(handingOver);
    assert.equal(holderOf(world), "c");
  });

  it("an unfit node gives the claim back", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    let fit = true;
    const { release } = await claimedNotAnnounced(world, b, a, () => lead(b, { eligible: () => fit, eligibleEveryMs: 200 }));
    fit = false;
    await world.pass(1_000);
    release();
    await world.pass(1_000);
    assert.equal(holderOf(world), undefined);
    fit = true;
    await world.until(() => holderOf(world) === "b", 10_000);
  });

  it("a group that has become too small leads nothing", async () => {
    const world = new World();
    const nodes = ["a", "b", "c"].map((name) => world.node(name, { minimumMembers: 3 })) as [Node, Node, Node];
    for (const node of nodes) await world.resolve(node.cluster.start(), 20_000);
    const [a, b, c] = nodes;
    const { release } = await claimedNotAnnounced(world, b, a, () => lead(b));
    await world.resolve(c.cluster.stop());
    await world.until(() => b.cluster.view.members.length === 2, 3_000);
    release();
    await world.pass(3_000);
    assert.equal(holderOf(world), undefined);
  });
});

describe("a term that was handed out", () => {
  it("goes to whom it was asked for, also where its owner resigns by the election", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const term = await world.resolve(a.cluster.election("e").campaign());
    term.signal.addEventListener("abort", () => void a.cluster.election("e").resign());
    lead(b);
    lead(c);
    await world.pass(1_500);
    await world.resolve(b.cluster.election("e").transferTo("c"));
    assert.equal(holderOf(world), "c");
    assert.ok(world.store.engine.readEvents("world", { after: 0, limit: 1_000 }).events.some((event) => event.type === "term-ended" && event.detail["for"] === "c"));
  });
});

describe("an eviction of a node that cannot hear of it", () => {
  it("keeps it away also where it is declared dead before it hears", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const codes: string[] = [];
    a.cluster.on("error", (error) => codes.push(error.code));
    a.cut();
    const session = await operatorSession(world.store, world.storeClock);
    assert.equal(await session.evict({ node: "a", by: "somebody", reason: "it is stuck" }, DEADLINE), true);
    await world.until(() => b.cluster.view.members.length === 1, 20_000);
    a.heal();
    await world.pass(20_000);
    assert.deepEqual([codes, a.cluster.health().state, b.cluster.view.members.map((member) => member.node)], [["EVICTED"], "stopped", ["b"]]);
    await session.close();
  });
});
