import { Option } from "commander";
import type { Command } from "commander";
import type { ResignOutcome } from "../../admin/index.ts";
import { checkName, nearest, TribuneError } from "../../kernel/index.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

interface ResignOptions extends AskOptions {
  readonly json?: boolean;
  readonly waitMs?: number;
}

const EXAMPLES = `
Examples:
  tribune resign scheduler
  tribune resign scheduler --wait-ms 60000 --json

The holder sees the request with its next beat, and its work has the stop budget to end. It may win the next term again.
Exit code 4: nobody holds it, or that term ended before it could be asked.`;

/** `tribune resign E`: asks the holder to give its term up, and waits until it has. */
export function resignCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("resign").description("ask the holder of an election to resign, and wait until it has").argument("<election>", "the election's name"))))
    .addOption(new Option("--wait-ms <n>", "how long to wait for the end of the term (default: two leases of the holder, at least 10000)").argParser(wholeNumber(0)))
    .addHelpText("after", EXAMPLES)
    .action(async (election: string, options: ResignOptions) => {
      checkName("election", election);
      const interrupts = new Interrupts();
      try {
        const outcome = await withAdmin(shell, options, (admin) => admin.requestResign(election, { timeoutMs: options.waitMs, signal: interrupts.signal }));
        if (outcome.outcome !== "resigned") throw refused(outcome);
        if (options.json === true) shell.printJson(outcome);
        else shell.print(sentence(outcome));
      } finally {
        interrupts.release();
      }
    });
}

function sentence(outcome: Extract<ResignOutcome, { outcome: "resigned" }>): string {
  const { node, election, token, tookMs, successor } = outcome;
  const after = successor === null ? "nobody held it a moment later" : `${successor.node} holds it now, with token ${successor.token}`;
  return `${node} gave up term ${token} of ${election} after ${duration(tookMs)}; ${after}`;
}

function refused(outcome: Exclude<ResignOutcome, { outcome: "resigned" }>): TribuneError {
  const { election } = outcome;
  switch (outcome.outcome) {
    case "unknown": {
      const near = nearest(election, outcome.known);
      return new TribuneError("NOT_HELD", `there is no election ${election} in this group`, {
        about: election,
        next: near === undefined ? "see 'tribune elections'" : `did you mean ${near}?`,
      });
    }
    case "not-held":
      return new TribuneError("NOT_HELD", `nobody holds ${election}`, { about: election, next: "there is nothing to resign; see 'tribune elections'" });
    case "superseded":
      return new TribuneError("NOT_HELD", `term ${outcome.token} of ${election} on ${outcome.node} ended before it could be asked`, { about: election, next: "see 'tribune elections' for who holds it now" });
    case "still-held":
      return new TribuneError("STOP_OVERRUN", `${outcome.node} was asked, and still holds term ${outcome.token} of ${election} after ${duration(outcome.waitedMs)}`, {
        about: election,
        next: `look at ${outcome.node}; the request stays`,
      });
    default:
      return outcome satisfies never;
  }
}
