import { Option } from "commander";
import type { Command } from "commander";
import { openAdmin } from "../../admin/index.ts";
import type { Diagnosis } from "../../admin/index.ts";
import { checkName, Complaints } from "../../kernel/index.ts";
import { checkTiming, defaultStopBudgetMs, PRESETS } from "../../presence/index.ts";
import type { Preset, Timing } from "../../presence/index.ts";
import type { Finding } from "../../store/index.ts";
import { Interrupts } from "../interrupts.ts";
import { groupIfGiven, storeOnly, wholeNumber, withJson, withStore, withTimeout } from "../options.ts";
import type { AskOptions } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface DoctorOptions extends AskOptions {
  readonly json?: boolean;
  readonly preset?: Preset;
  readonly leaseMs?: number;
  readonly beatMs?: number;
}

/** A connection wants a name, also where no group is given. */
const NO_GROUP = "doctor";

const EXAMPLES = `
Examples:
  tribune doctor --store postgres://db/app
  tribune doctor --group billing --preset calm
  tribune doctor --json | jq '.findings[] | select(.level != "ok")'

Run it on the machine, with the URL and the user, that nodes run with. It writes nothing.
Exit code 0: nothing fails (warnings are allowed). 1: something fails. 3: the store cannot be reached.`;

/** `tribune doctor`: looks at the store, the way to it and this machine. */
export function doctorCommand(program: Command, shell: Shell): void {
  withTimeout(withStore(withJson(program.command("doctor").description("look at the store, the way to it and this machine, and say what to mend"))))
    .addOption(new Option("--preset <name>", "the timings to judge by (default: default)").choices(Object.keys(PRESETS)))
    .addOption(new Option("--lease-ms <n>", "the lease to judge by").argParser(wholeNumber(1)))
    .addOption(new Option("--beat-ms <n>", "the beat to judge by").argParser(wholeNumber(1)))
    .addHelpText("after", EXAMPLES)
    .action((options: DoctorOptions) => doctor(shell, options));
}

async function doctor(shell: Shell, options: DoctorOptions): Promise<void> {
  const timing = timingOf(options);
  const given = groupIfGiven(shell, options);
  const group = given === undefined ? NO_GROUP : checkName("group", given);
  const store = storeOnly(shell, options);
  const { timeoutMs } = options;
  const interrupts = new Interrupts();
  const admin = openAdmin({ store, group, clock: shell.clock, random: shell.random, logger: shell.logger, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  try {
    const diagnosis = await admin.diagnose({ timing, signal: interrupts.signal });
    if (options.json === true) shell.printJson(diagnosis);
    else shell.print(...lines(diagnosis, shell));
    if (diagnosis.worst === "fail") shell.exitCode = 1;
  } finally {
    await admin.close();
    await store.close();
    interrupts.release();
  }
}

function timingOf({ preset = "default", ...given }: DoctorOptions): Timing {
  const { leaseMs = PRESETS[preset].leaseMs, beatMs = PRESETS[preset].beatMs } = given;
  const timing = { leaseMs, beatMs, stopBudgetMs: defaultStopBudgetMs(leaseMs) };
  const complaints = new Complaints("command line");
  checkTiming(timing, complaints);
  complaints.throwIfAny();
  return timing;
}

function lines({ label, findings }: Diagnosis, shell: Shell): string[] {
  const width = Math.max(...findings.map((finding) => finding.check.length));
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
  return [
    shell.paint("bold", safeText(label)),
    ...findings.flatMap((finding) => showFinding(finding, width, shell)),
    "",
    `${count("ok")} ok, ${count("warn")} to look at, ${count("fail")} failing`,
  ];
}

/** On lines no longer than the terminal is wide, the next step below what was found. */
function showFinding({ check, level, found, next }: Finding, width: number, shell: Shell): string[] {
  const mark = { ok: shell.paint("green", "ok  "), warn: shell.paint("yellow", "warn"), fail: shell.paint("red", "fail") }[level];
  const indent = " ".repeat(4 + 2 + width + 2);
  const room = Math.max(30, shell.columns - indent.length);
  const [first = "", ...rest] = wrapped(safeText(found), room);
  return [`${mark}  ${check.padEnd(width)}  ${first}`, ...rest.map((line) => indent + line), ...(next === undefined ? [] : wrapped(`→ ${safeText(next)}`, room).map((line) => indent + shell.paint("dim", line)))];
}

/** Words on lines of at most `room` characters; a word that is longer stands alone. */
function wrapped(text: string, room: number): string[] {
  const all: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > room) {
      all.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...all, line];
}
