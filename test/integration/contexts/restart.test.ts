import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { createCluster } from "../../../src/cluster/index.ts";
import type { Contexts } from "../../../src/contexts/index.ts";
import { postgresForSuite } from "../../support/postgres-suite.ts";

/** Everything that a member's code can see. */
function content(contexts: Contexts): Record<string, Record<string, unknown>> {
  return Object.fromEntries(contexts.list().map((path) => [path, Object.fromEntries(contexts.get(path)?.entries() ?? [])]));
}

/** What all stores have to bring about; `place` answers the URL of a store of the test's own, or skips the test. */
function restarts(place: (t: TestContext) => Promise<string | undefined>): void {
  it("is there again, all of it, when all members have stopped at once and started at once", { timeout: 60_000 }, async (t) => {
    const store = await place(t);
    if (store === undefined) return;
    const errors: string[] = [];
    const members = () =>
      ["a", "b", "c"].map((node) => {
        const cluster = createCluster({ group: "g", node, store, channel: { host: "127.0.0.1" }, contexts: { durable: true } });
        cluster.on("error", (error) => errors.push(`${node} ${error.code} ${error.message}`));
        t.after(() => cluster.stop());
        return cluster;
      });
    const all = members();
    for (const each of all) await each.start();
    for (let round = 0; round < 3; round++) {
      // Each member its own, and no pause between the last write and the stop.
      await Promise.all(
        all.map(async ({ node, contexts }) => {
          for (let n = 0; n < 100; n++) {
            const context = await contexts.open(`${node}-${n}`);
            context.set("round", { round, text: "x".repeat(n) });
            if (n % 10 === round) context.delete("round");
          }
          await contexts.flush();
        }),
      );
    }
    const expected = content(all[0]?.contexts as Contexts);
    assert.equal(Object.keys(expected).length, 300);
    const beganMs = performance.now();
    await Promise.all(all.map((each) => each.stop()));
    const stoppedMs = performance.now();
    const again = members();
    await Promise.all(again.map((each) => each.start()));
    t.diagnostic(`all stopped in ${Math.round(stoppedMs - beganMs)} ms, and started in ${Math.round(performance.now() - stoppedMs)} ms`);
    for (const { contexts } of again) assert.deepEqual(content(contexts), expected);
    await Promise.all(again.map((each) => each.stop()));
    assert.deepEqual(errors.filter((error) => error.includes("CONTEXTS")), []);
  });
}

describe("what is durable on SQLite", () => {
  restarts(async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "tribune-restart-"));
    t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    return `sqlite:${join(folder, "cluster.db")}`;
  });
});

describe("what is durable on PostgreSQL", () => {
  const postgres = postgresForSuite();
  restarts(async (t) => (await postgres(t)?.createDatabase())?.url);
});
