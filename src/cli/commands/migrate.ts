import { Option } from "commander";
import type { Command } from "commander";
import { openAdmin } from "../../admin/index.ts";
import { storeOnly, wholeNumber, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

interface MigrateOptions extends AskOptions {
  readonly json?: boolean;
  readonly print?: boolean;
  readonly from?: number;
}

/** The schema belongs to the store, not to a group; a connection wants a name all the same. */
const NO_GROUP = "migrate";

const EXAMPLES = `
Examples:
  tribune migrate --store postgres://admin@db/app
  tribune migrate --print > tribune.sql
  tribune migrate --print --from 0        # the whole schema, without a connection
  tribune migrate --print --from 1        # from version 1 on, likewise

Nodes go on meanwhile. Migrate first, then restart them one after the other: a newer schema says which older code still works with it.`;

/** `tribune migrate`: makes the schema or brings it up to date, or prints the statements for that. */
export function migrateCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("migrate").description("make the schema in a store, or bring it up to date"))))
    .option("--print", "print the statements instead of running them")
    .addOption(new Option("--from <version>", "with --print: from this version on (0: nothing there), without asking the store").argParser(wholeNumber(0)))
    .addHelpText("after", EXAMPLES)
    .action(async (options: MigrateOptions) => {
      const store = storeOnly(shell, options);
      const { timeoutMs } = options;
      const admin = openAdmin({ store, group: NO_GROUP, clock: shell.clock, random: shell.random, logger: shell.logger, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
      try {
        if (options.print === true) {
          const from = options.from ?? (await admin.schema.installed()).version;
          print(shell, options, { from, to: admin.schema.needed, worksWith: admin.schema.worksWith, statements: admin.schema.print(from) }, admin.schema.terminator);
        } else {
          const { from, to } = await admin.schema.migrate();
          const { worksWith } = admin.schema;
          if (options.json === true) shell.printJson({ store: store.label, from, to, worksWith });
          else shell.print(from === to ? `${store.label} has schema version ${to}; nothing to do` : `${store.label} now has schema version ${to} (it had ${from === 0 ? "none" : from}); ${whoWorks(worksWith)}`);
        }
      } finally {
        await admin.close();
        await store.close();
      }
    });
}

function print(shell: Shell, options: MigrateOptions, plan: { readonly from: number; readonly to: number; readonly worksWith: number; readonly statements: readonly string[] }, terminator: string): void {
  if (options.json === true) {
    shell.printJson(plan);
    return;
  }
  const { from, to, worksWith, statements } = plan;
  const title = statements.length === 0 ? `-- schema version ${from} is there; version ${to} is needed: nothing to do` : `-- from schema version ${from} to ${to}; ${whoWorks(worksWith)}`;
  shell.print(title, ...statements.map((statement) => `${statement}${terminator}\n`));
}

/** Whether nodes can be restarted one after the other. */
function whoWorks(worksWith: number): string {
  return `code for schema version ${worksWith} or newer works with it`;
}
