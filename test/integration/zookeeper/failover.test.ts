import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { it } from "node:test";
import { isTribuneError, seededRandom, systemClock } from "../../../src/kernel/index.ts";
import { createCluster } from "../../../src/index.ts";
import type { Term } from "../../../src/index.ts";
import { TOKENS_PER_GENERATION } from "../../../src/store/index.ts";
import { ConnectionSource, openConnection } from "../../../src/store/zookeeper/connection.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import type { ZookeeperTransaction } from "../../../src/store/zookeeper/index.ts";
import { checkOptions } from "../../../src/store/zookeeper/options.ts";
import { cursorOf } from "../../../src/testing/conformance/scene.ts";
import type { Member } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import type { ZookeeperServer } from "../../support/zookeeper-server.ts";
import { describeWithEnsemble, describeWithServer, sceneOn, until } from "./here.ts";

type Context = Parameters<typeof sceneOn>[0];

/** The member gets a session wherever there is one to be had. */
async function reconnected(member: Member): Promise<void> {
  await until("a session can be opened", async () => {
    try {
      await member.reconnect();
      return true;
    } catch (error) {
      assert.ok(isTribuneError(error), String(error));
      return false;
    }
  });
}

/** A node that leads as soon as it may, and what it has led. */
function nodeOn(t: Context, options: { readonly url: string; readonly group: string; readonly node: string; readonly leaseMs?: number }): { readonly cluster: { start(): Promise<void> }; readonly terms: Term<ZookeeperTransaction>[]; readonly leads: () => boolean } {
  const { url, group, node, leaseMs = 4_000 } = options;
  const cluster = createCluster({ group, node, store: zookeeper({ url }), leaseMs, beatMs: leaseMs / 8 });
  const terms: Term<ZookeeperTransaction>[] = [];
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    await cluster.stop();
  });
  const lead = async (term: Term<ZookeeperTransaction>) => {
    terms.push(term);
    await new Promise<void>((resolve) => (term.signal.aborted ? resolve() : term.signal.addEventListener("abort", () => resolve(), { once: true })));
  };
  cluster.election("scheduler").lead(lead, { signal: stop.signal }).catch(() => undefined);
  return { cluster, terms, leads: () => terms.at(-1)?.mayAct() === true };
}

/** The server that the session is connected to. */
async function serverOf(servers: readonly ZookeeperServer[], session: string): Promise<ZookeeperServer> {
  for (const server of servers) if ((await server.ask("cons")).includes(`sid=${session},`)) return server;
  return assert.fail(`nobody has the session ${session}`);
}

/** What the servers know of sessions. */
async function dumped(servers: readonly ZookeeperServer[]): Promise<string> {
  return (await Promise.all(servers.map(async (server) => await server.ask("dump")))).join("\n");
}

async function revive(servers: readonly ZookeeperServer[]): Promise<void> {
  for (const server of servers) server.resume();
  await Promise.all(servers.filter((server) => !server.isRunning).map(async (server) => await server.start()));
  await Promise.all(servers.map(async (server) => await server.untilServing()));
}

