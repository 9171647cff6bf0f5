import assert from "node:assert/strict";
import { COORDINATOR, viewFloor, VIEWS_PER_GENERATION } from "../../store/index.ts";
import type { StoredView } from "../../store/index.ts";
import { atOnce, emptyView, event, later, still, tick, untilForgotten } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";
import { untilPassed } from "./fence.ts";

/** Publishing views. */
export const membershipCases: readonly SceneCase[] = [
  {
    title: "the coordinator's view is stored, and every look shows it whole: order, metadata, coordinator",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.coordinate();
      const view = await viewOf(3, [b, a], { texts: ["it's", 'a "quote"', "100%_\\", "語 🦀", "nul\u0000"], nested: [{ n: 1.5 }, null, true] });
      assert.equal(await a.publish(token, { view }), true);
      for (const member of [a, b]) {
        const seen = await member.look();
        assert.equal(seen.viewVersion, 3);
        assert.deepEqual(seen.view, view);
      }
      assert.deepEqual((await b.reading()).view, view);
    },
  },
  {
    title: "a view replaces the one before, and its number may leave some out",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      for (const [expectedVersion, version] of [[0, 1], [1, 2], [2, 9], [9, 10]] as const) {
        assert.equal(await a.publish(token, { expectedVersion, view: emptyView(version) }), true);
        const seen = await a.look();
        assert.deepEqual([seen.viewVersion, seen.view], [version, emptyView(version)]);
      }
    },
  },
  {
    title: "publishing from a view that is not the stored one any more answers false and writes nothing, no event either",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      assert.equal(await a.publish(token, { view: emptyView(5) }), true);
      const [before, events] = [still(await a.reading()), await a.events()];
      for (const expectedVersion of [0, 4, 6]) {
        assert.equal(await a.publish(token, { expectedVersion, view: emptyView(7), events: [event("member-joined", "x")] }), false, `from ${expectedVersion}`);
      }
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "a view that is delivered twice is published once",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      const input = { expectedVersion: 0, view: emptyView(1), events: [event("member-joined", a.node)] };
      assert.equal(await a.publish(token, input), true);
      const events = await a.events();
      assert.equal(await a.publish(token, input), false);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "of many views made from one at once, one is published",
    async run(scene) {
      const [a, sessions] = [await scene.member(), [await scene.session(), await scene.session(), await scene.session()]];
      const token = await a.coordinate();
      for (let round = 0; round < 10; round++) {
        const seen = await a.look();
        const attempts = sessions.map((session, n) => () => {
          const view = emptyView(seen.viewVersion + 1 + n);
          return session.publishView(
            { token, incarnation: a.incarnation, epoch: seen.epoch, expectedVersion: seen.viewVersion, view, events: [], forgetDeadAfterMs: 60_000 },
            scene.call,
          );
        });
        const results = await atOnce(attempts);
        assert.equal(results.filter(Boolean).length, 1, `round ${round}`);
        assert.equal((await a.look()).viewVersion, seen.viewVersion + 1 + results.indexOf(true));
      }
    },
  },
  {
    title: "a coordinator that has claimed but not passed the fence publishes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(COORDINATOR);
      assert.equal(await a.publish(token), false);
      await a.passFence(COORDINATOR, token);
      await b.declareDead(a);
      const next = (await b.claim(COORDINATOR))?.token ?? 0;
      assert.equal(await b.publish(next), false, "the fence still stands at the term before");
      assert.equal((await b.look()).viewVersion, 0);
    },
  },
  {
    title: "a deposed coordinator publishes nothing, neither before its successor passed the fence nor after",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const old = await a.coordinate();
      await b.declareDead(a);
      const token = (await b.claim(COORDINATOR))?.token ?? 0;
      assert.equal(await a.publish(old), false, "the successor has claimed");
      assert.equal(await b.passFence(COORDINATOR, token), "passed");
      assert.equal(await a.publish(old), false, "the successor has passed the fence");
      assert.equal(await a.publish(token), false, "a token alone is not enough");
      assert.equal(await b.publish(old), false, "nor is holding, with an old token");
      assert.equal((await b.look()).viewVersion, 0);
      assert.equal(await b.publish(token), true);
    },
  },
  {
    title: "after resigning, a coordinator publishes nothing, although the fence stands at its token",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      await a.resign(COORDINATOR, token);
      assert.equal(await a.publish(token), false);
      assert.equal((await a.look()).viewVersion, 0);
    },
  },
  {
    title: "only the election of the coordinator counts: who leads another one publishes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(COORDINATOR);
      const token = await b.lead("another-election");
      assert.equal(await b.publish(token), false);
    },
  },
  {
    title: "publishing in another epoch than the server's answers false",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      for (const epoch of ["another epoch", ""]) assert.equal(await a.publish(token, { epoch }), false);
      assert.equal((await a.look()).viewVersion, 0);
    },
  },
  {
    title: "a term that goes on after the epoch has changed publishes in the new epoch",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      assert.equal(await a.publish(token), true);
      const { epoch } = await a.look();
      await scene.newEpoch(a);
      assert.equal(await a.publish(token, { epoch }), false);
      const { generation } = await a.beat();
      const version = viewFloor(generation) + 1;
      assert.equal(await a.publish(token, { view: emptyView(version) }), true);
      assert.equal((await a.look()).viewVersion, version);
    },
  },
  {
    title: "after the epoch has changed, nothing is published before the group has adopted it, whatever the number, and nothing is written",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      await scene.newEpoch(a);
      const [before, events, { generation }] = [still(await a.reading()), await a.events(), await a.look()];
      for (const version of [1, viewFloor(generation + 1) + 1]) assert.equal(await a.publish(token, { view: emptyView(version), events: [event("member-joined", "x")] }), false, `view ${version}`);
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "a view whose number is not in the range of the group's generation or above it answers false and writes nothing",
    async run(scene) {
      const [a, gone] = [await scene.member(), await scene.member()];
      const token = await a.coordinate();
      await gone.leave();
      await tick(a);
      const { generation } = await a.beat({ generation: 5 });
      const floor = viewFloor(generation);
      assert.equal(floor, 5 * VIEWS_PER_GENERATION);
      const [before, events] = [still(await a.reading()), await a.events()];
      for (const version of [1, floor - VIEWS_PER_GENERATION + 1, floor]) {
        assert.equal(await a.publish(token, { view: emptyView(version), events: [event("member-left", "x")], forgetDeadAfterMs: 0 }), false, `view ${version}`);
      }
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
      assert.equal(await a.publish(token, { view: emptyView(floor + 1) }), true);
      assert.equal(await a.publish(token, { view: emptyView(floor + 2 * VIEWS_PER_GENERATION) }), true, "a number of a later generation");
    },
  },
  {
    title: "no view of a deposed coordinator appears after its successor passed the fence, however they meet",
    async run(scene) {
      const [b, session] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 15; round++) {
        const a = await scene.member({ session });
        const old = await a.coordinate();
        const seen = await a.look();
        const publish = async () => {
          await later(a, round);
          return (await a.publishFrom(seen, old)) ? seen.viewVersion + 1 : seen.viewVersion;
        };
        const takeOver = async () => {
          await scene.until("the coordinator is declared dead", async () => ((await b.declareDead(a)) ? true : undefined));
          const { token } = await scene.until("the successor claims", async () => (await b.claim(COORDINATOR)) ?? undefined);
          assert.equal(await untilPassed(b, COORDINATOR, token), "passed");
          const { viewVersion } = await b.look();
          assert.equal(await b.resign(COORDINATOR, token), true);
          return viewVersion;
        };
        const results = await atOnce([publish, takeOver]);
        assert.equal(results[0], results[1], `round ${round}: what the old one published is what its successor sees`);
        assert.equal((await b.look()).viewVersion, results[0]);
      }
    },
  },
  {
    title: "publishing appends the given events in their order, and that the view was published",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      const after = (await a.events()).at(-1)?.sequence ?? 0;
      const given = [
        event("member-joined", "n1", { text: "it's \u0000 \"odd\" 語 \\ %_", deep: { list: [1, null, "x"] } }),
        event("member-left", "n2"),
        event("member-updated", "n3", { version: 2 }),
        event("member-dead", "n2"),
        event("coordinator-changed", "n1"),
        event("member-joined", "n4"),
      ];
      assert.equal(await a.publish(token, { events: given }), true);
      const stored = await a.events(after);
      assert.deepEqual(stored.filter((each) => each.type !== "view-published").map(({ type, subject, detail }) => ({ type, subject, detail })), given);
      assert.equal(stored.filter((each) => each.type === "view-published").length, 1);
      assert.deepEqual(stored.map((each) => each.sequence), stored.map((_, n) => after + 1 + n));
    },
  },
  {
    title: "publishing forgets who died long enough ago, and neither the living nor whom an election still names",
    async run(scene) {
      const [a, alive, holder, gone] = [await scene.member(), await scene.member(), await scene.member(), await scene.member()];
      const token = await a.coordinate();
      const held = await holder.hold("held");
      await holder.leave();
      await gone.leave();
      assert.equal(await a.publish(token, { forgetDeadAfterMs: 600_000 }), true);
      assert.equal((await a.look()).presence.length, 4, "nobody died that long ago");
      await untilForgotten(a, token, gone);
      assert.deepEqual(await incarnations(a), [a, alive, holder].map((each) => each.incarnation));
      assert.deepEqual((await a.row("held")).holder?.incarnation, holder.incarnation);
      assert.equal((await gone.beat()).self, "absent", "a forgotten one does not come back");
      assert.equal((await alive.claim("held"))?.token, held + 1);
      await untilForgotten(a, token, holder);
      assert.deepEqual(await incarnations(a), [a, alive].map((each) => each.incarnation));
    },
  },
  {
    title: "a view that is refused forgets nobody",
    async run(scene) {
      const [a, gone] = [await scene.member(), await scene.member()];
      const token = await a.coordinate();
      await gone.leave();
      await tick(a);
      assert.equal(await a.publish(token, { expectedVersion: 3, view: emptyView(4), forgetDeadAfterMs: 0 }), false);
      assert.equal((await a.memberRow(gone)).state, "dead");
    },
  },
];

async function viewOf(version: number, members: readonly Member[], metadata: unknown): Promise<StoredView> {
  const rows = [];
  for (const member of members) {
    const { incarnation, node, metadataVersion, joinOrder, joinedAtMs } = await member.memberRow(member);
    rows.push({ incarnation, node, metadata, metadataVersion, joinOrder, joinedAtMs });
  }
  const [first] = members;
  return { version, members: rows, coordinator: first === undefined ? null : { incarnation: first.incarnation, node: first.node } };
}

/** Publishes until the death of `who` is longer ago than no time at all, by the store's clock. */
async function incarnations(observer: Member): Promise<readonly string[]> {
  return (await observer.look()).presence.toSorted((x, y) => x.joinOrder - y.joinOrder).map((row) => row.incarnation);
}
