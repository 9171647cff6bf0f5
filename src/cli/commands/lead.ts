import { constants } from "node:os";
import { Option } from "commander";
import type { Command } from "commander";
import { createCluster } from "../../cluster/index.ts";
import type { Cluster } from "../../cluster/index.ts";
import type { ElectionOptions, Term } from "../../election/index.ts";
import { isoTime, TribuneError } from "../../kernel/index.ts";
import { COORDINATOR } from "../../store/index.ts";
import { ailmentsInWords } from "../ailments.ts";
import { duration } from "../duration.ts";
import { report } from "../failure.ts";
import { Interrupts } from "../interrupts.ts";
import { GuardedCommand } from "../lead/guarded-command.ts";
import type { CommandEnd } from "../lead/guarded-command.ts";
import { SMALLEST_STOP_BUDGET_MS } from "../lead/guard-step.ts";
import { askProbe } from "../lead/probe-command.ts";
import { clusterOptions, integer, wholeNumber, withJson, withMember, withStore } from "../options.ts";
import type { MemberOptions } from "../options.ts";
import type { Shell } from "../shell.ts";

interface LeadOptions extends MemberOptions {
  readonly election: string;
  readonly exit?: boolean;
  readonly json?: boolean;
  readonly priority?: number;
  readonly minimumTermMs?: number;
  readonly probe?: string;
  readonly probeEveryMs?: number;
  readonly probeTimeoutMs?: number;
}

const EXAMPLES = `
Examples:
  tribune lead --election scheduler -- node scheduler.js
  tribune lead --election nightly --exit -- ./run-once.sh
  tribune lead --election scheduler --preset calm --stop-budget-ms 3000 -- python3 worker.py
  tribune lead --election scheduler --priority 10 --probe 'test -d /mnt/share/inbox' -- ./import.sh

The command finds TRIBUNE_TOKEN, TRIBUNE_ELECTION, TRIBUNE_NODE and TRIBUNE_GROUP in its environment. Put the token into what it writes.
It runs in a session of its own. SIGINT and SIGTERM end it and this command; SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH are passed on to it.
When the term ends it gets SIGTERM, and SIGKILL before anybody else can lead; also when this process is killed or frozen.
A probe is run by the shell: exit code 0 means that this node may lead. Two answers in a row count, but for the first.
When the command exits, the term is resigned, and after a pause this node contends again; with --exit, its exit code ends this command, too.`;

/** Signals that are passed on, and whether to all processes of the command. What a worker does not handle would end it. */
const FORWARDED: ReadonlyArray<readonly [NodeJS.Signals, boolean]> = [
  ["SIGUSR1", false],
  ["SIGUSR2", false],
  ["SIGWINCH", true],
];

/** `tribune lead -- CMD`: runs a command only while this node leads. */
export function leadCommand(program: Command, shell: Shell): void {
  withMember(withStore(withJson(program.command("lead").description("run a command only while this node leads an election"), "tell transitions on standard error as one JSON value per line")), "lease")
    .requiredOption("--election <name>", "the election to contend in")
    .addOption(new Option("--priority <n>", "of those that are fit the highest leads, and takes over from a lower one (-1000 to 1000, default 0)").argParser(integer))
    .addOption(new Option("--minimum-term-ms <n>", "how long this node's term is left alone by a higher priority (default 30000)").argParser(wholeNumber(0)))
    .option("--probe <command>", "asked again and again whether this node may lead: exit code 0 is yes")
    .addOption(new Option("--probe-every-ms <n>", "from one answer of the probe to the next question (default 5000)").argParser(wholeNumber(1)))
    .addOption(new Option("--probe-timeout-ms <n>", "how long the probe may take; later it is killed, and counts as no (default 5000)").argParser(wholeNumber(1)))
    .addOption(new Option("--minimum-members <n>", "lead nothing while the group has fewer members than this (default 1)").argParser(wholeNumber(1)))
    .option("--exit", "end with the command's exit code (128 + number of the signal), instead of contending again")
    .argument("<command>", "what to run while leading; write -- before it")
    .argument("[args...]", "its arguments")
    .addHelpText("after", EXAMPLES)
    .action((command: string, args: readonly string[], options: LeadOptions) => new Lead(shell, options, command, args).run());
}

class Lead {
  readonly #shell: Shell;
  readonly #options: LeadOptions;
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #cluster: Cluster;
  readonly #ending = new AbortController();
  #running: GuardedCommand | undefined;
  #interruptedBy: NodeJS.Signals | undefined;
  #evicted: TribuneError | undefined;
  #probeSaid: boolean | undefined;
  #last: CommandEnd | undefined;

