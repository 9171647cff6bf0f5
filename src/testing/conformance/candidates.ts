import assert from "node:assert/strict";
import type { CandidateRow } from "../../store/index.ts";
import { atOnce, cursorOf, SHORT_LEASE_MS, still, untilForgotten } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Who contends for an election, and how much it wants to. */
export const candidateCases: readonly SceneCase[] = [
  {
    title: "who says that it contends is listed with its node, priority, fitness and join order, by everybody, the oldest member first",
    async run(scene) {
      const [a, b, c] = [await scene.member(), await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      assert.deepEqual(await a.candidates(ELECTION), []);
      assert.equal(await c.contend(ELECTION, { priority: 5, fit: true }), true);
      assert.equal(await a.contend(ELECTION, { priority: -1, fit: false }), true);
      assert.equal(await b.contend(ELECTION, { priority: 0, fit: true }), true);
      const expected = [listed(a, -1, false), listed(b, 0, true), listed(c, 5, true)];
      for (const each of [a, b, c]) assert.deepEqual(await each.candidates(ELECTION), expected);
    },
  },
  {
    title: "a reading of the group has the candidates of each election",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      for (const election of ["e-1", "e-2", "e-3"]) await a.createElection(election);
      await a.contend("e-1", { priority: 0, fit: true });
      await b.contend("e-1", { priority: 2, fit: true });
      await b.contend("e-2", { priority: 0, fit: false });
      const candidates = (await a.reading()).candidates.toSorted((x, y) => (x.election === y.election ? x.joinOrder - y.joinOrder : x.election < y.election ? -1 : 1));
      assert.deepEqual(candidates, [
        { election: "e-1", ...listed(a, 0, true) },
        { election: "e-1", ...listed(b, 2, true) },
        { election: "e-2", ...listed(b, 0, false) },
      ]);
      assert.deepEqual(await a.candidates("e-2"), [listed(b, 0, false)]);
      assert.deepEqual(await a.candidates("e-3"), []);
    },
  },
  {
    title: "saying it again replaces what was said, and says it once",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      for (const candidacy of [{ priority: 0, fit: true }, { priority: 0, fit: false }, { priority: 3, fit: true }, { priority: 3, fit: true }]) {
        assert.equal(await a.contend(ELECTION, candidacy), true);
        assert.deepEqual(await a.candidates(ELECTION), [listed(a, candidacy.priority, candidacy.fit)]);
      }
    },
  },
  {
    title: "who withdraws is listed no more; withdrawing answers whether there was something",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await a.contend(ELECTION, { priority: 0, fit: true });
      await b.contend(ELECTION, { priority: 0, fit: true });
      assert.equal(await a.contend(ELECTION, null), true);
      assert.equal(await a.contend(ELECTION, null), false);
      assert.deepEqual(await b.candidates(ELECTION), [listed(b, 0, true)]);
      assert.equal(await a.contend(ELECTION, { priority: 0, fit: true }), true, "and may contend again");
      assert.equal((await b.candidates(ELECTION)).length, 2);
    },
  },
  {
    title: "the dead are not listed, whether they left or were declared dead; who is evicted, or whose lease has run out, is",
    async run(scene) {
      const [a, left, declared, evicted] = [await scene.member(), await scene.member(), await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      for (const each of [left, declared, evicted]) await each.contend(ELECTION, { priority: 1, fit: true });
      await left.leave();
      await a.declareDead(declared);
      await a.evict(evicted.node);
      const silent = await scene.member({ leaseMs: SHORT_LEASE_MS });
      await silent.contend(ELECTION, { priority: 0, fit: true });
      await scene.until("the lease runs out", async () => ((await a.presenceOf(silent)).expired ? true : undefined));
      const expected = [listed(evicted, 1, true), listed(silent, 0, true)];
      assert.deepEqual(await a.candidates(ELECTION), expected);
      const { candidates } = await a.reading();
      assert.deepEqual(candidates.toSorted((x, y) => x.joinOrder - y.joinOrder), expected.map((row) => ({ election: ELECTION, ...row })));
    },
  },
  {
    title: "a candidacy of somebody dead or unknown, or for an election that was never made, is refused and stores nothing",
    async run(scene) {
      const [a, dead] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await dead.contend(ELECTION, { priority: 0, fit: true });
      await dead.leave();
      const [before, { electionsVersion }] = [still(await a.reading()), await a.look()];
      for (const candidacy of [{ priority: 4, fit: true }, null]) {
        assert.equal(await dead.contend(ELECTION, candidacy), false, "dead");
        assert.equal(await a.session.setCandidacy({ election: ELECTION, incarnation: "nobody", candidacy }, a.call), false, "unknown");
        assert.equal(await a.contend("unmade", candidacy), false, "unmade");
      }
      assert.deepEqual(still(await a.reading()), before);
      assert.equal((await a.look()).electionsVersion, electionsVersion);
      assert.deepEqual([await a.candidates("unmade"), await a.rowIfAny("unmade")], [[], undefined]);
    },
  },
  {
    title: "contending, holding and resigning are independent: who contends holds nothing by it, and who holds or has resigned is still listed",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await a.contend(ELECTION, { priority: 0, fit: true });
      assert.equal((await a.row(ELECTION)).holder, null);
      const token = (await a.claim(ELECTION))?.token ?? 0;
      assert.deepEqual(await b.candidates(ELECTION), [listed(a, 0, true)]);
      await a.resign(ELECTION, token);
      assert.deepEqual(await b.candidates(ELECTION), [listed(a, 0, true)]);
      assert.equal((await b.claim(ELECTION))?.token, token + 1, "the store lets those claim that do not contend");
    },
  },
  {
    title: "the first priority other than 0 makes an election ranked, in a new version; it stays so, and nothing else about candidates changes a version or leaves an event",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      const born = await a.look();
      await a.contend(ELECTION, { priority: 0, fit: true });
      await a.contend(ELECTION, { priority: 0, fit: false });
      await a.contend(ELECTION, null);
      assert.equal((await a.look()).electionsVersion, born.electionsVersion, "as long as all priorities are 0");
      await a.contend(ELECTION, { priority: -3, fit: true });
      const ranked = await b.look({ cursor: cursorOf(born) });
      assert.deepEqual(ranked.elections.map((row) => [row.ranked, row.version]), [[true, ranked.electionsVersion]]);
      await b.contend(ELECTION, { priority: 8, fit: true });
      await a.contend(ELECTION, { priority: 0, fit: true });
      await b.contend(ELECTION, null);
      await a.leave();
      const after = await b.look();
      assert.deepEqual([after.elections.map((row) => row.ranked), after.electionsVersion], [[true], ranked.electionsVersion]);
      assert.deepEqual(await b.events(), []);
    },
  },
  {
    title: "an election is ranked by itself: others are not",
    async run(scene) {
      const a = await scene.member();
      await a.createElection("ranked");
      await a.createElection("plain");
      await a.contend("plain", { priority: 0, fit: true });
      await a.contend("ranked", { priority: 1, fit: true });
      assert.deepEqual([(await a.row("ranked")).ranked, (await a.row("plain")).ranked], [true, false]);
    },
  },
  {
    title: "publishing forgets the candidacies of whom it forgets: the same incarnation, should it join once more, contends for nothing",
    async run(scene) {
      const [a, alive, gone] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await a.coordinate();
      await a.createElection(ELECTION);
      for (const each of [alive, gone]) await each.contend(ELECTION, { priority: 2, fit: true });
      await gone.leave();
      await untilForgotten(a, token, gone);
      const again = await scene.member({ incarnation: gone.incarnation, node: gone.node });
      assert.deepEqual(await a.candidates(ELECTION), [listed(alive, 2, true)]);
      assert.equal(await again.contend(ELECTION, null), false);
    },
  },
  {
    title: "of many that contend at once each is listed once, and the election is ranked",
    async run(scene) {
      const members = await scene.members(5);
      const [first] = members;
      if (first === undefined) return assert.fail("no members");
      for (let round = 0; round < 5; round++) {
        const election = scene.name("election");
        await first.createElection(election);
        const results = await atOnce([...members, ...members].map((each) => () => each.contend(election, { priority: each.joinOrder, fit: true })));
        assert.ok(results.every(Boolean));
        assert.deepEqual(await first.candidates(election), members.map((each) => listed(each, each.joinOrder, true)));
        assert.equal((await first.row(election)).ranked, true);
      }
    },
  },
  {
    title: "of a candidacy and its candidate's death that meet, the dead one is never listed",
    async run(scene) {
      const [observer, session] = [await scene.member(), await scene.session()];
      await observer.createElection(ELECTION);
      for (let round = 0; round < 15; round++) {
        const candidate = await scene.member({ session });
        const contend = () => candidate.contend(ELECTION, { priority: 0, fit: true });
        const leave = () => observer.session.leave({ incarnation: candidate.incarnation }, observer.call);
        await atOnce(round % 2 === 0 ? [contend, leave] : [leave, contend]);
        assert.deepEqual(await observer.candidates(ELECTION), [], `round ${round}`);
      }
    },
  },
];

function listed({ incarnation, node, joinOrder }: Member, priority: number, fit: boolean): CandidateRow {
  return { incarnation, node, priority, fit, joinOrder };
}
