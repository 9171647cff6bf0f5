import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../architecture/source.ts";
import { trackedFiles } from "../architecture/tracked.ts";

/** A page, taken apart as far as these tests need it. Not a whole Markdown: no indented code, no HTML, no reference links. */
export interface Page {
  /** From the project's folder. */
  readonly path: string;
  readonly blocks: readonly Block[];
  readonly links: readonly Link[];
  /** What `#…` can point to, as GitHub names headings. */
  readonly anchors: ReadonlySet<string>;
  /** The words in `code spans`. */
  readonly spans: readonly { readonly text: string; readonly line: number }[];
}

/** A fenced block of code. */
export interface Block {
  /** The word after the fence: "js", "ts", "sh", or nothing. */
  readonly language: string;
  readonly text: string;
  /** The line of the fence. */
  readonly line: number;
  /** The comment on the line before the fence, blank lines aside: `<!-- program -->` says "program". */
  readonly marker: string | undefined;
}

export interface Link {
  readonly target: string;
  readonly line: number;
}

/** All pages of the project. */
export function allPages(): Page[] {
  return trackedFiles()
    .filter((path) => path.endsWith(".md"))
    .map((path) => parsePage(path, readFileSync(join(ROOT, path), "utf8")));
}

export function parsePage(path: string, text: string): Page {
  const blocks: Block[] = [];
  const links: Link[] = [];
  const spans: Array<{ text: string; line: number }> = [];
  const headings: string[] = [];
  let open: { fence: string; language: string; line: number; marker: string | undefined; indent: number; lines: string[] } | undefined;
  let marker: string | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/.exec(line);
    if (open !== undefined) {
      if (fence?.[2]?.startsWith(open.fence) === true && fence[3] === "") {
        blocks.push({ language: open.language, text: `${open.lines.join("\n")}\n`, line: open.line, marker: open.marker });
        open = undefined;
      } else {
        open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
      }
      continue;
    }
    if (fence !== null) {
      open = { fence: fence[2] ?? "", language: fence[3] ?? "", line: index + 1, marker, indent: (fence[1] ?? "").length, lines: [] };
      marker = undefined;
      continue;
    }
    if (line.trim() !== "") marker = /^\s*<!--\s*([\w-]+)\s*-->\s*$/.exec(line)?.[1];
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading !== undefined) headings.push(heading);
    for (const [, span = ""] of line.matchAll(/`([^`]+)`/g)) spans.push({ text: span, line: index + 1 });
    for (const [, target = ""] of line.replace(/`[^`]*`/g, "``").matchAll(/\]\(\s*<?((?:[^()\s>]|\([^()\s]*\))+)>?(?:\s+"[^"]*")?\s*\)/g)) links.push({ target, line: index + 1 });
  }
  if (open !== undefined) throw new Error(`${path}:${open.line} opens a block of code that never ends`);
  return { path, blocks, links, spans, anchors: anchorsOf(headings) };
}

/** GitHub's names of headings: small letters, blanks to hyphens, other signs dropped, and a number from the second of a name on. */
function anchorsOf(headings: readonly string[]): Set<string> {
  const anchors = new Set<string>();
  for (const heading of headings) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`*]/g, "");
    const base = words.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    let name = base;
    for (let n = 1; anchors.has(name); n++) name = `${base}-${n}`;
    anchors.add(name);
  }
  return anchors;
}
