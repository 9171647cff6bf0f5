import type { OpenContext } from "../index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import { ANY_VERSION } from "./client/records.ts";
import type { ConnectionSource } from "./connection.ts";
import { writeData } from "./document.ts";
import { readRoot } from "./schema.ts";
import type { Epoch } from "./statements.ts";
import type { StoreClock } from "./store-clock.ts";

/**
 * Writes a stamp, and looks whether the ensemble still has all that this process has seen of it. A transaction has a number that is greater than that of every one committed before; so
 * an ensemble that gives a new one a number which this process has seen already has lost what had it. Then the root's znode gets another epoch, once, whoever finds out.
 */
export async function checkHistory(client: ZookeeperClient, source: ConnectionSource, { context, storeClock }: { readonly context: Pick<OpenContext, "random" | "logger">; readonly storeClock: StoreClock }): Promise<void> {
  const { seenZxid, paths } = source;
  const { stat } = await client.request({ op: "setData", path: paths.clock, data: Buffer.alloc(0), version: ANY_VERSION });
  storeClock.seeOwn(stat.modifiedMs);
  if (stat.modifiedZxid > seenZxid) return source.remember(client);
  await beginEpoch(client, source, { random: context.random, logger: context.logger, known: source.epoch });
  source.forget();
  source.remember(client);
}

/**
 * Gives the store another epoch: it has lost what it had acknowledged. Nothing is done where somebody else has done so since: the number is greater than that of the epoch whose
 * commits are missing, or the same with another name. One that is smaller came back with an old copy.
 */
export async function beginEpoch(client: ZookeeperClient, source: ConnectionSource, { random, logger, known: seen }: Pick<OpenContext, "random" | "logger"> & { readonly known: Epoch | undefined }): Promise<void> {
  const root = await readRoot(client, source);
  if (root === undefined) return;
  const { epoch, number } = root.data;
  const known = seen ?? { epoch, number };
  if (number > known.number || (number === known.number && epoch !== known.epoch)) return;
  const data = { ...root.data, epoch: random.id(), number: Math.max(number, known.number) + 1 };
  try {
    await client.request({ op: "setData", path: source.paths.root, data: writeData(data), version: root.version });
    logger.warn({ store: source.label, epoch: data.number }, "the store has lost commits that were acknowledged; another epoch begins");
  } catch (error) {
    if (!isZookeeperError(error, "BADVERSION")) throw error;
  }
}
