import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { mutated } from "./mutant.ts";
import type { Mutant } from "./mutant.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** The address of a file of the project. */
export function urlOf(file: string): string {
  return pathToFileURL(join(ROOT, file)).href;
}

/** Loads the files that `mutant` changes as it has them, from here on: before anything has imported them. Answers which of them have not been loaded yet. */
export function mutate(mutant: Mutant): { readonly missing: () => readonly string[] } {
  const files = new Map(mutant.changes.map(({ file }) => [urlOf(file), file]));
  const loaded = new Set<string>();
  registerHooks({
    load(url, context, nextLoad) {
      const result = nextLoad(url, context);
      const file = files.get(url);
      if (file === undefined) return result;
      loaded.add(file);
      return { ...result, source: mutated(mutant, file, textOf(result.source)) };
    },
  });
  return { missing: () => [...files.values()].filter((file) => !loaded.has(file)) };
}

/** Imports each file that `mutant` changes once more, as it has it and apart from the rest of the program: it can be parsed, and its module can be evaluated. */
export async function importMutated(mutant: Mutant): Promise<void> {
  const mark = `?mutant=${mutant.name}`;
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      const result = nextLoad(url, context);
      const file = mutant.changes.find((change) => url === urlOf(change.file) + mark)?.file;
      return file === undefined ? result : { ...result, source: mutated(mutant, file, textOf(result.source)) };
    },
  });
  try {
    for (const file of new Set(mutant.changes.map((change) => change.file))) await import(urlOf(file) + mark);
  } finally {
    hooks.deregister();
  }
}

function textOf(source: unknown): string {
  return typeof source === "string" ? source : Buffer.from(source as Uint8Array).toString("utf8");
}
