import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once as event } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { createInterface } from "node:readline";
import { it } from "node:test";
import { inspect } from "node:util";
import { isTribuneError } from "../../../src/kernel/index.ts";
import type { ErrorCode } from "../../../src/kernel/index.ts";
import { JuteWriter } from "../../../src/store/zookeeper/client/jute.ts";
import { zookeeper } from "../../../src/store/zookeeper/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { startWithoutQuorum, startZookeeper } from "../../support/zookeeper-server.ts";
import type { ZookeeperServer } from "../../support/zookeeper-server.ts";
import { describeWithServer, sceneOn, until } from "./here.ts";
import { once } from "./place.ts";

type Context = Parameters<typeof sceneOn>[0];

const PASSWORD = "hunter2-and-more";

/** Opening fails with this code, says this, and never a password. */
async function refused(t: Context, url: string, code: ErrorCode, says: RegExp, deadlineMs = 5_000): Promise<void> {
  const scene = sceneOn(t, zookeeper({ url }));
  await assert.rejects(scene.session({ deadlineMs }), (error) => {
    assert.ok(isTribuneError(error, code), inspect(error));
    assert.match(error.message, says);
    assert.ok((error.next ?? "").length > 0, "it says what to do next");
    assert.ok(!inspect(error).includes(PASSWORD), "no password is in it");
    return true;
  });
}

