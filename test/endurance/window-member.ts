import type { Channel } from "../../src/channel/index.ts";
import type { Deeds } from "./member.ts";
import { Counter, numbered, numberOf } from "./numbered.ts";

const BYTES = 64;
const DEADLINE_MS = 3_600_000;

/** One sends numbered messages, as fast as they are taken; the other counts them. */
export function windowMember(channel: Channel): Deeds {
  const counter = new Counter();
  let gaps = 0;
  let connections = 0;
  channel.listen("unordered", ({ payload }) => counter.came(numberOf(payload)));
  channel.on("gap", () => void gaps++);
  channel.on("reachability", ({ connected }) => void (connected && connections++));
  let sent = 0;
  return {
    send: async ({ to, messages }: { readonly to: string; readonly messages: number }) => {
      for (const end = sent + messages; sent < end; ) await channel.send("unordered", numbered(++sent, BYTES), { to: [to], mode: "async", deadlineMs: DEADLINE_MS });
    },
    counts: () => ({ ...counter.count, gaps, connections }),
  };
}
