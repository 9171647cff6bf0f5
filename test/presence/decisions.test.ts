import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Complaints, isTribuneError } from "../../src/kernel/index.ts";
import { observe, restarted } from "../../src/presence/observation.ts";
import { checkTiming, deathStep, Facts, observedWaitMs, PRESETS, trustMs, worstFailoverMs } from "../../src/presence/index.ts";
import { defaultStopBudgetMs } from "../../src/presence/timing.ts";
import type { LookReply } from "../../src/store/index.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { electionRow, presenceRow as row } from "../support/rows.ts";
import { fc } from "../support/properties.ts";

const reply = (over: Partial<LookReply> = {}): LookReply => ({ storeTimeMs: 0, epoch: "e1", generation: 1, electionsVersion: 0, elections: [], viewVersion: 0, view: null, presence: [], longestLeaseMs: 4_000, ...over });

describe("the time argument", () => {
  it("trust ends before any observer whose clock rate is within 1 % may declare the holder dead", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 3_600_000 }), fc.double({ min: -0.01, max: 0.01, noNaN: true }), fc.double({ min: 0, max: 5_000, noNaN: true }), (leaseMs, relativeRate, seenLaterMs) => {
        // The holder's clock is the true one; the observer's runs at 1 + relativeRate. Sent at 0, seen at the earliest at 0 too.
        const trustEndsMs = trustMs(leaseMs);
        const confirmedByStoreMs = seenLaterMs + leaseMs / (1 + relativeRate);
        const ownWaitMs = seenLaterMs + observedWaitMs(leaseMs) / (1 + relativeRate);
        return trustEndsMs < confirmedByStoreMs && trustEndsMs < ownWaitMs;
      }),
    );
  });

  it("an observation never allows a declaration before a lease of stillness, and always allows it after the full wait", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 60_000 }), fc.integer({ min: 0, max: 200_000 }), fc.boolean(), fc.nat(2), (leaseMs, afterMs, askedStore, extra) => {
        const seen = { ...observe(undefined, row({ leaseMs }), 500), askedStore };
        const step = deathStep(seen, 500 + afterMs, { extraLeases: extra });
        const needMs = leaseMs * (1 + extra);
        if (afterMs < needMs) return step.kind === "wait" && step.untilMs > 500 + afterMs;
        if (afterMs >= observedWaitMs(leaseMs) + extra * leaseMs) return step.kind === "declare" && step.grounds === "silence";
        return askedStore ? step.kind === "wait" : step.kind === "declare" && step.grounds === "expiry";
      }),
    );
  });

  it("between a lease of stillness and the full wait it takes the word of the store's clock", () => {
    const seen = observe(undefined, row(), 500);
    assert.deepEqual(deathStep(seen, 4_499), { kind: "wait", untilMs: 4_500 });
    assert.deepEqual(deathStep(seen, 4_500), { kind: "declare", grounds: "expiry" });
    assert.deepEqual(deathStep({ ...seen, askedStore: true }, 4_500), { kind: "wait", untilMs: 4_690 });
    assert.deepEqual(deathStep({ ...seen, askedStore: true }, 4_690), { kind: "declare", grounds: "silence" });
  });

  it("counting goes on only while state and beat number stand still", () => {
    const first = observe(undefined, row({ beat: 5 }), 100);
    assert.equal(observe(first, row({ beat: 5 }), 2_000), first);
    assert.equal(observe(first, row({ beat: 6 }), 2_000).sinceMs, 2_000);
    assert.equal(observe(first, row({ beat: 4 }), 2_000).sinceMs, 2_000);
    assert.equal(restarted(first, 3_000).sinceMs, 3_000);
  });

  it("a lease of two beats is the least; a stop budget has to fit beside one beat", () => {
    const complain = (timing: { leaseMs: number; beatMs: number; stopBudgetMs: number }) => {
      const complaints = new Complaints("x");
      checkTiming(timing, complaints);
      try {
        complaints.throwIfAny();
        return "";
      } catch (error) {
        assert.ok(isTribuneError(error, "INVALID_OPTIONS"));
        return error.message;
      }
    };
    assert.match(complain({ leaseMs: 1_999, beatMs: 1_000, stopBudgetMs: 100 }), /at least two beats/);
    assert.match(complain({ leaseMs: 2_000, beatMs: 1_000, stopBudgetMs: 1_000 }), /stopBudgetMs/);
    for (const bad of [Number.NaN, -1, Number.POSITIVE_INFINITY, 2 ** 31, "5s" as unknown as number]) assert.notEqual(complain({ leaseMs: bad, beatMs: 100, stopBudgetMs: 100 }), "");
    for (const preset of Object.values(PRESETS)) assert.equal(complain({ ...preset, stopBudgetMs: defaultStopBudgetMs(preset.leaseMs) }), "");
    assert.equal(worstFailoverMs({ leaseMs: 4_000, beatMs: 1_000, stopBudgetMs: 1_000 }), 5_290);
  });
});

