import { readFileSync } from "node:fs";
import { Command } from "commander";
import { contextsCommand } from "./commands/contexts.ts";
import { demoCommand } from "./commands/demo.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { electionsCommand } from "./commands/elections.ts";
import { eventsCommand } from "./commands/events.ts";
import { evictCommand } from "./commands/evict.ts";
import { farmCommand } from "./commands/farm.ts";
import { joinCommand } from "./commands/join.ts";
import { keysCommand } from "./commands/keys.ts";
import { leadCommand } from "./commands/lead.ts";
import { listenCommand } from "./commands/listen.ts";
import { membersCommand } from "./commands/members.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { moveCommand } from "./commands/move.ts";
import { pauseCommand, resumeCommand } from "./commands/pause.ts";
import { pingCommand } from "./commands/ping.ts";
import { resignCommand } from "./commands/resign.ts";
import { sendCommand } from "./commands/send.ts";
import { statusCommand } from "./commands/status.ts";
import { transferCommand } from "./commands/transfer.ts";
import { reportFailure } from "./failure.ts";
import type { Shell } from "./shell.ts";

/** In the order of the help: what one tries first, comes first. */
const COMMANDS = [demoCommand, leadCommand, joinCommand, statusCommand, membersCommand, electionsCommand, eventsCommand, contextsCommand, resignCommand, transferCommand, pauseCommand, resumeCommand, evictCommand, sendCommand, listenCommand, pingCommand, farmCommand, keysCommand, doctorCommand, migrateCommand, moveCommand];

const EXAMPLES = `
Examples:
  tribune demo
  export TRIBUNE_STORE=sqlite:/var/lib/app/cluster.db TRIBUNE_GROUP=billing
  tribune lead --election scheduler -- node scheduler.js
  tribune status --follow
  tribune transfer scheduler billing-2
  tribune doctor

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 store unreachable, 4 refused.`;

/** Runs one command line and answers its exit code. Throws nothing: what went wrong has been told. */
export async function runCli(argv: readonly string[], shell: Shell): Promise<number> {
  const program = new Command("tribune")
    .description("Cluster coordination on the database you already run: who leads, who is alive, and writes that a stale leader cannot make.")
    .version(version(), "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .enablePositionalOptions() // so that everything after a command belongs to it, and after -- to the command to be run
    .exitOverride()
    .showSuggestionAfterError(false) // ours are part of the one line that an error is
    .configureOutput({ writeOut: (text) => shell.printRaw(text), writeErr: (text) => shell.noteRaw(text), outputError: () => undefined })
    .addHelpText("after", EXAMPLES);
  for (const command of COMMANDS) command(program, shell);
  shell.verbose = beforeDashes(argv).includes("--verbose"); // also for complaints about the command line itself
  try {
    await program.parseAsync(argv, { from: "user" });
    return shell.exitCode;
  } catch (error) {
    return reportFailure(error, shell, program);
  }
}

function beforeDashes(argv: readonly string[]): readonly string[] {
  const dashes = argv.indexOf("--");
  return dashes === -1 ? argv : argv.slice(0, dashes);
}

/** Two folders up, from the sources and from what is built of them. */
function version(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }).version;
}
