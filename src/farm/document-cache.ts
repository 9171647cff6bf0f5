import type { DocumentFence, DocumentRow, StoredDocument } from "../store/index.ts";

/** Where the documents of this room are kept. Each call ends by itself, in time. */
export interface FarmDocuments {
  list(prefix: string): Promise<readonly DocumentRow[]>;
  read(name: string): Promise<StoredDocument | null>;
  /** Writes where the document has that version, 0 for none, and the term stands, if one is named; answers whether it did. */
  write(input: { readonly name: string; readonly expectedVersion: number; readonly text: string; readonly fence?: DocumentFence | undefined }): Promise<boolean>;
  remove(input: { readonly name: string; readonly expectedVersion: number; readonly fence?: DocumentFence | undefined }): Promise<boolean>;
  /** Calls `listener` with the name of a document that may have changed. Only saves time. */
  onHint?(listener: (name: string) => void): () => void;
}

/** A document that was read and understood. */
export interface Understood<T> {
  readonly version: number;
  readonly value: T;
}

/** `undefined`: it cannot be understood. */
interface Held<T> {
  readonly version: number;
  readonly value: T | undefined;
}

/** Documents whose names begin alike, each read once for each version of it. */
export class DocumentCache<T> {
  readonly #documents: FarmDocuments;
  readonly #decode: (name: string, text: string) => T;
  readonly #unreadable: (name: string, error: unknown) => void;
  #held: ReadonlyMap<string, Held<T>> = new Map();

  constructor(documents: FarmDocuments, decode: (name: string, text: string) => T, unreadable: (name: string, error: unknown) => void) {
    this.#documents = documents;
    this.#decode = decode;
    this.#unreadable = unreadable;
  }

  /** Whether all that was there could be understood. What is named in the rest nobody knows. */
  get isWhole(): boolean {
    return [...this.#held.values()].every(({ value }) => value !== undefined);
  }

  /** What there is now. What cannot be understood is told of once, and left out. */
  async refresh(prefix: string): Promise<ReadonlyMap<string, Understood<T>>> {
    const rows = await this.#documents.list(prefix);
    const held = new Map<string, Held<T>>();
    for (const { name, version } of rows) {
      const known = this.#held.get(name);
      if (known?.version === version) held.set(name, known);
      else {
        const found = await this.#documents.read(name);
        if (found !== null) held.set(name, { version: found.version, value: this.#understand(name, found.text) });
      }
    }
    this.#held = held;
    return new Map([...held].filter((entry): entry is [string, Understood<T>] => entry[1].value !== undefined));
  }

  #understand(name: string, text: string): T | undefined {
    try {
      return this.#decode(name, text);
    } catch (error) {
      this.#unreadable(name, error);
      return undefined;
    }
  }
}
