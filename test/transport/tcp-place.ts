import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { silentLogger, systemClock, systemRandom } from "../../src/kernel/index.ts";
import { startTcpFaultProxy } from "../../src/testing/index.ts";
import type { RawPeer, TcpFaultProxy, TransportPlace } from "../../src/testing/index.ts";
import { HeldKeys, newRing, tcp } from "../../src/transport/index.ts";
import type { TcpOptions, TransportContext } from "../../src/transport/index.ts";
import { securityByCertificates, securityByKeys } from "../../src/transport/tcp/security.ts";
import type { Certificates } from "./certificates.ts";

/** TCP on this machine, with a proxy before each endpoint where the case may cut or reset. */
export function tcpPlace(security: "keys" | "plaintext" | Certificates): TransportPlace {
  const keys = new HeldKeys(newRing(systemRandom, 0));
  const proxies = new Map<string, TcpFaultProxy>();
  let group = "";
  return {
    keys,
    transport: (node, options) => {
      const transport = tcp({
        ...options,
        host: "127.0.0.1",
        security,
        advertise: async ({ host, port }) => {
          const proxy = await startTcpFaultProxy({ targetHost: host, targetPort: port });
          proxies.set(node, proxy);
          return `127.0.0.1:${proxy.port}`;
        },
      });
      return {
        kind: transport.kind,
        open: (context) => {
          group = context.group;
          return transport.open(context);
        },
      };
    },
    reset: (a, b) => {
      for (const node of [a, b]) proxies.get(node)?.resetAll();
    },
    cut: async (a, b) => {
      for (const node of [a, b]) await proxies.get(node)?.mode({ kind: "blackhole" });
      return async () => {
        for (const node of [a, b]) await proxies.get(node)?.mode({ kind: "pass" });
      };
    },
    dial: (address) => rawPeer(address, security, keys, group),
    close: async () => {
      for (const proxy of proxies.values()) await proxy.close();
    },
  };
}

async function rawPeer(address: string, security: "keys" | "plaintext" | Certificates, keys: HeldKeys, group: string): Promise<RawPeer> {
  const [host = "", port = ""] = address.split(":");
  const target = { host, port: Number(port) };
  const socket = await new Promise<Socket>((resolve, reject) => {
    const client = security === "plaintext" ? undefined : (security === "keys" ? securityByKeys(keys, group) : securityByCertificates(security)).client();
    const opened: Socket = client === undefined ? connect(target, () => resolve(opened)) : connectTls({ ...client.options, ...target }, () => resolve(opened));
    opened.once("error", reject);
    opened.once("close", () => resolve(opened));
  });
  return rawSocket(socket);
}

/** A socket in the hands of a test. */
export function rawSocket(socket: Socket): RawPeer {
  let received = Buffer.alloc(0);
  let waiting: Array<() => void> = [];
  let isClosed = socket.destroyed;
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  for (const event of ["end", "error", "close"]) {
    socket.on(event, () => {
      isClosed = true;
      wake();
    });
  }
  return {
    write: (bytes) => void socket.write(bytes),
    received: () => received,
    changed: () => new Promise((resolve) => waiting.push(resolve)),
    get isClosed() {
      return isClosed;
    },
    destroy: () => socket.destroy(),
  };
}

/** A context for tests that open an endpoint themselves. */
export function contextOf(over: Partial<TransportContext> & Pick<TransportContext, "node" | "incarnation">): TransportContext {
  return {
    group: "billing",
    known: () => undefined,
    handlers: { up() {}, down() {}, unreachable() {}, frame() {} },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    deadlineMs: 10_000,
    ...over,
  };
}

/** Options for endpoints on this machine alone. */
export const LOCAL: TcpOptions = { host: "127.0.0.1" };
