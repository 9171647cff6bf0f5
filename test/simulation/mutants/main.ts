/**
 * Mutants: known-bad variants of the code, each played through the simulator, to see that something there catches it. See README.md beside this file.
 */
import { availableParallelism } from "node:os";
import { MUTANTS } from "./all.ts";
import { experiment } from "./experiment.ts";
import { readOptions, USAGE, UsageError } from "./options.ts";
import type { MutantsOptions } from "./options.ts";
import { experimentJson, experimentText } from "./report.ts";

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  if (args.includes("--list")) {
    console.log(MUTANTS.map(({ name, wrong }) => `${name}\n    ${wrong}`).join("\n"));
    return 0;
  }
  let options: MutantsOptions;
  try {
    options = readOptions(args, availableParallelism());
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message} (--help shows all options)`);
    return 2;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130)); // its processes are ended with it
  try {
    const result = await experiment(options, (line) => console.error(line));
    console.log(options.json ? experimentJson(result) : experimentText(result));
    return result.passed ? 0 : 1;
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

process.exit(await main());
