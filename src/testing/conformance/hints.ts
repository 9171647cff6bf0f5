import assert from "node:assert/strict";
import type { Hint, LookReply } from "../../store/index.ts";
import { emptyView, Skipped } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** "Something changed", told to the other sessions. */
export const hintCases: readonly SceneCase[] = [
  arrives("a join", async (scene) => {
    const observer = await hinted(scene);
    const joining = scene.joinInput();
    const session = await scene.session();
    const joined = (seen: LookReply) => seen.presence.some((row) => row.incarnation === joining.incarnation);
    await expectHint(observer, { kind: "presence" }, () => session.join(joining, scene.call), joined);
  }),
  arrives("a declaration of death", async (scene) => {
    const [observer, a, victim] = [await hinted(scene), await scene.member(), await scene.member()];
    await expectHint(observer, { kind: "presence" }, () => a.declareDead(victim), isDead(victim));
  }),
  arrives("a leave", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await expectHint(observer, { kind: "presence" }, () => a.leave(), isDead(a));
  }),
  arrives("an update of metadata", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    const { metadataVersion } = await a.presenceOf(a);
    const update = () => a.session.updateMetadata({ incarnation: a.incarnation, metadata: '{"new":1}' }, a.call);
    await expectHint(observer, { kind: "presence" }, update, (seen) => (rowOf(seen, a)?.metadataVersion ?? 0) > metadataVersion);
  }),
  arrives("a claim", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await a.createElection(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.claim(ELECTION), (seen) => electionOf(seen)?.holder?.incarnation === a.incarnation);
  }),
  arrives("a resignation", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    const token = await a.hold(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.resign(ELECTION, token), (seen) => electionOf(seen)?.holder === null);
  }),
  arrives("a request to resign", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    const token = await a.hold(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.requestResign(ELECTION, token), (seen) => electionOf(seen)?.resignRequested === token);
  }),
  arrives("a pause", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await a.createElection(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.pause(ELECTION), (seen) => electionOf(seen)?.paused?.by === a.node);
  }),
  arrives("a resumption", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await a.createElection(ELECTION);
    await a.pause(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.resume(ELECTION), (seen) => electionOf(seen)?.paused === null);
  }),
  arrives("the candidacy that makes an election ranked", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await a.createElection(ELECTION);
    await expectHint(observer, { kind: "election", election: ELECTION }, () => a.contend(ELECTION, { priority: 1, fit: true }), (seen) => electionOf(seen)?.ranked === true);
  }),
  arrives("an eviction", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    await expectHint(observer, { kind: "presence" }, () => observer.evict(a.node), (seen) => rowOf(seen, a)?.evicted === true);
  }),
  arrives("a published view", async (scene) => {
    const [observer, a] = [await hinted(scene), await scene.member()];
    const token = await a.coordinate();
    await expectHint(observer, { kind: "view" }, () => a.publish(token, { view: emptyView(4) }), (seen) => seen.viewVersion === 4);
  }),
  {
    title: "beats and looks send no hint",
    async run(scene) {
      const [observer, a] = [await hinted(scene), await scene.member()];
      await expectNoHint(observer, async () => {
        for (let n = 0; n < 20; n++) {
          await a.beat({ viewSeen: n });
          await a.look();
          await a.reading();
          await a.session.readMembers({ incarnations: [a.incarnation] }, a.call);
          await a.candidates(ELECTION);
          await a.readDocument("none");
          await a.documents();
        }
      });
    },
  },
  {
    title: "candidacies send no hint, unless one makes its election ranked",
    async run(scene) {
      const [observer, a] = [await hinted(scene), await scene.member()];
      await a.createElection("plain");
      await a.createElection("ranked");
      await a.contend("ranked", { priority: 1, fit: true });
      await expectNoHint(observer, async () => {
        for (let n = 0; n < 5; n++) {
          assert.equal(await a.contend("plain", { priority: 0, fit: n % 2 === 0 }), true);
          assert.equal(await a.contend("ranked", { priority: n, fit: true }), true);
          assert.equal(await a.contend("plain", null), true);
        }
      });
    },
  },
  {
    title: "what is refused, or changes nothing, sends no hint",
    async run(scene) {
      const [observer, a, dead] = [await hinted(scene), await scene.member(), await scene.member()];
      const token = await a.lead(ELECTION);
      await dead.leave();
      await a.createElection("paused");
      await a.pause("paused");
      const evicted = await scene.member();
      await a.evict(evicted.node);
      await expectNoHint(observer, async () => {
        for (let n = 0; n < 5; n++) {
          await a.createElection(ELECTION);
          assert.equal(await observer.claim(ELECTION), null);
          assert.equal(await observer.resign(ELECTION, token), false);
          assert.equal(await a.requestResign(ELECTION, token + 1), false);
          assert.equal(await dead.leave(), false);
          assert.equal(await a.declareDead(dead), false);
          assert.equal(await dead.session.updateMetadata({ incarnation: dead.incarnation, metadata: "{}" }, dead.call), false);
          assert.equal(await a.publish(token), false);
          assert.equal(await a.pause("paused"), false);
          assert.equal(await a.claim("paused"), null);
          assert.equal(await a.resume(ELECTION), false);
          assert.equal(await a.evict(evicted.node), false);
          assert.equal((await evicted.beat()).accepted, false);
          assert.equal(await dead.contend(ELECTION, { priority: 1, fit: true }), false);
          assert.equal((await dead.session.join(scene.joinInput({ node: a.node }), dead.call)).outcome, "name-taken");
        }
      });
    },
  },
  {
    title: "hints of a group do not reach the sessions of another",
    async run(scene) {
      const observer = await hinted(scene);
      const elsewhere = await scene.member({ group: `${scene.group}-2` });
      await expectNoHint(observer, async () => {
        for (let n = 0; n < 5; n++) {
          const token = await elsewhere.hold(`e-${n}`);
          await elsewhere.resign(`e-${n}`, token);
        }
      });
    },
  },
  {
    title: "a listener that was taken away hears no more; the others do",
    async run(scene) {
      const observer = await hinted(scene);
      const a = await scene.member();
      const heard: Hint[] = [];
      const stop = observer.session.onHint((hint) => heard.push(hint));
      await sentinel(observer, a);
      stop();
      const before = heard.length;
      await sentinel(observer, a);
      assert.ok(before > 0);
      assert.equal(heard.length, before);
    },
  },
];

