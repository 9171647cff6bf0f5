import { connect as connectPlain } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import type { Clock, Random, Timer } from "../../../kernel/index.ts";
import { codeName, ZookeeperError } from "./codes.ts";
import { answerChallenge } from "./digest-md5.ts";
import type { Credentials } from "./digest-md5.ts";
import { FrameReader } from "./frames.ts";
import { JuteError } from "./jute.ts";
import { AUTH_XID, decodeAnswer, decodeConnect, decodeReply, decodeWatchEvent, encodeAuth, encodeConnect, encodePing, encodeRequest, isRefusal, PING_XID, REPLY_HEADER_BYTES, WATCH_XID } from "./records.ts";
import type { Answers, ConnectResponse, Request, WatchEvent } from "./records.ts";

/** One server of an ensemble. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** How a session proves who it is: by a digest of user and password that access lists name, or by SASL's DIGEST-MD5. */
export interface Proof extends Credentials {
  readonly scheme: "digest" | "sasl";
}

/** What a session is known by, to whom it belongs. */
export interface SessionKey {
  readonly sessionId: bigint;
  readonly password: Uint8Array;
}

/** With what a connection is made. */
export interface ClientOptions {
  readonly server: ServerAddress;
  /** As `node:tls` has it; absent: plain TCP. */
  readonly tls?: ConnectionOptions | undefined;
  /** After how long without a word the server may end the session. It grants what lies between its own limits. */
  readonly sessionTimeoutMs: number;
  readonly proof?: Proof | undefined;
  /** A session to go on with, which may have expired: then it is `SESSIONEXPIRED`. Absent: a new one. */
  readonly resume?: SessionKey | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** Bytes that arrive late tell nothing of a server that is alive and slow; but who says nothing for this part of the session's time is not waited for. */
const SILENCE_SHARE = 2 / 3;
const PING_SHARE = 1 / 3;

const NEW_SESSION: SessionKey = { sessionId: 0n, password: Buffer.alloc(16) };

interface Waiting {
  readonly xid: number;
  readonly request: Request;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One session on one connection to one server. Requests are answered in the order in which they are made; those of one turn of the event loop leave in one packet. It does not
 * reconnect by itself: when the connection breaks everything that waits is rejected with `BROKEN`, `onBroken` is told once, and whoever uses it makes another one, in the same session if it likes.
 */
export class ZookeeperClient {
  readonly server: ServerAddress;
  /** Told of each change that was asked to be told of, before any answer that shows it. */
  onWatch: (event: WatchEvent) => void = () => {};
  readonly #socket: Socket;
  readonly #options: ClientOptions;
  readonly #frames = new FrameReader();
  readonly #waiting: Waiting[] = [];
  #xid = 0;
  #session: ConnectResponse | undefined;
  #greeted: { readonly resolve: (session: ConnectResponse) => void; readonly reject: (error: Error) => void } | undefined;
  #proved: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #broken: ZookeeperError | undefined;
  #onBroken: (error: ZookeeperError) => void = () => {};
  #heardAtMs: number;
  #saidAtMs: number;
  #timer: Timer | undefined;
  #corked = false;
  #lastZxid = 0n;

  private constructor(options: ClientOptions) {
    const { server, tls, clock } = options;
    this.server = server;
    this.#options = options;
    this.#heardAtMs = this.#saidAtMs = clock.monotonicMs();
    this.#socket = tls === undefined ? connectPlain({ ...server, noDelay: true }) : connectTls({ ...namedFor(server.host), ...tls, ...server });
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (chunk) => this.#hear(chunk));
    this.#socket.on("error", (error) => this.#break(new ZookeeperError("BROKEN", error.message === "" ? String((error as { code?: unknown }).code) : error.message, { cause: error })));
    this.#socket.on("close", () => this.#break(new ZookeeperError("BROKEN", this.#session === undefined ? "the server closed the connection before it answered" : "the server closed the connection")));
  }

