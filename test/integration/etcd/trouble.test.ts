import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { silentLogger, systemClock, systemRandom } from "../../../src/kernel/index.ts";
import { etcd } from "../../../src/store/etcd/index.ts";
import { bytesField, intField } from "../../../src/store/etcd/wire.ts";
import type { OpenContext, StoreProvider } from "../../../src/store/index.ts";
import { emptyView } from "../../../src/testing/conformance/scene.ts";
import { startTcpFaultProxy } from "../../../src/testing/tcp-fault-proxy.ts";
import { findEtcd, startEtcd } from "../../support/etcd-server.ts";
import { requireOrSkip } from "../../support/required.ts";
import { describeWithEtcd, sceneOn } from "./here.ts";

const run = promisify(execFile);
const PASSWORD = "geheim";

/** Nodes begin at an endpoint of chance, and stay with it: this one begins at the first. */
async function fromTheFirst(store: StoreProvider): Promise<StoreProvider> {
  const session = await store.open(context({ group: "first", random: { ...systemRandom, next: () => 0 } }));
  await session.close();
  return store;
}

function context(over: Partial<OpenContext> = {}): OpenContext {
  return { group: "billing", node: "trouble", clock: systemClock, random: systemRandom, logger: silentLogger, deadlineMs: 10_000, statementLimitMs: 10_000, createSchema: true, ...over };
}

await describeWithEtcd("endpoints of etcd", { members: 3 }, (cluster) => {
  const ports = cluster.members.map((member) => member.port);
  const endpoint = (port: number) => `127.0.0.1:${port}`;

  it("one that refuses, and one that is silent, are passed over, and the next session begins where this one found somebody", async (t) => {
    const refused = await closedPort();
    const silent = await silentServer(t);
    const store = await fromTheFirst(etcd({ endpoints: [endpoint(refused), endpoint(silent.port), endpoint(ports[1] ?? 0)], prefix: "passed-over" }));
    const scene = sceneOn(t, store);
    const member = await scene.member();
    assert.equal((await member.beat()).accepted, true);
    await scene.session({ deadlineMs: 5_000 });
    assert.equal(silent.asked, 1, "it was not asked again");
  });

  it("where all are silent, opening rejects within its deadline", async (t) => {
    const silent = await silentServer(t);
    const store = etcd({ endpoints: [endpoint(silent.port), `localhost:${silent.port}`] });
    await assert.rejects(store.open(context({ deadlineMs: 1_500 })), { code: "STORE_UNREACHABLE" });
  });

  it("one that hangs under a session ends it with the deadline of a call, and the next session is with another", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: ports[0] ?? 0 });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, await fromTheFirst(etcd({ endpoints: [endpoint(proxy.port), endpoint(ports[1] ?? 0)], prefix: "hanging" })));
    const member = await scene.member();
    await proxy.mode({ kind: "hold" });
    await assert.rejects(member.session.beat({ incarnation: member.incarnation, beat: 1, generation: 0, viewSeen: 0, cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, { deadlineMs: 300 }), { code: "STORE_TIMEOUT" });
    assert.equal(member.session.ended.aborted, true);
    await member.reconnect();
    assert.equal((await member.beat({ beat: 2 })).accepted, true);
  });

  it("a call that was cut off and arrives late counts as what it is: an older beat is not accepted after a newer one", async (t) => {
    const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: ports[0] ?? 0 });
    t.after(async () => await proxy.close());
    const scene = sceneOn(t, await fromTheFirst(etcd({ endpoints: [endpoint(proxy.port), endpoint(ports[1] ?? 0)], prefix: "late" })));
    const member = await scene.member();
    await member.beat({ beat: 1 });
    await proxy.mode({ kind: "hold", direction: "toClient" });
    await assert.rejects(member.session.beat({ incarnation: member.incarnation, beat: 2, generation: 0, viewSeen: 0, cursor: { epoch: "", electionsVersion: 0, viewVersion: 0 }, watch: [] }, { deadlineMs: 500 }), { code: "STORE_TIMEOUT" });
    await member.reconnect();
    const again = await member.beat({ beat: 2 });
    assert.equal(again.accepted, false, "it had arrived");
    assert.equal((await member.beat({ beat: 3 })).accepted, true);
  });
});

