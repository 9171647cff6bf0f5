import assert from "node:assert/strict";
import { isTribuneError } from "../../kernel/index.ts";
import type { ErrorCode } from "../../kernel/index.ts";
import { documentFloor, LARGEST_DOCUMENT_BYTES } from "../../store/index.ts";
import type { DocumentFence, Hint } from "../../store/index.ts";
import { expectHintOf, expectNoHint, hinted } from "./hints.ts";
import { atOnce, HOSTILE_TEXTS, HOSTILE_WORDS, still } from "./scene.ts";
import type { Member, SceneCase } from "./scene.ts";

const ELECTION = "scheduler";

/** Looks like a key, and must turn up nowhere but in its document. */
const SECRET = "s3cr3t-text-of-a-document";

/** Texts that are written where they are still what the writer saw. */
export const documentCases: readonly SceneCase[] = [
  {
    title: "a document that was written is read by everybody, with its text and a version that grows with each writing",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      assert.equal(await a.readDocument("plan"), null);
      let before = 0;
      for (const text of ["one", "", "one"]) {
        assert.equal(await a.writeDocument("plan", before, text), true);
        const found = await b.readDocument("plan");
        assert.equal(found?.text, text);
        assert.ok(found.version > before, `${found.version} > ${before}`);
        assert.deepEqual(await a.readDocument("plan"), found);
        before = found.version;
      }
    },
  },
  {
    title: "a document is written only where it has the version that the writer saw, 0 only where there is none; refused, nothing changes",
    async run(scene) {
      const a = await scene.member();
      assert.equal(await a.writeDocument("plan", 1, "too early"), false);
      assert.equal(await a.readDocument("plan"), null);
      await a.writeDocument("plan", 0, "first");
      const first = await a.versionOf("plan");
      await a.writeDocument("plan", first, "second");
      const second = await a.readDocument("plan");
      for (const version of [0, first, (second?.version ?? 0) + 1, Number.MAX_SAFE_INTEGER]) {
        assert.equal(await a.writeDocument("plan", version, "refused"), false, `version ${version}`);
        assert.deepEqual(await a.readDocument("plan"), second);
      }
    },
  },
  {
    title: "a writing that is delivered twice counts once",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      assert.equal(await timesDone(() => a.writeDocument("plan", 0, "made")), 1);
      const version = await b.versionOf("plan");
      assert.equal(await timesDone(() => a.writeDocument("plan", version, "again")), 1);
      const after = await b.readDocument("plan");
      assert.equal(await a.writeDocument("plan", version, "again"), false);
      assert.deepEqual(await b.readDocument("plan"), after);
    },
  },
  {
    title: "of any number of writers that saw the same version one writes, and its text is what is read",
    async run(scene) {
      const members = await scene.members(4);
      const [observer] = members as [Member];
      const seen = new Set<number>();
      for (let round = 0; round < 12; round++) {
        const name = `plan-${round % 2}`;
        const version = await observer.versionOf(name);
        const texts = members.map((member) => `${member.node} in round ${round}`);
        const done = await atOnce(members.map((member, n) => () => member.writeDocument(name, version, texts[n] ?? "")));
        // A store that could not let any of them through may refuse all.
        const winners = texts.filter((_, n) => done[n] === true);
        assert.ok(winners.length <= 1, `${winners.length} wrote`);
        const found = await observer.readDocument(name);
        if (winners.length === 0) assert.equal(found?.version ?? 0, version);
        else assert.equal(found?.text, winners[0]);
        if (winners.length === 1) seen.add(found?.version ?? 0);
      }
      assert.ok(seen.size > 6, `${seen.size} of 12 rounds had a winner`);
    },
  },
  {
    title: "a document is removed where it has the version that was seen; then there is none",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      assert.equal(await a.removeDocument("plan", 0), false);
      assert.equal(await a.removeDocument("plan", 1), false);
      await a.writeDocument("plan", 0, "text");
      await a.writeDocument("other", 0, "stays");
      const version = await a.versionOf("plan");
      for (const other of [0, version - 1, version + 1]) assert.equal(await a.removeDocument("plan", other), false, `version ${other}`);
      assert.equal((await b.readDocument("plan"))?.text, "text");
      assert.equal(await b.removeDocument("plan", version), true);
      assert.equal(await a.readDocument("plan"), null);
      assert.equal(await b.removeDocument("plan", version), false);
      assert.equal(await a.writeDocument("plan", version, "on what is gone"), false);
      assert.equal((await a.readDocument("other"))?.text, "stays");
    },
  },
  {
    title: "a document that is made again after it was removed has a version that it never had",
    async run(scene) {
      const a = await scene.member();
      const seen: number[] = [];
      for (let n = 0; n < 3; n++) {
        assert.equal(await a.writeDocument("plan", 0, `made ${n}`), true);
        const version = await a.versionOf("plan");
        for (const earlier of seen) assert.ok(version > earlier, `${version} > ${earlier}`);
        seen.push(version);
        for (const earlier of seen.slice(0, -1)) {
          assert.equal(await a.writeDocument("plan", earlier, "late"), false);
          assert.equal(await a.removeDocument("plan", earlier), false);
        }
        assert.equal(await a.removeDocument("plan", version), true);
      }
    },
  },
  {
    title: "a writing and a removal that meet: one of them happens",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      for (let round = 0; round < 10; round++) {
        const name = `plan-${round}`;
        await a.writeDocument(name, 0, "old");
        const version = await a.versionOf(name);
        const write = () => a.writeDocument(name, version, "new");
        const remove = () => b.removeDocument(name, version);
        const results = await atOnce(round % 2 === 0 ? [write, remove] : [remove, write]);
        const [written, removed] = round % 2 === 0 ? results : results.toReversed();
        assert.ok(!(written === true && removed === true), "both happened");
        const text = (await a.readDocument(name))?.text;
        assert.equal(text, written === true ? "new" : removed === true ? undefined : "old");
      }
    },
  },
  {
    title: "versions of a later generation are greater than all that earlier ones could give",
    async run(scene) {
      const a = await scene.member();
      await a.beat();
      await a.writeDocument("plan", 0, "before");
      await a.writeDocument("idle", 0, "before");
      const idle = await a.versionOf("idle");
      const { generation } = await a.beat({ generation: 6 });
      assert.equal(await a.versionOf("idle"), idle, "what nobody writes keeps its version");
      assert.equal(await a.writeDocument("plan", await a.versionOf("plan"), "after"), true);
      assert.ok((await a.versionOf("plan")) > documentFloor(generation), `${await a.versionOf("plan")} in generation ${generation}`);
    },
  },
  {
    title: "in a new epoch documents can be read, and written once the group has adopted it: then with versions that the earlier one could not give",
    async run(scene) {
      const a = await scene.member();
      await a.beat();
      await a.writeDocument("plan", 0, "before");
      const before = await a.readDocument("plan");
      const version = before?.version ?? 0;
      await scene.newEpoch(a);
      assert.deepEqual(await a.readDocument("plan"), before);
      assert.equal(await a.writeDocument("plan", version, "not yet"), false);
      assert.equal(await a.writeDocument("new", 0, "not yet"), false);
      assert.equal(await a.removeDocument("plan", version), false);
      assert.deepEqual(await a.readDocument("plan"), before);
      const { generation } = await a.beat();
      assert.equal(await a.writeDocument("plan", version, "after"), true);
      assert.ok((await a.versionOf("plan")) > documentFloor(generation));
    },
  },
  {
    title: "under a term a document is written and removed while the term stands with its fence, and not before or after",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const old = await a.hold(ELECTION);
      await expectRefused(a, { election: ELECTION, token: old, incarnation: a.incarnation }, "before the fence is passed");
      assert.equal(await a.passFence(ELECTION, old), "passed");
      await expectAccepted(a, { election: ELECTION, token: old, incarnation: a.incarnation });
      await a.resign(ELECTION, old);
      await expectRefused(a, { election: ELECTION, token: old, incarnation: a.incarnation }, "after it was resigned");
      const token = (await b.claim(ELECTION))?.token ?? 0;
      await expectRefused(a, { election: ELECTION, token: old, incarnation: a.incarnation }, "after it was claimed");
      await expectRefused(b, { election: ELECTION, token, incarnation: b.incarnation }, "before the next fence is passed");
      assert.equal(await b.passFence(ELECTION, token), "passed");
      await expectRefused(a, { election: ELECTION, token: old, incarnation: a.incarnation }, "after the next fence was passed");
      await expectAccepted(b, { election: ELECTION, token, incarnation: b.incarnation });
    },
  },
  {
    title: "a term counts only with its own token, incarnation and election",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.lead(ELECTION);
      await b.createElection("other");
      const fence = { election: ELECTION, token, incarnation: a.incarnation };
      for (const wrong of [{ token: token + 1 }, { token: token - 1 }, { token: 0 }, { incarnation: b.incarnation }, { election: "other" }, { election: "never-made" }]) {
        await expectRefused(a, { ...fence, ...wrong }, JSON.stringify(wrong));
      }
      await expectAccepted(b, fence);
    },
  },
  {
    title: "a term that is claimed while its holder writes: no writing that begins after the claim counts",
    async run(scene) {
      for (let round = 0; round < 5; round++) {
        const [a, b] = [await scene.member(), await scene.member()];
        const election = `${ELECTION}-${round}`;
        const token = await a.lead(election);
        const fence = { election, token, incarnation: a.incarnation };
        const name = `plan-${round}`;
        const { epoch } = await b.look();
        let claimed = false;
        const takeOver = async () => {
          await b.declareDead(a, { beat: 0, epoch });
          claimed = (await b.claim(election, { expectedToken: token, epoch })) !== null;
        };
        const write = async () => {
          for (let n = 0; n < 10; n++) {
            const version = await a.versionOf(name);
            const isOver = claimed;
            if ((await a.writeDocument(name, version, `${n}`, fence)) && isOver) assert.fail("a writing that began after the claim counted");
          }
        };
        await atOnce<void>([write, takeOver]);
        assert.equal(claimed, true);
        assert.equal(await a.writeDocument(name, await a.versionOf(name), "late", fence), false);
      }
    },
  },
  {
    title: "the largest text is kept; a larger one is refused with INVALID_DOCUMENT, and nothing is written",
    async run(scene) {
      const a = await scene.member();
      const text = scene.random.id().repeat(Math.ceil(LARGEST_DOCUMENT_BYTES / 32)).slice(0, LARGEST_DOCUMENT_BYTES);
      assert.equal(await a.writeDocument("large", 0, text), true);
      assert.ok((await a.readDocument("large"))?.text === text);
      const wide = `${"語".repeat(Math.floor(LARGEST_DOCUMENT_BYTES / 3))}${"x".repeat(LARGEST_DOCUMENT_BYTES % 3)}`;
      assert.equal(await a.writeDocument("large", await a.versionOf("large"), wide), true);
      assert.ok((await a.readDocument("large"))?.text === wide);
      const version = await a.versionOf("large");
      for (const tooLong of [`${text}x`, `${wide}語`]) await rejectsWith("INVALID_DOCUMENT", a.writeDocument("large", version, tooLong), tooLong);
      await rejectsWith("INVALID_DOCUMENT", a.writeDocument("larger", 0, `${text}x`), text);
      assert.equal(await a.versionOf("large"), version);
      assert.equal(await a.readDocument("larger"), null);
    },
  },
  {
    title: "a text comes back as it was given, whatever it looks like; one with a NUL or half of a pair is refused with INVALID_DOCUMENT",
    async run(scene) {
      const a = await scene.member();
      for (const text of [...HOSTILE_WORDS, "", " ", "\n", "1\n2", JSON.stringify({ keys: HOSTILE_WORDS })]) {
        assert.equal(await a.writeDocument("text", await a.versionOf("text"), text), true);
        assert.equal((await a.readDocument("text"))?.text, text);
      }
      const before = await a.readDocument("text");
      for (const text of HOSTILE_TEXTS.filter((each) => !HOSTILE_WORDS.includes(each))) {
        await rejectsWith("INVALID_DOCUMENT", a.writeDocument("text", before?.version ?? 0, text), text);
      }
      assert.deepEqual(await a.readDocument("text"), before);
    },
  },
  {
    title: "names are those that a group could have: others are refused with INVALID_NAME, also for reading",
    async run(scene) {
      const a = await scene.member();
      const longest = "n".repeat(128);
      for (const name of [longest, "A", "a", "a.b_c-d", "0"]) {
        assert.equal(await a.writeDocument(name, 0, `text of ${name}`), true, name);
        assert.equal((await a.readDocument(name))?.text, `text of ${name}`);
      }
      for (const name of ["", `${longest}n`, "-a", ".", "..", "a/b", "a b", "a\u0000", ...HOSTILE_WORDS.filter((each) => each !== "__proto__"), "__proto__"]) {
        await rejectsWith("INVALID_NAME", a.readDocument(name));
        await rejectsWith("INVALID_NAME", a.writeDocument(name, 0, "text"));
        await rejectsWith("INVALID_NAME", a.removeDocument(name, 0));
        if (name !== "") await rejectsWith("INVALID_NAME", a.documents(name));
      }
    },
  },
  {
    title: "documents are listed by what their names begin with, with their versions and without their texts, in the order of their names",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      assert.deepEqual(await a.documents(), []);
      for (const name of ["job.b", "job.a", "jobs", "JOB.c", "job_d", "x"]) await a.writeDocument(name, 0, SECRET);
      await a.writeDocument("gone", 0, SECRET);
      await a.removeDocument("gone", await a.versionOf("gone"));
      const rows = async (prefix?: string) => (await b.documents(prefix)).map(({ name }) => name);
      assert.deepEqual(await rows(), ["JOB.c", "job.a", "job.b", "job_d", "jobs", "x"]);
      assert.deepEqual(await rows("job."), ["job.a", "job.b"]);
      assert.deepEqual(await rows("job_"), ["job_d"]);
      assert.deepEqual(await rows("job.a"), ["job.a"]);
      assert.deepEqual(await rows("job.aa"), []);
      for (const row of await b.documents()) assert.deepEqual(row, { name: row.name, version: await a.versionOf(row.name) });
    },
  },
  {
    title: "documents are of their group: another one has its own, and where there is no group there are none and none can be written",
    async run(scene) {
      const a = await scene.member();
      const elsewhere = await scene.member({ group: `${scene.group}-2` });
      await a.writeDocument("plan", 0, "here");
      assert.equal(await elsewhere.readDocument("plan"), null);
      assert.equal(await elsewhere.writeDocument("plan", 0, "there"), true);
      assert.equal((await a.readDocument("plan"))?.text, "here");
      assert.equal(await elsewhere.removeDocument("plan", await elsewhere.versionOf("plan")), true);
      assert.equal((await a.readDocument("plan"))?.text, "here");
      const nowhere = await scene.session({ group: `${scene.group}-3` });
      assert.equal(await nowhere.readDocument({ name: "plan" }, scene.call), null);
      assert.equal(await nowhere.writeDocument({ name: "plan", expectedVersion: 0, text: "text" }, scene.call), false);
      assert.equal(await nowhere.removeDocument({ name: "plan", expectedVersion: 1 }, scene.call), false);
      assert.deepEqual(await nowhere.listDocuments({ prefix: "" }, scene.call), []);
    },
  },
  {
    title: "a document outlives whoever wrote it",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.writeDocument("plan", 0, "text");
      await a.leave();
      await a.session.close();
      assert.equal((await b.readDocument("plan"))?.text, "text");
    },
  },
  {
    title: "no text of a document is in the record or in what is read of a group, and documents change nothing else there",
    async run(scene) {
      const a = await scene.member();
      const token = await a.lead(ELECTION);
      const [events, before] = [await a.events(), still(await a.reading())];
      await a.writeDocument("keys", 0, SECRET);
      await a.writeDocument("keys", await a.versionOf("keys"), `${SECRET} again`, { election: ELECTION, token, incarnation: a.incarnation });
      assert.deepEqual(await a.events(), events);
      assert.deepEqual(still(await a.reading()), before);
      assert.ok(!JSON.stringify([await a.look(), await a.beat(), await a.reading()]).includes(SECRET));
      await a.removeDocument("keys", await a.versionOf("keys"));
      assert.deepEqual(await a.events(), events);
    },
  },
  {
    title: "a document that is made, written or removed sends a hint of its name, after which the change can be read; none has the text",
    async run(scene) {
      const [observer, a] = [await hinted(scene), await scene.member()];
      const expected: Hint = { kind: "document", name: "keys" };
      const hints: Hint[] = [];
      const textIs = (text: string | undefined) => async () => (await observer.readDocument("keys"))?.text === text;
      hints.push(...(await expectHintOf(observer, expected, () => a.writeDocument("keys", 0, SECRET), textIs(SECRET))));
      const version = await a.versionOf("keys");
      hints.push(...(await expectHintOf(observer, expected, () => a.writeDocument("keys", version, `${SECRET} again`), textIs(`${SECRET} again`))));
      const last = await a.versionOf("keys");
      hints.push(...(await expectHintOf(observer, expected, () => a.removeDocument("keys", last), textIs(undefined))));
      assert.ok(!JSON.stringify(hints).includes(SECRET));
      for (const hint of hints) if (hint.kind === "document") assert.deepEqual(hint, expected);
    },
  },
  {
    title: "a writing or a removal that is refused sends no hint",
    async run(scene) {
      const [observer, a] = [await hinted(scene), await scene.member()];
      await a.writeDocument("plan", 0, "text");
      const version = await a.versionOf("plan");
      await expectNoHint(observer, async () => {
        for (let n = 0; n < 5; n++) {
          assert.equal(await a.writeDocument("plan", 0, "refused"), false);
          assert.equal(await a.writeDocument("plan", version + 1, "refused"), false);
          assert.equal(await a.writeDocument("plan", version, "refused", { election: ELECTION, token: 1, incarnation: a.incarnation }), false);
          assert.equal(await a.removeDocument("plan", version + 1), false);
          assert.equal(await a.removeDocument("none", 0), false);
        }
      });
    },
  },
];

