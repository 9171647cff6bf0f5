import { backoffMs, isTribuneError, sleep, TribuneError, withDeadline } from "../kernel/index.ts";
import type { Clock, Random, Timer } from "../kernel/index.ts";
import { decodeIndex, decodeShelf, dirtyShelves, encodeIndex, encodeShelf, NO_INDEX, planShelves, UNKNOWN } from "./shelves.ts";
import type { Index, Shelf } from "./shelves.ts";
import type { Tree } from "./tree.ts";
import { encodeChanges } from "./words.ts";
import type { Changes } from "./words.ts";

/** Where the tree is kept: versioned documents of a store. Each call ends by itself, in time. */
export interface ContextDocuments {
  list(prefix: string): Promise<ReadonlyArray<{ readonly name: string; readonly version: number }>>;
  read(name: string): Promise<{ readonly version: number; readonly text: string } | null>;
  /** Where the document has that version, 0 for none; answers whether it did. Rejects while this node may not act as a member. */
  write(input: { readonly name: string; readonly expectedVersion: number; readonly text: string }): Promise<boolean>;
  remove(input: { readonly name: string; readonly expectedVersion: number }): Promise<boolean>;
}

/** What keeping the tree stands on. */
export interface DurablePorts {
  readonly documents: ContextDocuments;
  readonly tree: () => Tree;
  readonly clock: Clock;
  readonly random: Random;
  /** How long the store may be behind, in milliseconds. */
  readonly everyMs: number;
  /** Merges what another member wrote. */
  readonly take: (changes: Changes) => void;
  readonly failed: (error: unknown) => void;
}

/** What the names of the documents begin with. */
export const CONTEXT_DOCUMENTS = "contexts-";

/** The document that names all others. */
const INDEX = `${CONTEXT_DOCUMENTS}index`;

/** Before base64, which adds a third; the largest document is 512 KiB. */
const PART_BYTES = 96 * 1024;

/** So many documents are read or written at a time. */
const AT_ONCE = 8;

/** How long a member that stops tries to have everything in the store. */
const FINISH_MS = 5_000;

/** Somebody else wrote first, or the store is away for a moment. */
const RETRY = { firstMs: 20, longestMs: 500 };

/** So many documents that nobody needs any more are cleared away at once; fewer, when there is nothing else to do. */
const MUCH_LITTER = 32;

/** How often it is looked anew where something was replaced meanwhile. */
const MOST_LOOKS = 20;

/** The index, and its version in the store; 0: there is none. */
type FoundIndex = Index & { readonly version: number };

/** What this member knows of the documents, while it has the same tree. */
interface Known {
  /** The last index that it read or wrote; `undefined`: it has to look. */
  index: Index | undefined;
  /** The documents in it that are part of the tree here. */
  merged: Set<string>;
  /** How many documents there are, at least, that nobody needs any more: what members left behind that wrote and ended is not known at first. */
  litter: number;
}

/**
 * Keeps the tree in the store, behind the writes: `shelves.ts` says how. The coordinator does, and everybody who stops. Whoever writes the index has merged all that the one before it names, and writes it where it is that one still: so the store never has less
 * than it had, whoever writes, and a member that was frozen and comes late writes nothing.
 */
