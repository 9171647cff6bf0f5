/**
 * `npm run simulate`: many seeds, or one of them closely. See README.md beside this file.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawPlan, historyDigest, profileOf, runPlan, shrinkPlan } from "../../src/testing/simulation/index.ts";
import type { Plan, RunResult } from "../../src/testing/simulation/index.ts";
import { progressOf } from "../support/progress.ts";
import { readOptions, USAGE, UsageError } from "./options.ts";
import type { SimulateOptions } from "./options.ts";
import { runJobs } from "./pool.ts";
import type { Job, Report } from "./pool.ts";
import { storyText, violationText } from "./story.ts";
import { Summary } from "./summary.ts";

/** So many failing seeds are looked at closely; more would only say the same. */
const MOST_STORIES = 3;

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  let options: SimulateOptions;
  try {
    options = readOptions(args, () => randomInt(2 ** 31));
    return options.isReplay ? await replay(options) : await campaign(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}; --help shows what there is`);
    return 2;
  }
}

// ---- many seeds

async function campaign(options: SimulateOptions): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
  const say = (line: string) => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
  say(`seeds ${options.first} to ${options.first + options.seeds - 1}, profiles ${options.profile ?? "in turn"}; the same with --seeds ${options.seeds} --first ${options.first}`);
  const summary = new Summary();
  const progress = progressOf(() => `${summary.seeds} of ${options.seeds} seeds, ${summary.simulatedHours.toFixed(1)} simulated hours, ${summary.violations} violations`);
  const onReport = (report: Report) => {
    summary.add(report);
    const [violation] = report.violations;
    if (violation !== undefined) progress.tell(`seed ${report.seed}, profile ${report.profile}: ${violationText(violation)}`);
  };
  await runJobs(jobsOf(options), { workers: options.workers, signal: interrupted.signal, onReport });
  progress.end();
  if (interrupted.signal.aborted) say("interrupted: what follows is of the seeds that were done");
  say(options.json ? "" : summary.toText());
  if (options.json) console.log(JSON.stringify(summary, undefined, 2));
  for (const report of summary.failed.slice(0, MOST_STORIES)) await tell(planOf(report.seed, options), options, say);
  if (summary.failed.length > MOST_STORIES) say(`and ${summary.failed.length - MOST_STORIES} more seeds: ${summary.failed.slice(MOST_STORIES).map(({ seed }) => seed).join(", ")}`);
  return summary.violations === 0 && !interrupted.signal.aborted ? 0 : 1;
}

function* jobsOf({ first, seeds, profile, nodes, faultsMs, digest }: SimulateOptions): Generator<Job> {
  for (let seed = first; seed < first + seeds; seed++) yield { seed, profile: profile ?? profileOf(seed), nodes, faultsMs, digest };
}

// ---- one seed

async function replay(options: SimulateOptions): Promise<number> {
  const plan = options.plan === undefined ? planOf(options.first, options) : readPlan(options.plan);
  const lines: [atMs: number, line: string][] = [];
  const result = await runPlan(plan, options.log ? { log: (line) => lines.push([Number.parseFloat(line), line]) } : {});
  const digest = historyDigest(result.history);
  if (options.json) console.log(JSON.stringify({ ...result, history: undefined, digest }, undefined, 2));
  else {
    if (options.log) console.log(storyText(result, { log: lines }));
    const summary = new Summary();
    summary.add(reportOf(result));
    console.log(`seed ${plan.seed}, profile ${plan.profile}, ${plan.nodes.length} nodes, ${plan.faults.length} faults planned\n${summary.toText()}\ndigest ${digest}`);
  }
  if (result.violations.length === 0) return 0;
  await tell(plan, options, (line) => console.error(line));
  return 1;
}

function reportOf({ plan, simulatedMs, faults, counts, violations }: RunResult): Report {
  const { user, system } = process.cpuUsage();
  return { seed: plan.seed, profile: plan.profile, simulatedMs, faults, counts, violations, cpuMs: (user + system) / 1_000 };
}

function planOf(seed: number, { profile, nodes, faultsMs }: SimulateOptions): Plan {
  return drawPlan(seed, profile ?? profileOf(seed), { nodes, faultsMs });
}

function readPlan(path: string): Plan {
  try {
    const plan = JSON.parse(readFileSync(path, "utf8")) as Partial<Plan>;
    if (typeof plan.seed === "number" && Array.isArray(plan.nodes) && Array.isArray(plan.faults)) return plan as Plan;
  } catch (error) {
    throw new UsageError(`--plan: ${path} cannot be read as a plan: ${(error as Error).message}`);
  }
  throw new UsageError(`--plan: ${path} is not a plan`);
}

// ---- a failure

/** Shows a violation with what happened around it, how to see it again, and the smallest plan that shows it. */
async function tell(plan: Plan, options: SimulateOptions, say: (line: string) => void): Promise<void> {
  const result = await outcome(plan);
  const first = result?.violations[0];
  if (result === undefined || first === undefined) {
    say(`\nseed ${plan.seed}: the run itself fails; see it again: ${replayCommand(plan, options)}`);
    return;
  }
  say(`\nseed ${plan.seed}, profile ${plan.profile}: ${violationText(first)}\n\n${storyText(result, { around: first })}\n\nsee it again: ${replayCommand(plan, options)}`);
  if (options.shrinkMs === 0) return;
  const until = Date.now() + options.shrinkMs;
  const smallest = await shrinkPlan(plan, {
    fails: async (smaller) => (await outcome(smaller))?.violations.some(({ check }) => check === first.check) ?? false,
    enough: () => Date.now() >= until,
    progress: ({ faults, nodes }, attempts) => void (process.stderr.isTTY && process.stderr.write(`\r\u001b[Kmade smaller: ${nodes.length} nodes, ${faults.length} faults after ${attempts} attempts`)),
  });
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
  const file = keep(smallest, options);
  say(`the same violation with ${smallest.nodes.length} of ${plan.nodes.length} nodes, ${smallest.faults.length} of ${plan.faults.length} faults:`);
  for (const fault of smallest.faults) say(`  ${JSON.stringify(fault)}`);
  say(`see it again: npm run simulate -- --plan ${file}\nkept as a regression once it is in test/simulation/regressions, beside what it is about (README.md there)`);
}

async function outcome(plan: Plan): Promise<RunResult | undefined> {
  try {
    return await runPlan(plan);
  } catch {
    return undefined;
  }
}

function replayCommand(plan: Plan, { plan: file, profile, nodes, faultsMs }: SimulateOptions): string {
  if (file !== undefined) return `npm run simulate -- --plan ${file} --log`;
  const more = [profile === undefined ? "" : ` --profile ${profile}`, nodes === undefined ? "" : ` --nodes ${nodes}`, faultsMs === undefined ? "" : ` --minutes ${faultsMs / 60_000}`];
  return `npm run simulate -- --seed ${plan.seed}${more.join("")} --log`;
}

function keep(plan: Plan, { out }: SimulateOptions): string {
  const folder = out ?? mkdtempSync(join(tmpdir(), "tribune-simulation-"));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `seed-${plan.seed}.json`);
  writeFileSync(file, `${JSON.stringify(plan, undefined, 2)}\n`);
  return file;
}

process.exit(await main());
