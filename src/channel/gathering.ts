import { shown, TribuneError } from "../kernel/index.ts";

const POLICIES = ["first", "majority", "all", "none"] as const;

/** How many replies a request waits for. */
export type ReplyPolicy = (typeof POLICIES)[number];

/** Throws `INVALID_OPTIONS` for what is no policy: it would never be met. */
export function checkPolicy(policy: ReplyPolicy): void {
  if (!POLICIES.includes(policy)) throw new TribuneError("INVALID_OPTIONS", `there is no reply policy ${shown(policy)}`, { about: "policy", next: `say one of ${POLICIES.join(", ")}` });
}

/** How those who were asked have answered so far. */
export interface Tally {
  /** All who were asked, whatever became of them; this member too, if it was among them. */
  readonly asked: number;
  readonly replied: number;
  /** Of whom no reply will come: they left, failed, or refused. */
  readonly lost: number;
}

/**
 * Whether a request has what it waits for (`enough`), may still get it (`wait`), or cannot any more (`impossible`). Who left stays among those who were asked: otherwise a majority would shrink with each failure until one is a majority.
 */
export function gather(policy: ReplyPolicy, tally: Tally): "enough" | "wait" | "impossible" {
  const needed = repliesNeeded(policy, tally.asked);
  if (tally.replied >= needed) return "enough";
  return tally.asked - tally.lost < needed ? "impossible" : "wait";
}

/** How many of those who were asked have to reply. */
export function repliesNeeded(policy: ReplyPolicy, asked: number): number {
  switch (policy) {
    case "none":
      return 0;
    case "first":
      return 1;
    case "majority":
      return Math.floor(asked / 2) + 1;
    case "all":
      return asked;
  }
}
