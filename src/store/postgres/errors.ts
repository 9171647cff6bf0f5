import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { ErrorCode } from "../../kernel/index.ts";

/** Codes of the PostgreSQL manual, appendix A. */
export const LOCK_NOT_AVAILABLE = "55P03";
export const SERIALIZATION_FAILURE = "40001";
export const DEADLOCK_DETECTED = "40P01";
const INSUFFICIENT_PRIVILEGE = "42501";
export const UNDEFINED_TABLE = "42P01";
export const IDLE_IN_TRANSACTION_TIMEOUT = "25P03";
export const FAILED_TRANSACTION = "25P02";
export const NO_ACTIVE_TRANSACTION = "25P01";

interface Meaning {
  readonly code: ErrorCode;
  /** After "beat on postgres://…". */
  readonly what: string;
  readonly next: string;
}

const READ_ONLY: Meaning = { code: "STORE_READ_ONLY", what: "found a server that takes no writes", next: "connect to the primary; after a failover the next connection finds it if the address follows it" };
const UNREACHABLE_NEXT = "look whether the server runs, and whether host, port and firewall let this machine in";
const ENDED: Meaning = { code: "STORE_SESSION_ENDED", what: "lost its connection", next: "nothing by hand: a new connection is made; if it comes back often, look at the server's log" };

/** What the server says, by SQLSTATE. */
const BY_STATE: Readonly<Record<string, Meaning>> = {
  "28P01": { code: "STORE_AUTH_FAILED", what: "was refused: wrong user or password", next: "mend the user or the password" },
  "28000": { code: "STORE_AUTH_FAILED", what: "was refused by the server's rules of access", next: "look at the user, at TLS, and at pg_hba.conf" },
  "3D000": { code: "STORE_DATABASE_MISSING", what: "found no such database", next: "create the database, or name another one" },
  [INSUFFICIENT_PRIVILEGE]: { code: "STORE_PERMISSION_DENIED", what: "lacks a privilege", next: "grant what the guide of the PostgreSQL store lists, or run 'tribune migrate' with a role that may create" },
  "53300": { code: "STORE_UNREACHABLE", what: "found no free connection: the server has as many as it allows", next: "raise max_connections, or let pools keep fewer; a node needs one" },
  "57P03": { code: "STORE_UNREACHABLE", what: "found a server that starts up or shuts down", next: "wait; it is tried again" },
  "53100": { code: "STORE_FULL", what: "found the server's disk full; nothing was written", next: "free space on the server" },
  "57014": { code: "STORE_TIMEOUT", what: "took too long in the server and was cancelled; nothing was written", next: "look at the load of the server and at long transactions" },
  [LOCK_NOT_AVAILABLE]: { code: "STORE_TIMEOUT", what: "waited too long for a lock; nothing was written", next: "look for a transaction that holds a row of Tribune's tables" },
  "25006": READ_ONLY,
  // "recovery is in progress": asking a standby where it writes. None of our statements can raise it for another reason.
  "55000": READ_ONLY,
  "57P01": ENDED,
  "57P02": ENDED,
  "57P05": ENDED,
  [UNDEFINED_TABLE]: { code: "SCHEMA_MISSING", what: "did not find Tribune's tables", next: "run 'tribune migrate', or allow createSchema" },
  "42883": { code: "STORE_FAILED", what: "needs a function that this server does not have", next: "use PostgreSQL itself; other servers that speak its protocol do not tell what the epoch needs" },
};

/** What the operating system and Node say, by `code`. */
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
};

/** The SQLSTATE of what the server said, or `undefined` if it was not the server who spoke. */
export function sqlState(error: unknown): string | undefined {
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && typeof severity === "string" ? code : undefined;
}

/** Whether the server answered with an error and goes on: the statement did nothing, and the connection is sound. */
export function wasAnswered(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !isFatal(error);
}

/** FATAL and PANIC close the connection. `severity` may be in the server's language; these states are always fatal. */
function isFatal(error: unknown): boolean {
  const state = sqlState(error) ?? "";
  const { severity } = error as { readonly severity?: unknown };
  return severity === "FATAL" || severity === "PANIC" || /^(08|57P0[1235]|25P0[34])/.test(state);
}

/** Whether the server called the statement off for the sake of another one. It wrote nothing, and may succeed at once if run again. */
export function wasCalledOff(error: unknown): boolean {
  const state = sqlState(error);
  return state === SERIALIZATION_FAILURE || state === DEADLOCK_DETECTED;
}

/**
 * Whether a prepared statement was not where it was left: another server process answers, or somebody deallocated it
 * (26000), made one of that name (42P05), or the tables were altered (0A000).
 */
export function wasNotPrepared(error: unknown): boolean {
  return ["26000", "42P05", "0A000"].includes(sqlState(error) ?? "");
}

export function isForbidden(error: unknown): boolean {
  return sqlState(error) === INSUFFICIENT_PRIVILEGE;
}

/** Whether a statement that may lose a race has lost it: called off, or no lock in time. */
export function lostRace(error: unknown): boolean {
  return wasCalledOff(error) || sqlState(error) === LOCK_NOT_AVAILABLE;
}

/** The coded error for whatever `operation` threw. The cause is kept: errors of `pg` hold no password. */
export function mapPostgresError(error: unknown, operation: string, label: string): TribuneError {
  if (isTribuneError(error)) return error;
  const meaning = meaningOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new TribuneError(meaning.code, `${operation} on ${label} ${meaning.what}${message === "" ? "" : ` (${message})`}`, { about: label, next: meaning.next, cause: error });
}

/** Like `mapPostgresError`, while the connection is being made: whatever breaks it off then means that nobody got in. */
export function mapConnectError(error: unknown, operation: string, label: string): TribuneError {
  const mapped = mapPostgresError(error, operation, label);
  if (isTribuneError(error) || (mapped.code !== "STORE_SESSION_ENDED" && mapped.code !== "STORE_FAILED")) return mapped;
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as { readonly code?: unknown };
  if (/password|SASL|SCRAM/i.test(message)) {
    return new TribuneError("STORE_AUTH_FAILED", `${operation} on ${label} could not prove who it is (${message})`, { about: label, next: "mend the password, or how the server asks for it", cause: error });
  }
  if (/SSL|TLS|certificate/i.test(`${message} ${String(code)}`)) {
    return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} could not agree on TLS (${message})`, { about: label, next: "look at the option ssl and at the server's certificate", cause: error });
  }
  if (mapped.code === "STORE_FAILED" && sqlState(error) !== undefined) return mapped;
  return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} was broken off (${message})`, { about: label, next: UNREACHABLE_NEXT, cause: error });
}

function meaningOf(error: unknown): Meaning {
  const state = sqlState(error);
  if (state !== undefined) {
    const meaning = BY_STATE[state] ?? (state.startsWith("08") || isFatal(error) ? ENDED : undefined);
    return meaning ?? { code: "STORE_FAILED", what: "failed", next: "look at the server's log" };
  }
  const { code } = error as { readonly code?: unknown };
  const meaning = typeof code === "string" ? BY_SYSTEM[code] : undefined;
  return meaning ?? { ...ENDED, what: "failed, and its connection is not used again" };
}
