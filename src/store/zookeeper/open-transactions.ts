import type { Clock } from "../../kernel/index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import { readData } from "./document.ts";
import type { StoreClock } from "./store-clock.ts";

/** What the znode of an open transaction holds. */
export interface OpenTransaction {
  /** Of the term that it belongs to: whoever wants to pass the fence waits no longer. */
  readonly leaseMs: number;
}

/**
 * The transactions that hold a fence up, as one observer sees them. Each has a lease: since it began, by the store's clock, or since it was seen first, by our own. So those of a process that died
 * have had their time when its lease is over, and a store's clock that steps back costs no more than another lease. That they are waited for is a courtesy: one that is
 * taken away cannot be carried out.
 */
export class OpenTransactions {
  readonly #client: ZookeeperClient;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #seenAtMs = new Map<string, number>();

  constructor(client: ZookeeperClient, clock: Clock, storeClock: StoreClock) {
    this.#client = client;
    this.#clock = clock;
    this.#storeClock = storeClock;
  }

  /** How many below this path are to be waited for, and the names of those that have had their time; `undefined`: the path itself is not there. */
  async below(path: string): Promise<{ readonly waiting: number; readonly expired: readonly string[] } | undefined> {
    const names = await this.#namesBelow(path);
    if (names === undefined) return undefined;
    for (const seen of this.#seenAtMs.keys()) if (seen.startsWith(`${path}/`) && !names.includes(seen.slice(path.length + 1))) this.#seenAtMs.delete(seen);
    const aged = await Promise.all(names.map(async (name) => ({ name, expired: await this.#hasExpired(`${path}/${name}`) })));
    const expired = aged.flatMap((each) => (each.expired === true ? [each.name] : []));
    return { waiting: aged.filter((each) => each.expired === false).length, expired };
  }

  async #namesBelow(path: string): Promise<readonly string[] | undefined> {
    try {
      return (await this.#client.request({ op: "getChildren", path })).children;
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
      return undefined;
    }
  }

  /** `undefined`: it has just ended. */
  async #hasExpired(path: string): Promise<boolean | undefined> {
    const nowMs = this.#clock.monotonicMs();
    const sinceMs = this.#seenAtMs.get(path) ?? nowMs;
    this.#seenAtMs.set(path, sinceMs);
    try {
      const { data, stat } = await this.#client.request({ op: "getData", path });
      const { leaseMs } = readData(data, path) as OpenTransaction;
      return Math.max(nowMs - sinceMs, this.#storeClock.nowMs() - stat.createdMs) >= leaseMs;
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
      return undefined;
    }
  }
}
