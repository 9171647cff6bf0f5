import { checkName, shown, TribuneError } from "../kernel/index.ts";

/** What stands between the ids of a path. */
export const SEPARATOR = "/";

/** The longest path of a context, in characters. */
export const LONGEST_PATH = 256;

/** The longest name of a property, in characters. */
export const LONGEST_KEY = 200;

/** How deep the tree may be. */
export const DEEPEST_PATH = 16;

/** Returns the path; throws `INVALID_NAME` unless it is ids joined by `/`, each a name such as those of nodes. */
export function checkPath(path: unknown): string {
  if (typeof path !== "string" || path.length > LONGEST_PATH) throw new TribuneError("INVALID_NAME", `context path ${shown(path)} is no text of up to ${LONGEST_PATH} characters`, { about: "context", next: "join the ids of a context and those above it with '/'" });
  const ids = path.split(SEPARATOR);
  if (ids.length > DEEPEST_PATH) throw new TribuneError("INVALID_NAME", `context path ${shown(path)} has ${ids.length} ids, more than ${DEEPEST_PATH}`, { about: "context", next: "make the tree flatter" });
  for (const id of ids) checkName("context", id);
  return path;
}

/** Returns the name of a property; throws `INVALID_NAME` unless it is 1 to {@link LONGEST_KEY} characters without control characters, and not `__proto__`. */
export function checkKey(key: unknown): string {
  // Code that copies properties into objects would take __proto__ for a prototype.
  if (typeof key === "string" && key.length > 0 && key.length <= LONGEST_KEY && key !== "__proto__" && !/\p{Cc}/u.test(key) && key.isWellFormed()) return key;
  throw new TribuneError("INVALID_NAME", `property name ${shown(key)} is not one`, { about: "property", next: `use 1 to ${LONGEST_KEY} characters, no control characters, and not __proto__` });
}

/** The path above; `undefined` at the top. */
export function parentOf(path: string): string | undefined {
  const at = path.lastIndexOf(SEPARATOR);
  return at === -1 ? undefined : path.slice(0, at);
}
