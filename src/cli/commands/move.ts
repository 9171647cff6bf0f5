import { Option } from "commander";
import type { Command } from "commander";
import type { MoveProgress } from "../../admin/index.ts";
import { storeFromUrl } from "../../cluster/index.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface MoveOptions extends AskOptions {
  readonly json?: boolean;
  readonly to: string;
  readonly waitMs?: number;
}

const EXAMPLES = `
Examples:
  tribune move --store postgres://db/app --to etcd://etcd-1:2379,etcd-2:2379,etcd-3:2379 --group billing

Pauses every election on the old store for good and has each holder resign: from then on nobody leads. Then makes the group on the new store, in a later
generation, so that tokens go on growing. Restart the nodes with the new store then, one after the other: the first one leads as soon as its lease
allows. Before that, 'tribune resume' on the old store undoes it. Run again after a failure it goes on where it was.
Exit code 1: a holder did not resign in time. Exit code 2: the group has live members on the new store already.`;

/** `tribune move --to URL`: a group is made on another store, so that its nodes can be started there. */
export function moveCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("move").description("make a group on another store, for its nodes to be restarted there; tokens go on growing"))))
    .requiredOption("--to <url>", "the other store")
    .addOption(new Option("--wait-ms <n>", "how long a holder may take to resign (default: two of its leases, at least 10000)").argParser(wholeNumber(0)))
    .addHelpText("after", EXAMPLES)
    .action(async (options: MoveOptions) => {
      const interrupts = new Interrupts();
      const to = storeFromUrl(options.to);
      try {
        const onProgress = (progress: MoveProgress) => {
          if (options.json !== true) shell.note(safeText(sentence(progress)));
        };
        const outcome = await withAdmin(shell, options, (admin) => admin.move(to, { timeoutMs: options.waitMs, signal: interrupts.signal, onProgress }));
        if (options.json === true) return shell.printJson(outcome);
        const { group, from, elections, tokensAbove, tookMs } = outcome;
        shell.print(safeText(`${group} can be started on ${outcome.to} now, ${duration(tookMs)} after it was asked; ${elections.length} ${elections.length === 1 ? "election is" : "elections are"} paused on ${from} for good, and tokens there will be greater than ${tokensAbove}`));
      } finally {
        interrupts.release();
        await to.close();
      }
    });
}

function sentence(progress: MoveProgress): string {
  if (progress.step === "paused") return `${progress.election} is paused`;
  return progress.step === "resigned" ? `${progress.node} resigned ${progress.election}, token ${progress.token}` : `the group is made, generation ${progress.generation}`;
}
