import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { etcd } from "../../../src/store/etcd/index.ts";
import { leadBetween, lossIn, nextHistory } from "../../../src/store/etcd/history.ts";
import type { History, Memory, Sight } from "../../../src/store/etcd/history.ts";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { cursorOf } from "../../../src/testing/conformance/scene.ts";
import { contender, contradictions, describeWithEtcd, sceneOn, until } from "./here.ts";
import type { Belief } from "./here.ts";

const HISTORY: History = { epoch: "c1:3:x", number: 3, clusterId: "c1", lead: 5 };
const SIGHT: Sight = { history: HISTORY, header: { clusterId: "c1", revision: 100 }, lead: 9, beat: "there" };
const MEMORY: Memory = { history: HISTORY, revision: 100, beat: { key: "k", beat: 4, revision: 90 } };
const NOTHING: Memory = { history: undefined, revision: 0, beat: undefined };

describe("whether commits that were answered are lost", () => {
  it("is not said where all is as it was, or has only grown, to those who know the store and those who do not", () => {
    for (const memory of [MEMORY, NOTHING]) {
      assert.equal(lossIn(SIGHT, memory), undefined);
      assert.equal(lossIn({ ...SIGHT, lead: 5, header: { clusterId: "c1", revision: 100 } }, memory), undefined);
      assert.equal(lossIn({ ...SIGHT, beat: "unknown", lead: null }, memory), undefined);
    }
  });

  it("is seen by anybody: another cluster, a log that is younger than what is in it, no history at all", () => {
    for (const memory of [MEMORY, NOTHING]) {
      assert.match(lossIn({ ...SIGHT, header: { clusterId: "c2", revision: 100 } }, memory) ?? "", /another cluster/);
      assert.match(lossIn({ ...SIGHT, lead: 4 }, memory) ?? "", /younger/);
      assert.match(lossIn({ ...SIGHT, history: undefined }, memory) ?? "", /no history/);
    }
  });

  it("is seen by those who remember: an earlier revision, a beat that is gone, an epoch that is gone", () => {
    assert.match(lossIn({ ...SIGHT, header: { clusterId: "c1", revision: 99 } }, MEMORY) ?? "", /revision/);
    assert.match(lossIn({ ...SIGHT, beat: "gone" }, MEMORY) ?? "", /beat/);
    const older = { ...HISTORY, number: 2, epoch: "c1:2:w" };
    assert.match(lossIn({ ...SIGHT, history: older }, MEMORY) ?? "", /epoch/);
    assert.match(lossIn({ ...SIGHT, history: { ...HISTORY, epoch: "c1:3:y" } }, MEMORY) ?? "", /epoch/);
  });

  it("is nobody's business any more where somebody else has begun the next history", () => {
    const next = { ...HISTORY, number: 4, epoch: "c1:4:y" };
    assert.equal(lossIn({ ...SIGHT, history: next, header: { clusterId: "c1", revision: 50 }, beat: "gone" }, MEMORY), undefined);
  });

  it("is not judged by logs of several members, as behind a proxy, or of one that does not tell", () => {
    const status = (memberId: string, appliedIndex: number) => ({ header: { clusterId: "c1", memberId, revision: 0, raftTerm: 2 }, version: "3.5.0", dbSizeBytes: 0, leader: "a", appliedIndex, errors: [], learner: false });
    const answer = { memberId: "a", revision: 100 };
    assert.deepEqual(leadBetween(status("a", 107), answer, status("a", 109)), { least: 7, most: 9 });
    for (const [before, after] of [[status("b", 107), status("a", 109)], [status("a", 107), status("b", 90)], [status("a", 0), status("a", 109)]] as const) {
      assert.deepEqual(leadBetween(before, answer, after), { least: null, most: null });
    }
  });

  it("begins a history whose number is greater than any that was seen", () => {
    const older = { ...HISTORY, number: 2, epoch: "c1:2:w" };
    assert.deepEqual(nextHistory({ ...SIGHT, history: older }, MEMORY, { id: "z", lead: 1 }), { epoch: "c1:4:z", number: 4, clusterId: "c1", lead: 1 });
    assert.equal(nextHistory({ ...SIGHT, history: undefined }, NOTHING, { id: "z", lead: null }).number, 1);
  });
});

