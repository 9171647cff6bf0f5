import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bucketOf } from "../../src/contexts/digest.ts";
import { DurableContexts } from "../../src/contexts/durable.ts";
import type { Context, ContextsOptions } from "../../src/contexts/index.ts";
import { NO_REMOVALS, Tree } from "../../src/contexts/tree.ts";
import { encodeChanges } from "../../src/contexts/words.ts";
import { seededRandom } from "../../src/kernel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { content, Documents, Group } from "./group.ts";
import type { GroupNode } from "./group.ts";

type Three = [GroupNode, GroupNode, GroupNode];

const durable: ContextsOptions = { durable: true, durableMs: 1_000, repairMs: 5_000, tombstoneMs: 30_000 };

const there = (node: GroupNode, path: string): Context => {
  const context = node.contexts.get(path);
  assert.ok(context !== undefined, `${node.node} has no ${path}`);
  return context;
};

/** Three members that share a context `config`. */
async function three(seed: number, options: ContextsOptions = {}) {
  const group = new Group(seed, { ...durable, ...options });
  const all = (await group.start(3)) as Three;
  await group.connected();
  const config = await group.during(all[0].contexts.create("config"));
  return { group, all, config };
}

/** A member with a tree of its own and nobody to talk to, that keeps it in the store. */
class Keeper {
  readonly tree = new Tree();
  readonly failures: unknown[] = [];
  readonly durable: DurableContexts;
  isMember = true;

  constructor(documents: Documents, clock: VirtualClock, seed: number) {
    const take: ConstructorParameters<typeof DurableContexts>[0]["take"] = ({ floor, contexts }) => {
      this.tree.raiseFloor(floor);
      for (const change of contexts) this.tree.merge(change);
    };
    this.durable = new DurableContexts({ documents, tree: () => this.tree, clock, random: seededRandom(seed), everyMs: 1_000, take, failed: (error) => void this.failures.push(error) });
  }

  put(path: string, key: string, time: number, text: string | undefined): void {
    this.tree.merge({ path, base: NO_REMOVALS, created: { time: 1, member: "m" }, properties: [{ key, version: { time, member: "m" }, text }] });
  }
}

/** What a member that starts now finds. */
async function stored(documents: Documents): Promise<Tree> {
  const { wire } = documents;
  documents.wire = () => undefined;
  const reader = new Keeper(documents, new VirtualClock(), 1);
  const take: Parameters<DurableContexts["load"]>[0] = ({ floor, contexts }) => {
    reader.tree.raiseFloor(floor);
    for (const change of contexts) reader.tree.merge(change);
  };
  await reader.durable.load(take);
  documents.wire = wire;
  return reader.tree;
}

const dump = (tree: Tree) => [...tree.changes()].map(({ path, created, properties }) => ({ path, created, properties }));

describe("a stop of everything", () => {
  it("leaves all in the store, in few round trips, where all members stop at once", async () => {
    const { group, all } = await three(50);
    await group.clock.advance(3_000);
    for (let n = 0; n < 300; n++) {
      const context = await group.during(all[n % 3]?.contexts.create(`c${n}`) ?? Promise.reject(new Error()));
      context.set("value", { n });
    }
    for (const { contexts } of all) await group.during(contexts.flush());
    const expected = content(all[2].contexts);
    let last: Promise<unknown> = Promise.resolve();
    group.documents.wire = () => (last = last.then(() => new Promise<void>((resolve) => void group.clock.setTimer(5, resolve)))) as Promise<void>; // one connection, one call at a time
    const [tripsBefore, beganMs] = [group.documents.trips, group.clock.monotonicMs()];
    await group.during(Promise.all(all.map((node) => group.leave(node))));
    const [trips, tookMs] = [group.documents.trips - tripsBefore, group.clock.monotonicMs() - beganMs];
    assert.ok(trips <= 40, `${trips} round trips`);
    assert.ok(tookMs <= 2_000, `${tookMs} ms`);
    const again = (await group.start(3)) as Three;
    assert.deepEqual(again.map(({ contexts }) => content(contexts)), [expected, expected, expected]);
  });

  it("leaves there what is written while the coordinator is gone and nobody has followed it", async () => {
    const { group, all } = await three(51);
    await group.during(all[0].replicated.stop());
    there(all[2], "config").set("late", 1);
    await group.during(all[2].contexts.flush({ mode: "async" }));
    await group.during(all[1].replicated.stop());
    await group.during(all[2].replicated.stop());
    assert.equal((await stored(group.documents)).entry("config", "late")?.text, "1");
  });

  it("ends by its time where the store takes nothing, and tells what is not kept", async () => {
    const { group, all, config } = await three(52);
    await group.clock.advance(3_000);
    config.set("a", 1);
    await group.during(config.flush());
    const told: string[] = [];
    for (const { node, contexts } of all) contexts.on("error", ({ error }) => told.push(`${node} ${error.code} ${error.message}`));
    group.documents.wire = (operation) => (operation === "write" ? new Promise<void>(() => undefined) : undefined);
    const beganMs = group.clock.monotonicMs();
    await group.during(Promise.all(all.map((node) => group.leave(node))));
    assert.equal(Math.floor(group.clock.monotonicMs() - beganMs), 5_000);
    for (const [n, each] of told.toSorted().entries()) assert.match(each, new RegExp(`node-${n + 1} CONTEXTS_NOT_KEPT this node stops, and 1 of 1 parts of the contexts are not in the store`));
    assert.equal(told.length, 3);
  });

  it("tells it at once where the store refuses for good, and goes on trying where it is away for a moment", async () => {
    const { group, all, config } = await three(53);
    await group.clock.advance(3_000);
    config.set("a", 1);
    await group.during(config.flush());
    const told: string[] = [];
    all[0].contexts.on("error", ({ error }) => told.push(error.code));
    group.documents.fails = true;
    group.clock.setTimer(1_500, () => void (group.documents.fails = false));
    await group.during(all[0].replicated.stop());
    assert.deepEqual([told, (await stored(group.documents)).entry("config", "a")?.text], [[], "1"]);
  });

  it("tells that a node keeps nothing that has no place in the group any more", async () => {
    const { group, all } = await three(54);
    await group.clock.advance(3_000);
    const told: string[] = [];
    all[2].contexts.on("error", ({ error }) => told.push(`${error.code} ${error.message}`));
    all[2].replicated.leave();
    await group.during(all[2].replicated.stop());
    assert.match(told.join(), /^CONTEXTS_NOT_KEPT .*no place in the group/);
  });
});

