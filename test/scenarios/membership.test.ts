import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryProvider } from "../../src/store/memory/index.ts";
import { createCluster, TribuneError } from "../../src/index.ts";
import { operatorSession } from "../support/operator.ts";
import { World } from "../support/world.ts";
import type { Node } from "../support/world.ts";

/** Nodes' clocks and the store's are moved in steps, so that one may be ahead of another. */
const STEP_MS = 10;

describe("membership", () => {
  it("publishes a burst of joins in a few views, the further apart the larger the group is", async () => {
    const world = new World();
    const { engine } = world.store;
    const publish = engine.publishView.bind(engine);
    const views: { readonly atMs: number; readonly members: number }[] = [];
    engine.publishView = (group, input) => {
      const published = publish(group, input);
      if (published) views.push({ atMs: world.storeClock.monotonicMs(), members: input.view.members.length });
      return published;
    };
    const start = (n: number) => world.node(`n${n}`).cluster.start();
    await world.resolve(Promise.all(Array.from({ length: 50 }, (_, n) => start(n))));
    const joining: Promise<void>[] = [];
    for (let n = 50; n < 60; n++) {
      joining.push(start(n));
      await world.pass(STEP_MS);
    }
    await world.resolve(Promise.all(joining));
    assert.equal(views.at(-1)?.members, 60);
    for (const [index, { atMs }] of views.entries()) {
      const before = views[index - 1];
      if (before !== undefined) assert.ok(atMs - before.atMs >= before.members ** 2 / 100 - STEP_MS, `${atMs - before.atMs} ms after a view of ${before.members}`);
    }
  });

  it("tells each join and leave once, in order, with one list per number everywhere", async () => {
    const world = new World();
    const seen = new Map<string, string[]>();
    const lists = new Map<number, string>();
    for (const name of ["a", "b", "c"]) {
      const node = world.node(name);
      const log: string[] = [];
      seen.set(name, log);
      node.cluster.on("view", ({ view, joined, left }) => {
        log.push(`${view.version} +${joined.map((member) => member.node).join("")} -${left.map((member) => member.node).join("")}`);
        const list = view.members.map((member) => member.incarnation).join();
        assert.equal(lists.get(view.version) ?? list, list);
        lists.set(view.version, list);
        assert.equal(view.skipped, false);
      });
      await world.resolve(node.cluster.start());
    }
    await world.resolve((world.nodes[1] as Node).cluster.stop());
    await world.until(() => world.nodes.every(({ cluster }, index) => index === 1 || cluster.view.members.length === 2));
    assert.deepEqual(seen.get("a"), ["1 +a -", "2 +b -", "3 +c -", "4 + -b"]);
    assert.deepEqual(seen.get("c"), ["2 +ab -", "3 +c -", "4 + -b"], "a joiner sees the view that it comes into first");
  });

  it("the oldest member succeeds the coordinator, and everybody is told by a view", async () => {
    const world = new World();
    const [a, b, c] = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const told: string[] = [];
    c.cluster.on("coordinator", ({ coordinator, previous }) => told.push(`${previous?.node} ${coordinator?.node}`));
    a.kill();
    await world.until(() => c.cluster.view.coordinator?.node === "b", 15_000);
    assert.deepEqual(told, ["a b"]);
    await world.until(() => b.cluster.view.members.length === 2, 15_000);
  });

  it("a coordinator that comes to office again does not go by what it knew the last time", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const operator = await operatorSession(world.store, world.storeClock);
    const resign = async (node: Node) => {
      const token = node.cluster.election("coordinator").current?.token ?? 0;
      assert.equal(await world.resolve(operator.requestResign({ election: "coordinator", token }, { deadlineMs: 1_000 })), true);
    };
    await resign(a);
    await world.until(() => b.cluster.view.coordinator?.node === "b", 10_000);
    await world.start("c", "d");
    await world.pass(2_000); // a contends again by now
    const lists: string[] = [];
    b.cluster.on("view", ({ view }) => lists.push(view.members.map((member) => member.node).join("")));
    await resign(b);
    await world.until(() => b.cluster.view.coordinator?.node === "a", 10_000);
    await world.pass(3_000);
    assert.deepEqual(new Set(lists), new Set(["abcd"]));
  });

  it("metadata travels, is frozen, and is refused when it is not JSON or too large", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    await world.resolve(a.cluster.updateMetadata({ zone: "b", deep: { list: [1, null, "\u0000'\""] } }));
    await world.until(() => b.cluster.view.members[0]?.metadata["zone"] === "b");
    assert.deepEqual(b.cluster.view.members[0]?.metadata, { zone: "b", deep: { list: [1, null, "\u0000'\""] } });
    assert.throws(() => ((b.cluster.view.members as unknown as Array<{ metadata: { deep: { list: number[] } } }>)[0]!.metadata.deep.list[0] = 2));
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = cyclic;
    for (const bad of [{ n: 1n }, { f: () => 1 }, { u: undefined }, { d: new Date(0) }, { x: Number.NaN }, cyclic, { big: "x".repeat(17_000) }, JSON.parse('{"__proto__": {"a": 1}}'), [], null, "x"]) {
      await assert.rejects(a.cluster.updateMetadata(bad as Record<string, unknown>), { code: "INVALID_METADATA" });
    }
    assert.deepEqual(b.cluster.view.members[0]?.metadata["zone"], "b");
  });

  it("an outage of the store removes nobody", async () => {
    const world = new World();
    const nodes = (await world.start("a", "b", "c")) as [Node, Node, Node];
    const incarnations = nodes.map((node) => node.cluster.self.incarnation);
    for (const node of nodes) node.cut();
    await world.pass(30_000);
    for (const node of nodes) node.heal();
    await world.until(() => nodes.every((node) => node.log.includes("rejoined")), 20_000);
    await world.pass(15_000);
    assert.deepEqual(nodes.map((node) => node.cluster.self.incarnation), incarnations);
    assert.equal(new Set(nodes.map((node) => node.cluster.view.version)).size, 1);
  });

  it("a node that was declared dead comes back as another incarnation", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const before = b.cluster.self.incarnation;
    b.freeze();
    await world.until(() => a.cluster.view.members.length === 1, 15_000);
    const thawing = b.thaw();
    await world.until(() => b.log.includes("rejoined"), 15_000);
    await thawing;
    assert.notEqual(b.cluster.self.incarnation, before);
    await world.until(() => a.cluster.view.members.length === 2);
    assert.deepEqual(b.log.filter((event) => event !== "suspended"), ["lost", "rejoined"]);
  });

  it("who missed views gets the newest, marked, with the difference to what it had", async () => {
    const world = new World();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const marks: Array<[boolean, string]> = [];
    b.cluster.on("view", ({ view, joined, left }) => marks.push([view.skipped, `+${joined.map((m) => m.node).join("")} -${left.map((m) => m.node).join("")}`]));
    b.cut();
    const [c] = (await world.start("c")) as [Node];
    await world.resolve(c.cluster.stop());
    await world.start("d");
    b.heal();
    await world.until(() => marks.length > 0, 10_000);
    assert.deepEqual(marks[0], [true, "+d -"]);
    assert.equal(a.cluster.view.members.length, 3);
  });

  it("changes() begins with the present view and merges what a slow reader missed", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const changes = a.cluster.changes();
    const first = (await changes.next()).value;
    assert.deepEqual(first?.joined.map((member) => member.node), ["a"]);
    await world.start("b", "c");
    const second = (await world.resolve(changes.next())).value;
    assert.deepEqual([second?.joined.map((member) => member.node), second?.view.skipped], [["b", "c"], true]);
    const waiting = changes.next();
    await world.resolve(a.cluster.stop());
    assert.equal((await world.resolve(waiting)).done, true);
  });

  it("a second running node of the same name is refused, and the first one is not disturbed", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const version = a.cluster.view.version;
    const twin = world.node("a");
    await assert.rejects(world.resolve(twin.cluster.start(), 20_000), { code: "NODE_NAME_TAKEN" });
    assert.equal(a.cluster.view.version, version);
    assert.deepEqual(a.log, []);
  });

  it("a node whose namesake crashed waits until that one is dead, and joins", async () => {
    const world = new World();
    const [, b] = (await world.start("a", "b")) as [Node, Node];
    b.kill();
    const again = world.node("b");
    await world.resolve(again.cluster.start(), 20_000);
    assert.equal(again.cluster.self.node, "b");
    assert.equal(world.store.engine.readGroup("world")?.presence.filter((row) => row.node === "b").length, 2, "no other incarnation came and went meanwhile");
  });

  it("numbers go on growing over a failover that lost views", async () => {
    const world = new World();
    const [a] = (await world.start("a")) as [Node];
    const older = world.store.engine.snapshot();
    const [b] = (await world.start("b")) as [Node];
    const [c] = (await world.start("c")) as [Node];
    await world.pass(1_500); // so that each has told the store what it saw
    const before = c.cluster.view.version;
    world.store.engine.restore(older);
    world.store.changeEpoch("memory:replica:2");
    await world.until(() => [a, b, c].every((node) => node.cluster.view.version > before && node.cluster.view.members.length === 3), 30_000, "a newer view with all three");
  });
});

