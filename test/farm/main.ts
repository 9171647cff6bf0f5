import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS } from "./mutants.ts";
import { simulate } from "./simulate.ts";

/**
 * `node test/farm/main.ts --seeds 500 --first 1`: stories of so many seeds; says what is wrong, by seed, and what happened in all. With `--until-caught` it ends with the first one.
 * `--mutants`: the same with each known-bad variant, to see that it is caught; `--only NAME,NAME` some of them.
 */
const { values } = parseArgs({ options: { seeds: { type: "string", default: "100" }, first: { type: "string", default: "1" }, "until-caught": { type: "boolean", default: false }, mutants: { type: "boolean", default: false }, only: { type: "string" } } });
const [first, seeds] = [Number(values.first), Number(values.seeds)];

async function stories(): Promise<number> {
  const total: Record<string, number> = {};
  let wrong = 0;
  for (let seed = first; seed < first + seeds && !(values["until-caught"] && wrong > 0); seed++) {
    const { complaints, ...counts } = await simulate(seed);
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
    if (complaints.length === 0) continue;
    wrong++;
    console.log(`seed ${seed}: ${complaints.join("\n  ")}`);
  }
  console.log(`${seeds} seeds from ${first}: ${wrong} with complaints. ${JSON.stringify(total)}`);
  return wrong;
}

function mutants(): number {
  let survivors = 0;
  for (const mutant of MUTANTS) {
    if (values.only !== undefined && !values.only.split(",").includes(mutant.name)) continue;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", join(import.meta.dirname, "../simulation/mutants/preload.ts"), import.meta.filename, "--until-caught", "--seeds", String(seeds), "--first", String(first)], { env: { ...process.env, TRIBUNE_MUTANT: JSON.stringify(mutant) }, encoding: "utf8" });
    const caught = status === 1 && stdout.startsWith("seed ");
    if (!caught) survivors++;
    console.log(`${mutant.name}: ${caught ? `caught: ${stdout.slice(0, 160).replaceAll("\n", " ")}` : `survives! ${stderr.slice(0, 300)}`}`);
  }
  return survivors;
}

process.exitCode = (values.mutants ? mutants() : await stories()) === 0 ? 0 : 1;
