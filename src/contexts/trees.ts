import { parentOf } from "./names.ts";
import { NOBODY, Tree } from "./tree.ts";
import type { ContextChange, TreeObserver } from "./tree.ts";
import type { Version } from "./version.ts";
import { compareVersions, NEVER, VersionClock } from "./version.ts";

/** The member of versions that never leave the node. */
export const LOCAL = "local";

/** The two trees of a node: the one that all members share, and the one of what stays here. */
export class Trees {
  readonly versions = new VersionClock();
  readonly #excluded: (path: string, key: string) => boolean;
  readonly #wallMs: () => number;
  readonly local: Tree;
  shared: Tree;

  constructor(observer: TreeObserver, excluded: (path: string, key: string) => boolean, wallMs: () => number) {
    this.#excluded = excluded;
    this.#wallMs = wallMs;
    this.local = new Tree(observer);
    this.shared = new Tree({
      created: (path, version) => observer.created(path, version),
      changed: (path, key, entry, version) => {
        if (!excluded(path, key)) observer.changed(path, key, entry, version); // what others do not exclude
      },
      removed: (path) => {
        observer.removed(path);
        this.#removeLocal(path);
      },
    });
  }

  has(path: string): boolean {
    if (this.shared.has(path)) return true;
    if (this.local.created(path) === undefined) return false;
    const parent = parentOf(path);
    return parent === undefined || this.has(parent);
  }

  /** It never leaves this node. */
  isLocal(path: string): boolean {
    return this.local.created(path) !== undefined;
  }

  /** Where a property is. */
  of(path: string, key: string): Tree {
    return this.isLocal(path) || this.#excluded(path, key) ? this.local : this.shared;
  }

  children(path?: string): string[] {
    return [...new Set([...this.shared.children(path), ...this.local.children(path)])].toSorted();
  }

  /** The version of a write that is made now: later than what is forgotten, or it would be forgotten with it. */
  version(member: string): Version {
    this.versions.saw(this.shared.floor);
    return { time: this.versions.next(this.#wallMs()), member };
  }

  mergeLocal(change: ContextChange): void {
    this.local.merge(change);
    this.local.raiseFloor(this.local.newest); // nobody else has any of it
  }

  /** Takes another tree in place of the shared one. What is different is told; a context with another creation was removed and made again, as far as anybody can tell. */
  replace(by: Tree): void {
    const before = this.shared;
    const { observer } = before;
    before.observer = NOBODY;
    by.observer = observer;
    this.shared = by;
    const stays = (path: string) => by.has(path) && compareVersions(by.created(path) ?? NEVER, before.created(path) ?? NEVER) === 0;
    for (const path of before.paths()) if (!stays(path)) observer.removed(path);
    for (const path of by.paths()) {
      const created = by.created(path);
      if (!stays(path) && created !== undefined) observer.created(path, created);
      for (const [key, entry] of by.entries(path)) if (!stays(path) || before.entry(path, key)?.text !== entry.text) observer.changed(path, key, entry, entry.version);
      if (stays(path)) for (const [key, { version }] of before.entries(path)) if (by.entry(path, key) === undefined) observer.changed(path, key, undefined, version);
    }
  }

  #removeLocal(path: string): void {
    this.mergeLocal(this.local.removal(path, this.version(LOCAL)));
  }
}
