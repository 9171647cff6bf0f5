import assert from "node:assert/strict";
import { EVENTS_KEPT, TERMS_KEPT } from "../../store/index.ts";
import { atOnce, byElection, emptyView, event, still, stillRows } from "./scene.ts";
import type { SceneCase } from "./scene.ts";

/** The event log, the history of terms, readings for people, and the walls between groups. */
export const recordCases: readonly SceneCase[] = [
  {
    title: "events are numbered from 1 without gaps, stamped by the store's clock, and read after a number, the oldest first, up to a limit",
    async run(scene) {
      const a = await scene.member();
      const beforeMs = (await a.look()).storeTimeMs;
      const token = await a.coordinate();
      await a.publish(token, { events: Array.from({ length: 8 }, (_, n) => event("member-updated", `node-${n}`)) });
      await a.resign("coordinator", token);
      const afterMs = (await a.look()).storeTimeMs;
      const all = await a.session.readEvents({ after: 0, limit: 100 }, a.call);
      assert.deepEqual(all.events.map((each) => each.sequence), all.events.map((_, n) => n + 1));
      assert.deepEqual([all.skipped, all.newest], [0, all.events.length]);
      for (const { atMs } of all.events) assert.ok(beforeMs <= atMs && atMs <= afterMs);
      const page = await a.session.readEvents({ after: 3, limit: 4 }, a.call);
      assert.deepEqual(page, { events: all.events.slice(3, 7), skipped: 0, newest: all.newest });
      const rest = await a.session.readEvents({ after: 7, limit: 100 }, a.call);
      assert.deepEqual(rest, { events: all.events.slice(7), skipped: 0, newest: all.newest });
    },
  },
  {
    title: "a reader that is up to date, or ahead as after a failover, gets no events and learns the newest number",
    async run(scene) {
      const a = await scene.member();
      assert.deepEqual(await a.session.readEvents({ after: 0, limit: 10 }, a.call), { events: [], skipped: 0, newest: 0 });
      await a.hold("e");
      const { newest } = await a.session.readEvents({ after: 0, limit: 10 }, a.call);
      for (const after of [newest, newest + 50]) assert.deepEqual(await a.session.readEvents({ after, limit: 10 }, a.call), { events: [], skipped: 0, newest });
    },
  },
  {
    title: "each term leaves its events in the order in which things happened",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const first = await a.hold("e");
      await b.requestResign("e", first);
      await a.resign("e", first);
      await a.claim("e");
      await b.declareDead(a);
      await b.claim("e");
      const happened = (await b.events()).map((each) => [each.type, each.subject]);
      assert.deepEqual(happened, [
        ["term-began", "e"],
        ["resign-requested", "e"],
        ["term-ended", "e"],
        ["term-began", "e"],
        ["declared-dead", a.node],
        ["term-began", "e"],
      ]);
    },
  },
  {
    title: "events of many sessions at once are numbered without gaps, in an order that agrees with the tokens",
    async run(scene) {
      const members = await scene.members(4);
      await atOnce(
        members.map((each, n) => async () => {
          for (let round = 0; round < 8; round++) await each.resign(`e-${n}`, await each.hold(`e-${n}`));
        }),
      );
      const events = (await members[0]?.events()) ?? [];
      assert.equal(events.length, 4 * 8 * 2);
      assert.deepEqual(events.map((each) => each.sequence), events.map((_, n) => n + 1));
      for (let n = 0; n < 4; n++) {
        const own = events.filter((each) => each.subject === `e-${n}`).map((each) => each.type);
        assert.deepEqual(own, Array.from({ length: 8 }, () => ["term-began", "term-ended"]).flat());
      }
    },
  },
  {
    title: `publishing keeps the newest ${EVENTS_KEPT} events, and readers of older ones are told how many they missed`,
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      const batch = Array.from({ length: 2_050 }, (_, n) => event("member-updated", `node-${n}`));
      for (let version = 1; version <= 5; version++) assert.equal(await a.publish(token, { view: emptyView(version), events: batch }), true);
      const { events, skipped, newest } = await a.session.readEvents({ after: 0, limit: 3 }, a.call);
      assert.ok(newest > EVENTS_KEPT);
      const oldest = newest - EVENTS_KEPT + 1;
      assert.deepEqual(events.map((each) => each.sequence), [oldest, oldest + 1, oldest + 2]);
      assert.equal(skipped, oldest - 1);
      const later = async (after: number) => await a.session.readEvents({ after, limit: 1 }, a.call);
      assert.equal((await later(oldest - 11)).skipped, 10);
      for (const after of [oldest - 1, oldest, newest - 1]) {
        const page = await later(after);
        assert.deepEqual([page.skipped, page.events[0]?.sequence], [0, after + 1], `after ${after}`);
      }
      assert.deepEqual((await a.look()).viewVersion, 5);
    },
  },
  {
    title: `publishing keeps the newest ${TERMS_KEPT} terms of each election, and readings show the newest first`,
    async run(scene) {
      const a = await scene.member();
      const coordination = await a.coordinate();
      await a.resign("quiet", await a.hold("quiet"));
      let last = 0;
      for (let term = 0; term < TERMS_KEPT + 5; term++) await a.resign("busy", (last = await a.hold("busy")));
      assert.equal(await a.publish(coordination), true);
      const { terms } = await a.reading();
      const tokens = (election: string) => terms.filter((term) => term.election === election).map((term) => term.token);
      const busy = tokens("busy");
      assert.ok(busy.length > 0 && busy.length <= TERMS_KEPT, `${busy.length} terms`);
      assert.deepEqual(busy, busy.map((_, n) => last - n));
      assert.deepEqual([tokens("quiet").length, tokens("coordinator")], [1, [coordination]]);
    },
  },
  {
    title: "a reading of a group that does not exist answers null and makes nothing",
    async run(scene) {
      const session = await scene.session();
      assert.equal(await session.readGroup(scene.call), null);
      assert.equal(await session.readGroup(scene.call), null);
    },
  },
  {
    title: "a reading of a group shows everything in it, as looks do",
    async run(scene) {
      const [a, b, c] = [await scene.member({ settings: "s=1" }), await scene.member({ settings: "s=1" }), await scene.member({ settings: "s=1" })];
      const token = await a.coordinate();
      await b.hold("e");
      await c.leave();
      await a.publish(token, { view: emptyView(2) });
      const [reading, seen] = [await b.reading(), await b.look()];
      assert.deepEqual(
        [reading.epoch, reading.generation, reading.settings, reading.schemaVersion, reading.view],
        [seen.epoch, seen.generation, "s=1", scene.provider.schema.version, seen.view],
      );
      assert.deepEqual(stillRows(reading.presence), stillRows(seen.presence));
      assert.deepEqual(byElection(reading.elections), byElection(seen.elections));
      assert.deepEqual(byElection(reading.fences), [{ election: "coordinator", token }, { election: "e", token: 0 }]);
      assert.ok(reading.storeTimeMs <= seen.storeTimeMs);
    },
  },
  {
    title: "groups are independent: the same nodes, incarnations and elections in another group are others",
    async run(scene) {
      const same = { node: "n-1", incarnation: scene.random.id() };
      const here = await scene.member({ ...same, settings: "here" });
      const there = await scene.member({ ...same, settings: "there", group: `${scene.group}-2`, leaseMs: 1_000 });
      const token = await here.coordinate();
      assert.equal(await there.rowIfAny("coordinator"), undefined);
      await there.createElection("coordinator");
      const untouched = still(await there.reading());
      await here.beat({ beat: 50, generation: 9, viewSeen: 4 });
      await here.session.updateMetadata({ incarnation: here.incarnation, metadata: '{"here":1}' }, here.call);
      await here.publish(token, { events: [event("member-joined", "n-1")], forgetDeadAfterMs: 0 });
      await here.requestResign("coordinator", token);
      await here.resign("coordinator", token);
      await here.leave();
      assert.deepEqual(still(await there.reading()), untouched);
      assert.deepEqual(await there.events(), []);
      assert.equal((await there.claim("coordinator"))?.token, token);
    },
  },
  {
    title: "names of groups are data: a pattern, or letters of another case, is another group",
    async run(scene) {
      const names = [`${scene.group}.a_b`, `${scene.group}.axb`, `${scene.group}.A_b`, `${scene.group}.a-b`];
      const members = [];
      for (const group of names) members.push(await scene.member({ group, settings: group }));
      for (const [n, member] of members.entries()) {
        const reading = await member.reading();
        assert.deepEqual([reading.settings, reading.presence.map((row) => row.node)], [names[n], [member.node]]);
      }
    },
  },
];