await describeWithEnsemble("an ensemble of three", (ensemble) => {
  it("nodes begin at servers of chance, and do not go back to the one that failed them while there are others", async (t) => {
    const ports = new Set<number>();
    for (let seed = 1; seed <= 12; seed++) {
      const source = new ConnectionSource(checkOptions({ url: ensemble.url }));
      const opened = async (more: number) => {
        const { client } = await openConnection(source, { clock: systemClock, random: seededRandom(seed + more), deadlineMs: 20_000 }, { operation: "opening" });
        t.after(() => client.destroy());
        return client;
      };
      const first = await opened(0);
      ports.add(first.server.port);
      source.leave(first, systemClock);
      assert.notEqual((await opened(100)).server, first.server);
    }
    assert.deepEqual(ports, new Set(ensemble.servers.map(({ port }) => port)));
  });

  it("loses its leader by SIGKILL: the epoch stays, nothing that was answered is lost, and no token is given twice", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: ensemble.url }));
    const member = await scene.member();
    let token = 0;
    const { epoch } = await member.look();
    for (let round = 0; round < 3; round++) {
      const next = await member.lead(`e-${round}`);
      assert.equal((await member.beat()).accepted, true);
      const leader = await ensemble.leader();
      await leader.kill("SIGKILL");
      await reconnected(member);
      const seen = await member.beat();
      assert.deepEqual([seen.epoch, seen.accepted, seen.generation], [epoch, true, 1]);
      assert.equal((await member.row(`e-${round}`)).token, next);
      assert.equal(await member.passFence(`e-${round}`, next), "passed");
      assert.ok(next >= token);
      token = next;
      await revive(ensemble.servers);
    }
  });

  it("loses the server that a leading node speaks to: the node goes on on another one, within its trust, and keeps its term", async (t) => {
    const group = `kept-${Date.now()}`;
    const links = await Promise.all(ensemble.servers.map(async (server) => await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port })));
    t.after(async () => void (await Promise.all(links.map(async (link) => await link.close()))));
    const node = nodeOn(t, { url: `zookeeper://${links.map(({ port }) => `127.0.0.1:${port}`).join(",")}`, group, node: "one", leaseMs: 8_000 });
    await node.cluster.start();
    await until("it leads", node.leads);
    const [term] = node.terms;
    const followers = await ensemble.followers();
    for (let round = 0; round < 2; round++) {
      const used = links.findIndex((link) => link.connections > 0);
      const server = ensemble.servers[used];
      if (server === undefined) return assert.fail("it has no connection");
      // A follower dies; of the leader only the way to it breaks, since electing another one may take longer than a lease.
      if (followers.includes(server)) await server.kill("SIGKILL");
      else await links[used]?.mode({ kind: "refuse" }).then(() => links[used]?.resetAll());
      await until("it speaks to another server", () => links.some((link, n) => n !== used && link.connections > 0));
      await links[used]?.mode({ kind: "pass" });
      await revive(ensemble.servers);
      assert.ok(node.leads(), "it still leads");
    }
    assert.deepEqual(node.terms, [term]);
  });

  it("loses the server of a connection: the next one goes on in the same session of ZooKeeper, and in a new one once that has expired", async (t) => {
    const provider = zookeeper({ url: ensemble.url, sessionTimeoutMs: 3_000 });
    const member = await sceneOn(t, provider).member();
    /** Sessions that were granted three seconds: this test's own. */
    const sessions = async () => {
      const lists = await Promise.all(ensemble.servers.map(async (server) => (server.isRunning ? await server.ask("cons") : "")));
      return lists.flatMap((list) => [...list.matchAll(/sid=(0x[\da-f]+),[^)]*to=3000,/g)].map((match) => match[1] ?? ""));
    };
    const [first] = await sessions();
    const used = await serverOf(ensemble.servers, first ?? "");
    await used.kill("SIGKILL");
    await reconnected(member);
    assert.deepEqual(await sessions(), [first]);
    assert.equal((await member.beat()).accepted, true);
    await revive(ensemble.servers);
    await Promise.all(ensemble.servers.map(async (server) => await server.kill("SIGKILL")));
    await revive(ensemble.servers);
    const since = performance.now();
    await until("the ensemble has forgotten the session", async () => performance.now() - since > 3_500 && !(await dumped(ensemble.servers)).includes(first ?? ""));
    await reconnected(member);
    const [second] = await sessions();
    assert.notEqual(second, first);
    assert.equal((await member.beat()).accepted, true);
  });

  it("loses its majority: everybody stops within their lease, nobody is elected, and with the majority back somebody leads with a greater token", async (t) => {
    const group = `majority-${Date.now()}`;
    const nodes = ["one", "two"].map((node) => nodeOn(t, { url: ensemble.url, group, node, leaseMs: 2_000 }));
    for (const node of nodes) await node.cluster.start();
    await until("somebody leads", () => nodes.some((node) => node.leads()));
    const before = Math.max(...nodes.flatMap((node) => node.terms.map((term) => term.token)));
    const [first, second] = ensemble.servers;
    await Promise.all([first?.kill("SIGKILL"), second?.kill("SIGKILL")]);
    await until("everybody has stopped", () => !nodes.some((node) => node.leads()), 4_000);
    const counted = nodes.map((node) => node.terms.length);
    const since = performance.now();
    await until("two leases are over", () => performance.now() - since > 4_000);
    assert.deepEqual(nodes.map((node) => node.terms.length), counted, "nobody was elected");
    await revive(ensemble.servers);
    await until("somebody leads again", () => nodes.some((node) => node.leads()));
    assert.ok(Math.max(...nodes.flatMap((node) => node.terms.map((term) => term.token))) > before);
    assert.equal(nodes.filter((node) => node.leads()).length, 1);
  });

  it("is frozen as a whole for longer than a lease: trust ends, and afterwards the group finds together again, with the epoch it had", async (t) => {
    const group = `frozen-${Date.now()}`;
    const nodes = ["one", "two"].map((node) => nodeOn(t, { url: ensemble.url, group, node, leaseMs: 2_000 }));
    for (const node of nodes) await node.cluster.start();
    await until("somebody leads", () => nodes.some((node) => node.leads()));
    const observer = await sceneOn(t, zookeeper({ url: ensemble.url })).session({ group });
    const epoch = (await observer.readGroup({ deadlineMs: 10_000 }))?.epoch;
    await Promise.all(ensemble.servers.map(async (server) => await server.pause()));
    await until("everybody has stopped", () => !nodes.some((node) => node.leads()), 4_000);
    await revive(ensemble.servers);
    await until("one leads again", () => nodes.filter((node) => node.leads()).length === 1);
    const later = await sceneOn(t, zookeeper({ url: ensemble.url })).session({ group });
    assert.equal((await later.readGroup({ deadlineMs: 10_000 }))?.epoch, epoch);
  });

  it("has one server that is frozen: who speaks to it goes on on another one", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: ensemble.url }));
    const member = await scene.member();
    const [follower] = await ensemble.followers();
    await follower?.pause();
    t.after(async () => await revive(ensemble.servers));
    for (let n = 0; n < 4; n++) {
      await reconnected(member);
      assert.equal((await member.beat()).accepted, true);
    }
  });
});

