import assert from "node:assert/strict";
import { it } from "node:test";
import { systemClock } from "../../../src/kernel/index.ts";
import { etcd, fenceComparison } from "../../../src/store/etcd/index.ts";
import { COORDINATOR } from "../../../src/store/index.ts";
import type { FenceHandle } from "../../../src/store/index.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { describeWithEtcd, sceneOn } from "./here.ts";

const ELECTION = "scheduler";

function fenceOf(member: Member, token: number, over: Partial<FenceHandle> = {}): FenceHandle {
  return { group: member.scene.group, election: ELECTION, token, leaseMs: 4_000, clock: systemClock, mayAct: () => true, over: new AbortController().signal, ...over };
}

await describeWithEtcd("fenced transactions on etcd", {}, (cluster) => {
  it("see what they have written themselves, and nobody else does before the commit", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "own" }) });
    const member = await sceneOn(t, store).member();
    const fence = fenceOf(member, await member.lead(ELECTION));
    await store.fenced.transaction(fence, async (tx) => {
      tx.put("mine/a", "1");
      tx.put("mine/b", "2");
      tx.delete("mine/b");
      assert.deepEqual([await tx.get("mine/a"), await tx.get("mine/b"), await tx.get("mine/c")], ["1", null, null]);
      assert.equal(await cluster.control(["get", "mine/", "--prefix"]), "");
    });
    assert.equal(await cluster.control(["get", "mine/", "--prefix"]), "mine/a\n1\n");
    await store.fenced.transaction(fence, (tx) => tx.deleteBelow("mine/"));
    assert.equal(await cluster.control(["get", "mine/", "--prefix"]), "");
  });

  it("with the fence's key removed by hand: the standing term is FENCE_NOT_FOUND, views and documents make it anew, and so does the next term", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "gone" }) });
    const scene = sceneOn(t, store);
    const [a, b] = [await scene.member(), await scene.member()];
    const coordinating = await a.coordinate();
    const fence = fenceOf(a, await a.lead(ELECTION));
    const remove = async (election: string) => await cluster.control(["del", `gone/groups/${scene.group}/fence/${election}`]);
    await store.fenced.transaction(fence, (tx) => tx.put("gone-mine/a", "1"));
    await Promise.all([remove(ELECTION), remove(COORDINATOR)]);
    await assert.rejects(store.fenced.transaction(fence, (tx) => tx.put("gone-mine/a", "2")), { code: "FENCE_NOT_FOUND" });
    assert.equal(await a.publish(coordinating + 1), false, "for somebody else it stands nowhere");
    assert.equal(await a.publish(coordinating), true);
    const write = async (token: number, expectedVersion: number) => await a.session.writeDocument({ name: "d", text: "x", expectedVersion, fence: { election: ELECTION, token, incarnation: a.incarnation } }, a.call);
    assert.deepEqual([await write(fence.token + 1, 0), await write(fence.token, 0)], [false, true]);
    await store.fenced.transaction(fence, (tx) => tx.put("gone-mine/a", "3"));
    await remove(ELECTION);
    await b.declareDead(a);
    const token = (await b.claim(ELECTION))?.token ?? 0;
    assert.ok(token > fence.token);
    assert.equal(await b.passFence(ELECTION, token), "passed");
    await store.fenced.transaction(fenceOf(b, token), (tx) => tx.put("gone-mine/a", "4"));
    await assert.rejects(store.fenced.transaction(fence, (tx) => tx.put("gone-mine/a", "5")), { code: "TERM_LOST" });
  });

  it("that read what somebody else changes before their commit are STORE_BUSY, and write nothing: a key, one that was not there, one below a prefix", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "busy" }) });
    const member = await sceneOn(t, store).member();
    const fence = fenceOf(member, await member.lead(ELECTION));
    await cluster.control(["put", "read/a", "1"]);
    const changes: readonly (readonly [string, readonly string[]])[] = [
      ["read/a", ["put", "read/a", "2"]],
      ["read/b", ["put", "read/b", "1"]],
      ["below", ["put", "read/c", "1"]],
      ["below", ["del", "read/c"]],
    ];
    for (const [key, change] of changes) {
      const late = store.fenced.transaction(fence, async (tx) => {
        if (key === "below") await tx.getBelow("read/");
        else await tx.get(key);
        await cluster.control(change);
        tx.put("read/result", "written");
      });
      await assert.rejects(late, { code: "STORE_BUSY", retryable: true }, change.join(" "));
    }
    assert.equal(await cluster.control(["get", "read/result"]), "");
  });

  it("may not touch the keys of Tribune, nor more than fit into one request, nor go on after their end", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "limits" }) });
    const member = await sceneOn(t, store).member();
    const fence = fenceOf(member, await member.lead(ELECTION));
    for (const write of ["limits/schema", ""]) await assert.rejects(store.fenced.transaction(fence, (tx) => tx.put(write, "x")), { code: "INVALID_OPTIONS" });
    for (const prefix of ["limits/groups/", "lim"]) await assert.rejects(store.fenced.transaction(fence, (tx) => tx.deleteBelow(prefix)), { code: "INVALID_OPTIONS" });
    const many = store.fenced.transaction(fence, (tx) => {
      for (let n = 0; n < 129; n++) tx.put(`many/${n}`, "x");
    });
    await assert.rejects(many, { code: "INVALID_OPTIONS", message: /128/ });
    let kept: { put(key: string, value: string): void } | undefined;
    await store.fenced.transaction(fence, (tx) => {
      kept = tx;
    });
    assert.throws(() => kept?.put("late", "x"), { code: "TRANSACTION_REQUIRED" });
  });

  it("of another client are held by the comparison: it holds while the term stands, not before it passed the fence, and not after a later one did", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "theirs" }) });
    const scene = sceneOn(t, store);
    const [a, b] = [await scene.member(), await scene.member()];
    const attempt = async (token: number) => {
      const { key, value } = fenceComparison({ prefix: "theirs", group: scene.group, election: ELECTION, token });
      return await cluster.commit({ compare: `value("${key}") = "${value}"`, success: `put written ${token}` });
    };
    const token = await a.hold(ELECTION);
    assert.equal(await attempt(token), false);
    await a.passFence(ELECTION, token);
    assert.equal(await attempt(token), true);
    await b.declareDead(a);
    const next = await b.lead(ELECTION);
    assert.equal(await attempt(token), false);
    assert.equal(await attempt(next), true);
    assert.equal((await cluster.control(["get", "written", "--print-value-only"])).trim(), String(next));
  });

  it("whose answer to the commit is lost are COMMIT_UNKNOWN; the next one has a connection of its own", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: cluster.member.port });
    t.after(async () => await proxy.close());
    const store = etcd({ url: cluster.urlOf({ prefix: "unknown", ports: [proxy.port] }) });
    const member = await sceneOn(t, store).member();
    const token = await member.lead(ELECTION);
    const broken = store.fenced.transaction(fenceOf(member, token, { leaseMs: 1_000 }), async (tx) => {
      tx.put("unknown", "1");
      await proxy.mode({ kind: "hold", direction: "toClient" });
    });
    await assert.rejects(broken, { code: "COMMIT_UNKNOWN" });
    await proxy.mode({ kind: "pass" });
    await store.fenced.transaction(fenceOf(member, token), (tx) => tx.put("known", "1"));
    assert.equal((await cluster.control(["get", "known", "--print-value-only"])).trim(), "1");
  });

  it("that cannot be sent to anybody say so, and not that they may have been done", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "nobody" }) });
    const member = await sceneOn(t, store).member();
    const token = await member.lead(ELECTION);
    const lone = etcd({ url: cluster.urlOf({ prefix: "nobody" }) });
    t.after(async () => await lone.close());
    await cluster.member.kill("SIGKILL");
    await assert.rejects(lone.fenced.transaction(fenceOf(member, token), (tx) => tx.put("x", "1")), { code: "STORE_UNREACHABLE" });
    await cluster.start();
  });
});
