import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { connect as connectTls, createSecureContext, createServer as createTlsServer } from "node:tls";
import type { TLSSocket } from "node:tls";
import { after, afterEach, describe, it } from "node:test";
import { inspect } from "node:util";
import { isTribuneError, systemRandom } from "../../src/kernel/index.ts";
import type { LogFields, Logger } from "../../src/kernel/index.ts";
import { activateKey, HeldKeys, introduceKey, newRing, retireKey, tcp } from "../../src/transport/index.ts";
import type { ConnectionUp, Endpoint, KnownPeer, PeerUnreachable, TcpOptions } from "../../src/transport/index.ts";
import { encodeHello, encodeWelcome } from "../../src/transport/hello.ts";
import { securityByCertificates, securityByKeys } from "../../src/transport/tcp/security.ts";
import { transportConformance } from "../../src/testing/index.ts";
import { requireOrSkip } from "../support/required.ts";
import { makeCertificates } from "./certificates.ts";
import { contextOf, LOCAL, tcpPlace } from "./tcp-place.ts";

const GROUP = "billing";
const ring = newRing(systemRandom, 0);

/** What a connection by a key is bound to by TLS. */
const TLS_BY_KEY = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" } as const;

/** A member with an endpoint on this machine, and what it was told. */
interface Member {
  readonly endpoint: Endpoint;
  readonly known: KnownPeer;
  readonly view: Map<string, KnownPeer>;
  readonly ups: ConnectionUp[];
  readonly downs: string[];
  readonly failures: PeerUnreachable[];
  readonly lines: LogFields[];
  readonly frames: number[];
  until(what: string, condition: () => boolean): Promise<void>;
}

const members: Member[] = [];
const servers: Server[] = [];
const sockets: Socket[] = [];
let named = 0;

