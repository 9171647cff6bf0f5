import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("child.ts", import.meta.url));

/** A process that waits for `go` (see child.ts). */
export interface Child {
  readonly process: ChildProcess;
  go(): void;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** The line of JSON that it ends with. */
  result<T>(): Promise<T>;
  /** Ends it without asking. */
  kill(): Promise<void>;
}

/** Starts one and waits until it is ready. */
export async function child(...args: readonly string[]): Promise<Child> {
  const running = spawn(process.execPath, ["--no-warnings", SCRIPT, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
  const exited = once(running, "exit");
  const line = async () => {
    const next = await lines.next();
    if (next.done === true) throw new Error(`the child process ${args.join(" ")} ended without a word`);
    return next.value;
  };
  await line();
  return {
    process: running,
    go: () => void running.stdin.write("go\n"),
    line,
    result: async <T>() => {
      const value = JSON.parse(await line()) as T;
      await exited;
      return value;
    },
    kill: async () => {
      running.kill("SIGKILL");
      await exited;
    },
  };
}
