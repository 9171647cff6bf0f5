#!/usr/bin/env node
import { runCli } from "./program.ts";
import { Shell } from "./shell.ts";

const shell = new Shell({ stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env });

// Whatever nobody caught: one line, no stack unless asked for, and an exit code that says "failed".
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    shell.note(`error INTERNAL: ${error instanceof Error ? error.message : String(error)}, run it again with --verbose, and report what it says`);
    if (shell.verbose && error instanceof Error) shell.note(error.stack ?? "");
    process.exit(1);
  });
}

// Not left to the event loop to end: a driver that keeps a socket open must not keep a finished command alive. What was written is out:
// on POSIX Node writes to pipes, files and terminals synchronously (nodejs.org/api/process.html, "A note on process I/O").
process.exit(await runCli(process.argv.slice(2), shell));
