import type { Cluster } from "tribune";

/** How long a member that could not be told may serve an old value. */
const LONGEST_AGE_MS = 10_000;

/** How long the others are given to drop a value. */
const DEADLINE_MS = 1_000;

/**
 * A cache of values that others may change. Whoever has changed one says so, and knows afterwards who has dropped it. Make it before the cluster starts.
 */
export class Cache<Value> {
  readonly #cluster: Cluster;
  readonly #topic: string;
  readonly #load: (key: string) => Promise<Value> | Value;
  readonly #values = new Map<string, { readonly value: Value; readonly untilMs: number }>();
  /** Counts what was dropped, so that a value which was being loaded meanwhile is not kept. */
  #drops = 0;

  constructor(cluster: Cluster, topic: string, load: (key: string) => Promise<Value> | Value) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#load = load;
    cluster.channel.listen(topic, (message) => this.#drop(message.value() as string));
    // Where something may have been missed, nothing that is here can be trusted.
    cluster.channel.on("gap", (gap) => gap.topic === topic && this.#dropAll());
    cluster.on("lost", () => this.#dropAll());
    cluster.on("rejoined", () => this.#dropAll());
  }

  async get(key: string): Promise<Value> {
    const kept = this.#values.get(key);
    if (kept !== undefined && kept.untilMs > performance.now()) return kept.value;
    const before = this.#drops;
    const value = await this.#load(key);
    // Without a place in the group nobody would tell of a change.
    if (before === this.#drops && this.#cluster.health().state === "member") this.#values.set(key, { value, untilMs: performance.now() + LONGEST_AGE_MS });
    return value;
  }

  /** To be called after a value was changed where it is kept. Resolves with the nodes that may serve the old one for up to 10 s: none, as a rule. */
  async changed(key: string): Promise<string[]> {
    this.#drop(key);
    const { results } = await this.#cluster.channel.send(this.#topic, key, { to: "others", deadlineMs: DEADLINE_MS });
    return [...results].filter(([, { status }]) => status !== "delivered" && status !== "left").map(([node]) => node);
  }

  #drop(key: string): void {
    this.#drops++;
    this.#values.delete(key);
  }

  #dropAll(): void {
    this.#drops++;
    this.#values.clear();
  }
}