await describeWithServer("a server that loses its history", {}, (server) => {
  /** Stops it, puts an older copy of its data in place, and starts it. */
  const restored = async (copy: string) => {
    await server.kill("SIGKILL");
    await rm(server.dataFolder, { recursive: true });
    await cp(copy, server.dataFolder, { recursive: true });
    await server.start();
  };

  it("and comes back with an older copy begins another epoch as soon as anybody opens it who has seen more; tokens are of a later range", async (t) => {
    const copy = `${server.place.folder}/copy`;
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const member = await scene.member();
    await member.createElection("e");
    const seen = await member.beat();
    await server.kill("SIGKILL");
    await cp(server.dataFolder, copy, { recursive: true });
    await server.start();
    await reconnected(member);
    const token = await member.lead("e");
    for (let n = 0; n < 5; n++) assert.equal((await member.beat()).accepted, true);
    await restored(copy);
    await reconnected(member);
    const first = await member.beat({ cursor: cursorOf(seen), generation: seen.generation });
    assert.notEqual(first.epoch, seen.epoch);
    assert.deepEqual([first.accepted, first.generation], [false, seen.generation + 1]);
    const row = await member.row("e");
    assert.deepEqual([row.token, row.epoch === first.epoch], [0, false], "the claim is lost, and its row is of another epoch: nobody takes it at once");
    const next = await member.claim("e");
    assert.equal(next?.token, first.generation * TOKENS_PER_GENERATION);
    assert.ok((next?.token ?? 0) > token);
  });

  it("and has newer transactions by then, but not one's own beats, begins another epoch with the next beat", async (t) => {
    const copy = `${server.place.folder}/copy-2`;
    const provider = zookeeper({ url: server.url });
    const scene = sceneOn(t, provider);
    const member = await scene.member();
    const seen = await member.beat();
    await server.kill("SIGKILL");
    await cp(server.dataFolder, copy, { recursive: true });
    await server.start();
    await reconnected(member);
    for (let n = 0; n < 3; n++) assert.equal((await member.beat()).accepted, true);
    await restored(copy);
    // Others, who saw nothing of what is lost, go on before this one comes back.
    const others = sceneOn(t, zookeeper({ url: server.url }));
    const other = await others.member();
    for (let n = 0; n < 20; n++) await other.beat();
    assert.equal((await other.look()).epoch, seen.epoch, "nobody has noticed yet");
    await reconnected(member);
    const refused = await member.beat({ cursor: cursorOf(seen), generation: seen.generation });
    assert.deepEqual([refused.accepted, refused.epoch === seen.epoch], [false, false]);
  });

  it("and has newer transactions by then, but not one's own joining, begins another epoch with the next beat", async (t) => {
    const copy = `${server.place.folder}/copy-3`;
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    const elder = await scene.member();
    await elder.beat();
    await server.kill("SIGKILL");
    await cp(server.dataFolder, copy, { recursive: true });
    await server.start();
    const member = await scene.member();
    const seen = await member.beat();
    await restored(copy);
    const others = sceneOn(t, zookeeper({ url: server.url }));
    const other = await others.member();
    for (let n = 0; n < 20; n++) await other.beat();
    await reconnected(member);
    const refused = await member.beat({ cursor: cursorOf(seen), generation: seen.generation });
    assert.deepEqual([refused.accepted, refused.self, refused.epoch === seen.epoch, refused.generation], [false, "absent", false, seen.generation + 1]);
  });

  it("under several sessions of one process begins one epoch, also where one of them is heard of late", async (t) => {
    const copy = `${server.place.folder}/copy-4`;
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, zookeeper({ servers: [`127.0.0.1:${proxy.port}`, `${server.host}:${server.port}`] }));
    const [one, late] = [await scene.member(), await scene.member()];
    await server.kill("SIGKILL");
    await cp(server.dataFolder, copy, { recursive: true });
    await server.start();
    await until("the one is beside the proxy", async () => {
      const before = proxy.connections;
      await reconnected(one);
      return proxy.connections === before;
    });
    await until("the late one is behind it", async () => {
      const before = proxy.connections;
      await reconnected(late);
      return proxy.connections > before;
    });
    for (let n = 0; n < 50; n++) await late.beat();
    await proxy.mode({ kind: "hold" });
    await restored(copy);
    await reconnected(one);
    const { epoch } = await one.beat();
    assert.equal(late.session.ended.aborted, false, "it has heard of nothing");
    late.session.destroy(new Error("too late"));
    await proxy.mode({ kind: "pass" });
    await reconnected(late);
    assert.equal((await late.look()).epoch, epoch);
  });

  it("that was only restarted goes on in its epoch", async (t) => {
    const member = await sceneOn(t, zookeeper({ url: server.url })).member();
    const seen = await member.beat();
    await server.restart();
    await reconnected(member);
    const again = await member.beat({ cursor: cursorOf(seen) });
    assert.deepEqual([again.accepted, again.epoch, again.generation], [true, seen.epoch, seen.generation]);
  });

  it("altogether has nothing of a group, and whoever comes back makes it anew with a later generation", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    const member = await scene.member();
    const seen = await member.beat();
    await server.kill("SIGKILL");
    await rm(`${server.dataFolder}/version-2`, { recursive: true });
    await server.start();
    await reconnected(member);
    await assert.rejects(member.beat(), { code: "GROUP_UNKNOWN" });
    const again = await scene.member({ generation: seen.generation });
    const reply = await again.beat();
    assert.deepEqual([reply.generation, reply.epoch === seen.epoch], [seen.generation + 1, false]);
    await again.createElection("e");
    assert.equal((await again.row("e")).epoch, "", "nothing in it is free for the taking");
  });
});
