import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import { LONGEST_REASON } from "../../store/index.ts";
import { atOnce, cursorOf, HOSTILE_WORDS, still, tick } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Keeping an election from everybody for a while. */
export const pauseCases: readonly SceneCase[] = [
  {
    title: "a pause is kept with its reason, by whom, and the store's time, in a new version, and an event tells it",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await tick(b);
      const before = await b.look();
      assert.equal(await a.pause(ELECTION, "it's 100% broken"), true);
      const after = await b.look({ cursor: cursorOf(before) });
      const [row] = after.elections;
      assert.deepEqual([row?.paused?.reason, row?.paused?.by], ["it's 100% broken", a.node]);
      const atMs = row?.paused?.atMs ?? 0;
      assert.ok(before.storeTimeMs <= atMs && atMs <= after.storeTimeMs, `${before.storeTimeMs} <= ${atMs} <= ${after.storeTimeMs}`);
      assert.equal(row?.version, after.electionsVersion);
      assert.ok(after.electionsVersion > before.electionsVersion);
      const [event] = await told(b, "election-paused");
      assert.deepEqual([event?.subject, event?.detail["by"], event?.detail["reason"]], [ELECTION, a.node, "it's 100% broken"]);
    },
  },
  {
    title: "resuming takes the pause away, in a new version, and an event tells by whom",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection(ELECTION);
      await a.pause(ELECTION);
      const before = await b.look();
      assert.equal(await b.resume(ELECTION), true);
      const after = await a.look({ cursor: cursorOf(before) });
      const [row] = after.elections;
      assert.deepEqual([row?.paused, row?.version], [null, after.electionsVersion]);
      const [event] = await told(a, "election-resumed");
      assert.deepEqual([event?.subject, event?.detail["by"]], [ELECTION, b.node]);
    },
  },
  {
    title: "while an election is paused every claim is refused, its former holder's, an heir's and one over the reservation too; once resumed it can be claimed",
    async run(scene) {
      const [a, b, heir] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      await a.resign(ELECTION, token, "done", { reservation: { node: heir.node, forMs: 1 } });
      await b.pause(ELECTION);
      const before = still(await a.reading());
      for (const each of [a, b, heir]) {
        assert.equal(await each.claim(ELECTION), null, each.node);
        assert.equal(await each.claim(ELECTION, { overReservation: true }), null, each.node);
      }
      assert.deepEqual(still(await a.reading()), before);
      await b.resume(ELECTION);
      assert.equal((await heir.claim(ELECTION))?.token, token + 1, "what it was kept for stands");
    },
  },
  {
    title: "a pause is of one election: another can be claimed meanwhile",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      await a.createElection("other");
      await a.pause(ELECTION);
      assert.equal(await a.claim(ELECTION), null);
      assert.notEqual(await a.claim("other"), null);
      assert.equal((await a.row("other")).paused, null);
    },
  },
  {
    title: "a holder keeps its term while its election is paused: it passes the fence, is asked to resign, and resigns as ever",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.hold(ELECTION);
      assert.equal(await b.pause(ELECTION), true);
      const row = await b.row(ELECTION);
      assert.deepEqual([row.holder?.incarnation, row.token], [a.incarnation, token]);
      assert.equal(await a.passFence(ELECTION, token), "passed");
      assert.equal(await b.requestResign(ELECTION, token), true);
      assert.equal(await a.resign(ELECTION, token), true);
    },
  },
  {
    title: "a pause outlives a resignation and the holder's death",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const tokens = [await a.hold("resigned"), await b.hold("dead")];
      await a.pause("resigned", "first");
      await a.pause("dead", "second");
      await a.resign("resigned", tokens[0] ?? 0);
      await b.leave();
      assert.deepEqual([(await a.row("resigned")).paused?.reason, (await a.row("dead")).paused?.reason], ["first", "second"]);
      for (const election of ["resigned", "dead"]) assert.equal(await a.claim(election), null, election);
    },
  },
  {
    title: "a second pause, and resuming what is not paused, answer false and change nothing: no reason, no version, no event",
    async run(scene) {
      const a = await scene.member();
      await a.createElection("running");
      await a.createElection("paused");
      await a.pause("paused", "first");
      const [before, events, { electionsVersion }] = [still(await a.reading()), await a.events(), await a.look()];
      assert.equal(await a.pause("paused", "second"), false);
      assert.equal(await a.resume("running"), false);
      assert.deepEqual(still(await a.reading()), before);
      assert.deepEqual(await a.events(), events);
      assert.equal((await a.look()).electionsVersion, electionsVersion);
    },
  },
  {
    title: "an election that was never made is neither paused nor resumed, and none is made by it",
    async run(scene) {
      const a = await scene.member();
      assert.equal(await a.pause("unmade"), false);
      assert.equal(await a.resume("unmade"), false);
      assert.equal(await a.rowIfAny("unmade"), undefined);
      assert.deepEqual(await a.events(), []);
    },
  },
  {
    title: "in a group that is not there, pausing and resuming answer false or reject with GROUP_UNKNOWN, and make nothing",
    async run(scene) {
      const session = await scene.session();
      const pause = () => session.pause({ election: ELECTION, by: "operator", reason: "x" }, scene.call);
      const resume = () => session.resume({ election: ELECTION, by: "operator" }, scene.call);
      for (const operation of [pause, resume]) {
        const answer = await operation().catch((error: unknown) => isTribuneError(error, "GROUP_UNKNOWN") ? false : Promise.reject(error as Error));
        assert.equal(answer, false);
      }
      assert.equal(await session.readGroup(scene.call), null);
    },
  },
  {
    title: "reasons of pauses are data, up to the longest one",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      const texts = [...HOSTILE_WORDS, "", "é".repeat(LONGEST_REASON)];
      for (const text of texts) {
        assert.equal(await a.pause(ELECTION, text), true);
        assert.equal((await a.row(ELECTION)).paused?.reason, text);
        await a.resume(ELECTION);
      }
      assert.deepEqual((await told(a, "election-paused")).map((each) => each.detail["reason"]), texts);
    },
  },
  {
    title: "making an election that is paused again lifts nothing",
    async run(scene) {
      const a = await scene.member();
      await a.createElection(ELECTION);
      await a.pause(ELECTION, "first");
      await a.createElection(ELECTION);
      assert.equal((await a.row(ELECTION)).paused?.reason, "first");
    },
  },
  {
    title: "of many pauses at once one answers true, and its reason stands; likewise of many that resume",
    async run(scene) {
      const members = await scene.members(4);
      const [first] = members;
      if (first === undefined) return assert.fail("no members");
      await first.createElection(ELECTION);
      for (let round = 0; round < 8; round++) {
        const paused = await atOnce(members.map((each) => () => each.pause(ELECTION)));
        assert.equal(paused.filter(Boolean).length, 1, `round ${round}`);
        assert.equal((await first.row(ELECTION)).paused?.by, members[paused.indexOf(true)]?.node);
        const resumed = await atOnce(members.map((each) => () => each.resume(ELECTION)));
        assert.equal(resumed.filter(Boolean).length, 1, `round ${round}`);
      }
      assert.deepEqual([(await told(first, "election-paused")).length, (await told(first, "election-resumed")).length], [8, 8]);
    },
  },
  {
    title: "of a pause and a claim that meet, the claim came first or is refused",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      for (let round = 0; round < 15; round++) {
        const election = scene.name("election");
        await a.createElection(election);
        const { epoch } = await a.look();
        const pause = () => a.pause(election);
        const claim = async () => (await b.claim(election, { expectedToken: 0, epoch })) !== null;
        const results = await atOnce(round % 2 === 0 ? [pause, claim] : [claim, pause]);
        const [paused, claimed] = round % 2 === 0 ? results : results.toReversed();
        assert.equal(paused, true);
        const row = await a.row(election);
        assert.deepEqual([row.paused === null, row.holder?.incarnation], [false, claimed === true ? b.incarnation : undefined]);
        if (claimed === true) assert.deepEqual(await order(a, election), ["term-began", "election-paused"], "a claim after the pause succeeded");
        else assert.equal(await claim(), false);
      }
    },
  },
];

async function told(observer: Member, type: "election-paused" | "election-resumed") {
  return (await observer.events()).filter((each) => each.type === type);
}

async function order(observer: Member, election: string) {
  return (await observer.events()).filter((each) => each.subject === election).map((each) => each.type);
}
