import type { Clock, Logger } from "../kernel/index.ts";
import type { RefusalReason } from "./transport.ts";

/** At most one line about one reason in so many milliseconds: a thousand strangers must not fill a disk. */
const LINE_EVERY_MS = 10_000;

const REASONS: readonly RefusalReason[] = ["unauthenticated", "malformed", "slow", "crowded", "wrong-group", "version", "unknown-peer", "wrong-identity", "not-here", "duplicate"];

/** What belongs to the ordinary life of a group: views differ for a moment, both sides dial. */
const ORDINARY: readonly RefusalReason[] = ["unknown-peer", "not-here", "duplicate"];

/** Counts connections of others that were not taken, and says so, at a limited rate for each reason. */
export class Refusals {
  readonly counts: Record<RefusalReason, number> = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<RefusalReason, number>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lines = new Map<RefusalReason, { lastMs: number; unsaid: number }>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  add(reason: RefusalReason, remote: string, detail: string): void {
    this.counts[reason]++;
    const nowMs = this.#clock.monotonicMs();
    const line = this.#lines.get(reason);
    if (line !== undefined && nowMs - line.lastMs < LINE_EVERY_MS) {
      line.unsaid++;
      return;
    }
    this.#lines.set(reason, { lastMs: nowMs, unsaid: 0 });
    this.#logger[ORDINARY.includes(reason) ? "debug" : "warn"]({ code: "PEER_REFUSED", reason, remote, detail, before: line?.unsaid ?? 0 }, `a connection was refused: ${reason}`);
  }
}
