/** What became of a message at one target. */
export type DeliveryResult =
  /** Its handlers have finished. */
  | { readonly status: "delivered" }
  /** A handler threw, or nobody listens to the topic there; or the message was refused. */
  | { readonly status: "failed"; readonly code: string; readonly message: string }
  /** It left the group while the outcome was awaited. Whether it handled the message is not known. */
  | { readonly status: "left" }
  /** Not known in time. */
  | { readonly status: "timeout" };

/** The results of one message, by target: each gets exactly one, the first that comes. */
export class Delivery<Target> {
  readonly #targets: readonly Target[];
  /** In the order of the targets: there are few, and a list costs less than a map. */
  readonly #results: Array<DeliveryResult | undefined>;
  #missing: number;

  /** Each target once. */
  constructor(targets: readonly Target[]) {
    this.#targets = targets;
    this.#results = targets.map(() => undefined);
    this.#missing = targets.length;
  }

  /** Every target has a result. */
  get done(): boolean {
    return this.#missing === 0;
  }

  /** Takes a result; later ones, and those of others than the targets, change nothing. Returns whether it counted. */
  settle(target: Target, result: DeliveryResult): boolean {
    const at = this.#targets.indexOf(target);
    if (at === -1 || this.#results[at] !== undefined) return false;
    this.#results[at] = result;
    this.#missing--;
    return true;
  }

  /** That of a target, by its place; `undefined` as long as there is none. */
  result(at: number): DeliveryResult | undefined {
    return this.#results[at];
  }

  /** What has come so far, in the order of the targets; one each, once it is done. */
  results(): ReadonlyMap<Target, DeliveryResult> {
    const results = new Map<Target, DeliveryResult>();
    for (const [at, target] of this.#targets.entries()) {
      const result = this.#results[at];
      if (result !== undefined) results.set(target, result);
    }
    return results;
  }
}
