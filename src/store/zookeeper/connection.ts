import { readFile } from "node:fs/promises";
import type { ConnectionOptions } from "node:tls";
import { TribuneError, withDeadline } from "../../kernel/index.ts";
import type { Clock, Random } from "../../kernel/index.ts";
import type { ServerAddress, SessionKey, ZookeeperClient } from "./client/client.ts";
import { connectToAny } from "./client/ensemble.ts";
import { askFourLetters, factsOf } from "./client/four-letters.ts";
import type { ServerFacts } from "./client/four-letters.ts";
import { CREATOR_ACL, OPEN_ACL } from "./client/records.ts";
import type { Acl } from "./client/records.ts";
import { mapZookeeperError } from "./errors.ts";
import { addressOf } from "./options.ts";
import type { CheckedOptions } from "./options.ts";
import { pathsBelow } from "./paths.ts";
import type { StorePaths } from "./paths.ts";
import type { Epoch } from "./statements.ts";

/** The oldest server that the store works with. */
export const OLDEST = [3, 5, 0];
/** How long a polite end may take before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000;
/** A process has few nodes, each with one session; more that are left at a time are let go. */
const SESSIONS_LEFT = 16;
/** How long the server is given to say of which version it is; many are set up not to. */
const FACTS_TIMEOUT_MS = 1_000;

/** What a connection needs of whoever opens it. */
export interface Opening {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The version of a beat's znode after a write of ours, as what its incarnation had joined, and the epoch of that. */
export interface Acknowledged extends Epoch {
  readonly version: number;
  readonly joinOrder: number;
}

/** A session without a connection. */
export interface LeftSession {
  readonly key: SessionKey;
  /** When the servers forget it, by our clock. */
  readonly untilMs: number;
}

/** Where connections go, and what this process has seen there. */
export class ConnectionSource {
  readonly options: CheckedOptions;
  readonly paths: StorePaths;
  /** With what znodes are made. */
  readonly acl: readonly Acl[];
  readonly #left: LeftSession[] = [];
  readonly #acknowledged = new Map<string, Acknowledged>();
  /** What servers have said about themselves, by their address. */
  readonly facts = new Map<string, ServerFacts>();
  /** The highest transaction that any answer of this store has told to this process. */
  #seenZxid = 0n;
  #epoch: Epoch | undefined;
  #failed: ServerAddress | undefined;
  #tls: Promise<ConnectionOptions | undefined> | undefined;

  constructor(options: CheckedOptions) {
    this.options = options;
    this.paths = pathsBelow(options.root);
    this.acl = options.proof === undefined ? OPEN_ACL : CREATOR_ACL;
  }

  get label(): string {
    return this.options.label;
  }

  /** The last beat that was acknowledged to this process, by the path of its znode. */
  acknowledged(path: string): Acknowledged | undefined {
    return this.#acknowledged.get(path);
  }

