import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { openAdmin } from "../../src/admin/index.ts";
import { REACH_DOCUMENT } from "../../src/channel/index.ts";
import { createCluster } from "../../src/cluster/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";
import { isTribuneError } from "../../src/kernel/index.ts";
import { ANNEX } from "../../src/membership/index.ts";
import { memory } from "../../src/store/memory/index.ts";
import type { MemoryTransaction } from "../../src/store/memory/index.ts";
import type { SharedState } from "../../src/channel/index.ts";
import { Messengers } from "../support/messengers.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** A state of one page. */
function note(words: { text: string }): SharedState {
  return {
    snapshot: (after) => (after === "" ? [{ bytes: Buffer.from(words.text), cursor: "all" }] : []),
    apply: ({ bytes }) => void (words.text = text(bytes)),
  };
}

describe("the channel of a cluster", () => {
  it("carries messages between members, with handlers that were registered before the start", async () => {
    const world = new Messengers();
    const [a, b] = [world.node("a"), world.node("b")];
    const heard: unknown[] = [];
    for (const node of [a, b]) node.channel.listen("news", (message) => heard.push([node.node, message.from.node, message.value()]));
    await world.during(a.start());
    await world.during(b.start());
    const { ok, results } = await world.during(b.channel.send("news", { n: 1 }, { to: "all" }));
    assert.equal(ok, true);
    assert.deepEqual([...results], [["a", { status: "delivered" }], ["b", { status: "delivered" }]]);
    assert.equal(heard.length, 2);
    for (const node of ["a", "b"]) assert.ok(heard.some((each) => isDeepStrictEqual(each, [node, "b", { n: 1 }])));
    await world.stop();
  });

  it("has the states that were registered before the start when it resolves", async () => {
    const world = new Messengers();
    const kept = { text: "all that a knows" };
    const [a, b] = [world.node("a"), world.node("b")];
    a.channel.state("notes", note(kept));
    await world.during(a.start());
    const copy = { text: "" };
    b.channel.state("notes", note(copy));
    await world.during(b.start());
    assert.equal(copy.text, "all that a knows");
    await world.stop();
  });

  it("refuses what was sent under an older term than its store has told of", async () => {
    const world = new Messengers();
    const [a, b] = (await world.start("a", "b")) as [Cluster<MemoryTransaction>, Cluster<MemoryTransaction>];
    b.channel.respond("flush", () => "done", { tokenOf: "work" });
    const term = await world.during(a.election("work").campaign());
    await world.clock.advanceUntil(() => b.election("work").current?.token === term.token, 5_000, "b has seen the term");
    const ask = async (token: number) => (await world.during(a.channel.request("flush", null, { to: ["b"], token: { token, election: "work" } }))).replies.get("b");
    assert.deepEqual(await ask(term.token - 1).then((result) => [result?.status, result?.status === "failed" && result.code]), ["failed", "TOKEN_STALE"]);
    assert.equal((await ask(term.token))?.status, "replied");
    await world.stop();
  });

  it("fails the start when nobody gives a state, and puts everything away", async () => {
    const world = new Messengers();
    await world.start("a");
    const b = world.node("b", { channel: { transport: world.network.transport(), statesTimeoutMs: 2_000 } });
    b.channel.state("notes", note({ text: "" }));
    await assert.rejects(world.during(b.start()), { code: "STATE_UNAVAILABLE" });
    assert.equal(b.health().state, "stopped");
    await world.stop();
  });

  it("keeps its address in the metadata, where users neither see it nor lose it", async () => {
    const world = new Messengers();
    const [a, b] = await world.start("a", "b");
    assert.ok(a !== undefined && b !== undefined);
    await world.during(b.updateMetadata({ zone: "z" }));
    await world.clock.advanceUntil(() => a.view.members[1]?.metadata["zone"] === "z", 10_000, "the new metadata");
    assert.deepEqual(a.view.members.map(({ metadata }) => metadata), [{}, { zone: "z" }]);
    a.channel.listen("news", () => undefined);
    assert.equal((await world.during(b.channel.send("news", "still there", { to: ["a"] }))).ok, true);
    b.channel.listen("news", () => undefined);
    assert.equal((await world.during(a.channel.send("news", "still there", { to: ["b"] }))).ok, true);
    await assert.rejects(b.updateMetadata({ [ANNEX]: { channel: "elsewhere:1" } }), { code: "INVALID_METADATA" });
    await world.stop();
  });

  it("goes on as another endpoint after the incarnation has died, with the same handlers, and obtains its states again", async () => {
    const world = new Messengers();
    const [a, b] = [world.node("a"), world.node("b")];
    const [first, second] = [{ text: "old" }, { text: "" }];
    a.channel.state("notes", note(first));
    b.channel.state("notes", note(second));
    const heard: unknown[] = [];
    b.channel.listen("news", (message) => heard.push(message.value()));
    await world.during(a.start());
    await world.during(b.start());
    const before = b.self.incarnation;
    first.text = "new";
    const rejoined = new Promise<string>((resolve) => b.on("rejoined", ({ incarnation }) => resolve(incarnation)));
    await world.declareDead(before);
    assert.notEqual(await world.during(rejoined), before);
    await world.connected(a, b);
    await world.clock.advanceUntil(() => second.text === "new", 60_000, "the state, anew");
    assert.equal((await world.during(a.channel.send("news", 2))).ok, true);
    assert.deepEqual(heard, [2]);
    await world.stop();
  });

  it("leaves members without one alone", async () => {
    const world = new Messengers();
    const plain = world.node("plain", { channel: false });
    await world.during(plain.start());
    const [a, b] = await world.start("a", "b");
    assert.ok(a !== undefined && b !== undefined);
    b.channel.listen("news", () => undefined);
    assert.deepEqual([...(await world.during(a.channel.send("news", 1))).results.keys()], ["b"]);
    assert.deepEqual([...(await world.during(a.channel.send("news", 1, { to: ["plain"] }))).results], [["plain", { status: "left" }]]);
    assert.equal((await world.during(a.channel.send("news", 1, { to: "coordinator" }))).ok, false, "the coordinator has no channel");
    assert.throws(() => plain.channel, (error) => isTribuneError(error, "CHANNEL_OFF"));
    await world.stop();
  });

  it("shows who cannot be reached in the group's status, and that it can be again; no view changes, and nothing is written before", async () => {
    const world = new Messengers();
    const [a, b, c] = await world.start("a", "b", "c");
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const admin = openAdmin({ store: world.store, group: "g", clock: world.clock });
    const ways = async () => (await world.during(admin.members())).map(({ node, channel }) => `${node} ${channel?.connected === true ? "connected" : `not from ${channel?.unreachableFrom.map((each) => each.node).join()}`}`);
    await world.clock.advance(30_000);
    assert.equal(await world.document(REACH_DOCUMENT), undefined);
    assert.deepEqual(await ways(), ["a connected", "b connected", "c connected"]);
    const { version } = a.view;
    const cutMs = world.clock.wallMs();
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) world.network.cut(from, to);
    await world.clock.advance(30_000);
    assert.deepEqual(await ways(), ["a not from b", "b not from a", "c connected"]);
    const { members, warnings } = await world.during(admin.status());
    const [since = ""] = members[0]?.channel?.unreachableFrom.map((each) => each.since) ?? [];
    assert.ok(Date.parse(since) >= cutMs && Date.parse(since) < world.clock.wallMs(), since);
    assert.deepEqual(warnings.map(({ code, about }) => `${code} ${about}`).filter((each) => each.startsWith("MEMBER")), ["MEMBER_UNREACHABLE a", "MEMBER_UNREACHABLE b"]);
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) world.network.heal(from, to);
    await world.connected(a, b, c);
    await world.clock.advance(30_000);
    assert.deepEqual(await ways(), ["a connected", "b connected", "c connected"]);
    assert.equal(a.view.version, version);
    await admin.close();
    await world.stop();
  });

  it("sends nothing before the start and after the stop", async () => {
    const world = new Messengers();
    const a = world.node("a");
    await assert.rejects(a.channel.send("news", 1), { code: "TRANSPORT_CLOSED" });
    await world.during(a.start());
    await world.stop();
    await assert.rejects(a.channel.send("news", 1), { code: "TRANSPORT_CLOSED" });
  });

  it("tells members of those that have another totalOrder, and refuses their messages; nobody is kept from joining", async () => {
    const world = new Messengers();
    const ordered = (...totalOrder: string[]) => ({ channel: { transport: world.network.transport(), totalOrder } });
    const [a, b, c] = [world.node("a", ordered("ledger", "audit")), world.node("b", ordered("audit", "ledger")), world.node("c", ordered("ledger"))];
    const told: string[] = [];
    for (const node of [a, b, c]) node.on("error", ({ code, about }) => void told.push(`${node.node}: ${code} ${about}`));
    for (const node of [a, b]) node.channel.listen("audit", () => undefined);
    for (const node of [a, b]) await world.during(node.start());
    await world.connected(a, b);
    assert.equal((await world.during(b.channel.send("audit", 1))).ok, true);
    assert.deepEqual(told, []);
    await world.during(c.start());
    await world.clock.advanceUntil(() => told.length === 4, 10_000, "all have been told");
    assert.deepEqual(new Set(told), new Set(["a: SETTINGS_MISMATCH c", "b: SETTINGS_MISMATCH c", "c: SETTINGS_MISMATCH a", "c: SETTINGS_MISMATCH b"]));
    const { results } = await world.during(c.channel.send("audit", 2, { to: ["a"] }));
    assert.deepEqual([...results.values()].map((result) => (result.status === "failed" ? result.code : result.status)), ["SETTINGS_MISMATCH"]);
    await world.stop();
  });

  it("is refused with all complaints at once, and never prints a secret", () => {
    const key = "-----BEGIN PRIVATE KEY-----hush";
    const options = { group: "g", store: memory(), leaseMs: 1, channel: { advertize: "x:1", port: -1, mode: "maybe", security: { cert: "", key, ca: "" } } } as unknown as Parameters<typeof createCluster>[0];
    const complaint = (() => {
      try {
        createCluster(options);
        return "";
      } catch (error) {
        return String(error);
      }
    })();
    for (const words of [/leaseMs/, /did you mean advertise/, /port must be/, /mode must be/, /security\.ca/]) assert.match(complaint, words);
    assert.doesNotMatch(complaint, /hush/);
    assert.throws(() => createCluster({ group: "g", store: memory(), channel: { transport: new Messengers().network.transport(), port: 1 } }), /port is not for a transport of your own/);
    assert.throws(() => createCluster({ group: "g", store: memory(), channel: { maxMessageBytes: 2 ** 24 } }), /maxMessageBytes .* link\.maxFrameBytes/);
  });
});
