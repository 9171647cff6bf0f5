import type { Command } from "commander";
import { runStatus, withFollow } from "../follow-status.ts";
import type { StatusOptions } from "../follow-status.ts";
import type { Shell } from "../shell.ts";
import { showMembers } from "../show-group.ts";

const EXAMPLES = `
Examples:
  tribune members
  tribune members --departed
  tribune members --json | jq -r '.[].node'`;

/** `tribune members`: who is in the group. */
export function membersCommand(program: Command, shell: Shell): void {
  withFollow(program.command("members").description("show who is in a group, the oldest first"))
    .option("--departed", "also those who left or died in the last minutes")
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions & { readonly departed?: boolean }) => {
      const chosen = options.departed === true;
      return runStatus(shell, options, {
        lines: (status) => showMembers([...status.members, ...(chosen ? status.departed : [])], shell),
        json: (status) => [...status.members, ...(chosen ? status.departed : [])],
      });
    });
}
