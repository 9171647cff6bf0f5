/** Three processes with caches change prices in turn; after each change all of them are asked what they would serve. Then one is frozen, and one is killed. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

interface Outcome {
  readonly notTold: readonly string[];
  readonly seen: ReadonlyArray<{ readonly node: string; readonly cents?: number }>;
}

const CHANGES = 100;
const folder = mkdtempSync(join(tmpdir(), "cache-invalidation-"));
const file = join(folder, "prices.db");
const shops: ChildProcess[] = [];
let price = 100;

try {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE prices (article TEXT PRIMARY KEY, cents INTEGER NOT NULL)");
  database.close();
  for (const name of ["shop-1", "shop-2", "shop-3"]) {
    const shop = fork(join(import.meta.dirname, "shop.ts"), [name, `sqlite:${join(folder, "cluster.db")}`, file]);
    shops.push(shop);
    await once(shop, "message");
  }

  let read = 0;
  let old = 0;
  for (let n = 0; n < CHANGES; n++) {
    const shop = shops[n % 3] as ChildProcess;
    const outcome = await change(shop, `article-${n % 10}`);
    read += outcome.seen.length;
    old += outcome.seen.filter(({ cents }) => cents !== price).length;
  }
  console.log(`${CHANGES} changes of prices; ${read} prices read right after them, ${old} of them old`);
  if (old > 0) process.exitCode = 1;

  const [one, two, three] = shops as [ChildProcess, ChildProcess, ChildProcess];
  three.kill("SIGSTOP");
  console.log(`shop-3 is frozen; who changes a price hears that it was not told: ${(await change(one, "article-1")).notTold.join()}`);
  three.kill("SIGCONT");
  let outcome = await change(one, "article-1");
  console.log(`shop-3 goes on, and serves ${told(outcome, "shop-3")}`);

  two.kill("SIGKILL");
  await once(two, "exit");
  outcome = await change(one, "article-2");
  console.log(`shop-2 was killed, and shop-3 serves ${told(outcome, "shop-3")}`);
} finally {
  for (const shop of shops) shop.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

async function change(shop: ChildProcess, article: string): Promise<Outcome> {
  price++;
  shop.send({ article, cents: price });
  const [outcome] = (await once(shop, "message")) as [Outcome];
  return outcome;
}

function told(outcome: Outcome, node: string): string {
  const cents = outcome.seen.find((each) => each.node === node)?.cents;
  if (cents !== price) process.exitCode = 1;
  return cents === price ? "the new price" : `not the new price, but ${cents ?? "nothing"}`;
}
