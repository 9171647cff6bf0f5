import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterOptions } from "../../src/cluster/index.ts";
import type { ElectionOptions, Term } from "../../src/election/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import type { ErrorCode } from "../../src/kernel/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { operatorSession } from "../support/operator.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

type Held = Term<MemoryTransaction>;

const DEADLINE = { deadlineMs: 1_000 };

/** Leads `e` on a node for as long as it may. */
function lead(node: Node, options?: ElectionOptions, terms: Held[] = []): Held[] {
  void node.cluster.election("e", options).lead((term) => {
    terms.push(term);
    return new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve()));
  });
  return terms;
}

/** Starts nodes one after the other, each with its own options, and lets each contend before the next one comes. */
async function group(...plans: { readonly name: string; readonly cluster?: Partial<ClusterOptions<MemoryTransaction>>; readonly election?: ElectionOptions; readonly contends?: boolean }[]): Promise<{ world: World; nodes: Node[] }> {
  const world = new World();
  const nodes: Node[] = [];
  for (const { name, cluster, election, contends = true } of plans) {
    const node = world.node(name, cluster);
    nodes.push(node);
    await world.resolve(node.cluster.start(), 20_000);
    if (contends) lead(node, election);
    await world.pass(1_500);
  }
  return { world, nodes };
}

const holderOf = (world: World) => world.store.engine.readGroup("world")?.elections.find((row) => row.election === "e")?.holder?.node;

async function refusal(world: World, work: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await world.resolve(work);
    return undefined;
  } catch (error) {
    assert.ok(isTribuneError(error), String(error));
    return error.code;
  }
}

describe("transferTo", () => {
  it("hands a term to the member that is named, also where others would be first", async () => {
    for (const to of ["b", "c"]) {
      const { world, nodes } = await group({ name: "a" }, { name: "b" }, { name: "c" });
      await world.resolve(nodes[0]?.cluster.election("e").transferTo(to) ?? assert.fail());
      assert.equal(holderOf(world), to);
    }
  });

  it("may be asked of any member: the holder hears of it, and gives its work the stop budget", async () => {
    const { world, nodes } = await group({ name: "a", contends: false }, { name: "b" }, { name: "c" });
    const [a, b] = nodes as [Node, Node];
    const { token } = b.cluster.election("e").term ?? assert.fail();
    await world.resolve(a.cluster.election("e").transferTo("c"));
    assert.equal(holderOf(world), "c");
    assert.ok((a.cluster.election("e").current?.token ?? 0) > token);
  });

  it("hands the coordinator over as well", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b" }, { name: "c" });
    await world.resolve(nodes[1]?.cluster.election("coordinator").transferTo("c") ?? assert.fail());
    await world.until(() => nodes.every((node) => node.cluster.view.coordinator?.node === "c"), 3_000);
  });

  it("refuses, with nothing done, whoever cannot have it", async () => {
    const { world, nodes } = await group(
      { name: "a" },
      { name: "idle", contends: false },
      { name: "watcher", cluster: { observer: true }, contends: false },
      { name: "unfit", election: { eligible: () => false } },
    );
    const election = nodes[0]?.cluster.election("e") ?? assert.fail();
    const token = election.term?.token;
    assert.equal(await refusal(world, election.transferTo("nobody")), "NODE_UNKNOWN");
    for (const node of ["idle", "watcher", "unfit", "a"]) assert.equal(await refusal(world, election.transferTo(node)), "NOT_ELIGIBLE", node);
    assert.equal(await refusal(world, election.transferTo("no such name")), "INVALID_NAME");
    assert.equal(await refusal(world, nodes[0]?.cluster.election("other").transferTo("idle") ?? assert.fail()), "NOT_HELD");
    assert.equal(election.term?.token, token);
  });

  it("falls back to an open race when the successor does not take it, and says so", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b" }, { name: "c" });
    const [a, b] = nodes as [Node, Node];
    b.cut(); // a member still, as far as anybody knows
    const handingOver = a.cluster.election("e").transferTo("b");
    handingOver.catch(() => undefined); // judged below
    await world.pass(1_500);
    assert.equal(holderOf(world), undefined, "kept for b, for two beats");
    assert.equal(await refusal(world, handingOver), "TRANSFER_FAILED");
    await world.until(() => ["a", "c"].includes(holderOf(world) ?? ""), 4_000);
  });
});

