import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = dirname(dirname(import.meta.dirname));

/** Kept between runs, and gone with the next `npm ci`. Not in a temporary folder, where others could put a program of theirs. */
const CACHE = join(ROOT, "node_modules/.cache/tribune/node");

const DOWNLOAD_LIMIT_MS = 4 * 60_000;

/** A Node to run things with, or why there is none. */
export type NodeRelease = { readonly program: string } | { readonly missing: string };

/** The Node of that version, out of the package `node`, which has the official builds. */
export async function nodeRelease(version: string): Promise<NodeRelease> {
  const folder = join(CACHE, version);
  const program = join(folder, "node_modules/node/bin/node");
  if (existsSync(program)) return { program };
  const fresh = `${folder}.${process.pid}`;
  try {
    mkdirSync(fresh, { recursive: true });
    // Newer releases of npm run no install script that is not allowed by name; this one fetches the build for the platform.
    writeFileSync(join(fresh, "package.json"), JSON.stringify({ private: true, allowScripts: { node: true } }));
    await run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", `node@${version}`], { cwd: fresh, timeout: DOWNLOAD_LIMIT_MS });
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(program)) throw error; // otherwise another test process was faster
    });
    return { program };
  } catch (error) {
    const said = (error as { readonly stderr?: string }).stderr ?? "";
    return { missing: `npm found no package: ${(said === "" ? (error as Error).message : said).trim().split("\n").slice(0, 2).join(" ")}` };
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
