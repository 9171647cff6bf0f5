import assert from "node:assert/strict";
import { isTribuneError, TribuneError } from "../../kernel/index.ts";
import type { Call, InstalledSchema, StoreSession } from "../../store/index.ts";
import { atOnce, emptyView, NOTHING_SEEN, Skipped } from "./scene.ts";
import type { Member, Scene, SceneCase } from "./scene.ts";

/** The deadline of a call that is expected to miss it. */
const SHORT_CALL: Call = { deadlineMs: 250 };

const NO_SCHEMA: InstalledSchema = { version: 0, worksWith: 0 };

/** The connection: how it opens, how it ends, what happens to calls meanwhile. And the schema that it stands on. */
export const sessionCases: readonly SceneCase[] = [
  {
    title: "a provider tells what it is and can do, and a session tells of its server, each warning as a sentence",
    async run(scene) {
      const { kind, label, capabilities } = scene.provider;
      assert.ok(kind.length > 0 && label.length > 0);
      for (const name of ["hints", "asyncTransactions", "boundsFrozenTransactions", "manyHosts"] as const) assert.equal(typeof capabilities[name], "boolean", name);
      const { info, ended } = await scene.session();
      assert.ok(info.serverVersion.length > 0);
      assert.equal(typeof info.hints, "boolean");
      assert.ok(capabilities.evidence === null || capabilities.evidence.graceMs >= 0);
      assert.ok(typeof info.evidence.held === "boolean" && info.evidence.why.length > 0);
      for (const warning of info.warnings) assert.ok(warning.length > 0);
      assert.equal(ended.aborted, false);
      if (!capabilities.hints) assert.equal(info.hints, false, "a store without hints has no session with them");
    },
  },
  {
    title: "operations called side by side on one session are all answered, each with its own answer",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      await a.createElection("e");
      const works: (() => Promise<unknown>)[] = [];
      for (let n = 1; n <= 10; n++) {
        works.push(
          async () => assert.ok((await a.beat({ beat: 100 + n, watch: [a.incarnation] })).presence.every((row) => row.incarnation === a.incarnation)),
          async () => assert.deepEqual((await a.look({ watch: [b.incarnation] })).presence.map((row) => row.incarnation), [b.incarnation]),
          async () => assert.deepEqual((await a.session.readMembers({ incarnations: [a.incarnation] }, a.call)).map((row) => row.node), [a.node]),
          async () => assert.equal(await a.session.leave({ incarnation: "nobody" }, a.call), false),
          async () => await a.createElection(`e-${n}`),
        );
      }
      const claims = Array.from({ length: 5 }, () => () => a.claim("e"));
      const results = await atOnce([...works, ...claims]);
      assert.equal(results.slice(works.length).filter((each) => each !== null).length, 1, "one of its claims succeeds");
      assert.equal((await a.presenceOf(a)).beat, 110);
      assert.equal((await a.look()).elections.length, 11);
    },
  },
  {
    title: "after close, ended is aborted with a coded reason and every operation rejects with STORE_SESSION_ENDED",
    async run(scene) {
      const a = await scene.member();
      let aborted = 0;
      a.session.ended.addEventListener("abort", () => (aborted += 1));
      await a.session.close();
      assert.equal(aborted, 1);
      assert.ok(isTribuneError(a.session.ended.reason), "the reason is coded");
      await expectAllRefused(a.session, a, scene);
    },
  },
  {
    title: "after destroy, ended is aborted at once with the reason given, and every operation rejects with STORE_SESSION_ENDED",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const coded = new TribuneError("STORE_REPLACED", "another file is there now");
      a.session.destroy(coded);
      assert.equal(a.session.ended.aborted, true);
      assert.equal(a.session.ended.reason, coded);
      await expectAllRefused(a.session, a, scene);
      const plain = new Error("the lab cut the wire");
      b.session.destroy(plain);
      const reason: unknown = b.session.ended.reason;
      assert.ok(isTribuneError(reason, "STORE_SESSION_ENDED"), "a plain reason is wrapped in a coded one");
      assert.ok(reason.message.includes(plain.message) || reason.cause === plain, "and can still be read");
    },
  },
  {
    title: "a session ends once: closing and destroying again, in any order, does nothing",
    async run(scene) {
      const [closed, destroyed] = [await scene.session(), await scene.session()];
      await closed.close();
      const first: unknown = closed.ended.reason;
      await closed.close();
      closed.destroy(new Error("late"));
      assert.equal(closed.ended.reason, first);
      destroyed.destroy(new TribuneError("STORE_REPLACED", "first"));
      destroyed.destroy(new Error("late"));
      await destroyed.close();
      assert.ok(isTribuneError(destroyed.ended.reason, "STORE_REPLACED"));
    },
  },
  {
    title: "calls that are under way when a session is destroyed are answered or reject with a code; none hangs",
    async run(scene) {
      const a = await scene.member();
      const calls = Array.from({ length: 8 }, () => a.look());
      a.session.destroy(new Error("the lab cut the wire"));
      for (const each of await Promise.allSettled(calls)) if (each.status === "rejected") assert.ok(isTribuneError(each.reason), String(each.reason));
    },
  },
  {
    title: "the end of a session leaves other sessions, and what is stored, as they are",
    async run(scene) {
      const [a, b, observer] = [await scene.member(), await scene.member(), await scene.member()];
      const token = await a.lead("e");
      await a.session.close();
      b.session.destroy(new Error("the lab cut the wire"));
      for (const member of [a, b]) assert.equal((await observer.presenceOf(member)).state, "alive");
      const { holder } = await observer.row("e");
      assert.equal(holder?.incarnation, a.incarnation);
      await a.reconnect();
      assert.equal((await a.beat()).accepted, true);
      assert.equal(await a.resign("e", token), true);
    },
  },
  {
    title: "a session that is open before its group exists serves it as soon as somebody joins",
    async run(scene) {
      const early = await scene.session();
      await assert.rejects(early.look({ cursor: NOTHING_SEEN, watch: "all" }, scene.call), { code: "GROUP_UNKNOWN" });
      const a = await scene.member();
      assert.deepEqual((await early.look({ cursor: NOTHING_SEEN, watch: "all" }, scene.call)).presence.map((row) => row.incarnation), [a.incarnation]);
    },
  },

  // ---- trouble on the way
  {
    title: "a call that is not answered in time rejects with STORE_TIMEOUT and ends its session; calls beside it reject too",
    async run(scene) {
      const hang = scene.need("hang");
      const a = await scene.member();
      const heal = await hang();
      try {
        const patient = a.look();
        patient.catch(() => undefined); // looked at below
        await assert.rejects(a.session.look({ cursor: NOTHING_SEEN, watch: "all" }, SHORT_CALL), { code: "STORE_TIMEOUT" });
        assert.equal(a.session.ended.aborted, true);
        assert.ok(isTribuneError(a.session.ended.reason), "the reason is coded");
        await assert.rejects(patient, isTribuneError);
        await expectAllRefused(a.session, a, scene);
      } finally {
        await heal();
      }
      await a.reconnect();
      assert.equal((await a.beat()).accepted, true, "a new session works once the store answers again");
    },
  },
  {
    title: "what a call did that was not answered in time is done completely or not at all",
    async run(scene) {
      const hang = scene.need("hang");
      const [a, observer] = [await scene.member(), await scene.member()];
      await a.createElection("e");
      const { epoch } = await a.look();
      const heal = await hang();
      try {
        const claim = a.session.claim({ election: "e", incarnation: a.incarnation, node: a.node, expectedToken: 0, epoch, tokenSeen: 0 }, SHORT_CALL);
        await assert.rejects(claim, { code: "STORE_TIMEOUT" });
      } finally {
        await heal();
      }
      await observer.reconnect();
      for (let n = 0; n < 5; n++) {
        const { elections, terms } = await observer.reading();
        const held = elections.flatMap((row) => (row.holder === null ? [] : [row.token]));
        assert.deepEqual(terms.map((term) => term.token), held);
      }
    },
  },
  {
    title: "opening a store that does not answer rejects within its deadline, with a code",
    async run(scene) {
      const hang = scene.need("hang");
      await scene.member();
      const heal = await hang();
      try {
        await assert.rejects(scene.session({ deadlineMs: SHORT_CALL.deadlineMs }), (error) => isTribuneError(error) && error.code.startsWith("STORE_"));
      } finally {
        await heal();
      }
      await scene.session();
    },
  },
  {
    title: "a connection that is cut ends its session with a coded reason; a new one works and finds everything",
    async run(scene) {
      const cut = scene.need("cut");
      const a = await scene.member();
      const token = await a.lead("e");
      await cut();
      const { session } = a;
      await scene.until("the session notices", async () => {
        if (session.ended.aborted) return true;
        await session.look({ cursor: NOTHING_SEEN, watch: [] }, scene.call).catch((error: unknown) => assert.ok(isTribuneError(error), String(error)));
        return undefined;
      });
      assert.ok(isTribuneError(session.ended.reason), "the reason is coded");
      await expectAllRefused(session, a, scene);
      await a.reconnect();
      assert.equal((await a.beat()).accepted, true);
      assert.equal(await a.passFence("e", token), "passed");
    },
  },
  {
    title: "after the epoch has changed, new sessions see the new one, and what is stored stays",
    async run(scene) {
      const [a, b] = [await scene.member(), await scene.member()];
      const token = await a.lead("e");
      const before = await a.look();
      await scene.newEpoch(a, b);
      const [seen, other] = [await a.look(), await b.look()];
      assert.ok(seen.epoch !== before.epoch && seen.epoch.length > 0);
      assert.equal(other.epoch, seen.epoch);
      assert.deepEqual((await a.reading()).fences, [{ election: "e", token }]);
      assert.deepEqual([(await b.row("e")).holder?.incarnation, (await b.presenceOf(a)).state], [a.incarnation, "alive"]);
    },
  },

  // ---- opening and the schema
  {
    title: "once the schema is there, opening needs no permission to make it",
    async run(scene) {
      await scene.session({ createSchema: true });
      const plain = await scene.session({ createSchema: false });
      assert.equal(plain.ended.aborted, false);
      assert.equal(await plain.readGroup(scene.call), null);
    },
  },
  {
    title: "the schema that is installed has the version that the code needs, and bringing it up to date again, or twice at once, does nothing",
    async run(scene) {
      const { schema } = scene.provider;
      const a = await scene.member();
      const { version, worksWith } = await schema.installed(scene.context());
      assert.equal(version, schema.version);
      assert.ok(worksWith >= 1 && worksWith <= version, `${worksWith} is a version of the code that came before it, or its own`);
      const nothing = { from: schema.version, to: schema.version };
      assert.deepEqual(await schema.migrate(scene.context()), nothing);
      assert.deepEqual(await atOnce([() => schema.migrate(scene.context()), () => schema.migrate(scene.context())]), [nothing, nothing]);
      assert.deepEqual(schema.statements(schema.version), []);
      assert.equal((await a.presenceOf(a)).state, "alive");
    },
  },
  {
    title: "a store without schema is refused with SCHEMA_MISSING, and nothing is made, unless the caller allows it",
    async run(scene) {
      const provider = await scene.need("schemaAt")(NO_SCHEMA);
      await assert.rejects(provider.open(scene.context({ createSchema: false })), { code: "SCHEMA_MISSING" });
      assert.equal((await provider.schema.installed(scene.context())).version, 0);
      const sessions = await atOnce(Array.from({ length: 3 }, () => () => provider.open(scene.context({ createSchema: true }))));
      assert.equal((await provider.schema.installed(scene.context())).version, provider.schema.version);
      assert.equal(await sessions[0]?.readGroup(scene.call), null);
      for (const session of sessions) await session.close();
      await provider.close();
      await provider.close(); // may be called twice
    },
  },
  {
    title: "bringing a store without schema up to date tells from where to where, however many do it at once",
    async run(scene) {
      const provider = await scene.need("schemaAt")(NO_SCHEMA);
      const { version } = provider.schema;
      const done = await atOnce(Array.from({ length: 3 }, () => () => provider.schema.migrate(scene.context())));
      assert.deepEqual(done.map((each) => each.to), [version, version, version]);
      assert.deepEqual(done.map((each) => each.from).sort((x, y) => x - y), [0, version, version]);
      await (await provider.open(scene.context({ createSchema: false }))).close();
      await provider.close();
    },
  },
  {
    title: "a newer schema that does not work with this code is refused with SCHEMA_TOO_NEW, also where the caller allows making one",
    async run(scene) {
      const { version } = scene.provider.schema;
      for (const installed of [{ version: version + 1, worksWith: version + 1 }, { version: version + 5, worksWith: version + 2 }]) {
        const provider = await scene.need("schemaAt")(installed);
        for (const createSchema of [false, true]) await assert.rejects(provider.open(scene.context({ createSchema })), { code: "SCHEMA_TOO_NEW" });
        assert.deepEqual(await provider.schema.installed(scene.context()), installed);
        await provider.close();
      }
    },
  },
  {
    title: "a newer schema that says that it works with this code is opened, serves a whole group, and stays as it is",
    async run(scene) {
      const { version } = scene.provider.schema;
      for (const installed of [{ version: version + 1, worksWith: version }, { version: version + 3, worksWith: 1 }]) {
        const provider = await scene.need("schemaAt")(installed);
        await (await provider.open(scene.context({ createSchema: true }))).close();
        const session = await provider.open(scene.context({ createSchema: false }));
        const a = await scene.member({ session });
        await a.lead("e");
        assert.equal((await a.beat()).accepted, true);
        assert.equal((await a.reading()).schemaVersion, installed.version);
        await provider.schema.migrate(scene.context());
        assert.deepEqual(await provider.schema.installed(scene.context()), installed, "what an upgrade made is not taken back");
        await session.close();
        await provider.close();
      }
    },
  },
  {
    title: "an older schema is refused with SCHEMA_OUTDATED, or brought up to date where the caller allows it",
    async run(scene) {
      const { version } = scene.provider.schema;
      if (version === 1) throw new Skipped("there is no older schema than version 1");
      const provider = await scene.need("schemaAt")({ version: version - 1, worksWith: version - 1 });
      await assert.rejects(provider.open(scene.context({ createSchema: false })), { code: "SCHEMA_OUTDATED" });
      assert.equal((await provider.schema.installed(scene.context())).version, version - 1);
      await (await provider.open(scene.context({ createSchema: true }))).close();
      assert.equal((await provider.schema.installed(scene.context())).version, version);
      await provider.close();
    },
  },
  {
    title: "a store that cannot be written to is refused with STORE_READ_ONLY",
    async run(scene) {
      const provider = await scene.need("readOnly")();
      await assert.rejects(provider.open(scene.context()), { code: "STORE_READ_ONLY" });
      await provider.close();
    },
  },
];

