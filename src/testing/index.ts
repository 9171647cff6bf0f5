/**
 * What Tribune is tested with, for your own code and your own provider.
 * @module
 */
export * from "./history/index.ts";
export { storeConformance, storeConformanceCases } from "./store-conformance.ts";
export type { ConformanceCase, StoreConformanceOptions, StorePlace, TestRunner, UserTable, UserTransaction } from "./store-conformance.ts";
export { transportConformance, transportConformanceCases } from "./transport-conformance.ts";
export type { RawPeer, TransportConformanceOptions, TransportPlace } from "./transport-conformance.ts";
export { startTcpFaultProxy } from "./tcp-fault-proxy.ts";
export type { FlowDirection, TcpFault, TcpFaultProxy } from "./tcp-fault-proxy.ts";
export * from "./simulation/index.ts";
export { VirtualClock } from "./virtual-clock.ts";
