import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { isTribuneError, toTribuneError, TribuneError } from "../../kernel/index.ts";

/**
 * Primary result codes (sqlite.org/rescode.html). Node passes the extended code as `errcode`; its low byte is the
 * primary one.
 */
const UNKNOWN = 0;
const PERM = 3;
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const PROTOCOL = 15;
const CONSTRAINT = 19;
const AUTH = 23;
const NOTADB = 26;

/** The database file was moved or deleted under an open connection. */
const READONLY_DBMOVED = 1032;
/** The shared memory could not grow; the manual says that the disk may be full. */
const IOERR_SHMSIZE = 4874;

/** Thrown by an attempt that found its connection in use, as SQLite does for a locked file: worth trying again. */
export class ConnectionInUse extends Error {}

/** Whether the file or the connection was in use, nothing was done, and another try may succeed. */
export function isBusy(error: unknown): boolean {
  if (error instanceof ConnectionInUse) return true;
  const code = primaryCode(error);
  return code === BUSY || code === LOCKED || code === PROTOCOL;
}

/** Whether this error of a COMMIT leaves open if the transaction is on the disk. */
export function leavesCommitOpen(error: unknown): boolean {
  return primaryCode(error) === IOERR;
}

/** Whether the user's own rows are at fault, as with a deferred constraint that a COMMIT finds broken. */
export function isBrokenConstraint(error: unknown): boolean {
  return primaryCode(error) === CONSTRAINT;
}

/** Whether the session can go on after this: nothing was written, and the connection is sound. */
export function leavesSessionUsable(error: TribuneError): boolean {
  return error.code === "STORE_BUSY" || error.code === "STORE_FULL" || !error.code.startsWith("STORE_");
}

export function storeBusy(operation: string, path: string, cause?: unknown): TribuneError {
  return new TribuneError("STORE_BUSY", `${operation}: ${path} was busy the whole time; nothing was written`, {
    about: path,
    next: "look for a process that holds a write transaction open; keep those short",
    cause,
  });
}

export function storeReplaced(path: string, what: string): TribuneError {
  return new TribuneError("STORE_REPLACED", `${what} was replaced or removed while it was in use`, {
    about: path,
    next: "leave the files of a running store alone; the connection is made anew",
  });
}

/** The coded error for whatever an operation on the database file threw. */
export function mapSqliteError(error: unknown, operation: string, path: string): TribuneError {
  if (isTribuneError(error)) return error;
  const extended = extendedCode(error);
  if (extended === READONLY_DBMOVED) return storeReplaced(path, path);
  if (extended === IOERR_SHMSIZE) return storeFull(operation, path, error);
  switch (primaryCode(error) ?? UNKNOWN) {
    case BUSY:
    case LOCKED:
    case PROTOCOL:
      return storeBusy(operation, path, error);
    case FULL:
      return storeFull(operation, path, error);
    case NOTADB:
      return new TribuneError("STORE_NOT_A_DATABASE", `${operation}: ${path} is not a SQLite database`, { about: path, next: "name another file, or move this one away", cause: error });
    case CORRUPT:
      return new TribuneError("STORE_FAILED", `${operation}: the database in ${path} is damaged`, {
        about: path,
        next: "run PRAGMA integrity_check on a copy, and restore a backup",
        cause: error,
        retryable: false,
      });
    case READONLY:
      return readOnly(operation, path, error);
    case PERM:
    case CANTOPEN:
    case AUTH:
      return notWritable(operation, path, error);
    default:
      return toTribuneError(error, "STORE_FAILED", `${operation} on ${path} failed`, { about: path, next: "look at the disk and the kernel's log" });
  }
}

/**
 * Throws `STORE_READ_ONLY` if this user may read the file but not write it, which SQLite would open all the same, and
 * say so only with the first write.
 */
export function assertWritable(operation: string, path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (error) {
    throw readOnly(operation, path, error);
  }
}

function readOnly(operation: string, path: string, cause: unknown): TribuneError {
  return new TribuneError("STORE_READ_ONLY", `${operation}: ${path} can be read, but not written by this user`, {
    about: path,
    next: "let this user write the file and its folder, or mount the file system for writing",
    cause,
  });
}

function storeFull(operation: string, path: string, cause: unknown): TribuneError {
  return new TribuneError("STORE_FULL", `${operation}: there is no space left for ${path}; nothing was written`, { about: path, next: "free space on that disk", cause });
}

function notWritable(operation: string, path: string, cause: unknown): TribuneError {
  const found = whyNotWritable(path);
  return new TribuneError("STORE_NOT_WRITABLE", `${operation}: ${path} cannot be opened: ${found.why}`, { about: path, next: found.next, cause });
}

/** SQLite says only "unable to open database file"; people need to know which of several things it was. */
function whyNotWritable(path: string): { readonly why: string; readonly next: string } {
  const folder = dirname(path);
  try {
    const stats = statSync(folder, { throwIfNoEntry: false });
    if (stats === undefined) return { why: `the folder ${folder} does not exist`, next: "create the folder, or name another path" };
    if (!stats.isDirectory()) return { why: `${folder} is not a folder`, next: "name another path" };
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return { why: "it is a folder", next: "name a file in it" };
  } catch {
    return { why: "its folder cannot be read", next: `give this user access to ${folder}` };
  }
  return { why: "this user may not open it, or not write in its folder", next: `let this user write ${path} and ${folder}` };
}

function primaryCode(error: unknown): number | undefined {
  const code = extendedCode(error);
  return code === undefined ? undefined : code & 0xff;
}

function extendedCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  return code === "ERR_SQLITE_ERROR" && typeof errcode === "number" ? errcode : undefined;
}
