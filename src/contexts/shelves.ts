import { TribuneError } from "../kernel/index.ts";
import { bucketOf, BUCKETS } from "./digest.ts";
import type { ContextChange, Tree } from "./tree.ts";
import { decodeChanges } from "./words.ts";
import type { Changes } from "./words.ts";

/**
 * How a tree is kept in documents: its buckets stand on shelves, neighbours together as long as they are small, so that a small tree is one document and a large one is not written anew for each change. What is on a shelf is written once, under a name
 * of its own, and never changed; one document, the index, says which shelves there are. Whoever has written the index has written all of it, and until then nothing.
 */
export interface Shelf {
  /** Of its buckets, both included. */
  readonly first: number;
  readonly last: number;
  /** Of all that was in these buckets when it was written. */
  readonly digest: string;
  /** Where it is; none: there was nothing. */
  readonly documents: readonly string[];
}

/** Which shelves there are: together they have every bucket once. */
export interface Index {
  /** What was forgotten when it was written. */
  readonly floor: number;
  /** In the order of their buckets. */
  readonly shelves: readonly Shelf[];
}

/** What is to stand on a shelf. */
export interface NewShelf extends Omit<Shelf, "documents"> {
  readonly changes: readonly ContextChange[];
}

/** What has to be written so that the store has the tree, and what may stay as it is. */
export interface ShelfPlan {
  readonly kept: readonly Shelf[];
  readonly written: readonly NewShelf[];
}

/** The digest of buckets in which nothing is. */
const NOTHING = "0.0";

/** No digest is like that: what is on such a shelf is not known. */
export const UNKNOWN = "";

/** What a shelf has at most, about, before it is divided, and what is put together on one; in characters. Less is more documents for a tree, more is more that is written for one change. */
const LARGEST_SHELF = 64 * 1024;
const GOOD_SHELF = 32 * 1024;

/** What a thing costs besides its texts, about. */
const THING_SIZE = 24;

/** Where nothing was ever kept. */
export const NO_INDEX: Index = { floor: 0, shelves: [{ first: 0, last: BUCKETS - 1, digest: NOTHING, documents: [] }] };

/** The shelves that are not what the tree has. */
export function dirtyShelves({ digests }: Pick<Tree, "digests">, shelves: readonly Shelf[]): Shelf[] {
  return shelves.filter(({ first, last, digest }) => digest !== digests.over(first, last));
}

/** Decides what is written. Walks the tree once. */
export function planShelves(tree: Pick<Tree, "digests" | "changes">, shelves: readonly Shelf[]): ShelfPlan {
  const dirty = new Set(dirtyShelves(tree, shelves));
  const kept = shelves.filter((shelf) => !dirty.has(shelf));
  if (dirty.size === 0) return { kept, written: [] };
  const wanted = Array.from({ length: BUCKETS }, () => false);
  for (const { first, last } of dirty) wanted.fill(true, first, last + 1);
  /** Contexts of which more is said than what is in them. */
  const themselves = new Set<string>();
  const changes = [
    ...tree.changes(({ path, key }, bucket) => {
      if (wanted[bucket] !== true) return false;
      if (key === "") themselves.add(path);
      return true;
    }),
  ];
  const written = layOut([...dirty], sizes(changes)).map(({ first, last }) => ({ first, last, digest: tree.digests.over(first, last), changes: [] as ContextChange[] }));
  const shelfOf = new Map<number, ContextChange[]>();
  for (const shelf of written) for (let bucket = shelf.first; bucket <= shelf.last; bucket++) shelfOf.set(bucket, shelf.changes);
  for (const change of changes) distribute(change, themselves.has(change.path), shelfOf);
  return { kept, written };
}

type Range = Pick<Shelf, "first" | "last">;

function layOut(dirty: readonly Shelf[], sizeOf: readonly number[]): Range[] {
  const size = ({ first, last }: Range): number => sizeOf.slice(first, last + 1).reduce((sum, each) => sum + each, 0);
  const divided = (range: Range, limit: number): Range[] => {
    if (range.first === range.last || size(range) <= limit) return [range];
    const middle = Math.floor((range.first + range.last) / 2);
    return [...divided({ first: range.first, last: middle }, GOOD_SHELF), ...divided({ first: middle + 1, last: range.last }, GOOD_SHELF)];
  };
  const ranges: Range[] = [];
  for (const range of dirty.flatMap((shelf) => divided(shelf, LARGEST_SHELF))) {
    const before = ranges.at(-1);
    if (before?.last === range.first - 1 && size(before) + size(range) <= GOOD_SHELF) ranges[ranges.length - 1] = { first: before.first, last: range.last };
    else ranges.push(range);
  }
  return ranges;
}

/** By bucket. */
function sizes(changes: readonly ContextChange[]): number[] {
  const sizeOf = Array.from({ length: BUCKETS }, () => 0);
  const add = (bucket: number, size: number): void => void (sizeOf[bucket] = (sizeOf[bucket] ?? 0) + size + THING_SIZE);
  for (const { path, properties } of changes) {
    add(bucketOf(path, ""), path.length);
    for (const { key, text } of properties) add(bucketOf(path, key), path.length + key.length + (text?.length ?? 0));
  }
  return sizeOf;
}

/** Puts what is said of a context onto the shelves where it belongs. */
function distribute({ path, base, created, properties }: ContextChange, isItself: boolean, shelfOf: ReadonlyMap<number, ContextChange[]>): void {
  const parts = new Map<ContextChange[], ContextChange["properties"][number][]>();
  const home = shelfOf.get(bucketOf(path, ""));
  if (isItself && home !== undefined) parts.set(home, []);
  for (const property of properties) {
    const shelf = shelfOf.get(bucketOf(path, property.key));
    if (shelf === undefined) continue;
    const part = parts.get(shelf);
    if (part === undefined) parts.set(shelf, [property]);
    else part.push(property);
  }
  for (const [shelf, part] of parts) shelf.push({ path, base, created: isItself && shelf === home ? created : undefined, properties: part });
}

// ---- documents -----------------------------------------------------------------------------------------------

const FORMAT = 2;

export function encodeIndex({ floor, shelves }: Index): string {
  return JSON.stringify({ format: FORMAT, floor, shelves: shelves.map(({ first, last, digest, documents }) => [first, last, digest, documents]) });
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodeIndex(text: string): Index {
  const { format, floor, shelves } = JSON.parse(text) as { readonly format: number; readonly floor: number; readonly shelves: ReadonlyArray<readonly [number, number, string, readonly string[]]> };
  if (format !== FORMAT) throw new TribuneError("PROTOCOL_VIOLATION", `the contexts in the store have format ${format}, and this member knows ${FORMAT}`, { about: "contexts", next: "run the same version of Tribune on all members" });
  return { floor, shelves: shelves.map(([first, last, digest, documents]) => ({ first, last, digest, documents })) };
}

export function encodeShelf(bytes: Uint8Array): string {
  return JSON.stringify({ format: FORMAT, changes: Buffer.from(bytes).toString("base64") });
}

/** Throws `PROTOCOL_VIOLATION`. */
export function decodeShelf(text: string): Changes {
  const { changes } = JSON.parse(text) as { readonly changes: string };
  return decodeChanges(Buffer.from(changes, "base64"));
}