afterEach(() => {
  for (const { endpoint } of members.splice(0)) endpoint.destroy(new Error("the test is over"));
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function member(over: { readonly keys?: HeldKeys; readonly options?: TcpOptions; readonly group?: string; readonly name?: string } = {}): Promise<Member> {
  const node = over.name ?? `node-${++named}`;
  const incarnation = systemRandom.id();
  const told = { ups: [] as ConnectionUp[], downs: [] as string[], failures: [] as PeerUnreachable[], lines: [] as LogFields[], frames: [] as number[] };
  let waiting: Array<() => void> = [];
  const note = <T>(list: T[]) => (item: T) => {
    list.push(item);
    for (const wake of waiting.splice(0)) wake();
  };
  const log = note(told.lines);
  const logger: Logger = { debug() {}, info: log, warn: log, error: log };
  const view = new Map<string, KnownPeer>();
  const endpoint = await tcp({ ...LOCAL, firstPauseMs: 5, longestPauseMs: 50, ...over.options }).open(
    contextOf({
      node,
      incarnation,
      group: over.group ?? GROUP,
      keys: over.keys ?? new HeldKeys(ring),
      logger,
      known: (id) => view.get(id),
      handlers: {
        up: note(told.ups),
        down: ({ reason }) => note(told.downs)(reason),
        unreachable: note(told.failures),
        frame: (frame) => {
          note(told.frames)(frame.bytes[0] ?? -1);
          frame.link.consumed(frame);
        },
      },
    }),
  );
  const self: Member = {
    endpoint,
    known: { node, incarnation, address: endpoint.address },
    view,
    ...told,
    async until(what, condition) {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<never>((_resolve, reject) => (timer = setTimeout(() => reject(new Error(`${what} did not come about`)), 20_000)));
      const coming = async () => {
        while (!condition()) await new Promise<void>((resolve) => waiting.push(resolve));
      };
      await Promise.race([deadline, coming()]).finally(() => clearTimeout(timer));
    },
  };
  members.push(self);
  for (const each of members) {
    if (each === self) continue;
    each.view.set(incarnation, self.known);
    view.set(each.known.incarnation, each.known);
  }
  return self;
}

async function connected(a: Member, b: Member): Promise<void> {
  const link = a.endpoint.link(b.known);
  await a.until("it is up", () => link.state === "up");
}

/** Closed, counted, one line, and nothing else. */
async function refusesStranger(self: Member, stranger: Member): Promise<void> {
  stranger.endpoint.link(self.known);
  await stranger.until("it is refused a few times", () => stranger.failures.length >= 3);
  assert.deepEqual(new Set(stranger.failures.map(({ reason }) => reason)), new Set(["unauthenticated"]));
  assert.ok(self.endpoint.counts.refused.unauthenticated >= 3);
  assert.deepEqual(self.lines.map(({ code, reason }) => [code, reason]), [["PEER_REFUSED", "unauthenticated"]]);
  assert.deepEqual([self.ups, stranger.ups, self.endpoint.links], [[], [], []]);
}

function portOf(member: Member): { host: string; port: number } {
  const [host = "", port = ""] = member.endpoint.address.split(":");
  return { host, port: Number(port) };
}

async function rawTo(member: Member): Promise<Socket> {
  const socket = connect(portOf(member));
  sockets.push(socket);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

const ended = async (socket: Socket) => {
  socket.resume();
  if (!socket.destroyed && !socket.readableEnded) await Promise.race([once(socket, "close"), once(socket, "end")]);
};

describe("a connection by the group's keys", () => {
  it("is TLS 1.3, proved by the key that is in use", async () => {
    const [a, b] = [await member(), await member()];
    await connected(a, b);
    assert.deepEqual(a.ups[0]?.security, { protocol: "TLSv1.3 TLS_AES_128_GCM_SHA256", provedBy: ring.keys[0]?.id, version: 1 });
    await b.until("it is up", () => b.ups.length === 1);
    assert.deepEqual(b.ups[0]?.security, a.ups[0]?.security);
  });

  it("is refused with a wrong key of the right name", async () => {
    const self = await member();
    const [key] = ring.keys;
    assert.ok(key !== undefined);
    const forged = { keys: [{ ...key, secret: newRing(systemRandom, 0).keys[0]?.secret ?? "" }] };
    await refusesStranger(self, await member({ keys: new HeldKeys(forged) }));
  });

  it("is refused with the key of another group, and with this group's key in the name of another", async () => {
    await refusesStranger(await member(), await member({ keys: new HeldKeys(newRing(systemRandom, 0)) }));
    for (const each of members.splice(0)) each.endpoint.destroy(new Error("next"));
    await refusesStranger(await member(), await member({ group: "another" }));
  });

  it("is refused without keys, and without TLS", async () => {
    const self = await member();
    const stranger = await member({ options: { security: "plaintext" } });
    stranger.endpoint.link(self.known);
    await stranger.until("it is refused a few times", () => stranger.failures.length >= 3);
    assert.deepEqual([self.ups, stranger.ups, self.lines.map(({ code, reason }) => [code, reason])], [[], [], [["PEER_REFUSED", "unauthenticated"]]]);
    await assert.rejects(tcp(LOCAL).open(contextOf({ node: "n", incarnation: "i" })), (error) => isTribuneError(error, "KEYS_MISSING"));
  });

  it("is refused where somebody with a certificate, whoever signed it, listens at the address of a member", async (t) => {
    const certificates = makeCertificates(["localhost"]);
    if (certificates === undefined) return requireOrSkip(t, "openssl", "it is not on the path");
    const { ca, of } = certificates;
    const own = of.get("localhost");
    assert.ok(own !== undefined);
    const server = createTlsServer({ cert: String(own.cert), key: String(own.key) }, (socket) => sockets.push(socket)).on("tlsClientError", () => undefined);
    servers.push(server.listen(0, "127.0.0.1"));
    await once(server, "listening");
    const a = await member();
    const fake = { node: "fake", incarnation: "fake", address: `localhost:${(server.address() as AddressInfo).port}` };
    a.view.set(fake.incarnation, fake);
    a.endpoint.link(fake);
    await a.until("it is refused", () => a.failures.length > 0);
    assert.deepEqual([a.failures[0]?.reason, a.ups], ["unauthenticated", []]);
    // Also if this process trusted that authority by default: the proof is looked at again.
    const client = securityByKeys(new HeldKeys(ring), GROUP).client();
    const trusting = connectTls({ ...client.options, host: "localhost", port: (server.address() as AddressInfo).port, secureContext: createSecureContext({ ...TLS_BY_KEY, ca }), checkServerIdentity: () => undefined });
    sockets.push(trusting);
    await once(trusting, "secureConnect");
    assert.equal(client.proof(trusting), undefined);
  });

  it("cannot be resumed by a ticket, with or without the key", async () => {
    const keys = new HeldKeys(ring);
    const self = await member({ keys });
    const { options } = securityByKeys(new HeldKeys(ring), GROUP).client();
    const first = connectTls({ ...options, ...portOf(self) });
    sockets.push(first);
    let session: Buffer | undefined;
    first.on("session", (given: Buffer) => (session = given));
    first.on("error", () => undefined);
    await once(first, "secureConnect");
    first.write("nonsense");
    await ended(first);
    const next = introduceKey(ring, systemRandom, 1);
    const [old, fresh] = next.keys;
    keys.replace(retireKey(activateKey(next, fresh?.id ?? ""), old?.id ?? ""));
    const { pskCallback: _unused, ...withoutKey } = options;
    const again = connectTls({ ...withoutKey, ...portOf(self), ...(session === undefined ? {} : { session }), rejectUnauthorized: false });
    sockets.push(again);
    const [error] = (await once(again, "error")) as [NodeJS.ErrnoException];
    assert.match(error.code ?? "", /^ERR_SSL/);
  });

  it("is refused with a key that is too short for one, on either side, and the process lives on", async () => {
    const [key] = ring.keys;
    assert.ok(key !== undefined);
    const short = { current: () => ({ id: key.id, secret: new Uint8Array(8) }), find: () => ({ id: key.id, secret: new Uint8Array(8) }), onChange: () => () => undefined };
    const [weak, self] = [await member({ keys: short as unknown as HeldKeys }), await member()];
    for (const [from, to] of [[weak, self], [self, weak]] as const) {
      from.endpoint.link(to.known);
      await from.until("it is refused", () => from.failures.some(({ reason }) => reason === "unauthenticated"));
    }
    assert.deepEqual([weak.ups, self.ups], [[], []]);
  });

  it("is refused for anything older than TLS 1.3", async () => {
    const self = await member();
    const { options } = securityByKeys(new HeldKeys(ring), GROUP).client();
    const old = connectTls({ ...options, ...portOf(self), secureContext: createSecureContext({ minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "PSK-AES128-GCM-SHA256" }) });
    sockets.push(old);
    const [error] = (await once(old, "error")) as [NodeJS.ErrnoException];
    assert.match(error.code ?? "", /^ERR_SSL|ECONNRESET/);
    assert.deepEqual(self.ups, []);
  });

  it("asks for nothing else, with what is made once for all dials", async () => {
    const security = securityByKeys(new HeldKeys(ring), GROUP);
    const [one, other] = [security.client().options, security.client().options];
    assert.ok(one.secureContext !== undefined && one.secureContext === other.secureContext);
    const asked: Buffer[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined).once("data", (chunk: Buffer) => {
        asked.push(chunk);
        socket.destroy();
      });
    }).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    const client = connectTls({ ...one, host: "127.0.0.1", port: (server.address() as AddressInfo).port });
    sockets.push(client);
    await once(client, "error");
    // Of a client's hello: behind 11 bytes of headers and version, 32 of randomness and the session's id there is the list of suites.
    const hello = asked[0] ?? Buffer.alloc(0);
    const suites = 43 + 1 + (hello[43] ?? 0);
    const offered = hello.subarray(suites + 2, suites + 2 + hello.readUInt16BE(suites)).toString("hex").match(/..../g);
    assert.deepEqual(offered?.filter((suite) => suite !== "00ff"), ["1301"]);
  });
});

describe("the port of a member with keys", () => {
  it("closes on random bytes, on other protocols, and on every truncation of a handshake, with one line, and goes on serving members", async () => {
    const self = await member();
    const hello = await clientHello();
    const inputs = [Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.from("TRBN\u0001\u0001"), Buffer.alloc(100, 0xff), Buffer.from(hello).fill(0x41, 5)];
    for (const input of inputs) {
      const socket = await rawTo(self);
      socket.write(input);
      await ended(socket);
    }
    for (let length = 1; length < hello.length; length += 1 + Math.floor(hello.length / 60)) {
      const socket = await rawTo(self);
      socket.end(hello.subarray(0, length));
      await ended(socket);
    }
    const other = await member();
    await connected(other, self);
    await self.until("it is up", () => self.ups.length === 1);
    assert.deepEqual(self.lines.map(({ code }) => code), ["PEER_REFUSED"]);
    assert.equal(self.endpoint.counts.halfOpen, 0);
  });

  it("closes on who says nothing, or too little, in time", async () => {
    const self = await member({ options: { connectMs: 200 } });
    const hello = await clientHello();
    const [mute, slow] = [await rawTo(self), await rawTo(self)];
    slow.write(hello.subarray(0, 20));
    await Promise.all([ended(mute), ended(slow)]);
    assert.deepEqual([self.endpoint.counts.refused.slow, self.endpoint.counts.halfOpen, self.lines.map(({ reason }) => reason)], [2, 0, ["slow"]]);
  });

  it("keeps a bounded number of two thousand half-open connections, and members connect meanwhile", async () => {
    const self = await member({ options: { maxHalfOpen: 50 } });
    const other = await member();
    for (let n = 0; n < 2_000; n++) {
      const socket = connect(portOf(self));
      socket.on("error", () => undefined);
      sockets.push(socket);
      if (n % 50 === 0) await once(socket, "connect");
      assert.ok(self.endpoint.counts.halfOpen <= 50);
      if (n === 1_000) await connected(other, self);
    }
    await self.until("it is up", () => self.ups.length === 1);
    assert.ok(self.endpoint.counts.refused.crowded > 500, String(self.endpoint.counts.refused.crowded));
    assert.deepEqual(self.downs, []);
  });

  it("lets one host that floods it push out nobody else's handshake", async (t) => {
    if (process.platform !== "linux") return requireOrSkip(t, "a second loopback address", "only Linux has one without being asked");
    const hello = await clientHello();
    for (const security of ["keys", "plaintext"] as const) {
      const self = await member({ options: { maxHalfOpen: 8, security } });
      const honest = await rawTo(self);
      honest.on("close", () => assert.fail("it was closed"));
      if (security === "keys") honest.write(hello.subarray(0, 20));
      for (let n = 0; n < 60; n++) {
        const flood = connect({ ...portOf(self), localAddress: "127.0.0.2" });
        sockets.push(flood);
        flood.on("error", () => undefined);
        await once(flood, "connect");
      }
      await self.until("the flood is cut off", () => self.lines.some(({ reason }) => reason === "crowded"));
      honest.removeAllListeners("close");
      assert.deepEqual([honest.destroyed, honest.readableEnded, self.endpoint.counts.halfOpen], [false, false, 8]);
      honest.write(security === "keys" ? hello.subarray(20) : "no");
      await (security === "keys" ? once(honest, "data") : ended(honest)); // it is still listened to
    }
  });

  it("takes nothing from a recording of a member's connection", async () => {
    const self = await member();
    const recorded: Buffer[] = [];
    const recorder = createServer((near) => {
      const far = connect(portOf(self));
      sockets.push(near, far);
      for (const socket of [near, far]) socket.on("error", () => undefined);
      near.on("data", (chunk: Buffer) => recorded.push(chunk));
      near.pipe(far).pipe(near);
    }).listen(0, "127.0.0.1");
    servers.push(recorder);
    await once(recorder, "listening");
    const other = await member();
    other.view.set(self.known.incarnation, { ...self.known, address: `127.0.0.1:${(recorder.address() as AddressInfo).port}` });
    const link = other.endpoint.link(self.known);
    await other.until("it is up", () => link.state === "up");
    for (let n = 0; n < 5; n++) link.send(1, Uint8Array.of(n));
    await self.until("all came", () => self.frames.length === 5);
    for (const together of [true, false]) {
      const replay = await rawTo(self);
      if (together) replay.write(Buffer.concat(recorded));
      else for (const chunk of recorded) replay.write(chunk);
      await ended(replay);
    }
    assert.deepEqual([self.frames, self.ups.length, self.downs], [[0, 1, 2, 3, 4], 1, []]);
    assert.ok(self.endpoint.counts.refused.unauthenticated >= 1);
  });
});

describe("the rotation of keys", () => {
  it("loses no connection before the old key is refused; then those made with it end and are made again with the new one, and the old one opens nothing", async () => {
    const [keysA, keysB] = [new HeldKeys(ring), new HeldKeys(ring)];
    const [a, b] = [await member({ keys: keysA }), await member({ keys: keysB })];
    await connected(a, b);
    const introduced = introduceKey(ring, systemRandom, 1);
    const [old, fresh] = introduced.keys;
    assert.ok(old !== undefined && fresh !== undefined);
    const steps = [introduced, activateKey(introduced, fresh.id)];
    for (const step of steps) for (const keys of [keysA, keysB]) {
      keys.replace(step);
      const c = await member({ keys: new HeldKeys(step) }); // a newcomer connects at each moment of it
      await connected(c, a);
      await connected(c, b);
    }
    assert.deepEqual([a.downs, b.downs], [[], []]);
    const after = retireKey(activateKey(introduced, fresh.id), old.id);
    keysA.replace(after);
    keysB.replace(after);
    await a.until("it is up again", () => a.ups.at(-1)?.link.peer.incarnation === b.known.incarnation && a.ups.at(-1)?.security.provedBy === fresh.id);
    assert.ok(a.downs.every((reason) => reason === "key-retired" || reason === "reset" || reason === "replaced"), String(a.downs));
    const before = a.endpoint.counts.refused.unauthenticated;
    const late = await member({ keys: new HeldKeys(ring) });
    late.endpoint.link(a.known);
    await late.until("it is refused", () => late.failures.some(({ reason }) => reason === "unauthenticated"));
    assert.ok(a.endpoint.counts.refused.unauthenticated > before);
  });

  it("makes who had the old key for longer than the others dial again as soon as it has the new one", async () => {
    const fresh = newRing(systemRandom, 1);
    const keys = new HeldKeys(ring);
    const [late, self] = [await member({ keys, options: { firstPauseMs: 600_000, longestPauseMs: 600_000 } }), await member({ keys: new HeldKeys(fresh) })];
    const link = late.endpoint.link(self.known);
    await late.until("it is refused", () => late.failures.length === 1);
    keys.replace(fresh);
    await late.until("it is up", () => link.state === "up");
    assert.deepEqual(late.failures.map(({ reason }) => reason), ["unauthenticated"]);
  });

  it("leaves nobody in whose key was retired between TLS and the handshake behind it, on either side", async () => {
    const introduced = introduceKey(ring, systemRandom, 1);
    const [old, fresh] = introduced.keys;
    assert.ok(old !== undefined && fresh !== undefined);
    const retired = retireKey(activateKey(introduced, fresh.id), old.id);

    // One that dials: it was let in by TLS, and says who it is when its key is gone.
    const keys = new HeldKeys(introduced);
    const [self, other] = [await member({ keys }), await member()];
    const client = securityByKeys(new HeldKeys(ring), GROUP).client();
    const slow = connectTls({ ...client.options, ...portOf(self) });
    sockets.push(slow);
    slow.on("error", () => undefined);
    let said = 0;
    slow.on("data", (chunk: Buffer) => (said += chunk.length));
    await once(slow, "secureConnect");
    keys.replace(retired);
    const limits = { maxFrameBytes: 2 ** 20, windowBytes: 2 ** 20, assemblyBytes: 2 ** 20, beatMs: 1_000 };
    slow.write(encodeHello({ group: GROUP, ...other.known, address: other.endpoint.address, limits, newestVersion: 1, oldestVersion: 1, to: self.known.incarnation, connectionId: "c", lostId: "" }));
    await ended(slow);
    assert.deepEqual([said, self.ups, self.endpoint.counts.refused.unauthenticated], [0, [], 1]);

    // One that is dialled: it answers when the key of the dial is gone.
    const dialling = new HeldKeys(introduced);
    const server = createTlsServer({ ...securityByKeys(new HeldKeys(ring), GROUP).server }, (socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.once("data", () => {
        dialling.replace(retired);
        socket.write(encodeWelcome({ group: GROUP, ...peer, limits, version: 1 }));
      });
    }).on("tlsClientError", () => undefined);
    servers.push(server.listen(0, "127.0.0.1"));
    await once(server, "listening");
    const peer = { node: "late", incarnation: "late", address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
    const dialler = await member({ keys: dialling });
    dialler.view.set(peer.incarnation, peer);
    dialler.endpoint.link(peer);
    await dialler.until("it is refused", () => dialler.failures.length > 0 || dialler.ups.length > 0);
    assert.deepEqual([dialler.failures[0]?.reason, dialler.ups], ["unauthenticated", []]);
  });

  it("shows no secret where keys are printed", () => {
    const keys = new HeldKeys(ring);
    const secret = ring.keys[0]?.secret ?? "";
    for (const text of [inspect(keys, { depth: 9, showHidden: true }), JSON.stringify(keys)]) assert.ok(!text.includes(secret) && !text.includes(Buffer.from(secret, "base64url").toString("hex")), text);
  });
});

describe("certificates of one's own", () => {
  const made = makeCertificates(["node-a", "node-b"]);
  const foreign = makeCertificates(["node-a"]);
  const [a, b, fromElsewhere] = [made?.of.get("node-a"), made?.of.get("node-b"), foreign?.of.get("node-a")];
  if (a === undefined || b === undefined || fromElsewhere === undefined) {
    it("are made with openssl", (t) => requireOrSkip(t, "openssl", "it is not on the path"));
    return;
  }

  transportConformance({ name: "TCP with certificates", describe, it, place: () => tcpPlace(a) });

  it("prove membership without any key of the group's", async () => {
    const [one, other] = [await member({ options: { security: a } }), await member({ options: { security: b } })];
    await connected(one, other);
    assert.equal(one.ups[0]?.security.provedBy, "certificate");
  });

  it("are not taken without an authority, or without a key that fits", () => {
    for (const ca of ["", "\n", "nothing of the kind", new Uint8Array(0)]) assert.throws(() => tcp({ security: { ...a, ca } }), (error) => isTribuneError(error, "INVALID_OPTIONS") && error.message.includes("security.ca"), String(ca));
    for (const broken of [{ ...a, key: b.key }, { ...a, cert: "" }, { ...a, key: "no PEM" }]) {
      assert.throws(() => tcp({ security: broken }), (error) => isTribuneError(error, "INVALID_OPTIONS") && error.message.includes("security.key") && !error.message.includes("no PEM\n"));
    }
    assert.throws(() => tcp({ security: { ...a, nodeOf: "CN" as unknown as () => string } }), (error) => isTribuneError(error, "INVALID_OPTIONS"));
  });

  it("are shown each time: a session of an earlier connection is not resumed", async () => {
    const security = securityByCertificates(a);
    const reused: boolean[] = [];
    const server = createTlsServer(security.server, (socket) => {
      sockets.push(socket);
      reused.push(socket.isSessionReused());
      socket.on("error", () => undefined).end("x");
    });
    servers.push(server.listen(0, "127.0.0.1"));
    await once(server, "listening");
    let session: Buffer | undefined;
    for (let n = 0; n < 2; n++) {
      const client = connectTls({ ...security.client().options, host: "127.0.0.1", port: (server.address() as AddressInfo).port, ...(session === undefined ? {} : { session }) });
      sockets.push(client);
      client.on("session", (given: Buffer) => (session = given));
      await once(client, "secureConnect");
      assert.ok(security.client().proof(client) !== undefined);
      await ended(client);
    }
    assert.deepEqual([reused, session !== undefined], [[false, false], true]);
  });

  it("of another authority are refused, and so are keys and plaintext", async () => {
    const self = await member({ options: { security: a } });
    for (const stranger of [await member({ options: { security: fromElsewhere } }), await member(), await member({ options: { security: "plaintext" } })]) {
      stranger.endpoint.link(self.known);
      await stranger.until("it is refused", () => stranger.failures.length > 0);
    }
    assert.deepEqual([self.ups, new Set(self.lines.map(({ code }) => code))], [[], new Set(["PEER_REFUSED"])]);
  });

  it("speak for one node only, where it is said for which", async () => {
    const nodeOf = (certificate: { readonly subject?: { readonly CN?: string | string[] | undefined } }) => String(certificate.subject?.CN);
    const self = await member({ name: "node-a", options: { security: { ...a, nodeOf } } });
    const honest = await member({ name: "node-b", options: { security: { ...b, nodeOf } } });
    await connected(honest, self);
    const impostor = await member({ name: "node-c", options: { security: { ...b, nodeOf } } });
    impostor.endpoint.link(self.known);
    await impostor.until("it is refused", () => impostor.failures.length > 0);
    assert.equal(self.endpoint.counts.refused["wrong-identity"] >= 1, true);
    const broken = await member({ name: "node-d", options: { security: { ...a, nodeOf: () => { throw new Error("no"); } } } });
    honest.endpoint.link(broken.known);
    await broken.until("it refuses", () => broken.endpoint.counts.refused.unauthenticated > 0 || broken.lines.length > 0);
  });
});

describe("a TCP endpoint", () => {
  it("says what is wrong with its options, all at once", () => {
    assert.throws(
      () => tcp({ host: "", port: 70_000, advertise: "nowhere", security: "none" as "plaintext", silenceMs: 10, colour: 1 } as TcpOptions),
      (error) => isTribuneError(error, "INVALID_OPTIONS") && ["host", "port", "advertise", "security", "silenceMs", "colour"].every((word) => error.message.includes(word)),
    );
  });

  it("says so where its address is taken, or none of this machine's", async () => {
    const self = await member();
    await assert.rejects(tcp({ ...LOCAL, port: portOf(self).port, security: "plaintext" }).open(contextOf({ node: "n", incarnation: "i" })), (error) => isTribuneError(error, "ADDRESS_IN_USE"));
    await assert.rejects(tcp({ host: "192.0.2.1", security: "plaintext" }).open(contextOf({ node: "n", incarnation: "i" })), (error) => isTribuneError(error, "ADDRESS_UNUSABLE"));
    await assert.rejects(tcp({ ...LOCAL, security: "plaintext", advertise: () => Promise.reject(new Error("no")) }).open(contextOf({ node: "n", incarnation: "i" })), (error) => isTribuneError(error, "ADDRESS_UNUSABLE"));
    await assert.rejects(tcp({ ...LOCAL, security: "plaintext", advertise: () => "x y" }).open(contextOf({ node: "n", incarnation: "i" })), (error) => isTribuneError(error, "ADDRESS_UNUSABLE"));
  });

  it("does not open later than it may, however long it takes to say what to advertise, and keeps nobody who came before", async () => {
    const clients: Socket[] = [];
    const early: Array<Promise<void>> = [];
    const advertise = ({ host, port }: { readonly host: string; readonly port: number }) => {
      const client = connect({ host, port });
      client.on("error", () => undefined);
      sockets.push(client);
      clients.push(client);
      early.push(ended(client));
      return new Promise<string>(() => undefined);
    };
    const controller = new AbortController();
    const opening = tcp({ ...LOCAL, security: "plaintext", advertise }).open(contextOf({ node: "n", incarnation: "i", signal: controller.signal }));
    const outcome = opening.then(() => "open", (error: unknown) => (isTribuneError(error, "ABORTED") ? "aborted" : error));
    while (early.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await early[0];
    controller.abort();
    assert.equal(await outcome, "aborted");
    const timely = tcp({ ...LOCAL, security: "plaintext", advertise }).open(contextOf({ node: "n", incarnation: "i", deadlineMs: 50 }));
    await assert.rejects(timely, (error) => isTribuneError(error, "TRANSPORT_TIMEOUT"));
  });

  it("in plaintext listens on this machine alone unless told otherwise", async () => {
    const endpoint = await tcp({ security: "plaintext" }).open(contextOf({ node: "n", incarnation: "i" }));
    assert.match(endpoint.address, /^127\.0\.0\.1:\d+$/);
    endpoint.destroy(new Error("done"));
  });
});

after(() => assert.deepEqual([members.length, servers.length], [0, 0]));

/** The first bytes of a TLS client that has the key. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const { options } = securityByKeys(new HeldKeys(ring), GROUP).client();
  const client: TLSSocket = connectTls({ ...options, host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  client.on("error", () => undefined);
  sockets.push(client);
  const [socket] = (await once(server, "connection")) as [Socket];
  sockets.push(socket);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk;
}