describe("the store", () => {
  it("never has less than it had, whoever writes at once and dies in the middle", async () => {
    // Few buckets, so that some are more than fits into one document.
    const names = Array.from({ length: 4_000 }, (_, n) => ({ path: `c${n % 4}`, key: `k${n}` })).filter(({ path, key }) => bucketOf(path, key) % 64 === 0);
    for (let seed = 1; seed <= 3; seed++) {
      const random = seededRandom(seed);
      const clock = new VirtualClock();
      const documents = new Documents();
      documents.wire = () => new Promise<void>((resolve) => void clock.setTimer(random.next() * 150, () => (random.next() < 0.99 ? resolve() : undefined)));
      let [time, count, deaths] = [1, 0, 0];
      const begin = (): Keeper => {
        const keeper = new Keeper(documents, clock, seed * 100 + count++);
        keeper.durable.begin(() => true);
        return keeper;
      };
      const keepers = [begin(), begin(), begin()];
      let had = new Tree();
      for (let step = 0; step < 16; step++) {
        const at = Math.floor(random.next() * keepers.length);
        if (random.next() < 0.2 && ++deaths > 0) keepers[at] = begin(); // what the one before it has sent may take effect still
        for (let n = 0; n < 8; n++) {
          const { path, key } = names[Math.floor(random.next() * names.length)] ?? { path: "c0", key: "k" };
          keepers[at]?.put(path, key, ++time, random.next() < 0.1 ? undefined : JSON.stringify("x".repeat(random.next() * 40_000)));
        }
        await clock.advance(random.next() * 1_500);
        const now = await stored(documents);
        for (const { path, properties } of had.changes()) for (const { key, version } of properties) assert.ok(now.thing(path, key).version.time >= version.time, `seed ${seed}, step ${step}: ${path} ${key} of ${version.time} is ${now.thing(path, key).version.time}`);
        had = now;
      }
      assert.ok(deaths > 0 && had.size.properties > 15, `too little happened: ${deaths} deaths, ${had.size.properties} properties`);
    }
  });

  it("does not get back what was deleted and forgotten from a member that was frozen over it", async () => {
    const clock = new VirtualClock();
    const documents = new Documents();
    const [frozen, other] = [new Keeper(documents, clock, 1), new Keeper(documents, clock, 2)];
    for (const each of [frozen, other]) each.put("config", "old", 2_000, "1");
    assert.ok(bucketOf("config", "old") < bucketOf("config", ""), "so it is the first that is written, if anything is written in order");
    let thaw = (): void => undefined;
    documents.wire = (operation) => (operation === "write" ? new Promise<void>((resolve) => void (thaw = resolve)) : undefined);
    frozen.durable.begin(() => true);
    await clock.advance(1_100); // it is about to write
    frozen.durable.end();
    const write = thaw;
    documents.wire = () => undefined;
    other.durable.begin(() => true);
    await clock.advance(1_100);
    other.put("config", "old", 3_000, undefined);
    await clock.advance(1_100);
    other.tree.raiseFloor(3_000);
    await clock.advance(1_100);
    assert.equal((await stored(documents)).entry("config", "old"), undefined);
    write();
    await clock.advance(5_000);
    assert.equal((await stored(documents)).entry("config", "old"), undefined);
  });

  it("is what a node takes that was away while the others deleted, forgot, and stopped", async () => {
    const { group, all, config } = await three(55);
    config.set("gone", 1);
    await group.during(config.flush());
    const [a, b, c] = all;
    const rejoining = group.rejoin(c, 120_000);
    await group.clock.advance(2_000);
    config.delete("gone");
    await group.during(config.flush());
    await group.clock.advance(60_000);
    assert.equal(a.contexts.stats.tombstones, 0);
    for (const node of [a, b]) await group.during(group.leave(node));
    await group.during(rejoining);
    assert.deepEqual(content(c.contexts), { config: {} });
  });

  it("is not brought back by a coordinator that does not keep it: then nothing is forgotten", async () => {
    const group = new Group(57, durable);
    const [a, b] = [await group.during(group.add()), await group.during(group.add({ durable: false }))];
    const c = await group.during(group.add());
    await group.connected();
    const config = await group.during(a.contexts.create("config"));
    config.set("old", 1);
    await group.during(config.flush());
    await group.clock.advance(3_000);
    await group.during(group.leave(a)); // b, which keeps nothing, is the coordinator
    there(c, "config").delete("old");
    await group.during(c.contexts.flush());
    await group.clock.advance(120_000);
    assert.deepEqual([b, c].map(({ contexts }) => contexts.stats.tombstones), [1, 1]);
    await group.during(group.leave(c));
    assert.equal((await stored(group.documents)).entry("config", "old"), undefined);
  });

  it("is told when somebody removed a document that the index names", async () => {
    const { group, all, config } = await three(56);
    config.set("a", 1);
    await group.during(config.flush());
    await group.clock.advance(3_000);
    for (const node of all) await group.during(group.leave(node));
    for (const name of [...group.documents.all.keys()]) if (name !== "contexts-index") group.documents.all.delete(name);
    const clock = new VirtualClock();
    const keeper = new Keeper(group.documents, clock, 1);
    await keeper.durable.load(() => undefined);
    assert.deepEqual(keeper.failures.map((error) => (error as { code?: string }).code), ["CONTEXTS_NOT_KEPT"]);
    keeper.durable.begin(() => true);
    await clock.advance(3_000);
    assert.equal(keeper.durable.isBehind, false);
  });

  it("has its documents cleared away when they were replaced, also by who died before", async () => {
    const clock = new VirtualClock();
    const documents = new Documents();
    const dead = new Keeper(documents, clock, 1);
    dead.put("config", "a", 2, "1");
    let written = 0;
    documents.wire = (operation) => (operation === "write" && ++written > 1 ? new Promise<void>(() => undefined) : undefined); // its index never comes
    dead.durable.begin(() => true);
    await clock.advance(1_500);
    documents.wire = () => undefined;
    const keeper = new Keeper(documents, clock, 2);
    keeper.durable.begin(() => true);
    for (let n = 0; n < 100; n++) {
      keeper.put("config", "b", 10 + n, String(n));
      await clock.advance(1_000);
      assert.ok(documents.all.size <= 40, `${documents.all.size} documents`);
    }
    await clock.advance(3_000);
    assert.equal(documents.all.size, 2);
  });

  it("is written side by side, eight documents at a time, and read so", async () => {
    const clock = new VirtualClock();
    const documents = new Documents();
    const keeper = new Keeper(documents, clock, 1);
    for (let n = 0; n < 4_000; n++) keeper.put(`c${n % 7}`, `k${n}`, 2 + n, JSON.stringify("x".repeat(1_000)));
    documents.wire = () => new Promise<void>((resolve) => void clock.setTimer(10, resolve));
    keeper.durable.begin(() => true);
    await clock.advance(1_600);
    assert.equal(keeper.durable.isBehind, false);
    assert.equal(documents.mostAtOnce, 8);
    assert.ok(documents.writes > 60 && documents.writes < 256, `${documents.writes} documents`);
    documents.wire = () => undefined;
    assert.deepEqual(dump(await stored(documents)), dump(keeper.tree));
  });

  it("may have documents of the first format, which are read once more and then replaced", async () => {
    const clock = new VirtualClock();
    const documents = new Documents();
    const before = new Keeper(documents, clock, 1);
    for (let n = 0; n < 50; n++) before.put("config", `k${n}`, 2 + n, String(n));
    for (let bucket = 0; bucket < 256; bucket++) {
      const [part] = [...encodeChanges(() => 0, before.tree.changes(({ path, key }) => bucketOf(path, key) === bucket), 96 * 1024)];
      if (part !== undefined) await documents.write({ name: `contexts-${bucket}`, expectedVersion: 0, text: JSON.stringify({ format: 1, digest: before.tree.digests.over(bucket, bucket), parts: 1, changes: Buffer.from(part.bytes).toString("base64") }) });
    }
    assert.deepEqual(dump(await stored(documents)), dump(before.tree));
    const keeper = new Keeper(documents, clock, 2);
    keeper.durable.begin(() => true);
    await clock.advance(3_500);
    assert.deepEqual([dump(keeper.tree), documents.all.size], [dump(before.tree), 2]);
  });
});
