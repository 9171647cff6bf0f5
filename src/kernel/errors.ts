/**
 * Every code a user can meet, in one table. `docs/errors.md` says for each what the reader can do; a test
 * compares the two. `retryable` answers "may the same call work later without anybody changing anything?".
 * `exit` is the exit code of the command line when this error ends a command.
 */
export const ERROR_CODES = {
  // The caller's words.
  INVALID_OPTIONS: { retryable: false, exit: 2 },
  INVALID_NAME: { retryable: false, exit: 2 },
  INVALID_METADATA: { retryable: false, exit: 2 },
  INVALID_DOCUMENT: { retryable: false, exit: 2 },
  UNKNOWN_STORE: { retryable: false, exit: 2 },
  ELECTION_RESERVED: { retryable: false, exit: 2 },
  ELECTION_BUSY: { retryable: false, exit: 4 },
  DRIVER_MISSING: { retryable: false, exit: 1 },

  // Getting to the store.
  STORE_UNREACHABLE: { retryable: true, exit: 3 },
  STORE_NO_QUORUM: { retryable: true, exit: 3 },
  STORE_TIMEOUT: { retryable: true, exit: 3 },
  STORE_SESSION_ENDED: { retryable: true, exit: 3 },
  STORE_AUTH_FAILED: { retryable: false, exit: 3 },
  STORE_DATABASE_MISSING: { retryable: false, exit: 3 },
  STORE_PERMISSION_DENIED: { retryable: false, exit: 3 },
  STORE_READ_ONLY: { retryable: true, exit: 3 },
  STORE_NOT_A_DATABASE: { retryable: false, exit: 3 },
  STORE_NOT_WRITABLE: { retryable: false, exit: 3 },
  STORE_FULL: { retryable: true, exit: 3 },
  STORE_BUSY: { retryable: true, exit: 3 },
  STORE_REPLACED: { retryable: true, exit: 3 },
  STORE_FAILED: { retryable: true, exit: 3 },
  SCHEMA_MISSING: { retryable: false, exit: 1 },
  SCHEMA_OUTDATED: { retryable: false, exit: 1 },
  SCHEMA_TOO_NEW: { retryable: false, exit: 1 },

  // Membership of a group.
  GROUP_UNKNOWN: { retryable: true, exit: 1 },
  NODE_NAME_TAKEN: { retryable: true, exit: 4 },
  SETTINGS_MISMATCH: { retryable: false, exit: 4 },
  INCARNATION_DEAD: { retryable: false, exit: 1 },
  NODE_UNKNOWN: { retryable: false, exit: 4 },
  EVICTED: { retryable: false, exit: 4 },
  CLUSTER_NOT_STARTED: { retryable: false, exit: 1 },
  CLUSTER_STOPPED: { retryable: false, exit: 1 },
  CHANNEL_OFF: { retryable: false, exit: 1 },

  // Leading.
  TERM_LOST: { retryable: false, exit: 4 },
  TERM_RESIGNED: { retryable: false, exit: 4 },
  NOT_HELD: { retryable: false, exit: 4 },
  NOT_ELIGIBLE: { retryable: false, exit: 4 },
  TRANSFER_FAILED: { retryable: true, exit: 4 },
  ELECTION_PAUSED: { retryable: false, exit: 4 },
  NOT_PAUSED: { retryable: false, exit: 4 },
  PROBE_FAILED: { retryable: true, exit: 1 },
  STOP_OVERRUN: { retryable: false, exit: 1 },
  LEADER_FAILED: { retryable: true, exit: 1 },
  TOKEN_EXHAUSTED: { retryable: false, exit: 1 },

  // Fenced transactions.
  FENCE_NOT_FOUND: { retryable: false, exit: 1 },
  TRANSACTION_NOT_SYNCHRONOUS: { retryable: false, exit: 2 },
  TRANSACTION_REQUIRED: { retryable: false, exit: 2 },
  COMMIT_UNKNOWN: { retryable: false, exit: 1 },

  // Members talking to each other.
  ADDRESS_IN_USE: { retryable: true, exit: 1 },
  ADDRESS_UNUSABLE: { retryable: false, exit: 1 },
  KEYS_MISSING: { retryable: true, exit: 1 },
  TRANSPORT_TIMEOUT: { retryable: true, exit: 1 },
  TRANSPORT_CLOSED: { retryable: false, exit: 1 },
  PEER_UNREACHABLE: { retryable: true, exit: 1 },
  PEER_REFUSED: { retryable: false, exit: 1 },
  PROTOCOL_VIOLATION: { retryable: false, exit: 1 },
  FRAME_TOO_LARGE: { retryable: false, exit: 1 },
  BACKPRESSURE: { retryable: true, exit: 1 },
  HANDLER_FAILED: { retryable: false, exit: 1 },
  TOPIC_UNHANDLED: { retryable: false, exit: 1 },
  PAYLOAD_INVALID: { retryable: false, exit: 1 },
  BUSY: { retryable: true, exit: 1 },
  ORDER_INTERRUPTED: { retryable: false, exit: 1 },
  STREAM_BROKEN: { retryable: true, exit: 1 },
  VIEW_STALE: { retryable: true, exit: 1 },
  TOKEN_STALE: { retryable: false, exit: 4 },
  STATE_NOT_READY: { retryable: true, exit: 1 },
  STATE_UNAVAILABLE: { retryable: true, exit: 1 },

  // Contexts.
  CONTEXT_UNKNOWN: { retryable: false, exit: 4 },
  CONTEXT_EXISTS: { retryable: false, exit: 4 },
  CONTEXT_NOT_EMPTY: { retryable: false, exit: 4 },
  PROPERTY_UNKNOWN: { retryable: false, exit: 4 },
  VALUE_INVALID: { retryable: false, exit: 2 },
  WRITE_UNDECIDED: { retryable: true, exit: 1 },
  CONTEXTS_OFF: { retryable: false, exit: 2 },
  CONTEXTS_AWAY: { retryable: true, exit: 1 },
  CONTEXTS_NOT_KEPT: { retryable: false, exit: 1 },
  // Deploying on all members.
  FARM_OFF: { retryable: false, exit: 1 },
  FARM_BUSY: { retryable: true, exit: 4 },
  FARM_VERSION_EXISTS: { retryable: false, exit: 4 },
  FARM_NOT_DEPLOYED: { retryable: false, exit: 4 },
  FARM_NO_COORDINATOR: { retryable: true, exit: 1 },
  FARM_ARTIFACT_INVALID: { retryable: false, exit: 2 },
  FARM_ARTIFACT_UNAVAILABLE: { retryable: true, exit: 1 },
  FARM_DIGEST_MISMATCH: { retryable: true, exit: 1 },
  FARM_UNSIGNED: { retryable: false, exit: 4 },
  FARM_SIGNATURE_INVALID: { retryable: false, exit: 4 },
  FARM_UNHANDLED: { retryable: false, exit: 1 },
  FARM_PREPARE_FAILED: { retryable: false, exit: 1 },
  FARM_ACTIVATE_FAILED: { retryable: true, exit: 1 },
  FARM_UNHEALTHY: { retryable: true, exit: 1 },
  FARM_MEMBER_LEFT: { retryable: true, exit: 1 },
  FARM_TIMEOUT: { retryable: true, exit: 1 },

  // Everything else.
  CURSOR_EXPIRED: { retryable: false, exit: 1 },
  ABORTED: { retryable: false, exit: 1 },
  LISTENER_FAILED: { retryable: false, exit: 1 },
  INTERNAL: { retryable: false, exit: 1 },
} as const satisfies Record<string, { retryable: boolean; exit: 1 | 2 | 3 | 4 }>;

