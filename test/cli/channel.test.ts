import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import type { Cluster } from "../../src/cluster/index.ts";
import { groupWith } from "./group.ts";
import { place, Run, tribune } from "./run.ts";
import type { Place } from "./run.ts";

const LOCAL = ["--host", "127.0.0.1"];

/** Two members with channels, and what they have heard on the topic `news`. */
async function office(t: TestContext): Promise<{ where: Place; members: Cluster[]; heard: unknown[] }> {
  const where = place(t);
  const heard: unknown[] = [];
  const members = await groupWith(t, where, { channel: { host: "127.0.0.1" } }, "a", "b");
  for (const member of members) {
    member.channel.listen("news", (message) => heard.push(message.value()));
    member.channel.listen("broken", () => {
      throw new Error("\u001b[2Jbroken");
    });
  }
  return { where, members, heard };
}

describe("tribune send", () => {
  it("sends JSON, or a string, from an argument or standard input, and tells who has handled it", async (t) => {
    const { where, heard } = await office(t);
    const { code, stdout } = await tribune(t, ["send", "news", '{"n":1}', "--ack", "--json", ...LOCAL], where.env);
    assert.deepEqual([code, JSON.parse(stdout)], [0, { topic: "news", ok: true, results: { a: { status: "delivered" }, b: { status: "delivered" } } }]);
    const some = await tribune(t, ["send", "news", "no JSON", "--ack", "--to", "b", ...LOCAL], where.env);
    assert.deepEqual([some.code, some.stdout], [0, "b has handled it\n"]);
    assert.deepEqual(heard, [{ n: 1 }, { n: 1 }, "no JSON"]);
  });

  it("without --ack hands it over before it leaves", async (t) => {
    const { where, members } = await office(t);
    const came = Promise.all(members.map((member) => new Promise<string>((resolve) => member.channel.listen("raw", ({ payload }) => resolve(Buffer.from(payload).toString())))));
    const { code, stdout } = await tribune(t, ["send", "raw", "as it is", "--raw", ...LOCAL], where.env);
    assert.deepEqual([code, stdout], [0, "a was sent it\nb was sent it\n"]);
    assert.deepEqual(await came, ["as it is", "as it is"]);
  });

  it("ends with 1 when a handler failed, whose words cannot act upon the terminal, and with 4 where nobody is", async (t) => {
    const { where } = await office(t);
    const failed = await tribune(t, ["send", "broken", "1", "--ack", "--to", "a", ...LOCAL], where.env);
    assert.deepEqual([failed.code, failed.stdout], [1, "a failed: HANDLER_FAILED \\u001b[2Jbroken\n"]);
    const unknown = await tribune(t, ["send", "news", "1", "--to", "a,q", ...LOCAL], where.env);
    assert.equal(unknown.code, 4);
    assert.match(unknown.stderr, /^error NODE_UNKNOWN: q is no other member with a channel/);
  });

  it("says that nobody has a channel, and does not wait for a group that is not there", async (t) => {
    const where = place(t);
    const missing = await tribune(t, ["send", "news", "1", ...LOCAL], where.env);
    assert.deepEqual([missing.code, existsSync(join(where.folder, "cluster.db"))], [1, false], "no store is made for it");
    await groupWith(t, where, {}, "plain");
    const { code, stderr } = await tribune(t, ["send", "news", "1", ...LOCAL], where.env);
    assert.equal(code, 4);
    assert.match(stderr, /^error NODE_UNKNOWN: no other member of billing has a channel/);
    const nobody = await tribune(t, ["ping", "--start-timeout-ms", "300", "--group", "empty", ...LOCAL], where.env);
    assert.equal(nobody.code, 4);
    assert.match(nobody.stderr, /^error NODE_UNKNOWN: joining the group did not finish/);
  });

  it("complains about all of its options at once", async (t) => {
    const where = place(t);
    const file = join(where.folder, "some.pem");
    writeFileSync(file, "no PEM");
    const { code, stderr } = await tribune(t, ["send", "news", "1", "--cert", file, "--security", "plaintext"], where.env);
    assert.equal(code, 2);
    assert.match(stderr, /--cert, --key and --ca belong together; --security is not for certificates/);
    const { stderr: port } = await tribune(t, ["send", "news", "1", "--port", "70000", "--advertise", "x"], where.env);
    assert.match(port, /port must be .*advertise must be/);
  });
});

describe("tribune listen", () => {
  it("prints what members send, as JSON too, and ends after so many", async (t) => {
    const { where, members } = await office(t);
    const run = new Run(t, ["listen", "orders", "prices", "--json", "--count", "3", "--node", "ear", ...LOCAL], where.env);
    await run.line(/"listening"/);
    const [sender] = members;
    for (const value of [{ n: 1 }, "text"]) assert.equal((await sender?.channel.send("orders", value, { to: ["ear"] }))?.ok, true);
    assert.equal((await sender?.channel.send("prices", new Uint8Array([255, 0]), { to: ["ear"], token: 7 }))?.ok, true, "the last one, too, is answered");
    assert.equal((await run.closed).code, 0);
    const messages = run.events("message").map(({ at: _at, incarnation: _incarnation, ...rest }) => rest);
    assert.deepEqual(messages, [
      { event: "message", topic: "orders", from: "a", value: { n: 1 } },
      { event: "message", topic: "orders", from: "a", value: "text" },
      { event: "message", topic: "prices", from: "a", token: "7", base64: "/wA=" },
    ]);
  });
});

describe("tribune ping", () => {
  it("shows round trip, encryption, key and version of each member", async (t) => {
    const { where, members } = await office(t);
    const { code, stdout } = await tribune(t, ["ping", "--json", ...LOCAL], where.env);
    const results = JSON.parse(stdout) as Array<Record<string, unknown>>;
    assert.equal(code, 0);
    assert.deepEqual(results.map(({ node, incarnation, ok, encryption, version }) => [node, incarnation, ok, encryption, version]), members.map(({ self }) => [self.node, self.incarnation, true, "TLSv1.3 TLS_AES_128_GCM_SHA256", 1]));
    for (const { roundTripMs, provedBy } of results) assert.ok(typeof roundTripMs === "number" && roundTripMs > 0 && /^[0-9a-f]{16}$/.test(String(provedBy)));
    const one = await tribune(t, ["ping", "b", ...LOCAL], where.env);
    assert.match(one.stdout, /^NODE +ROUND TRIP +ENCRYPTION +PROVED BY +VERSION\nb +[\d.]+ ms +TLSv1\.3 \S+ +[0-9a-f]{16} +1\n$/);
  });

  it("ends with 1 where the members protect their connections in another way, and says so", async (t) => {
    const { where } = await office(t);
    const { code, stdout } = await tribune(t, ["ping", "a", "--security", "plaintext", "--deadline-ms", "1000", "--json", ...LOCAL], where.env);
    assert.equal(code, 1);
    const [result] = JSON.parse(stdout) as Array<Record<string, unknown>>;
    assert.deepEqual([result?.["ok"], result?.["code"]], [false, "PEER_UNREACHABLE"]);
  });
});
