/** What kinds of store this harness knows. */
export const STORE_KINDS = ["postgres", "mariadb", "etcd", "etcd-ensemble", "zookeeper", "zookeeper-ensemble", "sqlite"] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

/** Everything that can go wrong here. */
export const FAULT_KINDS = [
  "kill",
  "stop-brief",
  "stop-lease",
  "stop-long",
  "stop-writer",
  "block",
  "rolling-restart",
  "cut",
  "cut-requests",
  "cut-replies",
  "flap",
  "delay",
  "loss",
  "reorder",
  "terminate",
  "terminate-unheard",
  "freeze-backend",
  "server-kill",
  "server-restart",
  "promote",
  "member-kill",
  "member-stop",
  "minority",
  "majority",
  "table-lock",
  "connections",
  "disk-full",
  "pooler",
  "file-lock",
  "server-clock",
  "clock-rate",
  "clock-rate-beyond",
  "crowd",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What is known of a kind of fault before any is done. */
export interface FaultFacts {
  /** Light ones come five times in twenty minutes, heavy ones twice. */
  readonly weight: "light" | "heavy";
  readonly stores: readonly StoreKind[];
  /** How long one takes, settling included, with a lease of two seconds; in seconds. For fitting a plan into its time. */
  readonly usualS: number;
  /** For `--list`. */
  readonly about: string;
}

const DATABASES = ["postgres", "mariadb"] as const;
const ENSEMBLES = ["etcd-ensemble", "zookeeper-ensemble"] as const;
const SERVERS = [...DATABASES, "etcd", "zookeeper", ...ENSEMBLES] as const;
const ALL = STORE_KINDS;

export const FAULTS: Readonly<Record<FaultKind, FaultFacts>> = {
  kill: { weight: "light", stores: ALL, usualS: 5, about: "SIGKILL of a node, which is started again" },
  "stop-brief": { weight: "light", stores: ALL, usualS: 2, about: "SIGSTOP of a node for a part of its lease" },
  "stop-lease": { weight: "light", stores: ALL, usualS: 4, about: "SIGSTOP for about a lease: it may wake as it is being declared dead" },
  "stop-long": { weight: "light", stores: ALL, usualS: 7, about: "SIGSTOP for several leases" },
  "stop-writer": { weight: "light", stores: ["sqlite"], usualS: 5, about: "SIGSTOP of a node inside a write transaction, which stops everybody" },
  block: { weight: "light", stores: ALL, usualS: 4, about: "a node's event loop is blocked for 0.3 to 2 leases" },
  "rolling-restart": { weight: "heavy", stores: ALL, usualS: 10, about: "SIGTERM and a new process, all nodes one after the other" },
  cut: { weight: "light", stores: SERVERS, usualS: 5, about: "nothing gets through between a node and the server" },
  "cut-requests": { weight: "light", stores: SERVERS, usualS: 5, about: "what a node sends is lost, replies arrive" },
  "cut-replies": { weight: "light", stores: SERVERS, usualS: 5, about: "what a node sends takes effect, replies are lost" },
  flap: { weight: "light", stores: SERVERS, usualS: 5, about: "a link that is cut and mended several times a second" },
  delay: { weight: "light", stores: SERVERS, usualS: 5, about: "everything takes up to a tenth of a lease longer, each way, on all links" },
  loss: { weight: "light", stores: SERVERS, usualS: 8, about: "a node's link loses 10 to 40 % of its packets" },
  reorder: { weight: "light", stores: SERVERS, usualS: 5, about: "packets overtake each other, on all links" },
  terminate: { weight: "light", stores: DATABASES, usualS: 2, about: "the server ends all sessions of a healthy node" },
  "terminate-unheard": { weight: "light", stores: DATABASES, usualS: 6, about: "the server ends all sessions of a node that cannot hear of it: it is stopped, or cut off" },
  "freeze-backend": { weight: "light", stores: ["postgres"], usualS: 5, about: "the server's processes for one node are stopped, and run its last statement much later" },
  "server-kill": { weight: "heavy", stores: SERVERS, usualS: 6, about: "SIGKILL of the server, which is started again" },
  "server-restart": { weight: "heavy", stores: SERVERS, usualS: 5, about: "restart of the server in good order" },
  promote: { weight: "heavy", stores: [...DATABASES, "etcd", "zookeeper"], usualS: 10, about: "the server dies, and a replica that lags behind takes its place, or a backup is put back: commits are lost" },
  "member-kill": { weight: "light", stores: ENSEMBLES, usualS: 7, about: "SIGKILL of the member that leads the ensemble; it is started again later" },
  "member-stop": { weight: "light", stores: ENSEMBLES, usualS: 7, about: "SIGSTOP of the member that leads the ensemble, until another one leads and longer" },
  minority: { weight: "light", stores: ENSEMBLES, usualS: 8, about: "a member of the ensemble is cut off from everybody but one node" },
  majority: { weight: "heavy", stores: ENSEMBLES, usualS: 9, about: "SIGKILL of all members but one, which are started again" },
  "table-lock": { weight: "light", stores: DATABASES, usualS: 4, about: "somebody locks one of Tribune's tables" },
  connections: { weight: "heavy", stores: DATABASES, usualS: 8, about: "all connections are taken, and a node has lost its own" },
  "disk-full": { weight: "heavy", stores: [...DATABASES, "zookeeper", "sqlite"], usualS: 7, about: "no room is left where the store writes" },
  pooler: { weight: "heavy", stores: ["postgres"], usualS: 32, about: "all nodes go through PgBouncer in transaction mode for a while, and other faults meet them there" },
  "file-lock": { weight: "light", stores: ["sqlite"], usualS: 4, about: "another process holds the write lock" },
  "server-clock": { weight: "light", stores: DATABASES, usualS: 7, about: "the server's clock steps, forward or back" },
  "clock-rate": { weight: "light", stores: ALL, usualS: 9, about: "a node's clocks run up to 0.9 % too fast or too slow" },
  "clock-rate-beyond": { weight: "light", stores: ALL, usualS: 10, about: "a node's clocks run 5 to 40 % too fast or too slow: only fencing is promised" },
  crowd: { weight: "heavy", stores: SERVERS, usualS: 75, about: "300 nodes join at once, and leave" },
};

/** What of the catalogue there is for a store, in its order. */
export function faultsFor(store: StoreKind): FaultKind[] {
  return FAULT_KINDS.filter((kind) => FAULTS[kind].stores.includes(store));
}
