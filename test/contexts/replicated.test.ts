import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Context, ContextsOptions, PropertyEvent } from "../../src/contexts/index.ts";
import { content, Group } from "./group.ts";
import type { GroupNode } from "./group.ts";

type Three = [GroupNode, GroupNode, GroupNode];

const there = (node: GroupNode, path: string): Context => {
  const context = node.contexts.get(path);
  assert.ok(context !== undefined, `${node.node} has no ${path}`);
  return context;
};

/** Three members that share a context `config`. */
async function three(seed: number, options: ContextsOptions = {}) {
  const group = new Group(seed, options);
  const all = (await group.start(3)) as Three;
  await group.connected();
  const config = await group.during(all[0].contexts.create("config"));
  return { group, all, config };
}

describe("contexts that members share", () => {
  it("are on every member when create and flush resolve, and gone from all when remove does", async () => {
    const { group, all, config } = await three(1);
    config.set("limit", 3);
    config.set("list", [1, { a: null }]);
    const report = await group.during(config.flush());
    assert.deepEqual([report.ok, [...report.results].map(([node, { status }]) => `${node} ${status}`)], [true, ["node-2 delivered", "node-3 delivered"]]);
    for (const { contexts } of all) assert.deepEqual(content(contexts), { config: { limit: 3, list: [1, { a: null }] } });
    there(all[1], "config").delete("limit");
    await group.during(all[1].contexts.flush());
    for (const { contexts } of all) assert.deepEqual(content(contexts), { config: { list: [1, { a: null }] } });
    assert.equal((await group.during(all[2].contexts.remove("config"))).ok, true);
    for (const { contexts } of all) assert.deepEqual(content(contexts), {});
  });

  it("end the same where two members write at once: the later write, and of the same time the same one", async () => {
    const { group, all } = await three(2);
    for (const [n, node] of all.entries()) there(node, "config").set("who", n);
    const flushing = Promise.all(all.map(({ contexts }) => contexts.flush()));
    await group.during(flushing);
    const [first, ...others] = all.map((node) => [there(node, "config").get("who"), there(node, "config").version("who")]);
    for (const each of others) assert.deepEqual(each, first);
  });

  it("tell all members of what changed, and who did it", async () => {
    const { group, all, config } = await three(3);
    const told: string[][] = [[], [], []];
    for (const [n, { contexts }] of all.entries()) contexts.on("change", ({ path, key, value, local }: PropertyEvent) => told[n]?.push(`${path}.${key}=${String(value)} ${local}`));
    config.set("a", 1);
    await group.during(config.flush());
    assert.deepEqual(told, [["config.a=1 true"], ["config.a=1 false"], ["config.a=1 false"]]);
  });

  it("send what was touched, and only that, as one message to each member", async () => {
    const { group, all, config } = await three(4);
    for (let n = 0; n < 1_000; n++) config.set(`property-${n}`, `a value of some length, number ${n}`);
    await group.during(config.flush());
    await group.clock.advance(1_000);
    const [bytesBefore, encodedBefore, decodedBefore] = [group.bytes(), all[0].contexts.stats.encoded, all[1].channel.counts.decoded];
    let messages = 0;
    all[1].channel.listen("contexts", () => void messages++);
    for (const key of ["property-17", "property-900", "property-3"]) config.set(key, `changed ${key}`);
    const report = await group.during(config.flush());
    const [bytes, encoded] = [group.bytes() - bytesBefore, all[0].contexts.stats.encoded - encodedBefore];
    assert.deepEqual([report.properties, encoded, messages], [3, 3, 1]);
    // Three keys, three values, one version, to two members; no room for any other of the thousand.
    assert.ok(report.sizeBytes < 3 * (12 + 24) + 80, `${report.sizeBytes} bytes`);
    assert.ok(bytes < 2 * (report.sizeBytes + 300), `${bytes} bytes on the wire for ${report.sizeBytes}`);
    assert.equal(all[1].channel.counts.decoded - decodedBefore, 0, "no value is decoded that nobody asked for");
    assert.equal((await group.during(config.flush())).properties, 0);
  });

  it("keep to themselves what is excluded, and contexts that are not replicated", async () => {
    const { group, all, config } = await three(5);
    config.set("local_file", "/tmp/x");
    config.set("shared", 1);
    const call = await all[0].contexts.create("config/call", { replicated: false });
    call.set("a", 1);
    const before = group.bytes();
    const report = await group.during(all[0].contexts.flush());
    assert.deepEqual([report.properties, config.get("local_file"), call.get("a")], [1, "/tmp/x", 1]);
    assert.ok(group.bytes() > before);
    assert.deepEqual(content(all[1].contexts), { config: { shared: 1 } });
    assert.deepEqual(content((await group.during(group.add())).contexts), { config: { shared: 1 } });
    await group.during(all[1].contexts.remove("config"));
    await group.during(all[1].contexts.create("config"));
    assert.deepEqual(content(all[0].contexts), { config: {} }, "what was local went with the context");
  });

  it("decide writes with ifVersion at the coordinator: of all that are made on one version one succeeds", async () => {
    const { group, all, config } = await three(6);
    const outcomes = await group.during(Promise.all(all.map((node, n) => there(node, "config").set("owner", n, { ifVersion: null }))));
    assert.equal(outcomes.filter(Boolean).length, 1);
    const owner = outcomes.indexOf(true);
    for (const node of all) assert.equal(there(node, "config").get("owner"), owner);
    const version = config.version("owner");
    assert.equal(await group.during(there(all[2], "config").delete("owner", { ifVersion: version ?? "" })), true);
    assert.equal(await group.during(config.set("owner", 9, { ifVersion: version })), false);
    assert.equal(config.has("owner"), false);
    await assert.rejects(group.during(all[1].replicated.contexts.get("config")?.set("owner", 1n, { ifVersion: null }) ?? Promise.resolve(false)), { code: "VALUE_INVALID" });
  });

  it("say so where it is not known whether such a write stands", async () => {
    const { group, all } = await three(7, { deadlineMs: 2_000, tombstoneMs: 60_000 });
    group.network.cut("node-1", "node-3");
    const writing = there(all[1], "config").set("owner", 1, { ifVersion: null });
    await assert.rejects(group.during(writing), { code: "WRITE_UNDECIDED" });
    group.network.heal("node-1", "node-3");
    await group.clock.advance(30_000);
    assert.deepEqual(all.map((node) => there(node, "config").get("owner")), [1, 1, 1], "it stands after all, and everywhere");
  });

  it("that a deposed coordinator decides are refused by those who know the next one", async () => {
    const { group, all } = await three(8, { deadlineMs: 2_000, tombstoneMs: 60_000 });
    const [old, ...others] = all;
    group.nodes = others;
    group.publish(); // the old one does not hear of it
    await assert.rejects(group.during(there(old, "config").set("owner", 1, { ifVersion: null })), { code: "WRITE_UNDECIDED" });
    assert.equal(await group.during(there(all[2], "config").set("owner", 3, { ifVersion: null })), true);
    assert.equal(there(all[1], "config").get("owner"), 3);
  });

  it("that the coordinator decides about a context that whoever asked has made anew are not said to have succeeded", async () => {
    const { group, all } = await three(11, { deadlineMs: 2_000, tombstoneMs: 60_000, repairMs: 60_000 });
    const [, asking] = all;
    await group.clock.advance(1_000); // what they compare at first is over
    for (const [from, to] of [["node-1", "node-2"], ["node-2", "node-1"]] as const) group.network.bar(from, to);
    await group.during(Promise.all([asking.contexts.remove("config"), asking.contexts.create("config")])); // the coordinator has heard of neither
    for (const [from, to] of [["node-1", "node-2"], ["node-2", "node-1"]] as const) group.network.unbar(from, to);
    const writing = there(asking, "config").set("owner", 2, { ifVersion: null });
    await assert.rejects(group.during(writing), { code: "WRITE_UNDECIDED" });
    await group.clock.advance(30_000);
    assert.deepEqual(all.map((node) => content(node.contexts)), [{ config: {} }, { config: {} }, { config: {} }]);
  });

  it("are empty when they are made again, whatever was written below them by somebody who did not know that they were removed", async () => {
    const { group, all } = await three(12, { deadlineMs: 1_000, repairMs: 2_000 });
    const [a, b] = all;
    await group.during(a.contexts.create("config/below"));
    const ways = ["node-1", "node-3"].flatMap((other) => [["node-2", other], [other, "node-2"]] as const);
    for (const [from, to] of ways) group.network.cut(from, to);
    const parted: Array<Promise<unknown>> = [a.contexts.remove("config", { recursive: true })];
    await group.clock.advance(10);
    parted.push(b.contexts.remove("config/below")); // later than the removal above it, of which it does not know
    parted.push(b.contexts.create("config/below"));
    there(b, "config/below").set("k", 1);
    parted.push(b.contexts.flush());
    await group.during(Promise.all(parted));
    for (const [from, to] of ways) group.network.heal(from, to);
    await group.clock.advance(10_000);
    await group.during(a.contexts.create("config"));
    for (const { contexts } of all) assert.deepEqual(content(contexts), { config: {} });
    const below = await group.during(a.contexts.create("config/below"));
    below.set("k", 2);
    await group.during(below.flush());
    for (const { contexts } of all) assert.deepEqual(content(contexts), { config: {}, "config/below": { k: 2 } });
  });

  it("can be read and not changed by who has no place in the group", async () => {
    const { group, all, config } = await three(9);
    config.set("a", 1);
    await group.during(config.flush());
    all[0].replicated.leave();
    config.set("a", 2);
    await assert.rejects(config.flush(), { code: "CONTEXTS_AWAY", retryable: true });
    await assert.rejects(all[0].contexts.create("other"), { code: "CONTEXTS_AWAY" });
    assert.deepEqual([config.get("a"), there(all[1], "config").get("a"), config.version("a") === there(all[1], "config").version("a")], [2, 1, true]);
    all[0].replicated.join(all[0].incarnation);
    await group.during(all[0].replicated.begin([{ state: "contexts", from: ["node-2"], pages: 0, bytes: 0 }]));
    assert.equal((await group.during(config.flush())).properties, 1);
    assert.equal(there(all[1], "config").get("a"), 2);
  });

  it("may be flushed without waiting for anybody", async () => {
    const { group, all, config } = await three(10, { mode: "async" });
    config.set("a", 1);
    const report = await config.flush();
    assert.deepEqual([report.ok, report.results.size, report.properties], [false, 0, 1]);
    await group.clock.advance(100);
    assert.equal(there(all[2], "config").get("a"), 1);
    const aborted = AbortSignal.abort();
    await assert.rejects(config.flush({ signal: aborted }), { code: "ABORTED" });
  });
});

