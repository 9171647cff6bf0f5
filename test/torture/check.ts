/**
 * Judges a kept history again: `node test/torture/check.ts DIR`. For work on the checks, and for reading a failure twice.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FencedRow } from "../../src/testing/history/index.ts";
import { readHistory } from "../fleet/history-folder.ts";
import { violationLines } from "../fleet/text.ts";
import { judge } from "./torture.ts";
import type { RunRecord } from "./torture.ts";

const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: node test/torture/check.ts DIR");
  process.exitCode = 2;
} else {
  const rows = JSON.parse(readFileSync(join(folder, "rows.json"), "utf8")) as FencedRow[];
  const record = JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as RunRecord;
  const violations = judge(readHistory(folder, rows), record);
  for (const line of violationLines(violations)) console.log(line);
  console.log(`${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
