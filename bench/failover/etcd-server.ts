import { findEtcd, startEtcd as startCluster } from "../../test/support/etcd-server.ts";

/** A single etcd of the benchmark's own, with default settings, for peers: by HTTP. */
export interface EtcdServer {
  readonly label: string;
  readonly url: string;
  close(): Promise<void>;
}

/** Starts etcd in a temporary folder, or says why there is none. */
export async function startEtcd(): Promise<EtcdServer | { readonly missing: string }> {
  const programs = await findEtcd();
  if ("missing" in programs) return programs;
  const cluster = await startCluster({ programs });
  return { label: `etcd ${programs.version}, one member, default settings`, url: `http://${cluster.host}:${cluster.member.port}`, close: () => cluster.stop() };
}
