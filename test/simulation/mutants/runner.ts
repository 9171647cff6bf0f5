/**
 * A process in which one mutant, or the correct code, plays the seeds that it is told. What is under test is imported only after the mutant is in place.
 */
import type { ProfileName } from "../../../src/testing/simulation/plan.ts";
import type { Mutant } from "./mutant.ts";
import { mutate } from "./mutate.ts";

/** A seed to be played. */
export interface Order {
  readonly seed: number;
  readonly profile: ProfileName;
}

/** What came of it: the checks that found something, or why the run did not come to its end. */
export type Report = { readonly kind: "judged"; readonly checks: readonly string[]; readonly simulatedMs: number } | { readonly kind: "crashed"; readonly message: string };

const [text] = process.argv.slice(2);
const mutant = text === undefined ? undefined : (JSON.parse(text) as Mutant);
const place = mutant === undefined ? undefined : mutate(mutant);
const { runPlan } = await import("../../../src/testing/simulation/campaign.ts");
const { drawPlan } = await import("../../../src/testing/simulation/plan.ts");
const missing = place?.missing() ?? [];
if (missing.length > 0) throw new Error(`mutant ${mutant?.name}: nothing has loaded ${missing.join(", ")}`);

process.on("disconnect", () => process.exit());
process.on("message", ({ seed, profile }: Order) => {
  void play(seed, profile).then((report) => process.send?.(report));
});
process.send?.("ready");

async function play(seed: number, profile: ProfileName): Promise<Report> {
  try {
    const { violations, simulatedMs } = await runPlan(drawPlan(seed, profile));
    return { kind: "judged", checks: [...new Set(violations.map((violation) => violation.check))], simulatedMs };
  } catch (error) {
    return { kind: "crashed", message: error instanceof Error ? error.message : String(error) };
  }
}
