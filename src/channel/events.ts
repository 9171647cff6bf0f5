import type { ConnectionSecurity, PeerIdentity } from "../transport/index.ts";
import type { Undelivered } from "./addressed.ts";
import type { StateProgress } from "./state.ts";

/** Events of a channel. */
export interface ChannelEvents {
  /**
   * A sender has given up a message to this member: it will not come. In its place in the order. On a topic in total order `from` is the sequencer, and everything missing is before this place; number 0: another sequencer began without an answer of every member, and something may be missing.
   */
  gap: { readonly topic: string; readonly from: PeerIdentity; readonly number: number };
  /** A message of this member that nobody awaited was given up. */
  undelivered: Undelivered;
  /** A page of a state came and was applied. */
  state: StateProgress;
  /**
   * A connection with a member broke without a goodbye, and right after that nobody listened at its address: so it looks when a process ends at once. So it also looks when something in between does that to a member that lives: whoever hears of it looks at the store.
   */
  vanished: { readonly peer: PeerIdentity };
  /** A connection with a member began or ended, or another attempt to make one failed. Says nothing about whether the member lives. `since`: how long it has been so; ISO 8601, by this process's clock. */
  reachability: { readonly peer: PeerIdentity; readonly connected: boolean; readonly since: string; readonly detail: string };
}

/** Whether a member can be talked to now. */
export interface Reachability {
  readonly connected: boolean;
  /** Since when it is so; ISO 8601, by this process's clock. */
  readonly since: string;
  /** How the connection is protected; `undefined` while there is none. */
  readonly security: ConnectionSecurity | undefined;
}

/** What a ping found. */
export interface Pong extends PeerIdentity {
  /** There and back, in milliseconds. */
  readonly roundTripMs: number;
  readonly security: ConnectionSecurity | undefined;
}