/** How often a writing says that it was done that is sent twice at once. */
async function timesDone(write: () => Promise<boolean>): Promise<number> {
  return (await atOnce([write, write])).filter(Boolean).length;
}

async function expectRefused(writer: Member, fence: DocumentFence, when: string): Promise<void> {
  await writer.writeDocument("kept", 0, "kept");
  const before = await writer.readDocument("kept");
  const version = before?.version ?? 0;
  assert.equal(await writer.writeDocument("kept", version, "refused", fence), false, when);
  assert.equal(await writer.writeDocument("fresh", 0, "refused", fence), false, when);
  assert.equal(await writer.removeDocument("kept", version, fence), false, when);
  assert.deepEqual(await writer.readDocument("kept"), before, when);
  assert.equal(await writer.readDocument("fresh"), null, when);
}

async function expectAccepted(writer: Member, fence: DocumentFence): Promise<void> {
  assert.equal(await writer.writeDocument("decision", 0, "made", fence), true);
  assert.equal(await writer.writeDocument("decision", await writer.versionOf("decision"), "changed", fence), true);
  assert.equal((await writer.readDocument("decision"))?.text, "changed");
  assert.equal(await writer.removeDocument("decision", await writer.versionOf("decision"), fence), true);
  assert.equal(await writer.readDocument("decision"), null);
}

/** `secret`: what no message may have. */
async function rejectsWith(code: ErrorCode, work: Promise<unknown>, secret?: string): Promise<void> {
  await assert.rejects(work, (error) => isTribuneError(error, code) && (secret === undefined || !`${error.message} ${error.next ?? ""}`.includes(secret)));
}
