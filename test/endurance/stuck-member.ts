import { setTimeout as pause } from "node:timers/promises";
import type { Channel, SendOptions } from "../../src/channel/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import type { Deeds } from "./member.ts";
import { Counter, numbered, numberOf } from "./numbered.ts";
import type { Count } from "./numbered.ts";

const BYTES = 1_024;
/** How many sends are under way at a time, where `send` waits for room. */
export const LANES = 64;

/** What the sender has done so far. */
export interface Sent {
  /** Messages that were taken for everybody; with numbers 1 to this. */
  readonly taken: number;
  readonly rejected: number;
  /** To the one that reads, on a topic of its own. */
  readonly takenByOther: number;
}

/** What a member has counted: messages that came, by topic; gaps; and messages of its own that were given up. */
export interface StuckCounts {
  readonly all: Count;
  readonly other: Count;
  readonly gaps: number;
  readonly undelivered: number;
}

/** The sender sends without end; a receiver's handler can be told to finish nothing. */
export function stuckMember(channel: Channel): Deeds {
  const counters = { all: new Counter(), other: new Counter() };
  let gaps = 0;
  let held: { readonly until: Promise<void>; readonly end: () => void } | undefined;
  channel.listen("all", async ({ payload }) => {
    await held?.until;
    counters.all.came(numberOf(payload));
  });
  channel.listen("other", ({ payload }) => counters.other.came(numberOf(payload)));
  channel.on("gap", () => void gaps++);
  let undelivered = 0;
  channel.on("undelivered", () => void undelivered++);

  const sent = { taken: 0, rejected: 0, takenByOther: 0 };
  const until = { stopped: true };
  let sending: Promise<unknown> = Promise.resolve();
  const options: SendOptions = { mode: "async", deadlineMs: 3_600_000 };
  let next = 1;
  const toStuck = async (name: string, deadlineMs: number) => {
    while (!until.stopped) {
      const number = next++;
      // What is rejected is sent again, as a sender would that has to.
      for (let taken = false; !taken; ) {
        try {
          await channel.send("all", numbered(number, BYTES), { ...options, deadlineMs, to: [name] });
          sent.taken++;
          taken = true;
        } catch (error) {
          if (!isTribuneError(error, "BACKPRESSURE")) throw error;
          sent.rejected++;
          await pause(5);
        }
      }
    }
  };
  const toOther = async (name: string) => {
    for (let number = 1; !until.stopped; number++) {
      await channel.send("other", numbered(number, BYTES), { ...options, to: [name] });
      sent.takenByOther++;
      if (number % 100 === 0) await pause(1);
    }
  };
  return {
    send: ({ stuck, other, lanes, deadlineMs }: { readonly stuck: string; readonly other: string; readonly lanes: number; readonly deadlineMs: number }) => {
      until.stopped = false;
      sending = Promise.all([...Array.from({ length: lanes }, () => toStuck(stuck, deadlineMs)), toOther(other)]);
    },
    stop: async () => {
      until.stopped = true;
      await sending;
      return sent;
    },
    sent: () => sent,
    hold: () => {
      let end = () => {};
      held = { until: new Promise<void>((resolve) => (end = resolve)), end: () => end() };
    },
    release: () => {
      held?.end();
      held = undefined;
    },
    counts: (): StuckCounts => ({ all: counters.all.count, other: counters.other.count, gaps, undelivered }),
  };
}
