import { bucketOf, Digests } from "./digest.ts";
import { parentOf } from "./names.ts";
import { compareVersions, NEVER } from "./version.ts";
import type { Version } from "./version.ts";

/** A property, or the memory of one that was deleted. */
export interface Entry {
  readonly version: Version;
  /** JSON; `undefined`: deleted. */
  readonly text: string | undefined;
  readonly bucket: number;
  /** The value, once somebody asked for it: the object that was handed out. */
  cached?: { readonly value: unknown };
}

/** What is said of one property. */
export interface PropertyChange {
  readonly key: string;
  readonly version: Version;
  readonly text: string | undefined;
}

/**
 * The last removal of each context on a path, from the top on, as far as somebody knows; `NEVER` where there was none, and what is missing at the end was not removed either. For each its own: a later removal further down
 * does not say that the one above was known.
 */
export type Removals = readonly Version[];

/** Nothing on the path was ever removed. */
export const NO_REMOVALS: Removals = Object.freeze([]);

/** What is said of one context: that it was created, or what its properties are, or, without either, that it was removed at the last of `base`. */
export interface ContextChange {
  readonly path: string;
  /** What whoever says this knew of. What did not know of the last removal does not count: a removal wins. */
  readonly base: Removals;
  readonly created: Version | undefined;
  readonly properties: readonly PropertyChange[];
}

/** What is known of a property, deleted or not, or, under the key "", of a context itself. */
export interface Thing {
  readonly path: string;
  readonly key: string;
  readonly base: Removals;
  readonly version: Version;
}

/** Which of two knows of a removal that the other one does not: the first difference from the top on decides, since what is below a removal goes with it. */
export function compareRemovals(a: Removals, b: Removals): number {
  for (let level = 0; level < Math.max(a.length, b.length); level++) {
    const order = compareVersions(a[level] ?? NEVER, b[level] ?? NEVER);
    if (order !== 0) return order;
  }
  return 0;
}

/** Whether of two things of the same name the second one is to stand: knowledge of a removal counts before time. */
export function isNewer(than: Pick<Thing, "base" | "version">, thing: Pick<Thing, "base" | "version">): boolean {
  const bases = compareRemovals(thing.base, than.base);
  return bases > 0 || (bases === 0 && compareVersions(thing.version, than.version) > 0);
}

/** Hears what changes in a tree, as it happens. */
export interface TreeObserver {
  created(path: string, version: Version): void;
  removed(path: string): void;
  /** `entry` is undefined where it was deleted. The context may not be there yet: its creation is still to come. */
  changed(path: string, key: string, entry: Entry | undefined, version: Version): void;
}

/** Takes every change in silence. */
export const NOBODY: TreeObserver = { created() {}, removed() {}, changed() {} };

interface Node {
  readonly path: string;
  readonly parent: Node | undefined;
  readonly children: Map<string, Node>;
  /** The last removal of this context itself; `NEVER` where one above it was removed and this was not since. */
  cut: Version;
  created: Version | undefined;
  readonly entries: Map<string, Entry>;
  readonly bucket: number;
}

/** What a hash is of. */
const [OF_PROPERTY, OF_DELETED, OF_CREATION, OF_REMOVAL] = [1, 2, 3, 4];

/** How a context and its removal are named among the tombstones. No key has such a character. */
const REMOVAL_MARK = "\u0001";

/**
 * Contexts and their properties, as a replicated data type: whatever is merged, in whatever order, however often, trees that have merged the same things are equal. Of two writes of a property the one with the greater version stands;
 * a removal of a context takes with it everything, here and below, that was written without knowledge of it. No I/O, no clock.
 *
 * What was deleted leaves a tombstone, so that older writes that come late do not bring it back. Up to `floor` they are forgotten, which all members do only after each of them had them all:
 * so what says something of the time before the floor, and did not know of the floor, is not to be merged (see `floor`).
 */
export class Tree {
  readonly #root = new Map<string, Node>();
  readonly #nodes = new Map<string, Node>();
  readonly #tombstones = new Map<string, Version>();
  readonly #digests = new Digests();
  /** Who hears of changes from now on. */
  observer: TreeObserver;
  #floor = 0;
  #newest = 0;
  #properties = 0;

