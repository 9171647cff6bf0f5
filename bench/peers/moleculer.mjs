import { ServiceBroker } from "moleculer";

// At its defaults it writes JSON, in which bytes are a list of numbers: a text of the same length is the best that it can be given.
const text = (bytes) => "A".repeat(bytes);

// It queues without bound: so many broadcasts are under way at a time.
const UNDER_WAY = 256;

function brokerOf(name, urls) {
  return new ServiceBroker({ nodeID: name, logger: false, transporter: { type: "TCP", options: { udpDiscovery: false, useHostname: false, urls } } });
}

export async function listen({ name }, received) {
  const broker = brokerOf(name, []);
  broker.createService({
    name: "bench",
    events: { "bench.one": () => received() },
    actions: { acknowledge: () => 1, echo: (context) => context.params },
  });
  await broker.start();
  const { nodes } = broker.registry;
  return `127.0.0.1:${nodes.localNode.port}`;
}

export async function dial({ targets, bytes }) {
  const broker = brokerOf("sender", targets.map(({ name, address }) => `${address}/${name}`));
  await broker.start();
  await broker.waitForServices({ name: "bench" });
  const { actions } = broker.registry;
  while (targets.some(({ name }) => actions.get("bench.echo")?.getEndpointByNodeID(name) == null)) await new Promise((resolve) => setTimeout(resolve, 50));
  const message = text(bytes);
  const all = (action) => Promise.all(targets.map(({ name }) => broker.call(action, message, { nodeID: name })));
  const queue = [];
  return {
    broadcast() {
      queue.push(broker.broadcast("bench.one", message));
      return queue.length > UNDER_WAY ? queue.shift() : undefined;
    },
    operations: {
      acknowledged: () => all("bench.acknowledge"),
      request: () => broker.call("bench.echo", message, { nodeID: targets[0].name }),
      requestAll: () => all("bench.echo"),
    },
  };
}
