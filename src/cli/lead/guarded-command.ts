import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Term } from "../../election/index.ts";
import { sleep } from "../../kernel/index.ts";
import type { Clock, Timer } from "../../kernel/index.ts";
import type { Timing } from "../../presence/index.ts";
import type { EndedBy, FromGuard, ToGuard, TrustGrant } from "./guard-protocol.ts";
import { KILL_MARGIN_MS, stopWithinMs } from "./guard-step.ts";
import { groupRuns, signalGroup } from "./process-group.ts";

/** How a command ended. */
export type CommandEnd =
  | { readonly kind: "ended"; readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly by: EndedBy; readonly killed: boolean }
  /** It could not be started. */
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  /** The guard died under it; the command was killed from here. */
  | { readonly kind: "guard lost" };

export interface CommandOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timing: Timing;
  readonly clock: Clock;
  /** The signal to stop the command with, asked when it has to stop. */
  readonly stopSignal: () => NodeJS.Signals;
  readonly onSpawned: (pid: number) => void;
  readonly onStopping: (withinMs: number) => void;
}

/** What is asked of a term: what the library's terms have. */
export type GuardedTerm = Pick<Term, "signal" | "trustLeftMs">;

/** The guard lies beside the folder of this file, with the extension that this file has: from the sources or built. */
const GUARD = fileURLToPath(new URL(`../lead-guard${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url));

/** A process that was killed is waited for this long. */
const GONE_PATIENCE_MS = 500;

/**
 * A command that runs while a term stands, and not longer, behind a guard process. The guard is told how much trust is left, several times a beat; it acts
 * on the last word it had. Should the guard fail to stop the command in time, it is killed from here.
 */
export class GuardedCommand {
  /** Resolves when neither the command nor its process group runs any more. Never rejects. */
  readonly ended: Promise<CommandEnd>;
  readonly #term: GuardedTerm;
  readonly #options: CommandOptions;
  readonly #guard: ChildProcess;
  readonly #settle: (end: CommandEnd) => void;
  #pid: number | undefined;
  #over = false;
  #tick: Timer | undefined;
  #backup: Timer | undefined;

  constructor(term: GuardedTerm, options: CommandOptions) {
    this.#term = term;
    this.#options = options;
    let settle: (end: CommandEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => (settle = resolve));
    this.#settle = settle;
    // A warning of Node 22 about type stripping is nothing to show to the user of a command.
    this.#guard = fork(GUARD, [], { detached: true, stdio: ["inherit", "inherit", "inherit", "ipc"], execArgv: ["--disable-warning=ExperimentalWarning"] });
    this.#guard.on("message", (message: FromGuard) => this.#take(message));
    this.#guard.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#guard.pid === undefined) this.#end({ kind: "failed", code: error.code ?? "", message: `the guard could not be started: ${error.message}` });
    });
    // Not "exit", which may come before the last message has been read.
    this.#guard.on("disconnect", () => void this.#guardGone());
    const { command, args, env, timing } = options;
    this.#send({ type: "start", command, args, env, stopBudgetMs: timing.stopBudgetMs, trust: this.#grant() });
    this.#extend();
    if (term.signal.aborted) this.#stop();
    else term.signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** Passes a signal on: `wide` to all processes of the command, otherwise to the first alone. */
  forward(signal: NodeJS.Signals, wide: boolean): void {
    this.#send({ type: "forward", signal, wide });
  }

  kill(): void {
    this.#send({ type: "kill" });
  }

  #extend(): void {
    if (this.#over) return;
    const { clock, timing } = this.#options;
    this.#send({ type: "trust", trust: this.#grant() });
    this.#tick = clock.setTimer(timing.beatMs / 4, () => this.#extend());
  }

  /** The clock is read first: should this process freeze in between, the grant is too small, not too large. */
  #grant(): TrustGrant {
    const sentWallMs = this.#options.clock.wallMs();
    return { leftMs: this.#term.trustLeftMs(), sentWallMs };
  }

  /** The term ends: now, or when its budget or the trust is over. */
  #stop(): void {
    if (this.#over) return;
    const { clock, timing, stopSignal, onStopping } = this.#options;
    const sentWallMs = clock.wallMs();
    const withinMs = stopWithinMs(timing.stopBudgetMs, this.#term.trustLeftMs());
    onStopping(withinMs);
    if (withinMs === 0) this.kill(); // as in a process that was frozen, and woke after its trust was over
    else this.#send({ type: "stop", signal: stopSignal(), within: { leftMs: withinMs, sentWallMs } });
    this.#backup = clock.setTimer(withinMs + KILL_MARGIN_MS / 2, () => this.#killFromHere());
  }

  #take(message: FromGuard): void {
    if (message.type === "spawned") {
      this.#pid = message.pid;
      this.#options.onSpawned(message.pid);
    } else if (message.type === "failed") this.#end({ kind: "failed", code: message.code, message: message.message });
    else this.#end({ ...message, kind: "ended" });
  }

  /** Without a word of how the command ended: the guard was killed, and the command may live. */
  async #guardGone(): Promise<void> {
    if (this.#over) return;
    this.#killFromHere();
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + GONE_PATIENCE_MS;
    while (this.#isAlive() && clock.monotonicMs() < untilMs) await sleep(clock, 20);
    this.#end({ kind: "guard lost" });
  }

  #killFromHere(): void {
    if (this.#over || this.#pid === undefined) return;
    if (process.platform === "win32") process.kill(this.#pid, "SIGKILL");
    else signalGroup(this.#pid, "SIGKILL");
  }

  #isAlive(): boolean {
    return process.platform !== "win32" && this.#pid !== undefined && groupRuns(this.#pid);
  }

  #end(end: CommandEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#tick?.cancel();
    this.#backup?.cancel();
    if (this.#guard.connected) this.#guard.disconnect();
    this.#settle(end);
  }

  #send(message: ToGuard): void {
    if (!this.#over && this.#guard.connected) this.#guard.send(message, () => undefined); // an error means that the guard has gone: see "disconnect"
  }
}
