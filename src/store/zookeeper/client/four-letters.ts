import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import type { ServerAddress } from "./client.ts";

/** No answer to one of these words is longer. */
const LONGEST_BYTES = 64 * 1024;

/** Asks a server one of its words of four letters, such as `srvr`, on a connection of its own. A server that has the word switched off says so in its answer. */
export function askFourLetters(server: ServerAddress, word: "srvr", options: { readonly tls?: ConnectionOptions | undefined; readonly signal: AbortSignal }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = options.tls === undefined ? connectPlain(server) : connectTls({ ...options.tls, ...server });
    let text = "";
    const end = (finish: () => void) => {
      options.signal.removeEventListener("abort", callOff);
      socket.destroy();
      finish();
    };
    const callOff = () => end(() => reject(new Error(`${word} was called off`)));
    socket.on(options.tls === undefined ? "connect" : "secureConnect", () => socket.write(word));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.length > LONGEST_BYTES) end(() => reject(new Error(`the answer to ${word} has no end`)));
    });
    socket.on("close", () => end(() => resolve(text)));
    socket.on("error", (error) => end(() => reject(error)));
    options.signal.addEventListener("abort", callOff, { once: true });
    if (options.signal.aborted) callOff();
  });
}

/** What `srvr` tells. */
export interface ServerFacts {
  /** `3.8.0`; undefined where the server does not tell. */
  readonly version: string | undefined;
  readonly mode: "standalone" | "leader" | "follower" | "observer" | "read-only" | undefined;
  /** How many connections it has, and how many requests wait. */
  readonly connections: number | undefined;
  readonly outstanding: number | undefined;
}

/** The facts in an answer to `srvr`; what is not told is undefined. */
export function factsOf(text: string): ServerFacts {
  const field = (name: string) => new RegExp(`^${name}: *(.*)$`, "m").exec(text)?.[1]?.trim();
  const count = (name: string) => {
    const value = Number(field(name) ?? "");
    return field(name) !== undefined && Number.isInteger(value) ? value : undefined;
  };
  const modes = ["standalone", "leader", "follower", "observer", "read-only"] as const;
  return {
    version: /^Zookeeper version: *(\d+\.\d+\.\d+)/m.exec(text)?.[1],
    mode: modes.find((mode) => mode === field("Mode")),
    connections: count("Connections"),
    outstanding: count("Outstanding"),
  };
}
