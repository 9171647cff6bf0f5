import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TLSSocket } from "node:tls";
import { abortError, toTribuneError, TribuneError, withDeadline } from "../../kernel/index.ts";
import type { Clock, Timer } from "../../kernel/index.ts";
import { whoGivesWay } from "../giving-way.ts";
import type { RefusalReason, Wait } from "../transport.ts";
import type { ListenHooks, Listener } from "../wire.ts";
import { formatAddress, parseAddress, reachableHost } from "./address.ts";
import type { HostAndPort } from "./address.ts";
import type { TcpSettings } from "./options.ts";
import { NOTHING_PROVED } from "./security.ts";
import type { SocketSecurity } from "./security.ts";
import { SocketWire } from "./socket-wire.ts";

/** What a listener is made of. */
export interface SocketListenerParts {
  readonly settings: TcpSettings;
  /** Absent: plaintext. */
  readonly security: SocketSecurity | undefined;
  readonly clock: Clock;
  readonly hooks: ListenHooks;
}

/** A socket whose TLS handshake is not done. */
interface Stranger {
  readonly socket: Socket;
  readonly remote: string;
  readonly deadline: Timer;
}

/** Accepts sockets, and hands on those that have proved themselves. Those that have not are bounded in number and in time. */
export class SocketListener {
  readonly #parts: SocketListenerParts;
  readonly #server: Server;
  /** By the other end, the oldest first. */
  readonly #strangers = new Map<string, Stranger>();
  #isClosed = false;

  constructor(parts: SocketListenerParts) {
    this.#parts = parts;
    const { security } = parts;
    if (security === undefined) {
      this.#server = createServer({ noDelay: true }, (socket) => this.#hand(socket, remoteOf(socket)));
      return;
    }
    // The deadline of a handshake is this room's own, on its own clock.
    this.#server = createTlsServer({ ...security.server, noDelay: true, handshakeTimeout: 2 ** 30 })
      .on("secureConnection", (socket) => this.#secured(socket, security))
      .on("tlsClientError", (error: NodeJS.ErrnoException, socket) => this.#failed(socket, error))
      .on("connection", (socket) => this.#greet(socket));
  }

  /** Rejects with `ADDRESS_IN_USE`, `ADDRESS_UNUSABLE`, `TRANSPORT_TIMEOUT`, `ABORTED`. */
  async open(wait: Wait): Promise<Listener> {
    if (wait.signal?.aborted === true) throw abortError(wait.signal, "listening");
    const { settings, clock } = this.#parts;
    const listening = this.#listen().then((place) => addressFor(place, settings));
    const open = withDeadline(listening, { clock, ms: wait.deadlineMs, operation: "listening", code: "TRANSPORT_TIMEOUT", next: "see how long the function that says what to advertise takes, and what holds up this process", signal: wait.signal });
    try {
      const address = await open;
      const halfOpen = () => this.#strangers.size;
      return {
        address,
        get halfOpen() {
          return halfOpen();
        },
        close: () => this.#close(),
      };
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  #listen(): Promise<HostAndPort> {
    const { host, port } = this.#parts.settings;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, host ?? "all addresses", port));
      this.#server.once("error", failed);
      this.#server.listen({ ...(host === undefined ? {} : { host }), port }, () => {
        if (this.#isClosed) return void this.#server.close(); // given up while the host was looked up
        this.#server.off("error", failed);
        this.#server.on("error", () => undefined); // too many open files: whoever could not be accepted tries again
        const bound = this.#server.address();
        if (bound === null || typeof bound === "string") return reject(listenError(new Error("the socket has no address"), "all addresses", port));
        resolve({ host: host ?? bound.address, port: bound.port });
      });
    });
  }

  #close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      for (const stranger of this.#strangers.values()) stranger.socket.destroy();
    }
    // Sockets that were handed on are not waited for: they are no longer the listener's.
    this.#server.close();
    return Promise.resolve();
  }

  #hand(socket: Socket, remote: string, proof = NOTHING_PROVED): void {
    socket.on("error", () => undefined); // also when nobody listens to it any more
    if (this.#isClosed) socket.destroy();
    else this.#parts.hooks.accept(new SocketWire(socket, remote, proof));
  }

  #greet(socket: Socket): void {
    const remote = remoteOf(socket);
    socket.on("error", () => undefined); // told by tlsClientError or by the end
    if (this.#isClosed) return void socket.destroy();
    this.#makeRoom();
    const { clock, settings } = this.#parts;
    const deadline = clock.setTimer(settings.link.connectMs, () => this.#end(remote, "slow", `no TLS handshake within ${settings.link.connectMs} ms`));
    this.#strangers.set(remote, { socket, remote, deadline });
    socket.once("close", () => this.#gone(socket, remote));
  }

  #makeRoom(): void {
    const { maxHalfOpen } = this.#parts.settings.link;
    if (this.#strangers.size < maxHalfOpen) return;
    const remote = whoGivesWay(Array.from(this.#strangers.keys(), (each) => [each, each] as const));
    if (remote !== undefined) this.#end(remote, "crowded", `more than ${maxHalfOpen} connections had not proved themselves`);
  }

  #secured(socket: TLSSocket, security: SocketSecurity): void {
    socket.on("error", () => undefined);
    const remote = remoteOf(socket);
    const stranger = this.#strangers.get(remote);
    if (stranger === undefined) return void socket.destroy(); // it was ended meanwhile
    const proof = security.serverProof(socket);
    if (proof === undefined) return this.#end(remote, "unauthenticated", "the handshake proved nothing");
    this.#forget(stranger);
    this.#hand(socket, remote, proof);
  }

  #failed(socket: TLSSocket, error: NodeJS.ErrnoException): void {
    const stranger = this.#strangers.get(remoteOf(socket));
    if (stranger !== undefined) this.#end(stranger.remote, "unauthenticated", error.code ?? "the TLS handshake failed");
    socket.destroy();
  }

  /** Ended by itself. Who said nothing at all was a probe, or changed its mind, and is no news. */
  #gone(socket: Socket, remote: string): void {
    const stranger = this.#strangers.get(remote);
    if (stranger?.socket !== socket) return;
    this.#forget(stranger);
    if (socket.bytesRead > 0) this.#parts.hooks.refused("unauthenticated", remote, "the connection ended during the TLS handshake");
  }

  #end(remote: string, reason: RefusalReason, detail: string): void {
    const stranger = this.#strangers.get(remote);
    if (stranger === undefined) return;
    this.#forget(stranger);
    stranger.socket.destroy();
    this.#parts.hooks.refused(reason, remote, detail);
  }

  #forget(stranger: Stranger): void {
    stranger.deadline.cancel();
    this.#strangers.delete(stranger.remote);
  }
}

