import assert from "node:assert/strict";
import type { Cursor, ElectionRow, Holder, LookReply } from "../../store/index.ts";
import { COORDINATOR } from "../../store/index.ts";
import { atOnce, byElection, cursorOf, emptyView, NOTHING_SEEN } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

/** Many sessions at once, and what must hold all the same. */
export const raceCases: readonly SceneCase[] = [
  {
    title: "a reader that follows with its cursor while many claim and resign misses no change",
    async run(scene) {
      const elections = Array.from({ length: 6 }, (_, n) => `election-${n}`);
      const [writers, reader] = [await scene.members(4), await scene.member()];
      for (const election of elections) await reader.createElection(election);
      const write = async (writer: Member) => {
        for (let round = 0; round < 25; round++) {
          const election = elections[Math.floor(scene.random.next() * elections.length)] ?? "";
          const claimed = await writer.claim(election);
          if (claimed !== null) assert.equal(await writer.resign(election, claimed.token), true);
        }
      };
      const known = new Map<string, ElectionRow>();
      let cursor: Cursor = NOTHING_SEEN;
      const follow = async () => {
        const seen = await reader.look({ cursor, watch: [] });
        assert.ok(seen.electionsVersion >= cursor.electionsVersion, "versions only grow");
        for (const row of seen.elections) {
          assert.ok(row.version > (known.get(row.election)?.version ?? 0), "only newer rows are shown");
          known.set(row.election, row);
        }
        cursor = cursorOf(seen);
        const all = await reader.look({ watch: [] });
        for (const row of all.elections) {
          if (row.version <= cursor.electionsVersion) assert.equal(known.get(row.election)?.version, row.version, "nothing older than the cursor is missing");
        }
      };
      await during(
        writers.map((writer) => () => write(writer)),
        follow,
      );
      await follow();
      assert.deepEqual(byElection([...known.values()]), byElection((await reader.look()).elections));
    },
  },
  {
    title: "each answer of a look is one reading: rows, versions and view belong together while all of them change",
    async run(scene) {
      const [coordinator, writer, reader] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await coordinator.coordinate();
      const publish = async () => {
        for (let n = 0; n < 25; n++) {
          const seen = await coordinator.look();
          // The view says which version of the elections it was made after, which a reader must then see as well.
          const view = { ...emptyView(seen.viewVersion + 1), members: [madeAfter(seen)] };
          assert.equal(await coordinator.publish(token, { expectedVersion: seen.viewVersion, view }), true);
        }
      };
      const claim = async () => {
        for (let n = 0; n < 25; n++) await writer.resign("e", await writer.hold("e"));
      };
      let reads = 0;
      await during([publish, claim], async () => {
        reads += 1;
        const seen = reads % 2 === 0 ? await reader.look() : await reader.beat();
        assert.equal(seen.view?.version ?? 0, seen.viewVersion);
        assert.equal(Math.max(...seen.elections.map((row) => row.version)), seen.electionsVersion);
        assert.ok((seen.view?.members[0]?.joinOrder ?? 0) <= seen.electionsVersion);
        assert.equal(seen.presence.length, 3);
      });
    },
  },
  {
    title: "a reading of the group is one reading: each holder has an open term, each free election none, no fence is ahead",
    async run(scene) {
      const [writers, reader] = [await scene.members(3), await scene.member()];
      const write = async (writer: Member) => {
        for (let round = 0; round < 15; round++) {
          await writer.createElection("e");
          const claimed = await writer.claim("e", { andPass: true });
          if (claimed === null) continue;
          await writer.passFence("e", claimed.token);
          await writer.resign("e", claimed.token);
        }
      };
      await during(
        writers.map((writer) => () => write(writer)),
        async () => expectConsistent(await reader.reading()),
      );
    },
  },
  {
    title: "everything at once from many sessions: no operation throws, and what is left fits together",
    async run(scene) {
      const elections = [COORDINATOR, "e-1", "e-2"];
      const storm = async () => {
        let self = await scene.member();
        for (const election of elections) await self.createElection(election);
        for (let round = 0; round < 30; round++) {
          const state = (await self.beat()).self;
          if (state === "evicted") await self.leave();
          if (state !== "alive") self = await scene.member({ session: self.session });
          const election = elections[Math.floor(scene.random.next() * elections.length)] ?? "";
          const { holder, token } = await self.row(election);
          await anything(scene, self, election, holder, token);
        }
      };
      await atOnce(Array.from({ length: 5 }, () => storm));
      const observer = await scene.member();
      const reading = await observer.reading();
      expectConsistent(reading);
      const events = await observer.events();
      assert.deepEqual(events.map((each) => each.sequence), events.map((_, n) => n + 1));
      const orders = reading.presence.map((row) => row.joinOrder);
      assert.equal(new Set(orders).size, orders.length);
      const alive = reading.presence.filter((row) => row.state === "alive").map((row) => row.node);
      assert.equal(new Set(alive).size, alive.length);
      assert.equal(reading.view?.version ?? 0, (await observer.look()).viewVersion);
      for (const election of elections) {
        const tokens = reading.terms.filter((term) => term.election === election).map((term) => term.token);
        assert.deepEqual(tokens, [...new Set(tokens)].sort((x, y) => y - x), "tokens only grow");
      }
    },
  },
];

