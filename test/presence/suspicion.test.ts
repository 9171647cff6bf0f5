import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/kernel/index.ts";
import { AGREEMENT_MS, deathStep } from "../../src/presence/index.ts";
import type { EvidenceRule, Observation } from "../../src/presence/index.ts";

const LEASE_MS = 4_000;
const GRACE_MS = 100;

function seen(over: Partial<Observation> = {}): Observation {
  return { incarnation: "i", node: "n", state: "alive", beat: 7, leaseMs: LEASE_MS, sinceMs: 0, moved: true, askedStore: false, evidence: "held", heldOn: 1, freeSinceMs: undefined, ...over };
}

const free = (freeSinceMs: number) => seen({ evidence: "free", freeSinceMs });

function rule(suspectedMs?: number): EvidenceRule {
  return { connection: 1, graceMs: GRACE_MS, suspectedMs: new Map(suspectedMs === undefined ? [] : [["i", suspectedMs]]) };
}

describe("suspicion", () => {
  it("alone declares nobody dead: it changes nothing where evidence is held, was never held on this connection, or is not used", () => {
    for (const observation of [seen(), seen({ evidence: "none" }), free(500), { ...free(500), heldOn: 2 }, { ...free(500), heldOn: 0 }]) {
      const evidence = observation.evidence === "free" && observation.heldOn === 1 ? undefined : rule(500);
      assert.deepEqual(deathStep(observation, 510, { evidence }), { kind: "wait", untilMs: LEASE_MS });
    }
  });

  it("takes the grace from evidence that comes free with it, whichever is seen first", () => {
    assert.deepEqual(deathStep(free(500), 505, { evidence: rule(505) }), { kind: "declare", grounds: "evidence" });
    assert.deepEqual(deathStep(free(505), 505, { evidence: rule(500) }), { kind: "declare", grounds: "evidence" });
    assert.deepEqual(deathStep(free(500), 505, { evidence: rule() }), { kind: "wait", untilMs: 600 });
  });

  it("of somebody else counts for nothing", () => {
    const evidence = { ...rule(), suspectedMs: new Map([["another", 500]]) };
    assert.deepEqual(deathStep(free(500), 505, { evidence }), { kind: "wait", untilMs: 600 });
  });

  it("of long ago leaves the grace as it is", () => {
    const agoMs = 500 - AGREEMENT_MS - 1;
    assert.deepEqual(deathStep(free(500), 505, { evidence: rule(agoMs) }), { kind: "wait", untilMs: 600 });
    assert.deepEqual(deathStep(free(500), 505, { evidence: rule(agoMs + 1) }), { kind: "declare", grounds: "evidence" });
  });

  it("never makes a death later, never makes one of what is not free, and never makes it sooner than evidence was free and it was there itself", () => {
    const random = seededRandom(11);
    const draw = (most: number) => Math.floor(random.next() * most);
    for (let n = 0; n < 20_000; n++) {
      const nowMs = draw(6_000);
      const [freeSinceMs, suspectedMs] = [draw(nowMs + 1), draw(nowMs + 1)];
      const observation = [seen(), free(freeSinceMs), { ...free(freeSinceMs), heldOn: draw(3) }, seen({ evidence: "none", askedStore: true })][draw(4)] ?? seen();
      const [without, withIt] = [rule(), rule(suspectedMs)].map((evidence) => deathStep(observation, nowMs, { evidence }));
      if (without?.kind === "declare") assert.equal(withIt?.kind, "declare");
      if (withIt?.kind !== "declare" || withIt.grounds !== "evidence") continue;
      assert.ok(observation.evidence === "free" && observation.heldOn === 1);
      if (without?.kind === "wait") assert.ok(nowMs >= suspectedMs && nowMs >= freeSinceMs && Math.abs(suspectedMs - freeSinceMs) <= AGREEMENT_MS);
    }
  });
});
