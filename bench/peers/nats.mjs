import { connect } from "@nats-io/transport-node";

// Core NATS delivers at most once and gives no room back to a publisher: what is published waits in the client without bound. So the server is asked, one round trip ahead, whether it has what was published before.
const FLUSH_EVERY = 1_024;

export async function listen({ server, name, bytes }, received) {
  const nc = await connect({ servers: server, name });
  nc.subscribe("bench.one", { callback: () => received() });
  nc.subscribe("bench.acknowledge", { callback: (_error, message) => message.respond() });
  nc.subscribe("bench.all", { callback: (_error, message) => message.respond(message.data) });
  nc.subscribe(`bench.${name}`, { callback: (_error, message) => message.respond(message.data) });
  await nc.flush();
  return `${bytes} bytes by ${server}`;
}

export async function dial({ server, targets, bytes }) {
  const nc = await connect({ servers: server, name: "sender" });
  const message = new Uint8Array(bytes).fill(65);
  const subject = `bench.${targets[0].name}`;
  const all = async (to) => {
    let count = 0;
    for await (const _reply of await nc.requestMany(to, message, { strategy: "count", maxMessages: targets.length, maxWait: 60_000 })) count++;
    if (count !== targets.length) throw new Error(`${count} of ${targets.length} have answered`);
  };
  let published = 0;
  let flushed = Promise.resolve();
  return {
    broadcast() {
      nc.publish("bench.one", message);
      if (++published % FLUSH_EVERY !== 0) return undefined;
      const before = flushed;
      flushed = nc.flush();
      return before;
    },
    operations: {
      acknowledged: () => all("bench.acknowledge"),
      request: () => nc.request(subject, message, { timeout: 60_000 }),
      requestAll: () => all("bench.all"),
    },
  };
}
