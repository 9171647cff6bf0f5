import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { setImmediate } from "node:timers/promises";
import { isTribuneError } from "../../kernel/index.ts";
import type { LookReply, PresenceRow, StoreSession } from "../../store/index.ts";
import { atOnce, NOTHING_SEEN, SHORT_LEASE_MS, Skipped, still } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

/** What sessions that hold evidence are opened with: a lease as a real node has it, which is longer than any case. */
const EVIDENCE = { leaseMs: 15_000 };

/** Two ways to end a session: in good order, and at once. A process that dies ends it the second way, without saying so. */
const ENDINGS: Readonly<Record<string, (session: StoreSession) => Promise<void>>> = {
  closed: (session) => session.close(),
  destroyed: async (session) => session.destroy(new Error("the process is gone")),
};

/** What a session holds that is free once its process is gone, and what others may do about it. */
export const evidenceCases: readonly SceneCase[] = [
  // ---- armed or not
  {
    title: "a session holds evidence only if it was asked to and the store has such a thing; otherwise it says why not, and nobody's is held",
    async run(scene) {
      const observer = await scene.member();
      const sessions = [await scene.session()];
      if (scene.provider.capabilities.evidence === null) sessions.push(await scene.session({ evidence: EVIDENCE }));
      for (const session of sessions) {
        const a = await scene.member({ session });
        await a.beat();
        assert.equal(session.info.evidence.held, false);
        assert.ok(session.info.evidence.why.length > 0);
        assert.equal((await observer.presenceOf(a)).evidence, "none");
        if (scene.provider.capabilities.evidence === null) await assert.rejects(inTime(scene, "attending is refused", a.attend([observer])), isTribuneError);
      }
    },
  },
  {
    title: "nobody's evidence is held before the first beat on a session that holds it; from then on every look, beat and reading shows it as held",
    async run(scene) {
      const observer = await scene.member();
      const a = await scene.member({ session: await holding(scene) });
      assert.equal((await observer.presenceOf(a)).evidence, "none", "a join arms nothing");
      assert.equal(evidenceIn(await a.beat(), a), "held", "the beat's own reply");
      assert.equal((await observer.presenceOf(a)).evidence, "held");
      assert.equal(evidenceIn(await observer.look({ watch: [a.incarnation] }), a), "held", "watched by name");
      assert.equal(evidenceIn(await observer.beat(), a), "held", "a beat of somebody else");
      assert.equal(evidenceIn(await observer.reading(), a), "held", "a reading");
      assert.equal((await observer.presenceOf(observer)).evidence, "none", "of somebody whose session holds none");
    },
  },
  {
    title: "each has evidence of its own: where one of several sessions ends, one is free",
    async run(scene) {
      const observer = await scene.member();
      const [a, b, c] = [await armed(scene), await armed(scene), await armed(scene)];
      b.session.destroy(new Error("the process is gone"));
      await untilFree(observer, b);
      const shown = (await observer.look()).presence.toSorted((x, y) => x.joinOrder - y.joinOrder).map((row) => row.evidence);
      assert.deepEqual(shown, ["none", "held", "free", "held"]);
      for (const each of [a, c]) assert.equal((await each.beat()).accepted, true);
    },
  },
  {
    title: "a beat on a session that holds none disarms; the end of the one before frees nothing then",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const armedWith = a.session;
      await a.reconnect();
      assert.equal((await observer.presenceOf(a)).evidence, "held", "nothing changes before a beat");
      await a.beat();
      assert.equal((await observer.presenceOf(a)).evidence, "none");
      armedWith.destroy(new Error("the process is gone"));
      await steadily(observer, a, "none");
    },
  },
  {
    title: "a beat that is not accepted neither arms nor disarms",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const b = await scene.member();
      await b.beat({ beat: 9 });
      await a.beat({ beat: 9 });
      const [armedWith, unarmed] = [a.session, b.session];
      [a.session, b.session] = [unarmed, armedWith];
      for (const each of [a, b]) for (const beat of [9, 3]) assert.equal((await each.beat({ beat })).accepted, false);
      assert.deepEqual([(await observer.presenceOf(a)).evidence, (await observer.presenceOf(b)).evidence], ["held", "none"]);
    },
  },
  {
    title: "one session after the other has evidence of its own: what counts is what the last beat was armed with",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const first = a.session;
      const second = await holding(scene);
      first.destroy(new Error("cut"));
      await untilFree(observer, a);
      a.session = second;
      assert.equal(evidenceIn(await a.beat(), a), "held", "the new session has not been seen as ended");
      await steadily(observer, a, "held");
      a.session = await holding(scene);
      await a.beat();
      await second.close();
      await steadily(observer, a, "held");
      await a.session.close();
      await untilFree(observer, a);
    },
  },
  {
    title: "the next incarnation of a node has nothing of the evidence of the one before",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      a.session.destroy(new Error("the process is gone"));
      await untilFree(observer, a);
      assert.equal(await observer.declareDead(a, { requireFree: true }), true);
      const next = await scene.member({ node: a.node, session: await holding(scene) });
      assert.equal((await observer.presenceOf(next)).evidence, "none");
      await next.beat();
      assert.equal((await observer.presenceOf(next)).evidence, "held");
      assert.equal((await observer.presenceOf(a)).evidence, "none", "of one that is dead there is none");
    },
  },
  {
    title: "who is dead shows none, whether its session lives or not",
    async run(scene) {
      const observer = await scene.member();
      const [left, declared] = [await armed(scene), await armed(scene)];
      await left.leave();
      await observer.declareDead(declared);
      assert.deepEqual([(await observer.presenceOf(left)).evidence, (await observer.presenceOf(declared)).evidence], ["none", "none"]);
      left.session.destroy(new Error("the process is gone"));
      await steadily(observer, left, "none");
    },
  },

  // ---- free or held
  ...Object.entries(ENDINGS).map(([how, end]): SceneCase => ({
    title: `once its session was ${how}, evidence is seen as free, by looks, beats and readings; the row is alive and its lease runs all the same`,
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      await end(a.session);
      await untilFree(observer, a);
      const row = await observer.presenceOf(a);
      assert.deepEqual([row.state, row.expired, row.evidence], ["alive", false, "free"]);
      assert.equal(evidenceIn(await observer.beat(), a), "free");
      assert.equal(evidenceIn(await observer.reading(), a), "free");
    },
  })),
  {
    title: "evidence of a session that was cut from outside is free, or none where the epoch changed with it; a beat on a new session holds it again",
    async run(scene) {
      const cut = scene.need("cut");
      const [observer, a] = [await scene.member(), await armed(scene)];
      const { epoch } = await observer.look();
      await cut();
      await observer.reconnect();
      const after = await observer.look();
      if (after.epoch === epoch) await untilFree(observer, a);
      else assert.equal(evidenceIn(after, a), "none");
      a.session = await holding(scene);
      assert.equal((await a.beat()).accepted, true);
      await steadily(observer, a, "held");
    },
  },
  {
    title: "evidence of a session that ended because a call missed its deadline is free once the store answers again",
    async run(scene) {
      const hang = scene.need("hang");
      const [observer, a] = [await scene.member(), await armed(scene)];
      const heal = await hang();
      try {
        await assert.rejects(a.session.look({ cursor: NOTHING_SEEN, watch: [] }, { deadlineMs: 250 }), { code: "STORE_TIMEOUT" });
        assert.equal(a.session.ended.aborted, true, "its own process counts its trust as over by then");
      } finally {
        await heal();
      }
      await observer.reconnect();
      await untilFree(observer, a);
    },
  },
  {
    title: "evidence is held for as long as its session lives, also where its owner is silent and its lease has run out",
    async run(scene) {
      const observer = await scene.member();
      const a = await scene.member({ session: await holding(scene), leaseMs: SHORT_LEASE_MS });
      await a.beat();
      await scene.until("the lease runs out", async () => ((await observer.presenceOf(a)).expired ? true : undefined));
      await steadily(observer, a, "held");
    },
  },
  {
    title: "who merely looks or attends frees nothing, neither by looking nor by going",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      for (const end of Object.values(ENDINGS)) {
        const session = await scene.session({ evidence: EVIDENCE });
        const attended = settled(session.attend({ incarnations: [a.incarnation], signal: new AbortController().signal }));
        for (let n = 0; n < 5; n++) await session.look({ cursor: NOTHING_SEEN, watch: "all" }, scene.call);
        await end(session);
        await inTime(scene, "attending ends with its session", attended);
        await steadily(observer, a, "held");
      }
      assert.equal((await a.beat()).accepted, true);
    },
  },
  {
    title: "many that look at the same time do not disturb: what is held is held to all of them, and what is free becomes free to each",
    async run(scene) {
      const [a, b] = [await armed(scene), await armed(scene)];
      const lookers = await scene.members(5);
      const shown = await atOnce(Array.from({ length: 30 }, (_, n) => async () => (await (lookers[n % 5] ?? a).presenceOf(a)).evidence));
      assert.deepEqual(new Set(shown), new Set(["held"]));
      b.session.destroy(new Error("the process is gone"));
      await atOnce(lookers.map((each) => () => untilFree(each, b)));
      assert.equal((await (lookers[0] ?? a).presenceOf(a)).evidence, "held");
    },
  },
  {
    title: "what is free counts no more in another epoch: it is none, nobody dies of it, and a beat in the new epoch holds evidence again",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      a.session.destroy(new Error("the process is gone"));
      await untilFree(observer, a);
      await scene.newEpoch(observer);
      assert.equal((await observer.presenceOf(a)).evidence, "none");
      assert.equal(await observer.declareDead(a, { requireFree: true }), false);
      await observer.beat();
      assert.equal((await observer.presenceOf(a)).evidence, "none", "also once the group has adopted the epoch");
      a.session = await holding(scene);
      await a.beat();
      assert.equal((await observer.presenceOf(a)).evidence, "held");
    },
  },

  // ---- declaring dead
  {
    title: "declaring dead where evidence must be free works once it is: the row is dead as crashed, before its lease has run out, and an event says so",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      a.session.destroy(new Error("the process is gone"));
      await untilFree(observer, a);
      assert.equal((await observer.presenceOf(a)).expired, false);
      assert.equal(await observer.declareDead(a, { requireFree: true, reason: "crashed" }), true);
      const { state, deadReason } = await observer.memberRow(a);
      assert.deepEqual([state, deadReason], ["dead", "crashed"]);
      const [declared] = (await observer.events()).filter((each) => each.type === "declared-dead");
      assert.deepEqual([declared?.subject, declared?.detail["by"], declared?.detail["reason"]], [a.node, observer.node, "crashed"]);
      assert.equal(await observer.declareDead(a, { requireFree: true }), false, "a second time");
    },
  },
  {
    title: "declaring dead where evidence must be free does nothing while it is held, however often and from however many it is tried",
    async run(scene) {
      const [observers, a] = [await scene.members(3), await armed(scene)];
      const [first] = observers;
      if (first === undefined) return assert.fail("no members");
      const { epoch } = await first.look();
      for (let round = 0; round < 10; round++) {
        const { beat }: PresenceRow = await first.presenceOf(a);
        const results: readonly boolean[] = await atOnce(observers.map((each) => () => each.declareDead(a, { requireFree: true, beat, epoch })));
        assert.deepEqual(results, [false, false, false], `round ${round}`);
        assert.equal((await a.beat()).accepted, true);
      }
      assert.deepEqual((await first.events()).filter((each) => each.type === "declared-dead"), []);
    },
  },
  {
    title: "declaring dead where evidence must be free does nothing where there is none: not yet armed, disarmed, or on a session without",
    async run(scene) {
      const [observer, unarmed, disarmed] = [await scene.member(), await scene.member({ session: await holding(scene) }), await armed(scene)];
      const without = await scene.member();
      await without.beat();
      const sessions = [unarmed.session, disarmed.session, without.session];
      await disarmed.reconnect();
      await disarmed.beat();
      for (const session of sessions) session.destroy(new Error("the process is gone"));
      for (const each of [unarmed, disarmed, without]) {
        await steadily(observer, each, "none");
        assert.equal(await observer.declareDead(each, { requireFree: true }), false, each.node);
      }
    },
  },
  {
    title: "declaring dead where evidence must be free does nothing where the beat has moved on, in another epoch, or where the lease must have run out too",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      await a.beat({ beat: 6 });
      a.session.destroy(new Error("the process is gone"));
      await untilFree(observer, a);
      for (const beat of [5, 7, 0]) assert.equal(await observer.declareDead(a, { requireFree: true, beat }), false, `seen at beat ${beat}`);
      for (const epoch of ["another epoch", ""]) assert.equal(await observer.declareDead(a, { requireFree: true, epoch }), false, epoch);
      assert.equal(await observer.declareDead(a, { requireFree: true, requireExpired: true }), false);
      assert.equal((await observer.presenceOf(a)).state, "alive");
      assert.equal(await observer.declareDead(a, { requireFree: true, beat: 6 }), true);
    },
  },
  {
    title: "declaring dead where nothing is said about evidence does not look at it",
    async run(scene) {
      const [observer, a, b] = [await scene.member(), await armed(scene), await armed(scene)];
      assert.equal(await observer.declareDead(a), true);
      assert.equal(await observer.declareDead(b, { requireFree: false }), true);
      assert.equal((await a.beat()).accepted, false, "a session that holds evidence revives nobody");
    },
  },
  {
    title: "of a declaration on free evidence and a beat on a new session that meet, exactly one succeeds",
    async run(scene) {
      const observer = await scene.member();
      for (let round = 0; round < 15; round++) {
        const a = await armed(scene);
        a.session.destroy(new Error("cut"));
        a.session = await holding(scene);
        await untilFree(observer, a);
        const { epoch } = await observer.look({ watch: [] });
        const declare = () => observer.declareDead(a, { requireFree: true, beat: 1, epoch });
        const beat = async () => (await a.beat({ beat: 2, watch: [] })).accepted;
        const results = await atOnce(round % 2 === 0 ? [declare, beat] : [beat, declare]);
        assert.equal(results.filter(Boolean).length, 1, `round ${round}: ${results.join(", ")}`);
        const { state, evidence } = await observer.presenceOf(a);
        assert.deepEqual([state, evidence], results[round % 2 === 0 ? 0 : 1] === true ? ["dead", "none"] : ["alive", "held"]);
        await a.session.close(); // a server has room for so many and no more
      }
    },
  },
  {
    title: "of many that declare dead on one free evidence at once, no two succeed, and one does if it tries again",
    async run(scene) {
      const observers = await scene.members(4);
      const [first] = observers;
      if (first === undefined) return assert.fail("no members");
      for (let round = 0; round < 8; round++) {
        const a = await armed(scene);
        a.session.destroy(new Error("the process is gone"));
        await untilFree(first, a);
        const { epoch }: LookReply = await first.look();
        const results: readonly boolean[] = await atOnce(observers.map((each) => () => each.declareDead(a, { requireFree: true, beat: 1, epoch })));
        // Each may have met another one's look, which makes it seem held for an instant.
        const again: number = results.includes(true) ? 0 : Number(await first.declareDead(a, { requireFree: true }));
        assert.equal(results.filter(Boolean).length + again, 1, `round ${round}`);
      }
      assert.equal((await first.events()).filter((each) => each.type === "declared-dead").length, 8);
    },
  },

  // ---- attend
  ...Object.entries(ENDINGS).map(([how, end]): SceneCase => ({
    title: `attending resolves once the session that holds the evidence was ${how}, for each that attends`,
    async run(scene) {
      const [attenders, a] = [await scene.members(3), await armed(scene)];
      const attended = attenders.map((each) => each.attend([a]));
      for (const each of attenders) assert.equal((await each.presenceOf(a)).evidence, "held");
      await end(a.session);
      await inTime(scene, "attending resolves", Promise.all(attended));
      await atOnce(attenders.map((each) => () => untilFree(each, a)));
    },
  })),
  {
    title: "attending resolves where the evidence is free already",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      a.session.destroy(new Error("the process is gone"));
      await untilFree(observer, a);
      await inTime(scene, "attending resolves", observer.attend([a]));
      await inTime(scene, "attending resolves again", observer.attend([a]));
      assert.equal((await observer.presenceOf(a)).evidence, "free");
    },
  },
  {
    title: "attending several resolves when the evidence of any one of them is free, also where others have none or are not there",
    async run(scene) {
      const [observer, without] = [await scene.member(), await scene.member()];
      const [a, b, c] = [await armed(scene), await armed(scene), await armed(scene)];
      const { signal } = new AbortController();
      const first = observer.session.attend({ incarnations: ["nobody", without.incarnation, a.incarnation, b.incarnation, c.incarnation], signal });
      b.session.destroy(new Error("the process is gone"));
      await inTime(scene, "attending resolves", first);
      await untilFree(observer, b);
      const second = observer.attend([c, a], signal);
      c.session.destroy(new Error("the process is gone"));
      await inTime(scene, "attending resolves", second);
      await untilFree(observer, c);
      assert.equal((await observer.presenceOf(a)).evidence, "held");
    },
  },
  {
    title: "attending makes nothing seem free, to nobody: others see it as held, and nobody dies of it",
    async run(scene) {
      const [attenders, observer, a] = [await scene.members(3), await scene.member(), await armed(scene)];
      const calledOff = new AbortController();
      const attended = attenders.map((each) => settled(each.attend([a], calledOff.signal)));
      await steadily(observer, a, "held");
      for (const each of [observer, ...attenders]) assert.equal(await each.declareDead(a, { requireFree: true }), false);
      assert.equal((await a.beat()).accepted, true);
      calledOff.abort();
      await inTime(scene, "attending is called off", Promise.all(attended));
      await steadily(observer, a, "held");
    },
  },
  {
    title: "attending makes nothing seem held for longer than an instant: what others wait for becomes free to them while many attend",
    async run(scene) {
      const [attenders, observer, a, b] = [await scene.members(3), await scene.member(), await armed(scene), await armed(scene)];
      const calledOff = new AbortController();
      // Each goes on attending, as a node does that was told of one end and waits for the next.
      const attend = async (each: Member) => {
        while (!calledOff.signal.aborted) {
          await settled(each.attend([a, b], calledOff.signal));
          await setImmediate(); // a store in this process may answer without ever letting others go on
        }
      };
      const attending = attenders.map((each) => attend(each));
      try {
        a.session.destroy(new Error("the process is gone"));
        await untilFree(observer, a);
        await scene.until("it can be declared dead", async () => ((await observer.declareDead(a, { requireFree: true })) ? true : undefined));
        assert.equal((await observer.presenceOf(b)).evidence, "held");
      } finally {
        calledOff.abort();
        await inTime(scene, "attending is called off", Promise.all(attending));
      }
    },
  },
  {
    title: "attending that is called off rejects with the signal's reason or ABORTED, also where it was before, and the session goes on",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const calledOff = new AbortController();
      const reason = new Error("no longer of interest");
      const attended = observer.attend([a], calledOff.signal);
      await observer.look();
      calledOff.abort(reason);
      const isReason = (error: unknown) => error === reason || isTribuneError(error, "ABORTED");
      await assert.rejects(inTime(scene, "attending is called off", attended), isReason);
      await assert.rejects(inTime(scene, "attending is not begun", observer.attend([a], calledOff.signal)), isReason);
      assert.equal((await observer.beat()).accepted, true);
    },
  },
  {
    title: "attending rejects with a code when its own session ends, or has ended",
    async run(scene) {
      const a = await armed(scene);
      for (const end of Object.values(ENDINGS)) {
        const observer = await scene.member();
        const attended = observer.attend([a]);
        attended.catch(() => undefined); // looked at below
        await observer.look();
        await end(observer.session);
        await assert.rejects(inTime(scene, "attending ends with its session", attended), isTribuneError);
        await assert.rejects(inTime(scene, "attending is not begun", observer.attend([a])), isTribuneError);
      }
      assert.equal((await a.beat()).accepted, true);
    },
  },
  {
    title: "attending holds up no operation of its session, and leaves nothing behind, however often it is begun and called off",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const lasting = new AbortController();
      const listeners = () => getEventListeners(lasting.signal, "abort").length + getEventListeners(observer.session.ended, "abort").length;
      const before = listeners();
      for (let n = 0; n < 20; n++) {
        const calledOff = new AbortController();
        const attended = settled(observer.attend([a], AbortSignal.any([calledOff.signal, lasting.signal])));
        assert.equal((await observer.beat()).accepted, true);
        calledOff.abort();
        await inTime(scene, "attending is called off", attended);
      }
      const attended = observer.attend([a], lasting.signal);
      await observer.look();
      a.session.destroy(new Error("the process is gone"));
      await inTime(scene, "attending resolves", attended);
      await scene.until("no listener is left on a signal that lives on", async () => (listeners() <= before ? true : undefined));
    },
  },
  {
    title: "attending reads only: it changes nothing in the group",
    async run(scene) {
      const [observer, a] = [await scene.member(), await armed(scene)];
      const [before, events] = [still(await observer.reading()), await observer.events()];
      const calledOff = new AbortController();
      const attended = settled(observer.attend([a], calledOff.signal));
      await observer.look();
      calledOff.abort();
      await inTime(scene, "attending is called off", attended);
      assert.deepEqual(still(await observer.reading()), before);
      assert.deepEqual(await observer.events(), events);
    },
  },
];

