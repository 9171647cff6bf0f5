import type { ConnectionSecurity, RefusalReason, Wait } from "./transport.ts";

/**
 * The port inside of this room: a way for bytes between two processes, authenticated already where it is to be. Implemented by sockets (`tcp/`) and by the simulated network (`memory/`); everything else is the same for both.
 */
export interface Wire {
  /** Where the other end is, for logs. */
  readonly remote: string;
  readonly security: ConnectionSecurity;
  /** The only node that the other end may be, where its certificate says so. */
  readonly speaksFor?: string | undefined;
  /** Set once, before the next turn of the event loop. */
  handlers: WireHandlers;
  /**
   * Writes. The buffer is the wire's until it calls `release`. False: enough waits to be written; go on when `drained` is told.
   */
  write(buffer: Uint8Array, release?: () => void): boolean;
  /** Ends in good order, after what was written. */
  end(): void;
  /** Ends at once. No handler is called any more. */
  destroy(): void;
}

/** What a wire tells. */
export interface WireHandlers {
  data(chunk: Uint8Array): void;
  drained(): void;
  /** It is over, and nothing else is told. */
  closed(reason: "ended" | "reset", detail: string): void;
}

/** Handlers of a wire that nobody looks at. */
export const NO_HANDLERS: WireHandlers = { data() {}, drained() {}, closed() {} };

/** A place that can be dialled, and from which others can be. */
export interface WireNetwork {
  /** Begins to listen. `accept` is called with each wire that has proved itself; `refused` with what did not. */
  listen(hooks: ListenHooks, wait: Wait): Promise<Listener>;
  /**
   * Makes a wire to an address. Rejects with a {@link DialFailure}.
   */
  dial(address: string, wait: Wait): Promise<Wire>;
}

/** Who is told of connections of others. */
export interface ListenHooks {
  accept(wire: Wire): void;
  refused(reason: RefusalReason, remote: string, detail: string): void;
}

/** Somebody who listens. */
export interface Listener {
  /** For others to dial. */
  readonly address: string;
  /** Connections that have not proved themselves yet. */
  readonly halfOpen: number;
  /** Stops listening, and ends what has not proved itself. Wires that were accepted go on. */
  close(): Promise<void>;
}

/** Why a dial came to nothing, as a value inside of this room: it becomes an event, never an exception for users. */
export class DialFailure extends Error {
  readonly reason: "refused" | "timeout" | "reset" | "unauthenticated" | "no-address";

  constructor(reason: DialFailure["reason"], detail: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}
