import { existsSync, readdirSync, rmSync } from "node:fs";

/** Where packages put the library that lies to a process about the time. */
const LIBRARIES = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1", "/usr/lib64/faketime/libfaketimeMT.so.1"];

/** The library, or `undefined` where it is not installed. */
export function libfaketime(): string | undefined {
  return LIBRARIES.find((path) => existsSync(path));
}

/** The environment of a process whose wall clock is as that file says, read anew each time: `+3600s`. Its monotonic clock is true. */
export function steppedBy(library: string, file: string): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library, FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1", FAKETIME_TIMESTAMP_FILE: file };
}

/** The environment of a process all of whose clocks, and timers, run `rate` times as fast as true time. */
export function atRate(library: string, rate: number): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library, FAKETIME: `+0 x${rate}` };
}

const SHARED_MEMORY = "/dev/shm";

/** What the library of a process that was killed leaves behind. Its names end with the number of the process. */
export function forgetFaketime(pids: ReadonlySet<number>): void {
  if (!existsSync(SHARED_MEMORY)) return;
  for (const name of readdirSync(SHARED_MEMORY)) {
    const pid = /faketime_(?:sem|shm)_(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && pids.has(Number(pid))) rmSync(`${SHARED_MEMORY}/${name}`, { force: true });
  }
}
