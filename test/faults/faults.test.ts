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
  minutes: 0.2,
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

describe("faults", () => {
  it("on SQLite break no promise", async (t) => {
    const { summary } = await run(t, { only: ["kill", "stop-long", "block", "file-lock", "disk-full"] });
    assert.ok(summary.faults.length > 0);
  });

  it("on PostgreSQL break no promise", async (t) => {
    try {
      const { summary } = await run(t, { storeKind: "postgres", only: ["kill", "cut", "cut-replies", "flap", "delay", "reorder", "terminate", "promote", "server-kill"] });
      assert.ok(summary.faults.length > 0);
    } catch (error) {
      if (!(error instanceof NoServer)) throw error;
      requireOrSkip(t, "postgres", error.message);
    }
  });

  it("on ZooKeeper break no promise", async (t) => {
    try {
      const { summary } = await run(t, { storeKind: "zookeeper", only: ["kill", "cut", "cut-requests", "stop-long", "loss", "promote", "server-kill", "server-restart"] });
      assert.ok(summary.faults.length > 0);
    } catch (error) {
      if (!(error instanceof NoServer)) throw error;
      requireOrSkip(t, "zookeeper", error.message);
    }
  });

  for (const storeKind of ["etcd-ensemble", "zookeeper-ensemble"] as const) {
    it(`on three servers, ${storeKind}, break no promise`, async (t) => {
      try {
        const { summary } = await run(t, { storeKind, only: ["kill", "member-kill", "member-stop", "minority", "majority"] });
        assert.ok(summary.faults.length > 0);
      } catch (error) {
        if (!(error instanceof NoServer)) throw error;
        requireOrSkip(t, storeKind === "etcd-ensemble" ? "etcd" : "zookeeper", error.message);
      }
    });
  }

  it("on MariaDB break no promise", async (t) => {
    try {
      const { summary } = await run(t, { storeKind: "mariadb", only: ["kill", "cut", "cut-requests", "stop-long", "loss", "terminate", "promote", "server-restart"] });
      assert.ok(summary.faults.length > 0);
    } catch (error) {
      if (!(error instanceof NoServer)) throw error;
      requireOrSkip(t, "mariadb", error.message);
    }
  });

  it("on etcd break no promise", async (t) => {
    try {
      const { summary } = await run(t, { storeKind: "etcd", only: ["kill", "cut", "cut-replies", "stop-long", "flap", "promote", "server-kill", "server-restart"] });
      assert.ok(summary.faults.length > 0);
    } catch (error) {
      if (!(error instanceof NoServer)) throw error;
      requireOrSkip(t, "etcd", error.message);
    }
  });
});
