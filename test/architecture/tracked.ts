import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { ROOT } from "./source.ts";

/** Folders that are made, not written. */
const MADE = /^(?:(?:.*\/)?node_modules|dist|\.git)(?:\/|$)/;

/** Every file that is or would be under version control, from the project's folder. Without git: every file that is not made. */
export function trackedFiles(): string[] {
  if (!existsSync(join(ROOT, ".git"))) return everyFile();
  const out = execFileSync("git", ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8", maxBuffer: 2 ** 26 });
  const paths = [...new Set(out.split("\0"))].filter((path) => path !== "" && existsSync(join(ROOT, path)));
  return paths.sort((a, b) => (a < b ? -1 : 1));
}

function everyFile(): string[] {
  return readdirSync(ROOT, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !MADE.test(path))
    .sort();
}