/** Something that listens on a port, and says this to whoever comes. */
async function listener(t: Context, answer: (said: Buffer) => Buffer | undefined): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (said) => {
      const bytes = answer(said);
      if (bytes !== undefined) socket.write(bytes);
      if (said.toString() === "srvr") socket.end();
    });
  }).listen(0, "127.0.0.1");
  await event(server, "listening");
  t.after(async () => void server.close());
  return `zookeeper://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

await describeWithServer("trouble with ZooKeeper", { saslUsers: { bob: "builder" } }, async (server) => {
  const proxied = async (t: Context) => {
    const proxy = await startTcpFaultProxy({ targetHost: server.host, targetPort: server.port });
    t.after(async () => await proxy.close());
    return { proxy, url: `zookeeper://127.0.0.1:${proxy.port}` };
  };

  // ---- getting in

  it("servers that are not there are STORE_UNREACHABLE, naming each and what it said", async (t) => {
    await refused(t, "zookeeper://127.0.0.1:1,no-such-host.invalid", "STORE_UNREACHABLE", /127\.0\.0\.1:1: .*ECONNREFUSED[^]*no-such-host|no-such-host[^]*127\.0\.0\.1:1: .*ECONNREFUSED/);
  });

  it("a server that never answers is STORE_UNREACHABLE within the deadline, and the socket is gone", async (t) => {
    const { proxy, url } = await proxied(t);
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    await refused(t, url, "STORE_UNREACHABLE", /no answer|did not finish/, 300);
    await proxy.mode({ kind: "pass" });
    await until("the proxy notices", () => proxy.connections === 0);
  });

  it("a server that hangs does not keep others from being used", async (t) => {
    const { proxy, url } = await proxied(t);
    await proxy.mode({ kind: "blackhole" });
    for (let n = 0; n < 4; n++) {
      const session = await sceneOn(t, zookeeper({ url: `${url},${server.address}` })).session({ deadlineMs: 6_000 });
      assert.equal(session.ended.aborted, false);
    }
  });

  it("something that is no ZooKeeper is STORE_NOT_A_DATABASE, whatever it says", async (t) => {
    await refused(t, await listener(t, () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")), "STORE_NOT_A_DATABASE", /no ZooKeeper/);
    await refused(t, await listener(t, () => new JuteWriter().int(7).long(1n).int(2).int(3).int(4).frame()), "STORE_NOT_A_DATABASE", /no ZooKeeper/);
  });

  it("a server that is too old is STORE_FAILED, naming both versions, and not worth another try", async (t) => {
    const greeting = new JuteWriter().int(0).int(4_000).long(1n).buffer(Buffer.alloc(16)).bool(false).frame();
    const url = await listener(t, (said) => (said.toString() === "srvr" ? Buffer.from("Zookeeper version: 3.4.14-4c25d480e66, built on 03/06/2019\nMode: standalone\n") : greeting));
    await assert.rejects(sceneOn(t, zookeeper({ url })).session(), (error) => isTribuneError(error, "STORE_FAILED") && /3\.4\.14.*3\.5/.test(error.message) && !error.retryable);
  });

  it("servers without a quorum are STORE_UNREACHABLE, or STORE_READ_ONLY where they go on for readers", async (t) => {
    const readers = await startWithoutQuorum({ programs: server.place.programs });
    t.after(async () => await readers.stop());
    await refused(t, readers.url, "STORE_READ_ONLY", /quorum/);
    const plain = await startUseless(server);
    t.after(async () => await plain.stop());
    await refused(t, plain.url, "STORE_UNREACHABLE", /no quorum/);
  });

  it("a server without TLS is STORE_UNREACHABLE to who wants it, saying that TLS is the point", async (t) => {
    await refused(t, `${server.url}?tls=true`, "STORE_UNREACHABLE", /TLS|no answer|closed the connection/, 2_000);
  });

  it("what was made with user and password is closed to others: STORE_PERMISSION_DENIED with another password and with none", async (t) => {
    const at = `${server.address}/closed`;
    const owner = sceneOn(t, zookeeper({ url: `zookeeper://ops:${PASSWORD}@${at}` }));
    const member = await owner.member();
    assert.equal((await member.beat()).accepted, true);
    await refused(t, `zookeeper://ops:other-${PASSWORD}@${at}`, "STORE_PERMISSION_DENIED", /access list|password/);
    await refused(t, `zookeeper://${at}`, "STORE_PERMISSION_DENIED", /access list/);
  });

  it("what is printed for zkCli.sh makes a root that is closed to others, once the password is in its place", async (t) => {
    const at = `${server.address}/printed`;
    const printed = zookeeper({ url: `zookeeper://ops:${PASSWORD}@${at}` }).schema.statements(0);
    assert.ok(!printed.join().includes(PASSWORD));
    await server.cli(printed.map((line) => line.replace(/:PASSWORD$/, `:${PASSWORD}`)));
    const scene = sceneOn(t, zookeeper({ url: `zookeeper://ops:${PASSWORD}@${at}` }));
    const member = await scene.member({ session: await scene.session({ createSchema: false }) });
    assert.equal((await member.beat()).accepted, true);
    await refused(t, `zookeeper://${at}`, "STORE_PERMISSION_DENIED", /access list/);
  });

  it("a group whose znode may be read only is STORE_PERMISSION_DENIED to who joins, and the session goes on", async (t) => {
    const provider = zookeeper({ url: server.url, root: "/narrowed" });
    const scene = sceneOn(t, provider);
    await scene.member();
    await once(server.url, async (client) => {
      const { data } = await client.request({ op: "getData", path: `/narrowed/groups/${scene.group}` });
      await client.request({ op: "create", path: "/narrowed/groups/stranger", data, acl: [{ permissions: 1, scheme: "world", id: "anyone" }] });
    });
    const stranger = await scene.session({ group: "stranger" });
    await assert.rejects(stranger.join(scene.joinInput(), scene.call), { code: "STORE_PERMISSION_DENIED" });
    assert.equal(stranger.ended.aborted, false);
  });

  it("SASL lets who has the password in, and is STORE_AUTH_FAILED with another one, or where the server has none", async (t) => {
    const member = await sceneOn(t, zookeeper({ url: `zookeeper://bob:builder@${server.address}/sasl?auth=sasl` })).member();
    assert.equal((await member.beat()).accepted, true);
    await refused(t, `zookeeper://bob:${PASSWORD}@${server.address}/sasl?auth=sasl`, "STORE_AUTH_FAILED", /password/);
    await refused(t, `zookeeper://${server.address}/sasl`, "STORE_PERMISSION_DENIED", /access list/);
    const plain = await startZookeeper({ programs: server.place.programs });
    t.after(async () => await plain.stop());
    await refused(t, `zookeeper://bob:${PASSWORD}@${plain.address}?auth=sasl`, "STORE_AUTH_FAILED", /password|SASL/);
  });

  it("a znode at the root that is somebody else's is STORE_FAILED, and stays as it is", async (t) => {
    await once(server.url, async (client) => void (await client.request({ op: "create", path: "/theirs", data: Buffer.from("not ours"), acl: [{ permissions: 31, scheme: "world", id: "anyone" }] })));
    await refused(t, `${server.url}?root=/theirs`, "STORE_FAILED", /not Tribune's/);
    const { data } = await once(server.url, async (client) => await client.request({ op: "getData", path: "/theirs" }));
    assert.equal(data.toString(), "not ours");
  });

  it("an abort while opening rejects at once and leaves no connection", async (t) => {
    const { proxy, url } = await proxied(t);
    await proxy.mode({ kind: "blackhole" });
    const scene = sceneOn(t, zookeeper({ url }));
    const abort = new AbortController();
    const opening = scene.session({ signal: abort.signal });
    await until("it connects", () => proxy.connections === 1);
    abort.abort();
    await assert.rejects(opening, { code: "ABORTED" });
    await proxy.mode({ kind: "pass" });
    await until("the proxy notices", () => proxy.connections === 0);
  });

  // ---- staying connected

  for (const [what, fault] of [
    ["requests disappear", { kind: "blackhole", direction: "toServer" }],
    ["answers disappear", { kind: "blackhole", direction: "toClient" }],
    ["the server's process is frozen", { kind: "stall" }],
  ] as const) {
    it(`when ${what}, a call ends with its deadline, the session with it, and the socket is destroyed`, async (t) => {
      const { proxy, url } = await proxied(t);
      const member = await sceneOn(t, zookeeper({ url })).member();
      await proxy.mode(fault);
      const look = { cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] };
      await assert.rejects(member.session.look(look, { deadlineMs: 150 }), { code: "STORE_TIMEOUT" });
      assert.ok(isTribuneError(member.session.ended.reason, "STORE_TIMEOUT"));
      await proxy.mode({ kind: "pass" });
      await until("the proxy notices", () => proxy.connections === 0);
    });
  }

  it("a reset connection ends the session at once, with nobody asking anything of it, and the call under way rejects", async (t) => {
    const { proxy, url } = await proxied(t);
    const member = await sceneOn(t, zookeeper({ url })).member();
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    const rejected = assert.rejects(member.look(), { code: "STORE_SESSION_ENDED" });
    proxy.resetAll();
    await rejected;
    assert.ok(isTribuneError(member.session.ended.reason, "STORE_SESSION_ENDED"));
  });

  it("an idle connection stays for longer than the server's patience, since it says something now and then", async (t) => {
    const session = await sceneOn(t, zookeeper({ url: server.url, sessionTimeoutMs: 1_000 })).session();
    const began = performance.now();
    await until("two session times are over", () => performance.now() - began > 2_200);
    assert.equal(session.ended.aborted, false);
  });

  it("a server that falls silent under an idle connection is given up within the session's time", async (t) => {
    const { proxy, url } = await proxied(t);
    const session = await sceneOn(t, zookeeper({ url, sessionTimeoutMs: 1_000 })).session();
    await proxy.mode({ kind: "blackhole", direction: "toClient" });
    await until("the session ends", () => session.ended.aborted, 5_000);
    assert.ok(isTribuneError(session.ended.reason, "STORE_SESSION_ENDED"));
  });

  it("a session that expired while its process was frozen ends with a code, and the next one finds everything", async (t) => {
    const scene = sceneOn(t, zookeeper({ url: server.url }));
    const observer = await scene.member();
    const frozen = spawn(process.execPath, [new URL("frozen-member.ts", import.meta.url).pathname], {
      env: { ...process.env, FROZEN_MEMBER: JSON.stringify({ url: server.url, group: scene.group }) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.after(async () => void frozen.kill("SIGKILL"));
    const lines = createInterface({ input: frozen.stdout })[Symbol.asyncIterator]();
    const said = async () => JSON.parse((await lines.next()).value ?? "{}") as { readonly said: string; readonly token?: number; readonly code?: string; readonly accepted?: boolean; readonly passed?: string };
    const { token } = await said();
    const isConnected = async () => (await server.ask("cons")).includes("to=1000,");
    assert.ok(await isConnected());
    frozen.kill("SIGSTOP");
    await until("the server ends the session", async () => !(await isConnected()));
    frozen.kill("SIGCONT");
    const ended = await said();
    assert.deepEqual([ended.said, ended.code], ["ended", "STORE_SESSION_ENDED"]);
    assert.deepEqual(await said(), { said: "back", accepted: true, passed: "passed" });
    assert.equal((await observer.row("e")).token, token);
  });

  it("a view that ZooKeeper would not take is STORE_FAILED, saying so, and the session goes on", async (t) => {
    const member = await sceneOn(t, zookeeper({ url: server.url })).member();
    const token = await member.coordinate();
    const noise = () => Array.from({ length: 60 }, () => member.scene.random.id()).join("");
    const members = Array.from({ length: 1_000 }, (_, n) => ({ incarnation: `i-${n}`, node: `n-${n}`, metadata: noise(), metadataVersion: 1, joinOrder: n, joinedAtMs: 1 }));
    await assert.rejects(member.publish(token, { view: { version: 1, members, coordinator: null } }), (error) => isTribuneError(error, "STORE_FAILED") && /more than ZooKeeper takes/.test(error.message));
    assert.equal((await member.beat()).accepted, true);
    assert.equal((await member.look()).viewVersion, 0);
    const plain = members.map((each) => ({ ...each, metadata: { zone: "a" } }));
    assert.equal(await member.publish(token, { view: { version: 1, members: plain, coordinator: null } }), true, "a thousand members with ordinary metadata fit");
    assert.equal((await member.look()).view?.members.length, 1_000);
  });
});

/** A server of an ensemble that has no others, and is of no use to anybody. */
async function startUseless({ place: { programs } }: ZookeeperServer): Promise<ZookeeperServer> {
  const server = await startWithoutQuorum({ programs, properties: { "readonlymode.enabled": "false" } }, { untilServing: false });
  await until("it listens", async () => (await server.ask("srvr").catch(() => "")) !== "");
  return server;
}
