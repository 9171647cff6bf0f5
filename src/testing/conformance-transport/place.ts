import type { KeyRing, LinkOptions, Transport } from "../../transport/index.ts";

/**
 * A transport to try, and what can be done to its network from outside. A case that needs something which is not offered is reported as skipped, with the reason. Nodes are named
 * differently in each case.
 */
export interface TransportPlace {
  /** A transport for one node. All of a place reach each other. */
  transport(node: string, options: LinkOptions): Transport | Promise<Transport>;
  /** The keys that endpoints are opened with, if the transport needs any. */
  readonly keys?: KeyRing | undefined;
  /** Resets every connection between two nodes; new ones can be made at once. */
  reset?(a: string, b: string): void | Promise<void>;
  /** From now on nothing gets from one node to the other, either way, and no connection is closed; what is returned lets everything through again. */
  cut?(a: string, b: string): Promise<() => Promise<void>>;
  /** Connects to an endpoint as a stranger does who has the right key but speaks bytes of its own. */
  dial?(address: string): Promise<RawPeer>;
  /** Called at the end of each case; ends what was made for this place. */
  close?(): Promise<void>;
}

/** The other end of a connection, in the hands of a test. */
export interface RawPeer {
  write(bytes: Uint8Array): void;
  /** All that came so far. */
  received(): Uint8Array;
  /** Resolves when something has come, or the connection is over. */
  changed(): Promise<void>;
  /** Whether the endpoint has ended it. */
  readonly isClosed: boolean;
  destroy(): void;
}
