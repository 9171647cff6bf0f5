import type { KnownPeer, PeerIdentity } from "../transport/index.ts";
import { Delivery } from "./delivery.ts";
import type { DeliveryResult } from "./delivery.ts";
import type { Settling } from "./kept.ts";
import type { Flow, PeerFlows } from "./peer.ts";

/** One member that a message is for. */
export interface Target {
  readonly member: KnownPeer;
  /** `undefined`: this member itself. */
  readonly way: { readonly peer: PeerFlows; readonly flow: Flow } | undefined;
}

/** What became of a message: one result per target. In mode `async` there are none but for targets that do not exist. */
export interface SendReport {
  /** By node, in order of joining. */
  readonly results: ReadonlyMap<string, DeliveryResult>;
  /** Every target has handled it. `false` in mode `async`, in which nobody knows, and where there is no coordinator, or no oldest member, to send it to. */
  readonly ok: boolean;
}

/** A message that nobody awaited, and was given up. */
export interface Undelivered {
  readonly topic: string;
  readonly to: PeerIdentity;
  readonly result: DeliveryResult;
}

/** Those whom messages of one topic are for, worked out once for each view. Told of what nobody awaits and was given up. */
export class Addressed implements Settling {
  readonly topic: string;
  readonly targets: readonly Target[];
  readonly incarnations: readonly string[];
  readonly #undelivered: (event: Undelivered) => void;

  constructor(topic: string, targets: readonly Target[], undelivered: (event: Undelivered) => void) {
    this.topic = topic;
    this.targets = targets;
    this.incarnations = targets.map(({ member }) => member.incarnation);
    this.#undelivered = undelivered;
  }

  settle(incarnation: string, result: DeliveryResult): void {
    const to = this.targets.find(({ member }) => member.incarnation === incarnation)?.member;
    if (to !== undefined) this.#undelivered({ topic: this.topic, to: { node: to.node, incarnation }, result });
  }
}

/** Gathers the results of a message that is acknowledged, until every target has one. */
export class Acknowledgement implements Settling {
  readonly #to: Addressed;
  readonly #missing: readonly string[];
  readonly #delivery: Delivery<string>;
  readonly #finish: (report: SendReport) => void;
  readonly #okWithNobody: boolean;

  /** `missing`: nodes that were named and are no members. `okWithNobody`: that there is no target is no failure. `finish`: called once, at once if there is nothing to wait for. */
  constructor(to: Addressed, missing: readonly string[], okWithNobody: boolean, finish: (report: SendReport) => void) {
    this.#to = to;
    this.#missing = missing;
    this.#delivery = new Delivery(to.incarnations);
    this.#okWithNobody = okWithNobody;
    this.#finish = finish;
    if (this.#delivery.done) finish(this.#report());
  }

  settle(incarnation: string, result: DeliveryResult): void {
    if (this.#delivery.settle(incarnation, result) && this.#delivery.done) this.#finish(this.#report());
  }

  #report(): SendReport {
    const results = leftAlready(this.#missing);
    let ok = this.#missing.length === 0 && (this.#okWithNobody || this.#to.targets.length > 0);
    for (let at = 0; at < this.#to.targets.length; at++) {
      const [target, result] = [this.#to.targets[at], this.#delivery.result(at)];
      if (target === undefined || result === undefined) continue;
      results.set(target.member.node, result);
      ok &&= result.status === "delivered";
    }
    return { results, ok };
  }
}

/** The results of nodes that were named and are no members. */
export function leftAlready(missing: readonly string[]): Map<string, DeliveryResult> {
  const results = new Map<string, DeliveryResult>();
  for (const node of missing) results.set(node, { status: "left" });
  return results;
}
