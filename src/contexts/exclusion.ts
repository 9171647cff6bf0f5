/** Says of a property whether it stays on its node. */
export type Exclusion = readonly string[] | ((path: string, key: string) => boolean);

/** Properties that stay on their node unless something else is said. */
export const DEFAULT_EXCLUDE: readonly string[] = ["local_*"];

/** A function that answers for one property; in patterns, `*` stands for any characters. */
export function exclusion(exclude: Exclusion): (path: string, key: string) => boolean {
  if (typeof exclude === "function") return exclude;
  if (exclude.length === 0) return () => false;
  const pattern = new RegExp(`^(?:${exclude.map((each) => each.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&")).join("[^]*")).join("|")})$`, "u");
  return (_path, key) => pattern.test(key);
}
