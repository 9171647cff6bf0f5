import type { Violation } from "../../src/testing/history/index.ts";

/** So many violations, and so much evidence of each, are shown; the folder has all. */
const SHOWN = 10;
const EVIDENCE_SHOWN = 6;

/** What was broken, for a reader, with the first evidence. */
export function violationLines(violations: readonly Violation[]): string[] {
  const lines: string[] = [];
  for (const { check, message, atMs, evidence } of violations.slice(0, SHOWN)) {
    lines.push(`VIOLATION ${check} at ${atMs.toFixed(1)} ms: ${message}`);
    for (const item of evidence.slice(0, EVIDENCE_SHOWN)) lines.push(`    ${JSON.stringify(item)}`);
    if (evidence.length > EVIDENCE_SHOWN) lines.push(`    … and ${evidence.length - EVIDENCE_SHOWN} more`);
  }
  if (violations.length > SHOWN) lines.push(`… and ${violations.length - SHOWN} more violations`);
  return lines;
}

/** Words and how often each came. */
export function counts(numbers: Readonly<Record<string, number>>): string {
  const words = Object.entries(numbers).map(([word, count]) => `${word} ${count}`);
  return words.length === 0 ? "nothing" : words.join(", ");
}

/** Columns as wide as they have to be, the first one to the left. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd());
}
