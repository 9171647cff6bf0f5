import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Where tests that draw begin: a whole number below 2³¹ that follows from the sources. Each change of them shows new
 * worlds, and the same sources show the same ones, so that what failed fails again, and what passed here passes there.
 * `TRIBUNE_TEST_FIRST_SEED` asks for another one.
 */
export const FIRST_SEED = Number(process.env["TRIBUNE_TEST_FIRST_SEED"] ?? seedOfTheSources());

function seedOfTheSources(): number {
  const root = join(import.meta.dirname, "../../src");
  const hash = createHash("sha256");
  for (const file of globSync("**/*.ts", { cwd: root }).sort()) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest().readUInt32BE() >>> 1;
}
