import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { processState } from "../../src/cli/lead/process-group.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** Generous: it ends a hang, and judges nothing. */
const WAIT_MS = 60_000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Place {
  readonly folder: string;
  readonly store: string;
  /** For the environment of a command. */
  readonly env: Readonly<Record<string, string>>;
}

type End = () => unknown;

const endings = new WeakMap<TestContext, End[]>();

/**
 * Has `end` run when the test is over. The last one first, as things are put away; each, whatever became of the others: node:test runs hooks in the order in which
 * they were added, and none after one that failed.
 */
export function atEnd(t: TestContext, end: End): void {
  let ends = endings.get(t);
  if (ends === undefined) {
    const all: End[] = [];
    endings.set(t, (ends = all));
    t.after(async () => {
      const failures: unknown[] = [];
      for (const each of all.reverse()) await Promise.resolve().then(each).catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw new AggregateError(failures, "a test could not be cleared away");
    });
  }
  ends.push(end);
}

/** A folder of the test's own with a store in it, removed with the test. */
export function place(t: TestContext, group = "billing"): Place {
  const folder = mkdtempSync(join(tmpdir(), "tribune-cli-"));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const store = `sqlite:${join(folder, "cluster.db")}`;
  return { folder, store, env: { TRIBUNE_STORE: store, TRIBUNE_GROUP: group } };
}

/** One run of the command line, as a process. Killed with the test if it has not ended by then. */
export class Run {
  readonly process: ChildProcess;
  /** When the process has ended. */
  readonly exited: Promise<Ended>;
  /** When nobody holds its standard output any more: neither it nor any process that it started. */
  readonly closed: Promise<Ended>;
  readonly #text = { stdout: "", stderr: "" };
  readonly #waiting = new Set<() => void>();

  constructor(t: TestContext, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { TRIBUNE_STORE: _store, TRIBUNE_GROUP: _group, ...clean } = process.env;
    this.process = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"], env: { ...clean, ...env } });
    for (const name of ["stdout", "stderr"] as const) {
      this.process[name]?.setEncoding("utf8").on("data", (text: string) => {
        this.#text[name] += text;
        for (const look of [...this.#waiting]) look();
      });
    }
    const until = (event: "exit" | "close") =>
      new Promise<Ended>((resolve) =>
        this.process.on(event, (code: number | null, signal: NodeJS.Signals | null) => {
          resolve({ code, signal, ...this.#text });
          for (const look of [...this.#waiting]) look();
        }),
      );
    this.exited = until("exit");
    this.closed = until("close");
    atEnd(t, async () => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) return;
      this.process.kill("SIGKILL");
      await this.exited;
    });
  }

  get stdout(): string {
    return this.#text.stdout;
  }

  get stderr(): string {
    return this.#text.stderr;
  }

  /** Waits for a line that matches, on either stream, after the first `after` ones that do. */
  async line(pattern: RegExp, after = 0): Promise<RegExpExecArray> {
    return await this.#until(`a line like ${String(pattern)}`, () => {
      const lines = `${this.#text.stdout}\n${this.#text.stderr}`.split("\n");
      return lines.map((line) => pattern.exec(line)).filter((match) => match !== null)[after];
    });
  }

  /** Waits for a JSON line on standard error for which this holds. */
  async event(name: string, after = 0): Promise<Record<string, unknown>> {
    return await this.#until(`the event ${name}`, () => this.events(name)[after]);
  }

  events(name?: string): Record<string, unknown>[] {
    const all = `${this.#text.stdout}\n${this.#text.stderr}`.split("\n").map(parsed).filter((value) => value !== undefined);
    return name === undefined ? all : all.filter((event) => event["event"] === name);
  }

  #until<T>(what: string, find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        finish();
      };
      const look = () => {
        const found = find();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.process.exitCode !== null || this.process.signalCode !== null) settle(() => reject(this.#complaint(`it ended (${this.process.exitCode ?? this.process.signalCode ?? ""}) without ${what}`)));
      };
      const timer = setTimeout(() => settle(() => reject(this.#complaint(`there was no ${what}`))), WAIT_MS);
      this.#waiting.add(look);
      look();
    });
  }

  #complaint(what: string): Error {
    return new Error(`${what}; standard output:\n${this.stdout}\nstandard error:\n${this.stderr}`);
  }
}

/** Runs a command to its end. */
export async function tribune(t: TestContext, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return await new Run(t, args, env).closed;
}

/** Whether a process runs; one that has ended and was not asked about by its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== "linux") return true;
  try {
    return processState(readFileSync(`/proc/${pid}/stat`, "latin1"))?.state !== "Z";
  } catch {
    return false;
  }
}

/** Asks again and again until it holds: for what no event tells of. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + WAIT_MS;
  while (!(await holds())) {
    if (Date.now() > giveUpAt) throw new Error(`it never came about that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The object that a line of JSON is; `undefined` if it is none. */
function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
