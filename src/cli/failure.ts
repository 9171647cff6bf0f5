import { CommanderError } from "commander";
import type { Command } from "commander";
import { ERROR_CODES, isTribuneError, nearest, shown, toTribuneError, TribuneError } from "../kernel/index.ts";
import { fit } from "./safe-text.ts";
import type { Shell } from "./shell.ts";

/** Commander repeats the value that it complains about, however long. */
const LONGEST_COMPLAINT = 300;

/** Commander's codes for what is not a failure: help and version were asked for. */
const SHOWN = new Set(["commander.helpDisplayed", "commander.version"]);

/** Tells of what ended a command, on one line of standard error, and answers the exit code. */
export function reportFailure(error: unknown, shell: Shell, program: Command): number {
  if (error instanceof CommanderError) {
    if (SHOWN.has(error.code)) return 0;
    if (error.code === "commander.help") return 2; // no command was given; commander has shown the help
    return report(usageError(error, program), shell);
  }
  return report(error, shell);
}

/** The same, for a command that has an exit code of its own. */
export function report(error: unknown, shell: Shell): number {
  const coded = isTribuneError(error) ? error : toTribuneError(error, "INTERNAL", "this should not have happened", { next: "run it again with --verbose, and report what it says" });
  shell.note(failureLine(coded));
  if (shell.verbose) for (const line of causes(error)) shell.note(`  ${line}`);
  return ERROR_CODES[coded.code].exit;
}

/** `error CODE: what, about what, what to do next`; what the message names already is not named twice. */
export function failureLine(error: TribuneError): string {
  const parts = [error.message, error.about === undefined || error.message.includes(error.about) ? undefined : `about ${error.about}`, error.next];
  return `error ${error.code}: ${parts
    .filter((part) => part !== undefined && part !== "")
    .join(", ")
    .replace(/\s+/g, " ")}`;
}

/** The stack of an error and of all its causes. */
function causes(error: unknown): string[] {
  const lines: string[] = [];
  for (let current = error, depth = 0; current instanceof Error && depth < 8; current = current.cause, depth++) {
    const text = current.stack ?? String(current);
    lines.push(...(depth === 0 ? text : `caused by ${text}`).split("\n"));
  }
  return lines;
}

/** What commander complains about, in our words: coded, and with the nearest thing that exists. */
function usageError(error: CommanderError, program: Command): TribuneError {
  const text = error.message.replace(/^error: /, "").split("\n")[0] ?? "";
  const quoted = /'([\s\S]*?)'/.exec(error.message)?.[1] ?? "";
  if (error.code === "commander.unknownOption") {
    const flag = quoted.split("=")[0] ?? "";
    const command = commandOf(program);
    const near = nearest(flag, optionsOf(command));
    const elsewhere = command === program && program.commands.some((other) => optionsOf(other).includes(flag));
    const next = elsewhere ? `put it after the command, as in: tribune status ${flag} …` : near === undefined ? `see '${path(command)} --help'` : `did you mean ${near}?`;
    return new TribuneError("INVALID_OPTIONS", `unknown option ${shown(flag)} of ${path(command)}`, { next });
  }
  if (error.code === "commander.unknownCommand") {
    const near = nearest(quoted, program.commands.map((command) => command.name()));
    return new TribuneError("INVALID_OPTIONS", `unknown command ${shown(quoted)}`, { next: near === undefined ? "see 'tribune --help'" : `did you mean ${near}?` });
  }
  if (error.code === "commander.excessArguments") {
    const command = commandOf(program);
    // Not repeated: what was typed in the wrong place may well be a store URL.
    return new TribuneError("INVALID_OPTIONS", `too many arguments for ${path(command)}, which takes ${command.registeredArguments.length}`, { next: `see '${path(command)} --help'` });
  }
  return new TribuneError("INVALID_OPTIONS", fit(text, LONGEST_COMPLAINT).replace(/\.$/, ""), { next: `see '${path(commandOf(program))} --help'` });
}

/** The command that was being read when commander complained. */
function commandOf(program: Command): Command {
  return program.commands.find((command) => command.name() === program.args[0]) ?? program;
}

function optionsOf(command: Command): string[] {
  return [...command.options.flatMap((option) => [option.long, option.short].filter((flag) => flag !== undefined)), "--help"];
}

function path(command: Command): string {
  return command.parent === null ? command.name() : `${command.parent.name()} ${command.name()}`;
}
