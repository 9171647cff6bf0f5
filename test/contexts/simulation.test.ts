import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { simulate } from "./simulate.ts";

/** From where the seeds of this run begin: other ones each day, said in the title of a failure. */
const FIRST = 1;
const SEEDS = 40;

describe("contexts under cuts, loss, duplicates, delays, joins and deaths", () => {
  it("are the same everywhere after quiet", async () => {
    const total = { flushes: 0, faults: 0, joins: 0, deaths: 0, rejoins: 0, removals: 0, floors: 0, decided: 0, undecided: 0, slowWays: 0, sent: 0 };
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const story = await simulate(seed);
      assert.deepEqual(story.complaints, [], `seed ${seed}`);
      for (const name of Object.keys(total) as Array<keyof typeof total>) total[name] += story[name];
    }
    for (const [name, count] of Object.entries(total)) assert.ok(count > 0, `no ${name}: too little happened (${JSON.stringify(total)})`);
  });
});
