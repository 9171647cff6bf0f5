/**
 * `npm run model`: explores the model of the takeover, and breaks each of its variants. See README.md beside this file.
 */
import { parseArgs } from "node:util";
import { explore, findTools } from "./search.ts";
import type { Found } from "./search.ts";
import { SEARCHES } from "./searches.ts";
import type { Search } from "./searches.ts";

const USAGE = `usage: npm run model -- [options]

  --only NAME      only this search (repeatable): ${SEARCHES.map(({ name }) => name).join(", ")}
  --trail          with --only: how a variant breaks, step by step
  --json           one JSON value on standard output

exit codes: 0 the algorithm was explored without an error and every variant broke, 1 otherwise, 2 wrong usage`;

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  let options: { readonly searches: readonly Search[]; readonly trail: boolean; readonly json: boolean };
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`error: ${(error as Error).message.split("\n")[0]}; --help shows what there is`);
    return 2;
  }
  const { missing } = await findTools();
  if (missing !== undefined) {
    console.error(`error: ${missing}`);
    return 1;
  }
  const found: Found[] = [];
  for (const search of options.searches) {
    process.stderr.write(`${search.name} ...\n`);
    const { trail, ...rest } = await explore(search, options);
    found.push(rest);
    if (trail !== undefined) console.log(trail);
  }
  console.log(options.json ? JSON.stringify(found, undefined, 2) : found.map(lineOf).join("\n"));
  return found.every(({ good }) => good) ? 0 : 1;
}

function readOptions(args: readonly string[]) {
  const { values } = parseArgs({ args: [...args], options: { only: { type: "string", multiple: true }, trail: { type: "boolean" }, json: { type: "boolean" } } });
  if (values.trail === true && values.only === undefined) throw new Error("--trail goes with --only");
  const searches = values.only === undefined ? SEARCHES : values.only.map(searchNamed);
  return { searches, trail: values.trail ?? false, json: values.json ?? false };
}

function searchNamed(name: string): Search {
  const search = SEARCHES.find((each) => each.name === name);
  if (search === undefined) throw new Error(`--only: there is no ${JSON.stringify(name)}; there are ${SEARCHES.map((each) => each.name).join(", ")}`);
  return search;
}

function lineOf({ name, wrong, broke, exhaustive, states, depth, seconds, good }: Found): string {
  const came = broke === undefined ? (exhaustive ? "explored, no error" : "not explored to the end") : `breaks ${broke}`;
  return `${good ? "ok  " : "BAD "} ${name.padEnd(24)} ${came.padEnd(32)} ${String(states).padStart(8)} states, depth ${depth}, ${seconds} s${wrong === undefined ? "" : `  (${wrong})`}`;
}

process.exit(await main());
