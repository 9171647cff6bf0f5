/**
 * Loaded into each test file's process before the file. Ends a process that is still there after the limit, because a test
 * hangs or because something was left open. By `process.exit`, not by a signal from outside: then what the test started
 * (servers, other processes) is ended by its own exit listeners.
 */
const limitMs = Number(process.env["TRIBUNE_TEST_FILE_LIMIT_MS"]);

if (limitMs > 0) {
  // Not referenced: it must keep nothing alive itself.
  setTimeout(() => {
    const open = process.getActiveResourcesInfo().filter((name) => name !== "PipeWrap");
    process.stderr.write(`${process.argv[1] ?? "this test file"} is still running after ${Math.round(limitMs / 1_000)} s. Still open: ${open.join(", ") || "nothing that Node tells of"}.\n`);
    process.exit(1);
  }, limitMs).unref();
}
