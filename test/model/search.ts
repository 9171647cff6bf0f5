import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Search } from "./searches.ts";

/** What a search came to. */
export interface Found {
  readonly name: string;
  readonly wrong: string | undefined;
  /** The invariant that broke; `undefined` if none did. */
  readonly broke: string | undefined;
  /** Whether everything within the bounds was explored. */
  readonly exhaustive: boolean;
  readonly states: number;
  readonly depth: number;
  readonly seconds: number;
  /** Whether it is as it should be. */
  readonly good: boolean;
}

/** Deeper than any of the searches goes; one that does is not exhaustive, and fails. */
const DEEPEST = 20_000;

/** For one search; most take seconds. */
const SEARCH_LIMIT_MS = 10 * 60_000;

const MODEL = join(import.meta.dirname, "takeover.pml");

/** Finds spin and a C compiler, or installs them where that can be done; answers why not otherwise. */
export async function findTools(): Promise<{ readonly missing?: string }> {
  if (has("spin") && has("gcc")) return {};
  if (process.getuid?.() === 0 && has("apt-get")) {
    try {
      await run("apt-get", ["update"], "/");
      await run("apt-get", ["install", "-y", "--no-install-recommends", "spin", "gcc", "libc6-dev"], "/");
    } catch {
      // said below
    }
  }
  return has("spin") && has("gcc") ? {} : { missing: "spin and gcc are needed: install them (Debian: apt-get install spin gcc libc6-dev)" };
}

/** Explores the model within the bounds of `search`, all of it or until something breaks. */
export async function explore(search: Search, options: { readonly trail?: boolean } = {}): Promise<Found & { readonly trail?: string }> {
  const folder = mkdtempSync(join(tmpdir(), "tribune-model-"));
  try {
    const flags = [`-DVARIANT=${search.variant}`, ...Object.entries(search.bounds).map(([name, value]) => `-D${name}=${value}`)];
    await run("spin", ["-a", ...flags, MODEL], folder);
    await run("gcc", ["-O1", "-w", "-DSAFETY", "-DNOCLAIM", "-DNOFAIR", "-DNOREDUCE", "-DMEMLIM=4096", "-o", "pan", "pan.c"], folder);
    const beganMs = performance.now();
    const out = await run(join(folder, "pan"), ["-E", `-m${DEEPEST}`, "-w24"], folder);
    const seconds = Math.round((performance.now() - beganMs) / 100) / 10;
    const number = (pattern: RegExp) => Number(pattern.exec(out)?.[1] ?? Number.NaN);
    const broke = /assertion violated\s+!?\(*(\w+)/.exec(out)?.[1];
    const exhaustive = broke === undefined && /errors: 0/.test(out) && !/depth too small|out of memory|Search not completed/.test(out);
    const trail = options.trail === true && broke !== undefined ? await run("spin", ["-t", ...flags, MODEL], folder) : undefined;
    return {
      name: search.name,
      wrong: search.wrong,
      broke,
      exhaustive,
      states: number(/([\d.e+]+) states, stored/),
      depth: number(/depth reached (\d+)/),
      seconds,
      good: search.wrong === undefined ? exhaustive : broke !== undefined,
      ...(trail === undefined ? {} : { trail }),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function has(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function run(program: string, args: readonly string[], folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd: folder, timeout: SEARCH_LIMIT_MS, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      if (error === null || stdout.includes("State-vector")) resolve(stdout);
      else reject(new Error(`${program} failed: ${(stderr || stdout || error.message).trim().split("\n").slice(0, 3).join(" ")}`));
    });
  });
}
