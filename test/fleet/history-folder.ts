import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { mergeHistories, parseHistory } from "../../src/testing/history/index.ts";
import type { FencedRow, History } from "../../src/testing/history/index.ts";

/** The folder that was asked for cannot be used. */
export class UnfitFolder extends Error {}

/** A folder for what the processes of a run write down: the one that was asked for, which must be empty, or a temporary one. */
export function makeHistoryFolder(what: string, out: string | undefined): string {
  if (out === undefined) return mkdtempSync(join(tmpdir(), `tribune-${what}-`));
  const folder = resolve(out);
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length > 0) throw new UnfitFolder(`${folder} is not empty; --out needs a folder of its own`);
  return folder;
}

/** What the processes and the supervisor wrote into a folder. */
export function readHistory(folder: string, rows: readonly FencedRow[]): History {
  const files = readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
  return mergeHistories(files.map((name) => parseHistory(readFileSync(join(folder, name), "utf8"), name)), rows);
}
