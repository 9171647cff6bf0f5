import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { requireOrSkip } from "../support/required.ts";
import { FIRST_SEED } from "../support/seed.ts";
import type { FaultOptions } from "./options.ts";
import { planText, resultText } from "./report.ts";
import { runFaults } from "./run.ts";
import type { RunResult } from "./run.ts";
import { NoServer } from "./stores/no-server.ts";

/** A short run. Its seed is printed: `npm run faults -- --seed N …` does the same faults again. */
const SHORT: FaultOptions = {
  storeKind: "sqlite",
  minutes: 0.15,
  seed: FIRST_SEED,
  nodes: 3,
  leaseMs: 2_000,
  beatMs: 400,
  crashDetection: "evidence",
  only: [],
  loopback: false,
  settleMs: 6_000,
  json: false,
  out: undefined,
  keep: false,
};

async function run(t: TestContext, options: Partial<FaultOptions>): Promise<RunResult> {
  const all = { ...SHORT, ...options };
  const result = await runFaults(all, { plan: (plan, where) => t.diagnostic(planText(plan.slice(0, 8), where, all)), progress: () => undefined }, t.signal);
  t.diagnostic(resultText(result));
  assert.ok(result.passed, resultText(result));
  assert.ok(result.folder === undefined || existsSync(result.folder));
  return result;
}

/** What can be done to each, in a short time. `needs`: whose servers. */
const RUNS: ReadonlyArray<{ readonly on: string; readonly needs?: string; readonly storeKind: FaultOptions["storeKind"]; readonly only: FaultOptions["only"] }> = [
  { on: "SQLite", storeKind: "sqlite", only: ["kill", "stop-long", "block", "file-lock", "disk-full"] },
  { on: "PostgreSQL", needs: "postgres", storeKind: "postgres", only: ["kill", "cut", "cut-replies", "flap", "delay", "reorder", "terminate", "promote", "server-kill"] },
  { on: "MariaDB", needs: "mariadb", storeKind: "mariadb", only: ["kill", "cut", "cut-requests", "stop-long", "loss", "terminate", "promote", "server-restart"] },
  { on: "etcd", needs: "etcd", storeKind: "etcd", only: ["kill", "cut", "cut-replies", "stop-long", "flap", "promote", "server-kill", "server-restart"] },
  { on: "three members of etcd", needs: "etcd", storeKind: "etcd-ensemble", only: ["kill", "member-kill", "member-stop", "minority", "majority"] },
  { on: "ZooKeeper", needs: "zookeeper", storeKind: "zookeeper", only: ["kill", "cut", "cut-requests", "stop-long", "loss", "promote", "server-kill", "server-restart"] },
  { on: "three servers of ZooKeeper", needs: "zookeeper", storeKind: "zookeeper-ensemble", only: ["kill", "member-kill", "member-stop", "minority", "majority"] },
];

describe("faults", () => {
  for (const { on, needs, storeKind, only } of RUNS) {
    it(`on ${on} break no promise`, async (t) => {
      try {
        const { summary } = await run(t, { storeKind, only });
        assert.ok(summary.faults.length > 0);
      } catch (error) {
        if (!(error instanceof NoServer) || needs === undefined) throw error;
        requireOrSkip(t, needs, error.message);
      }
    });
  }
});
