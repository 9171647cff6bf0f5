import { once } from "node:events";
import { createServer, connect } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** Which way bytes go. */
export type FlowDirection = "toServer" | "toClient";

/** What the proxy does with bytes, until told otherwise. It goes for open connections and for new ones. */
export type TcpFault =
  | { readonly kind: "pass" }
  /**
   * Bytes disappear and connections stay open, as behind a firewall that forgot them. A connection that lost bytes is
   * reset as soon as it would carry some again: TCP never delivers a stream with a hole in it.
   */
  | { readonly kind: "blackhole"; readonly direction?: FlowDirection }
  /** Bytes are kept and arrive, late, with the next mode: a cut that TCP's repetitions survive. */
  | { readonly kind: "hold"; readonly direction?: FlowDirection }
  /** Nothing is read, so that the sender's buffers fill up: a peer whose process is frozen. Goes on with the next mode. */
  | { readonly kind: "stall"; readonly direction?: FlowDirection }
  /** New connections are refused; open ones go on. */
  | { readonly kind: "refuse" }
  /** Everything arrives that much later, in order. */
  | { readonly kind: "delay"; readonly ms: number; readonly direction?: FlowDirection }
  /** Each connection is reset once that many bytes have passed in that direction, counted from now. */
  | { readonly kind: "cut"; readonly afterBytes: number; readonly direction: FlowDirection };

/** A running proxy, and how to make it misbehave. */
export interface TcpFaultProxy {
  /** On 127.0.0.1; the same for as long as the proxy lives, also after `refuse`. */
  readonly port: number;
  /** How many connections are open from client to server. */
  readonly connections: number;
  /** Resolves when the mode is in force. */
  mode(fault: TcpFault): Promise<void>;
  /** Resets every open connection (RST) in both directions; new ones are not hindered. Answers how many. */
  resetAll(): number;
  /** Resets what is open and stops listening. May be called twice. */
  close(): Promise<void>;
}

/**
 * A TCP proxy inside this process, for tests of what happens when a network misbehaves: put it in front of a database
 * and give its port to the code under test.
 *
 *     const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: 5432 });
 *     await proxy.mode({ kind: "blackhole" });
 *
 * It runs on real timers. The trap: bytes that the proxy has taken in already are on their way; a mode goes for what comes after.
 */
export async function startTcpFaultProxy(options: { readonly targetHost: string; readonly targetPort: number }): Promise<TcpFaultProxy> {
  const proxy = new Proxy(options);
  await proxy.listen(0);
  return proxy;
}

class Proxy implements TcpFaultProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #links = new Set<Link>();
  #server: Server | undefined;
  #port = 0;
  #fault: TcpFault = { kind: "pass" };
  #closed = false;

  constructor({ targetHost, targetPort }: { readonly targetHost: string; readonly targetPort: number }) {
    this.#target = { host: targetHost, port: targetPort };
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#links.size;
  }

  async listen(port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#link(client)).listen(port, "127.0.0.1");
    await once(server, "listening");
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  async mode(fault: TcpFault): Promise<void> {
    this.#fault = fault;
    for (const link of this.#links) link.apply(fault);
    if (fault.kind === "refuse") this.#stopListening();
    else if (this.#server === undefined && !this.#closed) await this.listen(this.#port);
  }

  resetAll(): number {
    const open = [...this.#links];
    for (const link of open) link.reset();
    return open.length;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.resetAll();
    this.#stopListening();
  }

  /** Connections that are open keep the server object alive, so its `close` event is not waited for: the port is free at once. */
  #stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #link(client: Socket): void {
    const link: Link = new Link(client, connect({ ...this.#target, allowHalfOpen: true }), () => this.#links.delete(link));
    this.#links.add(link);
    link.apply(this.#fault);
  }
}

/** One connection through the proxy. */
class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: Flow;
  readonly #toClient: Flow;

  constructor(client: Socket, server: Socket, onGone: () => void) {
    this.#client = client;
    this.#server = server;
    const reset = () => this.reset();
    this.#toServer = new Flow(client, server, reset);
    this.#toClient = new Flow(server, client, reset);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("close", () => {
        if (client.closed && server.closed) onGone();
      });
    }
  }

  apply(fault: TcpFault): void {
    const named = "direction" in fault ? fault.direction : undefined;
    this.#toServer.apply(named === "toClient" ? { kind: "pass" } : fault);
    this.#toClient.apply(named === "toServer" ? { kind: "pass" } : fault);
  }

  reset(): void {
    for (const socket of [this.#client, this.#server]) {
      // A reset after the end was written fails inside Node, and leaves a handle that keeps the process from ending.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  }
}

/** The bytes of one direction, and the end of them: who is cut off does not hear that the other one hung up either. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #reset: () => void;
  #fault: TcpFault = { kind: "pass" };
  /** What arrived while nothing was let through; `end` and `reset` are what the sender did last. */
  #held: Array<Buffer | "end" | "reset"> = [];
  #lost = false;
  #lostEnd = false;
  #passed = 0;
  /** What is delayed waits for what came before it. */
  #tail: Promise<void> = Promise.resolve();

  constructor(from: Socket, to: Socket, reset: () => void) {
    this.#from = from;
    this.#to = to;
    this.#reset = reset;
    from.on("data", (chunk: Buffer) => this.#take(chunk));
    from.on("end", () => this.#take("end"));
    from.on("error", () => this.#take("reset"));
    to.on("drain", () => this.#resumeUnlessStalled());
  }

  apply(fault: TcpFault): void {
    this.#fault = fault;
    this.#passed = 0;
    if (fault.kind === "stall") this.#from.pause();
    else this.#resumeUnlessStalled();
    // Who hung up meanwhile is gone, and its machine answers whatever comes for it with a reset.
    if (this.#lostEnd && fault.kind !== "blackhole") this.#reset();
    if (fault.kind !== "hold") for (const each of this.#held.splice(0)) this.#take(each);
  }

  #resumeUnlessStalled(): void {
    if (this.#fault.kind !== "stall") this.#from.resume();
  }

  #take(what: Buffer | "end" | "reset"): void {
    const fault = this.#fault;
    if (fault.kind === "blackhole") {
      this.#lost = true;
      this.#lostEnd ||= typeof what === "string";
    } else if (this.#lost) this.#reset();
    else if (fault.kind === "hold") this.#held.push(what);
    else if (fault.kind === "delay") this.#tail = Promise.all([this.#tail, new Promise((resolve) => setTimeout(resolve, fault.ms))]).then(() => this.#pass(what));
    else if (fault.kind === "cut" && typeof what !== "string") this.#passUntilCut(what, fault.afterBytes);
    else void this.#tail.then(() => this.#pass(what));
  }

  #passUntilCut(chunk: Buffer, afterBytes: number): void {
    this.#pass(chunk.subarray(0, Math.max(0, afterBytes - this.#passed)));
    this.#passed += chunk.length;
    // The bytes before the cut must get out first: a reset drops what still waits in the socket.
    if (this.#passed >= afterBytes) this.#to.write("", () => this.#reset());
  }

  #pass(what: Buffer | "end" | "reset"): void {
    if (what === "reset") this.#reset();
    else if (this.#to.destroyed) this.#reset();
    else if (what === "end") this.#to.end();
    else if (what.length > 0 && !this.#to.write(what)) this.#from.pause();
  }
}
