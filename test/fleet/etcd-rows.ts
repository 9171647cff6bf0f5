import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import { Connection } from "../../src/store/etcd/connection.ts";
import { all, endOf } from "../../src/store/etcd/messages.ts";
import type { Item, Txn } from "../../src/store/etcd/messages.ts";
import { checkOptions } from "../../src/store/etcd/options.ts";
import type { FencedRow } from "../../src/testing/history/index.ts";

/** Below this the workers write, each row under a key of its own. */
export const ETCD_ROWS = "fenced_rows/";

const PATIENCE_MS = 30_000;

/** The rows in the order of their commits: each commit is a revision. */
export async function readEtcdRows(url: string): Promise<FencedRow[]> {
  return rowsOf(await ask(url, { compare: [], success: [all(ETCD_ROWS)], failure: [] }));
}

/** The same, of what `etcdctl get --prefix --write-out=json` printed. */
export function printedEtcdRows(text: string): FencedRow[] {
  const { kvs = [] } = JSON.parse(text) as { readonly kvs?: readonly { readonly value: string; readonly mod_revision: number }[] };
  return rowsOf(kvs.map(({ value, mod_revision: modRevision }) => ({ value: Buffer.from(value, "base64").toString(), modRevision })));
}

function rowsOf(items: readonly Pick<Item, "value" | "modRevision">[]): FencedRow[] {
  const inOrder = items.toSorted((a, b) => a.modRevision - b.modRevision);
  return inOrder.map(({ value, modRevision }) => ({ ...(JSON.parse(value) as Omit<FencedRow, "sequence">), sequence: modRevision }));
}

export async function forgetEtcdRows(url: string): Promise<void> {
  await ask(url, { compare: [], success: [{ delete: ETCD_ROWS, end: endOf(ETCD_ROWS) }], failure: [] });
}

async function ask(url: string, txn: Txn): Promise<readonly Item[]> {
  const source = { ...checkOptions({ url }), turn: undefined };
  const { connection, prepared } = await Connection.open(source, {
    context: { clock: systemClock, random: systemRandom, deadlineMs: PATIENCE_MS },
    operation: "reading the rows",
    prepare: async (one) => await one.txn(txn, PATIENCE_MS),
  });
  connection.destroy();
  return prepared.items;
}
