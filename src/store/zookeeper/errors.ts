import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { ErrorCode } from "../../kernel/index.ts";
import { isZookeeperError } from "./client/codes.ts";
import type { ZookeeperCode } from "./client/codes.ts";
import type { Operation } from "./client/records.ts";
import { NoServerError, ReadOnlyServer } from "./client/ensemble.ts";

interface Meaning {
  readonly code: ErrorCode;
  /** After "beat on zookeeper://…". */
  readonly what: string;
  readonly next: string;
}

const UNREACHABLE_NEXT = "look whether the servers run and have a quorum, and whether hosts, ports and firewall let this machine in";
const ENDED: Meaning = { code: "STORE_SESSION_ENDED", what: "lost its connection", next: "nothing by hand: a new connection is made; if it comes back often, look at the server's log" };
const DENIED: Meaning = {
  code: "STORE_PERMISSION_DENIED",
  what: "may not do that: the access list of a znode does not name this identity, or a password is wrong",
  next: "compare user and password with what the znodes were made with ('getAcl' in zkCli.sh), or give this identity all permissions on the root and what is below it",
};

const READ_ONLY: Meaning = { code: "STORE_READ_ONLY", what: "found only servers that take no writes, since they have lost their quorum", next: "bring the other servers of the ensemble back" };
const NOT_ZOOKEEPER: Meaning = { code: "STORE_NOT_A_DATABASE", what: "found something that is no ZooKeeper at that address", next: "look at host and port, and whether they want TLS" };
const REFUSED: Meaning = { code: "STORE_AUTH_FAILED", what: "was refused: wrong user or password", next: "mend the user or the password, or the scheme of auth" };
const FULL: Meaning = { code: "STORE_FULL", what: "found a quota used up; nothing was written", next: "raise the quota of the root" };
const SLOW: Meaning = { code: "STORE_BUSY", what: "was turned away by a server that has too much to do; nothing was written", next: "look at the load of the ensemble" };

const BY_CODE: Partial<Readonly<Record<ZookeeperCode, Meaning>>> = {
  BROKEN: ENDED,
  CONNECTIONLOSS: ENDED,
  SESSIONEXPIRED: { ...ENDED, what: "was told that its session has expired" },
  SESSIONMOVED: ENDED,
  OPERATIONTIMEOUT: { ...ENDED, what: "was not carried out in time" },
  REQUESTTIMEOUT: { ...ENDED, what: "was not carried out in time" },
  NOAUTH: DENIED,
  AUTHFAILED: REFUSED,
  SESSIONCLOSEDREQUIRESASLAUTH: { code: "STORE_AUTH_FAILED", what: "was refused: the server lets only sessions in that prove who they are by SASL", next: "set auth, with the scheme sasl" },
  NOTREADONLY: READ_ONLY,
  NOTZOOKEEPER: NOT_ZOOKEEPER,
  UNIMPLEMENTED: { code: "STORE_FAILED", what: "asked for something that the server does not know; the store needs ZooKeeper 3.5 or newer", next: "upgrade the servers" },
  QUOTAEXCEEDED: FULL,
  THROTTLEDOP: SLOW,
};

const TLS_TROUBLE = /SSL|TLS|certificate|self-signed|ERR_TLS/i;

/** Whether after this nobody knows what the connection still does. */
export function endsSession(error: unknown): boolean {
  if (!isZookeeperError(error)) return !isTribuneError(error);
  return ["STORE_SESSION_ENDED", "STORE_NOT_A_DATABASE", "STORE_READ_ONLY"].includes(meaningOf(error).code);
}

/** What a server says that has refused a request as a whole: nothing of it was done. */
const REFUSALS: readonly ZookeeperCode[] = ["UNIMPLEMENTED", "BADARGUMENTS", "MARSHALLINGERROR", "NOAUTH", "INVALIDACL", "AUTHFAILED", "SESSIONEXPIRED", "SESSIONMOVED", "SESSIONCLOSEDREQUIRESASLAUTH", "NOTREADONLY", "QUOTAEXCEEDED", "THROTTLEDOP"];

/** Whether after this nobody knows whether a transaction was carried out. One of its operations that was refused says that it was not. */
export function leavesUnknown(error: unknown): boolean {
  return !isZookeeperError(error) || (error.index === undefined && !REFUSALS.includes(error.code));
}

/** The coded error for whatever `operation` threw. */
export function mapZookeeperError(error: unknown, operation: string, label: string): TribuneError {
  if (isTribuneError(error)) return error;
  if (error instanceof NoServerError) return mapNoServer(error, operation, label);
  const meaning = meaningOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new TribuneError(meaning.code, `${operation} on ${label} ${meaning.what}${message === "" ? "" : ` (${message})`}`, { about: label, next: meaning.next, cause: error, ...(isZookeeperError(error, "UNIMPLEMENTED") ? { retryable: false } : {}) });
}

/** Of several servers the reason counts that says the most. */
function mapNoServer({ tries, message }: NoServerError, operation: string, label: string): TribuneError {
  const errors = tries.map(({ error }) => error);
  const coded = (meaning: Meaning) => new TribuneError(meaning.code, `${operation} on ${label} ${meaning.what} (${message})`, { about: label, next: meaning.next, cause: errors[0] });
  if (errors.some((error) => isZookeeperError(error, "AUTHFAILED"))) return coded(REFUSED);
  if (errors.some((error) => isZookeeperError(error, "SESSIONCLOSEDREQUIRESASLAUTH"))) return coded(BY_CODE.SESSIONCLOSEDREQUIRESASLAUTH ?? REFUSED);
  if (errors.some((error) => error instanceof ReadOnlyServer || isZookeeperError(error, "NOTREADONLY"))) return coded(READ_ONLY);
  if (errors.length > 0 && errors.every((error) => isZookeeperError(error, "NOTZOOKEEPER"))) return coded(NOT_ZOOKEEPER);
  if (errors.some((error) => TLS_TROUBLE.test(error.message))) return coded({ code: "STORE_UNREACHABLE", what: "could not agree on TLS", next: "look at the setting tls, at the port, and at the servers' certificates" });
  if (errors.length > 0 && errors.every((error) => error.message.includes("closed the connection before it answered"))) {
    return coded({ code: "STORE_UNREACHABLE", what: "was let in by no server: they have no quorum, or as many connections as they allow", next: "look whether a majority of the ensemble runs, and at maxClientCnxns" });
  }
  return coded({ code: "STORE_UNREACHABLE", what: "reached no server", next: UNREACHABLE_NEXT });
}

function meaningOf(error: unknown): Meaning {
  if (isZookeeperError(error)) return BY_CODE[error.code] ?? { code: "STORE_FAILED", what: "failed", next: "look at the server's log" };
  return { ...ENDED, what: "failed, and its connection is not used again" };
}

/** What the operations of one request may weigh together: a server takes no more than 1 MB (`jute.maxbuffer`) and closes the connection over what is larger. */
export const LARGEST_REQUEST_BYTES = 1_000_000;

/** What operations weigh together, or a little more. */
export function sizeOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, each) => sum + Buffer.byteLength(each.path) + 32 + ("data" in each ? each.data.length : 0), 0);
}

/** The coded error for what is larger. */
export function tooLarge(operation: string, sizeBytes: number, label: string, next = "keep metadata smaller, or the group"): TribuneError {
  return new TribuneError("STORE_FAILED", `${operation} on ${label} would send ${sizeBytes} bytes, more than ZooKeeper takes in one request; nothing was written`, {
    about: label,
    next,
    retryable: false,
  });
}
