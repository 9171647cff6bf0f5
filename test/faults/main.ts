/**
 * Real processes on real servers under real faults, and a judgement of everything they wrote down. See README.md beside this file.
 */
import { randomInt } from "node:crypto";
import { UnfitFolder } from "../fleet/history-folder.ts";
import { listText, readRequest, USAGE, UsageError } from "./options.ts";
import type { FaultOptions, Request } from "./options.ts";
import { planText, resultText } from "./report.ts";
import { NothingToDo, runFaults } from "./run.ts";
import type { Audience } from "./run.ts";
import { NoServer } from "./stores/no-server.ts";

const PROGRESS_EVERY_MS = { terminal: 2_000, file: 30_000 };

async function main(): Promise<number> {
  let request: Request;
  try {
    request = readRequest(process.argv.slice(2), () => randomInt(2 ** 32 - 1));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (request.kind !== "run") {
    console.log(request.kind === "help" ? USAGE : listText(request.storeKind));
    return 0;
  }
  const { options } = request;
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
  const { audience, close } = toTheScreen(options);
  try {
    const result = await runFaults(options, audience, interrupted.signal);
    close();
    console.log(options.json ? JSON.stringify(result, undefined, 2) : resultText(result));
    return result.passed ? 0 : 1;
  } catch (error) {
    close();
    if (interrupted.signal.aborted) {
      console.error(`${(interrupted.signal.reason as Error).message}; everything is put away (seed ${options.seed})`);
      return 130;
    }
    if (error instanceof UnfitFolder || error instanceof NothingToDo) {
      console.error(`error: ${error.message}`);
      return 2;
    }
    if (error instanceof NoServer) console.error(`error: ${error.message}`);
    else console.error(`error (seed ${options.seed}): ${error instanceof Error ? error.stack : String(error)}`);
    return 1;
  }
}

/** The plan, and a line of progress: the same line again on a terminal, a new one now and then elsewhere. */
function toTheScreen(options: FaultOptions): { readonly audience: Audience; readonly close: () => void } {
  const terminal = process.stderr.isTTY;
  let latest = "starting";
  const show = () => process.stderr.write(terminal ? `\r\u001b[K${latest}` : `${latest}\n`);
  const timer = setInterval(show, terminal ? PROGRESS_EVERY_MS.terminal : PROGRESS_EVERY_MS.file);
  return {
    audience: {
      plan: (plan, where) => void (options.json ? process.stderr : process.stdout).write(`${planText(plan, where, options)}\n`),
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
