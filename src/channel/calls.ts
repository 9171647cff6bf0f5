import { shown, TribuneError } from "../kernel/index.ts";
import type { SentToken } from "./demands.ts";
import type { ReplyPolicy } from "./gathering.ts";
import type { SendMode } from "./options.ts";
import type { Targets } from "./targets.ts";

/** What a message is sent with. */
export interface SendOptions {
  /** Default "others". */
  readonly to?: Targets;
  /** Default: the channel's. */
  readonly mode?: SendMode;
  /** How long it is tried, in milliseconds. Default: the channel's. */
  readonly deadlineMs?: number;
  /** Ends the wait, not the message. */
  readonly signal?: AbortSignal;
  /** The sender's fencing token. */
  readonly token?: SentToken;
}

/** Throws `INVALID_OPTIONS` for what is no time to wait: nothing would be waited for, or for ever. */
export function checkDeadline(deadlineMs: number): void {
  if (!(deadlineMs > 0)) throw new TribuneError("INVALID_OPTIONS", `a deadline cannot be ${shown(deadlineMs)}`, { about: "deadlineMs", next: "give milliseconds from now on, or leave it out" });
}

/** What is asked with. */
export interface RequestOptions {
  /** Default "any". */
  readonly to?: Targets;
  /** How many replies are waited for: the first, more than half of those who were asked, all, or none. Default "first". */
  readonly policy?: ReplyPolicy;
  /** How long is waited, in milliseconds; those who are asked are told what is left of it. Default: the channel's. */
  readonly deadlineMs?: number;
  /** Ends the wait, and tells those who are asked to stop. */
  readonly signal?: AbortSignal;
  readonly token?: SentToken;
}

/** What a stream of replies is asked for with. */
export interface StreamOptions {
  /** Of whom one is asked. Default "any". */
  readonly to?: Exclude<Targets, "all" | "others">;
  /** How long the whole stream may last, in milliseconds. Default: for ever. */
  readonly deadlineMs?: number;
  /** Ends the stream, and tells who gives it to stop. */
  readonly signal?: AbortSignal;
  /** How many replies may be under way or wait to be taken. Larger: fewer waits on a slow way, for more memory. Default 16. */
  readonly window?: number;
  readonly token?: SentToken;
}
