/**
 * `npm run stories`: random stories of a room on virtual time, with a checker; of the code as it is, or of known-bad variants of it. See README.md beside this file.
 */
import { randomInt } from "node:crypto";
import type { Mutant } from "../simulation/mutants/mutant.ts";
import { UsageError } from "../simulation/options.ts";
import { progressOf } from "../support/progress.ts";
import { playStories } from "./campaign.ts";
import type { Played } from "./campaign.ts";
import { readOptions, USAGE } from "./options.ts";
import type { StoriesOptions } from "./options.ts";

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130)); // its processes are ended with it
  try {
    const options = readOptions(args, () => randomInt(2 ** 31));
    if ("list" in options) {
      console.log(options.list.mutants.map(({ name, wrong }) => `${name}\n    ${wrong}`).join("\n"));
      return 0;
    }
    return options.mutants.length > 0 ? await mutants(options) : await campaign(options);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}${error instanceof UsageError ? "; --help shows what there is" : ""}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

// ---- the code as it is

async function campaign(options: StoriesOptions): Promise<number> {
  const { room, first, seeds, json } = options;
  const say = (line: string) => void (json ? process.stderr : process.stdout).write(`${line}\n`);
  say(`${room.name}, seeds ${first} to ${first + seeds - 1}; the same with ${room.name} --seeds ${seeds} --first ${first}`);
  const total = { seeds: 0, cpuMs: 0, counts: new Map<string, number>() };
  let wrong = 0;
  const progress = progressOf(() => `${total.seeds} of ${seeds} seeds, ${wrong} with complaints`);
  const failed = await playStories(room, undefined, options, (played) => {
    total.seeds++;
    total.cpuMs += played.cpuMs;
    for (const [name, count] of Object.entries(played.counts)) total.counts.set(name, (total.counts.get(name) ?? 0) + count);
    if (played.complaints.length === 0) return;
    wrong++;
    progress.tell(complaintsText(played, options));
  });
  progress.end();
  const counts = Object.fromEntries(total.counts);
  const cpuSeconds = Math.round(total.cpuMs / 100) / 10;
  const seedsPerCpuMinute = Math.round((total.seeds / (total.cpuMs / 60_000 || 1)) * 10) / 10;
  say(`${total.seeds} seeds, ${cpuSeconds} CPU seconds: ${seedsPerCpuMinute} seeds per CPU minute`);
  say(Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", "));
  say(failed.length === 0 ? "passed: no complaints" : `${failed.length} seeds with complaints: ${failed.map(({ seed }) => seed).join(", ")}`);
  if (json) console.log(JSON.stringify({ room: room.name, first, seeds: total.seeds, cpuSeconds, seedsPerCpuMinute, counts, failed: failed.map(({ seed, complaints }) => ({ seed, complaints })) }, undefined, 2));
  return failed.length === 0 ? 0 : 1;
}

function complaintsText({ seed, complaints }: Played, { room }: StoriesOptions): string {
  return `seed ${seed}: ${complaints.join("\n  ")}\n  see it again: npm run stories -- ${room.name} --seeds 1 --first ${seed}`;
}

// ---- known-bad variants

/** What became of one mutant. */
interface Finding {
  readonly name: string;
  readonly seeds: number;
  readonly caught: number;
  readonly first: { readonly seed: number; readonly complaint: string } | undefined;
  /** Why it is not caught, where that is as it should be. */
  readonly why: string | undefined;
}

async function mutants(options: StoriesOptions): Promise<number> {
  const findings: Finding[] = [];
  const say = (line: string) => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
  for (const mutant of options.mutants) {
    const finding = await observe(mutant, options);
    findings.push(finding);
    const { name, first, seeds, caught, why } = finding;
    if (first !== undefined) say(`${name}: caught on ${caught} of ${seeds} seeds, first on ${first.seed}: ${first.complaint}${why === undefined ? "" : " (its source says why it would not be)"}`);
    else say(`${name}: survived ${seeds} seeds: ${why ?? "NO REASON IS GIVEN"}`);
  }
  const survivors = findings.filter(({ first, why }) => first === undefined && why === undefined);
  say(survivors.length === 0 ? `passed: ${findings.filter(({ first }) => first !== undefined).length} of ${findings.length} mutants caught` : `${survivors.length} of ${findings.length} mutants survived: ${survivors.map(({ name }) => name).join(", ")}`);
  if (options.json) console.log(JSON.stringify({ room: options.room.name, first: options.first, mutants: findings }, undefined, 2));
  return survivors.length === 0 ? 0 : 1;
}

/** Plays on after a catch that counts for nothing. */
async function observe(mutant: Mutant, options: StoriesOptions): Promise<Finding> {
  const { room } = options;
  const end = options.first + options.seeds;
  const caught: Played[] = [];
  let seeds = 0;
  let next = options.first;
  const progress = progressOf(() => `${mutant.name}: ${seeds} of ${options.seeds} seeds`);
  while (next < end && !(options.untilCaught && caught.length > 0)) {
    const failed = await playStories(room, mutant, { ...options, first: next, seeds: end - next }, () => void seeds++);
    next = options.untilCaught && failed[0] !== undefined ? failed[0].seed + 1 : end;
    for (const played of options.untilCaught ? failed.slice(0, 1) : failed) {
      // Only what the correct code does not do as well speaks against the mutant; of many the first tells.
      if (caught.length > 0 || (await playStories(room, undefined, { first: played.seed, seeds: 1, workers: 1, untilCaught: false })).length === 0) caught.push(played);
      else progress.tell(`${mutant.name}: seed ${played.seed} counts for nothing, the correct code fails on it too`);
    }
  }
  progress.end();
  const [first] = caught;
  return { name: mutant.name, seeds, caught: caught.length, first: first === undefined ? undefined : { seed: first.seed, complaint: first.complaints[0]?.split("\n")[0]?.slice(0, 300) ?? "" }, why: mutant.survives?.why };
}

process.exit(await main());
