import assert from "node:assert/strict";
import { it } from "node:test";
import { mysql } from "../../../src/store/mysql/index.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const BEATS = 20;

/** What operations cost the server, counted by the server. */
await describeWithServer("what it costs MariaDB", {}, (server) => {
  /** Rows written by everybody since the server began, and the statements that were asked of it. */
  const counted = async () => {
    const rows = await server.query("show global status where variable_name in ('Handler_update', 'Handler_write', 'Handler_delete', 'Com_update', 'Com_insert', 'Com_insert_select', 'Com_delete')");
    return Object.fromEntries(rows.map((row) => [String(row["Variable_name"]), Number(row["Value"])]));
  };

  /** What `work` made of these counters, without what asking for them does. */
  const during = async (work: () => Promise<unknown>) => {
    const idle = async () => {
      const from = await counted();
      const to = await counted();
      return Object.fromEntries(Object.entries(to).map(([name, value]) => [name, value - (from[name] ?? 0)]));
    };
    const asking = await idle();
    const from = await counted();
    await work();
    const to = await counted();
    return Object.fromEntries(Object.entries(to).map(([name, value]) => [name, value - (from[name] ?? 0) - (asking[name] ?? 0)]));
  };

  for (const held of [1, 1_000]) {
    it(`a beat of one that holds ${held} elections writes one row, and shows none of them if none changed`, async (t) => {
      const { name, url } = await server.createDatabase();
      const scene = sceneOn(t, mysql({ url }));
      const member = await scene.member({ session: await scene.session({ evidence: { leaseMs: 15_000 } }) });
      const { epoch } = await member.beat();
      const insert = `insert into tribune_elections (grp, election, token, holder_incarnation, holder_node, epoch, version, priority, minimum_term_ms, ranked, changed_at_ms)
        select ?, concat('e-', seq), 4294967296, ?, ?, ?, seq, 0, 0, 0, 1 from seq_1_to_${held}`;
      await server.query(insert, [scene.group, member.incarnation, member.node, epoch], { database: name });
      await server.query("update tribune_groups set elections_version = ? where grp = ?", [held, scene.group], { database: name });
      const { electionsVersion, viewVersion, elections } = await member.beat();
      assert.equal(elections.length, held);
      const written = await during(async () => {
        for (let n = 0; n < BEATS; n++) {
          const reply = await member.beat({ cursor: { epoch, electionsVersion, viewVersion }, watch: [member.incarnation] });
          assert.deepEqual([reply.accepted, reply.elections.length], [true, 0]);
        }
      });
      assert.deepEqual(written, { Handler_update: BEATS, Handler_write: 0, Handler_delete: 0, Com_update: BEATS, Com_insert: 0, Com_insert_select: 0, Com_delete: 0 });
    });
  }

  it("a look writes nothing", async (t) => {
    const { url } = await server.createDatabase();
    const member = await sceneOn(t, mysql({ url })).member();
    const written = await during(async () => {
      for (let n = 0; n < BEATS; n++) await member.look();
    });
    assert.deepEqual(new Set(Object.values(written)), new Set([0]));
  });

  it("a claim that cannot win, and whatever else is refused, writes no row", async (t) => {
    const { url } = await server.createDatabase();
    const scene = sceneOn(t, mysql({ url }));
    const [a, b] = [await scene.member(), await scene.member()];
    const token = await a.lead("e");
    const { Handler_update: updated, Handler_delete: deleted, ...rest } = await during(async () => {
      for (let n = 0; n < BEATS; n++) {
        assert.equal(await b.claim("e"), null);
        assert.equal(await b.resign("e", token), false);
        assert.equal(await b.requestResign("e", token + 1), false);
        assert.equal(await a.passFence("e", token), "passed");
        assert.equal(await b.passFence("e", token), "superseded");
        assert.equal(await b.declareDead(a, { epoch: "other" }), false);
        await b.createElection("e");
      }
    });
    assert.deepEqual([updated, deleted], [0, 0], JSON.stringify(rest));
    assert.equal(rest["Handler_write"], 0);
  });

  it("each operation is one round trip: what is sent arrives before anything of it is answered", async (t) => {
    const { name } = await server.createDatabase();
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, mysql({ url: server.urlOf({ database: name, port: proxy.port }) }));
    const direct = sceneOn(t, mysql({ url: server.urlOf({ database: name }) }));
    const member = await scene.member();
    const witness = await direct.member({ group: scene.group, node: "witness" });
    await witness.createElection("e");
    const { epoch } = await witness.look();
    const beatOf = async () => (await witness.presenceOf(member)).beat;
    // From here on no answer comes through, and yet all of the operation happens.
    await proxy.mode({ kind: "hold", direction: "toClient" });
    const beat = member.beat({ beat: 5 });
    await witness.scene.until("the beat is written", async () => ((await beatOf()) === 5 ? true : undefined));
    await proxy.mode({ kind: "pass" });
    assert.equal((await beat).accepted, true);
    await proxy.mode({ kind: "hold", direction: "toClient" });
    const claimed = member.session.claim({ election: "e", incarnation: member.incarnation, node: member.node, expectedToken: 0, epoch, tokenSeen: 0 }, member.call);
    const token = await witness.scene.until("the claim is won, with its event", async () => ((await witness.events()).length === 1 ? (await witness.row("e")).token : undefined));
    await proxy.mode({ kind: "pass" });
    assert.equal((await claimed)?.token, token);
  });

  it("a process that freezes in the middle of an answer holds no lock that others need", async (t) => {
    const { name, url } = await server.createDatabase();
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, mysql({ url }));
    const observer = await scene.member();
    const crowd: Member[] = [];
    for (let n = 0; n < 40; n++) crowd.push(await scene.member({ session: observer.session, metadata: JSON.stringify({ text: "x".repeat(10_000) }) }));
    const frozen = await sceneOn(t, mysql({ url: server.urlOf({ database: name, port: proxy.port }) })).member({ group: scene.group, node: "frozen" });
    await proxy.mode({ kind: "stall", direction: "toClient" });
    const beat = frozen.beat({ beat: 5 });
    beat.catch(() => undefined); // it is cut off at the end
    await scene.until("the beat is written", async () => ((await observer.presenceOf(frozen)).beat === 5 ? true : undefined));
    assert.equal(await observer.declareDead(frozen), true);
    const reading = frozen.session.readMembers({ incarnations: crowd.map((each) => each.incarnation) }, frozen.call);
    reading.catch(() => undefined);
    assert.equal((await crowd[0]?.beat())?.accepted, true);
    await observer.lead("e");
    proxy.resetAll();
  });
});