describe("priority", () => {
  it("takes over from a lower one after its minimum term, once", async () => {
    const { world, nodes } = await group({ name: "a", election: { priority: 1, minimumTermMs: 8_000 } }, { name: "b", election: { priority: 5, minimumTermMs: 8_000 } });
    assert.equal(holderOf(world), "a");
    await world.pass(4_000);
    assert.equal(holderOf(world), "a", "the minimum term is not over");
    await world.until(() => holderOf(world) === "b", 6_000);
    const { token } = nodes[1]?.cluster.election("e").term ?? assert.fail();
    await world.pass(60_000);
    assert.equal(nodes[1]?.cluster.election("e").term?.token, token, "leadership does not go to and fro");
  });

  it("is let first when the election is free", async () => {
    const { world, nodes } = await group({ name: "a", election: { priority: 9 } }, { name: "low" }, { name: "lower", election: { priority: -1 } }, { name: "high", election: { priority: 3 } });
    await world.resolve(nodes[0]?.cluster.election("e").resign() ?? assert.fail());
    await world.until(() => holderOf(world) !== undefined, 1_000);
    assert.equal(holderOf(world), "high");
  });
});

describe("a probe", () => {
  it("that fails twice makes a holder resign, in favour of the best of the others", async () => {
    let mounted = true;
    const { world } = await group({ name: "a", election: { eligible: () => mounted, eligibleEveryMs: 500, priority: 2 } }, { name: "b" }, { name: "c", election: { priority: 1 } });
    assert.equal(holderOf(world), "a");
    mounted = false;
    const tookMs = await world.until(() => holderOf(world) === "c", 3_000);
    assert.ok(tookMs > 490, "one failure is an accident");
    mounted = true;
    await world.until(() => holderOf(world) === "a", 40_000, "the higher priority, once it is fit again");
  });

  it("that fails once costs nothing", async () => {
    let asked = 0;
    const { world, nodes } = await group({ name: "a", election: { eligible: () => (asked += 1) !== 6, eligibleEveryMs: 500 } }, { name: "b" });
    const { token } = nodes[0]?.cluster.election("e").term ?? assert.fail();
    await world.until(() => asked > 12, 20_000);
    assert.equal(nodes[0]?.cluster.election("e").term?.token, token);
  });

  it("that hangs, throws or answers something else counts as no, and is told of once", async () => {
    const probes: (() => boolean)[] = [
      () => new Promise<boolean>(() => undefined) as unknown as boolean,
      () => {
        throw new Error("no mount");
      },
      () => "yes" as unknown as boolean,
    ];
    for (const [index, eligible] of probes.entries()) {
      const world = new World();
      const [a] = (await world.start("a")) as [Node];
      const errors: string[] = [];
      a.cluster.on("error", (error) => errors.push(error.code));
      const terms = lead(a, { eligible, eligibleEveryMs: 500, eligibleTimeoutMs: 300 });
      await world.pass(5_000);
      assert.deepEqual([terms.length, errors], [0, index === 2 ? [] : ["PROBE_FAILED"]]);
    }
  });

  it("is aborted, and asked no more, when nobody contends any longer", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const stop = new AbortController();
    let aborted = 0;
    const eligible = (signal: AbortSignal) => new Promise<boolean>((resolve) => signal.addEventListener("abort", () => resolve(((aborted += 1), false))));
    const leading = a.cluster.election("e", { eligible, eligibleEveryMs: 500, eligibleTimeoutMs: 60_000 }).lead(() => undefined, { signal: stop.signal });
    await world.pass(1_000);
    stop.abort();
    await world.resolve(leading);
    await world.pass(5_000);
    assert.equal(aborted, 1);
  });
});

