import { connect, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders, SecureClientSessionOptions } from "node:http2";

/**
 * What etcd's API needs of gRPC, over Node's own HTTP/2 (grpc.io, "gRPC over HTTP2"): calls with one request and one answer, and streams of answers. A frame is a byte that says
 * whether it is compressed, which is never asked for, its length in four bytes, and a message.
 */

/** The status that a server ended a call with, other than 0. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Statuses that mean something here (grpc.io, "Status codes"). */
export const GRPC = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** An answer may be large, and is wanted whole: so much may be on its way before it is confirmed. */
const WINDOW_BYTES = 4 * 1024 * 1024;

const HEADER_BYTES = 5;

/** No answer to what is asked for comes near it; what says that it is longer is no answer of etcd's. */
export const LONGEST_MESSAGE_BYTES = 64 * 1024 * 1024;

/** A stream of answers. */
export interface GrpcStream {
  /** Ends it, whatever is on its way. */
  cancel(): void;
}

export interface StreamListener {
  onMessage(message: Buffer): void;
  /** Called once; with an error unless the server ended it in good order. */
  onEnd(error: Error | undefined): void;
}

/** One HTTP/2 connection. When it breaks, everything on it rejects, and `onBroken` is told once. */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  #broken: Error | undefined;
  #onBroken: (error: Error) => void = () => {};

  /** Begins to connect. `authority`: `http://host:port`, or `https://…` with what `node:tls` takes. */
  constructor(authority: string, tls: SecureClientSessionOptions = {}) {
    this.#session = connect(authority, { ...tls, settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } });
    this.#session.on("error", (error: Error) => this.#break(error));
    this.#session.on("goaway", () => this.#break(new Error("the server is closing the connection")));
    this.#session.on("close", () => this.#break(new Error("the connection was closed")));
    this.#session.on("connect", () => {
      // It may have been destroyed as it was being made; then this is told all the same.
      if (!this.#session.destroyed) this.#session.setLocalWindowSize(WINDOW_BYTES);
    });
  }

  /** Told when the connection breaks, or has broken already. */
  set onBroken(listener: (error: Error) => void) {
    this.#onBroken = listener;
    if (this.#broken !== undefined) listener(this.#broken);
  }

  /** Resolves when there is a connection. */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      this.#session.once("connect", () => resolve());
      this.#session.once("error", reject);
      this.#session.once("close", () => reject(this.#broken ?? new Error("the connection was closed")));
    });
  }

  /** One request, one answer. Rejects with `GrpcError`, or with whatever broke the connection. */
  call(path: string, request: Buffer, headers: Readonly<Record<string, string>>): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      this.stream(path, request, headers, {
        onMessage: (message) => (answer = message),
        onEnd: (error) => {
          if (error !== undefined) reject(error);
          else if (answer === undefined) reject(new GrpcError(GRPC.unknown, "the server ended the call without an answer"));
          else resolve(answer);
        },
      });
    });
  }

  /** A request whose answers come until somebody ends it. `open`: more requests might follow, which keeps a stream such as a watch going. */
  stream(path: string, request: Buffer, headers: Readonly<Record<string, string>>, listener: StreamListener, { open = false }: { readonly open?: boolean } = {}): GrpcStream {
    const stream = this.#begin({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers }, listener);
    if (stream === undefined) return { cancel: () => {} };
    listenTo(stream, listener, () => this.#broken);
    const frame = Buffer.alloc(HEADER_BYTES);
    frame.writeUInt32BE(request.length, 1);
    stream.write(Buffer.concat([frame, request]));
    if (!open) stream.end();
    return { cancel: () => stream.close(constants.NGHTTP2_CANCEL) };
  }

  /** Begins a stream; where there is no connection any more, says so and begins none. */
  #begin(headers: OutgoingHttpHeaders, listener: StreamListener): ClientHttp2Stream | undefined {
    try {
      if (this.#broken !== undefined) throw this.#broken;
      return this.#session.request(headers);
    } catch (error) {
      queueMicrotask(() => listener.onEnd(error as Error));
      return undefined;
    }
  }

  /** At once, whatever is under way. */
  destroy(): void {
    this.#break(new Error("the connection was destroyed"));
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#session.destroy();
    this.#onBroken(error);
  }
}

function listenTo(stream: ClientHttp2Stream, listener: StreamListener, broken: () => Error | undefined): void {
  let ended = false;
  const held = new Held();
  let status: IncomingHttpHeaders | undefined;
  let failure: Error | undefined;
  const end = (error: Error | undefined) => {
    if (ended) return;
    ended = true;
    listener.onEnd(error);
  };
  stream.on("response", (headers) => {
    if (headers["grpc-status"] !== undefined) status = headers;
    else if (headers[":status"] !== 200) failure = new GrpcError(GRPC.unimplemented, `what answers speaks no gRPC (HTTP status ${headers[":status"]})`);
  });
  stream.on("trailers", (trailers) => (status = trailers));
  stream.on("data", (chunk: Buffer) => {
    if (failure !== undefined) return;
    try {
      held.push(chunk);
      for (let message = held.next(); message !== undefined; message = held.next()) listener.onMessage(message);
    } catch (error) {
      // Not what was asked for. It must not end the process, which it would from here.
      failure = error as Error;
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  stream.on("error", (error: Error) => (failure ??= error));
  stream.on("close", () => end(failure ?? statusError(status) ?? (status === undefined ? (broken() ?? new Error("the connection was closed")) : undefined)));
}

/** What has arrived of a stream and is not read yet; it is put together once for each message, however many pieces it comes in. */
class Held {
  #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next message, if it is there as a whole. Throws `RangeError` as soon as one says that it is longer than any may be, or is compressed, which nobody has asked for. */
  next(): Buffer | undefined {
    if (this.#bytes < HEADER_BYTES) return undefined;
    const head = (this.#chunks[0] as Buffer).length < HEADER_BYTES ? this.#joined() : (this.#chunks[0] as Buffer);
    const length = head.readUInt32BE(1);
    if (head[0] !== 0 || length > LONGEST_MESSAGE_BYTES) throw new RangeError(head[0] !== 0 ? "a message is compressed" : `a message says that it has ${length} bytes; none has more than ${LONGEST_MESSAGE_BYTES}`);
    if (this.#bytes < HEADER_BYTES + length) return undefined;
    const whole = this.#joined();
    this.#chunks = whole.length === HEADER_BYTES + length ? [] : [whole.subarray(HEADER_BYTES + length)];
    this.#bytes -= HEADER_BYTES + length;
    return whole.subarray(HEADER_BYTES, HEADER_BYTES + length);
  }

  #joined(): Buffer {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [joined];
    return joined;
  }
}

function statusError(headers: IncomingHttpHeaders | undefined): GrpcError | undefined {
  const status = headers?.["grpc-status"];
  if (status === undefined || status === "0") return undefined;
  const text = headers?.["grpc-message"];
  return new GrpcError(Number(status), decoded(typeof text === "string" ? text : ""));
}

/** Messages are percent-encoded, if the server is a good one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