  constructor(shell: Shell, options: LeadOptions, command: string, args: readonly string[]) {
    this.#shell = shell;
    this.#options = options;
    this.#command = command;
    this.#args = args;
    if (options.election === COORDINATOR) {
      throw new TribuneError("ELECTION_RESERVED", `every member contends for ${COORDINATOR} by itself`, { about: COORDINATOR, next: "choose another name for your own election" });
    }
    // The process that would prove to be alive is this one, and the command outlives it by the moment that the guard takes: so others wait for the lease.
    this.#cluster = createCluster(clusterOptions(shell, { crashDetection: "lease", ...options }));
    this.#cluster.election(options.election, this.#electionOptions()); // checks name and options
    const { stopBudgetMs } = this.#cluster.timing;
    if (stopBudgetMs < SMALLEST_STOP_BUDGET_MS) {
      throw new TribuneError("INVALID_OPTIONS", `--stop-budget-ms ${stopBudgetMs} leaves no time to stop a command`, { about: "--stop-budget-ms", next: `give it at least ${SMALLEST_STOP_BUDGET_MS}` });
    }
  }

  async run(): Promise<void> {
    const cluster = this.#cluster;
    const { election: name } = this.#options;
    const interrupts = new Interrupts((signal, time) => this.#interrupted(signal, time));
    const unforward = this.#forwardSignals();
    this.#listen();
    let started = false;
    try {
      await cluster.start({ signal: interrupts.signal });
      started = true;
      this.#tell("contending", { worstFailoverMs: cluster.worstFailoverMs }, `${cluster.node} contends for ${name} in ${cluster.group}`);
      const signal = AbortSignal.any([interrupts.signal, this.#ending.signal]);
      await cluster.election(name).lead((term) => this.#serve(term), { signal });
    } catch (error) {
      if (!interrupts.signal.aborted && this.#evicted === undefined) throw error;
    } finally {
      await cluster.stop();
      if (started) this.#tell("left", {}, `${cluster.node} left ${cluster.group}`);
      unforward();
      interrupts.release();
    }
    if (this.#evicted !== undefined) throw this.#evicted;
    this.#conclude();
  }

  #electionOptions(): ElectionOptions {
    const { priority, minimumTermMs, probe, probeEveryMs, probeTimeoutMs } = this.#options;
    return {
      ...(priority === undefined ? {} : { priority }),
      ...(minimumTermMs === undefined ? {} : { minimumTermMs }),
      ...(probe === undefined ? {} : { eligible: (signal) => this.#isFit(probe, signal) }),
      ...(probeEveryMs === undefined ? {} : { eligibleEveryMs: probeEveryMs }),
      ...(probeTimeoutMs === undefined ? {} : { eligibleTimeoutMs: probeTimeoutMs }),
    };
  }

  async #isFit(probe: string, signal: AbortSignal): Promise<boolean> {
    const { node, group } = this.#cluster;
    const { fit, how } = await askProbe(probe, { TRIBUNE_ELECTION: this.#options.election, TRIBUNE_NODE: node, TRIBUNE_GROUP: group }, signal);
    if (this.#probeSaid !== fit) this.#tell("probe", { fit, how }, `the probe says ${fit ? "yes" : "no"}: it ${how}`);
    this.#probeSaid = fit;
    return fit;
  }

  /** One term: the command runs in it, and has ended when this resolves. */
  async #serve(term: Term): Promise<void> {
    const { clock } = this.#shell;
    const { timing, group } = this.#cluster;
    const token = String(term.token);
    this.#tell("leading", { token }, `${term.node} leads ${term.election} with token ${token}`);
    this.#running = new GuardedCommand(term, {
      command: this.#command,
      args: this.#args,
      env: { TRIBUNE_TOKEN: token, TRIBUNE_ELECTION: term.election, TRIBUNE_NODE: term.node, TRIBUNE_GROUP: group },
      timing,
      clock,
      stopSignal: () => this.#interruptedBy ?? "SIGTERM",
      onSpawned: (pid) => this.#tell("started", { token, pid }, `runs ${this.#command} as process ${pid}`),
      onStopping: (withinMs) => {
        const reason = this.#interruptedBy === undefined ? (term.signal.reason as TribuneError).message : `${this.#interruptedBy} came`;
        this.#tell("stopping", { token, reason, withinMs: Math.round(withinMs) }, `${reason}; ${withinMs === 0 ? "kills the command" : `the command has ${duration(withinMs)} to stop`}`);
      },
    });
    const end = await this.#running.ended;
    this.#running = undefined;
    this.#last = end;
    this.#tellEnd(end, token);
    if (this.#options.exit === true || end.kind === "failed") this.#ending.abort();
  }

  #tellEnd(end: CommandEnd, token: string): void {
    if (end.kind === "failed") return; // the error that this command ends with says it
    if (end.kind === "guard lost") this.#tell("exited", { token, code: null, signal: "SIGKILL", by: "guard lost" }, "the guard of the command was killed; so was the command");
    else {
      const how = end.signal === null ? `exited with code ${end.code ?? "?"}` : `was ended by ${end.signal}`;
      this.#tell("exited", { token, code: end.code, signal: end.signal, by: end.by }, `the command ${how}`);
    }
  }

  /** The exit code, when everything has been put away. */
  #conclude(): void {
    const end = this.#last;
    const exits = this.#options.exit === true;
    if (end?.kind === "failed") {
      if (exits) this.#shell.exitCode = end.code === "EACCES" ? 126 : 127; // as shells do
      const failure = new TribuneError("LEADER_FAILED", `${this.#command} could not be run: ${whyNot(end.code, end.message)}`, {
        about: this.#command,
        next: "look at the command after --, and whether it can be found from here",
        retryable: false,
      });
      if (!exits) throw failure;
      report(failure, this.#shell);
      return;
    }
    if (!exits || end === undefined) return;
    this.#shell.exitCode = end.kind === "guard lost" ? 128 + constants.signals.SIGKILL : end.signal === null ? (end.code ?? 1) : 128 + constants.signals[end.signal];
  }

  /** The command gets the signal as its order to stop; impatience kills it. */
  #interrupted(signal: NodeJS.Signals, time: number): void {
    this.#interruptedBy = signal;
    if (time >= 2) this.#running?.kill();
    if (time >= 3) process.exit(signal === "SIGINT" ? 130 : 143);
  }

  #forwardSignals(): () => void {
    const handlers = FORWARDED.map(([signal, wide]) => [signal, () => this.#running?.forward(signal, wide)] as const);
    // A service gets SIGHUP to read its configuration again; a terminal sends it when it is closed.
    const onHangUp = () => {
      if (process.stdin.isTTY || process.stderr.isTTY) process.kill(process.pid, "SIGTERM");
      else this.#running?.forward("SIGHUP", true);
    };
    const all = [...handlers, ["SIGHUP", onHangUp] as const];
    for (const [signal, handler] of all) process.on(signal, handler);
    return () => {
      for (const [signal, handler] of all) process.off(signal, handler);
    };
  }

  #listen(): void {
    const cluster = this.#cluster;
    cluster.on("suspended", ({ reason, trustLeftMs }) => this.#tell("suspended", { reason: reason.toJSON(), trustLeftMs: Math.round(trustLeftMs) }, `the store does not answer (${reason.message}); trusted for another ${duration(trustLeftMs)}`));
    cluster.on("degraded", ({ ailments }) => this.#tell("degraded", { ailments }, `degraded: ${ailmentsInWords(ailments)}`));
    cluster.on("recovered", ({ from, afterMs }) => this.#tell("recovered", { from, afterMs: Math.round(afterMs) }, `no longer ${from}, after ${duration(afterMs)}`));
    cluster.on("lost", ({ cause, reason }) => this.#tell("lost", { cause, reason: reason.toJSON() }, `no longer trusted: ${reason.message}`));
    cluster.on("rejoined", ({ incarnation }) => this.#tell("rejoined", { incarnation }, `a member again, as incarnation ${incarnation.slice(0, 8)}`));
    cluster.on("error", (error) => {
      if (error.code === "EVICTED") this.#evicted = error;
      else this.#tell("error", { error: error.toJSON() }, `trouble ${error.code}: ${error.message}`);
    });
  }

  /** On standard error: standard output belongs to the command. */
  #tell(event: string, detail: Readonly<Record<string, unknown>>, sentence: string): void {
    const { node, group } = this.#cluster;
    const at = isoTime(this.#shell.clock.wallMs());
    if (this.#options.json === true) this.#shell.noteJson({ event, at, group, node, election: this.#options.election, ...detail });
    else this.#shell.note(`tribune ${at} ${sentence}`);
  }
}

function whyNot(code: string, message: string): string {
  if (code === "ENOENT") return "it was not found (ENOENT)";
  if (code === "EACCES") return "it may not be executed (EACCES)";
  return message;
}