describe("a pause", () => {
  it("lets a term go on and none begin, in the whole cluster, until it is resumed", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b" });
    const [a, b] = nodes as [Node, Node];
    await world.resolve(b.cluster.election("e").pause({ reason: "the table is being rebuilt" }));
    await world.pass(3_000);
    assert.equal(holderOf(world), "a");
    assert.deepEqual([a.cluster.election("e").current?.paused?.reason, a.cluster.election("e").current?.paused?.by], ["the table is being rebuilt", "b"]);
    await world.resolve(a.cluster.election("e").resign());
    await world.pass(10_000);
    assert.equal(holderOf(world), undefined);
    assert.equal(await refusal(world, a.cluster.election("e").transferTo("b")), "NOT_HELD");
    await world.resolve(a.cluster.election("e").resume());
    await world.until(() => holderOf(world) !== undefined, 2_000);
  });

  it("is refused twice, for the coordinator, and without a reason; a resumption of what runs is refused as well", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b" });
    const election = nodes[0]?.cluster.election("e") ?? assert.fail();
    await world.resolve(election.pause({ reason: "once" }));
    assert.equal(await refusal(world, election.pause({ reason: "twice" })), "ELECTION_PAUSED");
    assert.equal(await refusal(world, election.transferTo("b")), "ELECTION_PAUSED");
    await world.resolve(election.resume());
    assert.equal(await refusal(world, election.resume()), "NOT_PAUSED");
    assert.equal(await refusal(world, nodes[0]?.cluster.election("coordinator").pause({ reason: "x" }) ?? assert.fail()), "ELECTION_RESERVED");
    for (const reason of ["", " ", "x".repeat(501), undefined as unknown as string]) assert.equal(await refusal(world, election.pause({ reason })), "INVALID_OPTIONS");
  });
});

describe("an observer", () => {
  it("is a member that everybody sees, never coordinates, and is refused to lead", async () => {
    const world = new World();
    const watcher = world.node("watcher", { observer: true });
    const starting = watcher.cluster.start();
    const a = world.node("a");
    await world.resolve(Promise.all([starting, a.cluster.start()]), 20_000);
    assert.deepEqual(a.cluster.view.members.filter((member) => member.observer).map((member) => member.node), ["watcher"]);
    assert.equal(a.cluster.view.members.length, 2);
    assert.equal(await refusal(world, watcher.cluster.election("e").lead(() => undefined)), "NOT_ELIGIBLE");
    await world.resolve(a.cluster.stop());
    await world.pass(10_000);
    assert.equal(world.store.engine.readGroup("world")?.elections.find((row) => row.election === "coordinator")?.holder, null);
  });
});

describe("a minimum of members", () => {
  it("ends all terms when the group falls below it, observers not counted, and says so; they come back with the members", async () => {
    const few = { minimumMembers: 2 };
    const { world, nodes } = await group({ name: "a", cluster: few }, { name: "b", cluster: few }, { name: "watcher", cluster: { ...few, observer: true }, contends: false });
    const [a, b] = nodes as [Node, Node];
    await world.until(() => holderOf(world) === "a", 5_000);
    await world.resolve(b.cluster.stop());
    await world.until(() => holderOf(world) === undefined, 5_000);
    await world.pass(5_000);
    assert.deepEqual([holderOf(world), a.log.includes("degraded")], [undefined, true]);
    const again = world.node("b", few);
    await world.resolve(again.cluster.start(), 20_000);
    await world.until(() => holderOf(world) === "a", 5_000);
    assert.ok(a.log.includes("recovered"));
  });
});

