import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { importMutated } from "../simulation/mutants/mutate.ts";
import { ROOMS } from "./rooms.ts";

const ROOT = join(import.meta.dirname, "../..");
const PRELOAD = join(import.meta.dirname, "../simulation/mutants/preload.ts");

for (const { name: room, mutants } of ROOMS) {
  describe(`mutants of ${room}`, () => {
    it("fit the source, and have names and sentences of their own", async () => {
      for (const each of mutants) {
        assert.ok(each.changes.every(({ file, from, to }) => file.startsWith("src/") && from !== to), each.name);
        await assert.doesNotReject(importMutated(each), each.name);
        assert.match(each.name, /^[a-z]+(?:-[a-z]+)*$/);
        assert.match(each.wrong, /^\S.*\.$/);
      }
      assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
    });

    for (const each of mutants) {
      const foundBy = each.survives?.foundBy;
      if (foundBy === undefined) continue;
      it(`that survive the stories are found by a test: ${each.name} by ${foundBy}`, () => {
        const { TRIBUNE_TEST_PROCESSES: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
        const run = spawnSync(process.execPath, ["--import", PRELOAD, "--test-reporter", "tap", join(ROOT, foundBy)], { encoding: "utf8", timeout: 120_000, env: { ...env, TRIBUNE_MUTANT: JSON.stringify(each) } });
        assert.equal(run.status, 1, run.stderr);
        assert.match(run.stdout, /^# fail [1-9]/m);
      });
    }
  });
}
