import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { storeFromUrl } from "../../cluster/index.ts";
import { checkName, toTribuneError, TribuneError } from "../../kernel/index.ts";
import { play } from "../demo/play.ts";
import type { Place } from "../demo/play.ts";
import { measured, Presenter } from "../demo/presenter.ts";
import { Troupe } from "../demo/troupe.ts";
import { Interrupts } from "../interrupts.ts";
import { withJson } from "../options.ts";
import type { StoreOptions } from "../options.ts";
import { safeText } from "../safe-text.ts";
import type { Shell } from "../shell.ts";

interface DemoOptions extends StoreOptions {
  readonly json?: boolean;
  readonly keep?: boolean;
}

/** The whole demo; each step has a deadline of its own as well. */
const LONGEST_MS = 45_000;

/** How long the nodes have to stop in good order. */
const DISMISS_MS = 5_000;

const EXAMPLES = `
Examples:
  tribune demo
  tribune demo --keep                        # then play with the processes yourself
  tribune demo --store postgres://localhost/test
  tribune demo --json | jq -c '[.step, .tookMs]'

Needs nothing: three processes on a temporary SQLite file, removed afterwards. Takes about ten seconds. With --store it uses a group of its own there, whose
rows stay, and a table of its own, which is dropped.`;

/** `tribune demo`: three real processes elect, are killed and frozen, fail over; everything shown is measured, and checked. */
export function demoCommand(program: Command, shell: Shell): void {
  withJson(program.command("demo").description("three real processes: elect, kill, freeze, fail over, refuse a stale write; needs nothing"), "print one JSON value per step")
    .option("--store <url>", "run on this store instead of a temporary SQLite file")
    .option("--group <name>", "what the name of the demo's own group begins with (default: demo)")
    .option("--verbose", "tell on standard error what the processes say there, and stacks of errors")
    .option("--keep", "leave the processes running at the end, to play with, until Ctrl-C")
    .addHelpText("after", EXAMPLES)
    .action((options: DemoOptions) => demo(shell, options));
}

async function demo(shell: Shell, options: DemoOptions): Promise<void> {
  shell.verbose = options.verbose === true;
  if (process.platform === "win32") throw new TribuneError("INVALID_OPTIONS", "the demo freezes processes with SIGSTOP, which Windows does not have", { next: "run it under WSL or in a container" });
  const { place, remove } = choosePlace(shell, options);
  const interrupts = new Interrupts();
  const ends = new AbortController();
  const deadline = shell.clock.setTimer(LONGEST_MS, () => ends.abort(new TribuneError("INTERNAL", `the demo took longer than ${LONGEST_MS} ms`, { next: "run it again with --verbose; a machine that is very busy may be too slow for it" })));
  const show = new Presenter(shell, options.json === true);
  const troupe = new Troupe({
    clock: shell.clock,
    signal: AbortSignal.any([interrupts.signal, shell.gone, ends.signal]),
    onChange: () => show.refresh(),
    onStderr: (node, line) => {
      if (shell.verbose) shell.note(`${node}: ${line}`);
    },
  });
  // Whatever ends this process, no other one survives it: the nodes also end by themselves when their channel closes.
  const atExit = () => {
    troupe.killAll();
    remove();
  };
  process.on("exit", atExit);
  const onHangUp = () => process.exit(129);
  process.on("SIGHUP", onHangUp);
  const beganMs = shell.clock.monotonicMs();
  try {
    show.follow(() => troupe.actors);
    const leader = await play(troupe, show, place, shell.clock);
    deadline.cancel();
    const tookMs = shell.clock.monotonicMs() - beganMs;
    if (options.keep === true) {
      show.step("keep", { store: place.label, group: place.group }, ...invitation(place));
      await playOn(troupe, AbortSignal.any([interrupts.signal, shell.gone]));
    } else await clean(troupe, leader);
    await troupe.dismiss(DISMISS_MS).catch((error: unknown) => {
      if (options.keep !== true) throw error; // who was played with need not stop in good order
    });
    await troupe.end();
    show.end();
    show.step("done", { tookMs: Math.round(tookMs) }, `everything shown was measured and checked, in ${measured(tookMs)}`);
  } catch (error) {
    show.end();
    if (interrupts.signal.aborted) shell.exitCode = interrupts.by === "SIGTERM" ? 143 : 130;
    else if (!shell.gone.aborted) {
      show.failed(toTribuneError(error, "INTERNAL", "the demo failed"));
      throw error;
    }
  } finally {
    deadline.cancel();
    show.end();
    await troupe.end();
    atExit();
    process.off("exit", atExit);
    process.off("SIGHUP", onHangUp);
    interrupts.release();
  }
}

/** A temporary file, or the store that was named; in either case a group and a table that nobody else has. */
function choosePlace(shell: Shell, options: DemoOptions): { readonly place: Place; readonly remove: () => void } {
  const suffix = shell.random.id().slice(0, 8);
  // Always one that nobody else has: the demo contends, and kills who leads.
  const group = checkName("group", `${options.group ?? "demo"}-${suffix}`);
  const table = `tribune_demo_${suffix}`;
  // Only what was asked for in so many words: a demo does not kill processes on the database that the environment happens to name.
  if (options.store === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "tribune-demo-"));
    const store = `sqlite:${join(folder, "demo.db")}`;
    return { place: { store, label: store, group, table }, remove: () => rmSync(folder, { recursive: true, force: true }) };
  }
  shell.secrets.learn(options.store);
  if (/^memory:/i.test(options.store)) throw new TribuneError("INVALID_OPTIONS", "three processes cannot share memory:", { about: "--store", next: "leave --store out, or name a sqlite:, postgres:, mysql:, etcd: or zookeeper: store" });
  const { label } = storeFromUrl(options.store);
  return { place: { store: options.store, label, group, table }, remove: () => undefined };
}

async function clean(troupe: Troupe, leader: string): Promise<void> {
  const since = troupe.mark;
  troupe.order(leader, { type: "clean" });
  await troupe.hear("cleaned", { since, withinMs: DISMISS_MS, what: "the demo's table to be dropped" });
}

function invitation(place: Place): string[] {
  const where = `--store ${safeText(place.label)} --group ${place.group}`;
  return [
    "the processes go on until Ctrl-C; in another terminal, try:",
    `  tribune status ${where} --follow`,
    `  tribune events ${where} --follow`,
    `  tribune resign scheduler ${where}`,
    "  kill -9 or kill -STOP one of the processes",
  ];
}

async function playOn(troupe: Troupe, signal: AbortSignal): Promise<void> {
  troupe.tolerate();
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