await describeWithEtcd("users of etcd", { auth: true }, (cluster) => {
  const urlOf = (user: string | undefined, password: string | undefined, prefix: string) => cluster.urlOf({ user, password, prefix });
  const addUser = async (name: string, permission: "read" | "readwrite", prefix: string) => {
    await cluster.control(["user", "add", `${name}:${PASSWORD}`]);
    await cluster.control(["role", "add", name]);
    await cluster.control(["role", "grant-permission", name, "--prefix=true", permission, prefix]);
    await cluster.control(["user", "grant-role", name, name]);
  };

  it("a wrong password, an unknown user, and none where one is asked for are STORE_AUTH_FAILED, whose message has no password", async () => {
    await addUser("known", "readwrite", "known/");
    for (const url of [urlOf("known", "wr0ng", "known"), urlOf("nobody", "wr0ng", "known"), urlOf(undefined, undefined, "known")]) {
      await assert.rejects(etcd({ url }).open(context()), (error: { code?: string; message?: string }) => {
        assert.equal(error.code, "STORE_AUTH_FAILED");
        assert.ok(!JSON.stringify(error).includes("wr0ng") && !(error.message ?? "").includes("wr0ng"));
        return true;
      });
    }
  });

  it("another prefix than the user's, and one that may only be read, are STORE_PERMISSION_DENIED, and nothing is written", async () => {
    await addUser("narrow", "readwrite", "narrow/");
    await addUser("reader", "read", "reader/");
    for (const [user, prefix] of [["narrow", "elsewhere"], ["reader", "reader"]] as const) {
      await assert.rejects(etcd({ url: urlOf(user, PASSWORD, prefix) }).open(context()), { code: "STORE_PERMISSION_DENIED" });
      assert.equal(await cluster.control(["get", `${prefix}/`, "--prefix", "--keys-only"]), "");
    }
  });

  it("a user whose permission is taken away is told so by each call, and goes on when it is given back", async (t) => {
    await addUser("revoked", "readwrite", "revoked/");
    const member = await sceneOn(t, etcd({ url: urlOf("revoked", PASSWORD, "revoked") })).member();
    assert.equal((await member.beat()).accepted, true);
    await cluster.control(["role", "revoke-permission", "revoked", "--prefix=true", "revoked/"]);
    await assert.rejects(member.beat(), { code: "STORE_PERMISSION_DENIED" });
    assert.equal(member.session.ended.aborted, false);
    await cluster.control(["role", "grant-permission", "revoked", "--prefix=true", "readwrite", "revoked/"]);
    assert.equal((await member.beat()).accepted, true);
  });

  it("a token that is no longer good is renewed, and the call that was refused for it is answered, on the same session", async (t) => {
    const scene = sceneOn(t, etcd({ url: urlOf("root", cluster.administrator?.password, "renewed") }));
    const member = await scene.member();
    assert.equal((await member.beat()).accepted, true);
    await cluster.control(["auth", "disable"]); // forgets all tokens
    await cluster.control(["auth", "enable"], { as: "nobody" });
    assert.equal((await member.beat()).accepted, true);
    assert.equal(await member.hold("scheduler") > 0, true);
    assert.equal(member.session.ended.aborted, false);
  });

  it("a user where the cluster asks for none is let in, with a warning", async (t) => {
    await cluster.control(["auth", "disable"]);
    t.after(async () => void (await cluster.control(["auth", "enable"], { as: "nobody" })));
    const session = await sceneOn(t, etcd({ url: urlOf("root", cluster.administrator?.password, "open") })).session();
    assert.match(session.info.warnings.join(" "), /enable authentication/);
  });
});

