import type { Socket } from "node:net";
import type { ConnectionSecurity } from "../transport.ts";
import { NO_HANDLERS } from "../wire.ts";
import type { Wire, WireHandlers } from "../wire.ts";
import type { Proof } from "./security.ts";

/** What may wait in the process for the kernel to take it. More would be out of reach of what is urgent. */
const WAITING_BYTES = 256 * 1024;

/** A socket as a wire. */
export class SocketWire implements Wire {
  readonly remote: string;
  readonly security: ConnectionSecurity;
  readonly speaksFor: string | undefined;
  handlers: WireHandlers = NO_HANDLERS;
  readonly #socket: Socket;
  #open = true;

  constructor(socket: Socket, remote: string, proof: Proof) {
    this.#socket = socket;
    this.remote = remote;
    this.security = proof.security;
    this.speaksFor = proof.speaksFor;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#open && this.handlers.data(chunk));
    socket.on("drain", () => this.#open && this.handlers.drained());
    socket.on("end", () => this.#over("ended", "the peer closed the socket"));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#over("reset", error.code ?? error.message));
    socket.on("close", () => this.#over("reset", "the socket was closed"));
  }

  write(buffer: Uint8Array, release?: () => void): boolean {
    if (!this.#open) return true;
    if (release === undefined) this.#socket.write(buffer);
    else this.#socket.write(buffer, release);
    return this.#socket.writableLength < WAITING_BYTES;
  }

  end(): void {
    if (this.#open) this.#socket.end();
  }

  destroy(): void {
    this.#open = false;
    this.#socket.destroy();
  }

  #over(reason: "ended" | "reset", detail: string): void {
    if (!this.#open) return;
    this.destroy();
    this.handlers.closed(reason, detail);
  }
}