  /** A few are kept: a process has few nodes, each with one incarnation at a time. */
  acknowledge(path: string, acknowledged: Acknowledged): void {
    this.#acknowledged.delete(path);
    this.#acknowledged.set(path, acknowledged);
    const [oldest] = this.#acknowledged.keys();
    if (this.#acknowledged.size > 64 && oldest !== undefined) this.#acknowledged.delete(oldest);
  }

  get seenZxid(): bigint {
    return this.#seenZxid;
  }

  /** The last epoch that this process has worked in. */
  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  enter({ epoch, number }: Epoch): void {
    this.#epoch = { epoch, number };
  }

  /** The server whose connection broke, until another connection has been made. */
  get failed(): ServerAddress | undefined {
    return this.#failed;
  }

  /** A connection has been made. */
  reached(): void {
    this.#failed = undefined;
  }

  /** A connection has broken: whoever opens one next, before the server forgets the session, goes on in it, on another server if there is one. */
  leave({ key, server, sessionTimeoutMs }: ZookeeperClient, clock: Clock): void {
    this.#failed = server;
    this.putBack({ key, untilMs: clock.monotonicMs() + sessionTimeoutMs });
  }

  /** A session that was left and has not expired by what we know; each is given to one at a time. */
  takeLeft(clock: Clock): LeftSession | undefined {
    for (;;) {
      const left = this.#left.pop();
      if (left === undefined || left.untilMs > clock.monotonicMs()) return left;
    }
  }

  /** Nobody went on in it. */
  putBack(left: LeftSession): void {
    this.#left.push(left);
    if (this.#left.length > SESSIONS_LEFT) this.#left.shift();
  }

  /** What a connection has been told counts from now on. */
  remember(client: ZookeeperClient): void {
    if (client.lastZxid > this.#seenZxid) this.#seenZxid = client.lastZxid;
  }

  /** The store has lost its history, and has begun another epoch: what was seen before is of no use. */
  forget(): void {
    this.#seenZxid = 0n;
    this.#acknowledged.clear();
  }

  /** With the files that the URL names. Read when they are needed first; that it failed is not remembered. */
  tls(): Promise<ConnectionOptions | undefined> {
    this.#tls ??= this.#readTls();
    this.#tls.catch(() => (this.#tls = undefined));
    return this.#tls;
  }

  async #readTls(): Promise<ConnectionOptions | undefined> {
    const { tls, tlsFiles } = this.options;
    if (tls === undefined) return undefined;
    const read = [...tlsFiles].map(async ([name, path]) => {
      const text = await readFile(path).catch((cause: unknown) => {
        throw new TribuneError("INVALID_OPTIONS", `the file ${path}, which the store's ${name} names, cannot be read`, { about: name, next: "mend the path, or who may read it", cause });
      });
      return [name, text] as const;
    });
    return { ...tls, ...Object.fromEntries(await Promise.all(read)) };
  }
}

/** A session with one server, and what is known of that server. */
export interface Connection {
  readonly client: ZookeeperClient;
  readonly facts: ServerFacts;
}

/** Connects to any of the servers; `resume`: in a session that was left, if there is one. Rejects with a coded error, within the deadline; then nothing is left open. */
export async function openConnection(source: ConnectionSource, opening: Opening, { operation, resume = false }: { readonly operation: string; readonly resume?: boolean }): Promise<Connection> {
  const { label } = source;
  let client: ZookeeperClient | undefined;
  const left = resume ? source.takeLeft(opening.clock) : undefined;
  const givenUp = new AbortController();
  const { clock, random, deadlineMs, signal } = opening;
  const work = async (): Promise<Connection> => {
    const { servers, proof, sessionTimeoutMs } = source.options;
    const tls = await source.tls();
    // A little sooner than the deadline, so that what each server said can be told.
    client = await connectToAny({ servers, last: source.failed, tls, proof, resume: left?.key, sessionTimeoutMs, clock, random, deadlineMs: deadlineMs * 0.9, signal: givenUp.signal });
    if (givenUp.signal.aborted) throw new Error("it was too late");
    source.reached();
    const facts = await factsAbout(client, source, { tls, clock });
    assertNewEnough(facts, label);
    return { client, facts };
  };
  try {
    return await withDeadline(work(), {
      clock,
      ms: deadlineMs,
      operation: `${operation}: connecting to ${label}`,
      code: "STORE_UNREACHABLE",
      next: "look whether the servers run, and whether hosts, ports and firewall let this machine in",
      signal,
      onExpire: () => {
        givenUp.abort();
        client?.destroy();
      },
    });
  } catch (error) {
    if (client === undefined && left !== undefined) source.putBack(left);
    client?.destroy();
    throw mapZookeeperError(error, operation, label);
  }
}

/** Opens a connection, does something on it within what is left of the deadline, and closes it; or keeps it, if that is wanted and nothing failed. */
export async function withConnection<T>(source: ConnectionSource, opening: Opening, { operation, keep = false }: { readonly operation: string; readonly keep?: boolean }, work: (connection: Connection) => Promise<T>): Promise<T> {
  const { clock, deadlineMs, signal } = opening;
  const startedAtMs = clock.monotonicMs();
  const connection = await openConnection(source, opening, { operation, resume: keep });
  const destroy = () => connection.client.destroy();
  try {
    const result = await withDeadline(work(connection), { clock, ms: startedAtMs + deadlineMs - clock.monotonicMs(), operation: `${operation} on ${source.label}`, signal, onExpire: destroy });
    if (!keep) await closeConnection(connection, clock);
    return result;
  } catch (error) {
    destroy();
    throw mapZookeeperError(error, operation, source.label);
  }
}

/** Ends the session in good order; if that takes long, the socket is destroyed. */
export async function closeConnection({ client }: Connection, clock: Clock): Promise<void> {
  await withDeadline(client.close(), { clock, ms: CLOSE_TIMEOUT_MS, operation: "closing the connection", onExpire: () => client.destroy() }).catch(() => undefined);
}

/**
 * What the server says about itself, if it is set up to; a server that does not say anything is taken as it is. Each is asked once: a node that has lost its connection has no time for it.
 */
async function factsAbout(client: ZookeeperClient, source: ConnectionSource, { tls, clock }: { readonly tls: ConnectionOptions | undefined; readonly clock: Clock }): Promise<ServerFacts> {
  const address = addressOf(client.server);
  const known = source.facts.get(address);
  if (known !== undefined) return known;
  const facts = await askForFacts(client, tls, clock);
  source.facts.set(address, facts);
  return facts;
}

async function askForFacts(client: ZookeeperClient, tls: ConnectionOptions | undefined, clock: Clock): Promise<ServerFacts> {
  const late = new AbortController();
  const timer = clock.setTimer(FACTS_TIMEOUT_MS, () => late.abort());
  try {
    return factsOf(await askFourLetters(client.server, "srvr", { tls, signal: late.signal }));
  } catch {
    return factsOf("");
  } finally {
    timer.cancel();
  }
}

function assertNewEnough({ version }: ServerFacts, label: string): void {
  if (version === undefined) return;
  const numbers = version.split(".").map(Number);
  const differing = OLDEST.findIndex((number, n) => numbers[n] !== number);
  if (differing === -1 || (numbers[differing] ?? 0) > (OLDEST[differing] ?? 0)) return;
  throw new TribuneError("STORE_FAILED", `${label} is ZooKeeper ${version}; the store needs ${OLDEST.slice(0, 2).join(".")} or newer`, { about: label, next: "upgrade the servers", retryable: false });
}
