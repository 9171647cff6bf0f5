import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { ErrorCode } from "../../kernel/index.ts";
import { GRPC, GrpcError } from "./grpc.ts";

interface Meaning {
  readonly code: ErrorCode;
  /** After "beat on etcd://…". */
  readonly what: string;
  readonly next: string;
  readonly retryable?: boolean;
}

const UNREACHABLE_NEXT = "look whether the server runs, and whether host, port and firewall let this machine in";
const REFUSED: Meaning = { code: "STORE_AUTH_FAILED", what: "was refused: wrong user or password", next: "mend the user or the password" };
const NO_QUORUM: Meaning = { code: "STORE_NO_QUORUM", what: "found a member of the cluster that has no leader", next: "look at the members of the cluster ('etcdctl endpoint status'): more than half of them must run and reach each other" };

/** Words in the messages of etcd, which its status codes do not tell apart (`api/v3rpc/rpctypes/error.go`). The first that fits counts. */
const BY_WORDS: readonly (readonly [RegExp, Meaning])[] = [
  [/authentication failed/, REFUSED],
  [/user name is empty|user name not found/, { code: "STORE_AUTH_FAILED", what: "was refused: the cluster asks for a user and a password", next: "give both in the URL, or as username and password" }],
  [/permission denied/, { code: "STORE_PERMISSION_DENIED", what: "lacks a permission", next: "give the user's role readwrite on the prefix ('etcdctl role grant-permission ROLE --prefix=true readwrite PREFIX')" }],
  [/database space exceeded/, { code: "STORE_FULL", what: "found the cluster's space used up; nothing was written", next: "compact, defragment and disarm the alarm ('etcdctl alarm disarm'), or raise --quota-backend-bytes" }],
  [/request is too large|larger than max/, { code: "STORE_FAILED", what: "sent more than the cluster takes in one request; nothing was written", next: "keep metadata smaller, or raise --max-request-bytes", retryable: false }],
  [/too many operations/, { code: "STORE_FAILED", what: "sent more operations than the cluster takes in one transaction; nothing was written", next: "leave --max-txn-ops at 128 or higher", retryable: false }],
  [/corrupt/, { code: "STORE_FAILED", what: "found a cluster that says it is damaged", next: "look at 'etcdctl alarm list' and replace the member that it names", retryable: false }],
  [/too many requests/, { code: "STORE_BUSY", what: "met a cluster that has more to do than it takes in; nothing was written", next: "look at the load of the cluster and its disks" }],
  [/no leader|leader changed|unhealthy cluster|not enough started/, NO_QUORUM],
  [/request timed out/, { ...NO_QUORUM, what: "got no answer from the majority of the cluster in time; it may have been done all the same" }],
  [/learner/, { code: "STORE_READ_ONLY", what: "found a learner, which takes no writes", next: "name members of the cluster that vote" }],
];

const BY_STATUS: Readonly<Record<number, Meaning>> = {
  [GRPC.unauthenticated]: REFUSED,
  [GRPC.permissionDenied]: { code: "STORE_PERMISSION_DENIED", what: "lacks a permission", next: "look at the roles of the user" },
  [GRPC.deadlineExceeded]: { code: "STORE_TIMEOUT", what: "was not answered in time", next: "look at the load of the cluster and the network to it" },
  [GRPC.unavailable]: { code: "STORE_UNREACHABLE", what: "found a member that takes no requests now", next: "wait; another one is tried" },
  [GRPC.unimplemented]: { code: "STORE_FAILED", what: "found something that is no etcd of version 3.4 or newer", next: "look at host and port", retryable: false },
};

const ENDED: Meaning = { code: "STORE_SESSION_ENDED", what: "lost its connection", next: "nothing by hand: a new connection is made; if it comes back often, look at the server's log" };

/** The coded error for whatever `operation` threw. No message of etcd holds a password. */
export function mapEtcdError(error: unknown, operation: string, label: string): TribuneError {
  if (isTribuneError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const meaning = error instanceof GrpcError ? meaningOf(error) : ENDED;
  return new TribuneError(meaning.code, `${operation} on ${label} ${meaning.what}${message === "" ? "" : ` (${message})`}`, { about: label, next: meaning.next, cause: error, retryable: meaning.retryable });
}

/** Like `mapEtcdError`, while the connection is being made: whatever breaks it off then means that nobody got in. */
export function mapConnectError(error: unknown, operation: string, label: string): TribuneError {
  if (isTribuneError(error) || error instanceof GrpcError) return mapEtcdError(error, operation, label);
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as { readonly code?: unknown };
  if (/TLS|SSL|certificate|CERT|self.signed|altname|EPROTO/i.test(`${message} ${String(code)}`)) {
    return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} could not agree on TLS (${message})`, { about: label, next: "look at the setting tls and at the server's certificate", cause: error });
  }
  return new TribuneError("STORE_UNREACHABLE", `${operation} on ${label} was broken off (${message})`, { about: label, next: UNREACHABLE_NEXT, cause: error });
}

/** After such an answer the member is of no use for now, and what it was asked for may still be done: the connection is given up, so that another member is tried. */
export function isMemberLost(error: unknown): boolean {
  return !(error instanceof GrpcError) || error.status === GRPC.unavailable || error.status === GRPC.deadlineExceeded || /request timed out/.test(error.message);
}

/** Statuses with which a server refuses a request before anything is done. */
const REFUSALS: readonly number[] = [GRPC.invalidArgument, GRPC.notFound, GRPC.permissionDenied, GRPC.resourceExhausted, GRPC.failedPrecondition, GRPC.outOfRange, GRPC.unimplemented, GRPC.unauthenticated];

/** Whether after this nobody knows whether a transaction was done. Coded already, and no deadline: nobody was reached whom it could have been sent to. */
export function leavesUnknown(error: unknown): boolean {
  if (isTribuneError(error)) return error.code === "STORE_TIMEOUT";
  return !(error instanceof GrpcError) || isMemberLost(error) || !REFUSALS.includes(error.status);
}

/** The token of a connection is no longer good; with a fresh one the same request may be sent again, since it was refused before anything was done. */
export function isTokenStale(error: unknown): boolean {
  return error instanceof GrpcError && (error.status === GRPC.unauthenticated || /invalid auth token|revision (of|in) (the )?(auth store|header)|auth store is old/.test(error.message));
}

/** The user and password are given, and the cluster asks for none. */
export function isAuthOff(error: unknown): boolean {
  return error instanceof GrpcError && /authentication is not enabled/.test(error.message);
}

/** Another endpoint would answer the same. */
export function isFinal(error: TribuneError): boolean {
  return ["STORE_AUTH_FAILED", "STORE_PERMISSION_DENIED", "STORE_FAILED", "ABORTED"].includes(error.code);
}

function meaningOf(error: GrpcError): Meaning {
  const worded = BY_WORDS.find(([words]) => words.test(error.message))?.[1];
  return worded ?? BY_STATUS[error.status] ?? { code: "STORE_FAILED", what: "failed", next: "look at the server's log" };
}
