/**
 * Many nodes of the group in one process: each joins, and stays until SIGTERM. They write down when they are members, and when they coordinate.
 */
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createCluster } from "../../src/index.ts";
import { COORDINATOR } from "../../src/store/index.ts";
import { etcd } from "../../src/store/etcd/index.ts";
import { mysql } from "../../src/store/mysql/index.ts";
import { postgres } from "../../src/store/postgres/index.ts";
import { zookeeper } from "../../src/store/zookeeper/index.ts";
import type { StoreProvider } from "../../src/store/index.ts";
import { hostMonotonicMs, HistoryWriter } from "../../src/testing/history/index.ts";
import type { HistoryEntry } from "../../src/testing/history/index.ts";
import type { WorkerStore } from "../fleet/ledger.ts";
import { STARVED } from "../fleet/worker-config.ts";
import { CROWD_VARIABLE } from "./crowd-config.ts";
import type { CrowdConfig, CrowdNews } from "./crowd-config.ts";

const SAMPLE_EVERY_MS = 50;
/** Longer than anybody waits for the crowd. */
const START_TIMEOUT_MS = 600_000;

const config = JSON.parse(process.env[CROWD_VARIABLE] ?? "") as CrowdConfig;
const file = openSync(join(config.folder, `${config.file}.jsonl`), "a");

const members = config.nodes.map((node) => {
  const { group, store, leaseMs, beatMs, crashDetection } = config;
  const cluster = createCluster({ group, node, store: providerOf(store), leaseMs, beatMs, crashDetection, startTimeoutMs: START_TIMEOUT_MS });
  const history = new HistoryWriter({ process: node, node, incarnation: () => cluster.self.incarnation, nowMs: hostMonotonicMs, write: (line) => void writeSync(file, line) });
  const note = (entry: HistoryEntry) => void history.note(entry);
  const coordinator = cluster.election(COORDINATOR);
  coordinator.on("term", (term) => {
    const t = hostMonotonicMs();
    note({ t, kind: "announced", election: COORDINATOR, token: term.token, incarnation: term.incarnation, mayAct: term.mayAct() });
  });
  coordinator.on("ended", ({ term, reason }) => note({ kind: "ended", election: COORDINATOR, token: term.token, incarnation: term.incarnation, reason: reason.code }));
  cluster.on("suspended", ({ reason, trustLeftMs }) => note({ kind: "told", what: "suspended", code: reason.code, detail: `${Math.round(trustLeftMs)} ms of trust left` }));
  cluster.on("lost", ({ cause, reason, incarnation }) => note({ kind: "told", what: "lost", code: reason.code, detail: cause, incarnation }));
  cluster.on("rejoined", () => note({ kind: "told", what: "rejoined", code: "", detail: "" }));
  cluster.on("error", (error) => note({ kind: "told", what: "error", code: error.code, detail: error.message }));
  return { cluster, note, node };
});

// On a machine that is too busy a process does not run although nobody stopped it.
let lastMs = hostMonotonicMs();
setInterval(() => {
  const nowMs = hostMonotonicMs();
  if (nowMs - lastMs > config.leaseMs / 4) {
    for (const { note } of members) {
      note({ t: lastMs, kind: "paused", cause: STARVED });
      note({ t: nowMs, kind: "resumed", cause: STARVED });
    }
  }
  lastMs = nowMs;
}, SAMPLE_EVERY_MS);

process.once("disconnect", () => process.exit(3)); // the supervisor is gone
process.once("SIGTERM", () => {
  void Promise.all(members.map(({ cluster }) => cluster.stop())).then(() => process.exit(0));
});

await Promise.all(
  members.map(async ({ cluster, note, node }) => {
    try {
      await cluster.start();
    } catch (error) {
      // Stopped while it was still trying.
      note({ kind: "told", what: "error", code: "", detail: `start: ${String(error)}` });
      return;
    }
    note({ kind: "joined" });
    process.send?.({ node, incarnation: cluster.self.incarnation } satisfies CrowdNews);
  }),
);

function providerOf(store: WorkerStore): StoreProvider {
  if (store.kind === "sqlite") throw new Error("there is no crowd on SQLite");
  if (store.kind === "etcd") return etcd({ url: store.url });
  if (store.kind === "zookeeper") return zookeeper({ url: store.url });
  return store.kind === "mysql" ? mysql({ url: store.url }) : postgres({ url: store.url });
}