describe("a member that joins", () => {
  it("has all contexts when it has started", async () => {
    const { group, all, config } = await three(20);
    for (let n = 0; n < 50; n++) {
      const context = await group.during(all[n % 3]?.contexts.create(`config/c${n}`) ?? Promise.reject(new Error()));
      for (let key = 0; key < 100; key++) context.set(`k${key}`, "x".repeat(100));
    }
    config.set("gone", 1);
    for (const { contexts } of all) await group.during(contexts.flush());
    config.delete("gone");
    await group.during(config.flush());
    const joiner = await group.during(group.add());
    assert.deepEqual(content(joiner.contexts), content(all[0].contexts));
    assert.equal(joiner.contexts.stats.properties, 5_000);
  });

  it("does not miss what was written while it joined by a member that did not know of it yet", async () => {
    const group = new Group(21);
    const [a, b] = (await group.start(2)) as Three;
    await group.during(a.contexts.create("config"));
    await group.connected();
    group.viewDelayMs = 3_000;
    const adding = group.add();
    for (let n = 0; n < 40; n++) {
      await group.clock.advance(100);
      there(b, "config").set(`k${n}`, n);
      await group.during(b.contexts.flush());
    }
    const joiner = await group.during(adding);
    await group.clock.advance(1_000);
    assert.deepEqual(content(joiner.contexts), content(b.contexts));
  });

  it("gets what was written before its writer knew of it as soon as that one does, and not at the next comparison", async () => {
    const group = new Group(22, { deadlineMs: 1_000, repairMs: 60_000 });
    const [a, b] = (await group.start(2)) as Three;
    await group.during(a.contexts.create("config"));
    await group.connected();
    group.viewDelayOf = (node) => (node === b.node ? 5_000 : 0);
    const joiner = await group.during(group.add());
    await group.clock.advance(4_500); // what it asked b when it began is given up
    there(b, "config").set("late", 1);
    await group.during(b.contexts.flush());
    assert.equal(there(joiner, "config").has("late"), false);
    await group.clock.advance(1_000);
    assert.equal(there(joiner, "config").get("late"), 1);
  });
});

