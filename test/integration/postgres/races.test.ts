import assert from "node:assert/strict";
import { it } from "node:test";
import { Client } from "pg";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { postgres } from "../../../src/store/postgres/index.ts";
import { atOnce, emptyView } from "../../../src/testing/conformance/scene.ts";
import type { Scene } from "../../../src/testing/conformance/scene.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const ELECTION = "scheduler";
const COORDINATOR = "coordinator";

/**
 * What a statement does when a row that it wants was changed after its snapshot was taken: somebody else's transaction holds
 * the row, the statement waits, the other commits.
 */
await describeWithServer("statements that meet in PostgreSQL", {}, (server) => {
  type Context = Parameters<typeof sceneOn>[0];

  const waiting = async (scene: Scene) =>
    await scene.until("the statement waits for a lock", async () => {
      const found = await server.query("select from pg_stat_activity where application_name like 'tribune:%' and wait_event_type = 'Lock'");
      return found.length > 0 ? true : undefined;
    });

  /** Members, and somebody whose transaction is in their way. */
  async function stage(t: Context, count = 2) {
    const { url } = await server.createDatabase();
    const scene = sceneOn(t, postgres({ url }));
    const members = await scene.members(count);
    const other = new Client({ connectionString: url });
    await other.connect();
    t.after(async () => await other.end());
    /** Does `first` in a transaction, has `operation` run into it, then does `then` and commits; answers what the operation did. */
    const behind = async <T>(first: string, operation: () => Promise<T>, then = ""): Promise<T> => {
      await other.query("begin");
      assert.ok(((await other.query(first, first.includes("$1") ? [scene.group] : [])).rowCount ?? 0) > 0, "there is such a row to hold");
      const answer = operation();
      answer.catch(() => undefined); // the caller looks at it
      await waiting(scene);
      if (then !== "") await other.query(then, then.includes("$1") ? [scene.group] : []);
      await other.query("commit");
      return await answer;
    };
    const [a, b] = members;
    if (a === undefined || b === undefined) return assert.fail("no members");
    return { scene, a, b, members, other, behind, url };
  }

  const GROUP = "select from tribune.groups where grp = $1 for update";
  const presence = (incarnation: string) => `select from tribune.presence where grp = $1 and incarnation = '${incarnation}' for update`;

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

  // ---- beat

  it("a beat that waited while its row was declared dead is not accepted and says dead", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune.presence set state = 'dead', dead_reason = 'expired', dead_at_ms = 1 where grp = $1 and incarnation = '${a.incarnation}'`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.self], [false, "dead"]);
    assert.equal(reply.presence.find((row) => row.incarnation === a.incarnation)?.state, "dead");
  });

  it("a beat that waited while its row was removed is not accepted and says absent", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`delete from tribune.presence where grp = $1 and incarnation = '${a.incarnation}'`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.self], [false, "absent"]);
    assert.equal(reply.presence.length, 1);
  });

  it("a late beat that waited while a newer one was written is not accepted, and shows the newer one", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune.presence set beat = 9 where grp = $1 and incarnation = '${a.incarnation}'`, () => a.beat({ beat: 5 }));
    assert.deepEqual([reply.accepted, reply.self], [false, "alive"]);
    assert.equal(reply.presence.find((row) => row.incarnation === a.incarnation)?.beat, 9);
  });

  it("a beat that waited while its metadata changed is accepted on top of it", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind(`update tribune.presence set metadata = '{"new":1}', metadata_version = 2 where grp = $1 and incarnation = '${a.incarnation}'`, () => a.beat({ beat: 5 }));
    assert.equal(reply.accepted, true);
    assert.deepEqual((await a.memberRow(a)).metadata, '{"new":1}');
    assert.equal(reply.presence.find((row) => row.incarnation === a.incarnation)?.metadataVersion, 2);
  });

  it("a beat that would have raised the generation, and waited while another one did, raises it no further and shows it", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind("update tribune.groups set generation = 8 where grp = $1", () => a.beat({ generation: 7 }));
    assert.deepEqual([reply.accepted, reply.generation], [true, 8]);
    assert.equal((await a.look()).generation, 8);
  });

  it("a beat that raises the generation after waiting builds on the newest one", async (t) => {
    const { a, behind } = await stage(t);
    const reply = await behind("update tribune.groups set generation = 5 where grp = $1", () => a.beat({ generation: 7 }));
    assert.equal(reply.generation, 8);
    assert.equal((await a.look()).generation, 8);
  });

  it("a beat that would have adopted the epoch, and waited while another one did, adopts it no further", async (t) => {
    const { a, scene, other, behind } = await stage(t);
    const { epoch } = await a.look();
    await other.query("update tribune.groups set epoch = 'another:00000001' where grp = $1", [scene.group]);
    const reply = await behind(`update tribune.groups set epoch = '${epoch}', generation = 4 where grp = $1`, () => a.beat());
    assert.deepEqual([reply.accepted, reply.generation, (await a.look()).generation], [true, 4, 4]);
    assert.deepEqual(await a.events(), []);
  });

  it("a beat does not wait for somebody who holds the group, unless it must raise the generation", async (t) => {
    const { a, scene, other } = await stage(t);
    await other.query("begin");
    await other.query(GROUP, [scene.group]);
    assert.equal((await a.beat()).accepted, true);
    assert.equal((await a.look()).presence.length, 2);
    await other.query("rollback");
  });

  // ---- join

  it("a join that waited while somebody took its name says name-taken, and leaves no gap in the join order", async (t) => {
    const { a, b, scene, behind } = await stage(t);
    const session = await scene.session();
    const input = scene.joinInput({ node: "wanted" });
    const taken = await behind(GROUP, () => session.join(input, scene.call), `update tribune.presence set node = 'wanted' where grp = $1 and incarnation = '${b.incarnation}'`);
    assert.equal(taken.outcome === "name-taken" ? taken.by.incarnation : taken.outcome, b.incarnation);
    const next = await scene.member();
    assert.equal(next.joinOrder, Math.max(a.joinOrder, b.joinOrder) + 1);
  });

  it("a join that waited while others joined takes the next place after theirs", async (t) => {
    const { scene, behind } = await stage(t);
    const session = await scene.session();
    const joined = await behind("update tribune.groups set join_order = 41, longest_lease_ms = 900000 where grp = $1", () => session.join(scene.joinInput({ leaseMs: 1_000 }), scene.call));
    const { longestLeaseMs, epoch } = await session.look({ cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, scene.call);
    assert.deepEqual(joined, { outcome: "joined", joinOrder: 42, epoch });
    assert.equal(longestLeaseMs, 900_000);
  });

  // ---- declareDead

  it("a declaration of death that waited while its victim beat is refused", async (t) => {
    const { a, b, behind } = await stage(t);
    const { epoch } = await a.look();
    const update = `update tribune.presence set beat = 1 where grp = $1 and incarnation = '${b.incarnation}'`;
    assert.equal(await behind(update, () => a.declareDead(b, { beat: 0, epoch })), false);
    assert.equal(await behind(GROUP, () => a.declareDead(b, { beat: 1, epoch }), update.replace("beat = 1", "beat = 2")), false);
    assert.equal((await a.presenceOf(b)).state, "alive");
    assert.deepEqual(await a.events(), []);
  });

  it("a declaration of death that waited while the lease was renewed is refused where it must have run out", async (t) => {
    const { a, b, scene, behind, other } = await stage(t);
    await other.query("update tribune.presence set expires_at_ms = 1 where grp = $1 and incarnation = $2", [scene.group, b.incarnation]);
    const { epoch } = await a.look();
    const renewed = `update tribune.presence set expires_at_ms = 9000000000000 where grp = $1 and incarnation = '${b.incarnation}'`;
    assert.equal(await behind(renewed, () => a.declareDead(b, { beat: 0, epoch, requireExpired: true })), false);
    assert.equal((await a.presenceOf(b)).state, "alive");
  });

  // ---- claim and resign

  for (const [what, change] of [
    ["another one claimed", (holder: string) => `update tribune.elections set token = token + 1, holder_incarnation = '${holder}', holder_node = 'x', version = 9 where grp = $1`],
    ["another one claimed and resigned", () => "update tribune.elections set token = token + 1, version = 9 where grp = $1"],
    ["the epoch became another one", () => "update tribune.groups set epoch = 'other' where grp = $1"],
  ] as const) {
    it(`a claim that waited while ${what} loses and writes nothing`, async (t) => {
      const { a, b, scene, behind, other } = await stage(t);
      await a.createElection(ELECTION);
      const { epoch } = await a.look();
      const before = (await a.reading()).terms;
      assert.equal(await behind(GROUP, () => a.claim(ELECTION, { expectedToken: 0, epoch }), change(b.incarnation)), null);
      assert.deepEqual([(await a.reading()).terms, await a.events()], [before, []]);
      const { rows } = await other.query<{ elections_version: string }>("select elections_version from tribune.groups where grp = $1", [scene.group]);
      assert.equal(rows[0]?.elections_version, "1", "no version is given out");
    });
  }

  it("a claim that waited while its claimant died loses, wherever it waited", async (t) => {
    for (const held of ["group", "presence"]) {
      const { a, b, behind } = await stage(t);
      await b.createElection(ELECTION);
      const { epoch } = await a.look();
      const died = `update tribune.presence set state = 'dead', dead_reason = 'expired', dead_at_ms = 1 where grp = $1 and incarnation = '${a.incarnation}'`;
      assert.equal(await behind(held === "group" ? GROUP : presence(a.incarnation), () => a.claim(ELECTION, { expectedToken: 0, epoch }), died), null, held);
      assert.equal((await b.row(ELECTION)).holder, null);
    }
  });

  it("a claim that waited while its claimant beat succeeds", async (t) => {
    const { a, behind } = await stage(t);
    await a.createElection(ELECTION);
    const { epoch } = await a.look();
    const claimed = await behind(`update tribune.presence set beat = 3 where grp = $1 and incarnation = '${a.incarnation}'`, () => a.claim(ELECTION, { expectedToken: 0, epoch }));
    assert.equal(claimed?.token, TOKENS_PER_GENERATION);
  });

  it("a claim that waited while the generation rose takes its token from the new range", async (t) => {
    const { a, behind } = await stage(t);
    await a.createElection(ELECTION);
    const { epoch } = await a.look();
    const claimed = await behind("update tribune.groups set generation = 6, elections_version = 30, event_sequence = 50 where grp = $1", () => a.claim(ELECTION, { expectedToken: 0, epoch }));
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
    const resigned = "update tribune.elections set holder_incarnation = null, holder_node = null where grp = $1";
    assert.equal((await behind(resigned, () => a.claim(ELECTION, { expectedToken: token, epoch })))?.token, token + 1);
  });

  it("a resignation that waited while another one claimed answers false", async (t) => {
    const { a, b, behind } = await stage(t);
    const token = await a.hold(ELECTION);
    const claimed = `update tribune.elections set token = token + 1, holder_incarnation = '${b.incarnation}', holder_node = '${b.node}' where grp = $1`;
    assert.equal(await behind(GROUP, () => a.resign(ELECTION, token), claimed), false);
    assert.equal((await b.row(ELECTION)).holder?.incarnation, b.incarnation);
    assert.deepEqual((await b.events()).map((each) => each.type), ["term-began"]);
  });

  it("an election that was made while another maker waited is made once", async (t) => {
    const { a, behind } = await stage(t);
    const made = `insert into tribune.elections (grp, election, token, epoch, version, changed_at_ms) values ($1, '${ELECTION}', 0, 'x', 1, 1)`;
    await behind(GROUP, () => a.createElection(ELECTION), made);
    assert.deepEqual((await a.look()).elections.map((row) => row.epoch), ["x"]);
    assert.equal((await a.look()).electionsVersion, 0, "nothing was counted");
  });

  it("an election that is made after waiting for others' changes gets the version after theirs", async (t) => {
    const { a, behind } = await stage(t);
    await behind("update tribune.groups set elections_version = 30 where grp = $1", () => a.createElection(ELECTION));
    const seen = await a.look();
    assert.deepEqual([seen.electionsVersion, seen.elections[0]?.version], [31, 31]);
  });

  // ---- the fence and the view

  for (const [what, sql] of [
    ["the fence", "select from tribune.fences where grp = $1 for share"],
    ["the election", "update tribune.elections set resign_requested = 1 where grp = $1"],
  ] as const) {
    it(`passing the fence while somebody holds ${what} is busy at once`, async (t) => {
      const { a, scene, other } = await stage(t);
      const token = await a.hold(ELECTION);
      await other.query("begin");
      await other.query(sql, [scene.group]);
      assert.equal(await a.passFence(ELECTION, token), "busy");
      await other.query("rollback");
      assert.equal(await a.passFence(ELECTION, token), "passed");
    });
  }

  it("passing a fence that stands at the token already does not ask for its lock, which own transactions hold", async (t) => {
    const { a, scene, other } = await stage(t);
    const token = await a.lead(ELECTION);
    await other.query("begin");
    await other.query("select from tribune.fences where grp = $1 for share", [scene.group]);
    assert.equal(await a.passFence(ELECTION, token), "passed");
    await other.query("rollback");
  });

  for (const [what, change] of [
    ["the fence moved on", "update tribune.fences set token = token + 1 where grp = $1"],
    ["the coordinator was deposed", "update tribune.elections set token = token + 1, holder_incarnation = 'x', holder_node = 'x' where grp = $1"],
    ["another view was published", "update tribune.groups set view_version = 7 where grp = $1"],
    ["the generation was raised", "update tribune.groups set generation = 2 where grp = $1"],
    ["another epoch was adopted", "update tribune.groups set epoch = 'another:00000001' where grp = $1"],
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
    const { a, scene, other, url } = await stage(t);
    const token = await a.coordinate();
    const seen = await a.look();
    const probe = new Client({ connectionString: url });
    await probe.connect();
    t.after(async () => await probe.end());
    const free = async () => (await probe.query("select from tribune.fences where grp = $1 and election = $2 for no key update skip locked", [scene.group, COORDINATOR])).rowCount;
    // The statement has the fence and waits to write its event, as behind a slow disk: somebody has the number that it wants to take.
    await other.query("begin");
    await other.query("insert into tribune.events (grp, sequence, at_ms, type, subject, detail) values ($1, 2, 1, 'x', 'x', '{}')", [scene.group]);
    const publishing = a.publishFrom(seen, token);
    await waiting(scene);
    assert.equal(await free(), 0);
    await other.query("rollback");
    assert.equal(await publishing, true);
    assert.equal(await free(), 1);
  });
});
