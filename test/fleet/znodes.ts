import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import type { ZookeeperClient } from "../../src/store/zookeeper/client/client.ts";
import { isZookeeperError } from "../../src/store/zookeeper/client/codes.ts";
import { connectToAny } from "../../src/store/zookeeper/client/ensemble.ts";
import { OPEN_ACL } from "../../src/store/zookeeper/client/records.ts";
import { checkOptions } from "../../src/store/zookeeper/options.ts";
import type { FencedRow } from "../../src/testing/history/index.ts";
import { LEDGER_ZNODE } from "./ledger.ts";

/** So many are asked for at a time. */
const BATCH = 500;

/** Makes the fenced table in ZooKeeper, empty. */
export async function makeZnodeLedger(url: string): Promise<void> {
  await dropZnodeLedger(url);
  await onZookeeper(url, async (client) => void (await client.request({ op: "create", path: LEDGER_ZNODE, data: Buffer.alloc(0), acl: OPEN_ACL })));
}

/** The rows in the order in which their transactions were carried out. */
export async function rowsInZnodes(url: string): Promise<FencedRow[]> {
  return await onZookeeper(url, async (client) => {
    await client.request({ op: "sync", path: LEDGER_ZNODE });
    const { children } = await client.request({ op: "getChildren", path: LEDGER_ZNODE });
    const found: { readonly zxid: bigint; readonly row: Omit<FencedRow, "sequence"> }[] = [];
    for (let from = 0; from < children.length; from += BATCH) {
      const read = children.slice(from, from + BATCH).map(async (name) => await client.request({ op: "getData", path: `${LEDGER_ZNODE}/${name}` }));
      for (const { data, stat } of await Promise.all(read)) found.push({ zxid: stat.createdZxid, row: JSON.parse(data.toString()) as Omit<FencedRow, "sequence"> });
    }
    return found.sort((a, b) => (a.zxid < b.zxid ? -1 : 1)).map(({ row }, n) => ({ ...row, sequence: n + 1 }));
  });
}

/** Removes it, if it is there. */
export async function dropZnodeLedger(url: string): Promise<void> {
  await onZookeeper(url, async (client) => {
    try {
      const { children } = await client.request({ op: "getChildren", path: LEDGER_ZNODE });
      for (const name of children) await client.request({ op: "delete", path: `${LEDGER_ZNODE}/${name}`, version: -1 });
      await client.request({ op: "delete", path: LEDGER_ZNODE, version: -1 });
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
    }
  });
}

async function onZookeeper<T>(url: string, work: (client: ZookeeperClient) => Promise<T>): Promise<T> {
  const { servers, proof, sessionTimeoutMs } = checkOptions({ url });
  const client = await connectToAny({ servers, proof, sessionTimeoutMs, clock: systemClock, random: systemRandom, deadlineMs: 20_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
