/** One node of a service that shares its settings with the others. Its parent says what is to be changed. */
import { createCluster } from "tribune";

const [, , node = "", store = ""] = process.argv;

const cluster = createCluster({ group: "shop", node, store, channel: { host: "127.0.0.1" }, contexts: { durable: true } });
await cluster.start(); // has the settings of the others from here on

const settings = await cluster.contexts.open("settings");
settings.onChange(({ key, value, local }) => {
  process.send?.({ changed: key });
  console.log(`${node}: ${key} is now ${JSON.stringify(value)}, by ${local ? "this node" : "another node"}`);
});
process.send?.({ started: Object.fromEntries(settings.entries()) });

process.on("message", async (order: { readonly set?: string; readonly value?: unknown }) => {
  if (order.set === undefined) {
    await cluster.stop();
    process.disconnect();
    return;
  }
  settings.set(order.set, order.value);
  await settings.flush(); // everybody has it now
});