await describeWithEtcd("a backup of etcd that is put back", {}, (cluster) => {
  const at = (prefix: string) => etcd({ url: cluster.urlOf({ prefix }) });

  it("is found by a process that was never there before, although names, addresses and token are the same: nothing is free, and tokens are of a new range", async (t) => {
    const before = sceneOn(t, at("cold"));
    const member = await before.member();
    await member.createElection("scheduler");
    const seen = await member.beat();
    const backup = await cluster.backup();
    const token = await member.lead("scheduler");
    await cluster.restoreBackup(backup);
    const after = sceneOn(t, at("cold"));
    const cold = await after.member({ group: before.group, node: "cold" });
    const first = await cold.beat();
    assert.notEqual(first.epoch, seen.epoch);
    assert.equal(first.epoch.split(":")[0], seen.epoch.split(":")[0], "the cluster has the identity of the old one");
    const row = await cold.row("scheduler");
    assert.deepEqual([row.token, row.epoch === first.epoch], [0, false], "the claim is lost, and the row says that it is of another epoch: nobody takes it at once");
    assert.ok(((await cold.claim("scheduler"))?.token ?? 0) > token);
  });

  it("again and again is a new epoch each time", async (t) => {
    const epochs = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const scene = sceneOn(t, at("again"));
      const member = await scene.member();
      epochs.add((await member.beat()).epoch);
      await cluster.restoreBackup();
    }
    assert.equal(epochs.size, 3);
  });

  it("a restart of the cluster is no new epoch", async (t) => {
    const scene = sceneOn(t, at("restart"));
    const member = await scene.member();
    const before = await member.beat();
    await cluster.cut();
    await member.reconnect();
    const after = await member.beat({ cursor: cursorOf(before) });
    assert.deepEqual([after.accepted, after.epoch, after.generation], [true, before.epoch, before.generation]);
  });

  it("sessions that are opened while others of the same process write find nothing lost", async (t) => {
    const scene = sceneOn(t, at("busy"));
    const member = await scene.member();
    const { epoch } = await member.beat();
    const opened = new AbortController();
    const writes = (async () => {
      while (!opened.signal.aborted) await member.beat();
    })();
    const sessions = await Promise.all(Array.from({ length: 20 }, async () => await scene.session()));
    opened.abort();
    await writes;
    const seen = await Promise.all(sessions.map(async (session) => (await session.readGroup(scene.call))?.epoch));
    assert.deepEqual(new Set(seen), new Set([epoch]));
  });

  it("a beat that is gone is noticed by its sender, although the store's revision has gone on: its session begins a new epoch", async (t) => {
    const store = at("gone");
    const scene = sceneOn(t, store);
    const member = await scene.member();
    const before = await member.beat();
    // As if the beat had been in commits that a member which was behind never got, and others had written since.
    const key = `gone/groups/${scene.group}/beat/${member.incarnation}`;
    const kept = (await cluster.control(["get", key, "--print-value-only"])).trim();
    assert.match(kept, /"beat":1/);
    const backup = await cluster.backup();
    await member.beat();
    await cluster.restoreBackup(backup);
    for (let n = 0; n < 10; n++) await cluster.control(["put", "others", String(n)]);
    await member.reconnect();
    const after = await member.beat();
    assert.notEqual(after.epoch, before.epoch);
    assert.equal(after.generation, before.generation + 1);
  });

  it("under nodes that run: at no instant two believe, and tokens go on growing", async (t) => {
    const beliefs: Belief[] = [];
    const leading = () => beliefs.find((belief) => belief.untilMs === Number.POSITIVE_INFINITY);
    const a = await contender(t, beliefs, { node: "a", store: at("running") });
    await until("a leads", () => leading()?.node === "a");
    await contender(t, beliefs, { node: "b", store: at("running") });
    const backup = await cluster.backup();
    await a.election("scheduler").transferTo("b");
    await until("b leads, in a term that is not in the backup", () => leading()?.node === "b");
    await cluster.restoreBackup(backup);
    await until("somebody leads in a later range", () => (leading()?.token ?? 0) >= 2 * TOKENS_PER_GENERATION);
    assert.deepEqual(contradictions(beliefs), []);
  });
});
