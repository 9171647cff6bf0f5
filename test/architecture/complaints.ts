import assert from "node:assert/strict";

/** Fails with one line for each complaint: these are read by people who are about to mend them. */
export function assertNone(complaints: readonly string[], heading = "to be mended"): void {
  if (complaints.length > 0) assert.fail(`${heading} (${complaints.length}):\n${complaints.map((complaint) => `  ${complaint}`).join("\n")}`);
}
