import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import type { Clock } from "../../src/kernel/index.ts";
import { MemoryNetwork } from "../../src/transport/index.ts";
import type { StartOptions } from "../../src/testing/simulation/world.ts";
import { SimulatedWorld } from "../../src/testing/simulation/world.ts";

const GRACE_MS = 100;
const LEASE_MS = 4_000;

/** Three nodes that contend for `work`; the first one holds it, and coordinates. */
async function three(options: (name: string, world: SimulatedWorld) => StartOptions = () => ({}), seed = 1): Promise<SimulatedWorld> {
  const world = new SimulatedWorld({ seed });
  for (const name of ["a", "b", "c"]) {
    world.start(name, ({ cluster }) => void cluster.election("work").lead((term) => new Promise((resolve) => term.signal.addEventListener("abort", resolve))), options(name, world));
    await world.until(() => (world.nodes.get(name)?.cluster.health().state ?? "") === "member");
    await world.run(1_000);
  }
  assert.equal(world.leader("work")?.node, "a");
  return world;
}

function deaths(world: SimulatedWorld): { readonly dead: string; readonly byEvidence: boolean }[] {
  return world.history().events.flatMap((event) => (event.kind === "declared-dead" ? [{ dead: event.dead, byEvidence: event.proof !== undefined }] : []));
}

/** Until another node than `former` leads, in milliseconds. */
async function succession(world: SimulatedWorld, former: string): Promise<number> {
  const beganMs = world.nowMs;
  await world.until(() => ![undefined, former].includes(world.leader("work")?.node));
  return world.nowMs - beganMs;
}

describe("a holder whose process dies", () => {
  it("is succeeded when its evidence has been free for the grace, and no sooner", async () => {
    for (const seed of [1, 2, 3, 4]) {
      const world = await three(undefined, seed);
      world.leader("work")?.kill();
      const tookMs = await succession(world, "a");
      assert.ok(tookMs >= GRACE_MS && tookMs < GRACE_MS + 60, `${tookMs} ms`);
      assert.deepEqual(deaths(world).map((death) => death.byEvidence), [true]);
      assert.deepEqual(world.violations(), []);
    }
  });

  it("is succeeded at once also where it does not coordinate: the coordinator attends whoever leads something", async () => {
    const world = await three();
    const { cluster } = world.nodes.get("a") ?? assert.fail();
    void cluster.election("work").transferTo("c");
    await world.until(() => world.leader("work")?.node === "c");
    await world.run(3_000);
    world.nodes.get("c")?.kill();
    const tookMs = await succession(world, "c");
    assert.ok(tookMs >= GRACE_MS && tookMs < GRACE_MS + 60, `${tookMs} ms`);
  });

  it("is waited for by its lease where crashDetection is lease, and where a pooler stands between", async () => {
    for (const options of [{ crashDetection: "lease" }, { pooled: true }] as const) {
      const world = await three(() => options);
      assert.equal(world.nodes.get("b")?.cluster.health().crashDetection.inForce, "lease");
      world.leader("work")?.kill();
      const tookMs = await succession(world, "a");
      assert.ok(tookMs > LEASE_MS - 1_200, `${tookMs} ms`);
      assert.deepEqual(deaths(world).map((death) => death.byEvidence), [false]);
    }
  });
});

/** Three nodes with a channel among them, connected for long enough that a broken connection is dialled again at once. */
async function threeWithChannel(): Promise<{ readonly world: SimulatedWorld; readonly network: MemoryNetwork }> {
  let network: MemoryNetwork | undefined;
  const world = await three((_name, { schedule }) => {
    const clock: Clock = { monotonicMs: () => schedule.nowMs, wallMs: () => schedule.nowMs, setTimer: (ms, callback) => schedule.in(ms, callback) };
    network ??= new MemoryNetwork({ clock, random: seededRandom(7) });
    return { channel: { transport: network.transport() } };
  });
  await world.run(10_000);
  assert.ok(network !== undefined);
  return { world, network };
}

describe("a holder whose process dies, with a channel that says so too", () => {
  it("is succeeded without the grace", async () => {
    const { world, network } = await threeWithChannel();
    world.leader("work")?.kill();
    network.crash("a");
    const tookMs = await succession(world, "a");
    assert.ok(tookMs < GRACE_MS / 2, `${tookMs} ms`);
    assert.deepEqual(deaths(world).map((death) => death.byEvidence), [true]);
    // That evidence was free for the grace is asked of every death by a checker that knows of no channel.
    assert.deepEqual(world.violations().filter(({ check }) => check !== "deathNeedsProof"), []);
  });

  it("is succeeded after the grace where its connections broke, and it may still listen", async () => {
    const { world, network } = await threeWithChannel();
    world.leader("work")?.kill();
    for (const other of ["b", "c"]) network.bar("a", other);
    for (const other of ["b", "c"]) network.bar(other, "a");
    const tookMs = await succession(world, "a");
    assert.ok(tookMs >= GRACE_MS && tookMs < GRACE_MS + 60, `${tookMs} ms`);
  });
});

