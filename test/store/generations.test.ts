import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock, systemRandom } from "../../src/kernel/index.ts";
import { TOKENS_PER_GENERATION } from "../../src/store/index.ts";
import { MemoryProvider } from "../../src/store/memory/index.ts";
import { Scene } from "../../src/testing/conformance/scene.ts";

describe("generations in memory", () => {
  it("are never the same in two epochs, also where a failover went back behind one that had lost commits itself", async (t) => {
    const store = new MemoryProvider();
    const scene = new Scene({ place: { provider: store }, clock: systemClock, random: systemRandom });
    t.after(async () => await scene.end());
    const [a, b] = [await scene.member(), await scene.member()];
    await a.createElection("e");
    const older = store.engine.snapshot();
    const tokens: number[] = [];
    for (const [epoch, claimant] of [["second", a], ["third", b]] as const) {
      store.engine.restore(older);
      store.changeEpoch(epoch);
      await claimant.reconnect();
      await claimant.beat({ generation: 1 }); // it has seen nothing of an epoch in between
      tokens.push((await claimant.claim("e"))?.token ?? 0);
    }
    assert.deepEqual(tokens, [2 * TOKENS_PER_GENERATION, 3 * TOKENS_PER_GENERATION]);
  });
});