  /** Connects, opens a session and proves who it is. Rejects with a {@link ZookeeperError}, and then leaves nothing open. `signal` calls it off. */
  static async connect(options: ClientOptions, signal?: AbortSignal): Promise<ZookeeperClient> {
    const client = new ZookeeperClient(options);
    const callOff = () => client.destroy();
    signal?.addEventListener("abort", callOff, { once: true });
    try {
      if (signal?.aborted === true) callOff();
      await client.#openSession();
      await client.#prove();
      client.#watchSilence();
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    } finally {
      signal?.removeEventListener("abort", callOff);
    }
  }

  /** Whether the server takes no writes: it has lost its quorum, and was set up to go on for readers. */
  get readOnly(): boolean {
    return this.#session?.readOnly ?? false;
  }

  /** With what another connection can go on in this session; never shown. */
  get key(): SessionKey {
    const { sessionId, password } = this.#session ?? NEW_SESSION;
    return { sessionId, password };
  }

  /** What the server granted. */
  get sessionTimeoutMs(): number {
    return this.#session?.timeoutMs ?? 0;
  }

  /** The highest number of a transaction that any answer has told. */
  get lastZxid(): bigint {
    return this.#lastZxid;
  }

  /** Told when the connection breaks, or has broken already. */
  set onBroken(listener: (error: ZookeeperError) => void) {
    this.#onBroken = listener;
    if (this.#broken !== undefined) listener(this.#broken);
  }

  /** The answer to one request. Rejects with a {@link ZookeeperError}: the server's, or `BROKEN`. */
  request<R extends Request>(request: R): Promise<Answers[R["op"]]> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      // Numbers of requests are signed and small; after 2^31 of them the session has lived for years.
      this.#xid = this.#xid === 0x7fffffff ? 1 : this.#xid + 1;
      let frame: Buffer;
      try {
        frame = encodeRequest(this.#xid, request);
      } catch (error) {
        return reject(error);
      }
      this.#waiting.push({ xid: this.#xid, request, resolve, reject });
      this.#send(frame);
    });
  }