function arrives(what: string, run: (scene: Scene) => Promise<void>): SceneCase {
  return { title: `${what} sends a hint to other sessions, after which it can be read`, run };
}

/** Somebody whose session gets hints; without any, the case is skipped. */
export async function hinted(scene: Scene): Promise<Member> {
  if (!scene.provider.capabilities.hints) throw new Skipped("the store has no hints (capabilities.hints is false)");
  const observer = await scene.member();
  if (!observer.session.info.hints) throw new Skipped(`hints do not reach this session: ${observer.session.info.warnings.join(" ")}`);
  return observer;
}

/** Does `work`, and fails unless a hint of its kind comes, after which a look shows `changed`. */
async function expectHint(observer: Member, expected: Hint, work: () => Promise<unknown>, changed: (seen: LookReply) => boolean): Promise<void> {
  await expectHintOf(observer, expected, work, async () => changed(await observer.look()));
}

/**
 * Does `work`, and fails unless a hint of its kind comes, after which `isChanged` finds the change. It is asked at once after
 * each such hint, so that one that comes before the change can be read does not count. Answers all hints that came.
 */
export async function expectHintOf(observer: Member, expected: Hint, work: () => Promise<unknown>, isChanged: () => Promise<boolean>): Promise<readonly Hint[]> {
  const { scene } = observer;
  await sentinel(observer, await scene.member()); // whatever came before has arrived
  const all: Hint[] = [];
  const answers: Promise<boolean>[] = [];
  const stop = observer.session.onHint((hint) => {
    all.push(hint);
    if (!isSame(hint, expected)) return;
    const answer = isChanged();
    answer.catch(() => undefined); // awaited below, unless the case has failed by then
    answers.push(answer);
  });
  await work();
  await scene.until(`a hint of ${JSON.stringify(expected)} comes, after which the change can be read`, async () => {
    const found = await Promise.all(answers.splice(0));
    return found.includes(true) ? true : undefined;
  });
  stop();
  return all;
}

/** Does `work`, and fails if any hint came meanwhile. What the work sends would come before the sentinel after it. */
export async function expectNoHint(observer: Member, work: () => Promise<void>): Promise<void> {
  const { scene } = observer;
  const actor = await scene.member();
  const ignored = new Set([await sentinel(observer, actor), await sentinel(observer, actor)]);
  const hints: Hint[] = [];
  const stop = observer.session.onHint((hint) => hints.push(hint));
  await work();
  ignored.add(await sentinel(observer, actor));
  stop();
  assert.deepEqual(hints.filter((hint) => hint.kind !== "election" || !ignored.has(hint.election)), []);
}

/** Makes a change that must send a hint, and waits for that one. Answers the name of the election that it was. */
async function sentinel(observer: Member, actor: Member): Promise<string> {
  const election = observer.scene.name("sentinel");
  const hints: Hint[] = [];
  const stop = observer.session.onHint((hint) => hints.push(hint));
  await actor.hold(election);
  await observer.scene.until(`the hint of ${election} comes`, async () => (hints.some((hint) => isSame(hint, { kind: "election", election })) ? true : undefined));
  stop();
  return election;
}

function isSame(hint: Hint, expected: Hint): boolean {
  return nameIn(hint) === nameIn(expected) && hint.kind === expected.kind;
}

function nameIn(hint: Hint): string | undefined {
  return hint.kind === "election" ? hint.election : hint.kind === "document" ? hint.name : undefined;
}

function isDead(who: Member): (seen: LookReply) => boolean {
  return (seen) => rowOf(seen, who)?.state === "dead";
}

function rowOf(seen: LookReply, who: Member) {
  return seen.presence.find((row) => row.incarnation === who.incarnation);
}

function electionOf(seen: LookReply) {
  return seen.elections.find((row) => row.election === ELECTION);
}