async function addressFor(bound: HostAndPort, settings: TcpSettings): Promise<string> {
  const { advertise } = settings;
  const address = advertise === undefined ? formatAddress({ host: reachableHost(bound.host), port: bound.port }) : typeof advertise === "string" ? advertise : await asked(advertise, bound);
  if (parseAddress(address) !== undefined) return address;
  throw new TribuneError("ADDRESS_UNUSABLE", "what is to be advertised is no address", { about: "advertise", next: 'give "host:port"' });
}

/** Somebody else's code: what it throws is told with what it was for. */
async function asked(advertise: (listening: HostAndPort) => string | Promise<string>, bound: HostAndPort): Promise<string> {
  try {
    return await advertise(bound);
  } catch (error) {
    throw toTribuneError(error, "ADDRESS_UNUSABLE", "the function that says what to advertise failed", { about: "advertise", next: 'let it return "host:port"' });
  }
}

function remoteOf(socket: Socket): string {
  return formatAddress({ host: socket.remoteAddress ?? "gone", port: socket.remotePort ?? 0 });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): TribuneError {
  const where = port === 0 ? host : formatAddress({ host, port });
  if (error.code === "EADDRINUSE") return new TribuneError("ADDRESS_IN_USE", `something else listens on ${where}`, { about: where, next: "use port 0, or end what listens there", cause: error });
  return new TribuneError("ADDRESS_UNUSABLE", `this machine cannot listen on ${where} (${error.code ?? error.message})`, { about: where, next: "give an address of this machine, or none", cause: error });
}
