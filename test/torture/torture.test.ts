import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { requireOrSkip } from "../support/required.ts";
import { FIRST_SEED } from "../support/seed.ts";
import type { TortureOptions } from "./options.ts";
import { NoServer } from "./place.ts";
import { planText, resultText } from "./report.ts";
import { torture } from "./torture.ts";
import type { TortureResult } from "./torture.ts";

/** A short run. Its seed is printed: `npm run torture -- --seed N …` does the same faults again. */
const SHORT: TortureOptions = {
  store: "sqlite",
  durationMs: 15_000,
  seed: FIRST_SEED,
  nodes: 4,
  leaseMs: 2_000,
  beatMs: 400,
  json: false,
  out: undefined,
  restartCommand: undefined,
  faults: [],
  breaks: undefined,
};

function run(t: TestContext, options: Partial<TortureOptions>): Promise<TortureResult> {
  const all = { ...SHORT, ...options };
  return torture(all, { plan: (plan, place) => t.diagnostic(planText(plan.slice(0, 12), place.label, all)), progress: () => undefined }, t.signal);
}

describe("torture", () => {
  it("of processes on SQLite finds no violation", async (t) => {
    const result = await run(t, { store: "sqlite" });
    t.diagnostic(resultText(result));
    assert.ok(result.passed, resultText(result));
  });

  for (const [name, store] of [
    ["PostgreSQL", "postgres"],
    ["MariaDB", "mariadb"],
    ["three members of etcd", "etcd-ensemble"],
    ["ZooKeeper", "zookeeper"],
  ] as const) {
    it(`of processes on ${name} finds no violation`, async (t) => {
      try {
        const result = await run(t, { store });
        t.diagnostic(resultText(result));
        assert.ok(result.passed, resultText(result));
      } catch (error) {
        if (!(error instanceof NoServer)) throw error;
        requireOrSkip(t, store.replace("-ensemble", ""), error.message);
      }
    });
  }
});

describe("torture of workers that are broken on purpose", () => {
  const brief: Partial<TortureOptions> = { durationMs: 6_000, nodes: 3, leaseMs: 1_000, beatMs: 250 };
  const found = (result: TortureResult) => new Set(result.violations.map((violation) => violation.check));
  /** The history is kept, as always after a violation; here it was wanted. */
  const forget = ({ folder }: TortureResult) => folder !== undefined && rmSync(folder, { recursive: true, force: true });

  it("finds writes that no fence guards", async (t) => {
    const result = await run(t, { ...brief, breaks: "stale-writes", faults: ["freeze-leader"] });
    assert.ok(found(result).has("fencedRowsInOrder"), resultText(result));
    forget(result);
  });

  it("finds a belief that outlives its term", async (t) => {
    const result = await run(t, { ...brief, breaks: "belief", faults: ["freeze-leader"] });
    assert.ok(found(result).has("beliefsDoNotOverlap"), resultText(result));
    assert.ok(found(result).has("deadNeverActs"), resultText(result));
    forget(result);
  });
});
