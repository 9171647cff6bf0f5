import { sleep } from "../../kernel/index.ts";
import type { Clock } from "../../kernel/index.ts";
import type { ZookeeperClient } from "./client/client.ts";
import { isZookeeperError } from "./client/codes.ts";
import { ANY_VERSION } from "./client/records.ts";
import type { Acl, WatchEvent } from "./client/records.ts";

/** A queue that has not moved for so long is held up by whoever stands first: that place is taken away. */
const PATIENCE_MS = 1_000;

/** The digits that ZooKeeper puts behind the name of a znode that is made in a sequence. */
const SEQUENCE_DIGITS = 10;

/** What a queue is made of. */
export interface TurnsPorts {
  readonly client: ZookeeperClient;
  readonly clock: Clock;
  /** The znode that places are below. */
  readonly path: string;
  readonly acl: readonly Acl[];
  readonly ended: AbortSignal;
}

/**
 * A queue for those who met others while they changed the document: one after the other, so that of a crowd each has to try once. It is a courtesy and decides nothing. Who stands first may be frozen or gone, and loses
 * its place if it takes long; and who has not queued goes when it likes. Which change comes first is decided by the version of the document, as ever.
 */
export class Turns {
  readonly #ports: TurnsPorts;
  /** Who is to be told that a place is free, by its path. */
  readonly #waiting = new Map<string, () => void>();
  readonly #held = new Set<string>();
  #entering = 0;

  constructor(ports: TurnsPorts) {
    this.#ports = ports;
  }

  /** The places that are held here. */
  get held(): readonly string[] {
    return [...this.#held];
  }

  /** Whether a place was asked for, and the answer may never come. */
  get isEntering(): boolean {
    return this.#entering > 0;
  }

  /** Takes a place at the end; answers its path. It goes with the session, should nobody give it back. */
  async enter(): Promise<string> {
    const { client, path, acl } = this.#ports;
    const data = Buffer.alloc(0);
    this.#entering += 1;
    for (;;) {
      try {
        const place = await client.request({ op: "create", path: `${path}/`, data, acl, ephemeral: true, sequential: true });
        this.#held.add(place.path);
        this.#entering -= 1;
        return place.path;
      } catch (error) {
        if (isZookeeperError(error, "BROKEN")) throw error;
        if (!isZookeeperError(error, "NONODE")) {
          this.#entering -= 1;
          throw error;
        }
        // A group of before there were queues.
        await client.request({ op: "create", path, data, acl }).catch(unlessThere);
      }
    }
  }

  /** Resolves with the truth when it is this place's turn and what `prepare` began then is done; with `false` when the place is not there any more. */
  async untilNext(place: string, untilMs: number, prepare: () => Promise<unknown>): Promise<boolean> {
    const { client, clock, path } = this.#ports;
    let prepared: Promise<unknown> | undefined;
    let ahead = Number.POSITIVE_INFINITY;
    for (;;) {
      const { children } = await client.request({ op: "getChildren", path });
      const queue = [...children].sort(bySequence);
      const index = queue.indexOf(place.slice(path.length + 1));
      if (index === -1) {
        this.#held.delete(place);
        return false;
      }
      const [first, before] = [queue[0], queue[index - 1]];
      if (first === undefined || before === undefined || clock.monotonicMs() >= untilMs) {
        await (prepared ?? prepare());
        return true;
      }
      if (index >= ahead) await this.#remove(`${path}/${first}`);
      ahead = index;
      prepared = (await this.#untilGone(`${path}/${before}`, Math.min(PATIENCE_MS, untilMs - clock.monotonicMs()))) ? prepare() : undefined;
      prepared?.catch(() => undefined);
    }
  }

  /** Gives a place back. Not waited for: should it fail, the place goes with the session. */
  leave(place: string): void {
    this.#remove(place).then(() => this.left(place), () => undefined);
  }

  /** A place was given back as part of something else. */
  left(place: string): void {
    this.#held.delete(place);
  }

  /** Told of each change that was asked to be told of. */
  heard({ path }: WatchEvent): void {
    this.#waiting.get(path)?.();
  }

  async #remove(place: string): Promise<void> {
    try {
      await this.#ports.client.request({ op: "delete", path: place, version: ANY_VERSION });
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
    }
  }

  /** Answers whether it went within the time. */
  async #untilGone(path: string, withinMs: number): Promise<boolean> {
    const { client, clock, ended } = this.#ports;
    const over = new AbortController();
    const end = () => over.abort();
    let isGone = false;
    this.#waiting.set(path, () => {
      isGone = true;
      end();
    });
    ended.addEventListener("abort", end, { once: true });
    try {
      await client.request({ op: "exists", path, watch: true });
      if (!isGone) await sleep(clock, withinMs, over.signal);
    } catch (error) {
      if (!isZookeeperError(error, "NONODE")) throw error;
      isGone = true;
    } finally {
      this.#waiting.delete(path);
      ended.removeEventListener("abort", end);
    }
    return isGone;
  }
}

/** Numbers are given by the parent, and all have the same number of digits. */
function bySequence(a: string, b: string): number {
  return a.slice(-SEQUENCE_DIGITS) < b.slice(-SEQUENCE_DIGITS) ? -1 : 1;
}

function unlessThere(error: unknown): void {
  if (!isZookeeperError(error, "NODEEXISTS")) throw error;
}
