/**
 * A node of a group: the rooms wired together.
 * @module
 */
export type { ClusterChannelOptions } from "./channel-options.ts";
export type { ClusterContextsOptions } from "./contexts-options.ts";
export { Cluster, createCluster } from "./cluster.ts";
export type { ClusterEvents, ClusterHealth } from "./cluster.ts";
export type { Ailment } from "./health.ts";
export { CLUSTER_DEFAULTS } from "./options.ts";
export type { ClusterOptions } from "./options.ts";
export { storeFromUrl } from "./store-url.ts";
