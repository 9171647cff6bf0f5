import { createCluster } from "tribune";

// One node of the service. Who starts it says where the group is, and what is to be changed.
const [, , node = "", store = ""] = process.argv;

const cluster = createCluster({ group: "shop", node, store, channel: { host: "127.0.0.1" }, contexts: { durable: true } });
await cluster.start(); // has the settings of the others from here on

const settings = await cluster.contexts.open("settings");
settings.onChange(({ key, value, local }) => say("changed", { key, value, local }));
say("started", { settings: Object.fromEntries(settings.entries()) });

process.on("message", async ({ key, value }) => {
  if (key === undefined) {
    await cluster.stop();
    process.disconnect();
    return;
  }
  settings.set(key, value);
  const { ok, properties } = await settings.flush();
  say("flushed", { ok, properties });
});

function say(event, detail) {
  process.send?.({ node, event, ...detail });
}
