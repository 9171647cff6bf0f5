import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";

/** Where no run has been measured yet, these are taken to be long, the longest first. */
const LONG = ["test/torture/", "test/faults/", "test/endurance/", "test/simulation/", "test/integration/postgres/", "test/integration/mysql/", "test/packaging/", "test/integration/", "test/docs/", "test/examples/"];

/** All test files of the project, as paths from its root. */
export function allTestFiles(root: string): string[] {
  return readdirSync(join(root, "test"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/** The files that `pattern` means: a file, everything in a folder, or else every path that contains it. */
export function matching(files: readonly string[], pattern: string, root: string): string[] {
  const path = relative(root, resolve(pattern)).split(sep).join("/");
  if (files.includes(path)) return [path];
  if (existsSync(resolve(pattern)) && statSync(resolve(pattern)).isDirectory()) return files.filter((file) => path === "" || file.startsWith(`${path}/`));
  return files.filter((file) => file.includes(pattern));
}

/**
 * The longest first, so that no long one is left over when all others are done. What was never measured comes before what
 * was, since it may be long.
 */
export function longestFirst(files: readonly string[], measuredMs: Readonly<Record<string, number>>): string[] {
  const guess = (file: string) => {
    const rank = LONG.findIndex((prefix) => file.startsWith(prefix));
    return rank === -1 ? LONG.length : rank;
  };
  return [...files].sort((a, b) => (measuredMs[b] ?? Infinity) - (measuredMs[a] ?? Infinity) || guess(a) - guess(b) || (a < b ? -1 : 1));
}
