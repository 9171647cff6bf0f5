import { ZookeeperClient } from "./client.ts";
import type { ClientOptions, ServerAddress } from "./client.ts";
import { isZookeeperError } from "./codes.ts";

/** Where a session may be opened: on any of these servers. */
export interface EnsembleOptions extends Omit<ClientOptions, "server"> {
  readonly servers: readonly ServerAddress[];
  /** One of them that has just failed: it is tried after all others. */
  readonly last?: ServerAddress | undefined;
  /** For all attempts together. A server that does not answer is given its share of what is left. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** No server could be used: what each of them said, in the order in which they were tried. */
export class NoServerError extends Error {
  override readonly name = "NoServerError";
  readonly tries: readonly { readonly server: ServerAddress; readonly error: Error }[];

  constructor(tries: readonly { readonly server: ServerAddress; readonly error: Error }[]) {
    super(tries.map(({ server, error }) => `${server.host}:${server.port}: ${error.message}`).join("; "));
    this.tries = tries;
  }
}

/** Thrown for a server that takes no writes, so that another one is tried. */
export class ReadOnlyServer extends Error {
  constructor() {
    super("it has lost its quorum and takes no writes");
  }
}

/** A server that hangs must not keep us from the others for longer than this. */
const LONGEST_TRY_MS = 2_000;

/**
 * Opens a session on the first server that lets us, in an order of chance, so that the members of a group spread over the ensemble, with the one that failed last at the end. Throws a {@link NoServerError} where none does;
 * a proof that one server refuses is refused by all, and not tried again. Where a session to go on with has expired it is a new one.
 */
export async function connectToAny(options: EnsembleOptions): Promise<ZookeeperClient> {
  const { servers, last, clock, random, deadlineMs, signal } = options;
  const endMs = clock.monotonicMs() + deadlineMs;
  const tries: { server: ServerAddress; error: Error }[] = [];
  const order = servers.map((server) => ({ server, place: random.next() + (server === last ? 1 : 0) })).sort((a, b) => a.place - b.place);
  for (const [n, { server }] of order.entries()) {
    const leftMs = endMs - clock.monotonicMs();
    if (signal?.aborted === true || (n > 0 && leftMs <= 0)) break;
    try {
      const client = await connectWithin({ ...options, server }, n === order.length - 1 ? leftMs : Math.min(LONGEST_TRY_MS, leftMs / (order.length - n)), signal);
      if (!client.readOnly) return client;
      client.destroy();
      tries.push({ server, error: new ReadOnlyServer() });
    } catch (error) {
      tries.push({ server, error: error as Error });
      if (isZookeeperError(error, "AUTHFAILED")) break;
    }
  }
  throw new NoServerError(tries);
}

async function connectWithin(options: ClientOptions, limitMs: number, signal: AbortSignal | undefined): Promise<ZookeeperClient> {
  const late = new AbortController();
  const timer = options.clock.setTimer(limitMs, () => late.abort());
  const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  try {
    return await ZookeeperClient.connect(options, either).catch(async (error: unknown) => {
      if (options.resume === undefined || !isZookeeperError(error, "SESSIONEXPIRED")) throw error;
      return await ZookeeperClient.connect({ ...options, resume: undefined }, either);
    });
  } catch (error) {
    if (late.signal.aborted) throw new Error(`no answer within ${Math.round(limitMs)} ms`, { cause: error });
    throw error;
  } finally {
    timer.cancel();
  }
}
