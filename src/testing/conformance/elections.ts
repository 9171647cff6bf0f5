import assert from "node:assert/strict";
import { TOKENS_PER_GENERATION } from "../../store/index.ts";
import type { ClaimResult, ElectionRow } from "../../store/index.ts";
import { atOnce, cursorOf, NOTHING_SEEN, SHORT_LEASE_MS, still, tick } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Making elections, claiming, resigning, asking to resign. */
export const electionCases: readonly SceneCase[] = [
  // ---- createElection
  {
    title: "a new election has token 0, no holder, a fence at 0 and the group's birth epoch, and is a change that looks see",
    async run(scene) {
      const a = await scene.member();
      const before = await a.look();
      await a.createElection(ELECTION);
      const after = await a.look({ cursor: cursorOf(before) });
      const [row] = after.elections;
      if (row === undefined) return assert.fail("the row is not shown");
      const { election, token, holder, epoch, resignRequested } = row;
      assert.deepEqual({ election, token, holder, epoch, resignRequested }, { election: ELECTION, token: 0, holder: null, epoch: before.epoch, resignRequested: null });
      assert.ok(after.electionsVersion > before.electionsVersion);
      assert.equal(row.version, after.electionsVersion);
      assert.deepEqual((await a.reading()).fences, [{ election: ELECTION, token: 0 }]);
    },
  },
  {
    title: "making an election that is there changes nothing, held or not",
    async run(scene) {
      const a = await scene.member();
      await a.createElection("free");
      await a.lead(ELECTION);
      const before = still(await a.reading());
      const { electionsVersion } = await a.look();
      await a.createElection("free");
      await a.createElection(ELECTION);
      assert.deepEqual(still(await a.reading()), before);
      assert.equal((await a.look()).electionsVersion, electionsVersion);
    },
  },
  {
    title: "an election that many make at once is made once",
    async run(scene) {
      const members = await scene.members(4);
      const [a] = members;
      if (a === undefined) return assert.fail("no members");
      for (let round = 0; round < 10; round++) {
        const election = scene.name("election");
        const before = await a.look();
        await atOnce(members.map((each) => () => each.createElection(election)));
        assert.deepEqual((await a.look({ cursor: cursorOf(before) })).elections.map((row) => [row.election, row.token]), [[election, 0]]);
      }
      assert.equal((await a.reading()).fences.length, 10);
    },
  },
  {
    title: "an election made in a group that has seen another epoch has no epoch, so that nobody takes it for a new one",
    async run(scene) {
      const a = await scene.member();
      await a.createElection("before");
      const born = (await a.look()).epoch;
      await scene.newEpoch(a);
      await a.createElection("not-yet-adopted");
      await a.beat();
      await a.createElection("adopted");
      assert.deepEqual([(await a.row("before")).epoch, (await a.row("not-yet-adopted")).epoch, (await a.row("adopted")).epoch], [born, "", ""]);
      await a.createElection("before");
      assert.equal((await a.row("before")).epoch, born);
    },
  },
  {
    title: "a group born in the present epoch gives its elections that epoch, whatever epochs other groups have seen",
    async run(scene) {
      const old = await scene.member();
      await scene.newEpoch(old);
      const born = await scene.member({ group: `${scene.group}-later` });
      await born.createElection(ELECTION);
      const seen = await born.look();
      assert.deepEqual(seen.elections.map((row) => row.epoch), [seen.epoch]);
    },
  },

  // ---- claim
  {
    title: "a claim on a free election sets holder, token, epoch and a new version, stamped by the store's clock",
    async run(scene) {
      const [a, observer] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await tick(observer);
      const before = await observer.look();
      const claimed = await a.claim(ELECTION);
      const after = await observer.look({ cursor: cursorOf(before) });
      const [row] = after.elections;
      if (row === undefined || claimed === null) return assert.fail("nothing was claimed");
      const { token, holder, epoch, resignRequested } = row;
      assert.deepEqual(
        { token, holder, epoch, resignRequested },
        { token: claimed.token, holder: { incarnation: a.incarnation, node: a.node }, epoch: before.epoch, resignRequested: null },
      );
      assert.ok(row.version > before.electionsVersion);
      assert.equal(row.version, after.electionsVersion);
      assert.ok(before.storeTimeMs <= row.changedAtMs && row.changedAtMs <= after.storeTimeMs);
    },
  },
  {
    title: "the first token of a group begins the range of generation 1",
    async run(scene) {
      const a = await scene.member();
      assert.equal(await a.hold(ELECTION), TOKENS_PER_GENERATION);
    },
  },
  {
    title: "a token is one more than the row's, however the election changes hands",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      let last = await a.hold(ELECTION);
      for (const each of [b, a, a, b, a]) {
        const { holder } = await a.row(ELECTION);
        await (holder?.incarnation === a.incarnation ? a : b).resign(ELECTION, last);
        const token = (await each.claim(ELECTION))?.token;
        assert.equal(token, last + 1);
        last = token ?? 0;
      }
    },
  },
  {
    title: "a claim whose token is not the row's is refused, also where the election is free",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      await a.resign(ELECTION, token);
      const before = still(await a.reading());
      for (const expectedToken of [0, token - 1, token + 1]) assert.equal(await b.claim(ELECTION, { expectedToken }), null, `expecting ${expectedToken}`);
      assert.deepEqual(still(await a.reading()), before);
    },
  },
  {
    title: "a late claim, sent before another's term and carried out after it, is refused",
    async run(scene) {
      const [slow, quick] = [await scene.member(), await scene.member()];
      await slow.createElection(ELECTION);
      const { epoch } = await slow.look();
      const { token: expectedToken } = await slow.row(ELECTION);
      await quick.resign(ELECTION, await quick.lead(ELECTION));
      assert.equal(await slow.claim(ELECTION, { expectedToken, epoch }), null);
      assert.equal((await quick.row(ELECTION)).holder, null);
    },
  },
  {
    title: "a claim that is delivered twice succeeds once",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      const { epoch } = await a.look();
      const { token: expectedToken } = await a.row(ELECTION);
      const input = { expectedToken, epoch, incarnation: a.incarnation, node: a.node };
      const first = await a.claim(ELECTION, input);
      const row = await a.row(ELECTION);
      assert.equal(await b.claim(ELECTION, input), null);
      assert.deepEqual(await a.row(ELECTION), row);
      assert.equal(row.token, first?.token);
    },
  },
  {
    title: "of many claims with one expected token exactly one succeeds, round after round",
    async run(scene) {
      const members = await scene.members(5);
      const [first] = members;
      if (first === undefined) return assert.fail("no members");
      await first.createElection(ELECTION);
      for (let round = 0; round < 50; round++) {
        const { epoch, elections } = await first.look();
        const expectedToken = elections[0]?.token ?? 0;
        const results: readonly (ClaimResult | null)[] = await atOnce(members.map((each) => () => each.claim(ELECTION, { expectedToken, epoch })));
        const winners = members.filter((_, n) => results[n] !== null);
        assert.equal(winners.length, 1, `round ${round}: ${winners.length} winners`);
        const row: ElectionRow = await first.row(ELECTION);
        const token = results.find((each) => each !== null)?.token ?? 0;
        assert.deepEqual([row.holder?.incarnation, row.token], [winners[0]?.incarnation, token]);
        assert.ok(token > expectedToken);
        if (round % 2 === 0) assert.equal(await winners[0]?.resign(ELECTION, token), true);
        else await replace(members, winners[0]);
      }
    },
  },
  {
    title: "a holder that is alive keeps its election from others and from a second claim of its own",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.hold(ELECTION);
      const row = await a.row(ELECTION);
      assert.equal(await b.claim(ELECTION), null);
      assert.equal(await a.claim(ELECTION), null);
      assert.deepEqual(await a.row(ELECTION), row);
    },
  },
  {
    title: "a holder whose lease has run out, but whom nobody declared dead, keeps its election",
    async run(scene) {
      const [a, b] = [await scene.member({ leaseMs: SHORT_LEASE_MS }), await scene.member()];
      await a.hold(ELECTION);
      await scene.until("the holder's lease runs out", async () => ((await b.presenceOf(a)).expired ? true : undefined));
      assert.equal(await b.claim(ELECTION), null);
    },
  },
  {
    title: "the election of a holder that is dead can be claimed, whether it left or was declared dead",
    async run(scene) {
      const [a, b, c] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      await a.leave();
      assert.equal((await b.row(ELECTION)).holder?.incarnation, a.incarnation, "a death alone frees nothing");
      assert.equal((await b.claim(ELECTION))?.token, token + 1);
      await c.declareDead(b);
      assert.equal((await c.claim(ELECTION))?.token, token + 2);
      assert.equal((await c.row(ELECTION)).holder?.incarnation, c.incarnation);
    },
  },
  {
    title: "a claimant that is dead, or not there, is refused",
    async run(scene) {
      const [a, left, declared] = [await scene.member(), await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await left.leave();
      await a.declareDead(declared);
      assert.equal(await left.claim(ELECTION), null);
      assert.equal(await declared.claim(ELECTION), null);
      assert.equal(await a.claim(ELECTION, { incarnation: scene.random.id() }), null);
      assert.equal((await a.row(ELECTION)).token, 0);
    },
  },
  {
    title: "of a claim and its claimant's death that meet, the claim never comes second",
    async run(scene) {
      const [observer, session] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 20; round++) {
        const claimant = await scene.member({ session });
        const election = scene.name("election");
        await claimant.createElection(election);
        const { epoch } = await observer.look();
        const claim = () => claimant.claim(election, { expectedToken: 0, epoch });
        const die = () => observer.declareDead(claimant, { beat: 0, epoch });
        const [claimed, died] = await Promise.all([claim(), die()]);
        if (!died) assert.equal(await die(), true, "a declaration that lost the race succeeds when it is repeated");
        const { holder, token } = await observer.row(election);
        assert.deepEqual([holder?.incarnation, token], claimed === null ? [undefined, 0] : [claimant.incarnation, claimed.token]);
        assert.equal(await claimant.claim(election, { expectedToken: token, epoch }), null);
      }
    },
  },
  {
    title: "a claim in another epoch than the server's is refused",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      for (const epoch of ["another epoch", ""]) assert.equal(await a.claim(ELECTION, { epoch }), null);
      assert.equal((await a.row(ELECTION)).token, 0);
    },
  },
  {
    title: "after the epoch has changed nobody claims before a beat made it the group's; then tokens are of the new generation and the row is stamped anew",
    async run(scene) {
      const a = await scene.member();
      const old = await a.hold(ELECTION);
      await a.resign(ELECTION, old);
      await scene.newEpoch(a);
      const { epoch, generation } = await a.look();
      assert.equal(await a.claim(ELECTION, { epoch }), null, "the group's epoch is still the old one");
      assert.notEqual((await a.row(ELECTION)).epoch, epoch);
      await a.beat({ generation });
      const claimed = await a.claim(ELECTION, { epoch });
      assert.equal(claimed?.token, (generation + 1) * TOKENS_PER_GENERATION);
      assert.equal((await a.row(ELECTION)).epoch, epoch);
    },
  },
  {
    title: "a token is greater than any that the claimant has seen",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      const tokenSeen = 7 * TOKENS_PER_GENERATION + 12_345;
      assert.equal((await a.claim(ELECTION, { tokenSeen }))?.token, tokenSeen + 1);
      await a.resign(ELECTION, tokenSeen + 1);
      assert.equal((await a.claim(ELECTION, { tokenSeen: 5 }))?.token, tokenSeen + 2);
    },
  },
  {
    title: "a token lies in the range of the group's generation or above it",
    async run(scene) {
      const a = await scene.member();
      const first = await a.hold(ELECTION);
      await a.resign(ELECTION, first);
      const { generation } = await a.beat({ generation: 8 });
      assert.equal((await a.claim(ELECTION))?.token, generation * TOKENS_PER_GENERATION);
    },
  },
  {
    title: "tokens up to the largest safe integer are exact; beyond it a claim rejects with TOKEN_EXHAUSTED and changes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      const last = Number.MAX_SAFE_INTEGER;
      assert.equal((await a.claim(ELECTION, { tokenSeen: last - 2 }))?.token, last - 1);
      assert.equal(await a.passFence(ELECTION, last - 1), "passed");
      assert.deepEqual((await b.reading()).fences, [{ election: ELECTION, token: last - 1 }]);
      await a.resign(ELECTION, last - 1);
      assert.equal((await b.claim(ELECTION))?.token, last);
      assert.equal((await b.row(ELECTION)).token, last);
      assert.equal(await b.passFence(ELECTION, last), "passed");
      await b.resign(ELECTION, last);
      const before = still(await a.reading());
      const events = await a.events();
      await assert.rejects(a.claim(ELECTION), { code: "TOKEN_EXHAUSTED" });
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
      assert.equal(a.session.ended.aborted, false, "the session goes on");
    },
  },
  {
    title: "a claim ends the term before in the history as superseded, begins the new one, and an event says that it began",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const first = await a.hold(ELECTION);
      await a.leave();
      const after = (await b.events()).at(-1)?.sequence ?? 0;
      const second = (await b.claim(ELECTION))?.token ?? 0;
      const terms = (await b.reading()).terms.map(({ election, token, node, incarnation, endReason }) => ({ election, token, node, incarnation, endReason }));
      assert.deepEqual(terms, [
        { election: ELECTION, token: second, node: b.node, incarnation: b.incarnation, endReason: null },
        { election: ELECTION, token: first, node: a.node, incarnation: a.incarnation, endReason: "superseded" },
      ]);
      assert.deepEqual((await b.events(after)).filter((each) => each.type === "term-began").map((each) => each.subject), [ELECTION]);
    },
  },
  {
    title: "a term that was resigned keeps its own ending when the next one begins",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.resign(ELECTION, await a.hold(ELECTION), "it's stopping");
      const [ended] = (await a.reading()).terms;
      await b.claim(ELECTION);
      const { terms } = await a.reading();
      assert.deepEqual(terms.slice(1), [ended]);
      assert.equal(ended?.endReason, "it's stopping");
      assert.ok(ended.endedAtMs !== null && ended.endedAtMs >= ended.beganAtMs);
    },
  },
  {
    title: "a claim that is refused leaves no event and no term",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.hold(ELECTION);
      const [events, { terms }] = [await a.events(), await a.reading()];
      assert.equal(await b.claim(ELECTION), null);
      assert.equal(await b.claim(ELECTION, { expectedToken: 0 }), null);
      assert.deepEqual(await a.events(), events);
      assert.deepEqual((await a.reading()).terms, terms);
    },
  },
  {
    title: "an election that was never made is claimed, resigned, asked for and fenced by nobody",
    async run(scene) {
      const a = await scene.member();
      assert.equal(await a.claim("unmade"), null);
      assert.equal(await a.resign("unmade", 0), false);
      assert.equal(await a.requestResign("unmade", 0), false);
      assert.equal(await a.passFence("unmade", 1), "superseded");
      assert.equal(await a.rowIfAny("unmade"), undefined);
    },
  },
  {
    title: "elections are independent, and their names are data: keys, patterns and letters of other cases are other elections",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const names = ["constructor", "toString", "valueOf", "a_b", "axb", "a-b", "A_b", "null", "0", "00", "select", `e${"x".repeat(127)}`, `e${"x".repeat(126)}y`];
      for (const name of names) await a.createElection(name);
      for (const name of names) await (name.length % 2 === 0 ? a : b).hold(name);
      const shown = new Map((await a.look()).elections.map((row) => [row.election, row.holder?.node]));
      assert.deepEqual(shown, new Map(names.map((name) => [name, (name.length % 2 === 0 ? a : b).node])));
      assert.equal(await a.resign("a-b", (await a.row("a-b")).token), false, "b holds it");
      assert.equal(await b.resign("a_b", (await a.row("a_b")).token), true);
      assert.deepEqual((await a.look()).elections.filter((row) => row.holder === null).map((row) => row.election), ["a_b"]);
    },
  },
  {
    title: "one incarnation may hold many elections, and a beat shows all of them",
    async run(scene) {
      const a = await scene.member();
      const names = Array.from({ length: 12 }, (_, n) => `election-${n}`);
      for (const name of names) await a.hold(name);
      const reply = await a.beat({ cursor: NOTHING_SEEN });
      assert.deepEqual(reply.elections.filter((row) => row.holder?.incarnation === a.incarnation).map((row) => row.election).sort(), [...names].sort());
    },
  },

  // ---- resign
  {
    title: "resigning frees the row for who holds it with that token, and leaves token and epoch as they are",
    async run(scene) {
      const [a, observer] = [await scene.member(), await scene.member()];
      const token = await a.lead(ELECTION);
      const held = await observer.row(ELECTION);
      await tick(observer);
      const before = await observer.look();
      assert.equal(await a.resign(ELECTION, token), true);
      const [row] = (await observer.look({ cursor: cursorOf(before) })).elections;
      assert.deepEqual([row?.holder, row?.token, row?.epoch], [null, token, held.epoch]);
      assert.ok((row?.version ?? 0) > held.version && (row?.changedAtMs ?? 0) >= before.storeTimeMs);
    },
  },
  {
    title: "resigning with a token that is not the row's, or for somebody else, answers false and changes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      const before = still(await a.reading());
      for (const other of [0, token - 1, token + 1]) assert.equal(await a.resign(ELECTION, other), false, `token ${other}`);
      assert.equal(await b.resign(ELECTION, token), false, "another incarnation");
      assert.deepEqual(still(await a.reading()), before);
    },
  },
  {
    title: "a late resignation does not end a later term of the same holder",
    async run(scene) {
      const a = await scene.member();
      const first = await a.hold(ELECTION);
      await a.resign(ELECTION, first);
      const second = await a.hold(ELECTION);
      assert.equal(await a.resign(ELECTION, first), false);
      const { holder, token } = await a.row(ELECTION);
      assert.deepEqual([holder?.incarnation, token], [a.incarnation, second]);
    },
  },
  {
    title: "a resignation that is delivered twice answers false the second time and leaves one event and one ending",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      assert.equal(await a.resign(ELECTION, token, "first"), true);
      assert.equal(await a.resign(ELECTION, token, "second"), false);
      assert.deepEqual((await a.reading()).terms.map((term) => term.endReason), ["first"]);
      assert.deepEqual((await a.events()).filter((each) => each.type === "term-ended").map((each) => each.subject), [ELECTION]);
    },
  },
  {
    title: "resigning does not stamp the row with a later epoch than it was claimed in",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      const { epoch } = await a.row(ELECTION);
      await scene.newEpoch(a);
      await a.beat();
      assert.equal(await a.resign(ELECTION, token), true);
      assert.equal((await a.row(ELECTION)).epoch, epoch);
    },
  },
  {
    title: "of a resignation and a claim after the holder's death that meet, the claimant ends up holding",
    async run(scene) {
      const [observer, session] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 20; round++) {
        const holder = await scene.member({ session });
        const election = scene.name("election");
        const token = await holder.hold(election);
        await observer.declareDead(holder);
        const { epoch } = await observer.look();
        const resign = () => holder.resign(election, token);
        const claim = async () => (await observer.claim(election, { expectedToken: token, epoch })) !== null;
        const results = await atOnce(round % 2 === 0 ? [resign, claim] : [claim, resign]);
        const claimed = results[round % 2 === 0 ? 1 : 0];
        if (claimed === false) assert.equal(await claim(), true, "a claim that lost the race succeeds when it is repeated");
        const row = await observer.row(election);
        assert.deepEqual([row.holder?.incarnation, row.token], [observer.incarnation, token + 1]);
        const open = (await observer.reading()).terms.filter((term) => term.election === election && term.endedAtMs === null);
        assert.deepEqual(open.map((term) => term.token), [token + 1]);
      }
    },
  },

  // ---- requestResign
  {
    title: "asking to resign is kept in the row of the term that it is about, with an event, and the next claim clears it",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      const before = await a.look();
      assert.equal(await b.requestResign(ELECTION, token), true);
      const [row] = (await a.beat({ cursor: cursorOf(before) })).elections;
      assert.deepEqual([row?.resignRequested, row?.holder?.incarnation, row?.token], [token, a.incarnation, token]);
      assert.deepEqual((await a.events()).filter((each) => each.type === "resign-requested").map((each) => each.subject), [ELECTION]);
      await a.leave();
      assert.notEqual(await b.claim(ELECTION), null);
      assert.equal((await b.row(ELECTION)).resignRequested, null);
    },
  },
  {
    title: "asking to resign a term that is not the present one, or where nobody holds, answers false and writes nothing",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      const held = still(await a.reading());
      for (const other of [0, token - 1, token + 1]) assert.equal(await a.requestResign(ELECTION, other), false, `token ${other}`);
      assert.deepEqual(still(await a.reading()), held);
      await a.resign(ELECTION, token);
      const free = still(await a.reading());
      assert.equal(await a.requestResign(ELECTION, token), false);
      assert.deepEqual(still(await a.reading()), free);
    },
  },
];

/** The winner dies by declaration instead of resigning, and is back as a new incarnation for the next round. */
async function replace(members: readonly Member[], winner: Member | undefined): Promise<void> {
  const index = members.findIndex((each) => each === winner);
  const observer = members[(index + 1) % members.length];
  if (winner === undefined || observer === undefined) return;
  assert.equal(await observer.declareDead(winner), true);
  (members as Member[])[index] = await winner.scene.member({ session: winner.session });
}
