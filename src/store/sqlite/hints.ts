import { closeSync, fstatSync, ftruncateSync, openSync, readSync, watch, writeSync } from "node:fs";
import type { FSWatcher } from "node:fs";
import type { Hint } from "../index.ts";

/** The file is emptied when it has grown beyond this; a reader whose place lies behind its end has missed something. */
const LARGEST_FILE_BYTES = 64 * 1024;

/**
 * The file beside the database that carries hints between processes: one line of JSON per change, appended after the commit.
 * Watched by itself, not by its folder, where every beat touches the log of the database.
 */
export class HintFile {
  readonly #path: string;
  readonly #group: string;
  readonly #onHints: (hints: readonly Hint[]) => void;
  readonly #onMissed: () => void;
  readonly #onDeaf: (error: unknown) => void;
  #watcher: FSWatcher | undefined;
  #offset = 0;
  #stopped = false;

  constructor(options: {
    readonly path: string;
    readonly group: string;
    /** Called with what is new, each hint once. */
    readonly onHints: (hints: readonly Hint[]) => void;
    /** Called when lines were lost; anything may have changed. */
    readonly onMissed: () => void;
    /** Called when the file can no longer be watched. */
    readonly onDeaf: (error: unknown) => void;
  }) {
    this.#path = options.path;
    this.#group = options.group;
    this.#onHints = options.onHints;
    this.#onMissed = options.onMissed;
    this.#onDeaf = options.onDeaf;
  }

  /** Makes the file if it is missing and begins to watch it, from its present end; whether it could. */
  start(): boolean {
    try {
      withFile(this.#path, "a", () => undefined);
      this.#watcher = this.#watching();
      this.#offset = withFile(this.#path, "r", (file) => fstatSync(file).size);
      return true;
    } catch (error) {
      this.#goDeaf(error);
      return false;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#watcher?.close();
  }

  /** Tells the readers of all processes. Best effort: a hint that cannot be written costs them the time to their next beat. */
  write(hint: Hint): void {
    const line = `${JSON.stringify({ group: this.#group, ...hint })}\n`;
    try {
      withFile(this.#path, "a", (file) => {
        writeSync(file, line); // one write in append mode: lines of two processes do not mix
        if (fstatSync(file).size > LARGEST_FILE_BYTES) ftruncateSync(file, 0);
      });
    } catch {
      // A full disk, or a folder that may no longer be written: the change itself is in the database.
    }
  }

  #watching(): FSWatcher {
    const watcher = watch(this.#path, { persistent: false });
    const isCurrent = () => !this.#stopped && watcher === this.#watcher;
    watcher.on("change", (event) => {
      if (!isCurrent()) return;
      if (event === "rename") this.#startAgain();
      else this.#readNew();
    });
    watcher.on("error", (error) => {
      if (isCurrent()) this.#goDeaf(error);
    });
    return watcher;
  }

  /** The file was removed or replaced: what is watched is no longer what others write to. */
  #startAgain(): void {
    this.#watcher?.close();
    if (this.start()) this.#onMissed();
  }

  #goDeaf(error: unknown): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#onDeaf(error);
  }

  #readNew(): void {
    let text: string | undefined;
    try {
      text = withFile(this.#path, "r", (file) => this.#textFromOffset(file));
    } catch {
      return; // just removed: a rename event follows
    }
    if (text === undefined) return this.#onMissed();
    const hints = parseHints(text, this.#group);
    if (hints === undefined) return this.#onMissed();
    if (hints.length > 0) this.#onHints(hints);
  }

  /** Whole lines after the place that was read last; `undefined` if the file has been emptied since. */
  #textFromOffset(file: number): string | undefined {
    const { size } = fstatSync(file);
    if (size < this.#offset) {
      this.#offset = size;
      return undefined;
    }
    const buffer = Buffer.alloc(size - this.#offset);
    const read = readSync(file, buffer, 0, buffer.length, this.#offset);
    const end = buffer.subarray(0, read).lastIndexOf("\n") + 1;
    this.#offset += end;
    return buffer.toString("utf8", 0, end);
  }
}

/** The hints of `group` in `text`, each once; `undefined` if a line cannot be read, as after the file was emptied and grew again. */
export function parseHints(text: string, group: string): readonly Hint[] | undefined {
  const lines = new Set(text.split("\n").filter((line) => line !== ""));
  const hints: Hint[] = [];
  for (const line of lines) {
    const hint = parseLine(line);
    if (hint === undefined) return undefined;
    if (hint.group === group) hints.push(hint.hint);
  }
  return hints;
}

function parseLine(line: string): { readonly group: string; readonly hint: Hint } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { group, kind, election, name } = value as { readonly group?: unknown; readonly kind?: unknown; readonly election?: unknown; readonly name?: unknown };
  if (typeof group !== "string") return undefined;
  if (kind === "view" || kind === "presence") return { group, hint: { kind } };
  if (kind === "election" && typeof election === "string") return { group, hint: { kind, election } };
  if (kind === "document" && typeof name === "string") return { group, hint: { kind, name } };
  return undefined;
}

function withFile<T>(path: string, flags: "a" | "r", work: (file: number) => T): T {
  const file = openSync(path, flags);
  try {
    return work(file);
  } finally {
    closeSync(file);
  }
}
