import type { Command } from "commander";
import { runStatus, withFollow } from "../follow-status.ts";
import type { StatusOptions } from "../follow-status.ts";
import type { Shell } from "../shell.ts";
import { showElections } from "../show-group.ts";

const EXAMPLES = `
Examples:
  tribune elections
  tribune elections --follow
  tribune elections --json | jq -r '.[] | select(.election == "scheduler") | .holder.node'`;

/** `tribune elections`: who holds what, by which token. */
export function electionsCommand(program: Command, shell: Shell): void {
  withFollow(program.command("elections").description("show who holds which election, by which token"))
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions) => runStatus(shell, options, { lines: (status) => showElections(status.elections, shell), json: (status) => status.elections }));
}
