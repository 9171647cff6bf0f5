import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "../architecture/source.ts";
import { parsePage } from "./markdown.ts";

/** Generous: to end a hang, not to judge speed. */
const PATIENCE_MS = 60_000;

/** The README's program, as it stands there. */
export function readmeProgram(): { readonly text: string; readonly file: string } {
  const blocks = parsePage("README.md", readFileSync(join(ROOT, "README.md"), "utf8")).blocks.filter(({ marker }) => marker === "program");
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) throw new Error(`README.md has ${blocks.length} blocks of code after a line <!-- program -->, where one is meant`);
  return { text: block.text, file: block.language === "ts" ? "program.ts" : "program.js" };
}

/** The program with its one `store:` line saying something else, and every other line as it was. */
export function withStore(text: string, store: string): string {
  const lines = text.split("\n");
  const places = lines.flatMap((line, n) => (/^\s*store:/.test(line) ? [n] : []));
  const [place] = places;
  if (place === undefined || places.length > 1) throw new Error(`the program has ${places.length} lines that begin with store:, where one is meant`);
  lines[place] = (lines[place] ?? "").replace(/store:.*$/, `store: ${JSON.stringify(store)},`);
  return lines.join("\n");
}

/** A folder as a user has it: the program, and the package under node_modules. */
export function writeProject(folder: string, file: string, text: string): void {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules/tribune"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  writeFileSync(join(folder, file), text);
}

/** A program that runs, and what it says. Whoever starts it ends it. */
export class Running {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #stderr = "";
  readonly #ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;

  constructor(folder: string, file: string) {
    const child = spawn(process.execPath, [file], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const killed = () => child.kill("SIGKILL");
    process.once("exit", killed);
    this.#ended = once(child, "close").then(() => {
      process.removeListener("exit", killed);
      return { code: child.exitCode, signal: child.signalCode };
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#lines.push(line);
      child.emit("line", line);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The first line that fits, past or to come. Rejects if the program ends without it. */
  async line(pattern: RegExp): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const ended = this.#ended.then(({ code, signal }) => {
      throw new Error(`the program ended (${signal ?? code}) before it printed ${String(pattern)}; it said:\n${this.#lines.join("\n")}\n${this.#stderr}`);
    });
    ended.catch(() => undefined);
    for (let at = 0; ; at++) {
      while (this.#lines.length <= at) await Promise.race([once(this.#child, "line", { signal }), ended]);
      const line = this.#lines[at] ?? "";
      if (pattern.test(line)) return line;
    }
  }

  /** Asks it to end as a supervisor does, and resolves with how it did. */
  async end(signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    const end = await this.#ended;
    clearTimeout(timer);
    return end;
  }
}
