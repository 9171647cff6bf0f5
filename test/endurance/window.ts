import { setTimeout as pause } from "node:timers/promises";
import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import { startCutter } from "./cutter.ts";
import type { Cutter } from "./cutter.ts";
import type { MemoryUse } from "./memory.ts";
import { Members, until } from "./members.ts";
import type { Member } from "./members.ts";
import type { Count } from "./numbered.ts";
import { finding, mib } from "./scenario.ts";
import type { Ground, Outcome } from "./scenario.ts";

type Counts = Count & { readonly gaps: number; readonly connections: number };

/** How much more a process may hold at the end than after the first part, in MiB. The receiver's own list of what it has seen is a bit for each message. */
const BOUND_MIB = 16;

/** Ten million messages through the window of a topic without order, over connections that are reset all the while: each is handled once, and nobody's memory grows. */
export async function window({ quick, say }: Ground): Promise<Outcome> {
  const parts = 10;
  const part = quick ? 2_000 : 1_000_000;
  const cutAfterMs = quick ? 50 : 2_000;
  const keys = { ring: encodeRing(newRing(systemRandom, 0)) };
  const members = new Members();
  const cutters = [await startCutter(), await startCutter()];
  const over = new AbortController();
  try {
    const orders = ["sender", "receiver"].map((name, at) => ({ scenario: "window", name, keys, options: { unordered: ["unordered"], maxRetries: 1_000_000 }, advertise: cutters[at]?.address ?? "" }) as const);
    const [sender, receiver] = (await members.start(orders)) as [Member, Member];
    for (const [at, member] of [sender, receiver].entries()) (cutters[at] as Cutter).target = await member.call<string>("listening");
    await members.publish(members.all);
    const looks: Array<{ readonly sender: MemoryUse; readonly receiver: MemoryUse }> = [];
    const cutting = cutAgainAndAgain(sender, receiver, () => cutters.forEach((cutter) => cutter.cut()), cutAfterMs, over.signal);
    const beganMs = performance.now();
    for (let done = 1; done <= parts; done++) {
      await sender.call("send", { to: receiver.name, messages: part });
      looks.push({ sender: await sender.call<MemoryUse>("memory"), receiver: await receiver.call<MemoryUse>("memory") });
      say(`window: ${done * part} of ${parts * part} messages, sender holds ${mib(looks.at(-1)?.sender.live ?? 0)}, receiver ${mib(looks.at(-1)?.receiver.live ?? 0)}`);
    }
    const counts = () => receiver.call<Counts>("counts");
    await until("everything has arrived", async () => (await counts()).received >= parts * part).catch((error: unknown) => say((error as Error).message));
    over.abort();
    const cuts = await cutting;
    const tookS = (performance.now() - beganMs) / 1_000;
    const { received, twice, gaps, connections } = await counts();
    const growth = (who: "sender" | "receiver") => Math.max(...looks.slice(1).map((look) => look[who].live)) - (looks[0]?.[who].live ?? 0);
    return {
      findings: [
        finding("each message is handled once", received === parts * part && twice === 0 && gaps === 0, `${received} of ${parts * part} handled, ${twice} twice, ${gaps} gaps`),
        finding("connections were reset meanwhile", cuts > 0 && connections > 1, `${cuts} times, ${connections} connections`),
        ...(["receiver", "sender"] as const).map((who) => finding(`what the ${who} holds does not grow`, growth(who) <= BOUND_MIB, `${mib(growth(who))} more at the most than after the first tenth`)),
      ],
      lines: [`${parts * part} messages in ${tookS.toFixed(0)} s; after each tenth the sender held ${looks.map((look) => look.sender.live.toFixed(0)).join(", ")} MiB, the receiver ${looks.map((look) => look.receiver.live.toFixed(0)).join(", ")} MiB; rss at the end ${mib(looks.at(-1)?.sender.rss ?? 0)} and ${mib(looks.at(-1)?.receiver.rss ?? 0)}.`],
    };
  } finally {
    over.abort();
    for (const cutter of cutters) cutter.close();
    await members.end();
  }
}

/** Each reset makes the next attempt to connect wait longer: more of them than this would measure little else. */
const MOST_CUTS = 20;

/** Each time that there is a connection, it is reset a while later. Resolves with how often. */
async function cutAgainAndAgain(sender: Member, receiver: Member, cut: () => void, afterMs: number, signal: AbortSignal): Promise<number> {
  let cuts = 0;
  while (!signal.aborted && cuts < MOST_CUTS) {
    await until("there is a connection", async () => signal.aborted || (await sender.call<boolean>("connected", [receiver.name])));
    await pause(afterMs);
    if (signal.aborted) break;
    cut();
    cuts++;
  }
  return cuts;
}
