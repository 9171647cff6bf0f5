import { Option } from "commander";
import type { Command } from "commander";
import type { TransferOutcome, TransferProgress } from "../../admin/index.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

interface TransferOptions extends AskOptions {
  readonly json?: boolean;
  readonly waitMs?: number;
}

const EXAMPLES = `
Examples:
  tribune transfer scheduler billing-2
  tribune transfer coordinator billing-2
  tribune transfer scheduler billing-2 --wait-ms 60000 --json

The holder's work has the stop budget to end; then the election is kept for that node for two beats. A candidate of a higher priority
takes it back when the minimum term is over. Ctrl-C ends the wait; the request stays.
Exit code 4: that node is not there, does not contend, or may not lead; nobody holds the election; it is paused; somebody else took it.`;

/** `tribune transfer E NODE`: has another node hold an election, and waits until it does. */
export function transferCommand(program: Command, shell: Shell): void {
  const command = program.command("transfer").description("have another node hold an election, and wait until it does").argument("<election>", "the election's name").argument("<node>", "the node that is to hold it");
  withTimeout(withStore(withJson(command)))
    .addOption(new Option("--wait-ms <n>", "how long to wait for the new holder (default: two leases of the present one, at least 10000)").argParser(wholeNumber(0)))
    .addHelpText("after", EXAMPLES)
    .action(async (election: string, node: string, options: TransferOptions) => {
      const interrupts = new Interrupts();
      try {
        const onProgress = (progress: TransferProgress) => {
          if (shell.isTerminal && options.json !== true) shell.note(progressSentence(progress, election, node));
        };
        const outcome = await withAdmin(shell, options, (admin) => admin.transfer(election, node, { timeoutMs: options.waitMs, signal: interrupts.signal, onProgress }));
        if (options.json === true) shell.printJson({ outcome: "transferred", ...outcome });
        else shell.print(sentence(outcome));
      } finally {
        interrupts.release();
      }
    });
}

function progressSentence(progress: TransferProgress, election: string, node: string): string {
  if (progress.step === "asked") return `asked ${progress.from} to hand ${election} over to ${node}; waiting up to ${duration(progress.waitMs)}`;
  return `${election} is free, and kept for ${node}`;
}

function sentence({ election, from, to, tookMs, reclaimedBy }: TransferOutcome): string {
  const after = reclaimedBy === null ? "" : `; ${reclaimedBy.node}, of priority ${reclaimedBy.priority}, asks for it after ${duration(reclaimedBy.afterMs)}`;
  return `${to.node} holds ${election} now, with token ${to.token}; ${from.node} gave it up, ${duration(tookMs)} after it was asked${after}`;
}
