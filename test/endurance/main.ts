/** `npm run endurance`: the channel for a long time, with much, and against its bounds; see README.md beside this. */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { keys } from "./keys.ts";
import type { Ground, Outcome } from "./scenario.ts";
import { state } from "./state.ts";
import { stuck } from "./stuck.ts";
import { window } from "./window.ts";

const SCENARIOS: Readonly<Record<string, (ground: Ground) => Promise<Outcome>>> = { stuck, window, state, keys };

const USAGE = `usage: npm run endurance -- [${Object.keys(SCENARIOS).join(" | ")}]... [options]

  stuck    a receiver that reads nothing for a minute: memory stays bounded, nothing is lost
  window   ten million messages through the duplicate window, over connections that are reset
  state    a million entries, 500 MB, reach a joiner while writes go on and the giver is killed
  keys     ten rotations of the group's key under load
           (default: all, one after the other)

  --quick      small and short, to see that it works
  --json FILE  what was found
  --help

Exit code 0: all holds; 1: not; 2: wrong usage.`;

process.exitCode = await main();

async function main(): Promise<number> {
  const asked = read();
  if (typeof asked === "number") return asked;
  const { names, quick, json } = asked;
  const beganMs = performance.now();
  const say = (text: string) => void process.stderr.write(`[${Math.round((performance.now() - beganMs) / 1_000)} s] ${text}\n`);
  const results: Array<Outcome & { readonly scenario: string }> = [];
  for (const name of names) {
    say(name);
    const outcome = await (SCENARIOS[name] as (typeof SCENARIOS)[string])({ quick, say });
    results.push({ scenario: name, ...outcome });
    console.log(`## ${name}\n\n${outcome.lines.join("\n")}\n\n${outcome.findings.map(({ what, holds, seen }) => `- ${holds ? "holds" : "**DOES NOT HOLD**"}: ${what}: ${seen}`).join("\n")}\n`);
    if (json !== undefined) writeFileSync(json, `${JSON.stringify({ node: process.versions.node, quick, results }, null, 1)}\n`);
  }
  console.log(`Node.js ${process.versions.node}, load average ${loadavg().map((each) => each.toFixed(1)).join(", ")}.`);
  return results.every(({ findings }) => findings.every(({ holds }) => holds)) ? 0 : 1;
}

function read(): { readonly names: readonly string[]; readonly quick: boolean; readonly json: string | undefined } | number {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { quick: { type: "boolean" }, json: { type: "string" }, help: { type: "boolean", short: "h" } } });
    if (values.help === true) {
      console.log(USAGE);
      return 0;
    }
    const strange = positionals.find((name) => !Object.hasOwn(SCENARIOS, name));
    if (strange !== undefined) throw new Error(`there is no scenario ${JSON.stringify(strange)}`);
    return { names: Object.keys(SCENARIOS).filter((name) => positionals.length === 0 || positionals.includes(name)), quick: values.quick ?? false, json: values.json };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
}
