import assert from "node:assert/strict";
import { it } from "node:test";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { cursorOf } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startStandby } from "../../support/postgres-server.ts";
import { describeWithServer, sceneOn } from "./here.ts";

await describeWithServer("failover of PostgreSQL", {}, (server) => {
  it("a promoted standby that lost commits has another epoch; the first beat raises the generation, and tokens grow past every one ever seen", async (t) => {
    const wire = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    const standby = await startStandby(server, { port: wire.port });
    t.after(async () => {
      await wire.close();
      await standby.stop();
    });
    const before = sceneOn(t, postgres({ url: server.url }));
    const [a, b] = [await before.member(), await before.member()];
    const first = await a.lead("e");
    const replicated = await a.look();
    const position = (await server.query("select pg_current_wal_insert_lsn()::text as at"))[0]?.["at"];
    await before.until("the standby has it", async () => ((await standby.query("select pg_last_wal_replay_lsn() >= $1::pg_lsn as is", [position]))[0]?.["is"] === true ? true : undefined));

    // From here on the standby hears nothing: what is answered now will be lost.
    await wire.mode({ kind: "refuse" });
    wire.resetAll();
    await a.resign("e", first);
    const lost = await b.lead("e");
    const { token: lostAgain } = (await a.claim("e", { tokenSeen: lost + 1_000 })) ?? { token: 0 };
    assert.equal(lostAgain, 0, "b is alive");
    await b.beat({ beat: 50 });
    assert.equal(await a.declareDead(b), true);
    const highest = (await a.claim("e"))?.token ?? 0;
    assert.ok(first < lost && lost < highest);
    const last = await a.look();
    await server.kill("SIGKILL");
    await before.until("the sessions end", async () => (a.session.ended.aborted && b.session.ended.aborted ? true : undefined));
    await standby.promote();

    const after = sceneOn(t, postgres({ url: standby.url }));
    a.session = await after.session({ group: before.group });
    b.session = await after.session({ group: before.group });
    const seen = await a.look({ cursor: cursorOf(last) });
    assert.notEqual(seen.epoch, last.epoch);
    assert.equal(seen.epoch.split(":")[0], last.epoch.split(":")[0], "the server's identity is the same, the timeline another");
    assert.deepEqual(seen.elections.map((row) => [row.token, row.epoch]), [[first, replicated.epoch]], "rows are shown anew, since the cursor is of another epoch");
    assert.equal((await b.presenceOf(b)).state, "alive", "its death was lost");

    assert.equal(await a.claim("e", { epoch: last.epoch, tokenSeen: highest }), null, "seen in the old epoch");
    assert.equal(await a.declareDead(b, { epoch: last.epoch }), false);
    assert.equal(await a.claim("e", { tokenSeen: highest }), null, "nobody has adopted the new epoch");
    const adopted = await b.beat({ beat: 51, generation: last.generation });
    assert.deepEqual([adopted.accepted, adopted.generation], [true, last.generation + 1]);
    const second = await a.beat({ beat: 51, generation: adopted.generation });
    assert.equal(second.generation, adopted.generation, "once is enough");
    assert.deepEqual((await a.events()).at(-1)?.type, "epoch-changed");

    assert.equal(await b.resign("e", lost), false, "the row does not know that term");
    assert.equal(await a.resign("e", first), true, "it names a term that was over: its holder resigns it");
    const token = (await a.claim("e", { tokenSeen: highest }))?.token ?? 0;
    assert.equal(token, adopted.generation * TOKENS_PER_GENERATION);
    assert.ok(token > highest);
    assert.equal(await a.passFence("e", token), "passed");
    await after.end();
    await server.start();
  });

  it("the generation rises by as many timelines as the server has gone through since the group's epoch; from another server's epoch, or a later one, by one", async (t) => {
    const scene = sceneOn(t, postgres({ url: server.url }));
    const member = await scene.member();
    const born = await member.look();
    await server.restartOnNewTimeline();
    await server.restartOnNewTimeline(); // nobody of this group saw the one before
    await member.reconnect();
    let { generation, epoch } = await member.beat();
    assert.equal(generation, born.generation + 2);
    const [identity = "", timeline = ""] = epoch.split(":");
    const back = (by: number) => (Number.parseInt(timeline, 16) - by).toString(16).padStart(8, "0").toUpperCase();
    const cases: readonly (readonly [string, number])[] = [
      [`${identity}:${back(1)}`, 1],
      [`${identity}:${back(2)}`, 2],
      [`${identity}:${back(2)}:1700000000000`, 2], // written with fsync off
      [`${identity}:${back(-9)}`, 1], // of a timeline that this server has not come to yet
      [`${identity}0:${back(2)}`, 1],
    ];
    for (const [stored, rise] of cases) {
      await server.query("update tribune.groups set epoch = $1 where grp = $2", [stored, scene.group]);
      const adopted = await member.beat({ generation });
      assert.deepEqual([adopted.epoch, adopted.generation], [epoch, generation + rise], stored);
      generation = adopted.generation;
    }
    await server.query("update tribune.groups set epoch = $1 where grp = $2", [`${identity}:${back(2)}`, scene.group]);
    assert.equal((await member.beat({ generation: generation + 40 })).generation, generation + 41, "a sender that has seen more counts for more");
    await scene.end();
  });

  it("a plain restart is the same epoch, with fsync off another one", async (t) => {
    const scene = sceneOn(t, postgres({ url: server.url }));
    const member = await scene.member();
    const { epoch } = await member.look();
    await server.restart();
    await member.reconnect();
    assert.equal((await member.look()).epoch, epoch);
    await server.kill("SIGINT");
    await server.start({ fsync: "off" });
    await member.reconnect();
    const unsafe = (await member.look()).epoch;
    assert.ok(unsafe.startsWith(`${epoch}:`));
    assert.match(member.session.info.warnings.join(" "), /fsync/);
    await server.kill("SIGINT");
    await server.start({ fsync: "off" });
    await member.reconnect();
    assert.notEqual((await member.look()).epoch, unsafe);
    await server.restart();
    await member.reconnect();
    assert.equal((await member.look()).epoch, epoch);
    assert.deepEqual(member.session.info.warnings, []);
  });
});
