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
export { openEndpoint } from "./endpoint.ts";
export { DEFAULT_LINK_OPTIONS } from "./options.ts";
export type { LinkOptions, LinkSettings } from "./options.ts";
export { DialFailure, NO_HANDLERS } from "./wire.ts";
export type { ListenHooks, Listener, Wire, WireHandlers, WireNetwork } from "./wire.ts";
export { tcp } from "./tcp/tcp.ts";
export type { CertificateSecurity, TcpOptions } from "./tcp/options.ts";
export type { HostAndPort } from "./tcp/address.ts";
export { activateKey, decodeRing, encodeRing, HeldKeys, introduceKey, KEY_RING_DOCUMENT, newRing, retireKey } from "./key-ring.ts";
export type { KeyRecord, RingDocument } from "./key-ring.ts";
export { StoreKeyRing } from "./store-key-ring.ts";
export type { KeyDescription, KeyRingStore, StoreKeyRingOptions } from "./store-key-ring.ts";