  constructor(observer: TreeObserver = NOBODY) {
    this.observer = observer;
  }

  // ---- reading -----------------------------------------------------------------------------------------------

  /** Whether there is such a context: it was created, and so were all above it. */
  has(path: string): boolean {
    let node = this.#nodes.get(path);
    if (node === undefined) return false;
    for (; node !== undefined; node = node.parent) if (node.created === undefined) return false;
    return true;
  }

  /** When it was created, whether or not those above it are there; `undefined` if it was not. */
  created(path: string): Version | undefined {
    return this.#nodes.get(path)?.created;
  }

  /** The paths right below that were created, in order; without a path those at the top. */
  children(path?: string): string[] {
    const nodes = path === undefined ? this.#root : this.#nodes.get(path)?.children;
    return [...(nodes?.values() ?? [])].filter(({ created }) => created !== undefined).map((node) => node.path).toSorted();
  }

  /** A property that is there; whether its context is, `has` says. */
  entry(path: string, key: string): Entry | undefined {
    const entry = this.#nodes.get(path)?.entries.get(key);
    return entry?.text === undefined ? undefined : entry;
  }

  /** What is known under a name; for what is not, since when it is not. */
  thing(path: string, key: string): Thing {
    const node = this.#nodes.get(path);
    const version = node === undefined ? undefined : key === "" ? newest(node) : node.entries.get(key)?.version;
    return { path, key, base: this.removalsOf(path), version: version ?? NEVER };
  }

