import assert from "node:assert/strict";
import { it } from "node:test";
import { isTribuneError, systemClock } from "../../../src/kernel/index.ts";
import { foreign, zookeeper, ZookeeperError } from "../../../src/store/zookeeper/index.ts";
import type { ForeignMulti, ZookeeperTransaction } from "../../../src/store/zookeeper/index.ts";
import { OPEN_ACL } from "../../../src/store/zookeeper/client/records.ts";
import type { Operation } from "../../../src/store/zookeeper/client/records.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { describeWithServer, fenceOf, sceneOn, until } from "./here.ts";
import { once } from "./place.ts";

const ELECTION = "scheduler";

/** The successor takes the election of a holder that stopped answering; the fence stays where it was. */
async function claimFrom(successor: Member, holder: Member): Promise<number> {
  await successor.declareDead(holder);
  return (await successor.claim(ELECTION))?.token ?? 0;
}

await describeWithServer("fenced transactions on ZooKeeper", {}, async (server) => {
  const read = async (path: string) => await once(server.url, async (client) => await client.request({ op: "getData", path }).then(({ data }) => data.toString(), () => undefined));
  const namesBelow = async (path: string) => await once(server.url, async (client) => (await client.request({ op: "getChildren", path })).children);

  it("do all of their operations or none: one that is refused is told by its place, and nothing else is done", async (t) => {
    const provider = zookeeper({ url: server.url });
    const member = await sceneOn(t, provider).member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION));
    await provider.fenced.transaction(fence, (tx) => void tx.create("/app").create("/app/a", "1").create("/app/b", "1"));
    const failing = provider.fenced.transaction(fence, (tx) => void tx.set("/app/a", "2").check("/app/b", 7).delete("/app/b"));
    await assert.rejects(failing, (error) => error instanceof ZookeeperError && error.code === "BADVERSION" && error.index === 1 && error.path === "/app/b");
    assert.deepEqual([await read("/app/a"), await read("/app/b")], ["1", "1"]);
    await provider.fenced.transaction(fence, async (tx) => {
      const a = await tx.get("/app/a");
      assert.deepEqual([a?.data.toString(), a?.version, await tx.get("/app/none"), (await tx.children("/app")).toSorted()], ["1", 0, null, ["a", "b"]]);
      tx.set("/app/a", "3", a?.version).delete("/app/b");
    });
    assert.deepEqual([await read("/app/a"), await read("/app/b")], ["3", undefined]);
  });

  it("leave nothing behind, whether they commit, fail or are given up", async (t) => {
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const member = await scene.member();
    const token = await member.lead(ELECTION);
    const fence = fenceOf(member, ELECTION, token);
    await provider.fenced.transaction(fence, () => undefined);
    await assert.rejects(provider.fenced.transaction(fence, (tx) => void tx.delete("/nowhere")), ZookeeperError);
    await assert.rejects(provider.fenced.transaction(fence, () => Promise.reject(new Error("mine"))), /mine/);
    const tx = await provider.begin();
    await provider.fenced.guard(fence, tx);
    await tx.rollback();
    assert.deepEqual(await namesBelow(`/tribune/groups/${scene.group}/fences/${ELECTION}/${token}`), []);
  });

  it("know paths inside the chroot, and refuse what is no path, and what comes after the end", async (t) => {
    const provider = zookeeper({ url: `${server.url}/apps/one` });
    const member = await sceneOn(t, provider).member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION));
    let kept: ZookeeperTransaction | undefined;
    await provider.fenced.transaction(fence, (tx) => {
      kept = tx.create("/state", "here");
    });
    assert.equal(await read("/apps/one/state"), "here");
    assert.throws(() => kept?.set("/state", "late"), { code: "TRANSACTION_REQUIRED" });
    for (const path of ["state", "/state/", "", "/a//b"]) await assert.rejects(provider.fenced.transaction(fence, (tx) => void tx.set(path, "x")), { code: "INVALID_OPTIONS" });
  });

  it("guard puts the comparison into a list of operations of another client: it is carried out only while no later term has passed", async (t) => {
    const provider = zookeeper({ url: `${server.url}/apps/two` });
    const scene = sceneOn(t, provider);
    const [a, b] = [await scene.member(), await scene.member()];
    const fence = fenceOf(a, ELECTION, await a.lead(ELECTION));
    /** As clients have it that know a chroot of their own. */
    const another = () => {
      const operations: Operation[] = [];
      const multi: ForeignMulti = { check: (path, version) => operations.push({ op: "check", path: `/apps/two${path}`, version }) };
      const commit = async () => await once(server.url, async (client) => await client.request({ op: "multi", operations: [...operations, { op: "create", path: `/apps/two/row-${operations.length}-${scene.random.id()}`, data: Buffer.alloc(0), acl: [{ permissions: 31, scheme: "world", id: "anyone" }] }] }));
      return { multi, commit };
    };
    const first = another();
    await provider.fenced.guard(fence, foreign(first.multi));
    await first.commit();
    const late = another();
    await provider.fenced.guard(fence, foreign(late.multi));
    const token = await claimFrom(b, a);
    assert.equal(await b.passFence(ELECTION, token), "passed", "the successor does not wait for it");
    await assert.rejects(late.commit(), (error) => error instanceof ZookeeperError && error.code === "NONODE" && error.index === 0);
    await assert.rejects(provider.fenced.guard(fence, foreign(another().multi)), { code: "TERM_LOST" });
    for (const no of [undefined, {}, 5]) await assert.rejects(provider.fenced.guard(fenceOf(b, ELECTION, token), no as never), { code: "TRANSACTION_REQUIRED" });
  });

  it("guard compares the token itself: what was put back from an older copy, and has gone on to another token with as many changes, is not taken for it", async (t) => {
    const provider = zookeeper({ url: server.url });
    const member = await sceneOn(t, provider).member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION));
    const operations: Operation[] = [];
    await provider.fenced.guard(fence, foreign({ check: (path, version) => operations.push({ op: "check", path, version }) }));
    const fences = `/tribune/groups/${member.scene.group}/fences/${ELECTION}`;
    const commit = async () => await once(server.url, async (client) => await client.request({ op: "multi", operations }));
    await commit();
    await once(server.url, async (client) => {
      await client.request({ op: "delete", path: `${fences}/${fence.token}`, version: -1 });
      await client.request({ op: "create", path: `${fences}/${fence.token + 7}`, data: Buffer.alloc(0), acl: OPEN_ACL });
    });
    await assert.rejects(commit(), (error) => error instanceof ZookeeperError && error.code === "NONODE");
    await assert.rejects(provider.fenced.transaction(fence, () => undefined), { code: "TERM_LOST" });
  });

  for (const removed of ["the token's znode", "the whole fence"]) {
    it(`with ${removed} removed by hand the next term passes all the same, and the last one writes nothing more`, async (t) => {
      const provider = zookeeper({ url: server.url });
      const scene = sceneOn(t, provider);
      const [a, b] = [await scene.member(), await scene.member()];
      const fence = fenceOf(a, ELECTION, await a.lead(ELECTION));
      const fences = `/tribune/groups/${scene.group}/fences/${ELECTION}`;
      await once(server.url, async (client) => {
        await client.request({ op: "delete", path: `${fences}/${fence.token}`, version: -1 });
        if (removed === "the whole fence") await client.request({ op: "delete", path: fences, version: -1 });
      });
      await assert.rejects(provider.fenced.transaction(fence, () => undefined), { code: removed === "the whole fence" ? "FENCE_NOT_FOUND" : "TERM_LOST" });
      const token = await claimFrom(b, a);
      assert.equal(await b.passFence(ELECTION, token), "passed");
      await provider.fenced.transaction(fenceOf(b, ELECTION, token), (tx) => void tx.create(`/after-${scene.random.id()}`));
      await assert.rejects(provider.fenced.transaction(fence, () => undefined), { code: "TERM_LOST" });
    });
  }

  it("hold the successor up for a lease from when they began, and not longer; then they cannot commit", async (t) => {
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const [a, b] = [await scene.member(), await scene.member()];
    const fence = fenceOf(a, ELECTION, await a.lead(ELECTION), { leaseMs: 600 });
    const token = await claimFrom(b, a);
    const sinceMs = systemClock.monotonicMs();
    const tx = await provider.begin();
    await provider.fenced.guard(fence, tx);
    tx.create(`/frozen-${scene.random.id()}`);
    assert.equal(await b.passFence(ELECTION, token), "busy");
    await until("the successor passes", async () => (await b.passFence(ELECTION, token)) === "passed");
    assert.ok(systemClock.monotonicMs() - sinceMs >= 590);
    await assert.rejects(tx.commit(), { code: "TERM_LOST" });
  });

  it("of a process that has been dead for a lease hold nobody up", async (t) => {
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const [a, b] = [await scene.member(), await scene.member()];
    const tx = await provider.begin();
    await provider.fenced.guard(fenceOf(a, ELECTION, await a.lead(ELECTION), { leaseMs: 300 }), tx);
    const sinceMs = systemClock.monotonicMs();
    await until("a lease is over", () => systemClock.monotonicMs() - sinceMs > 600);
    assert.equal(await b.passFence(ELECTION, await claimFrom(b, a)), "passed", "at the first attempt");
    await assert.rejects(tx.commit(), { code: "TERM_LOST" });
  });

  it("whose connection breaks before the commit wrote nothing; during the commit, it is COMMIT_UNKNOWN; the next one has a new connection", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const provider = zookeeper({ url: `zookeeper://127.0.0.1:${proxy.port}` });
    const direct = sceneOn(t, zookeeper({ url: server.url }));
    t.after(async () => await provider.close());
    const member = await direct.member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION), { leaseMs: 1_000 });
    const path = `/unknown-${direct.random.id()}`;
    const before = provider.fenced.transaction(fence, async (tx) => {
      proxy.resetAll();
      await tx.get("/zookeeper");
    });
    await assert.rejects(before, { code: "STORE_SESSION_ENDED" });
    const during = provider.fenced.transaction(fence, async (tx) => {
      tx.create(path, "x");
      await proxy.mode({ kind: "blackhole", direction: "toClient" });
    });
    await assert.rejects(during, (error) => isTribuneError(error, "COMMIT_UNKNOWN"));
    assert.equal(await read(path), "x", "this time it was carried out");
    await proxy.mode({ kind: "pass" });
    await provider.fenced.transaction(fence, (tx) => void tx.delete(path));
    assert.equal(await read(path), undefined);
  });

  it("that weigh more than a request may are refused before they are sent, and others on the same connection go on", async (t) => {
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const member = await scene.member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION));
    const paths = [`/heavy-${scene.random.id()}`, `/light-${scene.random.id()}`] as const;
    const light = await provider.begin();
    light.create(paths[1], "x");
    await assert.rejects(provider.fenced.transaction(fence, (tx) => void tx.create(paths[0], "x".repeat(1_100_000))), { code: "STORE_FAILED", retryable: false });
    await light.commit();
    assert.deepEqual([await read(paths[0]), await read(paths[1])], [undefined, "x"]);
    assert.deepEqual(await namesBelow(`/tribune/groups/${scene.group}/fences/${ELECTION}/${fence.token}`), [], "nobody waits for it");
  });

  it("do not wait for a server that hangs for longer than a lease, whatever they ask of it", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const provider = zookeeper({ url: `zookeeper://127.0.0.1:${proxy.port}` });
    t.after(async () => await provider.close());
    const member = await sceneOn(t, zookeeper({ url: server.url })).member();
    const fence = fenceOf(member, ELECTION, await member.lead(ELECTION), { leaseMs: 500 });
    await provider.fenced.transaction(fence, () => undefined);
    await proxy.mode({ kind: "hold" });
    await assert.rejects(provider.fenced.transaction(fence, () => undefined), { code: "STORE_TIMEOUT" });
    await proxy.mode({ kind: "pass" });
    const reading = provider.fenced.transaction(fence, async (tx) => {
      await proxy.mode({ kind: "hold" });
      await tx.get("/zookeeper");
    });
    await assert.rejects(reading, { code: "STORE_TIMEOUT" });
    await proxy.mode({ kind: "pass" });
  });
});
