import { readFile } from "node:fs/promises";
import type { SecureClientSessionOptions } from "node:http2";
import { TribuneError, withDeadline } from "../../kernel/index.ts";
import type { OpenContext } from "../index.ts";
import { isAuthOff, isFinal, isTokenStale, mapConnectError } from "./errors.ts";
import { GrpcConnection } from "./grpc.ts";
import type { GrpcStream, StreamListener } from "./grpc.ts";
import { authenticateAnswer, authenticateRequest, membersAnswer, statusAnswer, txnAnswer, txnRequest, watchRequest } from "./messages.ts";
import type { MemberAnswer, StatusAnswer, Txn, TxnAnswer } from "./messages.ts";
import type { EtcdTls, Endpoint } from "./options.ts";

/** Where connections come from. */
export interface ConnectionSource {
  readonly label: string;
  readonly endpoints: readonly Endpoint[];
  readonly tls: EtcdTls;
  /** Has a password; never shown, never attached to an error. */
  readonly user: { readonly name: string; readonly password: string } | undefined;
  /** Which of the endpoints is asked first; `undefined` before the first connection, which begins at any of them, so that nodes spread over the members. */
  turn: number | undefined;
}

/** What a connection is made for. */
export interface Opening<T> {
  readonly context: Limits;
  readonly operation: string;
  /** Done with each connection before it counts as made; where it hangs or fails, so has the endpoint. */
  readonly prepare: (connection: Connection) => Promise<T>;
}

/** What bounds the making of a connection. */
export type Limits = Pick<OpenContext, "clock" | "random" | "deadlineMs" | "signal">;

/** The oldest servers whose API has all that is used. */
export const OLDEST_ETCD = [3, 4];

/** How long the first look at each of several endpoints may take, so that one that hangs leaves time for the others. */
const FIRST_LOOK_MS = 500;

/** The next connection is tried elsewhere first. */
export function turnFrom(source: ConnectionSource, endpoint: Endpoint): void {
  source.turn = (source.endpoints.indexOf(endpoint) + 1) % source.endpoints.length;
}

/** One connection of Tribune's own, to one member of the cluster. When it breaks, `onBroken` is told once; nothing is ever thrown into the void. */
export class Connection {
  /** What the member told about itself when the connection was made. */
  readonly status: StatusAnswer;
  readonly endpoint: Endpoint;
  /** A user is given, and the cluster asks for none. */
  readonly authOff: boolean;
  readonly #grpc: GrpcConnection;
  readonly #credentials: Credentials;

  private constructor(grpc: GrpcConnection, facts: { readonly status: StatusAnswer; readonly endpoint: Endpoint; readonly credentials: Credentials }) {
    this.#grpc = grpc;
    this.status = facts.status;
    this.endpoint = facts.endpoint;
    this.#credentials = facts.credentials;
    this.authOff = facts.credentials.off;
  }

  /**
   * Connects to the first endpoint that serves, counted from the one whose turn it is, and does there what is to be done before anything else. Rejects with a coded error, within the context's deadline; then nothing is
   * left open.
   */
  static async open<T>(source: ConnectionSource, { context, operation, prepare }: Opening<T>): Promise<{ readonly connection: Connection; readonly prepared: T }> {
    const { clock, random } = context;
    const endMs = clock.monotonicMs() + context.deadlineMs;
    const first = (source.turn ??= Math.floor(random.next() * source.endpoints.length));
    let untried = source.endpoints.map((_, n) => (first + n) % source.endpoints.length);
    let failure: TribuneError | undefined;
    for (const patient of [false, true]) {
      const silent: number[] = [];
      for (const [n, index] of untried.entries()) {
        const leftMs = endMs - clock.monotonicMs();
        const shareMs = leftMs / (untried.length - n);
        const endpoint = source.endpoints[index] as Endpoint;
        try {
          const opened = await Connection.#to(endpoint, source, { context, operation, prepare, ms: patient || source.endpoints.length === 1 ? shareMs : Math.min(FIRST_LOOK_MS, shareMs) });
          source.turn = index;
          return opened;
        } catch (error) {
          const coded = mapConnectError(error, operation, source.label);
          if (isFinal(coded) || context.signal?.aborted === true) throw coded;
          if (coded.code === "STORE_UNREACHABLE" && coded.cause === undefined) silent.push(index); // only the deadline has no cause
          // That a member has no leader says more than that another cannot be reached.
          failure = failure?.code === "STORE_NO_QUORUM" ? failure : coded;
        }
      }
      untried = silent;
      if (silent.length === 0 || source.endpoints.length === 1) break;
    }
    throw failure ?? new TribuneError("STORE_UNREACHABLE", `${operation}: ${source.label} names no endpoint`, { about: source.label });
  }

