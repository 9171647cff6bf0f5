import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { drawPlan, historyDigest, PROFILE_NAMES, profileOf, ROUND, runPlan } from "../../src/testing/simulation/index.ts";
import type { ProfileName } from "../../src/testing/simulation/index.ts";
import { FIRST_SEED as FIRST } from "../support/seed.ts";
import { storyText, violationText } from "./story.ts";

const SEEDS = Number(process.env["TRIBUNE_TEST_SEEDS"] ?? 72);

/** Worlds in which nothing happens prove nothing. How much has to happen in a world on average; some are quiet. */
const LEAST = { events: 8_000, terms: 30, views: 15, asked: 30, simulatedMs: 200_000 };
const LEAST_TALK = { events: 10_000, terms: 10, views: 8, sent: 500, handled: 1_000, resets: 10, simulatedMs: 100_000 };

/** Seeds of the profile `order` that once found something, beside new ones: of a thousand others few find any of it. */
const MENDED = [11, 20, 30_077, 959_231_153];

describe(`simulated worlds ${FIRST} to ${FIRST + SEEDS - 1}`, () => {
  for (const profile of PROFILE_NAMES) {
    const seeds = seedsOf(profile);
    const leasts: Readonly<Record<string, number>> = profile === "channel" || profile === "order" ? LEAST_TALK : LEAST;
    const again = ROUND.includes(profile) ? "" : ` --profile ${profile}`;
    it(`keep every promise under the faults of "${profile}" (${seeds.length} seeds)`, async (context) => {
      const happened: Record<string, number> = {};
      for (const seed of seeds) {
        const result = await runPlan(drawPlan(seed, profile));
        const [violation] = result.violations;
        if (violation !== undefined) assert.fail(`${violationText(violation)}\n\n${storyText(result, { around: violation })}\n\nsee it again: npm run simulate -- --seed ${seed}${again} --log`);
        for (const [name, count] of Object.entries({ ...result.counts, simulatedMs: result.simulatedMs })) happened[name] = (happened[name] ?? 0) + count;
      }
      for (const [name, least] of Object.entries(leasts)) assert.ok((happened[name] ?? 0) >= least * seeds.length, `too little has happened to prove anything: ${name} ${happened[name]}`);
      context.diagnostic(`${((happened["simulatedMs"] ?? 0) / 3_600_000).toFixed(1)} simulated hours`);
    });
  }
});

/** Of a campaign that goes its round; and as many in each profile that is not part of it. */
function seedsOf(profile: ProfileName): readonly number[] {
  const all = Array.from({ length: SEEDS }, (_, index) => FIRST + index);
  if (ROUND.includes(profile)) return all.filter((seed) => profileOf(seed) === profile);
  const some = all.slice(0, Math.ceil(SEEDS / ROUND.length));
  return profile === "order" ? [...MENDED, ...some] : some;
}

describe("a simulated world", () => {
  it("has the same history each time, byte for byte, and another one for another seed", async () => {
    for (const profile of PROFILE_NAMES) {
      const digests = [];
      for (const seed of [1, 1, 2]) digests.push(historyDigest((await runPlan(drawPlan(seed, profile, { faultsMs: 30_000 }))).history));
      assert.equal(digests[0], digests[1], profile);
      assert.notEqual(digests[0], digests[2], profile);
    }
  });

  it("has the same history whether what its nodes log is read or not", async () => {
    const plan = drawPlan(7, "swarm", { faultsMs: 30_000 });
    const lines: string[] = [];
    const read = await runPlan(plan, { log: (line) => lines.push(line) });
    assert.equal(historyDigest(read.history), historyDigest((await runPlan(plan)).history));
    assert.ok(lines.length > 20);
  });
});
