import { randomBytes } from "node:crypto";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { InstalledSchema } from "../../../src/store/index.ts";
import { connectToAny } from "../../../src/store/zookeeper/client/ensemble.ts";
import type { ZookeeperClient } from "../../../src/store/zookeeper/client/client.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import type { ZookeeperStore, ZookeeperTransaction } from "../../../src/store/zookeeper/index.ts";
import { checkOptions } from "../../../src/store/zookeeper/options.ts";
import type { StorePlace, UserTable } from "../../../src/testing/store-conformance.ts";
import { startWithoutQuorum } from "../../support/zookeeper-server.ts";
import type { ZookeeperServer } from "../../support/zookeeper-server.ts";

/** What can be done on servers that are the test's own. `url` names all of them; `servers` are those that are frozen and cut. */
export async function zookeeperPlaces(url: string, servers: readonly ZookeeperServer[]): Promise<{ place(): StorePlace<ZookeeperTransaction>; end(): Promise<void> }> {
  // A server of an ensemble that says nothing on one connection is given up within the patience of the suite.
  const settings = { url, sessionTimeoutMs: 6_000 };
  const [provider, peer] = [zookeeper(settings), zookeeper(settings)];
  let without: ZookeeperServer | undefined;
  await once(url, async (client) => void (await client.request({ op: "create", path: "/numbers", data: Buffer.alloc(0), acl: OPEN })));
  const place: StorePlace<ZookeeperTransaction> = {
    provider,
    peer,
    table: numbers(provider, url),
    newEpoch: async () => await otherEpoch(url),
    hang: async () => {
      await Promise.all(servers.map(async (server) => await server.pause()));
      return async () => {
        for (const server of servers) server.resume();
        await Promise.all(servers.map(async (server) => await server.untilServing()));
      };
    },
    cut: async () => {
      await Promise.all(servers.map(async (server) => await server.kill("SIGKILL")));
      await Promise.all(servers.map(async (server) => await server.start({ untilServing: true })));
    },
    readOnly: async () => {
      const [first] = servers;
      without ??= await startWithoutQuorum(first === undefined ? {} : { programs: first.place.programs });
      return zookeeper({ url: without.url });
    },
    schemaAt: async (installed) => await providerAt(url, installed),
  };
  return {
    place: () => place,
    end: async () => {
      await provider.close();
      await peer.close();
      await without?.stop();
    },
  };
}

const OPEN = [{ permissions: 31, scheme: "world", id: "anyone" }];

/** A session of the test's own, for what a user or an administrator would do. */
export async function once<T>(url: string, work: (client: ZookeeperClient) => Promise<T>): Promise<T> {
  const { servers, proof, sessionTimeoutMs } = checkOptions({ url });
  const client = await connectToAny({ servers, proof, sessionTimeoutMs, clock: systemClock, random: systemRandom, deadlineMs: 20_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** What the first node does that finds out that the ensemble has lost commits. */
export async function otherEpoch(url: string, root = "/tribune"): Promise<void> {
  await once(url, async (client) => {
    const { data, stat } = await client.request({ op: "getData", path: root });
    const value = JSON.parse(data.toString()) as { number: number };
    const next = { ...value, epoch: systemRandom.id(), number: value.number + 1 };
    await client.request({ op: "setData", path: root, data: Buffer.from(JSON.stringify(next)), version: stat.version });
  });
}

/** A provider on a fresh root whose schema says this about itself. */
export async function providerAt(url: string, { version, worksWith }: InstalledSchema): Promise<ZookeeperStore> {
  const root = `/at-${randomBytes(6).toString("hex")}`;
  const provider = zookeeper({ url, root });
  if (version !== 0) {
    await provider.schema.migrate({ group: "g", node: "test", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 20_000, statementLimitMs: 20_000, createSchema: true });
    await once(url, async (client) => {
      const { data, stat } = await client.request({ op: "getData", path: root });
      await client.request({ op: "setData", path: root, data: Buffer.from(JSON.stringify({ ...(JSON.parse(data.toString()) as object), version, worksWith })), version: stat.version });
    });
  }
  return provider;
}

/** Numbers in znodes below `/numbers`, for the suite to write into. */
export function numbers(provider: ZookeeperStore, url: string): UserTable<ZookeeperTransaction> {
  const pathOf = (key: string) => `/numbers/${key}`;
  return {
    write: async (tx, key, value) => {
      if ((await tx.get(pathOf(key))) === null) tx.create(pathOf(key), String(value));
      else tx.set(pathOf(key), String(value));
    },
    read: async (tx, key) => Number((await tx.get(pathOf(key)))?.data.toString() ?? 0),
    committed: async (key) =>
      await once(url, async (client) => {
        await client.request({ op: "sync", path: pathOf(key) });
        return await client.request({ op: "getData", path: pathOf(key) }).then(({ data }) => Number(data.toString()), () => 0);
      }),
    begin: async () => {
      const tx = await provider.begin();
      return { tx, commit: async () => await tx.commit(), rollback: async () => await tx.rollback() };
    },
    outside: async () => {
      const tx = await provider.begin();
      await tx.rollback();
      return { tx, release: async () => undefined };
    },
  };
}