  /** Connects to one endpoint, proves itself, and looks at who answers. */
  static async #to<T>(endpoint: Endpoint, source: ConnectionSource, { context, operation, prepare, ms }: Opening<T> & { readonly ms: number }): Promise<{ readonly connection: Connection; readonly prepared: T }> {
    const { host, port, secure } = endpoint;
    let grpc: GrpcConnection | undefined;
    let givenUp = false;
    const work = async () => {
      const tls = secure ? await tlsSettings(source.tls) : {};
      if (givenUp) throw new Error("the certificates were read too late");
      grpc = new GrpcConnection(`${secure ? "https" : "http"}://${host}:${port}`, tls);
      await grpc.connected();
      const credentials = new Credentials(grpc, source.user);
      await credentials.renew();
      const status = statusAnswer(await grpc.call("/etcdserverpb.Maintenance/Status", Buffer.alloc(0), { ...credentials.headers, ...limited(ms) }));
      checkServer(status, endpoint, operation, source.label);
      const connection = new Connection(grpc, { status, endpoint, credentials });
      return { connection, prepared: await prepare(connection) };
    };
    try {
      return await withDeadline(work(), {
        clock: context.clock,
        ms,
        operation: `${operation}: connecting to ${host}:${port}`,
        code: "STORE_UNREACHABLE",
        next: "look whether the server runs, and whether host, port and firewall let this machine in",
        signal: context.signal,
      });
    } catch (error) {
      givenUp = true;
      grpc?.destroy();
      throw mapConnectError(error, operation, source.label);
    }
  }

  /** Told when the connection breaks, or has broken already. */
  set onBroken(listener: (error: Error) => void) {
    this.#grpc.onBroken = listener;
  }

  /** Rejects with `GrpcError`, or with whatever broke the connection. Reading alone, it reads what the cluster as a whole has; nothing is ever read from the member's own copy. */
  async txn(txn: Txn, timeoutMs: number): Promise<TxnAnswer> {
    const request = txnRequest(txn);
    return txnAnswer(await this.#credentials.with(async (headers) => await this.#grpc.call("/etcdserverpb.KV/Txn", request, { ...headers, ...limited(timeoutMs) })));
  }

  async currentStatus(timeoutMs: number): Promise<StatusAnswer> {
    return statusAnswer(await this.#credentials.with(async (headers) => await this.#grpc.call("/etcdserverpb.Maintenance/Status", Buffer.alloc(0), { ...headers, ...limited(timeoutMs) })));
  }

  async members(timeoutMs: number): Promise<readonly MemberAnswer[]> {
    return membersAnswer(await this.#credentials.with(async (headers) => await this.#grpc.call("/etcdserverpb.Cluster/MemberList", Buffer.alloc(0), { ...headers, ...limited(timeoutMs) })));
  }

  /** Watches a range from now on. The member ends the watch when it has lost its leader. */
  watch(range: { readonly key: string; readonly end: string }, listener: StreamListener): GrpcStream {
    return this.#grpc.stream("/etcdserverpb.Watch/Watch", watchRequest(range), this.#credentials.headers, listener, { open: true });
  }

  /** Gets a fresh token. */
  async renewToken(): Promise<void> {
    await this.#credentials.renew();
  }

  /** At once, whatever is under way. */
  destroy(): void {
    this.#grpc.destroy();
  }
}

/** What requests prove themselves with. A token goes out of date by itself, and with each change of users and roles. */
class Credentials {
  /** The cluster asks for no user. */
  off = false;
  readonly #grpc: GrpcConnection;
  readonly #user: ConnectionSource["user"];
  #token: string | undefined;
  #renewing: Promise<void> | undefined;

  constructor(grpc: GrpcConnection, user: ConnectionSource["user"]) {
    this.#grpc = grpc;
    this.#user = user;
  }

  /** A member that has no leader is to say so, rather than to wait for one. */
  get headers(): Readonly<Record<string, string>> {
    return { hasleader: "true", ...(this.#token === undefined ? {} : { token: this.#token }) };
  }

  /** Sends once more, with a fresh token, what was refused for the old one. */
  async with<T>(send: (headers: Readonly<Record<string, string>>) => Promise<T>): Promise<T> {
    const token = this.#token;
    try {
      return await send(this.headers);
    } catch (error) {
      if (this.#user === undefined || !isTokenStale(error)) throw error;
      if (token === this.#token) await this.renew();
      return await send(this.headers);
    }
  }

  async renew(): Promise<void> {
    const user = this.#user;
    if (user === undefined) return;
    this.#renewing ??= (async () => {
      try {
        this.#token = authenticateAnswer(await this.#grpc.call("/etcdserverpb.Auth/Authenticate", authenticateRequest(user.name, user.password), { hasleader: "true" }));
        this.off = false;
      } catch (error) {
        if (!isAuthOff(error)) throw error;
        this.#token = undefined;
        this.off = true;
      } finally {
        this.#renewing = undefined;
      }
    })();
    await this.#renewing;
  }
}

/** Refuses a server whose API lacks what is used, and a member that could not serve. */
function checkServer({ version, leader, learner }: StatusAnswer, { host, port }: Endpoint, operation: string, label: string): void {
  if (!isNewEnough(version)) {
    throw new TribuneError("STORE_FAILED", `${operation} on ${label} found etcd ${version} at ${host}:${port}; ${OLDEST_ETCD.join(".")} is the oldest that is supported`, { about: label, next: "upgrade etcd", retryable: false });
  }
  if (learner) throw new TribuneError("STORE_READ_ONLY", `${operation} on ${label} found a learner at ${host}:${port}, which takes no writes`, { about: label, next: "name members of the cluster that vote" });
  if (leader === "0") {
    throw new TribuneError("STORE_NO_QUORUM", `${operation} on ${label}: the member at ${host}:${port} knows of no leader`, {
      about: label,
      next: "look at the members of the cluster ('etcdctl endpoint status'): more than half of them must run and reach each other",
    });
  }
}

/** What cannot be read as a version is believed to be new. */
export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? OLDEST_ETCD;
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_ETCD;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

async function tlsSettings({ ca, cert, key, caFile, certFile, keyFile, servername }: EtcdTls): Promise<SecureClientSessionOptions> {
  const text = async (given: string | Buffer | undefined, file: string | undefined) => given ?? (file === undefined ? undefined : await readFile(file));
  const settings = { ca: await text(ca, caFile), cert: await text(cert, certFile), key: await text(key, keyFile), servername };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function limited(timeoutMs: number): Readonly<Record<string, string>> {
  return { "grpc-timeout": `${Math.max(1, Math.min(99_999_999, Math.ceil(timeoutMs)))}m` };
}
