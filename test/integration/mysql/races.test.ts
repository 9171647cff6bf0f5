import assert from "node:assert/strict";
import { it } from "node:test";
import type { ResultSetHeader, RowDataPacket } from "mysql2/promise";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { mysql } from "../../../src/store/mysql/index.ts";
import { atOnce, emptyView } from "../../../src/testing/conformance/scene.ts";
import type { Scene } from "../../../src/testing/conformance/scene.ts";
import { connected, describeWithServer, sceneOn } from "./here.ts";

const ELECTION = "scheduler";
const COORDINATOR = "coordinator";

/** What a packet does when a row that it wants is changed after it looked: somebody else's transaction holds the row, the packet waits, the other commits. */
await describeWithServer("packets that meet in MariaDB", {}, (server) => {
  type Context = Parameters<typeof sceneOn>[0];

  /** Not by information_schema.innodb_trx: what that shows is renewed only when nobody has asked for a tenth of a second. */
  const waits = async () => {
    const [status] = await server.query("show engine innodb status");
    return String(status?.["Status"]).split("LIST OF TRANSACTIONS FOR EACH SESSION")[1]?.includes("LOCK WAIT") === true;
  };
  const waiting = async (scene: Scene) => await scene.until("the packet waits for a lock", async () => ((await waits()) ? true : undefined));

  /** Members, and somebody whose transaction is in their way. */
  async function stage(t: Context, count = 2) {
    const { url } = await server.createDatabase();
    const scene = sceneOn(t, mysql({ url }));
    const members = await scene.members(count);
    const other = await connected(t, url);
    await other.query("set session transaction isolation level read committed");
    const run = async (sql: string) => (await other.query<RowDataPacket[] | ResultSetHeader>(sql, sql.includes("?") ? [scene.group] : []))[0];
    /** Does `first` in a transaction, has `operation` run into it, then does `then` and commits; answers what the operation did. */
    const behind = async <T>(first: string, operation: () => Promise<T>, then = ""): Promise<T> => {
      await run("start transaction");
      const held = await run(first);
      assert.ok((Array.isArray(held) ? held.length : held.affectedRows) > 0, "there is such a row to hold");
      const answer = operation();
      answer.catch(() => undefined); // the caller looks at it
      await waiting(scene);
      if (then !== "") await run(then);
      await run("commit");
      return await answer;
    };
    const [a, b] = members;
    if (a === undefined || b === undefined) return assert.fail("no members");
    return { scene, a, b, members, run, behind, url };
  }

  const GROUP = "select 1 from tribune_groups where grp = ? for update";
  const presence = (incarnation: string) => `select 1 from tribune_presence where grp = ? and incarnation = '${incarnation}' for update`;
  const DIED = "state = 'dead', living = null, dead_reason = 'expired', dead_at_ms = 1";

  it("of eight that claim at once exactly one wins, fifty times over, and every token is larger than the one before", async (t) => {
    const { members } = await stage(t, 8);
    const [first] = members;
    await first?.createElection(ELECTION);
    let last = 0;
    for (let round = 0; round < 50; round++) {
      const { token: expectedToken } = (await first?.row(ELECTION)) ?? { token: 0 };
      const { epoch } = (await first?.look({ watch: [] })) ?? { epoch: "" };
      const results = await atOnce(members.map((each) => async () => await each.claim(ELECTION, { expectedToken, epoch })));
      const winners = members.filter((_, n) => results[n] !== null);
      assert.equal(winners.length, 1, `round ${round}`);
      const token = results.find((each) => each !== null)?.token ?? 0;
      assert.ok(token > last);
      last = token;
      assert.equal(await winners[0]?.passFence(ELECTION, token), "passed");
      assert.equal(await winners[0]?.resign(ELECTION, token), true);
    }
    assert.equal(last, TOKENS_PER_GENERATION + 49);
    assert.equal((await first?.events())?.length, 100, "losers leave nothing behind");
  });

  it("of eight that make a group by joining it at once each gets a place of its own, and none of them an error", async (t) => {
    const { url } = await server.createDatabase();
    const scene = sceneOn(t, mysql({ url }));
    const sessions = await atOnce(Array.from({ length: 8 }, () => async () => await scene.session()));
    for (let round = 0; round < 10; round++) {
      const group = `${scene.group}-${round}`;
      const opened = round === 0 ? sessions : await atOnce(Array.from({ length: 8 }, () => async () => await scene.session({ group })));
      const joined = await atOnce(opened.map((session) => async () => await session.join(scene.joinInput(), scene.call)));
      assert.deepEqual(new Set(joined.map((each) => (each.outcome === "joined" ? each.joinOrder : each.outcome))), new Set([1, 2, 3, 4, 5, 6, 7, 8]));
      await Promise.all(opened.map(async (session) => await session.close()));
    }
  });

  // ---- beat

  it("a beat that waited while its row was declared dead is not accepted and says dead", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune_presence set ${DIED} where grp = ? and incarnation = '${a.incarnation}'`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.self], [false, "dead"]);
    assert.equal(reply.presence.find((row) => row.incarnation === a.incarnation)?.state, "dead");
  });

  it("a beat that waited while its row was removed is not accepted and says absent", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`delete from tribune_presence where grp = ? and incarnation = '${a.incarnation}'`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.self], [false, "absent"]);
    assert.equal(reply.presence.length, 1);
  });

  it("a beat that waited while somebody asked its sender to go is not accepted and says so", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune_presence set evicted = 1 where grp = ? and incarnation = '${a.incarnation}'`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.self], [false, "evicted"]);
  });

  it("a late beat that waited while a newer one was written is not accepted, and shows the newer one", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune_presence set beat = 9 where grp = ? and incarnation = '${a.incarnation}'`, () => a.beat({ beat: 5 }));
    assert.deepEqual([reply.accepted, reply.self], [false, "alive"]);
    assert.equal(reply.presence.find((row) => row.incarnation === a.incarnation)?.beat, 9);
  });

  it("a beat that waited while its metadata changed is accepted on top of it, and its lease counts from before it waited", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune_presence set metadata = '{"new":1}', metadata_version = 2 where grp = ? and incarnation = '${a.incarnation}'`, () => a.beat({ beat: 5 }));
    assert.equal(reply.accepted, true);
    assert.deepEqual((await a.memberRow(a)).metadata, '{"new":1}');
    const own = reply.presence.find((row) => row.incarnation === a.incarnation);
    assert.deepEqual([own?.metadataVersion, own?.beatAgeMs], [2, 0], "the reply's own time is that of the write");
  });

  it("a beat that would have raised the generation, and waited while another one did, raises it no further and shows it", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind("update tribune_groups set generation = 8 where grp = ?", () => a.beat({ generation: 7 }));
    assert.deepEqual([reply.accepted, reply.generation], [true, 8]);
    assert.equal((await a.look()).generation, 8);
  });

  it("a beat that raises the generation after waiting builds on the newest one", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind("update tribune_groups set generation = 5 where grp = ?", () => a.beat({ generation: 7 }));
    assert.equal(reply.generation, 8);
    assert.equal((await a.look()).generation, 8);
  });

  it("a beat that would have adopted the epoch, and waited while another one did, adopts it no further", async (t) => {
    const { a, run, behind } = await stage(t);
    const { epoch } = await a.look();
    await run("update tribune_groups set epoch = 'another:1' where grp = ?");
    const reply = await behind(`update tribune_groups set epoch = '${epoch}', generation = 4 where grp = ?`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.generation, (await a.look()).generation], [true, 4, 4]);
    assert.deepEqual(await a.events(), []);
  });

  it("of many that meet a new epoch one adopts it: the generation rises once, and by as many epochs as there were", async (t) => {
    const { a, members, run } = await stage(t, 6);
    await run("update tribune_groups set epoch = 'another:1', epoch_number = 1, generation = 3 where grp = ?");
    await run("update tribune_meta set epoch_number = 4");
    const replies = await atOnce(members.map((each) => async () => await each.beat()));
    assert.deepEqual(new Set(replies.map((each) => each.generation)), new Set([6]));
    assert.ok(replies.every((each) => each.accepted));
    assert.deepEqual((await a.events()).map((each) => [each.type, each.detail["from"]]), [["epoch-changed", "another:1"]]);
  });

  it("a beat does not wait for somebody who holds the group, unless it must raise the generation", async (t) => {
    const { a, run } = await stage(t);
    await run("start transaction");
    await run(GROUP);
    assert.equal((await a.beat()).accepted, true);
    assert.equal((await a.look()).presence.length, 2);
    await run("rollback");
  });

  it("a beat waits for nobody else's row, and holds up nobody while it reads", async (t) => {
    const { a, b, run } = await stage(t);
    await run("start transaction");
    await run(presence(b.incarnation));
    assert.equal((await a.beat()).accepted, true);
    await a.createElection(ELECTION);
    assert.notEqual(await a.claim(ELECTION), null);
    await run("rollback");
  });

  // ---- join

  it("a join that waited while somebody took its name says name-taken, and leaves no gap in the join order", async (t) => {
    const { a, b, scene, behind } = await stage(t);
    const session = await scene.session();
    const input = scene.joinInput({ node: "wanted" });
    const taken = await behind(GROUP, () => session.join(input, scene.call), `update tribune_presence set node = 'wanted', living = 'wanted' where grp = ? and incarnation = '${b.incarnation}'`);
    assert.equal(taken.outcome === "name-taken" ? taken.by.incarnation : taken.outcome, b.incarnation);
    const next = await scene.member();
    assert.equal(next.joinOrder, Math.max(a.joinOrder, b.joinOrder) + 1);
  });

  it("a join that waited while others joined takes the next place after theirs", async (t) => {
    const { scene, behind } = await stage(t);
    const session = await scene.session();
    const joined = await behind("update tribune_groups set join_order = 41, longest_lease_ms = 900000 where grp = ?", () => session.join(scene.joinInput({ leaseMs: 1_000 }), scene.call));
    const { longestLeaseMs, epoch } = await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, scene.call);
    assert.deepEqual(joined, { outcome: "joined", joinOrder: 42, epoch });
    assert.equal(longestLeaseMs, 900_000);
  });

  // ---- declareDead

  it("a declaration of death that waited while its victim beat is refused", async (t) => {
    const { a, b, behind } = await stage(t);
    const { epoch } = await a.look();
    const update = `update tribune_presence set beat = 1 where grp = ? and incarnation = '${b.incarnation}'`;
    assert.equal(await behind(update, () => a.declareDead(b, { beat: 0, epoch })), false);
    assert.equal(await behind(GROUP, () => a.declareDead(b, { beat: 1, epoch }), update.replace("beat = 1", "beat = 2")), false);
    assert.equal((await a.presenceOf(b)).state, "alive");
    assert.deepEqual(await a.events(), []);
  });

  it("a declaration of death that waited while the lease was renewed is refused where it must have run out", async (t) => {
    const { a, b, run, behind } = await stage(t);
    await run(`update tribune_presence set expires_at_ms = 1 where grp = ? and incarnation = '${b.incarnation}'`);
    const { epoch } = await a.look();
    const renewed = `update tribune_presence set expires_at_ms = 9000000000000 where grp = ? and incarnation = '${b.incarnation}'`;
    assert.equal(await behind(renewed, () => a.declareDead(b, { beat: 0, epoch, requireExpired: true })), false);
    assert.equal((await a.presenceOf(b)).state, "alive");
  });

  // ---- claim and resign

  for (const [what, change] of [
    ["another one claimed", (holder: string) => `update tribune_elections set token = token + 1, holder_incarnation = '${holder}', holder_node = 'x', version = 9 where grp = ?`],
    ["another one claimed and resigned", () => "update tribune_elections set token = token + 1, version = 9 where grp = ?"],
    ["the election was paused", () => "update tribune_elections set paused_at_ms = 1, pause_reason = 'x', paused_by = 'x' where grp = ?"],
    ["it was reserved for somebody else", () => "update tribune_elections set reserved_node = 'else', reserved_for_ms = 1000 where grp = ?"],
    ["the epoch became another one", () => "update tribune_groups set epoch = 'other' where grp = ?"],
  ] as const) {
    it(`a claim that waited while ${what} loses and writes nothing`, async (t) => {
      const { a, b, behind, run } = await stage(t);
      await a.createElection(ELECTION);
      const { epoch } = await a.look();
      const before = (await a.reading()).terms;
      assert.equal(await behind(GROUP, () => a.claim(ELECTION, { expectedToken: 0, epoch }), change(b.incarnation)), null);
      assert.deepEqual([(await a.reading()).terms, await a.events()], [before, []]);
      const [row] = (await run("select elections_version from tribune_groups where grp = ?")) as RowDataPacket[];
      assert.equal(Number(row?.["elections_version"]), 1, "no version is given out");
    });
  }

  it("a claim that waited while its claimant died loses, wherever it waited", async (t) => {
    for (const held of ["group", "presence"]) {
      const { a, b, behind } = await stage(t);
      await b.createElection(ELECTION);
      const { epoch } = await a.look();
      const died = `update tribune_presence set ${DIED} where grp = ? and incarnation = '${a.incarnation}'`;
      assert.equal(await behind(held === "group" ? GROUP : presence(a.incarnation), () => a.claim(ELECTION, { expectedToken: 0, epoch }), died), null, held);
      assert.equal((await b.row(ELECTION)).holder, null);
    }
  });

  it("a claim that waited while its claimant beat succeeds", async (t) => {
    const { a, behind } = await stage(t);
    await a.createElection(ELECTION);
    const { epoch } = await a.look();
    const claimed = await behind(`update tribune_presence set beat = 3 where grp = ? and incarnation = '${a.incarnation}'`, () => a.claim(ELECTION, { expectedToken: 0, epoch }));
    assert.equal(claimed?.token, TOKENS_PER_GENERATION);
  });

  it("a claim that waited while the generation rose takes its token from the new range", async (t) => {
    const { a, behind } = await stage(t);
    await a.createElection(ELECTION);
    const { epoch } = await a.look();
    const claimed = await behind("update tribune_groups set generation = 6, elections_version = 30, event_sequence = 50 where grp = ?", () => a.claim(ELECTION, { expectedToken: 0, epoch }));
    assert.equal(claimed?.token, 6 * TOKENS_PER_GENERATION);
    const seen = await a.look();
    assert.deepEqual([seen.electionsVersion, seen.elections[0]?.version], [31, 31]);
    assert.deepEqual((await a.events(49)).map((each) => each.sequence), [51]);
  });

  it("a claim over a dead holder that waited while that one resigned succeeds", async (t) => {
    const { a, b, behind } = await stage(t);
    const token = await b.hold(ELECTION);
    await a.declareDead(b);
    const { epoch } = await a.look();
    const resigned = "update tribune_elections set holder_incarnation = null, holder_node = null where grp = ?";
    assert.equal((await behind(resigned, () => a.claim(ELECTION, { expectedToken: token, epoch })))?.token, token + 1);
  });

  it("a claim that cannot have its lock in time has lost, and leaves its connection sound", async (t) => {
    const { a, scene, run } = await stage(t);
    const session = await scene.session({ statementLimitMs: 1_000 });
    const hasty = await scene.member({ session });
    await a.createElection(ELECTION);
    await run("start transaction");
    await run(GROUP);
    assert.equal(await hasty.claim(ELECTION), null);
    await run("rollback");
    assert.notEqual(await hasty.claim(ELECTION), null);
    assert.equal((await hasty.beat()).accepted, true);
  });

  it("a resignation that waited while another one claimed answers false", async (t) => {
    const { a, b, behind } = await stage(t);
    const token = await a.hold(ELECTION);
    const claimed = `update tribune_elections set token = token + 1, holder_incarnation = '${b.incarnation}', holder_node = '${b.node}' where grp = ?`;
    assert.equal(await behind(GROUP, () => a.resign(ELECTION, token), claimed), false);
    assert.equal((await b.row(ELECTION)).holder?.incarnation, b.incarnation);
    assert.deepEqual((await b.events()).map((each) => each.type), ["term-began"]);
  });

  it("an election that was made while another maker waited is made once", async (t) => {
    const { a, behind } = await stage(t);
    const made = `insert into tribune_elections (grp, election, token, epoch, version, priority, minimum_term_ms, ranked, changed_at_ms) values (?, '${ELECTION}', 0, 'x', 1, 0, 0, 0, 1)`;
    await behind(GROUP, () => a.createElection(ELECTION), made);
    assert.deepEqual((await a.look()).elections.map((row) => row.epoch), ["x"]);
    assert.equal((await a.look()).electionsVersion, 0, "nothing was counted");
  });

  it("an election that is made after waiting for others' changes gets the version after theirs", async (t) => {
    const { a, behind } = await stage(t);
    await behind("update tribune_groups set elections_version = 30 where grp = ?", () => a.createElection(ELECTION));
    const seen = await a.look();
    assert.deepEqual([seen.electionsVersion, seen.elections[0]?.version], [31, 31]);
  });

  // ---- the fence and the view

  for (const [what, sql] of [
    ["the fence", "select 1 from tribune_fences where grp = ? lock in share mode"],
    ["the election", "update tribune_elections set resign_requested = 1 where grp = ?"],
  ] as const) {
    it(`passing the fence while somebody holds ${what} is busy at once`, async (t) => {
      const { a, run } = await stage(t);
      const token = await a.hold(ELECTION);
      await run("start transaction");
      await run(sql);
      assert.equal(await a.passFence(ELECTION, token), "busy");
      assert.equal(await waits(), false);
      await run("rollback");
      assert.equal(await a.passFence(ELECTION, token), "passed");
    });
  }

  it("passing a fence that stands at the token already does not ask for its lock, which own transactions hold", async (t) => {
    const { a, run } = await stage(t);
    const token = await a.lead(ELECTION);
    await run("start transaction");
    await run("select 1 from tribune_fences where grp = ? lock in share mode");
    assert.equal(await a.passFence(ELECTION, token), "passed");
    await run("rollback");
  });

  for (const [what, change] of [
    ["the fence moved on", "update tribune_fences set token = token + 1 where grp = ?"],
    ["the coordinator was deposed", "update tribune_elections set token = token + 1, holder_incarnation = 'x', holder_node = 'x' where grp = ?"],
    ["another view was published", "update tribune_groups set view_version = 7 where grp = ?"],
    ["the generation was raised", "update tribune_groups set generation = 2 where grp = ?"],
    ["another epoch was adopted", "update tribune_groups set epoch = 'another:1' where grp = ?"],
  ] as const) {
    it(`a view that waited while ${what} is not published`, async (t) => {
      const { a, behind } = await stage(t);
      const token = await a.coordinate();
      const seen = await a.look();
      assert.equal(await behind(GROUP, () => a.publishFrom(seen, token, { view: emptyView(1) }), change), false);
      assert.equal((await a.reading()).view, null);
      assert.deepEqual((await a.events()).map((each) => each.type), ["term-began"]);
    });
  }

  it("while a view is being published the fence of its coordinator cannot be passed by another", async (t) => {
    const { a, scene, run, url } = await stage(t);
    const token = await a.coordinate();
    const seen = await a.look();
    const probe = await connected(t, url);
    const free = async () => (await probe.query<RowDataPacket[]>("select 1 from tribune_fences where grp = ? and election = ? for update skip locked", [scene.group, COORDINATOR]))[0].length;
    // The packet has the fence and waits to write its event, as behind a slow disk: somebody has the number that it wants to take.
    await run("start transaction");
    await run("insert into tribune_events (grp, sequence, at_ms, type, subject, detail) values (?, 2, 1, 'x', 'x', '{}')");
    const publishing = a.publishFrom(seen, token);
    await waiting(scene);
    assert.equal(await free(), 0);
    await run("rollback");
    assert.equal(await publishing, true);
    assert.equal(await free(), 1);
  });

  it("a view that forgets the dead waits for nobody's beat", async (t) => {
    const { a, b, scene, run } = await stage(t);
    const gone = await scene.member();
    await gone.leave();
    const token = await a.coordinate();
    await a.scene.until("the death is past", async () => ((await a.look()).storeTimeMs > Number(((await run("select max(dead_at_ms) as at from tribune_presence where grp = ?")) as RowDataPacket[])[0]?.["at"]) ? true : undefined));
    await run("start transaction");
    await run(presence(b.incarnation));
    assert.equal(await a.publish(token, { forgetDeadAfterMs: 0 }), true);
    await run("rollback");
    assert.deepEqual((await a.look()).presence.map((row) => row.incarnation).sort(), [a.incarnation, b.incarnation].sort());
  });

  it("a text that ends with an error in its middle leaves nothing of it behind, and no transaction open", async (t) => {
    const { a, run } = await stage(t);
    const token = await a.coordinate();
    // The event's number is taken, which the packet finds out after it has stored the view.
    await run("insert into tribune_events (grp, sequence, at_ms, type, subject, detail) values (?, 2, 1, 'x', 'x', '{}')");
    await assert.rejects(a.publish(token), { code: "STORE_FAILED" });
    assert.equal((await server.query("select 1 from information_schema.innodb_trx")).length, 0, "no transaction is open");
    await run("delete from tribune_events where grp = ? and sequence = 2");
    assert.equal((await a.reading()).view, null);
    assert.equal(await a.publish(token), true);
  });
});
