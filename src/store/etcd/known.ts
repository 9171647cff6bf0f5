import type { Item, Op, Range } from "./messages.ts";
import { Reading } from "./rows.ts";

/** A longer value is not kept: it is a text that no decision depends on, a document or a view. */
const LONGEST_VALUE = 16_384;

/** With more keys than that it begins anew: what it forgets is read again. */
const MOST_KEYS = 10_000;

/**
 * What a session has seen of single keys, and when each had changed last. It may be out of date, and of several instants: a transaction that compares all that it was decided by
 * goes through only where it is not. So what is known saves the reading before the write, and nothing but that may rest on it.
 */
export class Known {
  /** `null`: there was no such key. */
  readonly #items = new Map<string, Item | null>();

  /** Notes what a reading showed. */
  note(items: readonly Item[], reads: readonly Range[]): void {
    if (this.#items.size > MOST_KEYS) this.#items.clear();
    for (const { key, end } of reads) if (end === undefined) this.#items.set(key, null);
    for (const item of items) if (item.value !== "") this.#items.set(item.key, item); // of a range that was read for its keys alone there are no values
  }

  /** Notes what was written, at the revision that it made. */
  written(writes: readonly Op[], revision: number): void {
    for (const write of writes) {
      if ("txn" in write) this.written(write.txn.success, revision);
      else if ("key" in write) continue;
      else if ("put" in write && write.value.length > LONGEST_VALUE) this.#items.delete(write.put);
      else if ("put" in write) this.#items.set(write.put, { key: write.put, value: write.value, modRevision: revision });
      else if (write.end === undefined) this.#items.set(write.delete, null);
      else for (const key of this.#items.keys()) if (key >= write.delete && key < write.end) this.#items.delete(key);
    }
  }

  /** The reading that these would have made, if all of them are single keys that are known. */
  reading(reads: readonly Range[]): Reading | undefined {
    const items = reads.map(({ key, end }) => (end === undefined ? this.#items.get(key) : undefined));
    return items.includes(undefined) ? undefined : new Reading(items.flatMap((item) => item ?? []), reads);
  }
}
