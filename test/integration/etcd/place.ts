import { randomBytes } from "node:crypto";
import { etcd } from "../../../src/store/etcd/index.ts";
import type { EtcdStore, EtcdTransaction } from "../../../src/store/etcd/index.ts";
import type { InstalledSchema, StoreProvider } from "../../../src/store/index.ts";
import type { StorePlace, UserTable } from "../../../src/testing/store-conformance.ts";
import type { EtcdCluster } from "../../support/etcd-server.ts";

/** A cluster of the test's own, with everything that the conformance suite can do to it. `end` ends what the places made. */
export function etcdPlaces(cluster: EtcdCluster): { place(): StorePlace<EtcdTransaction>; end(): Promise<void> } {
  const prefix = `conformance-${randomBytes(4).toString("hex")}`;
  const [provider, peer] = [etcd({ url: cluster.urlOf({ ...cluster.administrator, prefix }) }), etcd({ url: cluster.urlOf({ ...cluster.administrator, prefix }) })];
  const place: StorePlace<EtcdTransaction> = {
    provider,
    peer,
    table: numbers(provider),
    newEpoch: async () => await cluster.restoreBackup(),
    hang: async () => {
      await cluster.pause();
      return async () => cluster.resume();
    },
    cut: async () => await cluster.cut(),
    readOnly: async () => {
      const learner = await cluster.addLearner();
      return etcd({ url: cluster.urlOf({ ...cluster.administrator, prefix, ports: [learner.port] }) });
    },
    schemaAt: async (installed) => await providerAt(cluster, installed),
    ...(cluster.administrator === undefined ? {} : { secrets: [cluster.administrator.password] }),
  };
  return {
    place: () => place,
    end: async () => {
      await provider.close();
      await peer.close();
    },
  };
}

/** A provider on a prefix that nothing was written below, whose schema says this about itself. */
async function providerAt(cluster: EtcdCluster, { version, worksWith }: InstalledSchema): Promise<StoreProvider<EtcdTransaction>> {
  const prefix = `schema-${randomBytes(6).toString("hex")}`;
  if (version !== 0) await cluster.control(["put", `${prefix}/schema`, JSON.stringify({ version, worksWith })]);
  return etcd({ url: cluster.urlOf({ ...cluster.administrator, prefix }) });
}

/** Numbers under keys of the user's own. */
export function numbers(store: EtcdStore): UserTable<EtcdTransaction> {
  const read = async (tx: EtcdTransaction, key: string) => Number((await tx.get(`numbers/${key}`)) ?? 0);
  return {
    write: (tx, key, value) => tx.put(`numbers/${key}`, String(value)),
    read,
    committed: async (key) => {
      const tx = store.begin();
      const value = await read(tx, key);
      tx.rollback();
      return value;
    },
    begin: async () => {
      const tx = store.begin();
      return { tx, commit: async () => await tx.commit(), rollback: async () => tx.rollback() };
    },
    outside: async () => {
      const tx = store.begin();
      tx.rollback();
      return { tx, release: async () => undefined };
    },
  };
}
