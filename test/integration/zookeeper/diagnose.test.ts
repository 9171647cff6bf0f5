import assert from "node:assert/strict";
import { it } from "node:test";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import type { DiagnoseContext, Finding } from "../../../src/store/index.ts";
import { judgeEnsemble, serverFinding } from "../../../src/store/zookeeper/diagnose.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import type { ZookeeperOptions } from "../../../src/store/zookeeper/index.ts";
import { describeWithServer, sceneOn } from "./here.ts";

const PASSWORD = "hunter2-and-more";

await describeWithServer("what tribune doctor finds on ZooKeeper", {}, async (server) => {
  const diagnosed = async (options: ZookeeperOptions, over: Partial<DiagnoseContext> = {}): Promise<ReadonlyMap<string, Finding>> => {
    const context = { group: "g", node: "doctor", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 5_000, statementLimitMs: 5_000, createSchema: false, nodes: 1, leaseMs: 4_000, ...over };
    const findings = (await zookeeper(options).diagnose?.(context)) ?? [];
    assert.ok(!JSON.stringify(findings).includes(PASSWORD));
    return new Map(findings.map((finding) => [finding.check, finding]));
  };

  it("of a server that has nothing yet: who may make the root, the version, the clock to within a second", async () => {
    const findings = await diagnosed({ url: server.url, root: "/not-yet" });
    assert.equal(findings.get("write")?.level, "ok");
    assert.match(findings.get("write")?.found ?? "", /may make \/not-yet below \//);
    assert.ok(findings.get("server")?.found.includes(server.version));
    assert.equal(findings.get("clock")?.level, "ok");
    assert.match(findings.get("ensemble")?.next ?? "", /ensemble of three/);
  });

  it("of a root that is closed to this identity: that it may not, and what to do", async (t) => {
    await sceneOn(t, zookeeper({ url: `zookeeper://ops:${PASSWORD}@${server.address}`, root: "/closed" })).member();
    const owner = await diagnosed({ url: `zookeeper://ops:${PASSWORD}@${server.address}`, root: "/closed" });
    assert.deepEqual([owner.get("write")?.level, owner.get("way")?.level], ["ok", "warn"]);
    for (const url of [server.url, `zookeeper://ops:not-${PASSWORD}@${server.address}`]) {
      const { level, next } = (await diagnosed({ url, root: "/closed" })).get("write") ?? {};
      assert.equal(level, "fail");
      assert.match(next ?? "", /permissions/);
    }
  });

  it("of a lease that is longer than the session that is granted: that a slow node loses its connection first", async () => {
    const { level } = (await diagnosed({ url: server.url, sessionTimeoutMs: 2_000 }, { leaseMs: 15_000 })).get("session") ?? {};
    assert.equal(level, "warn");
  });

  it("of an ensemble: who leads, who is silent, and that servers which stand alone are none", () => {
    const [a, b, c] = [{ address: "a:1", mode: "leader", silent: false }, { address: "b:1", mode: "follower", silent: false }, { address: "c:1", mode: undefined, silent: true }] as const;
    assert.deepEqual(judgeEnsemble([a, b], "a:1"), { check: "ensemble", level: "ok", found: "a:1 leader, b:1 follower" });
    assert.equal(judgeEnsemble([a, b, c], "a:1").level, "warn");
    assert.equal(judgeEnsemble([b], "b:1").level, "warn");
    assert.equal(judgeEnsemble([{ ...a, mode: "standalone" }, { ...b, mode: "standalone" }], "a:1").level, "fail");
    assert.equal(judgeEnsemble([a, { ...b, mode: "read-only" }], "a:1").level, "warn");
    assert.match(serverFinding({ version: undefined, mode: undefined }).found, /does not tell/);
  });
});