describe("a maximum of elections", () => {
  it("spreads elections over the members, and lets a member take another one when it has given one up", async () => {
    const world = new World();
    const nodes = ["a", "b"].map((name) => world.node(name, { maxElections: 2 }));
    for (const node of nodes) await world.resolve(node.cluster.start(), 20_000);
    const names = ["e1", "e2", "e3", "e4", "e5"];
    for (const node of nodes) for (const name of names) void node.cluster.election(name).lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve())));
    const held = (node: Node) => names.filter((name) => node.cluster.election(name).term !== undefined);
    await world.until(() => nodes.every((node) => held(node).length === 2), 10_000);
    await world.pass(10_000);
    assert.deepEqual(nodes.map((node) => held(node).length), [2, 2]);
    const [a] = nodes as [Node];
    const idle = names.find((name) => nodes.every((node) => node.cluster.election(name).term === undefined)) ?? assert.fail();
    await world.resolve(a.cluster.election(held(a)[0] ?? "").resign());
    await world.until(() => nodes.some((node) => node.cluster.election(idle).term !== undefined), 5_000);
  });
});

describe("options of an election", () => {
  it("may be given after somebody has looked at it, once, and before this node contends", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    assert.equal(a.cluster.election("e").current, null);
    const election = a.cluster.election("e", { priority: 3 });
    assert.equal(election, a.cluster.election("e"));
    assert.throws(() => a.cluster.election("e", { priority: 4 }), { code: "INVALID_OPTIONS" });
    assert.throws(() => a.cluster.election("f", { priority: 0.5 }), { code: "INVALID_OPTIONS" });
    lead(a);
    await world.until(() => holderOf(world) === "a", 3_000);
    assert.equal(world.store.engine.readGroup("world")?.elections.find((row) => row.election === "e")?.priority, 3);
    void a.cluster.election("late").lead(() => undefined);
    assert.throws(() => a.cluster.election("late", { priority: 1 }), { code: "INVALID_OPTIONS", message: /too late/ });
  });
});

describe("succession", () => {
  it("goes by the order that the members agree on", async () => {
    const succession: ClusterOptions["succession"] = (members) => members.toSorted((x, y) => Number(y.metadata["rank"]) - Number(x.metadata["rank"]));
    const { world, nodes } = await group(...[1, 2, 3].map((rank) => ({ name: `n${rank}`, cluster: { succession, metadata: { rank } } })));
    await world.resolve(nodes[0]?.cluster.stop() ?? assert.fail());
    await world.until(() => nodes[1]?.cluster.view.coordinator?.node === "n3", 3_000);
  });

  it("goes by age where that order fails, and says so once for each time", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b", cluster: { succession: () => [] } }, { name: "c" });
    await world.resolve(nodes[0]?.cluster.stop() ?? assert.fail());
    await world.until(() => nodes[2]?.cluster.view.coordinator?.node === "b", 3_000);
    assert.ok(nodes[1]?.log.includes("error"));
  });

  it("is asked for when somebody is to be succeeded or comes, and not at each beat", async () => {
    let asked = 0;
    const succession: ClusterOptions["succession"] = (members) => ((asked += 1), members);
    const { world } = await group({ name: "a", cluster: { succession } }, { name: "b", cluster: { succession } }, { name: "c", cluster: { succession } });
    await world.pass(3_000);
    const before = asked;
    await world.pass(20_000);
    assert.equal(asked, before);
  });
});

describe("an eviction", () => {
  it("ends a node's terms and makes it leave by itself; it does not come back before it is started again", async () => {
    const { world, nodes } = await group({ name: "a" }, { name: "b" });
    const [a, b] = nodes as [Node, Node];
    const codes: string[] = [];
    a.cluster.on("error", (error) => codes.push(error.code));
    const session = await operatorSession(world.store, world.storeClock);
    assert.equal(await session.evict({ node: "a", by: "somebody", reason: "it is to be repaired" }, DEADLINE), true);
    await world.until(() => holderOf(world) === "b" && b.cluster.view.members.length === 1, 5_000);
    await world.pass(20_000);
    assert.deepEqual([codes, a.cluster.health().state, b.cluster.view.members.map((member) => member.node)], [["EVICTED"], "stopped", ["b"]]);
    const again = world.node("a");
    await world.resolve(again.cluster.start(), 20_000);
    assert.equal(b.cluster.view.members.length, 2);
  });
});
