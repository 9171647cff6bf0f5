import type { Command } from "commander";
import { runStatus, withFollow } from "../follow-status.ts";
import type { StatusOptions } from "../follow-status.ts";
import type { Shell } from "../shell.ts";
import { showStatus } from "../show-group.ts";

const EXAMPLES = `
Examples:
  tribune status --store sqlite:/var/lib/app/cluster.db --group billing
  tribune status --follow
  tribune status --json | jq '.warnings[] | select(.severity == "warning")'`;

/** `tribune status`: everything about a group at one instant, and what to look at. */
export function statusCommand(program: Command, shell: Shell): void {
  withFollow(program.command("status").description("show a group: store, members, elections, and what a person should look at"))
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions) => runStatus(shell, options, { lines: (status) => showStatus(status, shell), json: (status) => status }));
}