/** The stable names of everything that can go wrong; what to do about each is in `docs/errors.md`. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error says beside its code and message. */
export interface TribuneErrorOptions {
  /** What the error is about: an election, a node, a file; never a secret. */
  about?: string | undefined;
  /** What the reader can do next, as a short sentence. */
  next?: string | undefined;
  cause?: unknown;
  /** Overrides the table, where the circumstances say more than the code. */
  retryable?: boolean | undefined;
}

const BRAND = Symbol.for("tribune.error");

/**
 * The one class of error that Tribune throws. Branch on `code`, which is stable; never on the message.
 * Use {@link isTribuneError} rather than `instanceof`, so that two copies of the package agree.
 */
export class TribuneError extends Error {
  override readonly name = "TribuneError";
  readonly code: ErrorCode;
  readonly about: string | undefined;
  readonly next: string | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: TribuneErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Object.defineProperty(this, BRAND, { value: true });
    this.code = code;
    this.about = options.about;
    this.next = options.next;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
  }

  /** Safe to print and to log: no stack, no cause. */
  toJSON(): { code: ErrorCode; message: string; about?: string; next?: string; retryable: boolean } {
    return {
      code: this.code,
      message: this.message,
      ...(this.about === undefined ? {} : { about: this.about }),
      ...(this.next === undefined ? {} : { next: this.next }),
      retryable: this.retryable,
    };
  }
}

/** Whether `value` is a {@link TribuneError}, of any copy of the package; with `code`, of that code. */
export function isTribuneError(value: unknown, code?: ErrorCode): value is TribuneError {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as { [BRAND]?: unknown })[BRAND] === true &&
    (code === undefined || (value as TribuneError).code === code)
  );
}

/** `value` if it already is a {@link TribuneError}; otherwise wrapped as `code`, keeping it as the cause. */
export function toTribuneError(value: unknown, code: ErrorCode, message: string, options: TribuneErrorOptions = {}): TribuneError {
  if (isTribuneError(value)) return value;
  const detail = value instanceof Error ? value.message : String(value);
  return new TribuneError(code, detail === "" ? message : `${message}: ${detail}`, { ...options, cause: value });
}
