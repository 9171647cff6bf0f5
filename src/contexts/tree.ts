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

/** What is said of one context: that it was created, or what its properties are, or, without either, that it was removed at `base`. */
export interface ContextChange {
  readonly path: string;
  /** The last removal of it, or of one above it, that whoever says this knew of. What did not know of the last removal does not count: a removal wins. */
  readonly base: Version;
  readonly created: Version | undefined;
  readonly properties: readonly PropertyChange[];
}

/** What is known of a property, deleted or not, or, under the key "", of a context itself. */
export interface Thing {
  readonly path: string;
  readonly key: string;
  /** The last removal of the context, or of one above it. */
  readonly base: Version;
  readonly version: Version;
}

/** Whether of two things of the same name the second one is to stand: knowledge of a removal counts before time. */
export function isNewer(than: Pick<Thing, "base" | "version">, thing: Pick<Thing, "base" | "version">): boolean {
  const bases = compareVersions(thing.base, than.base);
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
  /** The last removal of this context itself; `NEVER` where one above it was removed later. */
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
    return { path, key, base: this.cutOf(path), version: version ?? NEVER };
  }

  /** The properties that are there. */
  *entries(path: string): Iterable<[string, Entry]> {
    for (const each of this.#nodes.get(path)?.entries ?? []) if (each[1].text !== undefined) yield each;
  }

  /** Paths of all contexts that are there, in order. */
  paths(): string[] {
    return [...this.#nodes.keys()].filter((path) => this.has(path)).toSorted();
  }

  /** The last removal of a context, or of one above it. */
  cutOf(path: string): Version {
    let cut = NEVER;
    for (let each: string | undefined = path; each !== undefined; each = parentOf(each)) {
      const own = this.#nodes.get(each)?.cut ?? NEVER;
      if (compareVersions(own, cut) > 0) cut = own;
    }
    return cut;
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

  /** The oldest tombstone, in ticks; `undefined` if there is none. */
  get oldestTombstone(): number | undefined {
    let oldest: number | undefined;
    for (const { time } of this.#tombstones.values()) if (oldest === undefined || time < oldest) oldest = time;
    return oldest;
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
      const base = this.cutOf(path);
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
      const base = this.cutOf(path);
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
    const base = change.base.time <= this.#floor ? NEVER : change.base;
    const known = compareVersions(base, this.cutOf(path));
    if (known < 0) return false; // of before a removal that is known here
    let isChanged = false;
    if (known > 0) {
      this.#cut(this.#node(path), base);
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
    this.#clear(node, cut);
  }

  #clear(node: Node, cut: Version): void {
    for (const child of [...node.children.values()]) {
      const later = compareVersions(child.cut, cut);
      if (later > 0) continue; // what is there was written after a later removal of its own
      if (later < 0) this.#clear(child, cut); // else it was heard of by way of the child before
      this.#setCut(child, NEVER); // what is above it says it now
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
