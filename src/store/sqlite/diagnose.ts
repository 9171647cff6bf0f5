import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { sleep } from "../../kernel/index.ts";
import { roundTripFinding, roundTrips } from "../index.ts";
import type { DiagnoseContext, Finding } from "../index.ts";
import type { Connection } from "./connection.ts";
import { isBusy } from "./errors.ts";
import { networkFileSystem } from "./file.ts";
import { patienceWithinMs } from "./turns.ts";

/** With less room than this a burst of writes may fill the disk. */
const LITTLE_ROOM_BYTES = 100 * 1024 * 1024;

/** A log that grew beyond this is not being folded into the file: somebody reads an old state of it, for ever. */
const LARGE_LOG_BYTES = 64 * 1024 * 1024;

/** What lies in memory only (statfs(2)). */
const IN_MEMORY: ReadonlyMap<number, string> = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
]);

/** What can be said of the place of a file, also before there is one. */
export function diagnosePlace(path: string): readonly Finding[] {
  const there = sizeOf(path);
  return [folderFinding(path, there !== undefined), fileSystemFinding(path), roomFinding(path, there)];
}

/** What an open file shows. Takes the write lock for a moment, and writes nothing. */
export async function diagnoseFile(connection: Connection, context: DiagnoseContext, options: { readonly path: string; readonly version: string }): Promise<readonly Finding[]> {
  const { clock, leaseMs } = context;
  const { tookMs } = await roundTrips(clock, () => {
    connection.get<{ n: number }>("SELECT count(*) AS n FROM sqlite_schema");
    return Promise.resolve(clock.wallMs());
  });
  return [
    { check: "server", level: "ok", found: `SQLite ${options.version}, in this process` },
    roundTripFinding(tookMs, leaseMs),
    { check: "clock", level: "ok", found: "the store's clock is this machine's" },
    await writeFinding(connection, context),
    journalFinding(connection, options.path),
  ];
}

function folderFinding(path: string, there: boolean): Finding {
  const check = "files";
  const folder = dirname(path);
  const may = (name: string) => {
    try {
      accessSync(name, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  };
  if (sizeOf(folder) === undefined) return { check, level: "fail", found: `there is no folder ${folder}`, next: "make it, with write permission for the user that nodes run as" };
  if (!may(folder)) return { check, level: "fail", found: `this user may not write in ${folder}, where SQLite's log and Tribune's other files lie beside the database`, next: "give it write permission for the folder" };
  if (!there) return { check, level: "warn", found: `there is no file ${path} yet`, next: "the first node makes it; or run 'tribune migrate'" };
  if (!may(path)) return { check, level: "fail", found: `this user may not write ${path}`, next: "give it write permission for the file" };
  return { check, level: "ok", found: `${path} and its folder may be written` };
}

function fileSystemFinding(path: string): Finding {
  const check = "file-system";
  const network = networkFileSystem(path);
  if (network !== undefined) return { check, level: "fail", found: `${path} lies on a network file system (${network}), where SQLite does not keep processes apart`, next: "move it to a local disk, or use PostgreSQL" };
  const memory = IN_MEMORY.get(numbersOf(path)?.type ?? 0);
  if (memory !== undefined) return { check, level: "warn", found: `${path} lies in memory (${memory}), and is gone when the machine restarts`, next: "move it to a disk, unless that is meant" };
  return { check, level: "ok", found: process.platform === "linux" ? "no network file system that is known of" : "which file system it is cannot be told on this system; it has to be a local one" };
}

function roomFinding(path: string, sizeBytes: number | undefined): Finding {
  const check = "room";
  const numbers = numbersOf(path);
  const size = sizeBytes === undefined ? "" : `the file takes ${megabytes(sizeBytes)}, its log ${megabytes(sizeOf(`${path}-wal`) ?? 0)}; `;
  if (numbers === undefined) return { check, level: "ok", found: `${size}how much is free cannot be told` };
  const found = `${size}${megabytes(numbers.freeBytes)} are free`;
  if (numbers.freeBytes >= LITTLE_ROOM_BYTES) return { check, level: "ok", found };
  return { check, level: "warn", found, next: "free space: a node that cannot write cannot beat" };
}

async function writeFinding(connection: Connection, { clock, deadlineMs, signal }: DiagnoseContext): Promise<Finding> {
  const check = "write";
  const beganMs = clock.monotonicMs();
  const patienceMs = Math.min(1_000, patienceWithinMs(deadlineMs));
  for (;;) {
    try {
      connection.exec("BEGIN IMMEDIATE");
      connection.exec("ROLLBACK");
      const tookMs = clock.monotonicMs() - beganMs;
      return { check, level: "ok", found: `the write lock was had after ${Math.round(tookMs * 10) / 10} ms` };
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (clock.monotonicMs() - beganMs >= patienceMs) {
        return { check, level: "warn", found: `another process had the write lock for ${Math.round(patienceMs)} ms`, next: "look for a process that is stuck in a write transaction on this file; while it is, nobody beats" };
      }
    }
    await sleep(clock, 10, signal);
    signal?.throwIfAborted();
  }
}

function journalFinding(connection: Connection, path: string): Finding {
  const check = "journal";
  const mode = connection.get<{ journal_mode: string }>("PRAGMA journal_mode")?.journal_mode ?? "";
  const logBytes = sizeOf(`${path}-wal`) ?? 0;
  if (mode !== "wal") return { check, level: "warn", found: `the journal mode is ${mode}`, next: "the first node switches it to WAL; if it stays as it is, the file system cannot share memory between processes" };
  if (logBytes > LARGE_LOG_BYTES) return { check, level: "warn", found: `the write-ahead log has grown to ${megabytes(logBytes)}`, next: "look for a process that keeps a read transaction open on this file" };
  return { check, level: "ok", found: "write-ahead log" };
}

function numbersOf(path: string): { readonly type: number; readonly freeBytes: number } | undefined {
  try {
    const { type, bavail, bsize } = statfsSync(dirname(path));
    return { type: type >>> 0, freeBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}

function sizeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size;
  } catch {
    return undefined;
  }
}

function megabytes(bytes: number): string {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : bytes < 1024 ** 3 ? `${Math.round(bytes / 1024 / 1024)} MiB` : `${Math.round(bytes / 1024 ** 3)} GiB`;
}
