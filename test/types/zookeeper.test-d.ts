import { createCluster } from "../../src/index.ts";
import type { Cluster } from "../../src/index.ts";
import { foreign, zookeeper, ZookeeperError } from "../../src/store/zookeeper/index.ts";
import type { Acl, ForeignMulti, ZookeeperAuth, ZookeeperCode, ZookeeperMulti, ZookeeperOptions, ZookeeperServersOptions, ZookeeperStore, ZookeeperTransaction, ZookeeperUrlOptions } from "../../src/store/zookeeper/index.ts";

// Checked by the compiler only: this file is never run. What is here is what users type; a change of it is a change for them.

const byUrl: ZookeeperUrlOptions = { url: "zookeeper://u:p@h:2181,i/chroot", root: "/tribune" };
const auth: ZookeeperAuth = { scheme: "sasl", user: "u", password: "p" };
const byServers: ZookeeperServersOptions = { servers: ["h:2181"], chroot: "/chroot", auth, tls: { ca: "…" }, sessionTimeoutMs: 10_000 };
const either: ZookeeperOptions = byServers;
const store: ZookeeperStore = zookeeper(either);

const cluster: Cluster<ZookeeperTransaction> = createCluster({ group: "g", store });

export async function leading(signal: AbortSignal): Promise<void> {
  zookeeper(byUrl);
  await cluster.election("e").lead(
    async (term) => {
      const version: number | undefined = await term.transaction(async (tx) => {
        const state = await tx.get("/app/state");
        const names: readonly string[] = await tx.children("/app");
        tx.create("/app/a", "text").set("/app/b", Buffer.from("bytes"), state?.version).delete("/app/c").check("/app/d", names.length);
        return state?.version;
      });
      const own: ZookeeperMulti = await store.begin();
      await term.guard(own);
      const acl: readonly Acl[] = [{ permissions: 31, scheme: "world", id: "anyone" }];
      await own.create("/app/e", "", { acl }).commit();
      const multi: ForeignMulti = { check: (path: string, at: number) => [path, at, version] };
      await term.guard(foreign(multi));
    },
    { signal },
  );
}

export function refused(error: unknown): ZookeeperCode | undefined {
  return error instanceof ZookeeperError && error.index !== undefined ? error.code : undefined;
}

// @ts-expect-error -- a place is a url or servers, not both
zookeeper({ url: "zookeeper://h", servers: ["h"] });
