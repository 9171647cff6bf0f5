/**
 * A member of its own process whose session holds evidence and which goes on beating. Says what its session holds, then its incarnation with each beat; ends when it is killed.
 * What it is to do is in its environment: HOLDER_URL, HOLDER_GROUP, HOLDER_LEASE_MS.
 */
import { setTimeout as pause } from "node:timers/promises";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { mysql } from "../../../src/store/mysql/index.ts";

const { HOLDER_URL: url = "", HOLDER_GROUP: group = "", HOLDER_LEASE_MS: leaseMs = "" } = process.env;
const call = { deadlineMs: 10_000 };
const provider = mysql({ url });
const session = await provider.open({
  ...{ group, node: "holder", clock: systemClock, random: systemRandom, logger: silentLogger },
  ...{ deadlineMs: 10_000, statementLimitMs: 10_000, createSchema: false, evidence: { leaseMs: Number(leaseMs) } },
});
const incarnation = systemRandom.id();
await session.join({ incarnation, node: "holder", leaseMs: Number(leaseMs), metadata: "{}", settings: "settings" }, call);
for (let beat = 1; ; beat++) {
  const { accepted } = await session.beat({ incarnation, beat, generation: 0, viewSeen: 0, cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, call);
  console.log(JSON.stringify({ incarnation, beat, accepted, held: session.info.evidence.held }));
  await pause(20);
}
