import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runPlan } from "../../src/testing/simulation/index.ts";
import type { Plan } from "../../src/testing/simulation/index.ts";
import { storyText, violationText } from "./story.ts";

const FOLDER = join(import.meta.dirname, "regressions");

/** A plan that once failed, and what it was about. */
interface Regression {
  /** What was wrong, as a sentence. */
  readonly about: string;
  /** The check that found it. */
  readonly check: string;
  readonly plan: Plan;
}

describe("plans that once failed", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

  it("are kept", () => assert.ok(files.length > 0));

  for (const file of files) {
    const { about, check, plan } = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Regression;
    it(`${file}: ${about} (${check})`, async () => {
      const result = await runPlan(plan);
      const [violation] = result.violations;
      if (violation !== undefined) assert.fail(`${violationText(violation)}\n\n${storyText(result, { around: violation })}`);
      assert.ok(result.counts.terms > 0);
    });
  }
});
