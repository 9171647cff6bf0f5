/**
 * Frames of bytes between members: one authenticated connection per pair, ordered streams, backpressure.
 * @module
 */
export { CONTROL_STREAM, FIRST_BULK_STREAM, LAST_STREAM } from "./transport.ts";
export type {
  ConnectionDown,
  ConnectionSecurity,
  ConnectionUp,
  DownReason,
  Endpoint,
  EndpointCounts,
  Frame,
  KnownPeer,
  Link,
  LinkCounts,
  PeerIdentity,
  PeerUnreachable,
  RefusalReason,
  SendOutcome,
  Transport,
  TransportContext,
  TransportHandlers,
  UnreachableReason,
  Wait,
} from "./transport.ts";
export type { KeyRing, TransportKey } from "./keys.ts";
export { MemoryNetwork } from "./memory/network.ts";
export type { BreakLoss, MemoryNetworkOptions } from "./memory/network.ts";
export { DEFAULT_LINK_OPTIONS } from "./options.ts";
export type { LinkOptions, LinkSettings } from "./options.ts";
export type { Wire, WireHandlers } from "./wire.ts";