export class DurableContexts {
  readonly #ports: DurablePorts;
  #known: Known = nothingKnown();
  #isCoordinator: () => boolean = () => false;
  #timer: Timer | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(ports: DurablePorts) {
    this.#ports = ports;
  }

  /** Something is not in the store yet, as far as this member knows. */
  get isBehind(): boolean {
    return this.#known.index === undefined || dirtyShelves(this.#ports.tree(), this.#known.index.shelves).length > 0;
  }

  /** Reads all that is kept. `take` merges it, into the tree or into what becomes it. Rejects with what the store rejects with. */
  load(take: (changes: Changes) => void): Promise<void> {
    return this.#inTurn(async () => void (await this.#look(this.#known, take, "all")));
  }

  /** Begins to keep it, while `isCoordinator` says so. */
  begin(isCoordinator: () => boolean): void {
    this.#timer?.cancel();
    this.#isCoordinator = isCoordinator;
    this.#schedule();
  }

  /** Keeps nothing any more; the tree may be another one from now on. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isCoordinator = () => false;
    this.#known = nothingKnown();
  }

  /**
   * Before this member leaves: resolves when all that it has is in the store, whoever wrote it. What is not by the time is told, with `CONTEXTS_NOT_KEPT`; so is what it may not write, since `isMember` says that it has no place in the group.
   */
  async finish(isMember: () => boolean): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#ports;
    const over = new AbortController();
    const trouble: { last?: unknown } = {};
    const keeping = this.#inTurn(() => this.#keepAll(isMember, trouble, over.signal));
    await withDeadline(keeping, { clock, ms: FINISH_MS, operation: "keeping the contexts" }).catch((error: unknown) => {
      over.abort();
      this.#ports.failed(this.#notKept(trouble.last ?? error));
    });
  }

  async #keepAll(isMember: () => boolean, trouble: { last?: unknown }, over: AbortSignal): Promise<void> {
    const { clock, random } = this.#ports;
    for (let failures = 0; !over.aborted; failures++) {
      if (!isMember()) throw new TribuneError("CONTEXTS_AWAY", "this node has no place in the group", { about: "contexts" });
      try {
        if (await this.#keep(() => !over.aborted && isMember())) return;
      } catch (error) {
        trouble.last = error;
        if (isTribuneError(error) && !error.retryable) throw error;
      }
      await sleep(clock, backoffMs(failures, RETRY, random), over);
    }
  }

  #notKept(cause: unknown): TribuneError {
    const { index } = this.#known;
    const what = index === undefined ? "it is not known what of the contexts is in the store" : `${dirtyShelves(this.#ports.tree(), index.shelves).length} of ${index.shelves.length} parts of the contexts are not in the store`;
    return new TribuneError("CONTEXTS_NOT_KEPT", `this node stops, and ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { about: "contexts", next: "members that go on have it, and keep it; if this was the last one, what was written last is gone", cause });
  }

  #schedule(): void {
    const timer = this.#ports.clock.setTimer(this.#ports.everyMs, () => {
      void this.#inTurn(() => this.#round()).then(() => {
        if (this.#timer === timer) this.#schedule();
      });
    });
    this.#timer = timer;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#running.then(work);
    this.#running = turn.catch(() => undefined);
    return turn;
  }

  /** Never rejects. */
  async #round(): Promise<void> {
    const known = this.#known;
    if (!this.#isCoordinator()) {
      known.index = undefined; // another one writes
      return;
    }
    try {
      const isQuiet = !this.isBehind;
      if ((await this.#keep(() => this.#isCoordinator())) && known.litter >= (isQuiet ? 1 : MUCH_LITTER)) await this.#tidy(known);
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  /** Whether everything is kept that this member has. If not: somebody else wrote first, or it may not write any more. */
  async #keep(mayWrite: () => boolean): Promise<boolean> {
    const known = this.#known;
    if (!this.isBehind) return true;
    try {
      const found = await this.#look(known, this.#ports.take, "new");
      return await this.#write(known, found, () => this.#known === known && mayWrite());
    } catch (error) {
      known.index = undefined; // whatever was done
      throw error;
    }
  }

  /** Writes what is not kept: shelves first, and then the index, with which it counts. */
  async #write(known: Known, { version, shelves }: FoundIndex, mayWrite: () => boolean): Promise<boolean> {
    const { documents, random } = this.#ports;
    const tree = this.#ports.tree();
    const { floor } = tree;
    const { kept, written } = planShelves(tree, shelves);
    if (written.length === 0) return true;
    const id = random.id().slice(0, 16);
    const all: Shelf[] = [...kept];
    let isRefused = false;
    await sideBySide(written, async ({ first, last, digest, changes }) => {
      const names: string[] = [];
      for (const { bytes } of encodeChanges(() => floor, changes, PART_BYTES)) {
        if (isRefused || !mayWrite()) return void (isRefused = true);
        const name = nameOf(version, `${id}-${first}.${names.length}`);
        if (!(await documents.write({ name, expectedVersion: 0, text: encodeShelf(bytes) }))) isRefused = true;
        names.push(name);
      }
      all.push({ first, last, digest, documents: names });
    });
    known.litter += written.length;
    if (isRefused || !mayWrite()) return false;
    const index = { floor, shelves: all.toSorted((a, b) => a.first - b.first) };
    if (!(await documents.write({ name: INDEX, expectedVersion: version, text: encodeIndex(index) }))) {
      known.index = undefined;
      return false;
    }
    for (const name of all.flatMap((shelf) => shelf.documents)) known.merged.add(name);
    known.index = index;
    return true;
  }

  /**
   * Reads the index, and of what it names all, or what is new here. The floor is only raised while the store is not behind: so of what was written before, no more is forgotten than of the rest, and the greatest floor counts for all;
   * but not what was read before a floor that was heard of meanwhile.
   */
  async #look(known: Known, take: (changes: Changes) => void, what: "all" | "new"): Promise<FoundIndex> {
    const { documents, tree, failed } = this.#ports;
    for (let looks = 1; looks <= MOST_LOOKS; looks++) {
      const floorBefore = tree().floor;
      const index = await this.#readIndex(take);
      const shelves = what === "all" ? index.shelves : dirtyShelves(tree(), index.shelves);
      const { found, missing } = await this.#read(shelves.flatMap((shelf) => shelf.documents.filter((name) => !known.merged.has(name))));
      const isReplaced = missing.size > 0 && (await documents.read(INDEX))?.version !== index.version; // and cleared away
      if (isReplaced || tree().floor !== floorBefore) continue;
      const floor = Math.max(index.floor, floorBefore);
      take({ floor, contexts: [] });
      for (const { contexts } of found.values()) take({ floor, contexts });
      const listed = index.shelves.flatMap((shelf) => shelf.documents);
      known.merged = new Set(listed.filter((name) => known.merged.has(name) || found.has(name)));
      if (missing.size > 0) failed(new TribuneError("CONTEXTS_NOT_KEPT", `${[...missing].join(", ")} is not in the store, though ${INDEX} names it`, { about: "contexts", next: "what only that document had is gone; find out who removes documents of the group" }));
      const whole = index.shelves.map((shelf) => (shelf.documents.some((name) => missing.has(name)) ? { ...shelf, digest: UNKNOWN } : shelf));
      known.index = { floor: index.floor, shelves: whole };
      return { ...known.index, version: index.version };
    }
    throw new TribuneError("STORE_BUSY", "the contexts in the store are written again and again, so they could not be read", { about: "contexts", next: "try again" });
  }

  async #readIndex(take: (changes: Changes) => void): Promise<FoundIndex> {
    const { documents } = this.#ports;
    const document = await documents.read(INDEX);
    if (document !== null) return { ...decodeIndex(document.text), version: document.version };
    const old = (await documents.list(CONTEXT_DOCUMENTS)).flatMap(({ name }) => (isOfFirstFormat(name) ? [name] : []));
    if (old.length === 0) return { ...NO_INDEX, version: 0 };
    const { found } = await this.#read(old);
    const floor = [...found.values()].reduce((most, changes) => Math.max(most, changes.floor), this.#ports.tree().floor);
    for (const { contexts } of found.values()) take({ floor, contexts });
    return { floor, shelves: NO_INDEX.shelves.map((shelf) => ({ ...shelf, digest: UNKNOWN })), version: 0 };
  }

  async #read(names: readonly string[]): Promise<{ readonly found: ReadonlyMap<string, Changes>; readonly missing: ReadonlySet<string> }> {
    const found = new Map<string, Changes>();
    const missing = new Set<string>();
    await sideBySide(names, async (name) => {
      const document = await this.#ports.documents.read(name);
      if (document === null) missing.add(name);
      else found.set(name, decodeShelf(document.text));
    });
    return { found, missing };
  }

  /** Clears away what the index does not name, and no index can that is still to be written: what was written for one that has been replaced. */
  async #tidy(known: Known): Promise<void> {
    const { documents } = this.#ports;
    const { version, shelves } = await this.#look(known, this.#ports.take, "new");
    const needed = new Set([INDEX, ...shelves.flatMap((shelf) => shelf.documents)]);
    const rows = (await documents.list(CONTEXT_DOCUMENTS)).filter(({ name }) => !needed.has(name) && (madeFor(name) ?? version) < version);
    await sideBySide(rows, async (row) => {
      if (this.#isCoordinator()) await documents.remove({ name: row.name, expectedVersion: row.version });
    });
    known.litter = 0;
  }
}

function nothingKnown(): Known {
  return { index: undefined, merged: new Set(), litter: 1 };
}

/** Documents before there was an index: one for each bucket, or several. They are read once more. */
function isOfFirstFormat(name: string): boolean {
  return /^contexts-\d{1,3}(\.\d{1,6})?$/.test(name);
}

/** `version`: of the index that the one which is to name it replaces. */
function nameOf(version: number, own: string): string {
  return `${CONTEXT_DOCUMENTS}${version}-${own}`;
}

/** The version in such a name; `undefined`: it is none of ours. */
function madeFor(name: string): number | undefined {
  if (isOfFirstFormat(name)) return 0;
  const match = /^contexts-(\d{1,16})-/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** Some at a time. Rejects with the first failure, when nothing goes on any more. */
async function sideBySide<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const todo = [...items].reverse();
  const failures: unknown[] = [];
  const workers = Array.from({ length: Math.min(AT_ONCE, todo.length) }, async () => {
    for (let item = todo.pop(); item !== undefined && failures.length === 0; item = todo.pop()) {
      await work(item).catch((error: unknown) => void failures.push(error));
    }
  });
  await Promise.all(workers);
  if (failures.length > 0) throw failures[0];
}
