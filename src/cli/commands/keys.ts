import { Option } from "commander";
import type { Command } from "commander";
import type { KeysStatus, RotationOutcome, RotationProgress } from "../../admin/index.ts";
import { duration } from "../duration.ts";
import { Interrupts } from "../interrupts.ts";
import { wholeNumber, withAdmin, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";
import { table } from "../table.ts";

interface KeysOptions extends AskOptions {
  readonly json?: boolean;
}

interface RotateOptions extends KeysOptions {
  readonly settleMs?: number;
}

const STATUS_EXAMPLES = `
Examples:
  tribune keys status
  tribune keys status --json

Secrets are never shown. Exactly one key is active: members dial with it. Those that are accepted are taken from others; retired ones are refused.`;

const ROTATE_EXAMPLES = `
Examples:
  tribune keys rotate
  tribune keys rotate --settle-ms 60000 --json

Three steps: a new key is accepted, then used, then the old ones are refused, and connections made with them are made again. Between them all members are given the time to read
the change; with the defaults the whole takes about a minute. Messages go on meanwhile. Ctrl-C leaves it where it is: run it again, and it goes on.
Exit code 1: the group has no keys, or others change them at the same time.`;

/** `tribune keys`: what members prove themselves with. */
export function keysCommand(program: Command, shell: Shell): void {
  const keys = program.command("keys").description("the keys that members prove themselves with: show them, rotate them").addHelpText("after", STATUS_EXAMPLES + ROTATE_EXAMPLES);
  withTimeout(withStore(withJson(keys.command("status").description("show the keys, without their secrets"))))
    .addHelpText("after", STATUS_EXAMPLES)
    .action(async (options: KeysOptions) => {
      const status = await withAdmin(shell, options, (admin) => admin.keys());
      if (options.json === true) shell.printJson(status);
      else for (const line of shown(status)) shell.print(line);
    });
  withTimeout(withStore(withJson(keys.command("rotate").description("have all members use a new key, and refuse the old ones"))))
    .addOption(new Option("--settle-ms <n>", "how long members have to read each step (default: five and a half of the longest lease, and a second)").argParser(wholeNumber(0)))
    .addHelpText("after", ROTATE_EXAMPLES)
    .action(async (options: RotateOptions) => {
      const interrupts = new Interrupts();
      try {
        const outcome = await withAdmin(shell, options, (admin) => admin.rotateKeys({ settleMs: options.settleMs, signal: interrupts.signal, onProgress: (progress) => shell.note(told(progress)) }));
        if (options.json === true) shell.printJson(outcome);
        else shell.print(sentence(outcome));
      } finally {
        interrupts.release();
      }
    });
}

function shown({ keys }: KeysStatus): string[] {
  return table(["KEY", "STATE", "CREATED"], keys.map(({ id, state, createdAt }) => [id, state, createdAt]));
}

function told({ step, key, settleMs }: RotationProgress): string {
  const what = { introduced: "is accepted by all", activated: "is used by all", retired: "is refused" }[step];
  return safeText(settleMs === 0 ? `${key} ${what}` : `${key} ${what} within ${duration(settleMs)}`);
}

function sentence({ active, retired, resumed, tookMs }: RotationOutcome): string {
  return safeText(`${active} is used now, after ${duration(tookMs)}${resumed ? ", by going on with a rotation that had not come to its end" : ""}; refused from now on: ${retired.join(", ") || "none"}`);
}
