import { spawn } from "node:child_process";
import { TribuneError } from "../../kernel/index.ts";
import { signalGroup } from "./process-group.ts";

/** What a shell answers for a command that cannot be run, or is not there. */
const NOT_RUN: ReadonlyMap<number, string> = new Map([
  [126, "it may not be executed"],
  [127, "it was not found"],
]);

/** The answer of a probe. */
export interface ProbeAnswer {
  readonly fit: boolean;
  /** How the command ended. */
  readonly how: string;
}

/**
 * Runs a command that says whether this node may lead: exit code 0 is yes. It is run by the shell, in a process group of its own, all of which is killed when `signal` aborts: it has not answered in time, or nobody
 * wants to know any more. Its output goes nowhere. Rejects with `PROBE_FAILED` if it could not be run or was killed by somebody else.
 */
export function askProbe(command: string, env: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown) => reject(new TribuneError("PROBE_FAILED", `the probe could not be run: ${why}`, { about: "--probe", next: "it counts as no; mend the command", cause }));
    const child = spawn(command, { shell: true, detached: true, stdio: "ignore", env: { ...process.env, ...env } });
    const kill = () => {
      if (child.pid === undefined) return;
      if (process.platform === "win32") child.kill("SIGKILL");
      else signalGroup(child.pid, "SIGKILL");
    };
    signal.addEventListener("abort", kill, { once: true });
    if (signal.aborted) kill();
    child.once("error", (error) => {
      signal.removeEventListener("abort", kill);
      failed(error.message, error);
    });
    child.once("exit", (code, by) => {
      signal.removeEventListener("abort", kill);
      const notRun = code === null ? undefined : NOT_RUN.get(code);
      if (signal.aborted) reject(signal.reason as Error);
      else if (notRun !== undefined) failed(notRun);
      else if (by !== null) failed(`it was ended by ${by}`);
      else resolve({ fit: code === 0, how: `exited with code ${code ?? "?"}` });
    });
  });
}