describe("Facts", () => {
  it("start counting again for everybody in another epoch, and after a gap of half a lease", async () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    facts.absorb(reply({ presence: [row()] }), ["i"], { clock, beatMs: 1_000, connection: 1 });
    await clock.advance(1_000);
    facts.absorb(reply({ presence: [row()] }), ["i"], { clock, beatMs: 1_000, connection: 1 });
    assert.equal(facts.observation("i")?.sinceMs, 0);
    await clock.advance(1_000);
    assert.equal(facts.absorb(reply({ epoch: "e2", presence: [row()] }), ["i"], { clock, beatMs: 1_000, connection: 1 }).epochChanged, true);
    assert.equal(facts.observation("i")?.sinceMs, 2_000);
    assert.equal(facts.epochSinceMs, 2_000);
    await clock.advance(2_001);
    facts.absorb(reply({ epoch: "e2", presence: [row()] }), ["i"], { clock, beatMs: 1_000, connection: 1 });
    assert.equal(facts.observation("i")?.sinceMs, 4_001);
  });

  it("know who has beaten in the present epoch: whose number has moved there, whatever it was in another one", () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    const moved = (epoch: string, beat: number, state: "alive" | "dead" = "alive") => {
      facts.absorb(reply({ epoch, presence: [row({ beat, state })] }), "all", { clock, beatMs: 1_000, connection: 1 });
      return facts.observation("i")?.moved;
    };
    assert.deepEqual([moved("e1", 5), moved("e1", 5), moved("e1", 6), moved("e1", 6)], [false, false, true, true]);
    assert.deepEqual([moved("e2", 6), moved("e2", 7)], [false, true]);
    assert.deepEqual([moved("e3", 4), moved("e3", 4)], [false, false], "a failover put the number back");
    assert.deepEqual([moved("e3", 5), moved("e3", 5, "dead")], [true, false]);
  });

  it("know that who comes later than a reply that showed everybody has beaten in this epoch, once its number is not 0", () => {
    const moved = (watchedBefore: "all" | readonly string[], epochBefore: string, beat: number) => {
      const [clock, facts] = [new VirtualClock(), new Facts()];
      facts.absorb(reply({ epoch: epochBefore }), watchedBefore, { clock, beatMs: 1_000, connection: 1 });
      facts.absorb(reply({ presence: [row({ beat })] }), "all", { clock, beatMs: 1_000, connection: 1 });
      return facts.observation("i")?.moved;
    };
    assert.equal(moved("all", "e1", 3), true);
    assert.equal(moved("all", "e1", 0), false, "its join may be an old statement that was carried out late");
    assert.equal(moved([], "e1", 3), false, "it may have been there before");
    assert.equal(moved("all", "e0", 3), false, "a failover may have brought it back");
  });

  it("give a cursor of the epoch that is asked for: what is known of another one is left out", () => {
    const facts = new Facts();
    facts.absorb(reply({ electionsVersion: 9, viewVersion: 7 }), [], { clock: new VirtualClock(), beatMs: 1_000, connection: 1 });
    assert.deepEqual(facts.cursorIn("e1"), { epoch: "e1", electionsVersion: 9, viewVersion: 7 });
    assert.deepEqual(facts.cursorIn("e2"), { epoch: "e2", electionsVersion: 0, viewVersion: 0 });
  });

  it("never let a view's number or a token go back, also when the store does", () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    const view = (version: number) => ({ version, members: [], coordinator: null });
    const election = (token: number, version: number) => electionRow({ token, version });
    facts.absorb(reply({ viewVersion: 7, view: view(7), electionsVersion: 9, elections: [election(50, 9)] }), [], { clock, beatMs: 1_000, connection: 1 });
    const change = facts.absorb(reply({ epoch: "e2", viewVersion: 3, view: view(3), electionsVersion: 2, elections: [election(40, 2)] }), [], { clock, beatMs: 1_000, connection: 1 });
    assert.equal(change.viewChanged, false);
    assert.equal(facts.viewSeen, 7);
    assert.equal(facts.storedViewVersion, 3);
    assert.equal(facts.tokenSeen("e"), 50);
    assert.equal(facts.elections.get("e")?.token, 40, "the row itself is what the new epoch shows");
    assert.deepEqual(facts.cursor(), { epoch: "e2", electionsVersion: 2, viewVersion: 3 });
  });

  it("ignore an older row of the same epoch that arrives late", () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    const election = (token: number, version: number) => electionRow({ token, version });
    facts.absorb(reply({ electionsVersion: 9, elections: [election(5, 9)] }), [], { clock, beatMs: 1_000, connection: 1 });
    assert.equal(facts.absorb(reply({ electionsVersion: 8, elections: [election(4, 8)] }), [], { clock, beatMs: 1_000, connection: 1 }).elections.size, 0);
    assert.equal(facts.elections.get("e")?.token, 5);
  });

  it("tell of a watched incarnation that is not there", () => {
    const clock = new VirtualClock();
    const facts = new Facts();
    assert.equal(facts.absorb(reply(), ["gone"], { clock, beatMs: 1_000, connection: 1 }).deaths, true);
    assert.equal(facts.observation("gone")?.state, "absent");
  });
});
