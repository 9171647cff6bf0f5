import type { Clock, Logger, Random } from "../kernel/index.ts";
import type { KeyRing } from "./keys.ts";

/**
 * The port between the channel and what carries its bytes. `README.md`, beside this file, is the contract: order, loss, identity, backpressure, limits. The conformance suite in
 * `tribune/testing` checks it. Making a transport does no I/O.
 */
export interface Transport {
  /** "memory", "tcp": for people and logs. Nobody branches on it. */
  readonly kind: string;
  /**
   * Begins to listen, for one incarnation. A new incarnation opens a new endpoint.
   * Rejects with `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`, `KEYS_MISSING`, `ABORTED`, `TRANSPORT_TIMEOUT`.
   */
  open(context: TransportContext): Promise<Endpoint>;
}

/** What a transport is handed to open an endpoint with. */
export interface TransportContext extends Wait {
  readonly group: string;
  readonly node: string;
  readonly incarnation: string;
  /**
   * Who may talk to this member, and where it is: the live members of the view by incarnation, without this one. Asked at each handshake and each dial, never kept. It does no I/O.
   */
  known(incarnation: string): KnownPeer | undefined;
  readonly handlers: TransportHandlers;
  /** The group's keys. A transport that authenticates by them and is not given any rejects with `KEYS_MISSING`. */
  readonly keys?: KeyRing | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** How long to wait, and what ends the wait. */
export interface Wait {
  /** Milliseconds from now. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** One run of a node. */
export interface PeerIdentity {
  readonly node: string;
  readonly incarnation: string;
}

/** A live member, as the view has it. */
export interface KnownPeer extends PeerIdentity {
  /** What its own endpoint said in `address`. Absent: it cannot be dialled, and may dial us. */
  readonly address?: string | undefined;
}

/**
 * What an endpoint tells. Called one after the other, never from inside of a call of the port; one that throws is logged as `LISTENER_FAILED`, at a limited rate since peers decide how often that is, and changes nothing.
 */
export interface TransportHandlers {
  /** A connection began: the link's own number is `connection` from now on. What was sent on an earlier one and not acknowledged may be lost. */
  up(event: ConnectionUp): void;
  /** It ended. No frame of it comes any more. */
  down(event: ConnectionDown): void;
  /** An attempt to connect failed; the next one comes by itself. */
  unreachable(event: PeerUnreachable): void;
  /** A whole frame came. */
  frame(frame: Frame): void;
}

/** The beginning of a connection. */
export interface ConnectionUp {
  readonly link: Link;
  /** Grows with each connection of the endpoint; never 0. */
  readonly connection: number;
  readonly security: ConnectionSecurity;
}

/** How a connection is protected, for `tribune ping` and status. */
export interface ConnectionSecurity {
  /** "TLSv1.3 TLS_AES_128_GCM_SHA256", "plaintext", "memory". */
  readonly protocol: string;
  /** What the peer proved itself with: the id of a group key, or "certificate"; `null` if with nothing. */
  readonly provedBy: string | null;
  /** Of the frame format. */
  readonly version: number;
}

/** The end of a connection. */
export interface ConnectionDown {
  readonly link: Link;
  readonly connection: number;
  readonly reason: DownReason;
  /** What was found, as a clause for people. */
  readonly detail: string;
}

/**
 * Why a connection ended: the peer ended it in good order; it was reset; nothing was heard for `silenceMs`; what came is no frame, or broke a limit; the peer has begun another one; this side closed the link
 * or the endpoint; the peer is no member any more; the key that it was made with is refused now.
 */
export type DownReason = "ended" | "reset" | "silent" | "protocol" | "replaced" | "closed" | "not-a-member" | "key-retired";

/** An attempt to connect that came to nothing. */
export interface PeerUnreachable {
  readonly link: Link;
  readonly reason: UnreachableReason;
  readonly detail: string;
  /** How many have failed one after the other; 1 for the first. */
  readonly attempts: number;
}

/**
 * Why an attempt failed: nobody listens there; nothing was answered in time; the connection broke; keys or certificates do not fit; the peer does not know us (yet); another incarnation is there; the peer does not speak a version that we speak,
 * or is of another group; it has a connection with us already; the view gives no address.
 */
export type UnreachableReason = "refused" | "timeout" | "reset" | "unauthenticated" | "unknown-peer" | "not-here" | "incompatible" | "duplicate" | "no-address";

/** Bytes that a peer sent on one stream of one connection. */
export interface Frame {
  readonly link: Link;
  readonly connection: number;
  readonly stream: number;
  /** The receiver's to keep. They may be a window of a larger buffer: copy what you keep for long. */
  readonly bytes: Uint8Array;
}

/** One incarnation's place on the network. */
export interface Endpoint {
  /** For others to dial; goes into the member's metadata as it is. */
  readonly address: string;
  /** Aborted, with a coded reason, when it can no longer be used. */
  readonly ended: AbortSignal;
  /**
   * The link to a peer: the same one each time until it is closed. The first call begins to dial, if the peer has not. For a peer that is not `known`, it waits until it is: call `review`.
   * Throws `TRANSPORT_CLOSED` after the end, `INVALID_OPTIONS` for this endpoint's own incarnation.
   */
  link(peer: PeerIdentity): Link;
  /** All links that are not closed. */
  readonly links: readonly Link[];
  /** To be called after each change of what `known` answers: ends links to those who are known no more, and dials those who can be reached now. */
  review(): void;
  readonly counts: EndpointCounts;
  /** Ends all links in good order: what is queued is written first, if that takes no longer than `deadlineMs`. May be called twice. */
  close(wait: Wait): Promise<void>;
  /** Ends everything at once. */
  destroy(reason: Error): void;
}

/** What this endpoint and one peer have with each other, over all connections. */
export interface Link {
  readonly peer: PeerIdentity;
  readonly state: "connecting" | "up" | "closed";
  /** The number of the present connection; 0 while there is none. */
  readonly connection: number;
  /** Since when the state is what it is, on the monotonic clock that was handed in. */
  readonly sinceMs: number;
  /**
   * Queues a frame on the present connection: `head`, if there is one, and `payload`. The payload must not be changed afterwards; the head is copied, and is the caller's again at once.
   * `queued`: it is sent in its turn, unless this connection ends. `full`: nothing was taken, the stream's or the link's queue is full; wait for `writable`. `down`: nothing was taken, there is no connection.
   * Throws `FRAME_TOO_LARGE` for more than the peer takes, or more than 16 KiB on stream 0; `INVALID_OPTIONS` for a stream that is not 0–255.
   */
  send(stream: number, payload: Uint8Array, head?: Uint8Array): SendOutcome;
  /** Resolves when `send` on that stream may take a frame again, or the connection that there is now ends. Rejects with `TRANSPORT_TIMEOUT`, `ABORTED`, `TRANSPORT_CLOSED`. */
  writable(stream: number, wait: Wait): Promise<void>;
  /** The receiver is done with a frame: its bytes no longer count against the stream's window. Needed once for each frame of the streams 1–255; does nothing for stream 0, or if that connection is over. */
  consumed(frame: Frame): void;
  /** The time that a small frame takes there and back, in milliseconds. Rejects with `PEER_UNREACHABLE` while there is no connection or when it ends, `TRANSPORT_TIMEOUT`, `ABORTED`. */
  ping(wait: Wait): Promise<number>;
  /** Ends the connection in good order, and dials no more. A peer that is known may dial us again: then there is a new link. */
  close(): void;
  readonly counts: LinkCounts;
}

/** What became of a frame that was given to `send`. */
export type SendOutcome = "queued" | "full" | "down";

/** What went over a link, over all of its connections. Bytes of frames with their headers, before encryption. */
export interface LinkCounts {
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly connections: number;
  /** What waits to be sent now. */
  readonly queuedBytes: number;
}

/** What an endpoint has to do with others. */
export interface EndpointCounts {
  /** Connections of others that were not taken, by reason. */
  readonly refused: Readonly<Record<RefusalReason, number>>;
  /** Connections that have not proved yet whose they are. */
  readonly halfOpen: number;
}

/**
 * Why a connection of somebody else was not taken: it did not prove itself; what it said is no handshake; it took too long; there were too many; it is of another group, of a version that we do not speak, not in the view, not the member that it
 * says it is, looks for somebody who is not here; or there is a connection already.
 */
export type RefusalReason = "unauthenticated" | "malformed" | "slow" | "crowded" | "wrong-group" | "version" | "unknown-peer" | "wrong-identity" | "not-here" | "duplicate";

/** The stream that goes before all others and is never held back. Its frames are at most 16 KiB long. */
export const CONTROL_STREAM = 0;

/** The first stream that goes only when nothing else waits. */
export const FIRST_BULK_STREAM = 240;

/** The last stream there is. */
export const LAST_STREAM = 255;
