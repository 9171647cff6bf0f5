import type { Clock, Timer } from "../kernel/index.ts";
import { BUCKETS } from "./digest.ts";
import type { Tree } from "./tree.ts";
import { decodeChanges, encodeChanges } from "./words.ts";
import type { Changes } from "./words.ts";

/** Where the tree is kept: versioned documents of a store. Each call ends by itself, in time. */
export interface ContextDocuments {
  list(prefix: string): Promise<ReadonlyArray<{ readonly name: string; readonly version: number }>>;
  read(name: string): Promise<{ readonly version: number; readonly text: string } | null>;
  /** Where the document has that version, 0 for none; answers whether it did. */
  write(input: { readonly name: string; readonly expectedVersion: number; readonly text: string }): Promise<boolean>;
  remove(input: { readonly name: string; readonly expectedVersion: number }): Promise<boolean>;
}

/** What keeping the tree stands on. */
export interface DurablePorts {
  readonly documents: ContextDocuments;
  readonly tree: () => Tree;
  readonly clock: Clock;
  /** How long the store may be behind, in milliseconds. */
  readonly everyMs: number;
  /** Merges what another coordinator wrote. */
  readonly take: (changes: Changes) => void;
  readonly failed: (error: unknown) => void;
}

/** What the names of the documents begin with. */
export const CONTEXT_DOCUMENTS = "contexts-";

/** Before base64, which adds a third; the largest document is 512 KiB. */
const PART_BYTES = 96 * 1024;

/** So many documents are read at a time. */
const AT_ONCE = 8;

/** What is known of the documents of one bucket. */
interface Kept {
  /** Of the bucket when they were written; "" if that is not known. */
  digest: string;
  /** By part. */
  readonly versions: Map<number, number>;
}

/**
 * Keeps the tree in the store, behind the writes: one document for each bucket in which something is, or several where it is large. Only the coordinator writes, where the document is the one that it knows; who reads merges what it reads, so that it does no harm if two believe to be it.
 */
export class DurableContexts {
  readonly #ports: DurablePorts;
  readonly #kept = new Map<number, Kept>();
  #isCoordinator: () => boolean = () => false;
  /** What the documents are is known. */
  #isKnown = false;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(ports: DurablePorts) {
    this.#ports = ports;
  }

  /** Something is not in the store yet, as far as this member knows. */
  get isBehind(): boolean {
    return !this.#isKnown || this.#stale().length > 0;
  }

  /**
   * Reads all that is kept. `take` merges it. Rejects with what the store rejects with.
   * The floor is only raised while the documents are not behind; so of a document that was written before, no more is forgotten than of the others: the greatest floor counts for all.
   */
  async load(take: (changes: Changes) => void): Promise<void> {
    const rows = await this.#ports.documents.list(CONTEXT_DOCUMENTS);
    this.#kept.clear();
    const todo = rows.flatMap(({ name }) => placeOf(name) ?? []);
    const found: Changes[] = [];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let place = todo.pop(); place !== undefined; place = todo.pop()) found.push(...(await this.#read(place)));
      }),
    );
    const floor = found.reduce((most, changes) => Math.max(most, changes.floor), this.#ports.tree().floor);
    for (const { contexts } of found) take({ floor, contexts });
    this.#isKnown = true;
  }

  /** Begins to keep it, while `isCoordinator` says so. */
  begin(isCoordinator: () => boolean): void {
    this.end();
    this.#isCoordinator = isCoordinator;
    this.#schedule();
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isCoordinator = () => false;
  }

  /** Keeps what is not kept yet. */
  async finish(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#inTurn();
  }

  #schedule(): void {
    this.#timer = this.#ports.clock.setTimer(this.#ports.everyMs, () => {
      void this.#inTurn().then(() => {
        if (this.#timer !== undefined) this.#schedule();
      });
    });
  }

  #inTurn(): Promise<void> {
    this.#running = this.#running.then(() => this.#keep()).catch((error: unknown) => {
      this.#isKnown = false; // whatever was done
      this.#ports.failed(error);
    });
    return this.#running;
  }

  async #keep(): Promise<void> {
    if (!this.#isCoordinator()) {
      this.#isKnown = false;
      return;
    }
    const tree = this.#ports.tree();
    if (!this.#isKnown) await this.load(this.#ports.take);
    for (const bucket of this.#stale()) {
      if (!this.#isCoordinator()) return;
      await this.#write(bucket, tree);
    }
  }

  #stale(): number[] {
    const { digests } = this.#ports.tree();
    const stale: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) if (digests.of(bucket) !== (this.#kept.get(bucket)?.digest ?? NOTHING)) stale.push(bucket);
    return stale;
  }

  async #write(bucket: number, tree: Tree): Promise<void> {
    const { documents } = this.#ports;
    const kept = this.#kept.get(bucket) ?? { digest: "", versions: new Map<number, number>() };
    this.#kept.set(bucket, kept);
    const digest = tree.digests.of(bucket);
    const { floor } = tree;
    const parts = [...encodeChanges(() => floor, tree.changes((_thing, each) => each === bucket), PART_BYTES)];
    let done = true;
    for (const [part, { bytes }] of parts.entries()) {
      const name = nameOf(bucket, part);
      const text = JSON.stringify({ format: 1, digest, parts: parts.length, changes: Buffer.from(bytes).toString("base64") });
      if (!(await documents.write({ name, expectedVersion: kept.versions.get(part) ?? 0, text }))) done = false;
      const row = await documents.read(name);
      if (row === null) kept.versions.delete(part);
      else kept.versions.set(part, row.version);
      if (row?.text !== text) done = false;
    }
    for (const [part, version] of kept.versions) {
      if (part < parts.length) continue;
      if (await documents.remove({ name: nameOf(bucket, part), expectedVersion: version })) kept.versions.delete(part);
      else this.#isKnown = false;
    }
    if (done) kept.digest = digest;
    else this.#isKnown = false; // somebody else wrote: it is read before it is written again
  }

  async #read({ bucket, part }: { readonly bucket: number; readonly part: number }): Promise<Changes[]> {
    const document = await this.#ports.documents.read(nameOf(bucket, part));
    if (document === null) return [];
    const { digest, parts, changes } = JSON.parse(document.text) as { digest: string; parts: number; changes: string };
    let kept = this.#kept.get(bucket);
    if (kept === undefined) this.#kept.set(bucket, (kept = { digest: parts === 1 ? digest : "", versions: new Map() }));
    kept.versions.set(part, document.version);
    return [decodeChanges(Buffer.from(changes, "base64"))];
  }
}

/** The digest of a bucket in which nothing is. */
const NOTHING = "0.0";

function nameOf(bucket: number, part: number): string {
  return part === 0 ? `${CONTEXT_DOCUMENTS}${bucket}` : `${CONTEXT_DOCUMENTS}${bucket}.${part}`;
}

function placeOf(name: string): { readonly bucket: number; readonly part: number } | undefined {
  const match = /^contexts-(\d{1,3})(?:\.(\d{1,6}))?$/.exec(name);
  return match === null ? undefined : { bucket: Number(match[1]), part: Number(match[2] ?? 0) };
}
