import { setTimeout as pause } from "node:timers/promises";
import type { StateProgress, StateReport } from "../../src/channel/index.ts";
import { systemRandom } from "../../src/kernel/index.ts";
import { encodeRing, newRing } from "../../src/transport/index.ts";
import type { MemorySeen, MemoryUse } from "./memory.ts";
import { Members, until } from "./members.ts";
import type { Member } from "./members.ts";
import { finding, mib } from "./scenario.ts";
import type { Ground, Outcome } from "./scenario.ts";
import type { Written } from "./state-member.ts";

/** How long it takes until the members are told that the giver is gone, in milliseconds: as membership would with evidence of death. */
const NOTICE_MS = 200;

/** Beside the state itself, in MiB, for whom it comes. */
const OVERHEAD_MIB = 256;

/** A large state reaches a member that joins, while others write to it; the one that gives it is killed half-way. */
export async function state({ quick, say }: Ground): Promise<Outcome> {
  const [count, bytes] = quick ? [20_000, 492] : [1_000_000, 492];
  const entryBytes = bytes + 8;
  const totalBytes = count * entryBytes;
  const keys = { ring: encodeRing(newRing(systemRandom, 0)) };
  const members = new Members();
  try {
    const [oldest, writer, joiner] = (await members.start(["oldest", "writer", "joiner"].map((name) => ({ scenario: "state", name, keys, options: {} })))) as [Member, Member, Member];
    say(`state: two members make ${count} entries`);
    await Promise.all([oldest, writer].map((member) => member.call("fill", { count, bytes })));
    await members.publish([oldest, writer]);
    await Promise.all([oldest, writer].map((member) => member.call("begin")));
    const before = { oldest: await oldest.call<MemoryUse>("memory"), writer: await writer.call<MemoryUse>("memory"), joiner: await joiner.call<MemoryUse>("memory") };
    await writer.call("write", { count, everyMs: 1 });
    await members.publish([oldest, writer, joiner]);
    await Promise.all([writer, joiner].map((member) => member.call("watchMemory")));
    const beganMs = performance.now();
    await joiner.call("obtain", { bytes });
    let half: StateProgress | undefined;
    let told = 0;
    await until("half of the state has come", async () => {
      half = (await joiner.call<StateProgress | null>("progress")) ?? undefined;
      const share = (half?.bytes ?? 0) / totalBytes;
      if (share >= told + 0.1) say(`state: ${Math.round(100 * (told = share))} % from ${half?.from}`);
      return share >= 0.5;
    });
    const halfS = (performance.now() - beganMs) / 1_000;
    say("state: SIGKILL of the giver");
    oldest.signal("SIGKILL");
    await pause(NOTICE_MS);
    await members.publish([writer, joiner]);
    const [report] = (await joiner.call<StateReport[]>("obtained")) as [StateReport];
    const tookS = (performance.now() - beganMs) / 1_000;
    const written = await writer.call<Written>("stopWriting");
    const seen = { writer: await writer.call<MemorySeen>("memorySeen"), joiner: await joiner.call<MemorySeen>("memorySeen") };
    say("state: comparing");
    const [there, here] = await Promise.all([writer, joiner].map((member) => member.call<{ readonly entries: number; readonly digest: string }>("digest")));
    const ms = [...written.ms].sort((a, b) => a - b);
    const at = (share: number) => `${(ms[Math.min(ms.length - 1, Math.floor(share * ms.length))] ?? 0).toFixed(1)} ms`;
    const sizeMib = totalBytes / 2 ** 20;
    const growth = { joiner: seen.joiner.most.live - before.joiner.live, writer: seen.writer.most.live - before.writer.live };
    return {
      findings: [
        finding("the joiner has what the others have", here?.entries === count && here.digest === there?.digest, `${here?.entries} of ${count} entries, ${here?.digest === there?.digest ? "the same" : "not the same"} content`),
        finding("it was given by one, and then by the other", half?.from === "oldest" && report.from.join(" ") === "oldest writer", `by ${report.from.join(", then ")}`),
        finding("nothing was given twice", report.bytes === totalBytes, `${report.bytes} bytes came of ${totalBytes}`),
        finding("writes went on", written.failed === 0 && written.writes > 0, `${written.writes} acknowledged writes, ${written.failed} of them failed`),
        finding("what the joiner holds is bounded", growth.joiner <= 2 * sizeMib + OVERHEAD_MIB, `${mib(growth.joiner)} more at the most, for a state of ${mib(sizeMib)}`),
        finding("what the giver holds is bounded", growth.writer <= OVERHEAD_MIB, `${mib(growth.writer)} more at the most`),
      ],
      lines: [
        `${count} entries, ${mib(sizeMib)}: half of it in ${halfS.toFixed(1)} s, all in ${tookS.toFixed(1)} s with the kill in it, ${report.pages} pages; rss of the joiner at the most ${mib(seen.joiner.most.rss)}, of the second giver ${mib(before.writer.rss)} before and ${mib(seen.writer.most.rss)} at the most.`,
        `Acknowledged writes meanwhile: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)} (the kill is in it: until then the one that is dead was waited for).`,
      ],
    };
  } finally {
    await members.end();
  }
}
