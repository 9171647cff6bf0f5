import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contestStep, termStands } from "../../src/election/index.ts";
import { declareDeferMs, rankDeferMs } from "../../src/election/takeover.ts";
import type { Contest } from "../../src/election/index.ts";
import { observedWaitMs } from "../../src/presence/index.ts";
import type { Observation } from "../../src/presence/index.ts";
import type { ElectionRow } from "../../src/store/index.ts";
import { electionRow, observation } from "../support/rows.ts";
import { fc } from "../support/properties.ts";

const NOW = 100_000;
const row = (over: Partial<ElectionRow> = {}): ElectionRow => electionRow({ token: 5, ...over });
const holder = (over: Partial<Observation> = {}): Observation => observation({ incarnation: "h", node: "h", beat: 3, sinceMs: NOW - 1_000, ...over });
const contest = (over: Partial<Contest> = {}): Contest => ({
  row: row(),
  holder: undefined,
  incarnation: "me",
  node: "me",
  priority: 0,
  rowSinceMs: NOW - 1_000,
  tokenSinceMs: NOW - 1_000,
  evidence: undefined,
  epoch: "e1",
  epochSinceMs: 0,
  longestLeaseMs: 4_000,
  deferMs: 0,
  claimableSinceMs: undefined,
  ...over,
});
const held = { holder: { incarnation: "h", node: "h" } };

describe("a contender", () => {
  it("makes an election that is not there", () => assert.equal(contestStep(contest({ row: undefined }), NOW).kind, "create"));

  it("claims a free row of this epoch at once", () => assert.deepEqual(contestStep(contest(), NOW), { kind: "claim", expectedToken: 5, overReservation: false }));

  it("claims a dead holder's row of this epoch at once", () => {
    assert.deepEqual(contestStep(contest({ row: row(held), holder: holder({ state: "dead" }) }), NOW), { kind: "claim", expectedToken: 5, overReservation: false });
  });

  it("lets better candidates go first, and then claims", () => {
    const first = contestStep(contest({ deferMs: 40 }), NOW);
    assert.deepEqual(first, { kind: "wait", untilMs: NOW + 40, claimable: true });
    assert.equal(contestStep(contest({ deferMs: 40, claimableSinceMs: NOW }), NOW + 40).kind, "claim");
  });

  it("waits the full wait in another epoch, also for a free row and for a dead holder's", () => {
    for (const over of [{ row: row({ epoch: "e0" }) }, { row: row({ epoch: "" }) }, { row: row({ ...held, epoch: "e0" }), holder: holder({ state: "dead" }) }] as const) {
      const sinceMs = NOW - 1_000;
      assert.deepEqual(contestStep(contest({ ...over, epochSinceMs: sinceMs }), NOW), { kind: "wait", untilMs: sinceMs + observedWaitMs(4_000), claimable: false });
      assert.equal(contestStep(contest({ ...over, epochSinceMs: NOW - observedWaitMs(4_000) }), NOW).kind, "claim");
    }
  });

  it("resigns a token that it does not hold, before anything else", () => {
    assert.deepEqual(contestStep(contest({ row: row({ holder: { incarnation: "me", node: "me" }, token: 9 }) }), NOW), { kind: "resign", token: 9 });
  });

  it("looks first if nothing is known of the holder", () => assert.equal(contestStep(contest({ row: row(held) }), NOW).kind, "look"));

  it("never declares a holder dead, or claims from a live one, within a lease of its last sign", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 30_000 }), fc.integer({ min: 0, max: 60_000 }), fc.boolean(), (leaseMs, silentMs, askedStore) => {
        const step = contestStep(contest({ row: row(held), holder: holder({ leaseMs, sinceMs: NOW - silentMs, askedStore }), longestLeaseMs: 30_000 }), NOW);
        if (step.kind === "claim") return false;
        return step.kind !== "declare" || (silentMs >= leaseMs && (step.grounds === "expiry" || silentMs >= observedWaitMs(leaseMs)));
      }),
    );
  });

  it("waits out a holder whose row is gone, as one that may have been lost", () => {
    const gone = contest({ row: row(held), holder: holder({ state: "absent", sinceMs: NOW - 10 }) });
    assert.equal(contestStep(gone, NOW).kind, "wait");
    assert.equal(contestStep(gone, NOW - 10 + observedWaitMs(4_000)).kind, "claim");
  });

  it("always knows a next step, and a wait lies in the future", () => {
    fc.assert(
      fc.property(
        fc.record({
          row: fc.option(fc.record({ token: fc.nat(10), who: fc.constantFrom(null, "h", "me", "x"), epoch: fc.constantFrom("e0", "e1", "") }), { nil: undefined }),
          state: fc.constantFrom("alive" as const, "dead" as const, "absent" as const),
          since: fc.nat(20_000),
          epochSince: fc.nat(20_000),
          defer: fc.nat(500),
        }),
        (input) => {
          const step = contestStep(
            contest({
              row: input.row === undefined ? undefined : row({ token: input.row.token, epoch: input.row.epoch, holder: input.row.who === null ? null : { incarnation: input.row.who, node: "n" } }),
              holder: holder({ state: input.state, sinceMs: NOW - input.since }),
              epochSinceMs: NOW - input.epochSince,
              deferMs: input.defer,
            }),
            NOW,
          );
          return step.kind !== "wait" || step.untilMs > NOW;
        },
      ),
    );
  });
});

describe("a term", () => {
  it("stands while the row names it, and is not contradicted by an older row of the same epoch", () => {
    const mine = { holder: { incarnation: "me", node: "me" } };
    assert.equal(termStands(row({ ...mine, token: 5 }), 5, "me", false), true);
    assert.equal(termStands(row({ token: 4 }), 5, "me", false), true);
    assert.equal(termStands(row({ token: 4 }), 5, "me", true), false, "in a new epoch an older row means that the claim was lost");
    assert.equal(termStands(row({ token: 6, ...held }), 5, "me", false), false);
    assert.equal(termStands(row({ token: 5, holder: null }), 5, "me", false), false);
    assert.equal(termStands(undefined, 5, "me", false), false);
  });
});

describe("many candidates", () => {
  it("let the first few go in order, one after the other, whatever chance says", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 7 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (rank, one, other) => rankDeferMs(rank, one) < rankDeferMs(rank + 1, other)));
  });

  it("spread by chance after that, and all of them go within three seconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 9, max: 5_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (rank, chance) => {
        const deferMs = rankDeferMs(rank, chance);
        return deferMs >= rankDeferMs(8, chance) && deferMs <= 3_000;
      }),
    );
    assert.notEqual(rankDeferMs(600, 0.1), rankDeferMs(600, 0.9));
  });

  it("declare a holder dead spread over at most a second, a few of them at once", () => {
    assert.equal(declareDeferMs(8, 1), 0);
    assert.equal(declareDeferMs(100, 0.5), 100);
    assert.equal(declareDeferMs(5_000, 1), 1_000);
  });
});
