/** One process of a shop: prices from a database, through a cache. Told by its parent what to do. */
import { DatabaseSync } from "node:sqlite";
import { createCluster } from "tribune";
import { Cache } from "./cache.ts";

const [name = "shop-1", store = "", file = ""] = process.argv.slice(2);
const database = new DatabaseSync(file);
database.exec("PRAGMA busy_timeout = 5000");
const cluster = createCluster({ group: "shop", node: name, store, channel: true });
const prices = new Cache<number>(cluster, "price-changed", (article) => {
  const row = database.prepare("SELECT cents FROM prices WHERE article = ?").get(article);
  return Number(row?.["cents"] ?? 0);
});

// What a customer of this process would see.
cluster.channel.respond("price", (request) => prices.get(request.value() as string));

process.on("message", (order: { readonly article: string; readonly cents: number }) => {
  void change(order).then((seen) => process.send?.(seen));
});

async function change({ article, cents }: { readonly article: string; readonly cents: number }) {
  database.prepare("INSERT INTO prices VALUES (?, ?) ON CONFLICT DO UPDATE SET cents = excluded.cents").run(article, cents);
  const notTold = await prices.changed(article);
  const { replies } = await cluster.channel.request("price", article, { to: "all", policy: "all", deadlineMs: 500 });
  const seen = [...replies].map(([node, reply]) => ({ node, cents: reply.status === "replied" ? Number(reply.value()) : undefined }));
  return { notTold, seen };
}

await cluster.start();
process.send?.("ready");
