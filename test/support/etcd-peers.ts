import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/**
 * A proxy in front of each member of an etcd cluster, for what members say to each other. Members tell in each request who they are (`X-Server-From`), so that one of
 * them can be cut off from the others in both directions, while clients go on reaching it.
 */
export class EtcdPeers {
  readonly #servers: Server[] = [];
  readonly #links = new Set<Link>();
  /** The identity of who is cut off, as etcd's tools write it, and the port of its own. */
  #isolated: { readonly id: string; readonly port: number } | undefined;

  /** Makes a proxy to a member's own port, and answers the proxy's. */
  async before(port: number): Promise<number> {
    const server = createServer((client) => this.#accept(client, port)).listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** Cuts one member off from the others; `undefined`: nobody. */
  isolate(member: { readonly id: string; readonly port: number } | undefined): void {
    this.#isolated = member;
    for (const link of this.#links) this.#judge(link);
  }

  async close(): Promise<void> {
    for (const link of this.#links) end(link);
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  #accept(client: Socket, port: number): void {
    const target = connect(port, "127.0.0.1");
    const link: Link = { client, target, port, from: "" };
    this.#links.add(link);
    let heard = "";
    client.on("data", (chunk: Buffer) => {
      if (link.from !== "") return;
      heard += chunk.toString("latin1");
      link.from = /x-server-from: ([0-9a-f]+)/i.exec(heard)?.[1] ?? "";
      heard = heard.slice(-100);
      this.#judge(link);
    });
    for (const socket of [client, target]) {
      socket.on("error", () => end(link));
      socket.on("close", () => {
        this.#links.delete(link);
        end(link);
      });
    }
    client.pipe(target).pipe(client);
    this.#judge(link);
  }

  #judge(link: Link): void {
    if (this.#isolated !== undefined && (link.port === this.#isolated.port || link.from === this.#isolated.id)) end(link);
  }
}

interface Link {
  readonly client: Socket;
  readonly target: Socket;
  readonly port: number;
  from: string;
}

function end({ client, target }: Link): void {
  client.destroy();
  target.destroy();
}