describe("a holder that lives, and that nobody reaches over the channel any more", () => {
  it("goes on leading: the channel declares nobody dead", async () => {
    const { world, network } = await threeWithChannel();
    network.crash("a");
    await world.run(3 * LEASE_MS);
    assert.equal(world.leader("work")?.node, "a");
    assert.deepEqual(deaths(world), []);
  });

  it("is given the grace when its evidence is lost long after that", async () => {
    const { world, network } = await threeWithChannel();
    network.crash("a");
    await world.run(3_000);
    world.leader("work")?.kill();
    const tookMs = await succession(world, "a");
    assert.ok(tookMs >= GRACE_MS && tookMs < GRACE_MS + 60, `${tookMs} ms`);
  });
});

describe("a holder that lives", () => {
  it("is not succeeded while it stands still before its trust has ended", async () => {
    const world = await three();
    world.leader("work")?.freeze();
    const tookMs = await succession(world, "a");
    assert.ok(tookMs > LEASE_MS - 1_200, `${tookMs} ms`);
    world.nodes.get("a")?.resume();
    await world.run(1_000);
    assert.deepEqual(world.violations(), []);
  });

  it("gives its term up at once when its session is ended from outside, and is told why", async () => {
    const world = await three();
    const a = world.nodes.get("a") ?? assert.fail();
    const lost: string[] = [];
    a.cluster.on("lost", ({ reason }) => lost.push(reason.code));
    world.store.endConnections(a.name);
    await world.until(() => lost.length === 1, 20);
    assert.equal(world.leader("work"), undefined);
    await world.until(() => world.leader("work") !== undefined, 3_000);
    assert.deepEqual(world.violations(), []);
  });

  it("has its stop budget when the store hangs, as without evidence: a beat that is waited for does not end the session before", async () => {
    for (const crashDetection of ["evidence", "lease"] as const) {
      const world = await three(() => ({ crashDetection }));
      const a = world.nodes.get("a") ?? assert.fail();
      const { term } = a.cluster.election("work");
      world.store.hold();
      await world.until(() => term?.signal.aborted === true);
      const left = () => a.cluster.health().trustLeftMs;
      const leftMs = left();
      assert.ok(leftMs > 900, `${leftMs} ms are left`);
      await world.run(leftMs - 20);
      assert.ok(left() > 0);
      await world.until(() => left() === 0, 100);
      assert.deepEqual(world.violations(), []);
    }
  });

  it("survives a restart of the server: everybody's evidence went with it, and proves nothing", async () => {
    const world = await three();
    const incarnations = [...world.nodes.values()].map((node) => node.incarnation());
    const back = world.store.stop("refuses");
    await world.run(400);
    back();
    await world.run(10_000);
    assert.deepEqual(deaths(world), []);
    assert.deepEqual([...world.nodes.values()].map((node) => node.incarnation()), incarnations);
    assert.notEqual(world.leader("work"), undefined);
    assert.deepEqual(world.violations(), []);
  });

  it("is waited for where the server restarts while it is cut off: it cannot know that its evidence is free", async () => {
    // Those behind a pooler keep their connection over the restart, to the pooler: that it is the same one proves nothing.
    for (const pooled of [false, true]) {
      const world = await three((name) => ({ pooled: pooled && name !== "a" }));
      world.cut("a");
      const back = world.store.stop("refuses"); // the others hear of it
      await world.run(200);
      back();
      const tookMs = await succession(world, "a");
      assert.ok(tookMs > LEASE_MS - 1_500, `${tookMs} ms`);
      assert.ok(deaths(world).every((death) => !death.byEvidence));
      assert.deepEqual(world.violations(), []);
    }
  });

  it("keeps its place as a member that leads nothing, if its connection comes back within a beat", async () => {
    const world = await three();
    const c = world.nodes.get("c") ?? assert.fail();
    const incarnation = c.incarnation();
    world.store.endConnections(c.name);
    await world.run(10_000);
    assert.deepEqual([c.incarnation(), deaths(world)], [incarnation, []]);
  });
});

describe("a node that observes", () => {
  it("does not believe evidence that it has never seen held itself: it has just come, and waits the lease", async () => {
    const world = await three();
    // Nobody is left who has watched the holder.
    for (const name of ["b", "c"]) world.nodes.get(name)?.kill();
    world.nodes.get("a")?.kill();
    world.start("d", ({ cluster }) => void cluster.election("work").lead((term) => new Promise((resolve) => term.signal.addEventListener("abort", resolve))));
    const tookMs = await succession(world, "a");
    assert.ok(tookMs > LEASE_MS - 1_200, `${tookMs} ms`);
    assert.ok(deaths(world).every((death) => !death.byEvidence));
  });
});
