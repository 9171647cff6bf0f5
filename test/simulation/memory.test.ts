import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SimulatedWorld } from "../../src/testing/simulation/world.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Plays a world with a holder, candidates, probes and somebody who attends, and leaves it as it is. */
async function played(seed: number): Promise<WeakRef<SimulatedWorld>> {
  const world = new SimulatedWorld({ seed });
  for (const name of ["a", "b", "c"]) {
    world.start(name, ({ cluster }) => void cluster.election("work", { eligible: () => true, eligibleEveryMs: 500 }).lead((term) => new Promise((resolve) => term.signal.addEventListener("abort", resolve))));
  }
  await world.until(() => world.leader("work") !== undefined);
  await world.run(10_000);
  return new WeakRef(world);
}

describe("a world that is over", () => {
  it("is forgotten, nodes and all: a campaign of thousands does not grow", async () => {
    const worlds: WeakRef<SimulatedWorld>[] = [];
    for (let seed = 1; seed <= 5; seed++) worlds.push(await played(seed));
    // Finalizers take turns of the event loop; the last world may still be on somebody's stack.
    for (let turn = 0; turn < 20 && worlds.slice(0, -1).some((world) => world.deref() !== undefined); turn++) {
      await pause(1);
      collectGarbage();
    }
    assert.deepEqual(worlds.slice(0, -1).map((world) => world.deref() === undefined), [true, true, true, true]);
  });
});
