import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { Elapsed, systemClock } from "../kernel/index.ts";
import type { Timer } from "../kernel/index.ts";
import { grantLeftMs } from "./lead/guard-protocol.ts";
import type { EndedBy, FromGuard, ToGuard, TrustGrant } from "./lead/guard-protocol.ts";
import { guardStep, KILL_MARGIN_MS, stopWithinMs } from "./lead/guard-step.ts";
import type { Watch } from "./lead/guard-step.ts";
import { groupRuns, signalGroup } from "./lead/process-group.ts";

/**
 * The process between `tribune lead` and the command. It is small and does one thing: it sees to it that the command does not outlive the term, also
 * when `tribune lead` is killed (its end of the channel closes) or frozen (no extension of the trust comes). It runs in a session of its own, so that a
 * signal to the terminal's or the parent's process group reaches neither it nor the command; so does the command, so that all of its processes can be
 * signalled at once.
 */

/** How often it is asked whether processes that the command left behind are gone. */
const GONE_POLL_MS = 20;

/** After SIGKILL the kernel takes this long at most, unless a process hangs in a system call; that one would be waited for in vain. */
const GONE_PATIENCE_MS = 500;

class Guard {
  readonly #clock = systemClock;
  readonly #elapsed = new Elapsed(systemClock);
  #child: ChildProcess | undefined;
  #watch: Watch | undefined;
  #timer: Timer | undefined;
  #by: EndedBy = "itself";
  #killedAtMs: number | undefined;
  #exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  #reported = false;

  take(message: ToGuard): void {
    // What is overdue comes first: after a long pause the message may be old, and the time long over.
    if (message.type !== "start") this.#consider();
    switch (message.type) {
      case "start":
        return this.#start(message);
      case "trust":
        return this.#extend(message.trust);
      case "stop":
        return this.#stop("stop", message.signal, grantLeftMs(message.within, this.#clock.wallMs()));
      case "kill":
        this.#by = this.#by === "itself" ? "stop" : this.#by;
        return this.#kill();
      case "forward":
        this.#signal(message.signal, message.wide);
        return;
      default:
        return message satisfies never;
    }
  }

  /** The parent is dead. Nobody has given the term away, so the trust that is left may be used for stopping in good order. */
  orphaned(): void {
    if (this.#reported || this.#child === undefined || this.#watch === undefined) process.exit(0);
    this.#stop("orphaned", "SIGTERM", stopWithinMs(this.#watch.stopBudgetMs, this.#watch.trustEndMs - this.#elapsed.nowMs()));
  }

  #start(message: Extract<ToGuard, { type: "start" }>): void {
    this.#watch = { trustEndMs: this.#endOf(message.trust), stopEndMs: undefined, stopBudgetMs: message.stopBudgetMs, asked: false };
    if (guardStep(this.#watch, this.#elapsed.nowMs()).kind === "kill") return this.#report({ type: "ended", code: null, signal: null, by: "trust", killed: false });
    const child = spawn(message.command, [...message.args], { stdio: "inherit", detached: true, env: { ...process.env, ...message.env } });
    this.#child = child;
    child.once("spawn", () => {
      send({ type: "spawned", pid: child.pid as number });
      this.#consider();
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) this.#report({ type: "failed", code: error.code ?? "", message: error.message });
    });
    child.once("exit", (code, signal) => {
      this.#exit = { code, signal };
      this.#afterExit();
    });
  }

  #extend(trust: TrustGrant): void {
    if (this.#watch === undefined) return;
    this.#watch = { ...this.#watch, trustEndMs: this.#endOf(trust) };
    this.#consider();
  }

  #endOf(trust: TrustGrant): number {
    return this.#elapsed.nowMs() + grantLeftMs(trust, this.#clock.wallMs());
  }

