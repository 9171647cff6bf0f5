import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

/** `node test/contexts/main.ts --seeds 500 --first 1`: stories of so many seeds; says what is wrong, by seed, and what happened in all. */
const { values } = parseArgs({ options: { seeds: { type: "string", default: "100" }, first: { type: "string", default: "1" } } });
const [first, seeds] = [Number(values.first), Number(values.seeds)];
const total: Record<string, number> = {};
let wrong = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const { complaints, ...counts } = await simulate(seed);
  for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  if (complaints.length === 0) continue;
  wrong++;
  console.log(`seed ${seed}: ${complaints.join("\n  ")}`);
}
console.log(`${seeds} seeds from ${first}: ${wrong} with complaints. ${JSON.stringify(total)}`);
process.exitCode = wrong === 0 ? 0 : 1;
