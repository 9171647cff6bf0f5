import { differingBuckets } from "./digest.ts";
import { isNewer } from "./tree.ts";
import type { ContextChange, Thing, Tree } from "./tree.ts";
import type { Inventory } from "./words.ts";

/**
 * How two members find out in what they differ, and mend it:
 *
 *     one: digests of all buckets ──▶ other: the buckets that differ, or a higher floor, which counts for both
 *     one: what it has in those   ──▶ other: what it has that is newer, and what it wants of the one
 *     one: that                   ──▶ other
 *
 * and again, until they are the same. All of it is decided here, of the two trees.
 */

/** Things in one inventory; more come with the next one. */
const MOST_THINGS = 20_000;

/** The buckets in which this tree is not what the digests say. */
export function differing(tree: Tree, digests: Uint8Array): number[] {
  return differingBuckets(tree.digests.bytes(), digests);
}

/** What a tree has in those buckets, or in the first of them if it is much. */
export function takeInventory(tree: Tree, buckets: readonly number[]): Inventory {
  const counts = new Map<number, number>(buckets.map((bucket) => [bucket, 0]));
  for (const { bucket } of tree.things()) {
    const count = counts.get(bucket);
    if (count !== undefined) counts.set(bucket, count + 1);
  }
  const taken = new Set<number>();
  let total = 0;
  for (const [bucket, count] of counts) {
    if (total > 0 && total + count > MOST_THINGS) break;
    taken.add(bucket);
    total += count;
  }
  const things = [...tree.things()].filter(({ bucket }) => taken.has(bucket));
  return { floor: tree.floor, buckets: [...taken], things };
}

/** What this tree has that is newer than an inventory, and the places in that of what is newer there. */
export function compareInventory(tree: Tree, { buckets, things }: Inventory): { readonly newer: Iterable<ContextChange>; readonly wanted: readonly number[] } {
  const theirs = new Map<string, Thing>();
  const wanted: number[] = [];
  for (const [at, thing] of things.entries()) {
    theirs.set(nameOf(thing), thing);
    if (isNewer(tree.thing(thing.path, thing.key), thing)) wanted.push(at);
  }
  const concerned = new Set(buckets);
  const newer = tree.changes((thing, bucket) => {
    if (!concerned.has(bucket)) return false;
    const other = theirs.get(nameOf(thing));
    return other === undefined || isNewer(other, thing);
  });
  return { newer, wanted };
}

/** What was wanted of an inventory, as it is now. */
export function pick(tree: Tree, { things }: Inventory, wanted: readonly number[]): Iterable<ContextChange> {
  const names = new Set<string>();
  for (const at of wanted) {
    const thing = things[at];
    if (thing !== undefined) names.add(nameOf(thing));
  }
  return tree.changes((thing) => names.has(nameOf(thing)));
}

function nameOf({ path, key }: Pick<Thing, "path" | "key">): string {
  return `${path}\u0001${key}`;
}