describe("what a fault left", () => {
  it("is repaired", async () => {
    const { group, all, config } = await three(30, { deadlineMs: 2_000, tombstoneMs: 60_000, repairMs: 5_000 });
    config.set("old", 1);
    await group.during(config.flush());
    for (const [from, to] of [["node-1", "node-3"], ["node-2", "node-3"], ["node-3", "node-1"], ["node-3", "node-2"]] as const) group.network.bar(from, to);
    config.delete("old");
    config.set("new", 1);
    const report = await group.during(config.flush());
    assert.deepEqual([report.ok, report.results.get("node-3")?.status], [false, "timeout"]);
    there(all[2], "config").set("other", 1);
    await group.during(all[2].contexts.flush());
    assert.deepEqual(content(all[2].contexts), { config: { old: 1, other: 1 } });
    for (const [from, to] of [["node-1", "node-3"], ["node-2", "node-3"], ["node-3", "node-1"], ["node-3", "node-2"]] as const) group.network.unbar(from, to);
    await group.clock.advance(20_000);
    for (const { contexts } of all) assert.deepEqual(content(contexts), { config: { new: 1, other: 1 } });
  });

  it("is not brought back once it was deleted, and what was deleted is forgotten", async () => {
    const { group, all, config } = await three(31, { tombstoneMs: 30_000, repairMs: 5_000 });
    for (let n = 0; n < 20; n++) config.set(`k${n}`, n);
    await group.during(config.flush());
    for (let n = 0; n < 20; n++) config.delete(`k${n}`);
    await group.during(config.flush());
    await group.during(all[1].contexts.create("config/below"));
    await group.during(all[1].contexts.remove("config/below"));
    assert.deepEqual(all.map(({ contexts }) => contexts.stats.tombstones), [21, 21, 21]);
    await group.clock.advance(25_000);
    assert.deepEqual(all.map(({ contexts }) => contexts.stats.tombstones), [21, 21, 21], "not before tombstoneMs");
    await group.clock.advance(20_000);
    assert.deepEqual(all.map(({ contexts }) => contexts.stats.tombstones), [0, 0, 0]);
    assert.deepEqual(all.map(({ contexts }) => content(contexts)), [{ config: {} }, { config: {} }, { config: {} }]);
    config.set("again", 1);
    await group.during(config.flush());
    assert.deepEqual(content(all[2].contexts), { config: { again: 1 } });
  });

  it("does not keep a member from deleting whose clock is further behind than deletions are remembered", async () => {
    const group = new Group(33, { deadlineMs: 1_000, tombstoneMs: 30_000, repairMs: 5_000 });
    const coordinator = await group.during(group.add());
    const late = await group.during(group.add({}, -600_000));
    await group.connected();
    const config = await group.during(coordinator.contexts.create("config"));
    for (const key of ["a", "b", "c"]) config.set(key, 1);
    await group.during(config.flush());
    await group.clock.advance(100_000);
    config.delete("a");
    await group.during(config.flush());
    await group.clock.advance(45_000);
    assert.deepEqual([coordinator, late].map(({ contexts }) => contexts.stats.tombstones), [0, 0]);
    const later = await group.during(group.add({}, -600_000)); // what it gets says nothing of what was forgotten but how far that goes
    for (const [node, key] of [[late, "b"], [later, "c"]] as const) {
      there(node, "config").delete(key);
      await group.during(node.contexts.flush());
    }
    for (const { contexts } of group.nodes) assert.deepEqual(content(contexts), { config: {} });
    await group.during(late.contexts.remove("config"));
    for (const { contexts } of group.nodes) assert.deepEqual(content(contexts), {});
  });

  it("does not come back with who was away when all of it was removed, and that forgotten", async () => {
    const { group, all, config } = await three(35, { tombstoneMs: 30_000, repairMs: 5_000 });
    config.set("a", 1);
    await group.during(config.flush());
    const returning = group.rejoin(all[2], 100_000);
    await group.during(all[0].contexts.remove("config"));
    await group.clock.advance(60_000);
    assert.equal(all[0].contexts.stats.tombstones, 0);
    await group.during(returning);
    await group.clock.advance(10_000);
    for (const { contexts } of all) assert.deepEqual(content(contexts), {});
  });

  it("is not forgotten while a member of the group may not know that it was deleted", async () => {
    const { group, all, config } = await three(32, { tombstoneMs: 30_000, repairMs: 5_000 });
    config.set("a", 1);
    await group.during(config.flush());
    for (const [from, to] of [["node-1", "node-3"], ["node-2", "node-3"], ["node-3", "node-1"], ["node-3", "node-2"]] as const) group.network.bar(from, to);
    config.delete("a");
    await group.during(config.flush());
    await group.clock.advance(300_000);
    assert.deepEqual(all.map(({ contexts }) => contexts.stats.tombstones), [1, 1, 0]);
    for (const [from, to] of [["node-1", "node-3"], ["node-2", "node-3"], ["node-3", "node-1"], ["node-3", "node-2"]] as const) group.network.unbar(from, to);
    await group.clock.advance(60_000);
    assert.deepEqual(all.map(({ contexts }) => [contexts.stats.tombstones, content(contexts)]), [[0, { config: {} }], [0, { config: {} }], [0, { config: {} }]]);
  });
});

