import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import { LARGEST_METADATA_BYTES, TOKENS_PER_GENERATION } from "../../store/index.ts";
import type { BeatReply, LookReply, PresenceRow } from "../../store/index.ts";
import { atOnce, byElection, cursorOf, emptyView, HOSTILE_TEXTS, HOSTILE_WORDS, LONG_LEASE_MS, NOTHING_SEEN, SHORT_LEASE_MS, still, stillRows } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

/** Joining, beating, looking, dying. */
export const presenceCases: readonly SceneCase[] = [
  // ---- join
  {
    title: "the first join makes the group, with generation 1, its epoch and the caller's settings, and nothing else in it",
    async run(scene) {
      const session = await scene.session();
      assert.equal(await session.readGroup(scene.call), null);
      const a = await scene.member({ session, settings: "protocol=1;it's" });
      const seen = await a.look();
      assert.equal(seen.generation, 1);
      assert.ok(seen.epoch.length > 0, "an epoch is not empty");
      assert.deepEqual([seen.elections, seen.view, seen.viewVersion], [[], null, 0]);
      assert.deepEqual(seen.presence.map((row) => row.incarnation), [a.incarnation]);
      assert.equal((await a.reading()).settings, "protocol=1;it's");
    },
  },
  {
    title: "who joins is alive, with beat 0 and a whole lease from now",
    async run(scene) {
      const a = await scene.member({ metadata: '{"zone":"a"}' });
      const { state, beat, leaseMs, expired, beatAgeMs, node } = await a.presenceOf(a);
      assert.deepEqual({ state, beat, expired, node }, { state: "alive", beat: 0, expired: false, node: a.node });
      assert.ok(leaseMs >= LONG_LEASE_MS, "a store may grant a longer lease than asked, never a shorter one");
      assert.ok(beatAgeMs >= 0 && beatAgeMs < LONG_LEASE_MS);
      const member = await a.memberRow(a);
      assert.deepEqual([JSON.parse(member.metadata), member.state, member.deadReason, member.joinOrder], [{ zone: "a" }, "alive", null, a.joinOrder]);
    },
  },
  {
    title: "a join is stamped by the store's clock",
    async run(scene) {
      const first = await scene.member();
      const beforeMs = (await first.look()).storeTimeMs;
      const a = await scene.member();
      const afterMs = (await first.look()).storeTimeMs;
      const { joinedAtMs } = await first.memberRow(a);
      assert.ok(beforeMs <= joinedAtMs && joinedAtMs <= afterMs, `${beforeMs} <= ${joinedAtMs} <= ${afterMs}`);
    },
  },
  {
    title: "join order grows with each join and is never given again",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await b.leave();
      const c = await scene.member();
      assert.ok(a.joinOrder < b.joinOrder && b.joinOrder < c.joinOrder, `${a.joinOrder} < ${b.joinOrder} < ${c.joinOrder}`);
      assert.deepEqual((await a.look()).presence.map((row) => row.joinOrder).sort((x, y) => x - y), [a.joinOrder, b.joinOrder, c.joinOrder]);
    },
  },
  {
    title: "joining again with an incarnation that is alive answers joined and changes nothing",
    async run(scene) {
      const a = await scene.member({ metadata: '{"n":1}' });
      await a.beat({ beat: 7, viewSeen: 3 });
      const before = still(await a.reading());
      const again = await a.session.join({ incarnation: a.incarnation, node: a.node, leaseMs: LONG_LEASE_MS, metadata: '{"n":1}', settings: "settings" }, a.call);
      assert.deepEqual(again, { outcome: "joined", joinOrder: a.joinOrder, epoch: (await a.look()).epoch });
      assert.deepEqual(still(await a.reading()), before);
    },
  },
  {
    title: "a join answers the server's epoch: the first one, one into a group that is there, and one that is repeated after the epoch has changed",
    async run(scene) {
      const inputs = [scene.joinInput(), scene.joinInput()];
      const epochsOfJoins = async () => {
        const session = await scene.session();
        const results = [];
        for (const input of inputs) results.push(await session.join(input, scene.call));
        const { epoch } = await session.look({ cursor: NOTHING_SEEN, watch: [] }, scene.call);
        assert.deepEqual(results.map((result) => (result.outcome === "joined" ? result.epoch : result)), [epoch, epoch]);
      };
      await epochsOfJoins();
      await epochsOfJoins();
      await scene.newEpoch();
      await epochsOfJoins();
    },
  },
  {
    title: "a group that is made by somebody who has seen a generation of it has a later one, and no election in it is born in the server's epoch",
    async run(scene) {
      const a = await scene.member({ generation: 4 });
      assert.equal((await a.look()).generation, 5);
      await a.createElection("e");
      assert.deepEqual([(await a.row("e")).epoch, (await a.row("e")).token], ["", 0]);
      const { generation } = await a.beat({ generation: 5 });
      assert.equal(generation, 5, "its epoch needs no adopting");
      assert.equal((await a.claim("e"))?.token, 5 * TOKENS_PER_GENERATION);
    },
  },
  {
    title: "the generation that somebody has seen who joins a group that is there changes nothing in it",
    async run(scene) {
      const a = await scene.member();
      await scene.member({ generation: 7 });
      await a.createElection("e");
      const { generation, epoch } = await a.look();
      assert.deepEqual([generation, (await a.row("e")).epoch], [1, epoch]);
    },
  },
  {
    title: "a join that arrives several times at once makes one row",
    async run(scene) {
      const sessions = [await scene.session(), await scene.session(), await scene.session()];
      const input = scene.joinInput();
      const results = await atOnce(sessions.map((session) => () => session.join(input, scene.call)));
      const [first] = results;
      assert.equal(first?.outcome, "joined");
      assert.deepEqual(results, [first, first, first]);
      assert.equal((await sessions[0]?.readGroup(scene.call))?.presence.length, 1);
    },
  },
  {
    title: "a node name that somebody alive goes by is taken: the answer shows the row, and nothing is written",
    async run(scene) {
      const a = await scene.member({ leaseMs: 1_000 });
      await a.beat({ beat: 4, viewSeen: 2 });
      const before = still(await a.reading());
      const { longestLeaseMs } = await a.look();
      const result = await (await scene.session()).join(scene.joinInput({ node: a.node, leaseMs: LONG_LEASE_MS }), scene.call);
      if (result.outcome !== "name-taken") return assert.fail(`the outcome is ${result.outcome}`);
      const { incarnation, node, state, beat, viewSeen, joinOrder } = result.by;
      assert.deepEqual(
        { incarnation, node, state, beat, viewSeen, joinOrder },
        { incarnation: a.incarnation, node: a.node, state: "alive", beat: 4, viewSeen: 2, joinOrder: a.joinOrder },
      );
      assert.deepEqual(still(await a.reading()), before);
      assert.equal((await a.look()).longestLeaseMs, longestLeaseMs);
    },
  },
  {
    title: "a lease that has run out does not free the node name: nobody is dead before somebody declared it",
    async run(scene) {
      const a = await scene.member({ leaseMs: SHORT_LEASE_MS });
      await untilExpired(scene, a, a);
      const result = await a.session.join(scene.joinInput({ node: a.node }), scene.call);
      if (result.outcome !== "name-taken") return assert.fail(`the outcome is ${result.outcome}`);
      assert.deepEqual([result.by.state, result.by.expired], ["alive", true]);
      assert.equal((await a.presenceOf(a)).state, "alive");
    },
  },
  {
    title: "the name of a dead incarnation is free, whether it left or was declared dead",
    async run(scene) {
      const observer = await scene.member();
      const left = await scene.member({ node: "came-back" });
      assert.equal(await left.leave(), true);
      const declared = await scene.member({ node: "came-back" });
      assert.equal(await observer.declareDead(declared), true);
      const last = await scene.member({ node: "came-back" });
      assert.equal((await observer.presenceOf(last)).state, "alive");
      assert.equal((await observer.presenceOf(left)).state, "dead");
      assert.equal((await observer.presenceOf(declared)).state, "dead");
    },
  },
  {
    title: "a join never revives a dead incarnation",
    async run(scene) {
      const [observer, a] = [await scene.member(), await scene.member()];
      await a.leave();
      const before = still(await observer.reading());
      await a.session.join({ incarnation: a.incarnation, node: a.node, leaseMs: LONG_LEASE_MS, metadata: "{}", settings: "settings" }, a.call).catch((error: unknown) => {
        assert.ok(isTribuneError(error), "what is thrown is coded");
      });
      assert.deepEqual(still(await observer.reading()), before);
    },
  },
  {
    title: "of many that join under one name at once, exactly one does, and the others are shown it",
    async run(scene) {
      const observer = await scene.member();
      const sessions = await openSessions(scene, 4);
      for (let round = 0; round < 10; round++) {
        const node = scene.name("contested");
        const inputs = sessions.map(() => scene.joinInput({ node }));
        const results = await atOnce(sessions.map((session, n) => () => session.join(inputs[n] ?? scene.joinInput(), scene.call)));
        const winners = inputs.filter((_, n) => results[n]?.outcome === "joined").map((input) => input.incarnation);
        assert.equal(winners.length, 1, `round ${round}: ${winners.length} joined`);
        for (const result of results) if (result.outcome === "name-taken") assert.equal(result.by.incarnation, winners[0]);
        assert.equal((await observer.look()).presence.filter((row) => row.node === node).length, 1);
      }
    },
  },
  {
    title: "of many that make the group at once, one's settings hold: who agrees joins, the others are told",
    async run(scene) {
      const sessions = await openSessions(scene, 6);
      const results = await atOnce(sessions.map((session, n) => () => session.join(scene.joinInput({ settings: n % 2 === 0 ? "even" : "odd" }), scene.call)));
      const reading = await sessions[0]?.readGroup(scene.call);
      const settings = reading?.settings;
      results.forEach((result, n) => {
        const agrees = settings === (n % 2 === 0 ? "even" : "odd");
        if (agrees) assert.equal(result.outcome, "joined");
        else assert.deepEqual(result, { outcome: "settings-mismatch", settings });
      });
      const orders = results.flatMap((result) => (result.outcome === "joined" ? [result.joinOrder] : []));
      assert.equal(new Set(orders).size, 3, "each has a join order of its own");
      assert.deepEqual([reading?.generation, reading?.presence.length], [1, 3]);
    },
  },
  {
    title: "settings that differ are answered with the group's, and nothing is written",
    async run(scene) {
      const a = await scene.member({ settings: "partitions=16", leaseMs: 1_000 });
      const before = still(await a.reading());
      const { longestLeaseMs } = await a.look();
      const result = await (await scene.session()).join(scene.joinInput({ settings: "partitions=32" }), scene.call);
      assert.deepEqual(result, { outcome: "settings-mismatch", settings: "partitions=16" });
      assert.deepEqual(still(await a.reading()), before);
      assert.equal((await a.look()).longestLeaseMs, longestLeaseMs);
    },
  },
  {
    title: "the group's longest lease is raised by a longer one and stays when that member is gone",
    async run(scene) {
      const short = await scene.member({ leaseMs: 2_000 });
      assert.equal((await short.look()).longestLeaseMs, (await short.presenceOf(short)).leaseMs);
      const long = await scene.member({ leaseMs: 90_000 });
      const longestMs = (await short.presenceOf(long)).leaseMs;
      assert.ok(longestMs >= 90_000);
      assert.equal((await short.look()).longestLeaseMs, longestMs);
      await long.leave();
      await scene.member({ leaseMs: 3_000 });
      assert.equal((await short.beat()).longestLeaseMs, longestMs);
    },
  },
  {
    title: "names are data: node names that are keys, words or patterns elsewhere, and the longest one, are kept apart",
    async run(scene) {
      const observer = await scene.member();
      const nodes = ["constructor", "toString", "null", "0", "a_b", "a-b", "axb", "A_b", "select", `n${"x".repeat(127)}`, `n${"x".repeat(126)}y`];
      for (const node of nodes) await scene.member({ node, session: observer.session });
      const seen = (await observer.look()).presence.map((row) => row.node);
      assert.deepEqual(seen.filter((node) => node !== observer.node).sort(), [...nodes].sort());
    },
  },
  {
    title: "settings and metadata are data: quotes, patterns, escapes, any Unicode and NUL come back as they went in",
    async run(scene) {
      const settings = HOSTILE_WORDS.join("|");
      const a = await scene.member({ settings, metadata: JSON.stringify({ texts: HOSTILE_TEXTS }) });
      assert.equal((await a.reading()).settings, settings);
      assert.deepEqual(JSON.parse((await a.memberRow(a)).metadata), { texts: HOSTILE_TEXTS });
      for (const text of HOSTILE_TEXTS) {
        const metadata = JSON.stringify({ [`key ${text}`]: text });
        assert.equal(await a.session.updateMetadata({ incarnation: a.incarnation, metadata }, a.call), true);
        assert.deepEqual(JSON.parse((await a.memberRow(a)).metadata), JSON.parse(metadata));
      }
    },
  },
  {
    title: "metadata of the largest size is kept whole",
    async run(scene) {
      const metadata = JSON.stringify({ text: "é".repeat(LARGEST_METADATA_BYTES / 2 - 6) });
      assert.ok(Buffer.byteLength(metadata) <= LARGEST_METADATA_BYTES && Buffer.byteLength(metadata) > LARGEST_METADATA_BYTES - 8);
      const a = await scene.member({ metadata });
      assert.deepEqual(JSON.parse((await a.memberRow(a)).metadata), JSON.parse(metadata));
      assert.equal(await a.session.updateMetadata({ incarnation: a.incarnation, metadata: metadata.replaceAll("é", "ü") }, a.call), true);
      assert.deepEqual(JSON.parse((await a.memberRow(a)).metadata), JSON.parse(metadata.replaceAll("é", "ü")));
    },
  },

  // ---- beat
  {
    title: "a beat with a larger number writes the number and the view seen, and its own reply shows them",
    async run(scene) {
      const [a, observer] = [await scene.member(), await scene.member()];
      const reply = await a.beat({ beat: 12, viewSeen: 3 });
      assert.deepEqual([reply.accepted, reply.self], [true, "alive"]);
      for (const { beat, viewSeen } of [rowOf(reply, a), await observer.presenceOf(a)]) assert.deepEqual({ beat, viewSeen }, { beat: 12, viewSeen: 3 });
    },
  },
  {
    title: "a beat with an equal or smaller number is not accepted and writes nothing",
    async run(scene) {
      const a = await scene.member();
      await a.beat({ beat: 5, viewSeen: 1 });
      for (const beat of [5, 4, 0]) {
        const reply = await a.beat({ beat, viewSeen: 9 });
        assert.deepEqual([reply.accepted, reply.self], [false, "alive"], `beat ${beat}`);
        const row = await a.presenceOf(a);
        assert.deepEqual([row.beat, row.viewSeen], [5, 1], `beat ${beat}`);
      }
    },
  },
  {
    title: "a beat that is delivered twice is accepted once",
    async run(scene) {
      const [a, late] = [await scene.member(), await scene.session()];
      assert.equal((await a.beat({ beat: 1 })).accepted, true);
      assert.equal((await a.beat({ beat: 2 })).accepted, true);
      const again = await late.beat({ incarnation: a.incarnation, beat: 1, generation: 0, viewSeen: 0, cursor: NOTHING_SEEN, watch: "all" }, scene.call);
      assert.equal(again.accepted, false);
      assert.equal((await a.presenceOf(a)).beat, 2);
    },
  },
  {
    title: "a beat renews a lease that has run out, as long as nobody declared the incarnation dead",
    async run(scene) {
      const a = await scene.member({ leaseMs: SHORT_LEASE_MS });
      await untilExpired(scene, a, a);
      const reply = await a.beat();
      assert.deepEqual([reply.accepted, rowOf(reply, a).expired], [true, false]);
    },
  },
  {
    title: "a beat that is not accepted does not renew the lease",
    async run(scene) {
      const a = await scene.member({ leaseMs: SHORT_LEASE_MS });
      await a.beat({ beat: 3 });
      await untilExpired(scene, a, a);
      const reply = await a.beat({ beat: 3 });
      assert.deepEqual([reply.accepted, rowOf(reply, a).expired], [false, true]);
    },
  },
  {
    title: "a beat counts only in the epoch that its cursor names: with another one it is not accepted, writes nothing, and is answered like a look",
    async run(scene) {
      const [a, b] = [await scene.member({ leaseMs: SHORT_LEASE_MS }), await scene.member()];
      await a.beat({ beat: 3, viewSeen: 1 });
      await b.hold("e");
      await untilExpired(scene, b, a);
      const before = still(await b.reading());
      const cursor = { ...cursorOf(await b.look()), epoch: "another epoch" };
      const reply = await a.beat({ beat: 9, viewSeen: 7, cursor });
      assert.deepEqual([reply.accepted, reply.self, rowOf(reply, a).expired], [false, "alive", true]);
      assert.deepEqual(timeless(reply), timeless(await b.look({ cursor })));
      assert.deepEqual(still(await b.reading()), before);
      assert.equal((await a.beat({ beat: 9, viewSeen: 7, cursor: cursorOf(reply) })).accepted, true, "the same beat, from one who knows the epoch");
    },
  },
  {
    title: "the age of a beat counts by the store's clock from the last accepted one",
    async run(scene) {
      const a = await scene.member();
      const oldMs = await scene.until("the age of the join grows", async () => {
        const { beatAgeMs } = await a.presenceOf(a);
        return beatAgeMs >= 30 ? beatAgeMs : undefined;
      });
      assert.ok(rowOf(await a.beat(), a).beatAgeMs < oldMs);
    },
  },
  {
    title: "a late beat never revives a dead incarnation",
    async run(scene) {
      const [observer, left, declared] = [await scene.member(), await scene.member(), await scene.member()];
      await left.leave();
      await observer.declareDead(declared);
      for (const dead of [left, declared]) {
        const before = await observer.presenceOf(dead);
        const reply = await dead.beat({ beat: 99, viewSeen: 5 });
        assert.deepEqual([reply.accepted, reply.self, rowOf(reply, dead).state], [false, "dead", "dead"]);
        const after = await observer.presenceOf(dead);
        assert.deepEqual([after.state, after.beat, after.viewSeen], ["dead", before.beat, before.viewSeen]);
      }
    },
  },
  {
    title: "a beat of an incarnation that is not there answers absent and makes no row",
    async run(scene) {
      const a = await scene.member();
      const incarnation = scene.random.id();
      const reply = await a.beat({ incarnation });
      assert.deepEqual([reply.accepted, reply.self], [false, "absent"]);
      assert.deepEqual((await a.look()).presence.map((row) => row.incarnation), [a.incarnation]);
    },
  },
  {
    title: "beats and looks at a group that does not exist reject with GROUP_UNKNOWN and do not make it",
    async run(scene) {
      const session = await scene.session();
      const incarnation = scene.random.id();
      await assert.rejects(session.look({ cursor: NOTHING_SEEN, watch: "all" }, scene.call), { code: "GROUP_UNKNOWN" });
      await assert.rejects(session.beat({ incarnation, beat: 1, generation: 0, viewSeen: 0, cursor: NOTHING_SEEN, watch: [] }, scene.call), { code: "GROUP_UNKNOWN" });
      assert.equal(await session.readGroup(scene.call), null);
      assert.equal(session.ended.aborted, false, "the session goes on");
    },
  },
  {
    title: "a sender that has seen a greater generation raises the group's to one more; an equal or smaller one changes nothing",
    async run(scene) {
      const a = await scene.member();
      const seen: number[] = [];
      for (const generation of [0, 1, 5, 6, 3]) seen.push((await a.beat({ generation })).generation);
      assert.deepEqual(seen, [1, 1, 6, 6, 6]);
      assert.equal((await a.look()).generation, 6);
    },
  },
  {
    title: "a beat answers everything that a look with the same cursor answers, as of after the beat",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await b.coordinate();
      const cursor = cursorOf(await a.look());
      await b.publish(token, { view: { ...emptyView(4), coordinator: { incarnation: b.incarnation, node: b.node } } });
      await b.hold("later");
      for (const watch of ["all", [b.incarnation, "nobody"], []] as const) {
        const beat = await a.beat({ cursor, watch });
        assert.deepEqual(timeless(beat), timeless(await a.look({ cursor, watch })));
        assert.deepEqual([beat.view?.version, beat.elections.map((row) => row.election)], [4, ["later"]]);
      }
    },
  },
  {
    title: "beats change no version and leave no event",
    async run(scene) {
      const a = await scene.member();
      await a.lead("e");
      const before = await a.look();
      const events = await a.events();
      for (let n = 0; n < 5; n++) await a.beat();
      const after = await a.look();
      assert.deepEqual([after.electionsVersion, after.viewVersion, after.generation], [before.electionsVersion, before.viewVersion, before.generation]);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "after the epoch has changed, the first beat raises the generation, once, and looks show the server's epoch",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.beat({ generation: 3 });
      const before = await a.look();
      await scene.newEpoch(a, b);
      const looked = await b.look();
      assert.notEqual(looked.epoch, before.epoch);
      assert.equal(looked.generation, before.generation, "a look writes nothing");
      const replies = [await a.beat({ generation: before.generation }), await b.beat({ generation: before.generation }), await a.beat({ generation: before.generation + 1 })];
      for (const reply of replies) assert.deepEqual([reply.epoch, reply.generation, reply.accepted], [looked.epoch, before.generation + 1, true]);
    },
  },
  {
    title: "after the epoch has changed, a beat of one who knows only the old one adopts the new one and does not count; then it counts, as does one that names no epoch",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const before = await a.look();
      await scene.newEpoch(a, b);
      const refused = await a.beat({ beat: 1, cursor: cursorOf(before), generation: before.generation });
      assert.deepEqual([refused.accepted, refused.self, rowOf(refused, a).beat, refused.generation], [false, "alive", 0, before.generation + 1]);
      assert.notEqual(refused.epoch, before.epoch);
      assert.deepEqual((await a.events()).at(-1)?.type, "epoch-changed");
      assert.equal((await a.beat({ beat: 2, cursor: cursorOf(refused), generation: refused.generation })).accepted, true);
      assert.equal((await b.beat({ cursor: NOTHING_SEEN, generation: refused.generation })).accepted, true);
      assert.equal((await b.look()).generation, refused.generation, "once");
    },
  },
  {
    title: "after the epoch has changed, a sender that has seen more than the store has raises the generation above what it saw",
    async run(scene) {
      const a = await scene.member();
      await scene.newEpoch(a);
      assert.equal((await a.beat({ generation: 41 })).generation, 42);
    },
  },

  // ---- look
  {
    title: "a look writes nothing",
    async run(scene) {
      const [a, observer] = [await scene.member(), await scene.member()];
      await a.publish(await a.coordinate());
      await a.beat();
      const before = still(await a.reading());
      const events = await a.events();
      for (const watch of ["all", [a.incarnation], []] as const) await observer.look({ watch });
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "a look shows the election rows that are newer than the cursor, and all of them to a cursor of another epoch",
    async run(scene) {
      const a = await scene.member();
      const tokens = [await a.hold("one"), await a.hold("two"), await a.hold("three")];
      const cursor = cursorOf(await a.look());
      const shown = async (of = cursor) => (await a.look({ cursor: of })).elections.map((row) => row.election).sort();
      assert.deepEqual(await shown(), []);
      await a.resign("two", tokens[1] ?? 0);
      assert.deepEqual(await shown(), ["two"]);
      await a.createElection("four");
      assert.deepEqual(await shown(), ["four", "two"]);
      const { version } = await a.row("two");
      assert.deepEqual(await shown({ ...cursor, electionsVersion: version }), ["four"]);
      assert.deepEqual(await shown({ ...cursor, electionsVersion: 2 ** 40 }), []);
      for (const epoch of ["", "another epoch"]) assert.deepEqual(await shown({ ...cursor, epoch, electionsVersion: 2 ** 40 }), ["four", "one", "three", "two"]);
    },
  },
  {
    title: "a look shows the view if its number or the epoch is not the cursor's, and only then",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      assert.deepEqual([(await a.look()).view, (await a.look()).viewVersion], [null, 0]);
      await a.publish(token, { view: emptyView(3) });
      const seen = await a.look();
      const cursor = cursorOf(seen);
      assert.deepEqual([seen.view?.version, cursor.viewVersion], [3, 3]);
      const shown = async (of: typeof cursor) => (await a.look({ cursor: of })).view?.version;
      assert.equal(await shown(cursor), undefined);
      assert.equal(await shown({ ...cursor, viewVersion: 2 }), 3);
      assert.equal(await shown({ ...cursor, viewVersion: 4 }), 3, "a cursor that is ahead, as after a failover that lost commits");
      assert.equal(await shown({ ...cursor, epoch: "another epoch" }), 3);
    },
  },
  {
    title: "a look shows the presence rows that are watched: all of them, dead ones too, or the listed ones that are there",
    async run(scene) {
      const [a, b, c] = [await scene.member(), await scene.member(), await scene.member()];
      await c.leave();
      const shown = async (watch: "all" | readonly string[]) => (await a.look({ watch })).presence.map((row) => row.incarnation).sort();
      assert.deepEqual(await shown("all"), [a, b, c].map((each) => each.incarnation).sort());
      assert.deepEqual(await shown([c.incarnation, a.incarnation]), [a.incarnation, c.incarnation].sort());
      assert.deepEqual(await shown([b.incarnation, "nobody"]), [b.incarnation]);
      assert.deepEqual(await shown([]), []);
    },
  },
  {
    title: "after the epoch has changed, a look with a cursor from before shows every election and the view, also before any beat",
    async run(scene) {
      const a = await scene.member();
      await a.publish(await a.coordinate());
      await a.hold("e");
      const cursor = cursorOf(await a.look());
      await scene.newEpoch(a);
      for (const seen of [await a.look({ cursor }), await a.beat({ cursor }), await a.look({ cursor })]) {
        assert.deepEqual(seen.elections.map((row) => row.election).sort(), ["coordinator", "e"]);
        assert.equal(seen.view?.version, 1);
      }
      const { elections, view } = await a.look({ cursor: { ...cursor, epoch: (await a.look()).epoch } });
      assert.deepEqual([elections, view], [[], null]);
    },
  },
  {
    title: "all sessions of a store see one epoch, one generation and the same rows",
    async run(scene) {
      const members = await scene.members(3);
      await members[0]?.hold("e");
      const replies = await atOnce(members.map((each) => () => each.look()));
      const [first] = replies;
      for (const reply of replies) assert.deepEqual(timeless(reply), timeless(first ?? assert.fail("no reply")));
    },
  },

  // ---- observers
  {
    title: "who joins as an observer is one to everybody: in looks, beats, readings and member rows, alive or dead; others are not",
    async run(scene) {
      const [a, plain, observer] = [await scene.member(), await scene.member({ observer: false }), await scene.member({ observer: true })];
      const expected = [false, false, true];
      const inOrder = (rows: readonly { readonly joinOrder: number; readonly observer: boolean }[]) => rows.toSorted((x, y) => x.joinOrder - y.joinOrder).map((row) => row.observer);
      for (const dead of [false, true]) {
        if (dead) await observer.leave();
        assert.deepEqual(inOrder((await a.look()).presence), expected);
        assert.deepEqual(inOrder((await a.beat()).presence), expected);
        assert.deepEqual(inOrder((await a.reading()).presence), expected);
        const incarnations = [a, plain, observer].map((each) => each.incarnation);
        assert.deepEqual(inOrder(await a.session.readMembers({ incarnations }, a.call)), expected);
      }
    },
  },
  {
    title: "an observer is one for as long as it lives, whatever a repeated join says, and its name is taken as any other",
    async run(scene) {
      const [a, observer] = [await scene.member(), await scene.member({ observer: true })];
      const again = await observer.session.join(scene.joinInput({ incarnation: observer.incarnation, node: observer.node, observer: false }), observer.call);
      assert.equal(again.outcome, "joined");
      assert.equal((await a.presenceOf(observer)).observer, true);
      const other = await a.session.join(scene.joinInput({ node: observer.node }), a.call);
      assert.deepEqual(other.outcome === "name-taken" ? other.by.observer : other, true);
    },
  },
  {
    title: "a view shows its observers, and leaves the mark out where it is not set",
    async run(scene) {
      const a = await scene.member();
      const token = await a.coordinate();
      const { version } = emptyView((await a.look()).viewVersion + 1);
      const entry = { incarnation: "x", node: "x", metadata: null, metadataVersion: 1, joinOrder: 1, joinedAtMs: 1 };
      const view = { version, members: [entry, { ...entry, incarnation: "y", node: "y", observer: true as const }], coordinator: null };
      assert.equal(await a.publish(token, { view }), true);
      assert.deepEqual((await a.look()).view, view);
    },
  },

  // ---- declareDead
  {
    title: "declaring dead works where the beat is still the one seen: the row is dead, says why, and an event says so",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await victim.beat({ beat: 6 });
      assert.equal(await a.declareDead(victim, { beat: 6 }), true);
      assert.equal((await a.presenceOf(victim)).state, "dead");
      assert.deepEqual([(await a.memberRow(victim)).state, (await a.memberRow(victim)).deadReason], ["dead", "expired"]);
      assert.deepEqual((await declarations(a)).map((each) => each.subject), [victim.node]);
    },
  },
  {
    title: "declaring dead fails where the beat has moved on since it was seen",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await victim.beat({ beat: 6 });
      await victim.beat({ beat: 7 });
      for (const beat of [6, 0, 8]) assert.equal(await a.declareDead(victim, { beat }), false, `seen at beat ${beat}`);
      assert.equal((await a.presenceOf(victim)).state, "alive");
      assert.deepEqual(await declarations(a), []);
    },
  },
  {
    title: "declaring dead fails in another epoch than the one it was seen in",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      for (const epoch of ["another epoch", ""]) assert.equal(await a.declareDead(victim, { epoch }), false);
      assert.equal((await a.presenceOf(victim)).state, "alive");
    },
  },
  {
    title: "what was seen before the epoch changed is worth nothing after it: declaring dead and claiming fail",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await victim.hold("held");
      await a.createElection("free");
      const seen = await a.look();
      await scene.newEpoch(a, victim);
      assert.equal(await a.declareDead(victim, { epoch: seen.epoch }), false);
      assert.equal(await a.claim("free", { epoch: seen.epoch }), null);
      assert.equal(await a.declareDead(victim), true, "seen again in the new epoch");
    },
  },
  {
    title: "declaring dead where the lease must have run out waits for the store's clock to say so",
    async run(scene) {
      const [a, longLived, shortLived] = [await scene.member(), await scene.member(), await scene.member({ leaseMs: SHORT_LEASE_MS })];
      assert.equal(await a.declareDead(longLived, { requireExpired: true }), false);
      assert.equal((await a.presenceOf(longLived)).state, "alive");
      await untilExpired(scene, a, shortLived);
      assert.equal(await a.declareDead(shortLived, { requireExpired: true }), true);
    },
  },
  {
    title: "declaring dead where the lease need not have run out does not look at it",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      assert.equal((await a.presenceOf(victim)).expired, false);
      assert.equal(await a.declareDead(victim, { requireExpired: false }), true);
    },
  },
  {
    title: "declaring dead that is delivered twice answers false the second time and leaves one event",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      assert.equal(await a.declareDead(victim), true);
      assert.equal(await a.declareDead(victim), false);
      assert.equal((await declarations(a)).length, 1);
    },
  },
  {
    title: "declaring dead somebody who left, or who is not there, answers false and changes nothing",
    async run(scene) {
      const [a, victim] = [await scene.member(), await scene.member()];
      await victim.leave();
      assert.equal(await a.declareDead(victim), false);
      assert.equal((await a.memberRow(victim)).deadReason, "left");
      assert.equal(await a.declareDead(a, { incarnation: scene.random.id() }), false);
    },
  },
  {
    title: "of many that declare one incarnation dead at once, one does",
    async run(scene) {
      const observers = await scene.members(4);
      const [first] = observers;
      for (let round = 0; round < 10; round++) {
        const victim = await scene.member({ session: first?.session ?? (await scene.session()) });
        const results = await atOnce(observers.map((each) => () => each.declareDead(victim)));
        assert.equal(results.filter(Boolean).length, 1, `round ${round}`);
      }
      assert.equal((await declarations(first ?? assert.fail("no members"))).length, 10);
    },
  },
  {
    title: "of a beat and a declaration of death that meet, exactly one succeeds",
    async run(scene) {
      const [observer, other] = [await scene.member(), await scene.session()];
      for (let round = 0; round < 30; round++) {
        const victim = await scene.member({ session: other });
        const { epoch } = await observer.look();
        const declare = () => observer.declareDead(victim, { beat: 0, epoch });
        const beat = async () => (await victim.beat({ beat: 1 })).accepted;
        const results = await atOnce(round % 2 === 0 ? [declare, beat] : [beat, declare]);
        assert.equal(results.filter(Boolean).length, 1, `round ${round}: ${results.join(", ")}`);
        assert.equal((await observer.presenceOf(victim)).state, results[round % 2 === 0 ? 0 : 1] === true ? "dead" : "alive");
      }
    },
  },

  // ---- leave, metadata, members
  {
    title: "leaving makes the row dead for ever; a second leave, or one of somebody who is not there, answers false",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      assert.equal(await b.leave(), true);
      assert.equal(await b.leave(), false);
      assert.deepEqual([(await a.memberRow(b)).state, (await a.memberRow(b)).deadReason], ["dead", "left"]);
      assert.equal(await a.session.leave({ incarnation: scene.random.id() }, a.call), false);
      assert.equal((await b.beat()).accepted, false);
      assert.equal((await a.presenceOf(a)).state, "alive");
    },
  },
  {
    title: "updating metadata replaces it and raises its version, where the row is alive",
    async run(scene) {
      const [a, b] = [await scene.member({ metadata: '{"zone":"a","x":1}' }), await scene.member()];
      const { metadataVersion } = await a.presenceOf(a);
      assert.equal(await a.session.updateMetadata({ incarnation: a.incarnation, metadata: '{"zone":"b"}' }, a.call), true);
      const row = await b.presenceOf(a);
      assert.ok(row.metadataVersion > metadataVersion);
      const member = await b.memberRow(a);
      assert.deepEqual([JSON.parse(member.metadata), member.metadataVersion], [{ zone: "b" }, row.metadataVersion]);
    },
  },
  {
    title: "updating metadata of somebody dead, or who is not there, answers false and writes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member({ metadata: '{"mine":true}' })];
      await b.leave();
      const before = await a.memberRow(b);
      assert.equal(await b.session.updateMetadata({ incarnation: b.incarnation, metadata: "{}" }, b.call), false);
      assert.deepEqual(await a.memberRow(b), before);
      assert.equal(await a.session.updateMetadata({ incarnation: scene.random.id(), metadata: "{}" }, a.call), false);
      assert.equal((await a.look()).presence.length, 2);
    },
  },
  {
    title: "each of many updates of metadata at once gives a version of its own",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const { metadataVersion } = await a.presenceOf(a);
      const update = (from: Member, n: number) => () => from.session.updateMetadata({ incarnation: a.incarnation, metadata: JSON.stringify({ n }) }, a.call);
      const results = await atOnce(Array.from({ length: 12 }, (_, n) => update(n % 2 === 0 ? a : b, n)));
      assert.ok(results.every(Boolean));
      assert.ok((await a.presenceOf(a)).metadataVersion >= metadataVersion + 12);
    },
  },
  {
    title: "reading members answers the named rows, dead ones too, and leaves out those that are not there",
    async run(scene) {
      const [a, b, c] = [await scene.member({ metadata: '{"n":1}' }), await scene.member(), await scene.member()];
      await c.leave();
      const rows = await b.session.readMembers({ incarnations: [c.incarnation, "nobody", a.incarnation] }, b.call);
      const shown = rows.map(({ incarnation, node, state, metadata, joinOrder }) => ({ incarnation, node, state, metadata: JSON.parse(metadata) as unknown, joinOrder }));
      assert.deepEqual(shown.sort((x, y) => x.joinOrder - y.joinOrder), [
        { incarnation: a.incarnation, node: a.node, state: "alive", metadata: { n: 1 }, joinOrder: a.joinOrder },
        { incarnation: c.incarnation, node: c.node, state: "dead", metadata: {}, joinOrder: c.joinOrder },
      ]);
      assert.deepEqual(await b.session.readMembers({ incarnations: [] }, b.call), []);
    },
  },
];

async function openSessions(scene: Scene, count: number) {
  const sessions = [];
  for (let n = 0; n < count; n++) sessions.push(await scene.session());
  return sessions;
}

async function untilExpired(scene: Scene, observer: Member, who: Member): Promise<void> {
  await scene.until(`the lease of ${who.node} runs out by the store's clock`, async () => ((await observer.presenceOf(who)).expired ? true : undefined));
}

async function declarations(observer: Member) {
  return (await observer.events()).filter((each) => each.type === "declared-dead");
}

function rowOf(reply: LookReply, who: Member): PresenceRow {
  return reply.presence.find((row) => row.incarnation === who.incarnation) ?? assert.fail(`the reply shows no row of ${who.node}`);
}

/** A reply without what changes by itself as time goes by, and without what only a beat answers. */
function timeless(reply: LookReply | BeatReply): unknown {
  const { storeTimeMs: _, presence, elections, accepted: _accepted, self: _self, ...rest } = { accepted: true, self: "alive", ...reply };
  return { ...rest, presence: stillRows(presence), elections: byElection(elections) };
}
