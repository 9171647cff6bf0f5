import assert from "node:assert/strict";
import { cursorOf, HOSTILE_WORDS, still, tick } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Handing an election over to somebody in particular, and what a term says about itself. */
export const handoverCases: readonly SceneCase[] = [
  {
    title: "a new election is kept for nobody, asked of nobody, not paused, not ranked, and its last term had no priority and no minimum",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      const { reservation, resignRequestedFor, paused, ranked, priority, minimumTermMs } = await a.row(ELECTION);
      const expected = { reservation: null, resignRequestedFor: null, paused: null, ranked: false, priority: 0, minimumTermMs: 0 };
      assert.deepEqual({ reservation, resignRequestedFor, paused, ranked, priority, minimumTermMs }, expected);
    },
  },

  // ---- reservation
  {
    title: "an election that is resigned with a reservation is kept for that node: others are refused, and it may claim",
    async run(scene) {
      const [a, b, heir] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await reserved(a, heir.node);
      assert.deepEqual((await b.row(ELECTION)).reservation, { node: heir.node, forMs: 60_000 });
      assert.equal((await b.row(ELECTION)).holder, null);
      for (const other of [a, b]) assert.equal(await other.claim(ELECTION), null, other.node);
      assert.equal((await heir.claim(ELECTION))?.token, token + 1);
    },
  },
  {
    title: "a claim that a reservation refuses changes nothing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await reserved(a, "heir");
      const [before, events] = [still(await b.reading()), await b.events()];
      for (const overReservation of [undefined, false]) assert.equal(await b.claim(ELECTION, overReservation === undefined ? {} : { overReservation }), null);
      assert.deepEqual(still(await b.reading()), before);
      assert.deepEqual(await b.events(), events);
    },
  },
  {
    title: "a reservation is for a node by its whole name, whoever it is that goes by it",
    async run(scene) {
      const a = await scene.member();
      const others = [await scene.member({ node: "heir" }), await scene.member({ node: "heir-1%" }), await scene.member({ node: "HEIR-1" })];
      const [early, late] = [await scene.member({ node: "heir-1" }), scene.joinInput({ node: "heir-1" })];
      const token = await reserved(a, "heir-1");
      for (const other of others) assert.equal(await other.claim(ELECTION), null, other.node);
      await early.leave();
      const next = await scene.member(late);
      assert.equal((await next.claim(ELECTION))?.token, token + 1, "its next incarnation");
    },
  },
  {
    title: "a reservation does not end by itself: only who says that it has waited it out gets past",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await reserved(a, "nobody", 1);
      await tick(b);
      await tick(b);
      assert.equal(await b.claim(ELECTION), null);
      assert.equal((await b.claim(ELECTION, { overReservation: true }))?.token, token + 1);
      assert.equal((await b.row(ELECTION)).holder?.incarnation, b.incarnation);
    },
  },
  {
    title: "a claim over a reservation is refused for all other reasons as any other: token, epoch, holder, pause, a claimant that is dead",
    async run(scene) {
      const [a, b, dead] = [await scene.member(), await scene.member(), await scene.member()];
      await dead.leave();
      const token = await reserved(a, "heir");
      for (const expectedToken of [0, token - 1, token + 1]) assert.equal(await b.claim(ELECTION, { overReservation: true, expectedToken }), null, `token ${expectedToken}`);
      assert.equal(await b.claim(ELECTION, { overReservation: true, epoch: "another epoch" }), null);
      assert.equal(await dead.claim(ELECTION, { overReservation: true }), null);
      await a.pause(ELECTION);
      assert.equal(await b.claim(ELECTION, { overReservation: true }), null, "paused");
      await a.resume(ELECTION);
      await b.claim(ELECTION, { overReservation: true });
      assert.equal(await a.claim(ELECTION, { overReservation: true }), null, "held");
    },
  },
  {
    title: "a claim clears the reservation, and a resignation without one leaves none",
    async run(scene) {
      const [a, heir, b] = [await scene.member(), await scene.member(), await scene.member()];
      await reserved(a, heir.node);
      const token = (await heir.claim(ELECTION))?.token ?? 0;
      assert.equal((await a.row(ELECTION)).reservation, null);
      assert.equal(await heir.resign(ELECTION, token), true);
      assert.equal((await a.row(ELECTION)).reservation, null);
      assert.equal((await b.claim(ELECTION))?.token, token + 1);
    },
  },
  {
    title: "a resignation that answers false changes no reservation",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      assert.equal(await b.resign(ELECTION, token, "not mine", { reservation: { node: b.node, forMs: 1_000 } }), false);
      assert.equal((await b.row(ELECTION)).reservation, null);
      assert.equal(await a.resign(ELECTION, token, "done", { reservation: { node: "heir", forMs: 1_000 } }), true);
      assert.equal(await a.resign(ELECTION, token, "again", { reservation: { node: a.node, forMs: 9_000 } }), false);
      assert.equal(await a.resign(ELECTION, token), false);
      assert.deepEqual((await b.row(ELECTION)).reservation, { node: "heir", forMs: 1_000 });
    },
  },
  {
    title: "the event of a resignation tells for whom the election is kept, if for anybody",
    async run(scene) {
      const a = await scene.member();
      await reserved(a, "heir");
      await a.resign(ELECTION, (await a.claim(ELECTION, { overReservation: true }))?.token ?? 0);
      const ended = (await a.events()).filter((each) => each.type === "term-ended");
      assert.deepEqual(ended.map((each) => each.detail["for"]), ["heir", undefined]);
    },
  },

  // ---- requestResign for somebody
  {
    title: "asking to resign for a node is kept with it, in a new version, and an event tells it",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      const before = await a.look();
      assert.equal(await b.requestResign(ELECTION, token, { for: "it's heir" }), true);
      const [row] = (await a.beat({ cursor: cursorOf(before) })).elections;
      assert.deepEqual([row?.resignRequested, row?.resignRequestedFor, row?.holder?.incarnation], [token, "it's heir", a.incarnation]);
      const [event] = (await a.events()).filter((each) => each.type === "resign-requested");
      assert.deepEqual([event?.subject, event?.detail["for"]], [ELECTION, "it's heir"]);
    },
  },
  {
    title: "a later wish that a holder resigns replaces the earlier one: for another node, or for nobody in particular",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      for (const node of ["first", "second", undefined, "third"]) {
        const before = await a.look();
        assert.equal(await a.requestResign(ELECTION, token, { for: node }), true);
        const [row] = (await a.look({ cursor: cursorOf(before) })).elections;
        assert.deepEqual([row?.resignRequested, row?.resignRequestedFor], [token, node ?? null]);
      }
    },
  },
  {
    title: "a wish that is refused replaces nothing",
    async run(scene) {
      const a = await scene.member();
      const token = await a.hold(ELECTION);
      await a.requestResign(ELECTION, token, { for: "heir" });
      const before = still(await a.reading());
      for (const other of [0, token - 1, token + 1]) assert.equal(await a.requestResign(ELECTION, other, { for: "else" }), false, `token ${other}`);
      assert.deepEqual(still(await a.reading()), before);
    },
  },
  {
    title: "for whom a holder was asked to resign is cleared by its resignation, and by the next claim where it died",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const first = await a.hold(ELECTION);
      await b.requestResign(ELECTION, first, { for: b.node });
      await a.resign(ELECTION, first);
      assert.deepEqual(wishOf(await b.row(ELECTION)), [null, null]);
      const second = (await a.claim(ELECTION))?.token ?? 0;
      await b.requestResign(ELECTION, second, { for: b.node });
      await a.leave();
      assert.deepEqual(wishOf(await b.row(ELECTION)), [second, b.node], "a death alone clears nothing");
      assert.equal((await b.claim(ELECTION))?.token, second + 1);
      assert.deepEqual(wishOf(await b.row(ELECTION)), [null, null]);
    },
  },

  {
    title: "for whom an election is kept, or asked for, is data",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      for (const node of HOSTILE_WORDS) {
        const token = (await a.claim(ELECTION, { overReservation: true }))?.token ?? 0;
        await a.requestResign(ELECTION, token, { for: node });
        assert.equal((await a.row(ELECTION)).resignRequestedFor, node);
        await a.resign(ELECTION, token, "handed over", { reservation: { node, forMs: 1_000 } });
        assert.equal((await a.row(ELECTION)).reservation?.node, node);
        assert.equal(await a.claim(ELECTION), null);
      }
    },
  },
  {
    title: "durations that are no whole milliseconds are kept, or rounded up: how long an election is kept for a node, and the minimum of a term",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      const token = (await a.claim(ELECTION, { minimumTermMs: 90.25 }))?.token ?? 0;
      const { minimumTermMs } = await a.row(ELECTION);
      assert.ok(minimumTermMs >= 90.25 && minimumTermMs <= 91, `${minimumTermMs}`);
      await a.resign(ELECTION, token, "handed over", { reservation: { node: "heir", forMs: 1_000.5 } });
      const forMs = (await a.row(ELECTION)).reservation?.forMs ?? 0;
      assert.ok(forMs >= 1_000.5 && forMs <= 1_001, `${forMs}`);
    },
  },

  // ---- priority and minimum of a term
  {
    title: "a claim stores its priority and its minimum term, which stay with the row until the next claim, and are 0 where it names none",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      const first = (await a.claim(ELECTION, { priority: 7, minimumTermMs: 90_000 }))?.token ?? 0;
      assert.deepEqual(termOf(await b.row(ELECTION)), [7, 90_000]);
      await a.resign(ELECTION, first);
      assert.deepEqual(termOf(await b.row(ELECTION)), [7, 90_000], "after the resignation");
      const second = (await b.claim(ELECTION, { priority: -2 }))?.token ?? 0;
      assert.deepEqual(termOf(await b.row(ELECTION)), [-2, 0]);
      await b.resign(ELECTION, second);
      await a.claim(ELECTION);
      assert.deepEqual(termOf(await b.row(ELECTION)), [0, 0]);
    },
  },
  {
    title: "the store keeps priorities and minimum terms and goes by none of them: whoever claims a free election first has it, and a holder keeps it",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      const first = (await a.claim(ELECTION, { priority: 9, minimumTermMs: 3_600_000 }))?.token ?? 0;
      await a.resign(ELECTION, first);
      assert.equal((await b.claim(ELECTION, { priority: 1 }))?.token, first + 1, "a minimum binds nobody once the term is over");
      assert.equal(await a.claim(ELECTION, { priority: 99 }), null);
    },
  },
  {
    title: "a claim that is refused stores neither priority nor minimum term",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await a.claim(ELECTION, { priority: 3, minimumTermMs: 5_000 });
      assert.equal(await b.claim(ELECTION, { priority: 8, minimumTermMs: 9_000 }), null);
      assert.deepEqual(termOf(await b.row(ELECTION)), [3, 5_000]);
    },
  },
];

/** Holds the election and resigns it with a reservation; answers the token that it had. */
async function reserved(holder: Member, node: string, forMs = 60_000): Promise<number> {
  const token = await holder.hold(ELECTION);
  assert.equal(await holder.resign(ELECTION, token, "handed over", { reservation: { node, forMs } }), true);
  return token;
}

function wishOf({ resignRequested, resignRequestedFor }: Awaited<ReturnType<Member["row"]>>) {
  return [resignRequested, resignRequestedFor];
}

function termOf({ priority, minimumTermMs }: Awaited<ReturnType<Member["row"]>>) {
  return [priority, minimumTermMs];
}
