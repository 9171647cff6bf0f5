/**
 * Loaded into each test file's process before the file. Tells the runner which process it is, and ends it when it is still
 * there after the limit, because a test hangs or something was left open: by `process.exit`, not by a signal from outside, since then what
 * the test started (servers, other processes) is ended by its own exit listeners.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env["TRIBUNE_TEST_PROCESSES"];
const limitMs = Number(process.env["TRIBUNE_TEST_FILE_LIMIT_MS"]);
const file = process.argv[1] ?? "";

// Processes that a test starts inherit all of this, and are the test's own business.
if (folder !== undefined && file.endsWith(".test.ts")) {
  writeFileSync(join(folder, String(process.pid)), file);
  // Not referenced: it must keep nothing alive itself.
  setTimeout(() => {
    const open = process.getActiveResourcesInfo().filter((name) => name !== "PipeWrap");
    process.stderr.write(`${file} is still running after ${Math.round(limitMs / 1_000)} s. Still open: ${open.join(", ") || "nothing that Node tells of"}.\n`);
    process.exit(1);
  }, limitMs).unref();
}