async function expectAllRefused(session: StoreSession, member: Member, scene: Scene): Promise<void> {
  const { incarnation, node } = member;
  const { call } = scene;
  const claim = { election: "e", incarnation, node, expectedToken: 0, epoch: "x", tokenSeen: 0 };
  const publish = { token: 1, incarnation, epoch: "x", expectedVersion: 0, view: emptyView(1), events: [], forgetDeadAfterMs: 0 };
  const operations: Readonly<Record<string, () => Promise<unknown>>> = {
    join: () => session.join(scene.joinInput(), call),
    beat: () => session.beat({ incarnation, beat: 1_000, generation: 0, viewSeen: 0, cursor: NOTHING_SEEN, watch: [] }, call),
    look: () => session.look({ cursor: NOTHING_SEEN, watch: [] }, call),
    leave: () => session.leave({ incarnation }, call),
    declareDead: () => session.declareDead({ incarnation, beat: 0, epoch: "x", requireExpired: false, by: node, reason: "expired" }, call),
    updateMetadata: () => session.updateMetadata({ incarnation, metadata: "{}" }, call),
    evict: () => session.evict({ node, by: node, reason: "x" }, call),
    createElection: () => session.createElection({ election: "made-after-the-end" }, call),
    claim: () => session.claim(claim, call),
    passFence: () => session.passFence({ election: "e", incarnation, token: 1, epoch: "x" }, call),
    resign: () => session.resign({ election: "e", incarnation, token: 1, reason: "x" }, call),
    requestResign: () => session.requestResign({ election: "e", token: 1 }, call),
    pause: () => session.pause({ election: "e", by: node, reason: "x" }, call),
    resume: () => session.resume({ election: "e", by: node }, call),
    setCandidacy: () => session.setCandidacy({ election: "e", incarnation, candidacy: { priority: 0, fit: true } }, call),
    readCandidates: () => session.readCandidates({ election: "e" }, call),
    readMembers: () => session.readMembers({ incarnations: [] }, call),
    publishView: () => session.publishView(publish, call),
    readEvents: () => session.readEvents({ after: 0, limit: 1 }, call),
    readGroup: () => session.readGroup(call),
  };
  for (const [name, operation] of Object.entries(operations)) await assert.rejects(operation(), { code: "STORE_SESSION_ENDED" }, name);
}
