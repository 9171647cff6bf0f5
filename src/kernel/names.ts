import { TribuneError } from "./errors.ts";
import { shown } from "./options.ts";

/** The longest name of a group, a node, an election or a document. Fits a Kubernetes pod name with a suffix. */
export const LONGEST_NAME = 128;

/**
 * Names travel into SQL parameters, key paths, file names, environment variables and terminals. Letters, digits and
 * `. _ -` mean the same in all of them; a letter or digit first keeps them from being read as a flag or a path.
 */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Returns `name` if it is a good name for a `kind` of thing; throws `INVALID_NAME` otherwise. */
export function checkName(kind: "group" | "node" | "election" | "topic" | "document" | "context", name: unknown): string {
  const rule = nameRule(name);
  if (rule === undefined) return name as string;
  throw new TribuneError("INVALID_NAME", `${kind} name ${shown(name)} ${rule}`, {
    about: kind,
    next: `use 1 to ${LONGEST_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit`,
  });
}

function nameRule(name: unknown): string | undefined {
  if (typeof name !== "string") return "is not a string";
  if (name === "") return "is empty";
  if (name.length > LONGEST_NAME) return `has ${name.length} characters, more than ${LONGEST_NAME}`;
  if (!NAME.test(name)) return "has a character that is not allowed, or begins with one that cannot stand first";
  return undefined;
}

/** Makes a good node name of whatever the machine calls itself. */
export function nodeNameFrom(host: string, suffix: string): string {
  const clean = host.replace(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return `${(clean === "" ? "node" : clean).slice(0, LONGEST_NAME - suffix.length - 1)}-${suffix}`;
}
