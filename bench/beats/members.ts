/** Many members in one process, each with a session of its own, as if they were alone. */
import { createCluster } from "../../src/index.ts";
import type { Cluster } from "../../src/index.ts";
import { storeFromUrl } from "../../src/cluster/store-url.ts";
import { observed } from "../observed-store.ts";
import type { StoreCall } from "../observed-store.ts";
import { MEMBERS_VARIABLE } from "./protocol.ts";
import type { MembersConfig, MembersOrder, MembersReport } from "./protocol.ts";

/** So many join at a time in one process. */
const JOIN_AT_ONCE = 20;

/** Joining may take long where many do. */
const START_TIMEOUT_MS = 300_000;

const GATHERING_TOLD_EVERY_MS = 500;

const config = JSON.parse(process.env[MEMBERS_VARIABLE] ?? "") as MembersConfig;
const tell = (report: MembersReport) => void process.send?.(report);

let calls: StoreCall[] = [];
let lost = 0;
let suspended = 0;
let joined = 0;
let trouble: string | null = null;

const members = Array.from({ length: config.members }, (_, n): Cluster => {
  const cluster = createCluster({
    group: config.group,
    node: `${config.prefix}-${n}`,
    store: observed(storeFromUrl(config.url), (call) => void calls.push(call)),
    leaseMs: config.leaseMs,
    beatMs: config.beatMs,
    startTimeoutMs: START_TIMEOUT_MS,
  });
  cluster.on("lost", () => void (lost += 1));
  cluster.on("suspended", () => void (suspended += 1));
  return cluster;
});

const [first] = members;
const elections = Array.from({ length: config.elections }, (_, n) => first?.election(`work-${n}`));
const leads = () => elections.filter((election) => election?.term !== undefined).length;

process.on("message", (order: MembersOrder) => {
  if (order === "measure") {
    calls = [];
    lost = suspended = 0;
    return;
  }
  const counts: Record<string, number> = {};
  for (const { operation } of calls) counts[operation] = (counts[operation] ?? 0) + 1;
  tell({
    report: "window",
    calls: counts,
    beatsMs: calls.filter(({ operation, failed }) => operation === "beat" && !failed).map(({ tookMs }) => tookMs),
    failedCalls: calls.filter(({ failed }) => failed).length,
    lost,
    suspended,
    trusted: members.filter((member) => member.health().trustLeftMs > 0).length,
  });
});
process.once("disconnect", () => process.exit(0));
setInterval(() => tell({ report: "gathering", joined, leads: leads(), trouble }), GATHERING_TOLD_EVERY_MS);

const waiting = members.values();
async function joinOn(): Promise<void> {
  for (const member of waiting) {
    await member.start().then(
      () => void (joined += 1),
      (error: unknown) => void (trouble = String(error)),
    );
  }
}
await Promise.all(Array.from({ length: JOIN_AT_ONCE }, joinOn));
for (const election of elections) void election?.lead((term) => new Promise<void>((resolve) => term.signal.addEventListener("abort", () => resolve(), { once: true })));
