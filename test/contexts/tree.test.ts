import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Digests } from "../../src/contexts/digest.ts";
import { compareInventory, differing, pick, takeInventory } from "../../src/contexts/repair.ts";
import { NO_REMOVALS, Tree } from "../../src/contexts/tree.ts";
import type { ContextChange, Removals } from "../../src/contexts/tree.ts";
import { compareVersions, NEVER, TICKS_PER_MS, VersionClock } from "../../src/contexts/version.ts";
import type { Version } from "../../src/contexts/version.ts";
import { decodeChanges, encodeChanges } from "../../src/contexts/words.ts";
import { seededRandom } from "../../src/kernel/index.ts";
import { fc } from "../support/properties.ts";

const at = (time: number, member = "a"): Version => ({ time, member });

/** Everything in a tree, as something that can be compared. */
const dump = (tree: Tree) => [...tree.changes()].map(({ path, base, created, properties }) => ({ path, base, created, properties: properties.map(({ key, version, text }) => ({ key, version, text })) }));

const change = (path: string, { base = NO_REMOVALS, created, ...properties }: { base?: Removals; created?: Version } & Record<string, unknown> = {}): ContextChange => ({ path, base, created, properties: Object.entries(properties as Record<string, [Version, string?]>).map(([key, [version, text]]) => ({ key, version, text })) });

const merged = (...changes: readonly ContextChange[]) => {
  const tree = new Tree();
  for (const each of changes) tree.merge(each);
  return tree;
};

const times = fc.integer({ min: 1, max: 12 });
const versions = fc.tuple(times, fc.constantFrom("a", "b", "c")).map(([time, member]) => at(time, member));
const paths = fc.constantFrom("x", "x/y", "x/y/z", "x/w", "v");
const changes: fc.Arbitrary<ContextChange> = fc.record({
  path: paths,
  base: fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant(NEVER) }, versions), { maxLength: 3 }),
  created: fc.option(versions, { nil: undefined }),
  properties: fc.array(fc.record({ key: fc.constantFrom("k", "l"), version: versions }), { maxLength: 2 }).map((all) => all.map(({ key, version }) => ({ key, version, text: version.time % 3 === 0 ? undefined : JSON.stringify([key, version.time, version.member]) }))), // a version names one write
});

describe("a version", () => {
  it("is later by time, then by the member's name, so that no two members see it differently", () => {
    assert.deepEqual([at(2, "b"), at(1, "c"), at(2, "a")].toSorted(compareVersions), [at(1, "c"), at(2, "a"), at(2, "b")]);
    assert.equal(compareVersions(at(1), at(1)), 0);
  });

  it("grows, whatever the wall clock does, and after all that was seen", () => {
    const clock = new VersionClock();
    const given = [clock.next(1_000), clock.next(1_000), clock.next(10)];
    clock.saw(9_000 * TICKS_PER_MS);
    given.push(clock.next(20), clock.next(9_001));
    assert.deepEqual(given, [1_000 * TICKS_PER_MS, 1_000 * TICKS_PER_MS + 1, 1_000 * TICKS_PER_MS + 2, 9_000 * TICKS_PER_MS + 1, 9_001 * TICKS_PER_MS]);
  });
});

