/**
 * A store in a ZooKeeper ensemble, for nodes on any number of hosts.
 * @module
 */
export { ZookeeperError } from "./client/codes.ts";
export type { ZookeeperCode } from "./client/codes.ts";
export type { Acl } from "./client/records.ts";
export { foreign } from "./fenced.ts";
export type { ForeignMulti, ZookeeperMulti, ZookeeperTransaction } from "./fenced.ts";
export type { ZookeeperAuth, ZookeeperOptions, ZookeeperServersOptions, ZookeeperUrlOptions } from "./options.ts";
export { zookeeper } from "./provider.ts";
export type { ZookeeperStore } from "./provider.ts";
