import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { ErrorCode } from "../../kernel/index.ts";

/** Numbers of the error reference; MariaDB and MySQL agree on these. */
export const LOCK_WAIT_TIMEOUT = 1205;
export const DEADLOCK = 1213;
export const RECORD_CHANGED = 1020;
export const NO_SUCH_TABLE = 1146;
export const TABLE_EXISTS = 1050;
export const DUPLICATE_COLUMN = 1060;
/** `max_statement_time` of MariaDB, `max_execution_time` of MySQL. */
const STATEMENT_TIMEOUTS = [1969, 3024];
/** `kill query`. */
const INTERRUPTED = 1317;
/** "SAVEPOINT … does not exist". */
export const NO_SUCH_SAVEPOINT = 1305;

interface Meaning {
  readonly code: ErrorCode;
  /** After "beat on mysql://…". */
  readonly what: string;
  readonly next: string;
}

const READ_ONLY: Meaning = { code: "STORE_READ_ONLY", what: "found a server that takes no writes", next: "connect to the primary; after a failover the next connection finds it if the address follows it" };
const UNREACHABLE_NEXT = "look whether the server runs, and whether host, port and firewall let this machine in";
const ENDED: Meaning = { code: "STORE_SESSION_ENDED", what: "lost its connection", next: "nothing by hand: a new connection is made; if it comes back often, look at the server's log" };
const REFUSED: Meaning = { code: "STORE_AUTH_FAILED", what: "was refused: wrong user or password", next: "mend the user or the password" };
const DENIED: Meaning = { code: "STORE_PERMISSION_DENIED", what: "lacks a privilege", next: "grant what the guide of the MySQL store lists, or run 'tribune migrate' with a role that may create" };
const FULL: Meaning = { code: "STORE_FULL", what: "found the server's disk full; nothing was written", next: "free space on the server" };
const CROWDED: Meaning = { code: "STORE_UNREACHABLE", what: "found no free connection: the server has as many as it allows", next: "raise max_connections, or let pools keep fewer; a node needs one" };
const SLOW: Meaning = { code: "STORE_TIMEOUT", what: "took too long in the server and was cancelled; nothing was written", next: "look at the load of the server and at long transactions" };
const TOO_LARGE: Meaning = { code: "STORE_FAILED", what: "sent more than the server takes in one packet", next: "raise max_allowed_packet on the server, or keep metadata smaller" };

/** What the server says, by error number. */
const BY_NUMBER: Readonly<Record<number, Meaning>> = {
  1045: REFUSED,
  1698: REFUSED,
  1130: { code: "STORE_AUTH_FAILED", what: "was refused: the server takes no connections from this machine", next: "look at the host in the account's name, and at blocked hosts" },
  1129: { code: "STORE_AUTH_FAILED", what: "was refused: the server has blocked this machine after too many errors", next: "run 'flush hosts' on the server" },
  1251: { code: "STORE_AUTH_FAILED", what: "could not agree on how to prove who it is", next: "look at the account's authentication plugin" },
  1044: DENIED,
  1142: DENIED,
  1143: DENIED,
  1227: DENIED,
  1370: DENIED,
  1049: { code: "STORE_DATABASE_MISSING", what: "found no such database", next: "create the database, or name another one" },
  1040: CROWDED,
  1203: CROWDED,
  1226: CROWDED,
  1053: { code: "STORE_UNREACHABLE", what: "found a server that shuts down", next: "wait; it is tried again" },
  1021: FULL,
  1114: FULL,
  1026: FULL,
  3: FULL,
  [LOCK_WAIT_TIMEOUT]: { code: "STORE_TIMEOUT", what: "waited too long for a lock; nothing was written", next: "look for a transaction that holds a row of Tribune's tables" },
  1969: SLOW,
  3024: SLOW,
  [INTERRUPTED]: SLOW,
  [DEADLOCK]: { code: "STORE_BUSY", what: "met others again and again, and was called off; nothing was written", next: "try again" },
  [RECORD_CHANGED]: { code: "STORE_BUSY", what: "met others again and again, and was called off; nothing was written", next: "try again" },
  1290: READ_ONLY,
  1836: READ_ONLY,
  1792: READ_ONLY,
  1874: READ_ONLY,
  [NO_SUCH_TABLE]: { code: "SCHEMA_MISSING", what: "did not find Tribune's tables", next: "run 'tribune migrate', or allow createSchema" },
  1665: { code: "STORE_FAILED", what: "cannot write, since the server logs statements instead of rows", next: "set binlog_format to ROW or MIXED" },
  1153: TOO_LARGE,
  1927: ENDED,
  1080: ENDED,
  1152: ENDED,
  4031: ENDED,
};