describe("a tree", () => {
  it("is the same whatever the order in which the same changes come, however often", () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 12 }), fc.infiniteStream(fc.nat()), fc.array(fc.nat(), { maxLength: 6 }), (all, order, again) => {
        const keyed = all.map((each) => ({ each, by: order.next().value }));
        const shuffled = keyed.toSorted((a, b) => a.by - b.by).map(({ each }) => each);
        const doubled = [...shuffled, ...again.flatMap((n) => all[n % Math.max(1, all.length)] ?? [])];
        const [one, other] = [merged(...all), merged(...doubled)];
        assert.deepEqual(dump(other), dump(one));
        assert.deepEqual(differing(one, other.digests.bytes()), []);
      }),
      { numRuns: 3_000 },
    );
  });

  it("keeps of two writes the later one, and of two of the same time the same one everywhere", () => {
    const writes = [change("x", { created: at(1), k: [at(2, "a"), "1"] }), change("x", { k: [at(2, "b"), "2"] }), change("x", { k: [at(1, "c"), "3"] })];
    for (const order of [writes, writes.toReversed()]) assert.equal(merged(...order).entry("x", "k")?.text, "2");
  });

  it("does not bring back what was deleted when an older write comes late", () => {
    const tree = merged(change("x", { created: at(1), k: [at(3)] }), change("x", { k: [at(2), "1"] }));
    assert.deepEqual([tree.entry("x", "k"), tree.size.tombstones], [undefined, 1]);
    tree.raiseFloor(3);
    assert.equal(tree.size.tombstones, 0);
  });

  it("loses with a context all that was written without knowledge of its removal, below it too, and keeps what was written with it", () => {
    const removal = change("x", { base: [at(5)] });
    const stale = [change("x", { created: at(1), k: [at(9), "late"] }), change("x/y", { created: at(8), k: [at(8), "late"] })];
    const fresh = [change("x", { base: [at(5)], created: at(6), l: [at(7), "new"] }), change("x/w", { base: [at(5)], created: at(7) })];
    for (const order of [[removal, ...stale, ...fresh], [...fresh, ...stale, removal], [...stale, removal, ...fresh]]) {
      const tree = merged(...order);
      assert.deepEqual(tree.paths(), ["x", "x/w"]);
      assert.deepEqual([...tree.entries("x")].map(([key]) => key), ["l"]);
    }
  });

  it("loses it also where its author, who did not know of that removal, has since removed and made anew a context below it", () => {
    const before = [change("x", { created: at(1) }), change("x/y", { created: at(2) })];
    const unknowing = [change("x/y", { base: [NEVER, at(7, "b")] }), change("x/y", { base: [NEVER, at(7, "b")], created: at(8, "b"), k: [at(9, "b"), "late"] })];
    const again = [change("x", { base: [at(5)] }), change("x", { base: [at(5)], created: at(12) })];
    for (const order of [[...before, ...unknowing, ...again], [...again, ...before, ...unknowing], [...before, again[0], ...unknowing, again[1]]]) {
      const tree = merged(...order.filter((each) => each !== undefined));
      assert.deepEqual(tree.paths(), ["x"]);
    }
    const knowing = [...again, change("x/y", { base: [at(5), at(13)], created: at(14), k: [at(15), "new"] })];
    for (const order of [[...knowing, ...unknowing], [...knowing.toReversed(), ...unknowing]]) assert.equal(merged(...order).entry("x/y", "k")?.text, "new");
  });

  it("has a context only when all above it are there", () => {
    const tree = merged(change("x/y", { created: at(2), k: [at(2), "1"] }));
    assert.deepEqual([tree.has("x/y"), tree.paths()], [false, []]);
    tree.merge(change("x", { created: at(1) }));
    assert.deepEqual([tree.has("x/y"), tree.paths(), tree.children(), tree.children("x")], [true, ["x", "x/y"], ["x"], ["x/y"]]);
  });

  it("leaves nothing behind when all is removed and forgotten", () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 12 }), (all) => {
        const tree = merged(...all);
        for (const path of ["x", "v"]) tree.merge(change(path, { base: [at(100)] }));
        tree.raiseFloor(100);
        assert.deepEqual([tree.isEmpty, tree.size, differing(tree, new Tree().digests.bytes())], [true, { contexts: 0, properties: 0, tombstones: 0 }, []]);
      }),
    );
  });

  it("tells of what changes, once, and of nothing else", () => {
    const told: string[] = [];
    const tree = new Tree({ created: (path) => told.push(`+${path}`), removed: (path) => told.push(`-${path}`), changed: (path, key, entry) => told.push(`${path}.${key}=${entry?.text}`) });
    const all = [change("x", { created: at(1), k: [at(2), "1"] }), change("x", { created: at(2), k: [at(1), "0"] }), change("x", { k: [at(3)] }), change("x", { k: [at(4)] }), change("x/y", { created: at(4) }), change("x", { base: [at(9)] })];
    for (const each of [...all, ...all]) tree.merge(each);
    assert.deepEqual(told, ["+x", "x.k=1", "x.k=undefined", "+x/y", "-x/y", "-x"]);
  });
});

