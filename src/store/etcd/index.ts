/**
 * A store in etcd. The promises are in the README beside this file.
 * @module
 */
export { etcd } from "./provider.ts";
export type { EtcdStore } from "./provider.ts";
export { fenceComparison } from "./fenced.ts";
export type { EtcdTransaction, FenceComparison, OpenEtcdTransaction } from "./fenced.ts";
export type { EtcdEndpointOptions, EtcdOptions, EtcdTls, EtcdUrlOptions } from "./options.ts";
