import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BUCKETS } from "../../src/contexts/digest.ts";
import { decodeIndex, dirtyShelves, encodeIndex, NO_INDEX, planShelves } from "../../src/contexts/shelves.ts";
import type { NewShelf, Shelf } from "../../src/contexts/shelves.ts";
import { NO_REMOVALS, Tree } from "../../src/contexts/tree.ts";
import type { ContextChange } from "../../src/contexts/tree.ts";
import { seededRandom } from "../../src/kernel/index.ts";

const at = (time: number) => ({ time, member: "m" });
const dump = (tree: Tree) => [...tree.changes()].map(({ path, base, created, properties }) => ({ path, base, created, properties }));

/** A store of shelves: what is on them, by name. */
class Shelves {
  shelves: readonly Shelf[] = NO_INDEX.shelves;
  readonly #on = new Map<string, readonly ContextChange[]>();
  #count = 0;

  keep(tree: Tree): readonly NewShelf[] {
    const { kept, written } = planShelves(tree, this.shelves);
    const named = written.map(({ changes, ...shelf }) => {
      const name = `document-${++this.#count}`;
      this.#on.set(name, changes);
      return { ...shelf, documents: changes.length === 0 ? [] : [name] };
    });
    this.shelves = [...kept, ...named].toSorted((a, b) => a.first - b.first);
    return written;
  }

  read(floor: number): Tree {
    const tree = new Tree();
    tree.raiseFloor(floor);
    for (const { documents } of this.shelves) for (const name of documents) for (const change of this.#on.get(name) ?? []) tree.merge(change);
    return tree;
  }
}

const sizeOf = ({ changes }: NewShelf): number => changes.reduce((sum, { properties }) => sum + properties.reduce((each, { text }) => each + (text?.length ?? 0), 0), 0);

describe("the shelves of a tree", () => {
  it("have every bucket once, and hold the tree, whatever is written, removed and forgotten", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = seededRandom(seed);
      const tree = new Tree();
      const store = new Shelves();
      let time = 1;
      const below = (most: number) => Math.floor(random.next() * most);
      for (let step = 0; step < 40; step++) {
        const longest = [20, 2_000, 20_000][below(3)] ?? 20;
        for (let n = below(60); n > 0; n--) {
          const path = ["a", "a/b", "a/b/c", "d"][below(4)] ?? "a";
          const base = tree.removalsOf(path);
          const dice = random.next();
          if (dice < 0.02) tree.merge(tree.removal(path, at(++time)));
          else if (dice < 0.1) tree.merge({ path, base, created: at(++time), properties: [] });
          else tree.merge({ path, base, created: undefined, properties: [{ key: `k${below(300)}`, version: at(++time), text: dice < 0.3 ? undefined : "x".repeat(below(longest)) }] });
        }
        if (random.next() < 0.1) tree.raiseFloor(time - 20);
        store.keep(tree);
        assert.deepEqual(store.shelves.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, n) => first + n)), Array.from({ length: BUCKETS }, (_, n) => n), `seed ${seed}, step ${step}`);
        assert.deepEqual(dirtyShelves(tree, store.shelves), []);
        assert.deepEqual(dump(store.read(tree.floor)), dump(tree), `seed ${seed}, step ${step}`);
      }
    }
  });

  it("are one for a small tree, some for a large one, of which a change needs only its own, and one again when it is small again", () => {
    const tree = new Tree();
    const store = new Shelves();
    tree.merge({ path: "config", base: NO_REMOVALS, created: at(1), properties: [] });
    const put = (key: string, time: number, text: string | undefined) => tree.merge({ path: "config", base: NO_REMOVALS, created: undefined, properties: [{ key, version: at(time), text }] });
    for (let n = 0; n < 300; n++) put(`k${n}`, 2, "some value");
    assert.equal(store.keep(tree).length, 1);
    assert.equal(store.keep(tree).length, 0);
    for (let n = 0; n < 3_000; n++) put(`k${n}`, 3, "x".repeat(1_000));
    const written = store.keep(tree);
    assert.ok(written.length > 45 && written.length < 256, `${written.length} shelves for 3 MB`);
    for (const shelf of written) assert.ok(sizeOf(shelf) <= 64 * 1024);
    put("k7", 4, "changed");
    assert.equal(store.keep(tree).length, 1);
    for (let n = 0; n < 3_000; n++) put(`k${n}`, 5, undefined);
    tree.raiseFloor(5);
    store.keep(tree);
    assert.equal(store.shelves.length, 1);
  });

  it("come out of the index as they went in, and an index of another format is refused", () => {
    const shelves = [{ first: 0, last: 17, digest: "a.b", documents: ["one", "two"] }, { first: 18, last: 255, digest: "0.0", documents: [] }];
    assert.deepEqual(decodeIndex(encodeIndex({ floor: 7, shelves })), { floor: 7, shelves });
    assert.throws(() => decodeIndex(JSON.stringify({ format: 3 })), { code: "PROTOCOL_VIOLATION" });
  });
});