  #stop(by: EndedBy, signal: NodeJS.Signals, withinMs: number): void {
    if (this.#watch === undefined || this.#child === undefined) return;
    const stopEndMs = Math.min(this.#elapsed.nowMs() + withinMs, this.#watch.stopEndMs ?? Infinity);
    if (!this.#watch.asked) {
      if (this.#exit === undefined) this.#by = by;
      this.#signal(signal, true);
    }
    this.#watch = { ...this.#watch, asked: true, stopEndMs };
    this.#consider();
  }

  /** Does what is due, and comes back when the next thing is. */
  #consider(): void {
    // After the exit the loop that waits for the rest looks at the watch.
    if (this.#watch === undefined || this.#child?.pid === undefined || this.#killedAtMs !== undefined || this.#exit !== undefined) return;
    this.#timer?.cancel();
    const step = guardStep(this.#watch, this.#elapsed.nowMs());
    switch (step.kind) {
      case "kill":
        if (step.why === "trust" && this.#by === "itself") this.#by = "trust";
        return this.#kill();
      case "ask":
        this.#by = "trust";
        // For good: trust that comes back later finds a command that was told to stop.
        this.#watch = { ...this.#watch, asked: true, stopEndMs: this.#watch.trustEndMs - KILL_MARGIN_MS };
        this.#signal("SIGTERM", true);
        return this.#consider();
      case "wait":
        this.#timer = this.#clock.setTimer(step.ms, () => this.#consider());
        return;
      default:
        return step satisfies never;
    }
  }

  #kill(): void {
    this.#killedAtMs ??= this.#elapsed.nowMs();
    this.#timer?.cancel();
    this.#signal("SIGKILL", true);
    if (this.#exit !== undefined) this.#afterExit();
  }

  /** The command has exited. What it left behind in its process group is asked to stop like itself, and is waited for. */
  #afterExit(): void {
    this.#timer?.cancel();
    const watch = this.#watch as Watch;
    if (!this.#someoneIsLeft()) return this.#finish();
    if (!watch.asked && this.#killedAtMs === undefined) {
      this.#signal("SIGTERM", true);
      const nowMs = this.#elapsed.nowMs();
      this.#watch = { ...watch, asked: true, stopEndMs: nowMs + stopWithinMs(watch.stopBudgetMs, watch.trustEndMs - nowMs) };
    }
    this.#waitForTheRest();
  }

  #waitForTheRest(): void {
    const nowMs = this.#elapsed.nowMs();
    if (!this.#someoneIsLeft() || (this.#killedAtMs !== undefined && nowMs - this.#killedAtMs > GONE_PATIENCE_MS)) return this.#finish();
    if (this.#killedAtMs === undefined && guardStep(this.#watch as Watch, nowMs).kind === "kill") {
      this.#killedAtMs = nowMs;
      this.#signal("SIGKILL", true);
    }
    this.#timer = this.#clock.setTimer(GONE_POLL_MS, () => this.#waitForTheRest());
  }

  #finish(): void {
    const { code, signal } = this.#exit ?? { code: null, signal: null };
    this.#report({ type: "ended", code, signal, by: this.#by, killed: this.#killedAtMs !== undefined });
  }

  #someoneIsLeft(): boolean {
    return process.platform !== "win32" && this.#child?.pid !== undefined && groupRuns(this.#child.pid);
  }

  #signal(signal: NodeJS.Signals, wide: boolean): void {
    const child = this.#child;
    if (child?.pid === undefined) return;
    // Without process groups, as on Windows, only the command itself can be reached. Node knows whether it has been reaped, and its number become free.
    if (wide && process.platform !== "win32") signalGroup(child.pid, signal);
    else child.kill(signal);
  }

  #report(message: FromGuard): void {
    this.#reported = true;
    this.#timer?.cancel();
    send(message, () => process.exit(0));
  }
}

function send(message: FromGuard, then: () => void = () => undefined): void {
  if (!process.connected || process.send === undefined) return then();
  process.send(message, undefined, undefined, then); // an error means that the parent has gone: there is nobody to tell
}

const guard = new Guard();
// It ends when the command has ended, and not before.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
process.on("disconnect", () => guard.orphaned());
process.on("message", (message: ToGuard) => guard.take(message));
if (process.send === undefined) process.exit(2); // started by hand: there is nobody to guard for
