/**
 * Torture: real processes, real faults, and a judgement of everything they wrote down. See README.md beside this file.
 */
import { randomInt } from "node:crypto";
import { readOptions, USAGE, UsageError } from "./options.ts";
import type { TortureOptions } from "./options.ts";
import { planText, resultText } from "./report.ts";
import { torture } from "./torture.ts";
import type { Audience } from "./torture.ts";

const PROGRESS_EVERY_MS = { terminal: 2_000, file: 30_000 };

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  let options: TortureOptions;
  try {
    options = readOptions(args, () => randomInt(2 ** 32 - 1));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
  const { audience, close } = toTheScreen(options);
  try {
    const result = await torture(options, audience, interrupted.signal);
    close();
    console.log(options.json ? JSON.stringify(result, undefined, 2) : resultText(result));
    return result.passed ? 0 : 1;
  } catch (error) {
    close();
    console.error(`error: ${error instanceof Error ? error.message : String(error)} (seed ${options.seed})`);
    if (!interrupted.signal.aborted && error instanceof Error) console.error(error.stack);
    return interrupted.signal.aborted ? 130 : 1;
  }
}

/** The plan, and a line of progress: the same line again on a terminal, a new one now and then elsewhere. */
function toTheScreen(options: TortureOptions): { readonly audience: Audience; readonly close: () => void } {
  const terminal = process.stderr.isTTY;
  const everyMs = terminal ? PROGRESS_EVERY_MS.terminal : PROGRESS_EVERY_MS.file;
  let latest = "starting";
  const show = () => process.stderr.write(terminal ? `\r\u001b[K${latest}` : `${latest}\n`);
  const timer = setInterval(show, everyMs);
  return {
    audience: {
      plan: (plan, place) => void (options.json ? process.stderr : process.stdout).write(`${planText(plan, place.label, options)}\n`),
      progress: (line) => {
        latest = line;
        if (terminal) show();
      },
    },
    close: () => {
      clearInterval(timer);
      if (terminal) process.stderr.write("\r\u001b[K");
    },
  };
}

process.exit(await main()); // everything is put away; a socket that Node cannot close must not keep the command