describe("contexts that are durable", () => {
  const durable: ContextsOptions = { durable: true, durableMs: 1_000, repairMs: 5_000, tombstoneMs: 30_000 };

  it("are there again when everything was restarted, without what was deleted", async () => {
    const { group, all, config } = await three(40, durable);
    for (let n = 0; n < 300; n++) config.set(`k${n}`, n);
    await group.during(config.flush());
    await group.clock.advance(3_000);
    for (let n = 0; n < 150; n++) config.delete(`k${n}`);
    const large = await group.during(all[1].contexts.create("config/large"));
    for (let n = 0; n < 6; n++) large.set(`k${n}`, "x".repeat(200_000));
    await group.during(all[0].contexts.flush());
    await group.during(all[1].contexts.flush());
    await group.clock.advance(3_000);
    const expected = content(all[2].contexts);
    for (const node of all) await group.kill(node);
    const [again, other] = (await group.start(2)) as Three;
    assert.deepEqual([content(again.contexts), content(other.contexts)], [expected, expected]);
    assert.equal(again.contexts.stats.properties, 156);
  });

  it("write only what changed, and nothing when nothing does", async () => {
    const { group, config } = await three(41, durable);
    for (let n = 0; n < 500; n++) config.set(`k${n}`, n);
    await group.during(config.flush());
    await group.clock.advance(5_000);
    const before = group.documents.writes;
    await group.clock.advance(20_000);
    assert.equal(group.documents.writes - before, 0);
    config.set("k7", 8);
    await group.during(config.flush());
    await group.clock.advance(5_000);
    assert.equal(group.documents.writes - before, 2, "where it stands, and the index");
  });

  it("are written by the next coordinator when the one that wrote them dies", async () => {
    const { group, all, config } = await three(42, durable);
    config.set("a", 1);
    await group.during(config.flush());
    await group.clock.advance(3_000);
    await group.kill(all[0]);
    there(all[2], "config").set("b", 2);
    await group.during(all[2].contexts.flush());
    await group.clock.advance(5_000);
    await group.kill(all[1]);
    await group.kill(all[2]);
    const [again] = (await group.start(1)) as Three;
    assert.deepEqual(content(again.contexts), { config: { a: 1, b: 2 } });
  });

  it("are kept when the members stop in good order, and catch up with a store that was away", async () => {
    const { group, all, config } = await three(43, { ...durable, durableMs: 60_000 });
    const errors: string[] = [];
    all[0].contexts.on("error", ({ error }) => errors.push(error.message));
    config.set("a", 1);
    await group.during(config.flush());
    group.documents.fails = true;
    await group.clock.advance(70_000);
    group.documents.fails = false;
    assert.match(errors.join(), /the store is away/);
    for (const node of all) await group.during(group.leave(node));
    const [again] = (await group.start(1)) as Three;
    assert.deepEqual(content(again.contexts), { config: { a: 1 } });
  });
});
