import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../architecture/source.ts";
import type { Block } from "./markdown.ts";

/** A block of code, and the page that it is on. */
export interface Example extends Block {
  readonly path: string;
}

/** Errors of the parser; what comes after it (unknown names, wrong types) has greater numbers. */
const SYNTAX = /error TS1\d{3}:/;

/** Long enough for any example, to end one that hangs. */
const RUN_LIMIT_MS = 60_000;

/**
 * A block that imports the package is a whole program, and is compiled against the built one, so that an example cannot outlive the
 * names that it uses; `<!-- fragment -->` before it says that something is left out. All others are fragments, and need only parse.
 * A program with `<!-- runnable -->` before it is run as well, and has to end by itself.
 */
const IMPORTS_PACKAGE = /^import\b[^;]*?\bfrom\s*"tribune(?:\/[\w-]+)?"/m;

const LANGUAGES = /^(?:js|javascript|mjs|ts|typescript|mts)$/;

export function isExample(block: Block): boolean {
  return LANGUAGES.test(block.language);
}

export function isRunnable(block: Block): boolean {
  return block.marker === "runnable";
}

/** What the compiler has against examples, each with its place in the page. */
export function complaintsAbout(examples: readonly Example[]): string[] {
  const home = newProject();
  try {
    const files = examples.map((example, n) => write(home, example, n));
    const compilerOptions = { target: "es2023", module: "nodenext", lib: ["es2024", "esnext.disposable"], strict: true, noImplicitAny: false, noEmit: true, allowJs: true, skipLibCheck: true, types: ["node"] };
    writeFileSync(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const { stdout, error } = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", ".", "--pretty", "false"], { cwd: home, encoding: "utf8" });
    if (error !== undefined) throw error;
    return stdout.split("\n").flatMap((line) => {
      const [, file = "", row = "0", message = line] = /^([^(]+)\((\d+),\d+\): (.*)$/.exec(line) ?? [];
      const example = examples[files.indexOf(file)];
      if (example === undefined) return line.startsWith("error") ? [line] : [];
      return isWhole(example) || SYNTAX.test(message) ? [`${example.path}:${example.line + Number(row) - 1} ${message}`] : [];
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Runs an example in a folder of its own. Rejects, with what it said, unless it ends by itself and in good order. */
export async function runExample(example: Example): Promise<void> {
  const home = newProject();
  try {
    await promisify(execFile)(process.execPath, [write(home, example, 0)], { cwd: home, timeout: RUN_LIMIT_MS, killSignal: "SIGKILL" });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** A folder as a user has it, with the package under node_modules. */
function newProject(): string {
  if (!existsSync(join(ROOT, "dist/index.d.ts"))) throw new Error("there is no dist/: run 'npm run build' first, or the tests by 'npm test'");
  const home = mkdtempSync(join(tmpdir(), "tribune-examples-"));
  mkdirSync(join(home, "node_modules"));
  symlinkSync(ROOT, join(home, "node_modules/tribune"));
  for (const name of ["@types", "pg", "mysql2"]) symlinkSync(join(ROOT, "node_modules", name), join(home, "node_modules", name));
  writeFileSync(join(home, "package.json"), JSON.stringify({ type: "module" }));
  return home;
}

function isWhole(example: Example): boolean {
  return IMPORTS_PACKAGE.test(example.text) && example.marker !== "fragment";
}

/** One line goes before, one after: they make it a module, in which `await` may stand at the top, and check scripts too. */
function write(home: string, example: Example, n: number): string {
  const isScript = /^(?:js|javascript|mjs)$/.test(example.language);
  const file = `example-${n}.${isScript ? "js" : "ts"}`;
  writeFileSync(join(home, file), `${isScript && isWhole(example) ? "// @ts-check" : ""}\n${example.text}\nexport {};\n`);
  return file;
}
