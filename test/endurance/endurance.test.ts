import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../architecture/source.ts";
import { Counter } from "./numbered.ts";

const run = promisify(execFile);
const endurance = (...args: readonly string[]) => run(process.execPath, [join(ROOT, "test/endurance/main.ts"), ...args], { cwd: ROOT });

describe("npm run endurance", () => {
  for (const scenario of ["stuck", "window", "state", "keys"]) {
    it(`finds that all of ${scenario} holds, in a quick run`, async () => {
      const { stdout } = await endurance(scenario, "--quick");
      assert.match(stdout, new RegExp(`^## ${scenario}$[^]*^- holds: `, "m"));
      assert.doesNotMatch(stdout, /DOES NOT HOLD/);
    });
  }

  it("ends with code 2 and says how it is used, when it is used wrongly", async () => {
    await assert.rejects(endurance("sleep"), (error: Error & { readonly code?: number; readonly stderr?: string }) => {
      assert.equal(error.code, 2);
      assert.match(error.stderr ?? "", /there is no scenario "sleep"[^]*usage: npm run endurance/);
      return true;
    });
  });
});

describe("a counter of numbered messages", () => {
  it("sees what comes twice, and what comes late", () => {
    const counter = new Counter();
    for (const number of [1, 2, 100_000, 3, 2]) counter.came(number);
    assert.deepEqual(counter.count, { received: 5, twice: 1, outOfOrder: 2, largest: 100_000 });
  });
});