describe("a failover that lost a view which one member had seen", () => {
  it("gives its number to no other view, and all members come to see the same again", async () => {
    const world = new World();
    const lists = new Map<number, string>();
    const [a, b] = (await world.start("a", "b")) as [Node, Node];
    const nodes = [a, b];
    for (const node of nodes) {
      node.cluster.on("view", ({ view }) => {
        const list = view.members.map((member) => member.incarnation).join();
        assert.equal(lists.get(view.version) ?? list, list, `view ${view.version} has two lists`);
        lists.set(view.version, list);
      });
    }
    await world.pass(1_500);
    const older = world.store.engine.snapshot();
    const lost = world.node("lost");
    void lost.cluster.start().catch(() => undefined);
    await world.until(() => b.cluster.view.members.length === 3); // b has seen it, and has not told the store that it has
    lost.kill();
    world.store.engine.restore(older);
    world.store.changeEpoch("memory:replica:2");
    const [c] = (await world.start("c")) as [Node];
    await world.until(() => new Set([a, b, c].map((node) => node.cluster.view.members.map((member) => member.node).join(""))).size === 1, 20_000);
    assert.deepEqual(c.cluster.view.members.map((member) => member.node), ["a", "b", "c"]);
  });
});

describe("start", () => {
  it("tells every complaint about options at once", () => {
    assert.throws(
      () => createCluster({ group: "a/b", node: "", store: "mongodb://u:secret@h/d", leaseMs: 100, preset: "quick" as never, extra: 1 } as never),
      (error: unknown) => {
        const { code, message } = error as { code: string; message: string };
        assert.equal(code, "INVALID_OPTIONS");
        for (const part of [/group name/, /node name/, /no store for the scheme "mongodb"/, /leaseMs/, /preset/, /"extra"/]) assert.match(message, part);
        assert.doesNotMatch(message, /secret/);
        return true;
      },
    );
  });

  it("keeps the code of a single complaint", () => {
    assert.throws(() => createCluster({ group: "a'b", store: "memory:" }), { code: "INVALID_NAME" });
    assert.throws(() => createCluster({ group: "a", store: "postgre://h/d" }), { code: "UNKNOWN_STORE" });
    assert.throws(() => createCluster({ group: "a", store: "memory:", metadata: { x: 1n } }), { code: "INVALID_METADATA" });
    assert.throws(() => createCluster({ group: "a", store: "memory:", leaseMs: 1_999, beatMs: 1_000 }), { code: "INVALID_OPTIONS" });
  });

  it("gives up on a store that stays away, and has put everything away then", async () => {
    const world = new World();
    const node = world.node("a", { startTimeoutMs: 3_000 });
    node.cut();
    await assert.rejects(world.resolve(node.cluster.start(), 20_000), { code: "STORE_UNREACHABLE" });
    assert.equal(node.cluster.health().state, "stopped");
    await assert.rejects(node.cluster.start(), { code: "CLUSTER_STOPPED" });
  });

  it("gives up at once on what a person has to mend, also when only the view cannot be published", async () => {
    const world = new World();
    world.leaveFences();
    for (const broken of ["beat", "passFence", "publishView"] as const) {
      const node = world.node(`a-${broken}`, { group: broken });
      node.refuse(broken, new TribuneError("STORE_PERMISSION_DENIED", `no privilege for ${broken}`));
      await assert.rejects(world.resolve(node.cluster.start(), 5_000), { code: "STORE_PERMISSION_DENIED" });
    }
  });

  it("is not held up by a join that hangs when it is stopped", async () => {
    const world = new World();
    const node = world.node("a");
    node.refuse("join", "hang");
    const starting = assert.rejects(node.cluster.start(), { code: "CLUSTER_STOPPED" });
    await world.pass(100);
    const stopping = node.cluster.stop();
    let stopped = false;
    void stopping.then(() => (stopped = true));
    assert.ok((await world.until(() => stopped, 5_000)) <= 200);
    await starting;
  });

  it("can be aborted, and a stop may come at any time, twice", async () => {
    const world = new World();
    const node = world.node("a");
    node.cut();
    const abort = new AbortController();
    const starting = node.cluster.start({ signal: abort.signal });
    abort.abort();
    await assert.rejects(world.resolve(starting, 20_000), { code: "ABORTED" });
    await Promise.all([node.cluster.stop(), node.cluster.stop()]);
    const never = createCluster({ group: "g", store: new MemoryProvider() });
    assert.throws(() => never.view, { code: "CLUSTER_NOT_STARTED" });
    await never.stop();
  });

  it("refuses to join a group with other settings", async () => {
    const world = new World();
    await world.start("a");
    const session = await operatorSession(world.store, world.storeClock);
    const answer = await session.join({ incarnation: "x", node: "x", leaseMs: 4_000, metadata: "{}", settings: "protocol=2" }, { deadlineMs: 1_000 });
    assert.equal(answer.outcome, "settings-mismatch");
  });
});
