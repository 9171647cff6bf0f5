import type { Command } from "commander";
import { Option } from "commander";
import type { GroupStatus } from "../admin/index.ts";
import { Interrupts } from "./interrupts.ts";
import { failureLine } from "./failure.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "./options.ts";
import type { AskOptions } from "./options.ts";
import { Redrawn } from "./shell.ts";
import type { Shell } from "./shell.ts";

export interface StatusOptions extends AskOptions {
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly intervalMs?: number;
}

/** What a command shows of a status: for people, and for programs. */
export interface Face {
  lines(status: GroupStatus): readonly string[];
  json(status: GroupStatus): unknown;
}

/** The options of commands that show a status, once or again and again. */
export function withFollow(command: Command): Command {
  return withTimeout(withStore(withJson(command, "print one JSON value; with --follow one per line")))
    .option("--follow", "go on: redraw on a terminal, otherwise print again what changed; ends with Ctrl-C")
    .addOption(new Option("--interval-ms <n>", "with --follow, how often to look when no hint comes (default 1000)").argParser(wholeNumber(10)));
}

/** Shows the status once, or as long as somebody watches. */
export async function runStatus(shell: Shell, options: StatusOptions, face: Face): Promise<void> {
  if (options.follow === true) return await followStatus(shell, options, face);
  await withAdmin(shell, options, async (admin) => {
    const status = await admin.status();
    if (options.json === true) shell.printJson(face.json(status));
    else shell.print(...face.lines(status));
  });
}

async function followStatus(shell: Shell, options: StatusOptions, face: Face): Promise<void> {
  const interrupts = new Interrupts();
  const signal = AbortSignal.any([interrupts.signal, shell.gone]);
  const screen = shell.isTerminal && options.json !== true ? new Redrawn(shell) : undefined;
  try {
    await withAdmin(shell, options, async (admin) => {
      // The first answer decides whether there is anything to follow; later trouble is waited out.
      await admin.status({ signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      let last: readonly string[] = [];
      for await (const followed of admin.followStatus({ signal, every: screen === undefined ? "change" : "look" })) {
        if (followed.kind === "trouble") {
          if (screen === undefined) shell.note(failureLine(followed.error));
          else screen.draw([...last, "", shell.paint("red", failureLine(followed.error))]);
        } else if (options.json === true) shell.printJson(face.json(followed.news));
        else {
          last = face.lines(followed.news);
          if (screen === undefined) shell.print(...last, "");
          else screen.draw(last);
        }
      }
    });
  } finally {
    interrupts.release();
  }
}
