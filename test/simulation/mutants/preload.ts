/**
 * Loaded into a test file's process before the file (`node --import`): puts the mutant of `TRIBUNE_MUTANT`, as JSON, in place, to see whether the tests there fail on it.
 */
import type { Mutant } from "./mutant.ts";
import { mutate } from "./mutate.ts";

mutate(JSON.parse(process.env["TRIBUNE_MUTANT"] ?? "{}") as Mutant);