/** Does all the works at once, and `repeatedly` again and again until they are done. */
async function during(works: readonly (() => Promise<void>)[], repeatedly: () => Promise<void>): Promise<void> {
  const done = new AbortController();
  const repeat = async () => {
    while (!done.signal.aborted) await repeatedly();
  };
  const work = async () => {
    try {
      await atOnce(works);
    } finally {
      done.abort();
    }
  };
  await atOnce([repeat, work]);
}

/** One operation or two, by chance; losing is fine. */
async function anything(scene: Scene, self: Member, election: string, holder: Holder | null, token: number): Promise<void> {
  const chance = scene.random.next();
  if (chance < 0.15 && holder !== null && holder.incarnation !== self.incarnation) {
    const [row] = (await self.look({ watch: [holder.incarnation] })).presence;
    await self.declareDead(self, { incarnation: holder.incarnation, beat: row?.beat ?? 0 });
  } else if (chance < 0.5) {
    const claimed = await self.claim(election, { overReservation: chance < 0.4, andPass: chance < 0.2 });
    if (claimed !== null) await self.passFence(election, claimed.token);
  } else if (chance < 0.6) await self.resign(election, token);
  else if (chance < 0.65) await self.resign(election, token, "handed over", { reservation: { node: "nobody", forMs: 1_000 } });
  else if (chance < 0.72) await self.requestResign(election, token, { for: chance < 0.7 ? undefined : self.node });
  else if (chance < 0.8) await self.publish(token, { forgetDeadAfterMs: 0 });
  else if (chance < 0.84) await self.contend(election, { priority: Math.floor(chance * 100) - 80, fit: true });
  else if (chance < 0.86) await self.contend(election, null);
  else if (chance < 0.88) await self.pause(election);
  else if (chance < 0.92) await self.resume(election);
  else if (chance < 0.94 && holder !== null) await self.evict(holder.node);
  else await self.session.updateMetadata({ incarnation: self.incarnation, metadata: JSON.stringify({ chance }) }, self.call);
}

function expectConsistent({ elections, fences, terms }: Awaited<ReturnType<Member["reading"]>>): void {
  for (const row of elections) {
    const open = terms.filter((term) => term.election === row.election && term.endedAtMs === null);
    const expected = row.holder === null ? [] : [{ token: row.token, incarnation: row.holder.incarnation }];
    assert.deepEqual(open.map(({ token, incarnation }) => ({ token, incarnation })), expected);
    const fence = fences.find((each) => each.election === row.election)?.token;
    assert.ok(fence !== undefined && fence <= row.token, `the fence ${fence} is not ahead of the row's token ${row.token}`);
  }
}

/** A member entry that carries a version where the reader finds it. */
function madeAfter(seen: LookReply) {
  return { incarnation: "x", node: "x", metadata: null, metadataVersion: 1, joinOrder: seen.electionsVersion, joinedAtMs: 0 };
}
