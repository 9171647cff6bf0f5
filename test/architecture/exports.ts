import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { lineAt, readSource, ROOT } from "./source.ts";
import type { Source } from "./source.ts";

/** Something that users can import, and where it is declared. */
export interface PublicName {
  /** As it can be imported: "createCluster from tribune". */
  readonly name: string;
  readonly source: Source;
  /** Of the declaration, in the source; -1 if there is none to be found. */
  readonly offset: number;
}

const REEXPORT = /\bexport\s+(?:type\s+)?\{([^}]*)\}\s*from\s*["']/g;
const REEXPORT_ALL = /\bexport\s+(?:type\s+)?\*\s*(?:as\s+(\w+)\s+)?from\s*["']/g;
const LOCAL_LIST = /\bexport\s+(?:type\s+)?\{([^}]*)\}(?!\s*from\b)/g;
const IMPORT_LIST = /\bimport\s+(?:type\s+)?\{([^}]*)\}\s*from\s*["']/g;
const DECLARED = /^(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\s*\*?|class|const|let|interface|type|enum)\s+([A-Za-z_$][\w$]*)/gm;
const DECLARED_AND_EXPORTED = /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\s*\*?|class|const|let|interface|type|enum)\s+([A-Za-z_$][\w$]*)/gm;

/** The source of each subpath that package.json exports: "tribune/sqlite" is src/store/sqlite/index.ts. */
export function publishedSources(): Array<{ readonly subpath: string; readonly path: string }> {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { name: string; exports: Record<string, string | { readonly types?: string }> };
  return Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    if (typeof target === "string" || target.types === undefined) return [];
    return [{ subpath: posix.join(manifest.name, subpath), path: target.types.replace(/^\.\/dist\//, "src/").replace(/\.d\.ts$/, ".ts") }];
  });
}

/** Everything that can be imported from a published source, each traced to its declaration. */
export function publicNames(subpath: string, path: string): PublicName[] {
  return [...namesIn(readSource(path), new Set())].map(([name, { source, offset }]) => ({ name: `${name} from ${subpath}`, source, offset }));
}

type Declared = Pick<PublicName, "source" | "offset">;

function namesIn(source: Source, seen: Set<string>): Map<string, Declared> {
  const names = new Map<string, Declared>();
  if (seen.has(source.path)) return names;
  const inside = new Set([...seen, source.path]);
  for (const match of source.code.matchAll(DECLARED_AND_EXPORTED)) if (!names.has(match[1] ?? "")) names.set(match[1] ?? "", { source, offset: match.index });
  for (const match of source.code.matchAll(REEXPORT_ALL)) {
    const from = open(source, match);
    if (match[1] !== undefined) names.set(match[1], { source, offset: match.index });
    else if (from !== undefined) for (const [name, declared] of namesIn(from, inside)) if (name !== "default") names.set(name, declared);
  }
  for (const match of source.code.matchAll(REEXPORT)) {
    const from = open(source, match);
    for (const { inner, outer } of list(match[1] ?? "")) names.set(outer, (from === undefined ? undefined : namesIn(from, inside).get(inner)) ?? { source, offset: -1 });
  }
  for (const match of source.code.matchAll(LOCAL_LIST)) for (const { inner, outer } of list(match[1] ?? "")) names.set(outer, declaredHere(source, inner, inside));
  return names;
}

/** `export { x }` of something declared or imported in the same file. */
function declaredHere(source: Source, name: string, seen: Set<string>): Declared {
  for (const match of source.code.matchAll(DECLARED)) if (match[1] === name) return { source, offset: match.index };
  for (const match of source.code.matchAll(IMPORT_LIST)) {
    const imported = list(match[1] ?? "").find(({ outer }) => outer === name);
    const from = imported === undefined ? undefined : open(source, match);
    if (imported !== undefined && from !== undefined) return namesIn(from, seen).get(imported.inner) ?? { source, offset: -1 };
  }
  return { source, offset: -1 };
}

/** `A, type B as C` in its parts. */
function list(text: string): Array<{ inner: string; outer: string }> {
  return text
    .split(",")
    .map((each) => each.trim().replace(/^type\s+/, ""))
    .filter((each) => each !== "")
    .map((each) => {
      const [inner = "", outer = inner] = each.split(/\s+as\s+/);
      return { inner, outer };
    });
}

/** The file that a matched statement, which ends with the opening quote, is `from`. */
function open(source: Source, match: RegExpExecArray): Source | undefined {
  const start = match.index + match[0].length;
  const specifier = /^[^"']*/.exec(source.text.slice(start))?.[0] ?? "";
  const path = posix.join(posix.dirname(source.path), specifier);
  return specifier.startsWith(".") && existsSync(join(ROOT, path)) ? readSource(path) : undefined;
}

/** The text of the doc comment that ends right before a declaration; `undefined` if there is none. A file's own (`@module`) is not its. */
export function docstringAt(source: Source, offset: number): string | undefined {
  const before = source.text.slice(0, offset).trimEnd();
  if (!before.endsWith("*/")) return undefined;
  const comment = before.slice(before.lastIndexOf("/*"));
  if (!comment.startsWith("/**") || comment.includes("@module")) return undefined;
  const text = comment.slice(3, -2).replace(/^\s*\*\s?/gm, "").trim();
  return text === "" ? undefined : text;
}

export function placeOf({ source, offset }: Declared): string {
  return `${source.path}:${offset === -1 ? 1 : lineAt(source, offset)}`;
}
