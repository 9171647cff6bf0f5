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
  readonly #results = new Map<Target, DeliveryResult>();
  readonly #waiting: Set<Target>;
  readonly #targets: readonly Target[];

  constructor(targets: Iterable<Target>) {
    this.#waiting = new Set(targets);
    this.#targets = [...this.#waiting];
  }

  /** Every target has a result. */
  get done(): boolean {
    return this.#waiting.size === 0;
  }

  /** Takes a result; later ones, and those of others than the targets, change nothing. Returns whether it counted. */
  settle(target: Target, result: DeliveryResult): boolean {
    if (!this.#waiting.delete(target)) return false;
    this.#results.set(target, result);
    return true;
  }

  /** What has come so far, in the order of the targets; one each, once it is done. */
  results(): ReadonlyMap<Target, DeliveryResult> {
    return new Map(this.#targets.flatMap((target) => {
      const result = this.#results.get(target);
      return result === undefined ? [] : [[target, result] as const];
    }));
  }
}
