import { Option } from "commander";
import type { Command } from "commander";
import type { EvictOutcome } from "../../admin/index.ts";
import { checkName, TribuneError } from "../../kernel/index.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

interface EvictOptions extends AskOptions {
  readonly json?: boolean;
  readonly reason: string;
  readonly waitMs?: number;
}

const EXAMPLES = `
Examples:
  tribune evict billing-3 --reason "its disk is failing"
  tribune evict billing-3 --reason "frozen since noon" --wait-ms 60000 --json

The node's beats are refused from now on: it ends its terms, leaves and stops with EVICTED, and does not come back by itself. Whoever starts it
again may. One that is frozen is declared dead when its lease is over. A command of 'tribune lead' cannot evict the node that it runs on.
Exit code 4: there is no such live member. Exit code 1: it was asked, and is still there.`;

/** `tribune evict NODE`: asks a node to leave the group, and waits until it is gone. */
export function evictCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("evict").description("ask a node to leave the group and stop, and wait until it is gone").argument("<node>", "the node's name"))))
    .requiredOption("--reason <text>", "why: others will want to know")
    .addOption(new Option("--wait-ms <n>", "how long to wait until it is gone (default: two of its leases, at least 10000)").argParser(wholeNumber(0)))
    .addHelpText("after", EXAMPLES)
    .action(async (node: string, options: EvictOptions) => {
      checkName("node", node);
      const interrupts = new Interrupts();
      try {
        const outcome = await withAdmin(shell, options, (admin) => admin.evict(node, { reason: options.reason, timeoutMs: options.waitMs, signal: interrupts.signal }), node);
        if (outcome.outcome === "still-there") {
          throw new TribuneError("STOP_OVERRUN", `${node} was asked to leave${outcome.already ? " before" : ""}, and is still there after ${duration(outcome.tookMs)}`, {
            about: node,
            next: outcome.last ? "end that process; nobody else is there to declare it dead" : "look at that process; its beats are refused, and it is declared dead when its lease is over",
          });
        }
        if (options.json === true) shell.printJson(outcome);
        else shell.print(sentence(outcome));
        if (outcome.last) shell.note(`warning: ${node} was the last member; nobody leads anything now`);
      } finally {
        interrupts.release();
      }
    });
}

function sentence({ node, how, already, held, tookMs }: EvictOutcome): string {
  const went = how === "left" ? "left" : how === null ? "is gone" : "was declared dead";
  const had = held.length === 0 ? "" : `; it held ${held.join(", ")}`;
  return `${node} ${went} ${duration(tookMs)} after ${already ? "this (it had been asked before)" : "it was asked"}${had}`;
}