describe("a digest", () => {
  it("tells things apart that differ by little", () => {
    const seen = new Set<string>();
    let things = 0;
    for (let time = 1_142_000; time < 1_142_400; time++) {
      for (const member of ["a", "b"]) {
        for (const [path, key] of [["x", "k"], ["x", "l"], ["xk", ""]] as const) {
          for (const kind of [1, 2, 3, 4]) {
            const digests = new Digests();
            digests.toggle(0, path, key, kind, { time, member });
            seen.add(digests.of(0));
            things++;
          }
        }
      }
    }
    assert.equal(seen.size, things);
  });
});

describe("changes on the wire", () => {
  const encoded = (all: readonly ContextChange[], partBytes: number, floor = 0) => [...encodeChanges(() => floor, all, partBytes)];

  it("come out as they went in, in parts of any size", () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 12 }), fc.integer({ min: 1, max: 200 }), (all, partBytes) => {
        const tree = merged(...all);
        const other = new Tree();
        for (const { bytes } of encoded([...tree.changes()], partBytes, 7)) {
          const { floor, contexts } = decodeChanges(bytes);
          assert.equal(floor, 7);
          for (const each of contexts) other.merge(each);
        }
        assert.deepEqual(dump(other), dump(tree));
      }),
      { numRuns: 1_000 },
    );
  });

  it("go on where somebody else stopped", () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 20 }), fc.integer({ min: 1, max: 120 }), (all, partBytes) => {
        const tree = merged(...all);
        const other = new Tree();
        let after = { path: "", key: "" };
        for (let page = 0; page < 200; page++) {
          const [next] = encoded([...tree.changes(undefined, after)], partBytes);
          if (next === undefined) break;
          for (const each of decodeChanges(next.bytes).contexts) other.merge(each);
          after = { path: next.path, key: next.key };
        }
        assert.deepEqual(dump(other), dump(tree));
      }),
      { numRuns: 1_000 },
    );
  });

  it("that are none are refused, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeChanges(bytes);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "PROTOCOL_VIOLATION");
        }
      }),
      { numRuns: 5_000 },
    );
    const [good] = encoded([change("x", { created: at(1), k: [at(2), "1"] })], 1_000);
    for (let length = 0; length < (good?.bytes.length ?? 0) - 1; length++) assert.throws(() => decodeChanges((good?.bytes ?? new Uint8Array()).subarray(0, length)) && assert.fail("a part was taken for the whole"));
  });
});