/** A session that holds evidence; where none does, the case is skipped. */
async function holding(scene: Scene): Promise<StoreSession> {
  if (scene.provider.capabilities.evidence === null) throw new Skipped("the store has no evidence of death (capabilities.evidence is null)");
  const session = await scene.session({ evidence: EVIDENCE });
  const { held, why } = session.info.evidence;
  if (!held) throw new Skipped(`this session holds no evidence: ${why}`);
  return session;
}

/** Somebody whose first beat was armed. */
async function armed(scene: Scene): Promise<Member> {
  const member = await scene.member({ session: await holding(scene) });
  assert.equal((await member.beat()).accepted, true);
  return member;
}

function evidenceIn({ presence }: { readonly presence: readonly PresenceRow[] }, who: Member): PresenceRow["evidence"] {
  return presence.find((row) => row.incarnation === who.incarnation)?.evidence ?? assert.fail(`the reply shows no row of ${who.node}`);
}

/** The end of a session may take a moment to be seen, and who looks at the same instant may be in the way. */
async function untilFree(observer: Member, who: Member): Promise<void> {
  await observer.scene.until(`the evidence of ${who.node} is free`, async () => ((await observer.presenceOf(who)).evidence === "free" ? true : undefined));
}

/** Looks some times; whatever else happened is seen by then if it is ever seen. */
async function steadily(observer: Member, who: Member, expected: PresenceRow["evidence"]): Promise<void> {
  for (let n = 0; n < 10; n++) assert.equal((await observer.presenceOf(who)).evidence, expected);
}

/** When it is over, however it ends. */
async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

/** `work`, which must be over before the scene's patience is. */
async function inTime<T>(scene: Scene, what: string, work: Promise<T>): Promise<T> {
  let over = false;
  const end = () => (over = true);
  work.then(end, end);
  await scene.until(what, async () => (over ? true : undefined));
  return await work;
}
