/**
 * `npm test`: builds, runs all test files side by side, and says in plain sight what was not tested.
 *
 *     npm test                                          everything
 *     npm test -- test/election sqlite                  the files in a folder, and those with "sqlite" in their path
 *     npm test -- --test-name-pattern "frozen leader"   only tests with such a title
 *     npm test -- --no-build                            on the dist/ that is there
 *     TRIBUNE_TEST_REQUIRE=all npm test                 a skipped test is a failure
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { run } from "node:test";
import { spec as SpecReporter } from "node:test/reporters";
import type { TestEvent } from "node:test/reporters";
import { parseArgs } from "node:util";
import { allTestFiles, longestFirst, matching } from "./test-files.ts";
import { TestProcesses } from "./test-processes.ts";
import { Skips } from "./test-skips.ts";

const ROOT = dirname(import.meta.dirname);
const MEASURED = join(ROOT, "node_modules/.cache/tribune/test-durations.json");

/** For one test that names no time of its own, for one file, and for all. Generous: they are to end a hang, not to judge speed. */
const TEST_LIMIT_MS = 3 * 60_000;
const FILE_LIMIT_MS = 6 * 60_000;
const RUN_LIMIT_MS = 45 * 60_000;

/** More at a time make a laptop unusable, and the timings of tests with real clocks unfair. */
const MOST_AT_ONCE = 4;

const { values: flags, positionals: patterns } = readArguments();
const files = choose();
if (flags["no-build"] !== true) build();

const requireAll = (process.env["TRIBUNE_TEST_REQUIRE"] ?? "").split(",").some((each) => each.trim() === "all");
const skips = new Skips(ROOT);
const processes = new TestProcesses(FILE_LIMIT_MS);
const durationsMs = readDurations();
const isGood = await runAll();
processes.close();
writeDurations();
process.exit(isGood && !(requireAll && skips.lacking > 0) ? 0 : 1); // also where a process that a test left behind still holds a pipe

function readArguments() {
  try {
    return parseArgs({ allowPositionals: true, options: { "no-build": { type: "boolean" }, "test-name-pattern": { type: "string", multiple: true }, "test-concurrency": { type: "string" } } });
  } catch (error) {
    return usage((error as Error).message);
  }
}

function choose(): string[] {
  const all = allTestFiles(ROOT);
  if (patterns.length === 0) return all;
  const chosen = patterns.map((pattern) => ({ pattern, files: matching(all, pattern, ROOT) }));
  const empty = chosen.find((one) => one.files.length === 0);
  if (empty !== undefined) usage(`no test file is, lies in, or has in its path: ${empty.pattern}`);
  return [...new Set(chosen.flatMap((one) => one.files))];
}

function usage(complaint: string): never {
  console.error(`${complaint}\nusage: npm test -- [FILE | FOLDER | PART OF A PATH]... [--test-name-pattern REGEX]... [--test-concurrency N] [--no-build]`);
  process.exit(2);
}

function build(): void {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, "build.ts")], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

/** Runs the files, shows what happens as it happens, and resolves with whether all is well. */
async function runAll(): Promise<boolean> {
  const concurrency = flags["test-concurrency"] === undefined ? Math.min(MOST_AT_ONCE, availableParallelism()) : Number(flags["test-concurrency"]);
  Object.assign(process.env, processes.env);
  const events = run({
    files: longestFirst(files, durationsMs).map((file) => join(ROOT, file)),
    concurrency,
    timeout: TEST_LIMIT_MS,
    signal: AbortSignal.timeout(RUN_LIMIT_MS),
    execArgv: ["--import", join(import.meta.dirname, "file-limit.ts")],
    ...(flags["test-name-pattern"] === undefined ? {} : { testNamePatterns: flags["test-name-pattern"] }),
  });
  const reporter = new SpecReporter();
  reporter.pipe(process.stdout);
  let isGood = true;
  let isTold = false;
  for await (const event of events as AsyncIterable<TestEvent>) {
    if (event.type === "test:enqueue") skips.began(event.data);
    if (event.type === "test:pass" || event.type === "test:fail") skips.ended(event.data);
    if (event.type === "test:fail" && event.data.todo === undefined) isGood = false;
    if (event.type === "test:complete" && event.data.nesting === 0 && event.data.name === event.data.file) fileEnded(event.data.file, event.data.details.duration_ms);
    // The runner's closing lines begin with this one. What was skipped is told before them, so that they stay the last.
    if (event.type === "test:diagnostic" && event.data.file === undefined && /^tests \d+$/.test(event.data.message) && !isTold) {
      isTold = true;
      await shown(reporter);
      process.stdout.write(skips.describe({ areFailures: requireAll }));
    }
    if (!reporter.write(event)) await once(reporter, "drain");
  }
  const ended = once(reporter, "end");
  reporter.end();
  await ended;
  return isGood && isTold;
}

/** A file's process as a whole is reported as a test with the file's path as its name. */
function fileEnded(file: string, tookMs: number): void {
  processes.ended(file);
  durationsMs[relative(ROOT, file)] = Math.round(tookMs);
}

/** Resolves when what the reporter has been given so far is in the output. */
async function shown(reporter: InstanceType<typeof SpecReporter>): Promise<void> {
  while (reporter.readableLength > 0 || reporter.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
}

function readDurations(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(MEASURED, "utf8")) as Record<string, number>;
  } catch {
    return {}; // never measured, or in the middle of being written: it only orders the files
  }
}

function writeDurations(): void {
  mkdirSync(dirname(MEASURED), { recursive: true });
  writeFileSync(MEASURED, `${JSON.stringify(durationsMs, null, 2)}\n`);
}
