import assert from "node:assert/strict";
import { after, it } from "node:test";
import { seededRandom, systemClock } from "../../../src/kernel/index.ts";
import { Connection, turnFrom } from "../../../src/store/etcd/connection.ts";
import type { ConnectionSource } from "../../../src/store/etcd/connection.ts";
import { etcd } from "../../../src/store/etcd/index.ts";
import { checkOptions } from "../../../src/store/etcd/options.ts";
import type { Scene } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { EtcdPeers } from "../../support/etcd-peers.ts";
import { contender, contradictions, describeWithEtcd, sceneOn, until } from "./here.ts";
import type { Belief } from "./here.ts";

const peers = new EtcdPeers();

await describeWithEtcd("three members of etcd", { members: 3, peersThrough: async ({ port }) => await peers.before(port) }, (cluster) => {
  after(async () => await peers.close());
  const at = (prefix: string, ports?: readonly number[]) => etcd({ url: cluster.urlOf({ prefix, ...(ports === undefined ? {} : { ports }) }) });
  const leading = (beliefs: readonly Belief[]) => beliefs.find((belief) => belief.untilMs === Number.POSITIVE_INFINITY);
  /** All members that answer agree that one of them leads. */
  const whole = async () => {
    for (let tried = 0; ; tried++) {
      try {
        return await cluster.leader();
      } catch (error) {
        if (tried === 100) throw error;
      }
    }
  };
  /** How often a node has beaten, read by somebody else. */
  const beatOf = async (scene: Scene, node: string) => {
    const session = await scene.session({ group: "billing" });
    const reading = await session.readGroup(scene.call);
    await session.close();
    return reading?.presence.find((row) => row.node === node && row.state === "alive")?.beat ?? 0;
  };

  it("nodes begin at members of chance, and each stays with its own until that fails it", async () => {
    await whole();
    const opened = async (source: ConnectionSource, seed: number) => {
      const context = { clock: systemClock, random: seededRandom(seed), deadlineMs: 20_000 };
      const { connection } = await Connection.open(source, { context, operation: "opening", prepare: () => Promise.resolve() });
      connection.destroy();
      return connection.endpoint;
    };
    const firsts: number[] = [];
    for (let seed = 1; seed <= 12; seed++) {
      const source: ConnectionSource = { ...checkOptions({ url: cluster.url }), turn: undefined };
      const first = await opened(source, seed);
      firsts.push(first.port);
      assert.equal(await opened(source, seed + 100), first);
      turnFrom(source, first);
      assert.notEqual(await opened(source, seed + 200), first);
    }
    assert.deepEqual(new Set(firsts), new Set(cluster.members.map((member) => member.port)));
  });

  it("the leading server is killed: the term stands, beats go on through another one, and nobody else is elected", async (t) => {
    await whole();
    const beliefs: Belief[] = [];
    const timings = { leaseMs: 12_000, beatMs: 500 };
    await contender(t, beliefs, { node: "a", store: at("kill-leader"), ...timings });
    await until("a leads", () => leading(beliefs));
    await contender(t, beliefs, { node: "b", store: at("kill-leader"), ...timings });
    const leader = await cluster.leader();
    await leader.kill("SIGKILL");
    const scene = sceneOn(t, at("kill-leader"));
    const before = await scene.until("a majority answers", async () => await beatOf(scene, "a").catch(() => undefined));
    await scene.until("beats go on", async () => ((await beatOf(scene, "a")) >= before + 3 ? true : undefined));
    assert.deepEqual(beliefs.map((belief) => [belief.node, belief.untilMs]), [["a", Number.POSITIVE_INFINITY]]);
    await leader.start();
  });

  it("the leading server is frozen: the term stands, beats go on through another one", async (t) => {
    await whole();
    const beliefs: Belief[] = [];
    await contender(t, beliefs, { node: "a", store: at("freeze-leader"), leaseMs: 12_000, beatMs: 500 });
    await until("a leads", () => leading(beliefs));
    const leader = await cluster.leader();
    await leader.pause();
    t.after(async () => leader.resume());
    const awake = cluster.members.filter((member) => member !== leader).map((member) => member.port);
    const scene = sceneOn(t, at("freeze-leader", awake));
    const before = await scene.until("a majority answers", async () => await beatOf(scene, "a").catch(() => undefined));
    await scene.until("beats go on", async () => ((await beatOf(scene, "a")) >= before + 3 ? true : undefined));
    assert.deepEqual(beliefs.map((belief) => [belief.node, belief.untilMs]), [["a", Number.POSITIVE_INFINITY]]);
    leader.resume();
  });

  it("the majority is lost: everybody stops and nobody is elected; when it is back somebody leads, with a greater token", async (t) => {
    await whole();
    const beliefs: Belief[] = [];
    for (const node of ["a", "b"]) await contender(t, beliefs, { node, store: at("majority") });
    await until("somebody leads", () => leading(beliefs));
    const [one, two, three] = cluster.members;
    await Promise.all([one?.kill("SIGKILL"), two?.kill("SIGKILL")]);
    await until("the term ends", () => leading(beliefs) === undefined);
    const lost = beliefs.length;
    await assert.rejects(at("majority").open(sceneOn(t, at("majority")).context({ deadlineMs: 4_000 })), { code: "STORE_NO_QUORUM" });
    assert.equal(beliefs.length, lost, "nobody was elected without a majority");
    assert.ok(three !== undefined);
    await Promise.all([one?.start(), two?.start()]);
    await until("somebody leads again", () => leading(beliefs));
    assert.deepEqual(contradictions(beliefs), []);
  });

  it("a minority is cut off with the node that leads: it stops within its trust, and then another one leads on the other side", async (t) => {
    await whole();
    const members = JSON.parse(await cluster.control(["member", "list", "--write-out=json"])) as { readonly members: readonly { readonly name: string }[] };
    assert.equal(members.members.length, 3);
    const [minority, ...majority] = cluster.members;
    assert.ok(minority !== undefined);
    const id = new RegExp(`^([0-9a-f]+), \\w+, ${minority.place.name},`, "m").exec(await cluster.control(["member", "list"]))?.[1] ?? assert.fail("no such member");
    const beliefs: Belief[] = [];
    await contender(t, beliefs, { node: "cut", store: at("minority", [minority.port]) });
    await until("the node leads that is going to be cut off", () => leading(beliefs));
    await contender(t, beliefs, { node: "other", store: at("minority", majority.map((member) => member.port)) });
    peers.isolate({ id, port: minority.peerPort });
    t.after(async () => peers.isolate(undefined));
    await until("the other one leads", () => leading(beliefs)?.node === "other");
    assert.deepEqual(contradictions(beliefs), []);
    peers.isolate(undefined);
    await whole();
  });

  it("all servers are frozen for longer than a lease: everybody stops, and somebody leads when they go on", async (t) => {
    await whole();
    const beliefs: Belief[] = [];
    for (const node of ["a", "b"]) await contender(t, beliefs, { node, store: at("frozen") });
    await until("somebody leads", () => leading(beliefs));
    await cluster.pause();
    t.after(async () => cluster.resume());
    await until("the term ends", () => leading(beliefs) === undefined);
    cluster.resume();
    await until("somebody leads again", () => leading(beliefs));
    assert.deepEqual(contradictions(beliefs), []);
  });

  it("a leader's link to etcd is black-holed for ten leases: at no instant two believe", async (t) => {
    await whole();
    const timings = { leaseMs: 1_500, beatMs: 300, stopBudgetMs: 300 };
    const proxies = await Promise.all(cluster.members.map(async (member) => await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: member.port })));
    t.after(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
    const beliefs: Belief[] = [];
    await contender(t, beliefs, { node: "cut", store: at("hole", proxies.map((proxy) => proxy.port)), ...timings });
    await until("the node leads whose link is going to be cut", () => leading(beliefs));
    await contender(t, beliefs, { node: "other", store: at("hole"), ...timings });
    const cutAtMs = performance.now();
    await Promise.all(proxies.map((proxy) => proxy.mode({ kind: "blackhole" })));
    const next = await until("the other one leads", () => beliefs.find((belief) => belief.node === "other"));
    await until("ten leases are over", () => performance.now() > cutAtMs + 10 * timings.leaseMs);
    await Promise.all(proxies.map((proxy) => proxy.mode({ kind: "pass" })));
    assert.deepEqual(contradictions(beliefs), []);
    assert.equal(next.untilMs, Number.POSITIVE_INFINITY, "the other one went on leading");
  });
});
