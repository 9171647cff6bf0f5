/**
 * Cluster coordination on the database you already run.
 * @module
 */
export { CLUSTER_DEFAULTS, Cluster, createCluster, storeFromUrl } from "./cluster/index.ts";
export type { Ailment, ClusterChannelOptions, ClusterEvents, ClusterHealth, ClusterOptions } from "./cluster/index.ts";
export { Moved } from "./channel/index.ts";
export type { GroupChannel, Message, RequestReport, SendReport, Targets } from "./channel/index.ts";
export { localContexts } from "./contexts/index.ts";
export type { Context, Contexts, ContextsEvents, FlushReport, PropertyEvent } from "./contexts/index.ts";
export { Election, Term } from "./election/index.ts";
export type { ElectionOptions, ElectionState, ElectorEvents } from "./election/index.ts";
export { ERROR_CODES, isTribuneError, TribuneError } from "./kernel/index.ts";
export type { ErrorCode, Logger } from "./kernel/index.ts";
export type { Member, View, ViewChange } from "./membership/index.ts";
export { PRESETS } from "./presence/index.ts";
export type { Preset, Timing } from "./presence/index.ts";
export type { StoreProvider } from "./store/index.ts";
