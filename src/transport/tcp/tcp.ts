import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import { openEndpoint } from "../endpoint.ts";
import type { Transport, TransportContext, Wait } from "../transport.ts";
import { DialFailure } from "../wire.ts";
import type { Wire, WireNetwork } from "../wire.ts";
import { parseAddress } from "./address.ts";
import { SocketListener } from "./listener.ts";
import { tcpSettings } from "./options.ts";
import type { TcpOptions, TcpSettings } from "./options.ts";
import { NOTHING_PROVED, securityByCertificates, securityByKeys } from "./security.ts";
import type { Proof, SocketSecurity } from "./security.ts";
import { SocketWire } from "./socket-wire.ts";

/** Frames over TCP, encrypted and mutually authenticated unless plaintext is asked for by name. Throws `INVALID_OPTIONS`. */
export function tcp(options: TcpOptions = {}): Transport {
  const settings = tcpSettings(options);
  return {
    kind: "tcp",
    open: async (context) => openEndpoint(new SocketNetwork(settings, context), settings.link, context),
  };
}

class SocketNetwork implements WireNetwork {
  readonly #settings: TcpSettings;
  readonly #context: TransportContext;
  readonly #security: SocketSecurity | undefined;

  constructor(settings: TcpSettings, context: TransportContext) {
    this.#settings = settings;
    this.#context = context;
    this.#security = securityFor(settings, context);
  }

  listen(hooks: Parameters<WireNetwork["listen"]>[0], wait: Wait): ReturnType<WireNetwork["listen"]> {
    const listener = new SocketListener({ settings: this.#settings, security: this.#security, clock: this.#context.clock, hooks });
    return listener.open(wait);
  }

  dial(address: string, wait: Wait): Promise<Wire> {
    const target = parseAddress(address);
    if (target === undefined) return Promise.reject(new DialFailure("no-address", "the address in the view is none"));
    return new Promise((resolve, reject) => {
      let over = false;
      const finish = (settle: () => void) => {
        if (over) return;
        over = true;
        timer.cancel();
        wait.signal?.removeEventListener("abort", aborted);
        settle();
      };
      const fail = (failure: DialFailure) =>
        finish(() => {
          socket?.destroy();
          reject(failure);
        });
      const timer = this.#context.clock.setTimer(wait.deadlineMs, () => fail(new DialFailure("timeout", `no connection to ${address} within ${Math.round(wait.deadlineMs)} ms`)));
      const aborted = () => fail(new DialFailure("timeout", "the dial was given up"));
      let socket: Socket | undefined;
      if (wait.signal?.aborted === true) return aborted();
      wait.signal?.addEventListener("abort", aborted, { once: true });
      const connected = (proof: Proof | undefined) => {
        if (over || socket === undefined) return;
        if (proof === undefined) return fail(new DialFailure("unauthenticated", `${address} did not prove itself`));
        const done = socket;
        done.off("error", failed).off("close", closed);
        finish(() => resolve(new SocketWire(done, address, proof)));
      };
      const failed = (error: NodeJS.ErrnoException) => fail(failureOf(error, address));
      const closed = () => fail(new DialFailure("reset", `${address} closed the connection`));
      try {
        socket = this.#connect(target, connected);
      } catch (error) {
        if (!isTribuneError(error)) throw error;
        return fail(new DialFailure("unauthenticated", error.message, error));
      }
      socket.on("error", failed).on("close", closed);
    });
  }

  #connect(target: { readonly host: string; readonly port: number }, connected: (proof: Proof | undefined) => void): Socket {
    if (this.#security === undefined) return connect({ ...target, noDelay: true }, () => connected(NOTHING_PROVED));
    const client = this.#security.client();
    const socket: TLSSocket = connectTls({ ...client.options, ...target }, () => connected(client.proof(socket)));
    return socket;
  }
}

function securityFor(settings: TcpSettings, context: TransportContext): SocketSecurity | undefined {
  if (settings.security === "plaintext") return undefined;
  if (settings.security !== "keys") return securityByCertificates(settings.security);
  if (context.keys === undefined) {
    throw new TribuneError("KEYS_MISSING", "connections are to be authenticated by the group's keys, and none were handed in", {
      about: context.group,
      next: "start the member through the cluster, or give certificates of your own",
    });
  }
  return securityByKeys(context.keys, context.group);
}

function failureOf(error: NodeJS.ErrnoException, address: string): DialFailure {
  const code = error.code ?? "";
  if (code === "ECONNREFUSED") return new DialFailure("refused", `nobody listens at ${address}`, error);
  if (code === "ECONNRESET" || code === "EPIPE") return new DialFailure("reset", `${address} reset the connection`, error);
  if (code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS") || code.startsWith("CERT_") || /SELF_SIGNED|UNABLE_TO_|_CERT/.test(code)) return new DialFailure("unauthenticated", `${address} and this member did not accept each other (${code})`, error);
  if (code === "") return new DialFailure("unauthenticated", error.message, error);
  return new DialFailure("timeout", `${address} cannot be reached (${code})`, error);
}
