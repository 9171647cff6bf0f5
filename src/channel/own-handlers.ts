import type { Clock } from "../kernel/index.ts";
import type { KnownPeer } from "../transport/index.ts";
import type { DeliveryResult } from "./delivery.ts";
import type { Kept } from "./kept.ts";
import type { ReceivedParts } from "./message.ts";
import type { Outcome } from "./messages.ts";

/** What giving messages to this member itself needs of the channel. */
export interface OwnHandlersPorts {
  readonly clock: Clock;
  handle(parts: ReceivedParts): Outcome | Promise<Outcome>;
}

/** Messages of this member to itself: in order where others get them in order, and waited for no longer than others. */
export class OwnHandlers {
  readonly #ports: OwnHandlersPorts;
  /** The last message, by topic. */
  readonly #last = new Map<string, Promise<void>>();
  /** Those whose outcome is awaited: each ends its wait, when it is called. */
  readonly #waits = new Set<(result: DeliveryResult) => void>();
  #isStopped = false;

  constructor(ports: OwnHandlersPorts) {
    this.#ports = ports;
  }

  /** Never before the caller's next turn. */
  give(topic: string, ordered: boolean, self: KnownPeer, kept: Kept): void {
    const message = { topic, from: self, payload: kept.payload, enveloped: kept.enveloped, view: kept.view, token: kept.token, election: kept.election, deadlineMs: 0 };
    const before = ordered ? (this.#last.get(topic) ?? Promise.resolve()) : Promise.resolve();
    const settle = kept.awaited ? this.#await(self, kept) : undefined;
    const handled = before.then(() => (this.#isStopped ? undefined : this.#ports.handle(message))).then((outcome) => void (outcome !== undefined && settle?.(outcome)));
    if (ordered) this.#last.set(topic, handled);
  }

  /** No handler is called any more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Whoever still waits is told that this member leaves. */
  leave(): void {
    for (const end of this.#waits) end({ status: "left" });
  }

  #await({ incarnation }: KnownPeer, kept: Kept): (result: DeliveryResult) => void {
    const { clock } = this.#ports;
    const end = (result: DeliveryResult) => {
      timer?.cancel();
      this.#waits.delete(end);
      kept.settle(incarnation, result);
    };
    const timer = Number.isFinite(kept.deadlineMs) ? clock.setTimer(kept.deadlineMs - clock.monotonicMs(), () => end({ status: "timeout" })) : undefined;
    this.#waits.add(end);
    return end;
  }
}
