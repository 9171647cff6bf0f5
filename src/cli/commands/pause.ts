import type { Command } from "commander";
import type { PauseOutcome } from "../../admin/index.ts";
import { checkName } from "../../kernel/index.ts";
import { withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface PauseOptions extends AskOptions {
  readonly json?: boolean;
  readonly reason: string;
}

const PAUSE_EXAMPLES = `
Examples:
  tribune pause scheduler --reason "the warehouse is being moved"
  tribune pause scheduler --reason "maintenance" && tribune resign scheduler

No new term begins until 'tribune resume'. A holder keeps its term: ask it to resign as well, if its work is to stop now.
Exit code 4: it is paused already, or there is no such election. 'coordinator' cannot be paused.`;

const RESUME_EXAMPLES = `
Examples:
  tribune resume scheduler

Exit code 4: it is not paused, or there is no such election.`;

/** `tribune pause E`: no new term begins. */
export function pauseCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("pause").description("let no new term of an election begin, in the whole group").argument("<election>", "the election's name"))))
    .requiredOption("--reason <text>", "why: others will want to know")
    .addHelpText("after", PAUSE_EXAMPLES)
    .action(async (election: string, options: PauseOptions) => {
      checkName("election", election);
      const outcome = await withAdmin(shell, options, (admin) => admin.pause(election, { reason: options.reason }));
      tell(shell, options, { outcome: "paused", ...outcome }, `${election} is paused; ${outcome.holder === null ? "nobody holds it" : `${outcome.holder.node} keeps term ${outcome.holder.token}: 'tribune resign ${election}' ends it`}`);
    });
}

/** `tribune resume E`: terms may begin again. */
export function resumeCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("resume").description("let terms of a paused election begin again").argument("<election>", "the election's name"))))
    .addHelpText("after", RESUME_EXAMPLES)
    .action(async (election: string, options: AskOptions & { readonly json?: boolean }) => {
      checkName("election", election);
      const outcome = await withAdmin(shell, options, (admin) => admin.resume(election));
      const { by, at, reason } = outcome.paused;
      tell(shell, options, { outcome: "resumed", ...outcome }, `${election} goes on; it had been paused by ${by} since ${at}: ${reason}`);
    });
}

function tell(shell: Shell, { json }: { readonly json?: boolean }, outcome: PauseOutcome & { readonly outcome: string }, sentence: string): void {
  if (json === true) shell.printJson(outcome);
  else shell.print(safeText(sentence));
}
