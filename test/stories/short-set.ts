import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { describe, it } from "node:test";
import { playStories } from "./campaign.ts";
import { ROOMS } from "./rooms.ts";
import type { Room, Story } from "./rooms.ts";

/** What `npm test` plays of a room. */
export interface ShortSet {
  readonly seeds: number;
  /** What has to have happened: where too little does, nothing is proved. */
  readonly happens: readonly string[];
  /** Known-bad variants that have to be caught, each on a seed that has caught it. */
  readonly caught: readonly (readonly [mutant: string, seed: number])[];
}

/** Some seeds, of which it is known that enough happens in them, and some known-bad variants. `TRIBUNE_TEST_FIRST_SEED` asks for others. */
export function shortSet(name: string, { seeds, happens, caught }: ShortSet): void {
  const room: Room = ROOMS.find((each) => each.name === name) ?? assert.fail(name);
  const first = Number(process.env["TRIBUNE_TEST_FIRST_SEED"] ?? 1);

  describe(`stories of ${name}, seeds ${first} to ${first + seeds - 1}`, () => {
    it("break no promise, and come to rest", async () => {
      const total = new Map<string, number>();
      const failed = await playStories(room, undefined, { first, seeds, workers: 1, untilCaught: true }, ({ counts }) => {
        for (const [what, count] of Object.entries(counts)) total.set(what, (total.get(what) ?? 0) + count);
      });
      const text = failed.map(({ seed, complaints }) => `${complaints.join("\n  ")}\nsee it again: npm run stories -- ${name} --seeds 1 --first ${seed}`).join("\n");
      assert.equal(text, "");
      for (const what of happens) assert.ok((total.get(what) ?? 0) > 0, `no ${what}: too little has happened to prove anything (${JSON.stringify(Object.fromEntries(total))})`);
    });

    it("are the same for the same seed, to the last byte, and others for another one", async () => {
      const { simulate } = (await import(pathToFileURL(room.file).href)) as { readonly simulate: (seed: number) => Promise<Story & { readonly digest: string }> };
      const digests: string[] = [];
      for (const seed of [first, first, first + 1]) digests.push((await simulate(seed)).digest);
      assert.equal(digests[0], digests[1]);
      assert.notEqual(digests[0], digests[2]);
    });

    for (const [mutant, seed] of caught) {
      it(`catch ${mutant} on seed ${seed}`, async () => {
        const found = room.mutants.find((each) => each.name === mutant) ?? assert.fail(mutant);
        const options = { first: seed, seeds: 1, workers: 1, untilCaught: true };
        assert.deepEqual(await playStories(room, undefined, options), []);
        assert.equal((await playStories(room, found, options)).length, 1);
      });
    }
  });
}
