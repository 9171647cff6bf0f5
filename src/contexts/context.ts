import { shown, TribuneError } from "../kernel/index.ts";
import type { Context, FlushOptions, FlushReport, PropertyEvent } from "./contexts.ts";
import { parentOf, SEPARATOR } from "./names.ts";
import type { NodeContexts } from "./node-contexts.ts";
import type { Properties } from "./properties.ts";

/** One context, as a handle: it has nothing but its path. */
export class ContextHandle implements Context {
  readonly path: string;
  readonly #contexts: NodeContexts;
  readonly #properties: Properties;

  constructor(path: string, contexts: NodeContexts, properties: Properties) {
    this.path = path;
    this.#contexts = contexts;
    this.#properties = properties;
  }

  get id(): string {
    return this.path.slice(this.path.lastIndexOf(SEPARATOR) + 1);
  }

  get parent(): string | undefined {
    return parentOf(this.path);
  }

  get replicated(): boolean {
    return this.#contexts.isReplicated(this.#there());
  }

  get(key: string): unknown {
    return this.#properties.get(this.#there(), key);
  }

  has(key: string): boolean {
    return this.#properties.has(this.#there(), key);
  }

  keys(): readonly string[] {
    return this.#properties.keys(this.#there());
  }

  entries(): ReadonlyArray<readonly [key: string, value: unknown]> {
    return this.keys().map((key) => [key, this.get(key)]);
  }

  set(key: string, value: unknown): void;
  set(key: string, value: unknown, options: { readonly ifVersion: string | null }): Promise<boolean>;
  set(key: string, value: unknown, options?: { readonly ifVersion: string | null }): undefined | Promise<boolean> {
    if (options !== undefined) return this.#writeIf(key, value, options.ifVersion, false);
    this.#properties.set(this.#there(), key, value);
    return undefined;
  }

  delete(key: string): boolean;
  delete(key: string, options: { readonly ifVersion: string }): Promise<boolean>;
  delete(key: string, options?: { readonly ifVersion: string }): boolean | Promise<boolean> {
    if (options !== undefined) return this.#writeIf(key, undefined, options.ifVersion, true);
    return this.#properties.delete(this.#there(), key);
  }

  touch(key: string): void {
    this.#properties.touch(this.#there(), key);
  }

  version(key: string): string | null {
    return this.#contexts.versionOf(this.#there(), key);
  }

  flush(options?: FlushOptions): Promise<FlushReport> {
    return this.#contexts.flush(options, this.path);
  }

  onChange(listener: (event: PropertyEvent) => unknown, { key }: { readonly key?: string } = {}): () => void {
    return this.#contexts.onChange(this.path, key === undefined ? listener : (event) => (event.key === key ? listener(event) : undefined));
  }

  async #writeIf(key: string, value: unknown, ifVersion: string | null, isDeletion: boolean): Promise<boolean> {
    if (typeof ifVersion !== "string" && ifVersion !== null) throw new TribuneError("INVALID_OPTIONS", `a write cannot go by the version ${shown(ifVersion)}`, { about: "ifVersion", next: "give what version(key) answered: a text, or null where there must be nothing; or leave the options out" });
    const place = { path: this.#there(), key };
    return await this.#contexts.writeIf({ ...place, value, text: isDeletion ? undefined : this.#properties.encode(place, value) }, ifVersion);
  }

  /** Its path. Throws `CONTEXT_UNKNOWN` while it is not there. */
  #there(): string {
    this.#contexts.assertThere(this.path);
    return this.path;
  }
}