describe("etcd by TLS", { timeout: 60_000 }, () => {
  it("is spoken to where the certificate is good, with a certificate of one's own where that is asked for, and refused otherwise", async (t) => {
    const programs = await findEtcd();
    if ("missing" in programs) return requireOrSkip(t, "etcd", programs.missing);
    const folder = await mkdtemp(join(tmpdir(), "tribune-tls-"));
    t.after(async () => await rm(folder, { recursive: true, force: true }));
    const file = (name: string) => join(folder, name);
    const made = await makeCertificates(folder).catch((error: unknown) => error as Error);
    if (made instanceof Error) return requireOrSkip(t, "openssl", made.message);
    const cluster = await startEtcd({ programs, tls: { cert: file("server.pem"), key: file("server.key"), clientCa: file("ca.pem") } });
    t.after(async () => await cluster.stop());
    const { port } = cluster.member;
    const files = `ca=${file("ca.pem")}&cert=${file("client.pem")}&key=${file("client.key")}`;
    const scene = sceneOn(t, etcd({ url: `etcd://127.0.0.1:${port}/tls?${files}` }));
    const member = await scene.member();
    assert.equal((await member.beat()).accepted, true);
    assert.equal(member.session.info.hints, true);
    await assert.rejects(etcd({ url: `etcd://127.0.0.1:${port}/tls?tls=true` }).open(context()), { code: "STORE_UNREACHABLE", message: /TLS/ });
    await assert.rejects(etcd({ url: `etcd://127.0.0.1:${port}/tls?ca=${file("ca.pem")}` }).open(context()), { code: "STORE_UNREACHABLE" });
    await assert.rejects(etcd({ url: `etcd://127.0.0.1:${port}/tls` }).open(context()), { code: "STORE_UNREACHABLE" });
    await assert.rejects(etcd({ endpoints: [`https://127.0.0.1:${port}`], tls: { caFile: file("missing.pem") } }).open(context()), { code: "STORE_UNREACHABLE", message: /missing\.pem/ });
  });
});

describe("what is no etcd that can be used", () => {
  it("a server that is too old is refused, for good", async (t) => {
    const port = await oldEtcd(t, "3.3.27");
    await assert.rejects(etcd({ endpoints: [`127.0.0.1:${port}`] }).open(context()), { code: "STORE_FAILED", message: /3\.3\.27.*3\.4 is the oldest/, retryable: false });
  });

  it("something that speaks another protocol, or no gRPC, is refused", async (t) => {
    const other = createServer((socket) => socket.on("error", () => undefined).end("220 mail ready\r\n")).listen(0, "127.0.0.1");
    await once(other, "listening");
    t.after(async () => void other.close());
    await assert.rejects(etcd({ endpoints: [`127.0.0.1:${(other.address() as AddressInfo).port}`] }).open(context()), { code: "STORE_UNREACHABLE" });
    const web = createHttp2Server((_, response) => void response.writeHead(404).end()).listen(0, "127.0.0.1");
    await once(web, "listening");
    t.after(async () => void web.close());
    await assert.rejects(etcd({ endpoints: [`127.0.0.1:${(web.address() as AddressInfo).port}`] }).open(context()), { code: "STORE_FAILED", retryable: false });
  });

  it("nobody there is STORE_UNREACHABLE, and a signal calls it off", async () => {
    const port = await closedPort();
    await assert.rejects(etcd({ endpoints: [`127.0.0.1:${port}`] }).open(context()), { code: "STORE_UNREACHABLE" });
    await assert.rejects(etcd({ endpoints: [`127.0.0.1:${port}`] }).open(context({ signal: AbortSignal.abort() })), { code: "ABORTED" });
  });
});

