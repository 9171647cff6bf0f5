import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertNone } from "../architecture/complaints.ts";
import { ROOT } from "../architecture/source.ts";
import { allPages } from "./markdown.ts";
import type { Page } from "./markdown.ts";

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };

/** What a page tells people to type: the lines of its shell blocks, and the code spans that are nothing else. */
function typed(page: Page): Array<{ readonly text: string; readonly where: string }> {
  const lines = page.blocks
    .filter(({ language }) => ["", "sh", "bash", "console"].includes(language))
    .flatMap(({ text, line }) => text.split("\n").map((each, n) => ({ text: each.replace(/\s+#\s.*$/, ""), where: `${page.path}:${line + 1 + n}` })));
  return [...lines, ...page.spans.map(({ text, line }) => ({ text, where: `${page.path}:${line}` }))]
    .flatMap(({ text, where }) => text.split(/&&|\|\||;/).map((part) => ({ text: part.trim().replace(/^\$\s+/, "").replace(/^(?:[A-Z_]+=\S*\s+)+/, ""), where })));
}

describe("commands that the pages name", () => {
  const all = allPages().flatMap(typed);

  it("of npm are scripts of package.json", () => {
    const complaints = all.flatMap(({ text, where }) => {
      const script = /^npm (?:run ([\w:-]+)|(test|start)\b)/.exec(text);
      const name = script?.[1] ?? script?.[2];
      return name === undefined || name in scripts ? [] : [`${where} names npm run ${name}, which package.json does not have`];
    });
    assertNone(complaints);
  });

  it("of node run files that are there", () => {
    const complaints = all.flatMap(({ text, where }) => {
      const file = /^node (?:--\S+ )*((?:src|test|scripts|bench|examples|dist)\/\S+)/.exec(text)?.[1];
      return file === undefined || file.startsWith("dist/") || existsSync(join(ROOT, file)) ? [] : [`${where} names ${file}, which is not there`];
    });
    assertNone(complaints);
  });

  it("of tribune are commands with options that it has", () => {
    const cli = join(ROOT, "dist/cli/main.js");
    assert.ok(existsSync(cli), "there is no dist/: run 'npm run build' first, or the tests by 'npm test'");
    const help = (args: readonly string[]) => execFileSync(process.execPath, [cli, ...args, "--help"], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
    const commands = new Set([...help([]).matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name = ""]) => name));
    assert.ok(commands.has("demo") && commands.has("lead"), [...commands].join(", "));
    const optionsOf = (path: readonly string[]): string[] => {
      const text = help(path);
      // Commands of a command are listed with their arguments, or with [options], behind their names.
      const below = path.length > 1 || !text.includes("\nCommands:") ? [] : [...(text.split("\nCommands:")[1] ?? "").matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name = ""]) => name).filter((name) => name !== "help");
      return ["--help", ...(text.match(/--[a-z][a-z-]*/g) ?? []), ...below.flatMap((name) => optionsOf([...path, name]))];
    };
    const options = new Map([...commands].map((name) => [name, new Set(name === "help" ? ["--help"] : optionsOf([name]))]));
    const complaints = all.flatMap(({ text, where }) => {
      const words = /^(?:npx )?tribune ([a-z][a-z-]*)(.*)$/.exec(text);
      if (words === null) return [];
      const [, name = "", rest = ""] = words;
      if (!commands.has(name)) return [`${where} names tribune ${name}, which is no command; there are ${[...commands].join(", ")}`];
      const own = rest.split(/\s--(?:\s|$)/)[0] ?? ""; // what follows is the user's own command
      return [...own.matchAll(/(?<=\s|\[)--[a-z][a-z-]*/g)].filter(([option]) => options.get(name)?.has(option) !== true).map(([option]) => `${where} names ${option}, which tribune ${name} does not have`);
    });
    assertNone(complaints);
  });
});

describe("the README", () => {
  const readme = () => readFileSync(join(ROOT, "README.md"), "utf8");

  it("says how to test, how to see it, and what it needs", () => {
    for (const words of ["npm ci", "npm test", "npm run demo", "Node.js 22.18"]) assert.ok(readme().includes(words), words);
  });

  it("says in its first screen that a lease is no lock, and what is done about it", () => {
    const first = readme().split("\n").slice(0, 40).join("\n");
    assert.match(first, /lease is not a lock/i);
    assert.match(first, /token/);
  });
});
