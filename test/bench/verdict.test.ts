import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge } from "../../bench/failover/verdict.ts";

const targets = { killP50Ms: 120, killP99Ms: 350, killHeardP50Ms: 40, handoverP50Ms: 10 };
const timing = { leaseMs: 4_000, beatMs: 1_000 };
const rounds = (...tookMs: readonly number[]) => tookMs.map((each) => ({ tookMs: each }));

describe("what is asked of a failover", () => {
  it("with evidence: the median and the tail", () => {
    assert.equal(judge("kill", "evidence", rounds(110, 120, 350), targets, timing).met, true);
    assert.equal(judge("kill", "evidence", rounds(110, 121, 350), targets, timing).met, false);
    assert.equal(judge("kill", "evidence", rounds(110, 120, 351), targets, timing).met, false);
  });

  it("with evidence and the channel: a median of its own", () => {
    assert.equal(judge("kill", "channel", rounds(1, 40, 9_000), targets, timing).met, true);
    assert.equal(judge("kill", "channel", rounds(1, 41, 41), targets, timing).met, false);
  });

  it("without a target for the tail: only the median", () => {
    assert.equal(judge("kill", "evidence", rounds(1, 50, 9_000), { ...targets, killP50Ms: 50, killP99Ms: undefined }, timing).met, true);
  });

  it("by lease: never later than a lease, a beat and 200 ms", () => {
    assert.equal(judge("kill", "lease", rounds(3_500, 5_200), targets, timing).met, true);
    assert.equal(judge("kill", "lease", rounds(3_500, 5_201), targets, timing).met, false);
  });

  it("of a frozen leader: that no round began before its trust had ended, and that this was seen", () => {
    assert.equal(judge("freeze", "evidence", [{ tookMs: 4_000, afterTrustMs: 0 }], targets, timing).met, true);
    assert.equal(judge("freeze", "evidence", [{ tookMs: 4_000, afterTrustMs: 90 }, { tookMs: 4_000, afterTrustMs: -0.1 }], targets, timing).met, false);
    assert.equal(judge("freeze", "evidence", rounds(4_000), targets, timing).met, false);
  });

  it("of one that was frozen while it wrote: that no commit went through, and the successor came within two leases", () => {
    const round = (tookMs: number, outcome: string) => ({ tookMs, outcome });
    assert.equal(judge("freeze-writing", "evidence", [round(9_200, "TERM_LOST")], targets, timing).met, true);
    assert.equal(judge("freeze-writing", "evidence", [round(9_201, "TERM_LOST")], targets, timing).met, false);
    assert.equal(judge("freeze-writing", "evidence", [round(4_000, "TERM_LOST"), round(4_000, "committed")], targets, timing).met, false);
  });

  it("of a handover: the median", () => {
    assert.equal(judge("resign", "evidence", rounds(9, 10, 80), targets, timing).met, true);
    assert.equal(judge("transfer", "evidence", rounds(9, 11, 12), targets, timing).met, false);
  });

  it("is not met by a leader that nobody succeeded", () => {
    assert.equal(judge("kill", "lease", rounds(4_000, Number.POSITIVE_INFINITY), targets, timing).met, false);
  });
});