  /** The properties that are there. */
  *entries(path: string): Iterable<[string, Entry]> {
    for (const each of this.#nodes.get(path)?.entries ?? []) if (each[1].text !== undefined) yield each;
  }

  /** Paths of all contexts that are there, in order. */
  paths(): string[] {
    return [...this.#nodes.keys()].filter((path) => this.has(path)).toSorted();
  }

  /** What is known here of removals on a path. */
  removalsOf(path: string): Removals {
    const removals: Version[] = [];
    for (let each: string | undefined = path; each !== undefined; each = parentOf(each)) {
      const cut = this.#nodes.get(each)?.cut ?? NEVER;
      if (cut !== NEVER || removals.length > 0) removals.push(cut);
    }
    return removals.length === 0 ? NO_REMOVALS : removals.reverse();
  }

  /** Whether it was said without knowledge of a removal that is known here. */
  isVoid({ path, base }: Pick<ContextChange, "path" | "base">): boolean {
    return compareRemovals(this.#remembered(base), this.removalsOf(path)) < 0;
  }

  /** What is to be said of a removal that is made here and now. */
  removal(path: string, version: Version): ContextChange {
    const above = pathsTo(path).slice(0, -1).map((each) => this.#nodes.get(each)?.cut ?? NEVER);
    return { path, base: [...above, version], created: undefined, properties: [] };
  }

  /** Everything up to this time that was deleted is forgotten; in ticks. */
  get floor(): number {
    return this.#floor;
  }

  /** The greatest time in it, in ticks. */
  get newest(): number {
    return this.#newest;
  }

  get size(): { readonly contexts: number; readonly properties: number; readonly tombstones: number } {
    return { contexts: this.paths().length, properties: this.#properties, tombstones: this.#tombstones.size };
  }

  /** Nothing was ever merged, or all of it is forgotten. */
  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  /** For comparison with another tree of the same floor. */
  get digests(): Pick<Digests, "bytes" | "over"> {
    return this.#digests;
  }

  /** The newest tombstone up to a time, in ticks; `undefined` if there is none. */
  newestTombstoneUpTo(limit: number): number | undefined {
    let newest: number | undefined;
    for (const { time } of this.#tombstones.values()) if (time <= limit && (newest === undefined || time > newest)) newest = time;
    return newest;
  }

  /** Names all tombstones up to a time: two trees with the same name have the same ones. */
  tombstonesUpTo(time: number): string {
    const digests = new Digests();
    for (const [name, version] of this.#tombstones) if (version.time <= time) digests.toggle(0, name, "", OF_DELETED, version);
    return digests.of(0);
  }

  /** Everything that is known, deletions and removals too, context by context; the property "" is the context itself. */
  *things(): Iterable<Thing & { readonly bucket: number }> {
    for (const node of this.#nodes.values()) {
      const { path, bucket } = node;
      const base = this.removalsOf(path);
      const version = newest(node);
      if (version !== undefined) yield { path, key: "", base, version, bucket };
      for (const [key, entry] of node.entries) yield { path, key, base, version: entry.version, bucket: entry.bucket };
    }
  }

  /** Everything in some buckets, or all of it, context by context in the order of their paths, the properties in the order of their keys; `wanted` says of each thing, "" being the context itself, whether it is. */
  *changes(wanted: (thing: Thing, bucket: number) => boolean = () => true, after = { path: "", key: "" }): Iterable<ContextChange> {
    for (const path of [...this.#nodes.keys()].toSorted()) {
      if (path < after.path) continue;
      const node = this.#nodes.get(path);
      if (node === undefined) continue; // gone meanwhile
      const skip = path === after.path ? after.key : undefined;
      const itself = newest(node);
      const base = this.removalsOf(path);
      const isWanted = skip === undefined && itself !== undefined && wanted({ path, key: "", base, version: itself }, node.bucket);
      const properties: PropertyChange[] = [];
      for (const [key, { version, text, bucket }] of node.entries) if ((skip === undefined || key > skip) && wanted({ path, key, base, version }, bucket)) properties.push({ key, version, text });
      if (!isWanted && properties.length === 0) continue;
      properties.sort((a, b) => (a.key < b.key ? -1 : 1));
      yield { path, base, created: isWanted ? node.created : undefined, properties };
    }
  }

  // ---- changing ----------------------------------------------------------------------------------------------

  /** Merges what somebody says whose floor is the same. Whether the tree is another one now. */
  merge(change: ContextChange): boolean {
    const { path, created, properties } = change;
    const base = this.#remembered(change.base);
    let isChanged = false;
    for (const [level, each] of pathsTo(path).entries()) {
      const cut = base[level] ?? NEVER;
      const known = compareVersions(cut, this.#nodes.get(each)?.cut ?? NEVER);
      if (known < 0) return isChanged; // of before a removal that is known here
      if (known === 0) continue;
      this.#cut(this.#node(each), cut);
      isChanged = true;
    }
    if (created === undefined && properties.length === 0) return isChanged;
    const node = this.#node(path);
    if (created !== undefined && compareVersions(created, node.created ?? NEVER) > 0) {
      isChanged = true;
      const isNew = node.created === undefined;
      this.#setCreated(node, created);
      if (isNew) this.observer.created(path, created);
    }
    for (const each of properties) if (this.#put(node, each)) isChanged = true;
    this.#prune(node);
    return isChanged;
  }

  /** Forgets what was deleted up to a time; nothing happens if the floor is there already. */
  raiseFloor(time: number): void {
    if (time <= this.#floor) return;
    this.#floor = time;
    for (const [name, version] of this.#tombstones) {
      if (version.time > time) continue;
      const at = name.lastIndexOf(REMOVAL_MARK);
      const node = this.#nodes.get(name.slice(0, at));
      if (node === undefined) continue;
      const key = name.slice(at + 1);
      if (key === "") this.#setCut(node, NEVER);
      else this.#drop(node, key);
      this.#prune(node);
    }
  }

  #put(node: Node, { key, version, text }: PropertyChange): boolean {
    const before = node.entries.get(key);
    if (before !== undefined && compareVersions(version, before.version) <= 0) return false;
    if (text === undefined && version.time <= this.#floor) return false; // forgotten everywhere
    this.#saw(version);
    const bucket = before?.bucket ?? bucketOf(node.path, key);
    if (before !== undefined) this.#forget(node, key, before);
    const entry: Entry = { version, text, bucket };
    node.entries.set(key, entry);
    this.#digests.toggle(bucket, node.path, key, text === undefined ? OF_DELETED : OF_PROPERTY, version);
    if (text === undefined) this.#tombstones.set(node.path + REMOVAL_MARK + key, version);
    else this.#properties++;
    if (text !== undefined || before?.text !== undefined) this.observer.changed(node.path, key, text === undefined ? undefined : entry, version);
    return true;
  }

  #drop(node: Node, key: string): void {
    const entry = node.entries.get(key);
    if (entry === undefined) return;
    this.#forget(node, key, entry);
    node.entries.delete(key);
  }

  /** Without what is forgotten. */
  #remembered(base: Removals): Removals {
    return base.some(({ time }) => time <= this.#floor) ? base.map((cut) => (cut.time <= this.#floor ? NEVER : cut)) : base;
  }

  /** All traces of an entry but itself. */
  #forget(node: Node, key: string, entry: Entry): void {
    this.#digests.toggle(entry.bucket, node.path, key, entry.text === undefined ? OF_DELETED : OF_PROPERTY, entry.version);
    if (entry.text === undefined) this.#tombstones.delete(node.path + REMOVAL_MARK + key);
    else this.#properties--;
  }

  /** Everything here and below was written without knowledge of this removal. */
  #cut(node: Node, cut: Version): void {
    this.#saw(cut);
    this.#setCut(node, cut); // first, so that it is not pruned with what is below it
    this.#clear(node);
  }

  #clear(node: Node): void {
    for (const child of [...node.children.values()]) {
      this.#clear(child);
      this.#setCut(child, NEVER); // whoever removed it did not know of this removal either
      this.#prune(child);
    }
    for (const key of [...node.entries.keys()]) this.#drop(node, key);
    if (node.created === undefined) return;
    this.#setCreated(node, undefined);
    this.observer.removed(node.path);
  }

  #setCreated(node: Node, version: Version | undefined): void {
    if (node.created !== undefined) this.#digests.toggle(node.bucket, node.path, "", OF_CREATION, node.created);
    node.created = version;
    if (version === undefined) return;
    this.#saw(version);
    this.#digests.toggle(node.bucket, node.path, "", OF_CREATION, version);
  }

  #setCut(node: Node, cut: Version): void {
    if (node.cut !== NEVER) {
      this.#digests.toggle(node.bucket, node.path, "", OF_REMOVAL, node.cut);
      this.#tombstones.delete(node.path + REMOVAL_MARK);
    }
    node.cut = cut;
    if (cut === NEVER) return;
    this.#digests.toggle(node.bucket, node.path, "", OF_REMOVAL, cut);
    this.#tombstones.set(node.path + REMOVAL_MARK, cut);
  }

  #saw({ time }: Version): void {
    if (time > this.#newest) this.#newest = time;
  }

  #node(path: string): Node {
    const known = this.#nodes.get(path);
    if (known !== undefined) return known;
    const above = parentOf(path);
    const parent = above === undefined ? undefined : this.#node(above);
    const node: Node = { path, parent, children: new Map(), cut: NEVER, created: undefined, entries: new Map(), bucket: bucketOf(path, "") };
    this.#nodes.set(path, node);
    (parent?.children ?? this.#root).set(path, node);
    return node;
  }

  /** Nodes of which nothing is known any more are not kept. */
  #prune(node: Node): void {
    for (let each: Node | undefined = node; each !== undefined; each = each.parent) {
      if (each.created !== undefined || each.entries.size > 0 || each.children.size > 0 || each.cut !== NEVER) return;
      this.#nodes.delete(each.path);
      (each.parent?.children ?? this.#root).delete(each.path);
    }
  }
}

/** The newest thing that is said of a context itself. */
function newest({ cut, created }: Node): Version | undefined {
  if (created === undefined) return cut === NEVER ? undefined : cut;
  return compareVersions(created, cut) > 0 ? created : cut;
}

/** A path, and those above it, from the top on. */
function pathsTo(path: string): string[] {
  const paths: string[] = [];
  for (let each: string | undefined = path; each !== undefined; each = parentOf(each)) paths.push(each);
  return paths.reverse();
}
