import { setTimeout as pause } from "node:timers/promises";
import { systemRandom } from "../../src/kernel/index.ts";
import { DEFAULT_CHANNEL_OPTIONS } from "../../src/channel/options.ts";
import { DEFAULT_LINK_OPTIONS, encodeRing, newRing } from "../../src/transport/index.ts";
import type { MemorySeen, MemoryUse } from "./memory.ts";
import { Members, until } from "./members.ts";
import type { Member } from "./members.ts";
import { finding, mib } from "./scenario.ts";
import type { Finding, Ground, Outcome } from "./scenario.ts";
import { LANES } from "./stuck-member.ts";
import type { Sent, StuckCounts } from "./stuck-member.ts";

/** How a receiver stops reading: its handler finishes nothing, or its process is frozen. And what the sender does: waits for room, or is told that there is none; with deadlines of an hour, or so short that everything is given up meanwhile. */
const CASES = (["handler", "frozen"] as const).flatMap((way) => (["wait", "reject"] as const).map((policy) => ({ way, policy, deadlineMs: 3_600_000 }))).concat((["wait", "reject"] as const).map((policy) => ({ way: "frozen", policy, deadlineMs: 50 })));
type Case = (typeof CASES)[number];

/** Beside what is kept: headers, entries, and what the JavaScript engine makes of it. */
const OVERHEAD_MIB = 32;

/** What a sender may hold for one receiver that does not read, in MiB. */
const BOUND_MIB = (DEFAULT_CHANNEL_OPTIONS.keptBytes + DEFAULT_LINK_OPTIONS.queueBytes) / 2 ** 20 + OVERHEAD_MIB;

/** A receiver stops reading for a minute, while its sender goes on: nothing grows without bound, nobody else is held up, and nothing is lost. */
export async function stuck(ground: Ground): Promise<Outcome> {
  const seconds = ground.quick ? 6 : 60; // longer than `silenceMs`
  const all = await Promise.all(CASES.map((each) => one(each, seconds, ground)));
  return { findings: all.flatMap(({ findings }) => findings), lines: [`One sender, one receiver that reads nothing for ${seconds} s, one that does; messages of 1 KiB. Bound for what the sender holds: ${mib(BOUND_MIB)} more than before.`, ...all.flatMap(({ lines }) => lines)] };
}

async function one({ way, policy, deadlineMs }: Case, seconds: number, { say }: Ground): Promise<Outcome> {
  const isPatient = deadlineMs > 1_000 * seconds;
  const title = `${way}, whenFull: "${policy}"${isPatient ? "" : `, deadlines of ${deadlineMs} ms`}`;
  const keys = { ring: encodeRing(newRing(systemRandom, 0)) };
  const members = new Members();
  try {
    const [sender, victim, other] = (await members.start(["sender", "victim", "other"].map((name) => ({ scenario: "stuck", name, keys, options: { whenFull: policy } })))) as [Member, Member, Member];
    await members.publish(members.all);
    await members.connected(members.all);
    // Where nothing waits, one lane keeps the order of its numbers.
    await sender.call("send", { stuck: victim.name, other: other.name, deadlineMs, lanes: policy === "reject" ? 1 : LANES });
    await until("messages arrive", async () => (await victim.call<StuckCounts>("counts")).all.received > 1_000);
    const before = await sender.call<MemoryUse>("memory");
    const receiverBefore = await victim.call<MemoryUse>("memory");
    say(`stuck, ${title}: stops reading for ${seconds} s`);
    if (way === "frozen") victim.signal("SIGSTOP");
    else await victim.call("hold");
    await sender.call("watchMemory");
    const otherBefore = (await other.call<StuckCounts>("counts")).other.received;
    await pause(seconds * 1_000);
    const seen = await sender.call<MemorySeen>("memorySeen");
    const during = await sender.call<Sent>("sent");
    const otherDuring = (await other.call<StuckCounts>("counts")).other.received - otherBefore;
    if (way === "frozen") victim.signal("SIGCONT");
    const receiverAfter = await victim.call<MemoryUse>("memory");
    if (way === "handler") await victim.call("release");
    say(`stuck, ${title}: reads again`);
    const stopped = sender.call<Sent>("stop");
    const { taken } = await stopped;
    const counts = () => victim.call<StuckCounts>("counts");
    const givenUp = async () => (await sender.call<StuckCounts>("counts")).undelivered;
    await until(`${title}: everything has arrived, or was given up`, async () => (await counts()).all.received + (await givenUp()) >= taken).catch((error: unknown) => say((error as Error).message));
    const { all, gaps } = await counts();
    const undelivered = await givenUp();
    const isWhole = isPatient ? all.received === taken && undelivered + gaps === 0 : all.received + undelivered >= taken && gaps > 0; // what is given up on its way may arrive all the same
    const growth = seen.most.live - before.live;
    const half = seen.looks.slice(Math.floor(seen.looks.length / 2)).map(({ live }) => live);
    const findings: Finding[] = [
      finding(`${title}: what the sender holds is bounded`, growth <= BOUND_MIB, `${mib(growth)} more at the most`),
      finding(`${title}: what the receiver holds is bounded`, way === "frozen" || receiverAfter.live - receiverBefore.live <= BOUND_MIB, `${mib(receiverAfter.live - receiverBefore.live)} more`),
      finding(`${title}: the other receiver goes on`, otherDuring > 0, `${otherDuring} messages meanwhile`),
      finding(`${title}: nothing is lost untold, or twice, or out of order`, isWhole && all.twice === 0 && all.outOfOrder === 0, `${taken} taken, ${all.received} received, ${undelivered} given up, ${gaps} gaps, ${all.twice} twice, ${all.outOfOrder} out of order`),
      ...(policy === "reject" ? [finding(`${title}: the sender is told`, during.rejected > 0, `${during.rejected} times BACKPRESSURE`)] : []),
    ];
    return { findings, lines: [`${title}: sender before ${said(before)}, at the most ${said(seen.most)}, live in the second half ${mib(Math.min(...half))} to ${mib(Math.max(...half))}; receiver before ${said(receiverBefore)}, after ${said(receiverAfter)}; ${during.taken} taken until then, of ${taken} in all.`] };
  } finally {
    await members.end();
  }
}

function said({ rss, live }: MemoryUse): string {
  return `rss ${mib(rss)}, live ${mib(live)}`;
}