await describeWithEtcd("an etcd that is full", { settings: { quota_backend_bytes: 4 * 1024 * 1024 } }, (cluster) => {
  it("takes no writes: they are STORE_FULL and nothing is written; what is there can be read, and it goes on when there is room", async (t) => {
    const scene = sceneOn(t, etcd({ url: cluster.url }));
    const member = await scene.member();
    await member.createElection("scheduler");
    const user = etcd({ url: cluster.url });
    t.after(async () => await user.close());
    const fill = async () => {
      for (let n = 0; n < 100; n++) {
        const tx = user.begin();
        tx.put(`filling/${n % 4}`, "x".repeat(400_000));
        await tx.commit();
      }
    };
    await assert.rejects(fill(), { code: "STORE_FULL" });
    await assert.rejects(member.claim("scheduler"), { code: "STORE_FULL" });
    assert.equal((await member.row("scheduler")).token, 0);
    await cluster.control(["del", "filling/", "--prefix"]);
    const [{ Status: status } = assert.fail("no status")] = JSON.parse(await cluster.control(["endpoint", "status", "--write-out=json"])) as readonly { readonly Status: { readonly header: { readonly revision: number } } }[];
    await cluster.control(["compact", String(status.header.revision)]);
    await cluster.control(["defrag"]);
    await cluster.control(["alarm", "disarm"]);
    assert.ok((await member.hold("scheduler")) > 0);
  });
});

await describeWithEtcd("limits of etcd", {}, (cluster) => {
  it("a view that is larger than a request may be is refused for good, and the session goes on", async (t) => {
    const scene = sceneOn(t, etcd({ url: cluster.url }));
    const member = await scene.member();
    const token = await member.coordinate();
    const metadata = { text: "x".repeat(2_000_000) };
    const large = { ...emptyView(1), members: [{ incarnation: member.incarnation, node: member.node, metadata, metadataVersion: 1, joinOrder: 1, joinedAtMs: 1 }] };
    await assert.rejects(member.publish(token, { view: large }), { code: "STORE_FAILED", retryable: false });
    assert.equal(member.session.ended.aborted, false);
    assert.equal(await member.publish(token), true);
  });

  it("revisions that are compacted under a session, and under one that comes back, do no harm", async (t) => {
    const store = etcd({ url: cluster.urlOf({ prefix: "compacted" }) });
    const scene = sceneOn(t, store);
    const member = await scene.member();
    const { epoch } = await member.beat();
    const compact = async () => {
      const [{ Status: status } = assert.fail("no status")] = JSON.parse(await cluster.control(["endpoint", "status", "--write-out=json"])) as readonly { readonly Status: { readonly header: { readonly revision: number } } }[];
      await cluster.control(["compact", String(status.header.revision)]);
    };
    await cluster.control(["put", "elsewhere", "1"]);
    await compact();
    assert.equal((await member.beat()).accepted, true);
    await cluster.control(["put", "elsewhere", "2"]);
    await compact();
    await member.reconnect();
    const reply = await member.beat();
    assert.deepEqual([reply.accepted, reply.epoch], [true, epoch], "that its last beat cannot be looked up any more is no loss");
  });
});

/** Lets everybody in, and says nothing. */
async function silentServer(t: { after(end: () => Promise<void>): void }): Promise<{ readonly port: number; readonly asked: number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on("error", () => undefined))).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get asked() {
      return sockets.length;
    },
  };
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A certificate of an authority of the test's own for 127.0.0.1, and one for a client. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = async (...args: readonly string[]) => await run("openssl", args, { cwd: folder });
  await openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tribune test authority");
  for (const [name, usage] of [["server", "serverAuth,clientAuth"], ["client", "clientAuth"]] as const) {
    await openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", `extendedKeyUsage=${usage}`);
    await openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", `${name}.pem`, "-copy_extensions", "copyall");
  }
}

/** Answers every call as a member of that version answers a question for its status. */
async function oldEtcd(t: { after(end: () => Promise<void>): void }, version: string): Promise<number> {
  const header = bytesField(1, Buffer.concat([intField(1, 7), intField(2, 8), intField(3, 9), intField(4, 2)]));
  const message = Buffer.concat([header, bytesField(2, version), intField(4, 8)]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  const server = createHttp2Server().listen(0, "127.0.0.1");
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.concat([frame, message]));
  });
  await once(server, "listening");
  t.after(async () => void server.close());
  return (server.address() as AddressInfo).port;
}
