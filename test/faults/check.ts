/**
 * Judges a kept history again, and draws its picture again: `node test/faults/check.ts DIR`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readHistory } from "../fleet/history-folder.ts";
import { judge } from "./judge.ts";
import { pictureOf } from "./picture.ts";
import { readRecord } from "./record.ts";
import { resultText } from "./report.ts";
import { summarize } from "./summary.ts";

const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: node test/faults/check.ts DIR");
  process.exitCode = 2;
} else {
  const { record, tables } = readRecord(folder);
  const { events } = readHistory(folder, []);
  const judgement = judge(events, tables, record);
  writeFileSync(join(folder, "picture.svg"), pictureOf(events, record));
  const { violations } = judgement;
  console.log(resultText({ passed: violations.length === 0, seed: record.seed, summary: summarize(events, tables, record, judgement), violations, failures: [], folder }));
  process.exitCode = violations.length === 0 ? 0 : 1;
}
