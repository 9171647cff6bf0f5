/** Where one property is. */
export interface Place {
  readonly path: string;
  readonly key: string;
}

/** A property that is to be flushed. */
export type Pending =
  /** `text` is undefined where the value may have been changed in place since it was set. */
  | { readonly kind: "set"; readonly value: unknown; readonly text: string | undefined }
  | { readonly kind: "delete" };

/** What was touched and not flushed yet: outside of units of work, or in one of them. */
export class Batch {
  readonly #contexts = new Map<string, Map<string, Pending>>();
  /** What was touched in contexts that have been removed since. */
  #dropped: Place[] = [];

  put(path: string, key: string, pending: Pending): void {
    let properties = this.#contexts.get(path);
    if (properties === undefined) this.#contexts.set(path, (properties = new Map()));
    properties.set(key, pending);
  }

  get(path: string, key: string): Pending | undefined {
    return this.#contexts.get(path)?.get(key);
  }

  of(path: string): ReadonlyMap<string, Pending> | undefined {
    return this.#contexts.get(path);
  }

  get isEmpty(): boolean {
    return this.#contexts.size === 0;
  }

  /** The contexts with something in them; only that one, where it is given. */
  paths(only?: string): string[] {
    return only === undefined ? [...this.#contexts.keys()] : this.#contexts.has(only) ? [only] : [];
  }

  forget(path: string): void {
    this.#contexts.delete(path);
  }

  /** The context was removed: what was touched in it is nothing of one that is made again. */
  drop(path: string): void {
    for (const key of this.#contexts.get(path)?.keys() ?? []) this.#dropped.push({ path, key });
    this.#contexts.delete(path);
  }

  /** What was dropped, and not told of yet; only of that context, where it is given. */
  takeDropped(only?: string): Place[] {
    const dropped = this.#dropped.filter(({ path }) => only === undefined || path === only);
    this.#dropped = this.#dropped.filter((each) => !dropped.includes(each));
    return dropped;
  }

  /** Forgets one that was decided otherwise. */
  forgetKey(path: string, key: string): void {
    const properties = this.#contexts.get(path);
    properties?.delete(key);
    if (properties?.size === 0) this.#contexts.delete(path);
  }
}
