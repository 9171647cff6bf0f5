/**
 * A process in which one mutant, or the correct code, plays the stories that it is told: `player.ts FILE [MUTANT]`. What is under test is imported only after the mutant is in place.
 */
import { pathToFileURL } from "node:url";
import type { Mutant } from "../simulation/mutants/mutant.ts";
import { mutate } from "../simulation/mutants/mutate.ts";
import type { Story } from "./rooms.ts";

/** A story to be played. */
export interface Order {
  readonly seed: number;
}

/** What came of it. `cpuMs`: with everything that the process did beside, compiling and collecting garbage. */
export type Report = { readonly kind: "told"; readonly complaints: readonly string[]; readonly counts: Readonly<Record<string, number>>; readonly cpuMs: number } | { readonly kind: "crashed"; readonly message: string };

const [file = "", text] = process.argv.slice(2);
const mutant = text === undefined ? undefined : (JSON.parse(text) as Mutant);
const place = mutant === undefined ? undefined : mutate(mutant);
const { simulate } = (await import(pathToFileURL(file).href)) as { readonly simulate: (seed: number) => Promise<Story> };
const missing = place?.missing() ?? [];
if (missing.length > 0) throw new Error(`mutant ${mutant?.name}: nothing has loaded ${missing.join(", ")}`);

process.on("disconnect", () => process.exit());
process.on("message", ({ seed }: Order) => {
  void play(seed).then((report) => process.send?.(report));
});
process.send?.("ready");

async function play(seed: number): Promise<Report> {
  const before = process.cpuUsage();
  try {
    const { complaints, ...rest } = await simulate(seed);
    const counts = Object.fromEntries(Object.entries(rest).filter((entry): entry is [string, number] => typeof entry[1] === "number"));
    const { user, system } = process.cpuUsage(before);
    return { kind: "told", complaints, counts, cpuMs: (user + system) / 1_000 };
  } catch (error) {
    return { kind: "crashed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
