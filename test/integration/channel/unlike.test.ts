import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { createCluster } from "../../../src/cluster/index.ts";
import type { Cluster, ClusterOptions } from "../../../src/cluster/index.ts";
import { seededRandom, systemClock } from "../../../src/kernel/index.ts";
import { sqlite } from "../../../src/store/sqlite/index.ts";
import type { StoreProvider } from "../../../src/store/index.ts";
import { startTcpFaultProxy } from "../../../src/testing/index.ts";
import type { TcpFaultProxy } from "../../../src/testing/index.ts";
import { encodeRing, KEY_RING_DOCUMENT, newRing } from "../../../src/transport/index.ts";
import { makeCertificates } from "../../transport/certificates.ts";

/** Makes members on one SQLite file, with sockets; all of them are stopped with the test. */
function office(t: TestContext): (node: string, options?: Partial<ClusterOptions>, through?: (store: StoreProvider) => StoreProvider) => Cluster {
  const folder = mkdtempSync(join(tmpdir(), "tribune-unlike-"));
  const path = join(folder, "cluster.db");
  const all: Cluster[] = [];
  t.after(async () => {
    for (const cluster of all) await cluster.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return (node, options = {}, through = (store) => store) => {
    const cluster = createCluster({ group: "g", node, store: through(sqlite({ path }) as StoreProvider), leaseMs: 4_000, beatMs: 500, channel: { host: "127.0.0.1" }, ...options });
    all.push(cluster);
    return cluster;
  };
}

/** The next time that `from` hears about its way to `to`. */
function told(from: Cluster, to: string, connected: boolean): Promise<string> {
  return new Promise((resolve) => {
    const off = from.channel.on("reachability", (event) => {
      if (event.peer.node !== to || event.connected !== connected) return;
      off();
      resolve(event.detail);
    });
  });
}

/** Every member has the view of so many. */
async function seesAll(cluster: Cluster, members: number): Promise<void> {
  for await (const { view } of cluster.changes()) if (view.members.length === members) return;
}

describe("members that are unlike", () => {
  it("do not talk where one has another key, which harms nobody else", { timeout: 60_000 }, async (t) => {
    const make = office(t);
    const [a, b] = [make("a"), make("b")];
    await a.start();
    await b.start();
    const mallory = make("mallory", {}, withOtherKeys);
    const refused = told(mallory, "a", false);
    await mallory.start();
    assert.match(await refused, /did not accept each other|closed the connection|reset/);
    a.channel.listen("news", () => undefined);
    mallory.channel.listen("news", () => assert.fail("it hears nothing"));
    await seesAll(b, 3);
    const { results } = await b.channel.send("news", "hello", { deadlineMs: 2_000 });
    assert.deepEqual(Object.fromEntries([...results].map(([node, { status }]) => [node, status])), { a: "delivered", mallory: "timeout" });
  });

  it("talk by certificates of their own, and not to one of another authority", { timeout: 60_000 }, async (t) => {
    const ours = makeCertificates(["a", "b"]);
    const theirs = makeCertificates(["c"]);
    if (ours === undefined || theirs === undefined) return t.skip("needs openssl");
    const make = office(t);
    const member = (node: string, from: typeof ours) => {
      const security = from.of.get(node);
      assert.ok(security !== undefined);
      return make(node, { channel: { host: "127.0.0.1", security } });
    };
    const [a, b, c] = [member("a", ours), member("b", ours), member("c", theirs)];
    for (const each of [a, b]) each.channel.listen("news", () => undefined);
    await a.start();
    await b.start();
    assert.equal((await b.channel.send("news", 1)).ok, true);
    assert.equal((await b.channel.ping("a", { deadlineMs: 5_000 })).security?.provedBy, "certificate");
    const refused = told(c, "a", false);
    await c.start();
    await refused;
    assert.equal(c.channel.reachability(a.self.incarnation)?.connected, false);
  });
});

describe("a firewall between members", () => {
  it("that resets all of their connections changes no term, and evicts nobody", { timeout: 60_000 }, async (t) => {
    const make = office(t);
    const proxies: TcpFaultProxy[] = [];
    t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
    const behindFirewall = (node: string) =>
      make(node, {
        channel: {
          host: "127.0.0.1",
          link: { longestPauseMs: 100 },
          advertise: async ({ port }) => {
            const proxy = await startTcpFaultProxy({ targetHost: "127.0.0.1", targetPort: port });
            proxies.push(proxy);
            return `127.0.0.1:${proxy.port}`;
          },
        },
      });
    const members = ["a", "b", "c"].map(behindFirewall);
    for (const member of members) {
      member.channel.listen("news", () => undefined);
      await member.start();
    }
    const [a, b, c] = members as [Cluster, Cluster, Cluster];
    await Promise.all(members.map((member) => seesAll(member, 3)));
    const terms: number[] = [];
    const leading = new Promise<void>((resolve) => {
      for (const member of members) {
        void member.election("scheduler").lead(async (term) => {
          terms.push(term.token);
          resolve();
          await new Promise((done) => term.signal.addEventListener("abort", done, { once: true }));
        });
      }
    });
    await leading;
    assert.equal((await a.channel.send("news", "before")).ok, true);
    const { version } = a.view;

    const cut = [told(b, "a", false), told(c, "a", false), told(a, "b", false), told(a, "c", false)];
    for (const proxy of proxies) {
      await proxy.mode({ kind: "cut", afterBytes: 0, direction: "toServer" });
      proxy.resetAll();
    }
    await Promise.all(cut);
    // Longer than any lease: so many attempts to connect have failed, one after the other, and the store is asked all the while.
    for (let n = 0; n < 80; n++) await told(b, "a", false);
    const during = await a.channel.send("news", "during", { deadlineMs: 200 });
    assert.deepEqual([...during.results.values()].map(({ status }) => status), ["timeout", "timeout"]);
    assert.deepEqual([terms.length, ...members.map((member) => member.view.version)], [1, version, version, version]);
    assert.deepEqual(members.map((member) => member.health().state), ["member", "member", "member"]);

    const healed = [told(b, "a", true), told(c, "a", true)];
    for (const proxy of proxies) await proxy.mode({ kind: "pass" });
    await Promise.all(healed);
    assert.equal((await a.channel.send("news", "after")).ok, true);
    assert.equal(terms.length, 1);
  });
});

/** The same store, but for the group's keys: who reads them there gets others. */
function withOtherKeys(store: StoreProvider): StoreProvider {
  const text = encodeRing(newRing(seededRandom(7), systemClock.wallMs()));
  const { kind, label, capabilities, fenced, schema } = store;
  return {
    kind,
    label,
    capabilities,
    fenced,
    schema,
    close: () => store.close(),
    open: async (context) => {
      const session = await store.open(context);
      return new Proxy(session, {
        get: (target, name) => {
          if (name === "readDocument") return (input: { readonly name: string }) => (input.name === KEY_RING_DOCUMENT ? Promise.resolve({ version: 1, text }) : assert.fail("no other document is read here"));
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
        },
      });
    },
  };
}
