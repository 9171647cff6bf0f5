import { startTcpFaultProxy } from "../../src/testing/tcp-fault-proxy.ts";
import type { TcpFault, TcpFaultProxy } from "../../src/testing/tcp-fault-proxy.ts";
import type { Weather, World } from "./world.ts";

const HOST = "127.0.0.1";

/** Everything on this host's loopback; between each node and the servers, if there are any, a TCP proxy in this process, which can do less than a network does. */
export function openLoopback(label: string): World {
  const proxies = new Map<string, Promise<TcpFaultProxy>>();
  const weathers = new Map<string, TcpFault>();
  return {
    kind: "loopback",
    label,
    lacks: new Map([
      ["loss", "a TCP proxy sees no packets: this needs namespaces"],
      ["reorder", "a TCP proxy sees no packets: this needs namespaces"],
      ["minority", "members of an ensemble have no proxies between them: this needs namespaces"],
    ]),
    serverHost: HOST,
    memberHost: () => HOST,
    nodesFrom: `${HOST}/32`,
    through: () => [],
    async addressOf(node, port) {
      const key = `${node}:${port}`;
      let proxy = proxies.get(key);
      if (proxy === undefined) proxies.set(key, (proxy = startTcpFaultProxy({ targetHost: HOST, targetPort: port })));
      await (await proxy).mode(weathers.get(node) ?? { kind: "pass" });
      return { host: HOST, port: (await proxy).port };
    },
    async disturb(node, weather) {
      const fault = faultOf(weather);
      weathers.set(node, fault);
      for (const [key, proxy] of proxies) if (key.startsWith(`${node}:`)) await (await proxy).mode(fault);
    },
    async close() {
      for (const proxy of proxies.values()) await (await proxy).close();
      proxies.clear();
    },
  };
}

function faultOf({ cut, delayMs }: Weather): TcpFault {
  if (cut === "both") return { kind: "blackhole" };
  if (cut !== undefined) return { kind: "blackhole", direction: cut === "requests" ? "toServer" : "toClient" };
  return delayMs === undefined || delayMs === 0 ? { kind: "pass" } : { kind: "delay", ms: delayMs };
}
