import assert from "node:assert/strict";
import { LONGEST_REASON } from "../../store/index.ts";
import { atOnce, HOSTILE_WORDS, LONG_LEASE_MS, SHORT_LEASE_MS, still, tick } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

/** Asking a node to go. */
export const evictionCases: readonly SceneCase[] = [
  {
    title: "an eviction is kept in the row of the node's incarnation, which everybody sees as alive and evicted, with an event that says by whom and why",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      assert.equal((await a.presenceOf(victim)).evicted, false);
      assert.equal(await a.evict(victim.node, "it's too slow"), true);
      const { state, evicted } = await a.presenceOf(victim);
      assert.deepEqual([state, evicted], ["alive", true]);
      assert.equal((await a.reading()).presence.find((row) => row.incarnation === victim.incarnation)?.evicted, true);
      assert.equal((await a.presenceOf(a)).evicted, false, "and nobody else is");
      const [event] = await evictions(a);
      assert.deepEqual([event?.subject, event?.detail["by"], event?.detail["reason"]], [victim.node, a.node, "it's too slow"]);
    },
  },
  {
    title: "beats of somebody evicted are not accepted and say so; number, lease and what it has seen stand where they were",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await victim.beat({ beat: 4, viewSeen: 2 });
      await a.evict(victim.node);
      const before = await a.presenceOf(victim);
      await tick(a);
      for (const beat of [5, 1_000]) {
        const reply = await victim.beat({ beat, viewSeen: 9 });
        assert.deepEqual([reply.accepted, reply.self], [false, "evicted"]);
      }
      const after = await a.presenceOf(victim);
      assert.deepEqual([after.beat, after.viewSeen], [4, 2]);
      assert.ok(after.beatAgeMs > before.beatAgeMs, "its age grows on");
    },
  },
  {
    title: "the lease of somebody evicted runs out however often it beats",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member({ leaseMs: SHORT_LEASE_MS })];
      await a.evict(victim.node);
      await scene.until("the lease runs out", async () => {
        assert.equal((await victim.beat()).accepted, false);
        return (await a.presenceOf(victim)).expired ? true : undefined;
      });
      assert.equal(await a.declareDead(victim, { requireExpired: true }), true);
    },
  },
  {
    title: "a refused beat of somebody evicted shows everything that any other shows, and raises the generation as any other",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await a.lead("e");
      await a.evict(victim.node);
      const reply = await victim.beat({ generation: 6 });
      assert.deepEqual([reply.accepted, reply.generation], [false, 7]);
      assert.deepEqual(reply.elections, (await a.look()).elections);
      assert.equal(reply.presence.find((row) => row.incarnation === victim.incarnation)?.evicted, true);
    },
  },
  {
    title: "an eviction changes nothing else: elections stay held and can be resigned, metadata can be changed",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      const token = await victim.lead("e");
      await a.evict(victim.node);
      assert.equal((await a.row("e")).holder?.incarnation, victim.incarnation);
      assert.equal(await a.claim("e"), null);
      assert.equal(await victim.session.updateMetadata({ incarnation: victim.incarnation, metadata: '{"going":true}' }, victim.call), true);
      assert.equal(await victim.resign("e", token), true);
    },
  },
  {
    title: "a second eviction answers false, tells nothing and leaves the first one's event alone",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      assert.equal(await a.evict(victim.node, "first"), true);
      const [before, events] = [still(await a.reading()), await a.events()];
      assert.equal(await a.evict(victim.node, "second"), false);
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "evicting a node that is not there, that is dead, or in a group that is not there answers false and makes nothing",
    async run(scene) {
      const [a, left] = [await scene.member(), await scene.member()];
      await left.leave();
      const [before, events] = [still(await a.reading()), await a.events()];
      for (const node of ["nobody", left.node, a.incarnation, ""]) assert.equal(await a.evict(node), false, node);
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
      const elsewhere = await scene.session({ group: `${scene.group}-none` });
      assert.equal(await elsewhere.evict({ node: a.node, by: "operator", reason: "x" }, scene.call), false);
      assert.equal(await elsewhere.readGroup(scene.call), null);
    },
  },
  {
    title: "somebody evicted who leaves is dead as one who left, and one who is declared dead as declared",
    async run(scene) {
      const [a, leaves, silent] = [await scene.member(), await scene.member(), await scene.member()];
      for (const each of [leaves, silent]) await a.evict(each.node);
      assert.equal(await leaves.leave(), true);
      assert.equal(await a.declareDead(silent), true);
      assert.deepEqual([(await a.memberRow(leaves)).deadReason, (await a.memberRow(silent)).deadReason], ["left", "expired"]);
      for (const each of [leaves, silent]) {
        const { accepted, self } = await each.beat();
        assert.deepEqual([accepted, self], [false, "dead"]);
        assert.equal((await a.presenceOf(each)).evicted, true, "which the row goes on to show");
        assert.equal(await a.evict(each.node), false);
      }
    },
  },
  {
    title: "an eviction is of one incarnation: its name stays taken while it lives, then the next one of the node may join, is not evicted, and may be in its turn",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await a.evict(victim.node);
      const early = await a.session.join(scene.joinInput({ node: victim.node }), a.call);
      assert.equal(early.outcome, "name-taken");
      if (early.outcome === "name-taken") assert.deepEqual([early.by.incarnation, early.by.evicted], [victim.incarnation, true]);
      await victim.leave();
      const next = await scene.member({ node: victim.node });
      assert.equal((await a.presenceOf(next)).evicted, false);
      assert.equal((await next.beat()).accepted, true);
      assert.equal(await a.evict(next.node), true);
      assert.equal((await next.beat()).self, "evicted");
      assert.equal((await evictions(a)).length, 2);
    },
  },
  {
    title: "joining again with an incarnation that is evicted answers joined and lifts nothing",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await a.evict(victim.node);
      const before = still(await a.reading());
      const again = await victim.session.join(scene.joinInput({ incarnation: victim.incarnation, node: victim.node, leaseMs: LONG_LEASE_MS }), victim.call);
      assert.deepEqual(again, { outcome: "joined", joinOrder: victim.joinOrder, epoch: (await a.look()).epoch });
      assert.deepEqual(still(await a.reading()), before);
      assert.equal((await victim.beat()).self, "evicted");
    },
  },
  {
    title: "reasons of evictions are data, up to the longest one",
    async run(scene) {
      const a = await scene.member();
      const texts = [...HOSTILE_WORDS, "", "é".repeat(LONGEST_REASON)];
      for (const text of texts) {
        const victim = await scene.member({ session: a.session });
        assert.equal(await a.evict(victim.node, text), true);
      }
      assert.deepEqual((await evictions(a)).map((each) => each.detail["reason"]), texts);
    },
  },
  {
    title: "of many evictions of one node at once, one answers true",
    async run(scene) {
      const members = await scene.members(4);
      const [first] = members;
      if (first === undefined) return assert.fail("no members");
      for (let round = 0; round < 8; round++) {
        const victim = await scene.member({ session: first.session });
        const results = await atOnce(members.map((each) => () => each.evict(victim.node)));
        assert.equal(results.filter(Boolean).length, 1, `round ${round}`);
      }
      assert.equal((await evictions(first)).length, 8);
    },
  },
  {
    title: "of an eviction and a beat that meet, the beat counts before it or not at all",
    async run(scene) {
      const [a, session] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 15; round++) {
        const victim = await scene.member({ session });
        const evict = () => a.evict(victim.node);
        const beat = async () => (await victim.beat({ beat: 1 })).accepted;
        const results = await atOnce(round % 2 === 0 ? [evict, beat] : [beat, evict]);
        const [evicted, accepted] = round % 2 === 0 ? results : results.toReversed();
        assert.equal(evicted, true);
        assert.equal((await a.presenceOf(victim)).beat, accepted === true ? 1 : 0);
        assert.equal((await victim.beat({ beat: 2 })).self, "evicted");
      }
    },
  },
];

async function evictions(observer: Member) {
  return (await observer.events()).filter((each) => each.type === "eviction-requested");
}
