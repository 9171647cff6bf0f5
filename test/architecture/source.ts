import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

/** The project's folder. */
export const ROOT = dirname(dirname(import.meta.dirname));

/** A source file, read as text. The compiler has no interface for programs, and these rules need no more than this. */
export interface Source {
  /** From the project's folder, with slashes. */
  readonly path: string;
  readonly text: string;
  /** The same text, each character in its place, with blanks for comments and for what strings and regular expressions say. */
  readonly code: string;
}

export interface Import {
  /** As written: "../kernel/index.ts", "node:os", "pg". */
  readonly specifier: string;
  /** `type`: gone after compiling. `dynamic`: `import(…)` or `require(…)`, loaded when the line runs. */
  readonly kind: "static" | "type" | "dynamic";
  readonly line: number;
}

/** All TypeScript files under a folder of the project. */
export function sourcesUnder(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => readSource(relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join("/")))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

export function readSource(path: string): Source {
  return sourceOf(path, readFileSync(join(ROOT, path), "utf8"));
}

export function sourceOf(path: string, text: string): Source {
  return { path, text, code: blankOut(text) };
}

export function lineAt(source: Source, offset: number): number {
  return source.text.slice(0, offset).split("\n").length;
}

const STATEMENT = /(?<![\w.$])(import|export)\s+(type\b(?!\s*(?:,|from\b)))?[^;"'`()=]*?\bfrom\s*(["'])/g;
const FOR_EFFECT = /(?<![\w.$])import\s*(["'])/g;
const CALL = /(?<![\w.$])(?:import|require)\s*\(\s*(["'`])?/g;

/** What a file imports, re-exports, or loads by `import()`. A specifier that is no plain string is reported as "?". */
export function importsOf(source: Source): Import[] {
  const found: Array<Import & { offset: number }> = [];
  const add = (match: RegExpMatchArray, quote: string | undefined, kind: Import["kind"]) => {
    const end = match.index === undefined ? 0 : match.index + match[0].length;
    const closing = quote === undefined ? -1 : source.code.indexOf(quote, end);
    const specifier = closing === -1 ? "?" : source.text.slice(end, closing);
    found.push({ specifier, kind, line: lineAt(source, match.index ?? 0), offset: match.index ?? 0 });
  };
  for (const match of source.code.matchAll(STATEMENT)) add(match, match[3], match[2] === undefined ? "static" : "type");
  for (const match of source.code.matchAll(FOR_EFFECT)) add(match, match[1], "static");
  for (const match of source.code.matchAll(CALL)) add(match, match[1], "dynamic");
  return found.sort((a, b) => a.offset - b.offset).map(({ specifier, kind, line }) => ({ specifier, kind, line }));
}

/** After these a slash begins a regular expression; after a name, a number or a closing bracket it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|(?<![\w.$])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))$/;

function blankOut(text: string): string {
  let out = "";
  let at = 0;
  let lastCode = ""; // the end of the code so far, without blanks: tells what a slash is
  const braces: number[] = []; // for each template literal that we are in the code of: how many braces are open there
  const keep = (length: number) => {
    const piece = text.slice(at, at + length);
    if (piece.trim() !== "") lastCode = (lastCode + (/^\s/.test(text.slice(at - 1, at)) ? " " : "") + piece).slice(-16);
    out += piece;
    at += length;
  };
  const blank = (length: number) => {
    out += text.slice(at, at + length).replace(/[^\n]/g, " ");
    at += length;
  };
  const template = () => {
    while (at < text.length && text[at] !== "`") {
      if (text.startsWith("${", at)) {
        keep(2);
        braces.push(0);
        return;
      }
      blank(text[at] === "\\" ? 2 : 1);
    }
    keep(1);
  };
  while (at < text.length) {
    const char = text[at] ?? "";
    if (text.startsWith("//", at) || (at === 0 && text.startsWith("#!"))) {
      const end = text.indexOf("\n", at);
      blank((end === -1 ? text.length : end) - at);
    } else if (text.startsWith("/*", at)) {
      const end = text.indexOf("*/", at + 2);
      blank((end === -1 ? text.length : end + 2) - at);
    } else if (char === '"' || char === "'") {
      keep(1);
      while (at < text.length && text[at] !== char && text[at] !== "\n") blank(text[at] === "\\" ? 2 : 1);
      keep(1);
    } else if (char === "`") {
      keep(1);
      template();
    } else if (char === "/" && BEFORE_REGEX.test(lastCode)) {
      keep(1);
      for (let inClass = false; at < text.length && (inClass || text[at] !== "/") && text[at] !== "\n"; ) {
        if (text[at] === "[") inClass = true;
        else if (text[at] === "]") inClass = false;
        blank(text[at] === "\\" ? 2 : 1);
      }
      keep(1);
    } else if (char === "{" && braces.length > 0) {
      braces.push((braces.pop() ?? 0) + 1);
      keep(1);
    } else if (char === "}" && braces.length > 0) {
      const open = braces.pop() ?? 0;
      keep(1);
      if (open === 0) template();
      else braces.push(open - 1);
    } else {
      keep(1);
    }
  }
  return out;
}
