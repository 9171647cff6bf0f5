import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { KeyDescription } from "../../src/transport/index.ts";
import type { SentWithKeys } from "./keys-member.ts";
import { Members, until } from "./members.ts";
import type { Member } from "./members.ts";
import type { Count } from "./numbered.ts";
import { finding } from "./scenario.ts";
import type { Ground, Outcome } from "./scenario.ts";

type Counts = Count & { readonly gaps: number; readonly acknowledged: number; readonly connections: number };

/** The key of a group is rotated again and again while its members talk: nothing is lost, and who has kept an old key is refused. */
export async function keys({ quick, say }: Ground): Promise<Outcome> {
  const rotations = quick ? 1 : 10;
  const betweenMs = quick ? 100 : 1_000;
  const folder = await mkdtemp(join(tmpdir(), "tribune-endurance-"));
  const file = join(folder, "store.db");
  const members = new Members();
  try {
    const orders = (name: string) => ({ scenario: "keys", name, keys: { file }, options: { maxRetries: 1_000 } }) as const;
    const first = await members.start([orders("sender")]);
    const [sender, one, two] = [...first, ...(await members.start([orders("receiver-1"), orders("receiver-2")]))] as [Member, Member, Member];
    const all = [sender, one, two];
    const target = { name: one.name, address: await one.call<string>("address") };
    await members.publish(all, ["intruder"]);
    await members.connected(all);
    const intrude = (ring: string) => two.call<string>("intrude", { as: "intruder", ring, at: target });
    const beginnings = await connectionsOf(all);
    await sender.call("send");
    const refusals: Array<{ readonly before: string; readonly after: string }> = [];
    const beganMs = performance.now();
    for (let n = 1; n <= rotations; n++) {
      const kept = await sender.call<string>("ring");
      const before = await intrude(kept);
      const former = (await sender.call<KeyDescription[]>("describe")).find(({ state }) => state === "active")?.id ?? "";
      const id = await sender.call<string>("introduce");
      await untilAllHave(all, id, "accepted");
      await pause(betweenMs);
      await sender.call("activate", id);
      await untilAllHave(all, id, "active");
      await pause(betweenMs);
      await sender.call("retire", former);
      await untilAllHave(all, former, "retired");
      await pause(betweenMs);
      refusals.push({ before, after: await intrude(kept) });
      say(`keys: rotation ${n} of ${rotations}; with the key that was kept: ${before} before, ${refusals.at(-1)?.after} after`);
    }
    const sent = await sender.call<SentWithKeys>("stop");
    const tookS = (performance.now() - beganMs) / 1_000;
    const counts = async () => await Promise.all([one, two].map((member) => member.call<Counts>("counts")));
    await until("everything has arrived", async () => (await counts()).every(({ received }) => received >= sent.asynchronous)).catch((error: unknown) => say((error as Error).message));
    const received = await counts();
    const anew = (await connectionsOf(all)).map((connections, at) => connections - (beginnings[at] ?? 0));
    return {
      findings: [
        ...received.map((each, at) => finding(`receiver-${at + 1} got everything once, in order`, each.received === sent.asynchronous && each.twice === 0 && each.outOfOrder === 0 && each.gaps === 0, `${each.received} of ${sent.asynchronous}, ${each.twice} twice, ${each.outOfOrder} out of order, ${each.gaps} gaps`)),
        finding("what was acknowledged was handled", sent.failed === 0 && sent.acknowledged > 0 && received.every(({ acknowledged }) => acknowledged === sent.acknowledged), `${sent.acknowledged} acknowledged, ${sent.failed} failed; ${received.map(({ acknowledged }) => acknowledged).join(" and ")} handled`),
        finding("who has kept the old key is refused", refusals.every(({ before, after }) => before === "taken" && after === "unauthenticated"), refusals.map(({ before, after }) => `${before}, then ${after}`).join("; ")),
        finding("connections were made anew with the new keys", anew.every((each) => each > 0), `${anew.join(", ")} connections per member beside the first`),
      ],
      lines: [`${rotations} rotations in ${tookS.toFixed(0)} s under ${Math.round((2 * sent.asynchronous) / tookS)} asynchronous messages/s delivered and ${Math.round(sent.acknowledged / tookS)} acknowledged broadcasts/s.`],
    };
  } finally {
    await members.end();
    await rm(folder, { recursive: true, force: true });
  }
}

async function untilAllHave(members: readonly Member[], id: string, state: KeyDescription["state"]): Promise<void> {
  await until(`everybody has the key ${id} as ${state}`, async () => (await Promise.all(members.map((member) => member.call<KeyDescription[]>("describe")))).every((keys) => keys.some((key) => key.id === id && key.state === state)));
}

async function connectionsOf(members: readonly Member[]): Promise<number[]> {
  return (await Promise.all(members.map((member) => member.call<Counts>("counts")))).map(({ connections }) => connections);
}