/** What the operating system, Node and the driver say, by `code`. */
const BY_SYSTEM: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { code: "STORE_UNREACHABLE", what: "was refused: nobody listens there", next: UNREACHABLE_NEXT },
  ENOTFOUND: { code: "STORE_UNREACHABLE", what: "does not know that host", next: UNREACHABLE_NEXT },
  EAI_AGAIN: { code: "STORE_UNREACHABLE", what: "could not resolve that host just now", next: UNREACHABLE_NEXT },
  ETIMEDOUT: { code: "STORE_UNREACHABLE", what: "got no answer from that host", next: UNREACHABLE_NEXT },
  EHOSTUNREACH: { code: "STORE_UNREACHABLE", what: "found no way to that host", next: UNREACHABLE_NEXT },
  ENETUNREACH: { code: "STORE_UNREACHABLE", what: "found no way to that network", next: UNREACHABLE_NEXT },
  ENOENT: { code: "STORE_UNREACHABLE", what: "found no such socket", next: UNREACHABLE_NEXT },
  EACCES: { code: "STORE_UNREACHABLE", what: "may not use that socket", next: UNREACHABLE_NEXT },
  ECONNRESET: ENDED,
  EPIPE: ENDED,
  PROTOCOL_CONNECTION_LOST: ENDED,
};

/** The number of what the server said, or `undefined` if it was not the server who spoke. */
export function errorNumber(error: unknown): number | undefined {
  const { errno, sqlState } = error as { readonly errno?: unknown; readonly sqlState?: unknown };
  return typeof errno === "number" && errno > 0 && typeof sqlState === "string" ? errno : undefined;
}

/** Whether the server answered with an error and goes on: what the packet had begun is to be rolled back, and the connection is sound. */
export function wasAnswered(error: unknown): boolean {
  const number = errorNumber(error);
  const { fatal } = error as { readonly fatal?: unknown };
  return number !== undefined && fatal !== true && ![1053, 1153, 1927, 1080, 1152, 4031].includes(number);
}

/** Whether the server answered that it broke the statement off. Of a commit that tells nothing: it may have been too late for that. */
export function wasBrokenOff(error: unknown): boolean {
  return [INTERRUPTED, ...STATEMENT_TIMEOUTS].includes(errorNumber(error) ?? 0);
}

/** Whether the server called the statement off for the sake of another one. It wrote nothing, and may succeed at once if run again. */
export function wasCalledOff(error: unknown): boolean {
  const number = errorNumber(error);
  return number === DEADLOCK || number === RECORD_CHANGED;
}

/** Whether what may lose a race has lost it: called off, or no lock in time. Where the limit of a statement is the shorter one, that ends the wait. */
export function lostRace(error: unknown): boolean {
  return wasCalledOff(error) || [LOCK_WAIT_TIMEOUT, ...STATEMENT_TIMEOUTS].includes(errorNumber(error) ?? 0);
}

/** The coded error for whatever `operation` threw. The cause is kept: errors of `mysql2` hold no password. */
export function mapMysqlError(error: unknown, operation: string, label: string): TribuneError {
  if (isTribuneError(error)) return error;
  const meaning = meaningOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new TribuneError(meaning.code, `${operation} on ${label} ${meaning.what}${message === "" ? "" : ` (${message})`}`, { about: label, next: meaning.next, cause: error });
}

/** Like `mapMysqlError`, while the connection is being made: whatever breaks it off then means that nobody got in. */
export function mapConnectError(error: unknown, operation: string, label: string): TribuneError {
  const mapped = mapMysqlError(error, operation, label);
  if (isTribuneError(error) || (mapped.code !== "STORE_SESSION_ENDED" && mapped.code !== "STORE_FAILED")) return mapped;
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as { readonly code?: unknown };
  if (/SSL|TLS|certificate|secure connection/i.test(`${message} ${String(code)}`)) {
    return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} could not agree on TLS (${message})`, { about: label, next: "look at the setting ssl and at the server's certificate", cause: error });
  }
  if (mapped.code === "STORE_FAILED" && errorNumber(error) !== undefined) return mapped;
  return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} was broken off (${message})`, { about: label, next: UNREACHABLE_NEXT, cause: error });
}

function meaningOf(error: unknown): Meaning {
  const number = errorNumber(error);
  if (number !== undefined) return BY_NUMBER[number] ?? (wasAnswered(error) ? { code: "STORE_FAILED", what: "failed", next: "look at the server's log" } : ENDED);
  const { code } = error as { readonly code?: unknown };
  const meaning = typeof code === "string" ? BY_SYSTEM[code] : undefined;
  return meaning ?? { ...ENDED, what: "failed, and its connection is not used again" };
}