  /** Ends the session in good order; what is still under way is answered before. Whoever waits for it bounds it, and destroys. */
  async close(): Promise<void> {
    if (this.#broken !== undefined) return;
    await this.request({ op: "closeSession" }).catch(() => undefined);
    this.destroy();
  }

  /** At once, whatever is under way. The server ends the session when its time is over. */
  destroy(): void {
    this.#break(new ZookeeperError("BROKEN", "the connection was given up"));
    this.#socket.destroy();
  }

  // ---- the beginning

  async #openSession(): Promise<void> {
    const greeted = new Promise<ConnectResponse>((resolve, reject) => (this.#greeted = { resolve, reject }));
    if (this.#broken !== undefined) throw this.#broken;
    // That a server without quorum will do is said so that it answers, and does not just close: whoever connects refuses it by name.
    this.#send(encodeConnect({ timeoutMs: this.#options.sessionTimeoutMs, ...(this.#options.resume ?? NEW_SESSION), readOnly: true }));
    const session = await greeted;
    if (session.timeoutMs <= 0) throw new ZookeeperError("SESSIONEXPIRED", "the server says that the session has expired");
  }

  async #prove(): Promise<void> {
    const { proof } = this.#options;
    if (proof === undefined) return;
    if (proof.scheme === "sasl") return await this.#proveBySasl(proof);
    const proved = new Promise<void>((resolve, reject) => (this.#proved = { resolve, reject }));
    this.#send(encodeAuth("digest", Buffer.from(`${proof.user}:${proof.password}`)));
    await proved;
  }

  async #proveBySasl(proof: Proof): Promise<void> {
    const { token } = await this.request({ op: "sasl", token: Buffer.alloc(0) }).catch(saslRefused);
    const answer = answerChallenge(token.toString("utf8"), proof, this.#options.random.id());
    if (answer === undefined) throw new ZookeeperError("AUTHFAILED", "the server asks for another SASL mechanism than DIGEST-MD5");
    const final = await this.request({ op: "sasl", token: Buffer.from(answer.response) }).catch(saslRefused);
    if (final.token.toString("utf8") !== answer.expected) throw new ZookeeperError("AUTHFAILED", "the server could not prove that it knows the password");
  }

  // ---- sending and hearing

  #send(frame: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#saidAtMs = this.#options.clock.monotonicMs();
    this.#socket.write(frame);
  }

  #hear(chunk: Buffer): void {
    this.#heardAtMs = this.#options.clock.monotonicMs();
    try {
      for (const frame of this.#frames.push(chunk)) {
        if (this.#broken !== undefined) return;
        this.#take(frame);
      }
    } catch (error) {
      if (!(error instanceof JuteError)) throw error;
      this.#break(new ZookeeperError("NOTZOOKEEPER", error.message, { cause: error }));
      this.#socket.destroy();
    }
  }

  #take(frame: Buffer): void {
    if (this.#session === undefined) {
      if (frame.length === REPLY_HEADER_BYTES) {
        // No session, but an error: of a server without quorum, for one.
        const { error } = decodeReply(frame).header;
        this.#greeted?.reject(new ZookeeperError(codeName(error), `the server opens no session: ${codeName(error)}`));
        return;
      }
      this.#session = decodeConnect(frame);
      this.#greeted?.resolve(this.#session);
      return;
    }
    const { header, body } = decodeReply(frame);
    if (header.zxid > this.#lastZxid) this.#lastZxid = header.zxid;
    if (header.xid === PING_XID) return;
    if (header.xid === WATCH_XID) return this.onWatch(decodeWatchEvent(body));
    if (header.xid === AUTH_XID) {
      if (header.error === 0) this.#proved?.resolve();
      else this.#proved?.reject(new ZookeeperError(codeName(header.error), "the server does not take this proof"));
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined || next.xid !== header.xid) throw new JuteError(`an answer to request ${header.xid} came where one to ${next?.xid ?? "none"} was due`);
    this.#settle(next, header.error, body);
  }

  #settle({ request, resolve, reject }: Waiting, error: number, body: Parameters<typeof decodeAnswer>[1]): void {
    const path = "path" in request ? request.path : undefined;
    if (error !== 0 && body.leftBytes === 0) return reject(new ZookeeperError(codeName(error), `${request.op} was refused: ${codeName(error)}`, { path }));
    const answer = decodeAnswer(request, body);
    if (!isRefusal(answer)) return resolve(answer as never);
    const refused = request.op === "multi" ? request.operations[answer.index] : undefined;
    reject(new ZookeeperError(answer.code, `${refused?.op ?? "an operation"} of a transaction was refused: ${answer.code}`, { path: refused?.path, index: answer.index }));
  }

  /** Says something now and then, so that the session stays; and gives the server up where nothing comes back. */
  #watchSilence(): void {
    const { clock } = this.#options;
    const look = () => {
      if (this.#broken !== undefined) return;
      const nowMs = clock.monotonicMs();
      if (nowMs - Math.max(this.#heardAtMs, resumedAtMs) > this.sessionTimeoutMs * SILENCE_SHARE) {
        this.#break(new ZookeeperError("BROKEN", `the server has said nothing for ${Math.round(nowMs - this.#heardAtMs)} ms`));
        this.#socket.destroy();
        return;
      }
      if (nowMs - this.#saidAtMs >= (this.sessionTimeoutMs * PING_SHARE) / 2) this.#send(encodePing());
      // A process that was stopped has not listened: what has arrived meanwhile is read before anything is held against the server.
      if (nowMs - lookedAtMs > this.sessionTimeoutMs * PING_SHARE) resumedAtMs = nowMs;
      lookedAtMs = nowMs;
      this.#timer = clock.setTimer((this.sessionTimeoutMs * PING_SHARE) / 2, look);
    };
    let lookedAtMs = clock.monotonicMs();
    let resumedAtMs = lookedAtMs;
    this.#timer = clock.setTimer((this.sessionTimeoutMs * PING_SHARE) / 2, look);
  }

  #break(error: ZookeeperError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#timer?.cancel();
    this.#greeted?.reject(error);
    this.#proved?.reject(error);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#onBroken(error);
  }
}

/** What TLS is to compare the certificate with; an address is no name. */
function namedFor(host: string): ConnectionOptions {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host };
}

/** A server that refuses closes at once; one that has no SASL says that it is no valid request. */
function saslRefused(error: unknown): never {
  throw new ZookeeperError("AUTHFAILED", `the server did not take the SASL proof (${error instanceof Error ? error.message : String(error)})`, { cause: error });
}