/** Three members, whose clocks differ, and messages that are lost, doubled, late and in any order. */
class World {
  readonly members = ["a", "b", "c"].map((member, n) => ({ member, tree: new Tree(), clock: new VersionClock(), skewMs: n * 50 }));
  readonly everything = new Tree();
  readonly random;
  readonly #flying: Array<{ readonly to: number; readonly bytes: Uint8Array }> = [];
  refused = 0;
  floors = 0;
  #nowMs = 1_000;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random.next() * from.length)] as T;
  }

  step(): void {
    const dice = this.random.next();
    this.#nowMs += Math.floor(this.random.next() * 3);
    if (dice < 0.5) this.#write();
    else if (dice < 0.9) this.#arrive();
    else if (dice < 0.95) this.repair(this.pick([0, 1, 2]), this.pick([0, 1, 2]));
    else this.#forget();
  }

  #write(): void {
    const who = Math.floor(this.random.next() * 3);
    const { tree, clock, member, skewMs } = this.members[who] as World["members"][number];
    const version = { time: clock.next(this.#nowMs + skewMs), member };
    const path = this.pick(["x", "x/y", "x/w", "v"]);
    const dice = this.random.next();
    const made: ContextChange[] = [];
    if (!tree.has(path)) made.push(change(path, { base: tree.removalsOf(path), created: version }));
    else if (dice < 0.15) made.push(tree.removal(path, version));
    else made.push(change(path, { base: tree.removalsOf(path), [this.pick(["k", "l", "m"])]: dice < 0.4 ? [version] : [version, JSON.stringify(version.time)] }));
    for (const each of made) {
      tree.merge(each);
      this.everything.merge(each);
    }
    for (const { bytes } of encodeChanges(() => tree.floor, made, 1_000)) for (const to of [0, 1, 2]) if (to !== who && this.random.next() < 0.7) for (let n = this.random.next() < 0.2 ? 2 : 1; n > 0; n--) this.#flying.push({ to, bytes });
  }

  #arrive(): void {
    const [message] = this.#flying.splice(Math.floor(this.random.next() * this.#flying.length), 1);
    if (message !== undefined) this.#take(message.to, message.bytes);
  }

  #take(to: number, bytes: Uint8Array): void {
    const { tree, clock } = this.members[to] as World["members"][number];
    const { floor, contexts } = decodeChanges(bytes);
    tree.raiseFloor(floor);
    if (floor < tree.floor) return void this.refused++;
    for (const each of contexts) tree.merge(each);
    clock.saw(tree.newest);
  }

  repair(one: number, other: number): number {
    const [a, b] = [this.members[one]?.tree as Tree, this.members[other]?.tree as Tree];
    for (const tree of [a, b]) tree.raiseFloor(Math.max(a.floor, b.floor));
    const buckets = differing(b, a.digests.bytes());
    const inventory = takeInventory(a, buckets);
    const { newer, wanted } = compareInventory(b, inventory);
    const [toA, toB] = [[...newer], [...pick(a, inventory, wanted)]];
    for (const { bytes } of encodeChanges(() => b.floor, toA, 200)) this.#take(one, bytes);
    for (const { bytes } of encodeChanges(() => a.floor, toB, 200)) this.#take(other, bytes);
    return buckets.length;
  }

  /** As the coordinator does it; the others hear of it when they hear of it. */
  #forget(): void {
    const time = (this.#nowMs - 20) * TICKS_PER_MS;
    const names = this.members.map(({ tree }) => tree.tombstonesUpTo(time));
    if (new Set(names).size > 1 || (this.members[0]?.tree.size.tombstones ?? 0) === 0) return;
    this.floors++;
    this.members[0]?.tree.raiseFloor(time);
    this.everything.raiseFloor(time);
  }

  quiet(): void {
    for (let round = 0, differ = 1; differ > 0; round++) {
      assert.ok(round < 30, "repairs do not end");
      differ = this.repair(0, 1) + this.repair(1, 2) + this.repair(2, 0);
    }
  }
}

describe("members that compare what they have", () => {
  it("are the same in the end, whatever was lost, doubled, late or out of order, and whatever was forgotten meanwhile", () => {
    let [refused, floors] = [0, 0];
    for (let seed = 1; seed <= 1_500; seed++) {
      const world = new World(seed);
      for (let n = 0; n < 60; n++) world.step();
      world.quiet();
      const floor = Math.max(...world.members.map(({ tree }) => tree.floor));
      world.everything.raiseFloor(floor);
      for (const { tree } of world.members) assert.deepEqual(dump(tree), dump(world.everything), `seed ${seed}`);
      refused += world.refused;
      floors += world.floors;
    }
    assert.ok(refused > 100 && floors > 100, `${refused} refused, ${floors} floors: too little happened`);
  });
});
