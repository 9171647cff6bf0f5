import { Option } from "commander";
import type { Command } from "commander";
import type { Admin, EventRecord, EventsBatch } from "../../admin/index.ts";
import { failureLine } from "../failure.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import type { Shell } from "../shell.ts";
import { showEvent } from "../show-group.ts";

interface EventsOptions extends AskOptions {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly after?: number;
  readonly limit?: number;
}

const EXAMPLES = `
Examples:
  tribune events --limit 20
  tribune events --follow
  tribune events --follow --json | jq -c 'select(.type == "term-began")'
  tribune events --after 1200 --json`;

/** `tribune events`: what happened in a group. */
export function eventsCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("events").description("show what happened in a group, the oldest first"), "print one JSON value; with --follow one event per line")))
    .option("--follow", "go on with what happens; ends with Ctrl-C")
    .addOption(new Option("--after <sequence>", "only events after this one").argParser(wholeNumber(0)))
    .addOption(new Option("--limit <n>", "how many at most; without --after the newest ones (default 100)").argParser(wholeNumber(1)))
    .addHelpText("after", EXAMPLES)
    .action(async (options: EventsOptions) => {
      if (options.follow === true) await follow(shell, options);
      else await withAdmin(shell, options, (admin) => once(shell, options, admin));
    });
}

async function once(shell: Shell, options: EventsOptions, admin: Admin): Promise<void> {
  const page = await admin.events({ after: options.after, limit: options.limit });
  if (options.json === true) {
    shell.printJson(page);
    return;
  }
  if (page.skipped > 0) shell.note(`${page.skipped} events had been forgotten already`);
  shell.print(...page.events.map((event) => showEvent(event, shell)));
}

async function follow(shell: Shell, options: EventsOptions): Promise<void> {
  const interrupts = new Interrupts();
  const signal = AbortSignal.any([interrupts.signal, shell.gone]);
  const print = (events: readonly EventRecord[]) => {
    for (const event of events) if (options.json === true) shell.printJson(event);
      else shell.print(showEvent(event, shell));
  };
  try {
    await withAdmin(shell, options, async (admin) => {
      const page = await admin.events({ after: options.after, limit: options.limit ?? (options.after === undefined ? 20 : undefined), signal }).catch((error: unknown) => {
        if (signal.aborted) return undefined;
        throw error;
      });
      if (page === undefined) return;
      tellGaps(shell, { ...page, restarted: false });
      print(page.events);
      for await (const followed of admin.followEvents({ after: page.cursor, signal })) {
        if (followed.kind === "trouble") {
          shell.note(failureLine(followed.error));
          continue;
        }
        tellGaps(shell, followed.news);
        print(followed.news.events);
      }
    });
  } finally {
    interrupts.release();
  }
}

function tellGaps(shell: Shell, batch: EventsBatch): void {
  if (batch.skipped > 0) shell.note(`${batch.skipped} events had been forgotten before they were read`);
  if (batch.restarted) shell.note("the store has gone back, as after a failover that lost commits; going on from its newest event");
}
