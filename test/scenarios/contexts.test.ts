import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterOptions } from "../../src/cluster/index.ts";
import { createCluster } from "../../src/cluster/index.ts";
import type { Context } from "../../src/contexts/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { Call, StoreProvider, StoreSession, WriteDocumentInput } from "../../src/store/index.ts";
import { Messengers } from "../support/messengers.ts";

type Node = ReturnType<Messengers["node"]>;

const there = (node: Node, path: string): Context => {
  const context = node.contexts.get(path);
  assert.ok(context !== undefined, `${node.node} has no ${path}`);
  return context;
};

/** Nodes with contexts, one after the other. */
async function start(messengers: Messengers, names: readonly string[], contexts: ClusterOptions<MemoryTransaction>["contexts"] = true): Promise<Node[]> {
  const nodes = names.map((name) => messengers.node(name, { contexts }));
  for (const node of nodes) await messengers.during(node.start());
  await messengers.connected(...nodes);
  return nodes;
}

describe("contexts of a cluster", () => {
  it("are on every node, and on one that joins when its start resolves", async () => {
    const messengers = new Messengers(1);
    const [a, b] = (await start(messengers, ["a", "b"])) as [Node, Node];
    const config = await messengers.during(a.contexts.create("config"));
    config.set("limit", 3);
    assert.equal((await messengers.during(config.flush())).ok, true);
    assert.equal(there(b, "config").get("limit"), 3);
    assert.equal(await messengers.during(there(b, "config").set("owner", "b", { ifVersion: null })), true);
    const c = messengers.node("c", { contexts: true });
    await messengers.during(c.start());
    assert.deepEqual(there(c, "config").entries(), [["limit", 3], ["owner", "b"]]);
    await messengers.stop();
    await assert.rejects(config.flush().then(() => (config.set("limit", 4), config.flush())), { code: "CONTEXTS_AWAY" });
    assert.equal(there(a, "config").get("owner"), "b", "what was there can be read when it is over");
  });

  it("are what the group has when a node comes back as a new incarnation, and what it had that the group has not", async () => {
    const messengers = new Messengers(2);
    const [a, b, c] = (await start(messengers, ["a", "b", "c"])) as [Node, Node, Node];
    const config = await messengers.during(a.contexts.create("config"));
    config.set("limit", 1);
    config.set("gone", 1);
    await messengers.during(config.flush());
    const before = c.self.incarnation;
    let isBack = false;
    c.on("rejoined", () => void (isBack = true));
    await messengers.declareDead(before);
    await messengers.clock.advanceUntil(() => a.view.members.length === 2, 20_000, "it is gone");
    config.set("limit", 2);
    config.delete("gone");
    await messengers.during(config.flush());
    await messengers.clock.advanceUntil(() => isBack, 20_000, "it is back");
    await messengers.connected(a, b, c);
    await messengers.clock.advance(5_000);
    assert.notEqual(c.self.incarnation, before);
    assert.deepEqual(there(c, "config").entries(), [["limit", 2]]);
    there(c, "config").set("own", 1);
    assert.equal((await messengers.during(c.contexts.flush())).ok, true);
    assert.equal(there(b, "config").get("own"), 1);
    await messengers.stop();
  });

  it("come from the store when all nodes were restarted, where they are durable", async () => {
    const messengers = new Messengers(3);
    const [a, b] = (await start(messengers, ["a", "b"], { durable: true })) as [Node, Node];
    const config = await messengers.during(a.contexts.create("config"));
    config.set("limit", 3);
    await messengers.during(config.flush());
    await messengers.clock.advance(100); // not written yet: stopping does it
    for (const node of [a, b]) await messengers.during(node.stop());
    const [again, other] = (await start(messengers, ["a", "b"], { durable: true })) as [Node, Node];
    assert.deepEqual([there(again, "config").get("limit"), there(other, "config").get("limit")], [3, 3]);
    await messengers.stop();
  });

  it("are told as not kept by the event error, where the store takes nothing while the nodes stop, which ends in time all the same", async () => {
    const messengers = new Messengers(5);
    let isStuck = false;
    const session = (opened: StoreSession): StoreSession =>
      new Proxy(opened, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          if (name !== "writeDocument") return (value as (...args: unknown[]) => unknown).bind(target);
          return (input: WriteDocumentInput, call: Call) => (isStuck && input.name.startsWith("contexts-") ? new Promise<boolean>(() => undefined) : target.writeDocument(input, call));
        },
      });
    const { store } = messengers;
    const stuck: StoreProvider<MemoryTransaction> = { kind: store.kind, label: store.label, capabilities: store.capabilities, fenced: store.fenced, schema: store.schema, open: async (context) => session(await store.open(context)), diagnose: () => store.diagnose(), close: () => store.close() };
    const told: string[] = [];
    const nodes = ["a", "b"].map((name) => messengers.node(name, { contexts: { durable: true }, store: stuck }));
    for (const node of nodes) {
      node.on("error", ({ code }) => told.push(`${node.node} ${code}`));
      await messengers.during(node.start());
    }
    await messengers.connected(...nodes);
    isStuck = true;
    await messengers.during((nodes[1] as Node).contexts.create("config"));
    const beganMs = messengers.clock.monotonicMs();
    await messengers.during(Promise.all(nodes.map((node) => node.stop())));
    assert.deepEqual(told.toSorted(), ["a CONTEXTS_NOT_KEPT", "b CONTEXTS_NOT_KEPT"]);
    assert.ok(messengers.clock.monotonicMs() - beganMs < 10_000);
  });

  it("are told of members that have other settings, one by one, and nobody is refused", async () => {
    const messengers = new Messengers(6);
    const told: string[] = [];
    const node = (name: string, contexts: NonNullable<ClusterOptions<MemoryTransaction>["contexts"]> = false, observer = false): Node => {
      const made = messengers.node(name, { contexts, observer });
      made.on("error", ({ code, about, message }) => told.push(`${name}: ${code} ${about} ${/have (?:another )?(\w+)/.exec(message)?.[1] ?? message}`));
      return made;
    };
    const [a, b, c, d] = [node("a", { durable: true }), node("b", { durable: true }), node("c", { exclude: [], durable: true, tombstoneMs: 50_000 }), node("d")];
    for (const each of [a, b, d]) await messengers.during(each.start());
    await messengers.clock.advance(3_000);
    assert.deepEqual(told, [], "who has no contexts differs in nothing");
    await messengers.during(c.start());
    await messengers.connected(a, b, c, d);
    await messengers.clock.advance(10_000);
    const expected = ["a", "b"].flatMap((each) => ["exclude", "tombstoneMs"].flatMap((setting) => [`${each}: SETTINGS_MISMATCH c ${setting}`, `c: SETTINGS_MISMATCH ${each} ${setting}`]));
    assert.deepEqual([new Set(told), told.length], [new Set(expected), expected.length]);
    told.length = 0;
    const observer = node("o", true, true);
    await messengers.during(observer.start());
    await messengers.connected(a, b, c, d, observer);
    await messengers.clock.advance(10_000);
    assert.deepEqual(told, ["o: SETTINGS_MISMATCH c exclude"], "what the coordinator decides, an observer never does, and nobody has to agree with it");
    const config = await messengers.during(c.contexts.open("config"));
    assert.deepEqual(config.entries(), []);
    assert.deepEqual(b.self.metadata, {}, "they are not among its metadata");
    await messengers.stop();
  });

  it("may be the node's own: the same code, without a channel", async () => {
    const messengers = new Messengers(4);
    const node = createCluster<MemoryTransaction>({ group: "g", node: "alone", store: messengers.store, clock: messengers.clock, contexts: { replicated: false } });
    const config = await node.contexts.open("config");
    config.set("limit", 1);
    assert.equal((await config.flush()).ok, true);
    await messengers.during(node.stop());
  });

  it("have to be asked for, and rightly", () => {
    const store = memory();
    assert.throws(() => createCluster({ group: "g", store }).contexts, { code: "CONTEXTS_OFF" });
    assert.throws(() => createCluster({ group: "g", store, contexts: true }), { code: "INVALID_OPTIONS", message: /need channel: true/ });
    assert.throws(() => createCluster({ group: "g", store, channel: true, contexts: { repairMs: 0, everyMs: 1 } as never }), { code: "INVALID_OPTIONS", message: /repairMs.*|everyMs.*/ });
    assert.throws(() => createCluster({ group: "g", store, contexts: 7 as never }), { code: "INVALID_OPTIONS" });
  });
});
