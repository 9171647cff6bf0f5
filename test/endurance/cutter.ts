import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

/** Stands between a member and those who dial it, and resets all connections when told. */
export interface Cutter {
  readonly address: string;
  /** Where the member listens: "host:port". Before it is known, nobody is let in. */
  target: string | undefined;
  /** Resets all connections. */
  cut(): void;
  close(): void;
}

export async function startCutter(): Promise<Cutter> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (cutter.target === undefined) return near.destroy();
    const [host, port] = cutter.target.split(":");
    const far = connect({ host, port: Number(port) });
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const cutter: Cutter = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: undefined,
    cut,
    close: () => {
      cut();
      server.close();
    },
  };
  return cutter;
}
